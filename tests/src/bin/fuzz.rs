//! Gives bytes that nobody made with good intentions to everything that reads bytes from outside.
//!
//! ```text
//! fuzz list                        the targets
//! fuzz run --minutes 10            all of them, one after another, with mutations of good bytes
//! fuzz run marker --from 7         one, with the mutations of other numbers
//! fuzz take marker FILE            one input, as libFuzzer left it
//! fuzz corpus fuzz/corpus          writes the good bytes, for libFuzzer to begin with
//! ```
//!
//! The exit code is 1 when a promise was broken; the bytes stand in what is printed.

use clap::{Parser, Subcommand};
use eyre::{Result, eyre};
use lonja_tests::fuzzing::mutate::Mutator;
use lonja_tests::fuzzing::{TARGETS, Target, seeds, target};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Gives bad bytes to everything that reads bytes from outside.
#[derive(Debug, Parser)]
#[command(name = "fuzz")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Prints the names of the targets.
    List,
    /// Runs targets with mutations of good bytes.
    Run {
        /// The target; all where none is named.
        target: Option<String>,
        /// For each target.
        #[arg(long, default_value_t = 1)]
        minutes: u64,
        /// Number of the first mutations.
        #[arg(long, default_value_t = 0)]
        from: u64,
    },
    /// Gives one input to a target.
    Take {
        /// The target.
        target: String,
        /// The file with the bytes.
        file: PathBuf,
    },
    /// Writes good bytes for each target into a folder of its own.
    Corpus {
        /// Where these folders are made.
        folder: PathBuf,
    },
}

/// Inputs of one mutator, before there is another.
const ROUND: u64 = 1_000;

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::List => TARGETS.iter().for_each(|target| println!("{}", target.name)),
        What::Run { target, minutes, from } => {
            // What is found is printed with its bytes.
            std::panic::set_hook(Box::new(|_| {}));
            for target in named(target.as_deref())? {
                run(target, Duration::from_secs(60 * minutes), from)?;
            }
        }
        What::Take { target, file } => {
            let target = named(Some(&target))?;
            target.iter().for_each(|target| println!("{}", target.name));
            let bytes = fs::read(file)?;
            target.iter().try_for_each(|target| target.try_take(&bytes)).map_err(|text| eyre!(text))?;
        }
        What::Corpus { folder } => {
            for target in TARGETS {
                let folder = folder.join(target.name);
                fs::create_dir_all(&folder)?;
                for (number, seed) in seeds::of(target.name).iter().enumerate() {
                    fs::write(folder.join(format!("seed-{number:04}")), seed)?;
                }
            }
        }
    }
    Ok(())
}

fn named(name: Option<&str>) -> Result<Vec<Target>> {
    match name {
        None => Ok(TARGETS.to_vec()),
        Some(name) => {
            Ok(vec![target(name).ok_or_else(|| eyre!("there is no target {name}: see `fuzz list`"))?])
        }
    }
}

fn run(target: Target, time: Duration, from: u64) -> Result<()> {
    let (seeds, started, mut taken) = (seeds::of(target.name), Instant::now(), 0u64);
    for number in from.. {
        let mut mutator = Mutator::new(number);
        for _ in 0..ROUND {
            target.try_take(&mutator.next(&seeds)).map_err(|text| eyre!(text))?;
            taken += 1;
        }
        if started.elapsed() >= time {
            println!("{}: {taken} inputs, mutations {from} to {number}", target.name);
            return Ok(());
        }
    }
    Ok(())
}
