//! One random byte of a node's files flipped: it is detected and named, or does no harm, and is never a wrong answer.
//!
//! A [`Specimen`] is the data directory of a node that was killed, with something in every file, and the answers its
//! node gave. For each kind of file a byte is flipped in a copy, as often as one likes; `lonja db verify` looks at the
//! copy, then a node is started on it and asked the same questions.

mod specimen;
mod trial;

pub use specimen::Specimen;
pub use trial::{Trial, Verdict};

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::thread;

/// What became of the flips in one kind of file.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Refused or reported, with the name of what is damaged.
    pub detected: usize,
    /// Every answer was the same.
    pub harmless: usize,
    /// Broken promises.
    pub wrong: Vec<Trial>,
}

/// Tallies by kind of file.
#[derive(Clone, Debug, Default)]
pub struct Report(pub BTreeMap<String, Tally>);

impl Report {
    /// All broken promises.
    pub fn wrong(&self) -> impl Iterator<Item = &Trial> {
        self.0.values().flat_map(|tally| &tally.wrong)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28} {:>9} {:>9} {:>6}", "kind of file", "detected", "harmless", "WRONG")?;
        for (kind, Tally { detected, harmless, wrong }) in &self.0 {
            writeln!(f, "{kind:<28} {detected:>9} {harmless:>9} {:>6}", wrong.len())?;
        }
        self.wrong().try_for_each(|trial| writeln!(f, "{trial}"))
    }
}

/// Flips a byte in each kind of file so many times, or only in those whose kind contains `only`. As many copies as there
/// are `threads` are tried at once; `progress` is told of each.
pub fn run(
    specimen: &Specimen,
    times: usize,
    seed: u64,
    threads: usize,
    only: &str,
    progress: impl Fn(&Trial) + Sync,
) -> Report {
    let kinds = specimen.kinds().into_iter().filter(|(kind, _)| kind.contains(only));
    let jobs: Vec<_> = kinds.flat_map(|kind| (0..times).map(move |time| (kind.clone(), time))).collect();
    let (next, report) = (Mutex::new(jobs.into_iter()), Mutex::new(Report::default()));
    let work = || {
        loop {
            let job = next.lock().next();
            let Some(((kind, files), time)) = job else { break };
            let trial = trial::run(specimen, &kind, &files, seed, time as u64);
            progress(&trial);
            let mut report = report.lock();
            let tally = report.0.entry(kind).or_default();
            match &trial.verdict {
                Verdict::Detected(_) => tally.detected += 1,
                Verdict::Harmless => tally.harmless += 1,
                Verdict::Wrong(_) => tally.wrong.push(trial),
            }
        }
    };
    thread::scope(|scope| {
        (0..threads.max(1)).for_each(|_| drop(scope.spawn(work)));
    });
    report.into_inner()
}
