//! One flip, and what became of it.

use super::Specimen;
use super::specimen::verify;
use crate::harness::{Process, Rpc, free_port, lonja};
use crate::simulation::dice::Dice;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A node that neither answers nor ends within this hangs.
const START_MOST: Duration = Duration::from_secs(30);
/// As long may votes take to come up after a start.
const VOTES_MOST: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A node that halted has ended after this.
const END_MOST: Duration = Duration::from_secs(30);
/// Characters of an answer that a report shows.
const SHOWN: usize = 300;

/// What became of a flip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Refused or reported, with the line that names what is damaged.
    Detected(String),
    /// Every answer was the same, and nothing is wrong.
    Harmless,
    /// A broken promise, in words.
    Wrong(String),
}

/// A flip and its verdict.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The file, in the data directory.
    pub file: PathBuf,
    /// Which byte.
    pub place: usize,
    /// What it was xored with.
    pub flip: u8,
    /// What became of it.
    pub verdict: Verdict,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, flip, verdict } = self;
        write!(f, "{} byte {place} ^ {flip:#04x}: {verdict:?}", file.display())
    }
}

/// Flips the byte that `seed` and `time` choose in one of the files of a kind.
pub fn run(specimen: &Specimen, kind: &str, files: &[PathBuf], seed: u64, time: u64) -> Trial {
    let salt = kind.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut dice = Dice::new(salt ^ time.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let folder = specimen.copy();
    let file = files[dice.index(files.len())].clone();
    let path = folder.path().join(&file);
    let mut bytes = fs::read(&path).expect("a copy can be read");
    let place = dice.index(bytes.len());
    // Half of them a single bit, as memory and disks do it; half of them anything.
    let flip = if dice.chance(50) { 1 << dice.below(8) } else { dice.between(1, 255) as u8 };
    bytes[place] ^= flip;
    fs::write(&path, bytes).expect("a copy can be written");
    let verdict = judge(specimen, folder.path(), &file);
    Trial { file, place, flip, verdict }
}

fn judge(specimen: &Specimen, folder: &Path, file: &Path) -> Verdict {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (code, said) = verify(folder);
    let found = match code {
        Some(0) => None,
        Some(1) => Some(said),
        other => return Verdict::Wrong(format!("db verify ended with {other:?}: {}", shown(&said))),
    };
    let node = match Node::start(folder) {
        Ok(node) => node,
        Err(verdict) => return verdict.named(&name),
    };
    let mut answers = specimen.ask(&node.rpc);
    // What the node was asked to vote reaches the agreement a moment after the start.
    let asked = Instant::now();
    while asked.elapsed() < VOTES_MOST && specimen.is_behind_with_votes(&answers) {
        thread::sleep(LOOK_EVERY);
        answers = specimen.ask(&node.rpc);
    }
    let log = match node.end() {
        Ok(log) => log,
        Err(wrong) => return Verdict::Wrong(wrong),
    };
    let mut refused = None;
    for ((question, right), answer) in specimen.answers().zip(&answers) {
        match answer {
            Err(error) => refused = Some(format!("{}: {error}", question.0)),
            Ok(_) if answer == right => {}
            Ok(_) if log.contains(&name) && is_reported(&log) => refused = Some(reported(&log)),
            Ok(_) => {
                let (right, answer) = (format!("{right:?}"), format!("{answer:?}"));
                return Verdict::Wrong(format!(
                    "{} {}: {} instead of {}; {}",
                    question.0,
                    question.1,
                    shown(&answer),
                    shown(&right),
                    found.map_or("db verify finds nothing".into(), |found| format!("db verify: {found}")),
                ));
            }
        }
    }
    match (refused, found) {
        (None, None) if is_reported(&log) && log.contains(&name) => Verdict::Detected(reported(&log)),
        (None, None) => Verdict::Harmless,
        (None, Some(found)) => Verdict::Detected(found).named(&name),
        (Some(refused), found) => Verdict::Detected(refused + &found.unwrap_or_default() + &log).named(&name),
    }
}

/// Whether the node complained about anything.
fn is_reported(log: &str) -> bool {
    log.contains(" ERROR ") || log.contains(" WARN ")
}

fn reported(log: &str) -> String {
    let lines = log.lines().filter(|line| is_reported(line));
    lines.collect::<Vec<_>>().join("\n")
}

impl Verdict {
    /// What was detected must be named: the file, or what it is in words.
    fn named(self, name: &str) -> Self {
        let names = |said: &str| {
            let is_genesis = name.starts_with("genesis") && said.contains("genesis file");
            said.contains(name) || said.contains("damaged") || is_genesis
        };
        match self {
            Self::Detected(said) if !names(&said) => {
                Self::Wrong(format!("{name} is not named: {}", shown(&said)))
            }
            other => other,
        }
    }
}

/// A node on a copy.
struct Node {
    process: Process,
    rpc: Rpc,
    log: PathBuf,
}

impl Node {
    /// Waits until it answers. It may also refuse to start.
    fn start(folder: &Path) -> Result<Self, Verdict> {
        let rpc = Rpc::at(free_port());
        let log = folder.join("node.output");
        let arguments = [
            ("--data-dir", folder.display().to_string()),
            ("--p2p-addr", "127.0.0.1".into()),
            ("--p2p-port", free_port().to_string()),
            ("--http-port", rpc.port.to_string()),
            ("--ws-port", "0".into()),
            ("--metrics-port", "0".into()),
            ("--cache-mib", "16".into()),
        ];
        let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_string(), value]);
        let command = lonja(["node".to_string(), "--exit-with-stdin".into()].into_iter().chain(arguments));
        let mut node = Self { process: Process::start(command, &log), rpc, log };
        let started = Instant::now();
        loop {
            if let Some(status) = node.process.ended() {
                let said = node.said();
                return Err(match status.code() {
                    Some(1) if !said.contains("panicked") => Verdict::Detected(said),
                    _ => Verdict::Wrong(format!("the node ended with {status}: {}", shown(&said))),
                });
            }
            if node.rpc.head().is_some() {
                return Ok(node);
            }
            if started.elapsed() > START_MOST {
                return Err(Verdict::Wrong(format!("the node hangs: {}", shown(&node.said()))));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// All that it said, once it is gone. One that noticed damage halts by itself.
    fn end(mut self) -> Result<String, String> {
        let halting = self.said().contains("ERROR");
        let started = Instant::now();
        while halting && self.process.ended().is_none() && started.elapsed() < END_MOST {
            if self.rpc.head().is_some() {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        let ended = self.process.ended();
        let said = self.said();
        if ended.is_none() {
            self.process.kill9();
        } else if ended.and_then(|status| status.code()) != Some(1) {
            return Err(format!("the node ended with {ended:?}: {}", shown(&said)));
        }
        match said.contains("panicked") {
            true => Err(format!("the node panicked: {}", shown(&said))),
            false => Ok(said),
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

fn shown(text: &str) -> String {
    // The end of a log tells more than its beginning.
    let skipped = text.chars().count().saturating_sub(SHOWN);
    text.chars().skip(skipped).collect()
}
