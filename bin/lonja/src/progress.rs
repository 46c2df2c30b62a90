//! Showing how far long work is: one line of a terminal, or now and then a line in a log.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const ON_TERMINAL_EVERY: Duration = Duration::from_millis(200);
const IN_LOG_EVERY: Duration = Duration::from_secs(5);

/// A progress line on standard error, so that standard output has the outcome only.
pub struct Progress {
    last: Instant,
    on_terminal: bool,
}

impl Progress {
    /// Nothing is shown until some time has gone by.
    pub fn new() -> Self {
        Self { last: Instant::now(), on_terminal: std::io::stderr().is_terminal() }
    }

    /// Shows the line if it is time for it; answers whether it was.
    pub fn show(&mut self, line: impl FnOnce() -> String) -> bool {
        let every = if self.on_terminal { ON_TERMINAL_EVERY } else { IN_LOG_EVERY };
        if self.last.elapsed() < every {
            return false;
        }
        self.last = Instant::now();
        match self.on_terminal {
            true => eprint!("\r\x1b[K{}", line()),
            false => eprintln!("{}", line()),
        }
        // A closed standard error is no reason to stop.
        drop(std::io::stderr().flush());
        true
    }

    /// Takes the line off a terminal.
    pub fn clear(&self) {
        if self.on_terminal {
            eprint!("\r\x1b[K");
        }
    }
}
