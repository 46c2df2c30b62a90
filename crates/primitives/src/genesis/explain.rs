//! The rules of a genesis file in words.

use super::Genesis;
use crate::ExtraData;
use crate::spec::{
    ClientRules, ConsensusParams, DigestRule, Fork, ForkStart, Limits, ProposerPolicy, QuorumRule,
};
use std::fmt::Write;

/// One rule and its value.
type Line = (&'static str, String);

pub(super) fn explain(genesis: &Genesis) -> String {
    let mut out = String::new();
    let header = &genesis.header;
    let spec = &genesis.spec;
    section(
        &mut out,
        "Network",
        &[
            ("genesis hash", genesis.hash().to_string()),
            ("rules", genesis.fork_id().to_string()),
            ("chain id", spec.chain_id.to_string()),
            ("state root", header.state_root.to_string()),
            ("accounts", genesis.alloc.len().to_string()),
            ("time of block 0", format!("{} (seconds since 1970)", header.timestamp)),
            ("gas limit of block 0", header.gas_limit.to_string()),
            ("gas", gas(spec.free_gas).to_owned()),
        ],
    );
    section(&mut out, "Forks of the EVM", &forks(&spec.forks));
    let listed = ExtraData::decode(&header.extra_data, spec.format_at(0)).map(|extra| extra.validators);
    let mut validators = listed.unwrap_or_default();
    validators.sort_unstable();
    let validators: Vec<Line> = validators.iter().map(|address| ("", address.to_string())).collect();
    section(&mut out, "First validators", &validators);
    let mut before: Vec<Line> = Vec::new();
    for (from, params) in &spec.consensus {
        let lines = consensus(params);
        changed(&mut out, &format!("Consensus from block {from}"), &before, &lines);
        before = lines;
    }
    before.clear();
    for (from, limits_here) in &spec.limits {
        let lines = limits(limits_here);
        changed(&mut out, &format!("Limits from block {from}"), &before, &lines);
        before = lines;
    }
    let warnings: Vec<Line> = genesis.warnings.iter().map(|warning| ("", warning.clone())).collect();
    section(&mut out, "Warnings", &warnings);
    out
}

fn gas(free: bool) -> &'static str {
    if free {
        "free: nothing is charged whatever price a transaction offers"
    } else {
        "paid at the price that a transaction offers"
    }
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

fn consensus(params: &ConsensusParams) -> Vec<Line> {
    let mut lines = vec![
        ("format", format!("{:?}", params.format)),
        ("block period", milliseconds(params.block_period_ms)),
        ("empty block period", milliseconds(params.empty_block_period_ms)),
        ("timeout of round 0", milliseconds(params.request_timeout_ms)),
        ("longest timeout", milliseconds(params.max_request_timeout_ms)),
        ("epoch length", format!("{} blocks", params.epoch_length)),
        (
            "proposers",
            match params.proposer_policy {
                ProposerPolicy::RoundRobin => "take turns",
                ProposerPolicy::Sticky => "stay while they succeed",
            }
            .into(),
        ),
        (
            "quorum",
            match params.quorum {
                QuorumRule::CeilTwoThirds => "two thirds of the validators, rounded up",
                QuorumRule::TwoFPlusOne => "2F+1 (safe only for 3F+1 validators)",
            }
            .into(),
        ),
        (
            "digest",
            match params.digest {
                DigestRule::Eea => "EEA: the header with the round of the proposal",
                DigestRule::GoQuorum => "GoQuorum: the block hash",
            }
            .into(),
        ),
        (
            "voting rules",
            match params.rules {
                ClientRules::GoQuorum => "GoQuorum's",
                ClientRules::Besu => "Besu's",
            }
            .into(),
        ),
        ("block reward", format!("{} wei", params.block_reward)),
        ("rewards and fees to", params.beneficiary.map_or("the proposer".into(), |to| to.to_string())),
    ];
    if let Some(validators) = &params.validators {
        let list: Vec<_> = validators.iter().map(|address| address.to_string()).collect();
        lines.push(("validators become", list.join(", ")));
    }
    lines
}

fn limits(limits: &Limits) -> Vec<Line> {
    let bytes = |size: usize| if size == usize::MAX { "no limit".into() } else { format!("{size} bytes") };
    vec![
        ("contract code", bytes(limits.code_size)),
        ("init code", bytes(limits.init_code_size)),
        ("transaction", bytes(limits.transaction_size)),
        ("block", bytes(limits.block_size)),
        ("gas limit", limits.gas_limit.map_or("any".into(), |gas| gas.to_string())),
    ]
}

fn milliseconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
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
