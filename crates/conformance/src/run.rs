//! Runs files on all processors.

use crate::block_test;
use crate::files;
use crate::report::{Failure, Summary};
use crate::state_test;
use crate::verdict::{Outcome, Verdict};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Stack of a thread that runs tests: rayon may give it other work while it waits for a part of its own.
const STACK_BYTES: usize = 64 << 20;

/// The kind of test in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// GeneralStateTests: one transaction on a state.
    State,
    /// BlockchainTests: blocks on a genesis block, valid and invalid.
    Block,
}

/// Is told how far a run is. Called from several threads, one at a time.
pub trait Progress: Send {
    /// A file is done.
    fn file_done(&mut self, done: usize, of: usize, summary: &Summary);
    /// A test did not come out as it says.
    fn failed(&mut self, failure: &Failure);
}

/// Runs all tests in these files and folders. A file that cannot be read is a failure like any other; an error is
/// only a path that is not there.
pub fn run(format: Format, paths: &[PathBuf], progress: &mut dyn Progress) -> std::io::Result<Summary> {
    let files = files::find(paths)?;
    let next = AtomicUsize::new(0);
    let shared = Mutex::new((Summary::default(), progress));
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| -> std::io::Result<()> {
        for index in 0..threads {
            let builder = thread::Builder::new().name(format!("tests-{index}")).stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, || {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcomes = run_file(format, file);
                    let mut shared = shared.lock().expect("no test panics while it holds the lock");
                    let (summary, progress) = &mut *shared;
                    note(file, outcomes, summary, *progress);
                    let done = usize::try_from(summary.files).unwrap_or(usize::MAX);
                    progress.file_done(done, files.len(), summary);
                }
            })?;
        }
        Ok(())
    })?;
    Ok(shared.into_inner().expect("no test panics while it holds the lock").0)
}

/// All tests of a file; the error says why it is none.
fn run_file(format: Format, file: &Path) -> Result<Vec<Outcome>, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let run = || match format {
        Format::State => state_test::run_file(&text),
        Format::Block => block_test::run_file(&text),
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(format!("panic: {}", words(&*panic))))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref().copied()).unwrap_or("no words")
}

fn note(
    file: &Path,
    outcomes: Result<Vec<Outcome>, String>,
    summary: &mut Summary,
    progress: &mut dyn Progress,
) {
    summary.files += 1;
    let mut fail = |summary: &mut Summary, failure: Failure| {
        summary.run += 1;
        summary.failed += 1;
        progress.failed(&failure);
    };
    let file = file.display().to_string();
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(reason) => {
            let (what, expected) = ("file".to_owned(), "tests".to_owned());
            let (test, fork) = (String::new(), String::new());
            return fail(summary, Failure { file, test, fork, index: 0, what, expected, got: reason });
        }
    };
    for Outcome { name, fork, index, verdict } in outcomes {
        match verdict {
            Verdict::Passed => {
                summary.run += 1;
                summary.passed += 1;
            }
            Verdict::Skipped(skip) => summary.skip(skip),
            Verdict::Failed(difference) => {
                let failure = Failure {
                    file: file.clone(),
                    test: name,
                    fork,
                    index,
                    what: difference.what.to_owned(),
                    expected: difference.expected,
                    got: difference.got,
                };
                fail(summary, failure);
            }
        }
    }
}
