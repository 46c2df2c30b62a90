//! `lonja-benches standard`: the set of measurements whose results stand in `docs/performance.md`.
//!
//! Each case is a `load` in a process of its own on a fresh devnet, so that it can be repeated alone; how much the network is
//! offered follows from what it took in the saturated cases.

pub mod markdown;

use crate::load::report::Report;
use clap::Args;
use eyre::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Offered in the overloaded case, times what was taken in the saturated one.
const OVERLOAD: f64 = 5.0;

/// Options of `standard`.
#[derive(Args, Debug)]
pub struct StandardCommand {
    /// The lonja binary whose devnet is measured
    #[arg(long, value_name = "LONJA")]
    devnet: PathBuf,
    /// Length of each measured window
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Load before each measured window, seconds
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Length of the overload, seconds
    #[arg(long, default_value_t = 60)]
    overload_seconds: u64,
    /// Added to all ports of the devnets
    #[arg(long, default_value_t = 1000)]
    port_offset: u16,
    /// Only cases whose name contains this word; a case that needs the saturated one is left out without it
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Where reports (JSON), plots (SVG) and the table (Markdown) are written
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// How much is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Offer {
    /// As many as are taken.
    Saturated,
    /// Times what was taken in the saturated case of the same workload.
    Times(f64),
}

/// Sending accounts of the overloaded case: so many that none has to go on before its last offer is answered, with all
/// requests under way that there may be. Otherwise it would be gaps between nonces that are measured.
const OVERLOAD_ACCOUNTS: u32 = 25_600;

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    workload: &'static str,
    offer: Offer,
    block_period_ms: u64,
    /// With permissions decided by a registry.
    registry: bool,
}

/// A measurement that was made.
struct Done {
    case: Case,
    report: Report,
}

const CASES: [Case; 7] = [
    case("transfers-saturated", "transfers", Offer::Saturated, 1000),
    Case { registry: true, ..case("registry-saturated", "transfers", Offer::Saturated, 1000) },
    case("transfers-half", "transfers", Offer::Times(0.5), 1000),
    case("erc20-saturated", "erc20", Offer::Saturated, 1000),
    case("erc20-half", "erc20", Offer::Times(0.5), 1000),
    case("transfers-half-100ms", "transfers", Offer::Times(0.5), 100),
    case("transfers-overload", "transfers", Offer::Times(OVERLOAD), 1000),
];

const fn case(name: &'static str, workload: &'static str, offer: Offer, block_period_ms: u64) -> Case {
    Case { name, workload, offer, block_period_ms, registry: false }
}

impl Case {
    fn is_overload(&self) -> bool {
        matches!(self.offer, Offer::Times(times) if times > 1.0)
    }

    /// The rate to be offered, 0 for as many as are taken; nothing when the saturated case was not measured.
    fn rate(&self, done: &[Done]) -> Option<u32> {
        let Offer::Times(times) = self.offer else { return Some(0) };
        let saturated = |done: &&Done| {
            let same = done.case.workload == self.workload && done.case.registry == self.registry;
            same && done.case.offer == Offer::Saturated
        };
        let taken = done.iter().find(saturated)?.report.finalised_per_s;
        Some(((taken * times).round() as u32).max(1))
    }
}

impl StandardCommand {
    /// Measures all cases, one after the other.
    pub fn run(&self) -> Result<()> {
        fs::create_dir_all(&self.out).wrap_err_with(|| format!("cannot make {}", self.out.display()))?;
        let mut done: Vec<Done> = Vec::new();
        for case in CASES {
            if self.only.as_ref().is_some_and(|word| !case.name.contains(word.as_str())) {
                continue;
            }
            let Some(rate) = case.rate(&done) else {
                println!("{}: left out, its saturated case was not measured", case.name);
                continue;
            };
            println!("\n== {}", case.name);
            done.push(Done { case, report: self.measure(case, rate)? });
            // After each, so that an interrupted run leaves what it has.
            self.write_table(&done)?;
        }
        print!("\n{}", markdown::table(&done));
        println!("\nreports and plots are in {}", self.out.display());
        Ok(())
    }

    fn write_table(&self, done: &[Done]) -> Result<()> {
        let path = self.out.join("standard.md");
        fs::write(&path, markdown::table(done)).wrap_err_with(|| format!("cannot write {}", path.display()))
    }

    fn measure(&self, case: Case, rate: u32) -> Result<Report> {
        let json = self.out.join(format!("{}.json", case.name));
        let plot = self.out.join(format!("{}.svg", case.name));
        let mut load = Command::new(std::env::current_exe()?);
        load.args(self.arguments(case, rate)).arg("--json").arg(&json).arg("--plot").arg(&plot);
        let status = load.status()?;
        if !status.success() {
            bail!("{} could not be measured: {status}", case.name);
        }
        read(&json)
    }

    fn arguments(&self, case: Case, rate: u32) -> Vec<String> {
        let seconds = if case.is_overload() { self.overload_seconds } else { self.seconds };
        let mut arguments = vec!["load".into(), "--devnet".into(), self.devnet.display().to_string()];
        for (name, value) in [
            ("--workload", case.workload.to_owned()),
            ("--rate", rate.to_string()),
            ("--block-period-ms", case.block_period_ms.to_string()),
            ("--seconds", seconds.to_string()),
            ("--warm-up", self.warm_up.to_string()),
            ("--port-offset", self.port_offset.to_string()),
        ] {
            arguments.extend([name.to_owned(), value]);
        }
        arguments.extend(case.registry.then(|| "--registry".to_owned()));
        if case.is_overload() {
            arguments.extend(["--accounts".into(), OVERLOAD_ACCOUNTS.to_string()]);
        }
        arguments
    }
}

fn read(path: &Path) -> Result<Report> {
    let text = fs::read(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).wrap_err_with(|| format!("{} is no report", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_from_the_saturated_case_of_the_same_workload() {
        let saturated =
            |case, finalised_per_s| Done { case, report: Report { finalised_per_s, ..Report::default() } };
        let done = [saturated(CASES[0], 3_000.0), saturated(CASES[3], 1_001.0)];
        let rates: Vec<Option<u32>> = CASES.iter().map(|case| case.rate(&done)).collect();
        assert_eq!(rates, [Some(0), Some(0), Some(1_500), Some(0), Some(501), Some(1_500), Some(15_000)]);
        assert_eq!(CASES[2].rate(&done[1..]), None);
        assert_eq!(CASES.iter().filter(|case| case.is_overload()).count(), 1);
    }
}
