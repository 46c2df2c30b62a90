//! What processes used in a window of time.

use super::process::{Machine, Usage, Watched};
use super::report::{Process, Processors};
use super::series::MemoryWatch;
use eyre::Result;
use std::time::Instant;

/// What was used until some moment.
pub struct Sample {
    /// The moment.
    pub at: Instant,
    usage: Vec<Usage>,
    own: Usage,
    machine: Machine,
}

/// What was used until the beginning and the end of a run, and of the window in it.
pub struct Samples {
    /// The run begins.
    pub start: Sample,
    /// The window begins.
    pub from: Sample,
    /// The window ends.
    pub to: Sample,
    /// The run ends.
    pub end: Sample,
}

impl Sample {
    /// Now.
    pub fn take(watched: &[Watched]) -> Result<Self> {
        Ok(Self {
            at: Instant::now(),
            usage: watched.iter().map(Watched::usage).collect::<Result<_>>()?,
            own: Watched::own().usage()?,
            machine: Machine::now()?,
        })
    }
}

impl Samples {
    /// Length of the window, seconds.
    pub fn seconds(&self) -> f64 {
        self.to.at.duration_since(self.from.at).as_secs_f64()
    }

    /// The watched processes over the window, which finalised so many transactions; `in_all` are those of the whole run.
    pub fn processes(
        &self,
        watched: &[Watched],
        memory: &MemoryWatch,
        finalised: usize,
        in_all: usize,
    ) -> Vec<Process> {
        let of = |(number, process): (usize, &Watched)| {
            let [start, from, to, end] =
                [&self.start, &self.from, &self.to, &self.end].map(|sample| &sample.usage[number]);
            let cpu_s = to.cpu_s - from.cpu_s;
            // The system remembers the highest of all time; where that was before the run, our own looks must do.
            let highest = end.peak_rss_bytes;
            let rose = highest > start.peak_rss_bytes;
            let peak = if rose { highest } else { memory.peak_bytes(number) };
            let disk = end.disk_bytes.zip(start.disk_bytes);
            Process {
                name: process.name.clone(),
                cpu_s,
                cpu_us_per_transaction: cpu_s * 1e6 / finalised.max(1) as f64,
                rss_mib: mib(to.rss_bytes),
                peak_rss_mib: mib(peak),
                disk_bytes_per_transaction: disk
                    .map(|(after, before)| (after as f64 - before as f64) / in_all.max(1) as f64),
                threads: to.threads_since(from),
            }
        };
        watched.iter().enumerate().map(of).collect()
    }

    /// Processor time of this tool over the window, seconds.
    pub fn tool_s(&self) -> f64 {
        self.to.own.cpu_s - self.from.own.cpu_s
    }

    /// Most memory that this tool ever had, MiB.
    pub fn tool_peak_mib(&self) -> f64 {
        mib(self.end.own.peak_rss_bytes)
    }

    /// Where the machine's processors were over the window.
    pub fn processors(&self, processes: &[Process]) -> Processors {
        let watched_s = processes.iter().map(|process| process.cpu_s).sum::<f64>();
        let (from, to) = (&self.from.machine, &self.to.machine);
        Processors {
            count: std::thread::available_parallelism().map_or(1, usize::from),
            watched_s,
            tool_s: self.tool_s(),
            others_s: to.busy_s - from.busy_s - watched_s - self.tool_s(),
            stolen_s: to.stolen_s - from.stolen_s,
        }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
