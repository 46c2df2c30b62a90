//! Does to real nodes what must not harm them, as often as one likes.
//!
//! ```text
//! torment kill --times 200 --seed 1     kill -9 of nodes under load, at random instants
//! torment flip --times 200 --seed 1     a byte flipped in each kind of file of a data directory
//! torment flip --only votes --times 20  in the files of one kind
//! ```
//!
//! The exit code is 1 when a promise was broken; what was broken, and the seed, stand above it.

use clap::{Args, Parser};
use lonja_tests::harness::choose_binary;
use lonja_tests::torment::flip::{self, Specimen, Verdict};
use lonja_tests::torment::kill;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Flips between two lines of progress.
const LINE_EVERY: usize = 100;

/// Torments lonja nodes and checks that they keep their promises.
#[derive(Clone, Debug, Parser)]
#[command(name = "torment")]
enum Torment {
    /// Kills nodes of a network under load at random instants.
    Kill(Common),
    /// Flips a byte in each kind of file of a data directory.
    Flip {
        #[command(flatten)]
        common: Common,
        /// Only kinds of files with this in their name.
        #[arg(long, default_value = "")]
        only: String,
        /// Copies tried at once; 0 for one per core.
        #[arg(long, default_value_t = 0)]
        threads: usize,
        /// Tells of every flip.
        #[arg(long)]
        trace: bool,
    },
}

/// What all torments have in common.
#[derive(Args, Clone, Debug)]
struct Common {
    /// How often.
    #[arg(long, default_value_t = 200)]
    times: usize,
    /// Begins the random numbers [default: random].
    #[arg(long)]
    seed: Option<u64>,
    /// The program to torment [default: the one built beside this one].
    #[arg(long)]
    lonja: Option<PathBuf>,
}

fn main() -> ExitCode {
    let torment = Torment::parse();
    let (Torment::Kill(common) | Torment::Flip { common, .. }) = torment.clone();
    if let Some(path) = common.lonja {
        choose_binary(path);
    }
    let (seed, times) = (common.seed.unwrap_or_else(rand::random), common.times);
    println!("seed {seed}");
    let done = catch_unwind(|| match torment {
        Torment::Kill(_) => run_kill(times, seed),
        Torment::Flip { only, threads, trace, .. } => run_flip(times, seed, threads, &only, trace),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        _ => {
            println!("FAILED with --seed {seed} --times {times}");
            ExitCode::FAILURE
        }
    }
}

fn run_kill(times: usize, seed: u64) -> bool {
    let started = Instant::now();
    let tally = kill::run(times, seed, |tally| {
        println!("{:6.1} s: {} of {times} kills", started.elapsed().as_secs_f32(), tally.kills);
    });
    println!("{tally}");
    true
}

fn run_flip(times: usize, seed: u64, threads: usize, only: &str, trace: bool) -> bool {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let specimen = Specimen::make();
    let (started, done) = (Instant::now(), AtomicUsize::new(0));
    let report = flip::run(&specimen, times, seed, threads, only, |trial| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if trace || matches!(trial.verdict, Verdict::Wrong(_)) {
            println!("{trial}");
        }
        if done.is_multiple_of(LINE_EVERY) {
            println!("{:6.1} s: {done} flips", started.elapsed().as_secs_f32());
        }
    });
    println!("{report}");
    report.wrong().next().is_none()
}
