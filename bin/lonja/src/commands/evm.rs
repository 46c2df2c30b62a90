//! `lonja evm`: the public Ethereum tests, chains of development tools and single blocks, run through what the node
//! runs blocks with.

use super::export::is_gzip;
use super::t8n::T8nArgs;
use clap::{Args, Subcommand, ValueEnum};
use eyre::{Result, WrapErr, bail};
use flate2::read::MultiGzDecoder;
use lonja_conformance::{Failure, Format, Summary, TestChain, TestSeals, run};
use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Public Ethereum tests, and chains that are none of ours.
#[derive(Debug, Subcommand)]
pub enum EvmCommand {
    /// Run GeneralStateTests: one transaction on a state each
    Statetest(TestArgs),
    /// Run BlockchainTests: chains of blocks, valid and invalid
    Blocktest(TestArgs),
    /// Verify and execute a chain of a development tool (Clique, `geth --dev`) out of files
    Chain(ChainArgs),
    /// Execute transactions on a state and give the state after it, as geth's `evm t8n` does
    #[command(visible_alias = "transition")]
    T8n(T8nArgs),
}

/// Options of `lonja evm chain`.
#[derive(Args, Debug)]
#[command(
    after_help = "Everything is verified but, with `--seals none`, who sealed the blocks. Nothing is written: a chain \
                        like this is not one that a network of nodes could go on with. Exits with 1 at the first block \
                        that breaks a rule, and names it."
)]
pub struct ChainArgs {
    /// Files of blocks in RLP, oldest first, as Ethereum clients export them; gzip if they end in .gz
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Genesis file of the chain, as geth reads it
    #[arg(long)]
    genesis: PathBuf,
    /// What its blocks are sealed with
    #[arg(long)]
    seals: Seals,
}

/// What seals a block.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Seals {
    /// Signers in turn (EIP-225), by `config.clique` of the genesis file
    Clique,
    /// Anything
    None,
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
            Self::Chain(args) => args.run(),
            Self::T8n(args) => args.run(),
        }
    }
}

impl ChainArgs {
    fn run(self) -> Result<()> {
        let text = fs::read_to_string(&self.genesis)
            .wrap_err_with(|| format!("cannot read the genesis file {}", self.genesis.display()))?;
        let seals = match self.seals {
            Seals::Clique => TestSeals::Clique,
            Seals::None => TestSeals::None,
        };
        let mut chain = TestChain::open(&text, seals).wrap_err_with(|| self.genesis.display().to_string())?;
        let mut shown = crate::progress::Progress::new();
        for path in &self.files {
            let result = chain.import(&read(path)?, &mut |chain| {
                shown.show(|| format!("block {}", chain.head().0));
                ControlFlow::Continue(())
            });
            shown.clear();
            result.wrap_err_with(|| path.display().to_string())?;
        }
        let (number, hash) = chain.head();
        let transactions = chain.transactions();
        println!("all is well: blocks up to {number} with {transactions} transactions; the newest is {hash}");
        Ok(())
    }
}

/// A file, unpacked; chains of development tools are short.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| match is_gzip(path) {
        true => MultiGzDecoder::new(file).read_to_end(&mut bytes),
        false => file.read_to_end(&mut bytes),
    });
    read.wrap_err_with(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
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
