//! Runs worlds by the thousand, or one of them step by step.
//!
//! ```text
//! simulate --seeds 10000            worlds 0 to 9999, one per core at a time
//! simulate --minutes 10 --from 7    as many as fit, from seed 7 on
//! simulate --seed 42 --trace        one world, every step printed
//! simulate --seeds 1000 --break without-log   the checks must find something
//! simulate --private --seeds 1000   worlds with private transactions
//! ```
//!
//! The exit code is 1 when a promise was broken, and the seed says how to see it again.

use clap::Parser;
use clap::builder::PossibleValuesParser;
use lonja_tests::simulation::{Break, Crowd, Options, Stats};
use parking_lot::Mutex;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs whole lonja networks from seeds and checks that they keep their promises.
#[derive(Debug, Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many worlds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only the world of this seed.
    #[arg(long, conflicts_with_all = ["seeds", "from", "minutes"])]
    seed: Option<u64>,
    /// Prints every step; for a single seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Goes on for so many minutes instead of a number of worlds.
    #[arg(long, conflicts_with = "seeds")]
    minutes: Option<u64>,
    /// Threads; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Goes on after a failure and prints all of them.
    #[arg(long)]
    keep_going: bool,
    /// Worlds with private transactions: members deal, and nobody else may ever have a byte of it.
    #[arg(long)]
    private: bool,
    /// Breaks a rule of the world around the nodes, to see that it is noticed.
    #[arg(long = "break", value_name = "RULE", value_parser = PossibleValuesParser::new(Break::ALL.map(|(name, _)| name)))]
    broken: Option<String>,
}

/// Between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let broken = arguments.broken.as_deref();
    let broken = Break::ALL.into_iter().find(|(name, _)| Some(*name) == broken).map(|(_, one)| one);
    let private = arguments.private || broken.is_some_and(Break::is_private);
    let options = Options { trace: arguments.trace, broken, private };
    let crowd = match arguments.seed {
        Some(seed) => Crowd { from: seed, seeds: 1, threads: 1, keep_going: false, options },
        None => Crowd {
            from: arguments.from,
            seeds: if arguments.minutes.is_some() { u64::MAX } else { arguments.seeds },
            threads: arguments.threads,
            keep_going: arguments.keep_going,
            options,
        },
    };
    // A panic in a node is reported with its seed, like everything else.
    if !arguments.trace {
        std::panic::set_hook(Box::new(|_| {}));
    }
    run(&crowd, arguments.minutes)
}

fn run(crowd: &Crowd, minutes: Option<u64>) -> ExitCode {
    let started = Instant::now();
    let until = minutes.map(|minutes| started + Duration::from_secs(60 * minutes));
    let last_line = Mutex::new(started);
    let (stats, failures) = crowd.run(|stats| {
        let mut last = last_line.lock();
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            print_line(stats, started);
        }
        until.is_none_or(|until| Instant::now() < until)
    });
    print_line(&stats, started);
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_line(stats: &Stats, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{:.1} worlds/s: {stats}", stats.worlds as f64 / seconds.max(0.001));
}
