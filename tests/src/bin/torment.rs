//! Does to real nodes what must not harm them, as often as one likes.
//!
//! ```text
//! torment kill --times 200 --seed 1     kill -9 of nodes under load, at random instants
//! ```
//!
//! The exit code is 1 when a promise was broken; what was broken, and the seed, stand above it.

use clap::{Args, Parser};
use lonja_tests::harness::choose_binary;
use lonja_tests::torment::kill;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Torments lonja nodes and checks that they keep their promises.
#[derive(Debug, Parser)]
#[command(name = "torment")]
enum Torment {
    /// Kills nodes of a network under load at random instants.
    Kill(Common),
}

/// What all torments have in common.
#[derive(Args, Clone, Debug)]
struct Common {
    /// How often.
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// Begins the random numbers [default: by the clock].
    #[arg(long)]
    seed: Option<u64>,
    /// The program to torment [default: the one built beside this one].
    #[arg(long)]
    lonja: Option<PathBuf>,
}

fn main() -> ExitCode {
    let torment = Torment::parse();
    let Torment::Kill(common) = &torment;
    if let Some(path) = &common.lonja {
        choose_binary(path.clone());
    }
    let seed = common.seed.unwrap_or_else(rand::random);
    let times = common.times;
    println!("seed {seed}");
    let done = catch_unwind(|| match torment {
        Torment::Kill(_) => run_kill(times, seed),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => {
            println!("FAILED with --seed {seed} --times {times}");
            ExitCode::FAILURE
        }
    }
}

fn run_kill(times: usize, seed: u64) {
    let started = Instant::now();
    let tally = kill::run(times, seed, |tally| {
        println!("{:6.1} s: {} of {times} kills", started.elapsed().as_secs_f32(), tally.kills);
    });
    println!("{tally}");
}
