//! Printing for commands. Whoever reads may go away (`lonja devnet | head -1`): that ends the printing, neither the
//! command nor its outcome. The macros take the place of those of the standard library, which panic then.

use eyre::{Result, eyre};
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why something could not be printed though somebody reads: a full disk, mostly.
static FAILED: OnceLock<io::Error> = OnceLock::new();

macro_rules! print {
    ($($part:tt)*) => { $crate::output::out(format_args!($($part)*)) };
}

macro_rules! println {
    () => { $crate::output::out(format_args!("\n")) };
    ($($part:tt)*) => { $crate::output::out(format_args!("{}\n", format_args!($($part)*))) };
}

macro_rules! eprint {
    ($($part:tt)*) => { $crate::output::err(format_args!($($part)*)) };
}

macro_rules! eprintln {
    ($($part:tt)*) => { $crate::output::err(format_args!("{}\n", format_args!($($part)*))) };
}

/// Prints to standard output.
pub fn out(text: Arguments) {
    note(io::stdout().write_fmt(text));
}

/// Prints to standard error. There is no place left to complain about a failure.
pub fn err(text: Arguments) {
    drop(io::stderr().write_fmt(text));
}

/// Everything printed has left the process when this returns.
///
/// # Errors
/// Something could not be printed, for another reason than that nobody reads any more.
pub fn finish() -> Result<()> {
    note(io::stdout().flush());
    match FAILED.get() {
        Some(error) => Err(eyre!("cannot write to standard output: {error}")),
        None => Ok(()),
    }
}

fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        // The first reason is the telling one.
        drop(FAILED.set(error));
    }
}
