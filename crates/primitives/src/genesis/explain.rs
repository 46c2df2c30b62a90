//! The rules of a genesis file in words.

use super::Genesis;
use crate::ExtraData;
use crate::spec::words::{self, Line};
use crate::spec::{Fork, ForkStart};
use std::fmt::Write;

pub(super) fn explain(genesis: &Genesis) -> String {
    let mut out = String::new();
    let header = &genesis.header;
    let spec = &genesis.spec;
    section(
        &mut out,
        "Network",
        &[
            ("genesis hash", genesis.hash().to_string()),
            ("rules", spec.rule_ids(genesis.hash()).last().to_string()),
            ("chain id", spec.chain_id.to_string()),
            ("state root", header.state_root.to_string()),
            ("accounts", genesis.alloc.len().to_string()),
            ("time of block 0", format!("{} (seconds since 1970)", header.timestamp)),
            ("gas limit of block 0", header.gas_limit.to_string()),
            ("gas", words::gas(spec.free_gas).to_owned()),
        ],
    );
    section(&mut out, "Forks of the EVM", &forks(&spec.forks));
    let listed = ExtraData::decode(&header.extra_data, spec.format_at(0)).map(|extra| extra.validators);
    let mut validators = listed.unwrap_or_default();
    validators.sort_unstable();
    let chosen = ("", "what the contract answers on the state of block 0".to_owned());
    let open = genesis.needs_first_validators().then_some(chosen);
    let listed = spec.consensus_at(0).validators.as_ref().unwrap_or(&validators);
    let validators: Vec<Line> = listed.iter().map(|address| ("", address.to_string())).chain(open).collect();
    section(&mut out, "First validators", &validators);
    let mut before: Vec<Line> = Vec::new();
    for (from, params) in &spec.consensus {
        let lines = words::consensus(params);
        changed(&mut out, &format!("Consensus from block {from}"), &before, &lines);
        before = lines;
    }
    before.clear();
    for (from, limits_here) in &spec.limits {
        let lines = words::limits(limits_here);
        changed(&mut out, &format!("Limits from block {from}"), &before, &lines);
        before = lines;
    }
    before.clear();
    for (from, permissions) in &spec.permissions {
        let lines = words::permissions(permissions);
        changed(&mut out, &format!("Permissions from block {from}"), &before, &lines);
        before = lines;
    }
    before.clear();
    for (from, privacy) in &spec.privacy {
        let lines = words::privacy(privacy);
        changed(&mut out, &format!("Private transactions from block {from}"), &before, &lines);
        before = lines;
    }
    let warnings: Vec<Line> = genesis.warnings.iter().map(|warning| ("", warning.clone())).collect();
    section(&mut out, "Warnings", &warnings);
    out
}

/// Forks by their beginning, so that those that begin together stand in one line.
fn forks(forks: &[(Fork, ForkStart)]) -> Vec<Line> {
    let mut lines: Vec<(ForkStart, Vec<&str>)> = Vec::new();
    for (fork, start) in forks {
        match lines.last_mut() {
            Some((last, names)) if last == start => names.push(fork.name()),
            _ => lines.push((*start, vec![fork.name()])),
        }
    }
    let text = |(start, names): &(ForkStart, Vec<&str>)| match start {
        ForkStart::Block(block) => format!("from block {block}: {}", names.join(", ")),
        ForkStart::Time(time) => format!("from time {time}: {}", names.join(", ")),
    };
    lines.iter().map(|line| ("", text(line))).collect()
}

/// The lines that were not there before.
fn changed(out: &mut String, title: &str, before: &[Line], now: &[Line]) {
    let new: Vec<Line> = now.iter().filter(|line| !before.contains(line)).cloned().collect();
    section(out, title, &new);
}

fn section(out: &mut String, title: &str, lines: &[Line]) {
    if lines.is_empty() {
        return;
    }
    let gap = if out.is_empty() { "" } else { "\n" };
    let _ = writeln!(out, "{gap}{title}");
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in lines {
        let _ = match name.is_empty() {
            true => writeln!(out, "  {value}"),
            false => writeln!(out, "  {name:width$}  {value}"),
        };
    }
}
