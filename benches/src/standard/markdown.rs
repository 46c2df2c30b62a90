//! The table for `docs/performance.md`: a row for each quantity, a column for each case.

use super::{Done, Offer};
use crate::load::report::{Process, Report};
use std::fmt::Write;

/// A quantity: its name, and how it reads in a report.
type Row = (&'static str, fn(&Done) -> String);

const ROWS: [Row; 16] = [
    ("block period", |done| format!("{} ms", done.case.block_period_ms)),
    ("offered", |done| format!("{}/s", count(done.report.offered_per_s))),
    ("**finalised**", |done| format!("**{}/s**", count(done.report.finalised_per_s))),
    ("submit to receipt p50", |done| format!("{} ms", count(done.report.latency_ms.p50))),
    ("submit to receipt p90", |done| format!("{} ms", count(done.report.latency_ms.p90))),
    ("submit to receipt p99", |done| format!("{} ms", count(done.report.latency_ms.p99))),
    ("refused", |done| format!("{}/s", count(done.report.refused_per_s))),
    ("not offered in time by the meter", |done| {
        count((done.report.tool.held_back + done.report.tool.unsigned) as f64)
    }),
    ("accepted and lost", |done| count(done.report.whole_run.lost as f64)),
    ("block interval p50 / p99", |done| {
        let interval = done.report.blocks.interval_ms;
        format!("{} / {} ms", count(interval.p50), count(interval.p99))
    }),
    ("transactions in a block p50", |done| count(done.report.blocks.transactions.p50)),
    ("CPU per transaction, validator / regular", |done| {
        both(&done.report, mean, |process| process.cpu_us_per_transaction, "µs")
    }),
    ("most memory, validator / regular", |done| {
        both(&done.report, most, |process| process.peak_rss_mib, "MiB")
    }),
    ("disk per transaction, validator / regular", |done| {
        both(&done.report, mean, |process| process.disk_bytes_per_transaction.unwrap_or(0.0), "B")
    }),
    ("processors: network / load meter", |done| {
        let (seconds, machine) = (done.report.seconds.max(1.0), done.report.machine);
        format!("{:.2} / {:.2}", machine.watched_s / seconds, done.report.tool.processors)
    }),
    ("other work on the machine, processors", |done| {
        format!("{:.2}", done.report.machine.others_s / done.report.seconds.max(1.0))
    }),
];

/// All cases side by side, and the commands that repeat them.
pub(super) fn table(done: &[Done]) -> String {
    let mut text = String::from("|");
    done.iter().for_each(|done| write!(text, " | {}", title(done)).expect("memory"));
    text += " |\n|---|";
    text += &"---|".repeat(done.len());
    for (name, value) in ROWS {
        let values: Vec<String> = done.iter().map(value).collect();
        let _ = write!(text, "\n| {name} | {} |", values.join(" | "));
    }
    text += "\n\n";
    if let Some(first) = done.first() {
        let processors = first.report.machine.count;
        let _ = writeln!(text, "{}, {processors} processors{}.\n", first.report.client, model());
    }
    text += "```sh\n";
    for done in done {
        let _ = writeln!(text, "lonja-benches {}", command(&done.report));
    }
    text + "```\n"
}

fn title(done: &Done) -> String {
    let case = done.case;
    let workload = if case.workload == "erc20" { "ERC-20" } else { case.workload };
    let period = if case.block_period_ms < 1000 { ", short period" } else { "" };
    let period = if case.registry { ", with a registry" } else { period };
    match case.offer {
        Offer::Saturated => format!("{workload}, saturated{period}"),
        Offer::Times(times) if times < 1.0 => format!("{workload}, {:.0} % of that{period}", times * 100.0),
        Offer::Times(times) => format!("{workload}, {times:.0} times that{period}"),
    }
}

/// How the tool was called, without the files that only this run wrote.
fn command(report: &Report) -> String {
    let mut words = Vec::new();
    let mut rest = report.command.iter();
    while let Some(word) = rest.next() {
        if ["--json", "--plot"].contains(&word.as_str()) {
            rest.next();
        } else {
            words.push(word.as_str());
        }
    }
    words.join(" ")
}

/// The processor's name, in brackets, where it is known.
pub fn model() -> String {
    let file = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = file.lines().find(|line| line.starts_with("model name"));
    let model = line.and_then(|line| line.split_once(':')).map(|(_, model)| model.trim());
    model.map_or(String::new(), |model| format!(" ({model})"))
}

/// A quantity of the validators together, and of the others.
fn both(report: &Report, join: fn(&[f64]) -> f64, value: fn(&Process) -> f64, unit: &str) -> String {
    let of = |is_validator: bool| {
        let wanted = |process: &&Process| process.name.starts_with("validator") == is_validator;
        let values: Vec<f64> = report.processes.iter().filter(wanted).map(value).collect();
        if values.is_empty() { "–".into() } else { count(join(&values)) }
    };
    format!("{} / {} {unit}", of(true), of(false))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Without decimals, with commas.
pub fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::CASES;
    use super::*;

    fn process(name: &str, peak_rss_mib: f64, disk: f64) -> Process {
        Process {
            name: name.into(),
            cpu_s: 1.0,
            cpu_us_per_transaction: 50.0,
            rss_mib: 1.0,
            peak_rss_mib,
            disk_bytes_per_transaction: Some(disk),
            threads: Vec::new(),
        }
    }

    #[test]
    fn every_row_has_a_cell_for_every_case() {
        let command = ["load", "--json", "file", "--rate", "7"].map(String::from).into();
        let processes = vec![
            process("validator-1", 100.0, 200.0),
            process("validator-2", 120.0, 300.0),
            process("regular-1", 90.0, 100.0),
        ];
        let report = Report { command, processes, finalised_per_s: 1_234.4, ..Report::default() };
        let done = [Done { case: CASES[0], report }, Done { case: CASES[6], report: Report::default() }];
        let table = table(&done);
        let rows: Vec<&str> = table.lines().take(2 + ROWS.len()).collect();
        assert!(rows.iter().all(|row| row.matches('|').count() == 4), "{table}");
        assert!(table.contains("| **finalised** | **1,234/s** | **0/s** |"));
        assert!(table.contains("| 120 / 90 MiB | – / – MiB |") && table.contains("| 250 / 100 B |"));
        assert!(
            table.contains("transfers, 5 times that") && table.contains("\nlonja-benches load --rate 7\n")
        );
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
