//! The registry in a genesis file: put in by a plan, and told in words.

use alloy_primitives::{Address, B256};
use eyre::{Context, Result, bail, eyre};
use lonja_permissioning::registry::abi::{self, PolicyValues, Registry};
use lonja_permissioning::registry::genesis::{artifacts, is_ours, permissions, seed, with_reader};
use lonja_permissioning::registry::plan::{Plan, Threshold};
use lonja_permissioning::registry::reader::Reader;
use lonja_primitives::Genesis;
use lonja_primitives::genesis::NewNetwork;
use std::fmt::Write;
use std::path::Path;

/// Milliseconds between blocks where a new network says nothing.
const BLOCK_PERIOD_MS: u64 = 1000;
/// Members, nodes and addresses of a kind that are listed one by one.
const LISTED_MAX: usize = 200;

/// Adds the contracts and the validators of a plan file to a network.
pub fn add(network: &mut NewNetwork, file: &Path) -> Result<()> {
    let text =
        std::fs::read_to_string(file).wrap_err_with(|| format!("cannot read the plan {}", file.display()))?;
    let plan = Plan::from_json(&text).map_err(|error| eyre!("{}: {error}", file.display()))?;
    let period = network.block_period_ms.unwrap_or(BLOCK_PERIOD_MS);
    plan.warnings(period).iter().for_each(|warning| eprintln!("warning: {}: {warning}", file.display()));
    add_plan(network, &plan).wrap_err_with(|| file.display().to_string())
}

/// The same with a plan that is at hand.
pub fn add_plan(network: &mut NewNetwork, plan: &Plan) -> Result<()> {
    let period = network.block_period_ms.unwrap_or(BLOCK_PERIOD_MS);
    let registry = seed(plan, network.chain_id, period).map_err(|error| eyre!("{error}"))?;
    if let Some(taken) = network.balances.keys().find(|address| registry.alloc.contains_key(*address)) {
        bail!("a contract of the registry stands at {taken}; it can have no balance");
    }
    network.validators = registry.validators;
    network.alloc.extend(registry.alloc);
    network.permissions = registry.permissions;
    network.validator_contract = Some(registry.validator_contract);
    if network.privacy.transactions {
        network.privacy.parties = Some(registry.parties);
    }
    Ok(())
}

/// The members, nodes and policy of a network in words; nothing where it has no registry of ours.
pub fn explain(genesis: &Genesis) -> String {
    if *genesis.spec.permissions_at(0) != permissions() {
        return String::new();
    }
    let mut out = String::new();
    let told = with_reader(genesis, |reader| tell(reader, &mut out));
    if let Err(reason) = told {
        let _ = writeln!(out, "\nRegistry\n  the contracts do not answer: {reason}");
    } else if !is_ours(genesis) {
        let _ = writeln!(out, "\n  note: not all contracts are those of this version of lonja:");
        for one in artifacts() {
            if genesis.alloc.get(&one.address).is_none_or(|account| account.code != one.runtime) {
                let _ = writeln!(out, "    {} at {}", one.contract, one.address);
            }
        }
    }
    out
}

fn tell(reader: &mut Reader<'_>, out: &mut String) -> Result<(), String> {
    let counts = [reader.member_count()?, reader.node_count()?, reader.account_count()?];
    let groups = reader.ask(abi::REGISTRY, &Registry::electorateCall {})?;
    let council = reader.ask(abi::REGISTRY, &Registry::councilCall {})?;
    let [members, nodes, accounts] = counts;
    line(out, "\nRegistry");
    line(
        out,
        &format!("  {members} members, {nodes} nodes, {accounts} accounts, {groups} groups with a vote each"),
    );
    line(out, "\nMembers");
    for index in 0..members.min(LISTED_MAX) {
        tell_member(reader, index, out)?;
    }
    rest(out, members);
    line(out, "\nNodes");
    for index in 0..nodes.min(LISTED_MAX) {
        tell_node(reader, index, out)?;
    }
    rest(out, nodes);
    line(out, "\nAccounts");
    for index in 0..accounts.min(LISTED_MAX) {
        let (address, account) = reader.account_at(index)?;
        let owner = member_name(reader, account.memberId)?;
        line(
            out,
            &format!(
                "  {address}  {}; of {owner}{}",
                abi::access_names(account.access),
                until(account.expires)
            ),
        );
    }
    rest(out, accounts);
    if !council.is_empty() {
        line(out, &format!("\nCouncil\n  {}", addresses(&council)));
    }
    line(out, "\nValidators of block 1");
    for (address, key) in reader.validators()? {
        let node = reader.node(key)?;
        line(out, &format!("  {address}  of {}", member_name(reader, node.memberId)?));
    }
    tell_policy(&reader.policy()?, out);
    Ok(())
}

fn tell_member(reader: &mut Reader<'_>, index: usize, out: &mut String) -> Result<(), String> {
    let (id, member) = reader.member_at(index)?;
    let kind = abi::MemberKind::from_number(member.kind).map_or("unknown kind", |kind| kind.name());
    let vote = if member.voting { "has a vote" } else { "has no vote" };
    let group = if member.controlGroup == id {
        "a group of its own".into()
    } else {
        format!("group {}", member.controlGroup)
    };
    line(
        out,
        &format!(
            "  {}  {kind}, {}",
            abi::identity_words(member.idScheme, &member.idValue),
            abi::member_status(member.status)
        ),
    );
    line(out, &format!("    id {id}"));
    line(
        out,
        &format!(
            "    sector {}, region {}, {group}, {vote}, quota class {}",
            member.sector, member.region, member.quotaClass
        ),
    );
    line(out, &format!("    {} of these admins: {}", member.adminThreshold, addresses(&member.admins)));
    Ok(())
}

