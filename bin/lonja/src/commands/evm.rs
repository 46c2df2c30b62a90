//! `lonja evm`: the public Ethereum tests, run through what the node runs blocks with.

use clap::{Args, Subcommand};
use eyre::{Result, bail};
use lonja_conformance::{Failure, Format, Summary, run};
use std::path::PathBuf;

/// Public Ethereum tests.
#[derive(Debug, Subcommand)]
pub enum EvmCommand {
    /// Run GeneralStateTests: one transaction on a state each
    Statetest(TestArgs),
    /// Run BlockchainTests: chains of blocks, valid and invalid
    Blocktest(TestArgs),
}

/// Options of `lonja evm statetest` and `lonja evm blocktest`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each failure is a line of JSON on standard output, and the summary is the last line. \
                        Exits with 1 when a test failed."
)]
pub struct TestArgs {
    /// Files, and folders to look through for .json files
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl EvmCommand {
    /// Runs the tests.
    pub fn run(self) -> Result<()> {
        match self {
            Self::Statetest(args) => run_tests(Format::State, &args.paths),
            Self::Blocktest(args) => run_tests(Format::Block, &args.paths),
        }
    }
}

fn run_tests(format: Format, paths: &[PathBuf]) -> Result<()> {
    let mut line = Line(crate::progress::Progress::new());
    let summary = run(format, paths, &mut line)?;
    line.0.clear();
    println!("{}", serde_json::to_string(&serde_json::json!({ "summary": summary }))?);
    eprint!("{}", in_words(&summary));
    match summary.failed {
        0 => Ok(()),
        failed => bail!("{failed} of {} tests failed", summary.run),
    }
}

struct Line(crate::progress::Progress);

impl lonja_conformance::Progress for Line {
    fn file_done(&mut self, done: usize, of: usize, summary: &Summary) {
        let Summary { run, failed, skipped, .. } = summary;
        self.0.show(|| format!("{done} of {of} files, {run} tests run, {failed} failed, {skipped} skipped"));
    }

    fn failed(&mut self, failure: &Failure) {
        self.0.clear();
        if let Ok(line) = serde_json::to_string(failure) {
            println!("{line}");
        }
    }
}

fn in_words(summary: &Summary) -> String {
    let Summary { files, run, passed, failed, skipped, skipped_by_reason } = summary;
    let mut text =
        format!("{files} files: {run} tests run, {passed} passed, {failed} failed, {skipped} skipped\n");
    for (reason, count) in skipped_by_reason {
        text += &format!("  {count} skipped: {reason}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_every_reason() {
        let mut summary = Summary { files: 2, run: 3, passed: 2, failed: 1, ..Summary::default() };
        summary.skipped = 5;
        summary.skipped_by_reason.insert("no such fork", 5);
        assert_eq!(
            in_words(&summary),
            "2 files: 3 tests run, 2 passed, 1 failed, 5 skipped\n  5 skipped: no such fork\n"
        );
    }
}
