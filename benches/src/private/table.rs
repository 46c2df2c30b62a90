//! The cases side by side, for `docs/performance.md`.

use super::Way;
use super::book::Stand;
use crate::load::report::{Process, Report};
use crate::standard::markdown::{count, model};
use serde::Serialize;
use std::fmt::Write;

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Case {
    /// How transactions were sent.
    pub way: Way,
    /// Transactions per second: final in the chain, executed by the member that sends, and by the one that receives.
    pub per_s: [f64; 3],
    /// Of those accepted in the whole run, executed with success: by the sender, and by the receiver.
    pub executed_well: [u64; 2],
    /// The rest; "finalised" are those that both parties have executed.
    pub report: Report,
}

/// A quantity: its name, and how it reads in a case beside the public one.
type Row = (&'static str, fn(&Case, f64) -> String);

const ROWS: [Row; 14] = [
    ("final in the chain", |case, _| format!("{}/s", count(case.at(Stand::Chain)))),
    ("executed by the sender", |case, _| case.private(|case| format!("{}/s", count(case.at(Stand::Sender))))),
    ("executed by the receiver", |case, _| {
        case.private(|case| format!("{}/s", count(case.at(Stand::Receiver))))
    }),
    ("**of the public rate**", |case, public| format!("**{:.0} %**", share(case, public) * 100.0)),
    ("from sending to the end p50 / p99", |case, _| {
        let latency = case.report.latency_ms;
        format!("{} / {} ms", count(latency.p50), count(latency.p99))
    }),
    ("refused", |case, _| format!("{}/s", count(case.report.refused_per_s))),
    ("accepted and lost", |case, _| count(case.report.whole_run.lost as f64)),
    ("accepted; executed well by sender / receiver", |case, _| {
        case.private(|case| {
            let [sender, receiver] = case.executed_well.map(|number| count(number as f64));
            format!("{}; {sender} / {receiver}", count(case.report.whole_run.accepted as f64))
        })
    }),
    ("block interval p50 / p99", |case, _| {
        let interval = case.report.blocks.interval_ms;
        format!("{} / {} ms", count(interval.p50), count(interval.p99))
    }),
    ("transactions in a block p50", |case, _| count(case.report.blocks.transactions.p50)),
    ("CPU per transaction, validator / sender / receiver", |case, _| {
        format!("{} µs", case.of_nodes(|process| process.cpu_us_per_transaction))
    }),
    ("most memory, validator / sender / receiver", |case, _| {
        format!("{} MiB", case.of_nodes(|process| process.peak_rss_mib))
    }),
    ("processors: network / load meter", |case, _| {
        let (seconds, machine) = (case.report.seconds.max(1.0), case.report.machine);
        format!("{:.2} / {:.2}", machine.watched_s / seconds, case.report.tool.processors)
    }),
    ("other work on the machine, processors", |case, _| {
        format!("{:.2}", case.report.machine.others_s / case.report.seconds.max(1.0))
    }),
];

impl Case {
    fn at(&self, stand: Stand) -> f64 {
        self.per_s[stand as usize]
    }

    /// What is only to be said of private transactions.
    fn private(&self, text: fn(&Self) -> String) -> String {
        if self.way == Way::Public { "–".into() } else { text(self) }
    }

    /// A quantity of a validator on the average, of the member that sends, and of the one that receives.
    fn of_nodes(&self, value: fn(&Process) -> f64) -> String {
        let mean = |name: &str| {
            let named = self.report.processes.iter().filter(|process| process.name.starts_with(name));
            let values: Vec<f64> = named.map(value).collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        let [sender, receiver] = match self.way {
            Way::Marked => ["member-2", "member-1"],
            _ => ["member-1", "member-2"],
        };
        let [validator, sender, receiver] = ["validator", sender, receiver].map(|name| count(mean(name)));
        format!("{validator} / {sender} / {receiver}")
    }
}

/// What both parties execute, of the public rate.
pub fn share(case: &Case, public: f64) -> f64 {
    if public > 0.0 { case.report.finalised_per_s / public } else { 0.0 }
}

/// All cases; the public one is the measure of the others.
pub fn table(cases: &[Case]) -> String {
    let public = cases.iter().find(|case| case.way == Way::Public);
    let public = public.map_or(0.0, |case| case.report.finalised_per_s);
    let titles: Vec<&str> = cases.iter().map(|case| case.way.name()).collect();
    let mut text = format!("| | {} |\n|---|{}", titles.join(" | "), "---|".repeat(cases.len()));
    for (name, value) in ROWS {
        let values: Vec<String> = cases.iter().map(|case| value(case, public)).collect();
        let _ = write!(text, "\n| {name} | {} |", values.join(" | "));
    }
    let Some(first) = cases.first().map(|case| &case.report) else { return text };
    let _ = write!(
        text,
        "\n\n{} processors{}: `lonja-benches {}`\n",
        first.machine.count,
        model(),
        first.command.join(" ")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(way: Way, rate: f64) -> Case {
        let report = Report { finalised_per_s: rate, ..Report::default() };
        Case { way, per_s: [rate; 3], executed_well: [1_234, 5], report }
    }

    #[test]
    fn the_share_is_of_the_public_rate() {
        let text = table(&[case(Way::Public, 4_000.0), case(Way::Signed, 1_300.0)]);
        assert!(text.contains("| **of the public rate** | **100 %** | **32 %** |"), "{text}");
        assert!(text.contains("| – | 0; 1,234 / 5 |"), "{text}");
        let cells = text.lines().filter(|line| line.starts_with('|')).map(|line| line.matches('|').count());
        assert!(cells.min() == Some(4) && text.lines().filter(|line| line.starts_with('|')).count() == 16);
        assert!(table(&[case(Way::Held, 7.0)]).contains("**0 %**"), "nothing to compare with");
    }
}