fn tell_node(reader: &mut Reader<'_>, index: usize, out: &mut String) -> Result<(), String> {
    let (_, node) = reader.node_at(index)?;
    let key = [node.publicKeyHigh, node.publicKeyLow].concat();
    let at = match String::from_utf8_lossy(&node.endpoints) {
        at if at.is_empty() => "no endpoint given".into(),
        at => at,
    };
    line(out, &format!("  {}", alloy_primitives::hex::encode(key)));
    line(
        out,
        &format!(
            "    {}, {}; of {}; signs as {}; at {at}{}",
            abi::role_names(node.roles),
            abi::node_status(node.status),
            member_name(reader, node.memberId)?,
            node.validatorAddress,
            until(node.expires)
        ),
    );
    Ok(())
}

fn tell_policy(policy: &PolicyValues, out: &mut String) {
    let mut lines = about_validators(policy);
    lines.extend(about_votes(policy));
    line(out, "\nPolicy (lengths in blocks)");
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().for_each(|(name, words)| line(out, &format!("  {name:width$}  {words}")));
}

fn about_validators(policy: &PolicyValues) -> Vec<(String, String)> {
    let PolicyValues { selection: chosen, sla, .. } = policy;
    let seats = format!(
        "{} seats, at least {}; chosen every {} blocks among those registered {} before; {} may rotate after {}",
        chosen.n, chosen.nMin, chosen.epochLength, chosen.freezeLength, chosen.rotation, chosen.term
    );
    let caps = format!(
        "{} of one group, {} of one sector, {} of one region, {} of one host",
        chosen.capGroup, chosen.capSector, chosen.capRegion, chosen.capHost
    );
    let (warn, suspend) = (percent(sla.warnBps), percent(sla.suspendBps));
    let service = format!(
        "warned at {warn} of the turns missed within {}, suspended at {suspend} (from {} turns on) or after {} in a row",
        sla.window, sla.minOwnSlots, sla.consecutiveMisses
    );
    let suspension = format!(
        "{}, doubled with each strike until strikes decay after {}; back after {} heartbeats, {} apart",
        sla.jailLength, sla.strikeDecay, sla.heartbeats, sla.heartbeatInterval
    );
    named([("validators", seats), ("most of a kind", caps), ("service", service), ("suspension", suspension)])
}

fn about_votes(policy: &PolicyValues) -> Vec<(String, String)> {
    let PolicyValues { votes, limits, quota, .. } = policy;
    let open = format!(
        "open for {}, then {} to execute; admins of a member have {} to agree; {} open proposals for each member",
        votes.votingLength, votes.executionLength, votes.confirmationLength, votes.openProposals
    );
    let admission =
        format!("with {} participation more than half of the votes cast", percent(votes.participationBps));
    let limits = format!(
        "{} nodes and {} accounts for each member; emergency suspensions {}, freezes {}; at least {} groups with a vote",
        limits.nodesPerMember,
        limits.accountsPerMember,
        limits.emergencyLength,
        limits.freezeLength,
        votes.minElectorate
    );
    let rates = quota.rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let gas = match quota.enabled {
        false => "no limit for members".into(),
        true => format!("{rates} for each member and block by class, saved for {} blocks", quota.capBlocks),
    };
    let mut lines = named([("votes", open)]);
    lines.extend(thresholds(policy).into_iter().map(|(need, names)| (need, names.join(", "))));
    lines.extend(named([("or admit-member", admission), ("limits", limits), ("gas", gas)]));
    lines
}

fn named<const N: usize>(lines: [(&str, String); N]) -> Vec<(String, String)> {
    lines.into_iter().map(|(name, words)| (name.to_owned(), words)).collect()
}

/// The kinds of proposals by what they need, the least first.
fn thresholds(policy: &PolicyValues) -> Vec<(String, Vec<String>)> {
    let mut needs: Vec<((u16, bool), Vec<String>)> = Vec::new();
    for threshold in Threshold::all() {
        let strict = policy.votes.strictKinds & (1 << threshold.place()) != 0;
        let need = (policy.votes.thresholds[threshold.place()], strict);
        match needs.iter_mut().find(|(other, _)| *other == need) {
            Some((_, names)) => names.push(threshold.into()),
            None => needs.push((need, vec![threshold.into()])),
        }
    }
    needs.sort_by_key(|(need, _)| *need);
    let words = |(share, strict): (u16, bool)| {
        format!("{} {}", if strict { "more than" } else { "at least" }, percent(share))
    };
    needs.into_iter().map(|(need, names)| (words(need), names)).collect()
}

fn member_name(reader: &mut Reader<'_>, id: B256) -> Result<String, String> {
    let member = reader.member(id)?;
    Ok(abi::identity_words(member.idScheme, &member.idValue))
}

fn addresses(list: &[Address]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn until(expires: u64) -> String {
    if expires == 0 { String::new() } else { format!("; until block {expires}") }
}

fn percent(basis_points: u16) -> String {
    format!("{}.{:02} %", basis_points / 100, basis_points % 100)
}

fn rest(out: &mut String, count: usize) {
    match count.saturating_sub(LISTED_MAX) {
        0 if count == 0 => line(out, "  none"),
        0 => {}
        more => line(out, &format!("  and {more} more")),
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
