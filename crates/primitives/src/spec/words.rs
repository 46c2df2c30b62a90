//! The rules in words, for people: each with its name and its value.
//!
//! Structures are taken apart by name, so that a new rule cannot be left out by accident: two sets of rules are the
//! same where their words are.

use super::{
    ChainSpec, ClientRules, ConnectionForm, ConsensusParams, DigestRule, Fork, ForkStart, Limits,
    MARKER_PRECOMPILE, MarkerRule, NodeRule, Permissions, Privacy, ProposerPolicy, QuorumRule,
};
use alloy_primitives::Address;

/// One rule and its value.
pub(crate) type Line = (&'static str, String);

/// What a list of validators in force does where it begins.
pub(crate) const VALIDATORS: &str = "validators become";

impl ChainSpec {
    /// The blocks from which something may be different, ascending, the first 0. Forks that begin at a time are not
    /// among them.
    pub(super) fn change_blocks(&self) -> Vec<u64> {
        let forks = self.forks.iter().filter_map(|(_, start)| match start {
            ForkStart::Block(block) => Some(*block),
            ForkStart::Time(_) => None,
        });
        // What a header commits to follows from the rules of the next height.
        let consensus = self.consensus.iter().flat_map(|(from, _)| [from.saturating_sub(1), *from]);
        let limits = self.limits.iter().map(|(from, _)| *from);
        let permissions = self.permissions.iter().map(|(from, _)| *from);
        let privacy = self.privacy.iter().map(|(from, _)| *from);
        let later = forks.chain(consensus).chain(limits).chain(permissions).chain(privacy);
        let mut blocks: Vec<u64> = std::iter::once(0).chain(later).collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    }

    /// Whether headers from here on commit to the next validators. Block 0 counts as block 1 does: it commits to
    /// nothing in any case, and all it says is in its hash.
    pub(super) fn commits_from(&self, number: u64) -> bool {
        self.commits_to_validators(number.max(1))
    }

    /// The newest of the forks that begin with a block, at this one.
    pub(super) fn fork_by_block(&self, number: u64) -> Fork {
        let begun = |start: &ForkStart| matches!(start, ForkStart::Block(block) if *block <= number);
        let forks = self.forks.iter().filter(|(_, start)| begun(start)).map(|(fork, _)| *fork);
        forks.max().unwrap_or(Fork::Frontier)
    }

    /// The newest of the forks that begin at a time (seconds), at this one.
    pub(super) fn fork_by_time(&self, timestamp: u64) -> Option<Fork> {
        let begun = |start: &ForkStart| matches!(start, ForkStart::Time(time) if *time <= timestamp);
        self.forks.iter().filter(|(_, start)| begun(start)).map(|(fork, _)| *fork).max()
    }

    /// The consensus parameters of a height. A list of validators is an event of the height it stands for.
    pub(super) fn consensus_from(&self, number: u64) -> ConsensusParams {
        let begins = self.consensus.iter().any(|(from, _)| *from == number);
        let params = self.consensus_at(number).clone();
        if begins { params } else { ConsensusParams { validators: None, ..params } }
    }

    /// Every rule at this block but the forks that begin at a time.
    pub(super) fn words_from(&self, number: u64) -> Vec<Line> {
        let Self { chain_id, free_gas, forks: _, consensus: _, limits: _, permissions: _, privacy: _ } = self;
        let mut lines = vec![
            ("chain id", chain_id.to_string()),
            ("gas", gas(*free_gas).to_owned()),
            ("fork", self.fork_by_block(number).name().to_owned()),
        ];
        lines.extend(consensus(&self.consensus_from(number)));
        lines.push(("headers commit to", commitment(self.commits_from(number)).to_owned()));
        lines.extend(limits(self.limits_at(number)));
        lines.extend(permissions(self.permissions_at(number)));
        lines.extend(privacy(self.privacy_at(number)));
        lines
    }
}

pub(crate) fn gas(free: bool) -> &'static str {
    if free {
        "free: nothing is charged whatever price a transaction offers"
    } else {
        "paid at the price that a transaction offers"
    }
}

pub(crate) fn consensus(params: &ConsensusParams) -> Vec<Line> {
    let ConsensusParams {
        format,
        block_period_ms,
        empty_block_period_ms,
        request_timeout_ms,
        max_request_timeout_ms,
        epoch_length,
        proposer_policy,
        quorum,
        digest,
        rules,
        validators,
        validator_contract,
        block_reward,
        beneficiary,
    } = params;
    let mut lines = vec![
        ("format", format!("{format:?}")),
        ("block period", milliseconds(*block_period_ms)),
        ("empty block period", milliseconds(*empty_block_period_ms)),
        ("timeout of round 0", milliseconds(*request_timeout_ms)),
        ("longest timeout", milliseconds(*max_request_timeout_ms)),
        ("epoch length", format!("{epoch_length} blocks")),
        ("proposers", policy(*proposer_policy).to_owned()),
        ("quorum", quorum_size(*quorum).to_owned()),
        ("digest", digest_name(*digest).to_owned()),
        ("voting rules", client(*rules).to_owned()),
        ("validators by", validator_contract.map_or("votes".into(), |at| format!("the contract {at}"))),
        ("block reward", format!("{block_reward} wei")),
        ("rewards and fees to", beneficiary.map_or("the proposer".into(), |to| to.to_string())),
    ];
    lines.extend(validators.as_deref().map(|list| (VALIDATORS, addresses(list))));
    lines
}

fn commitment(commits: bool) -> &'static str {
    if commits { "the validators of the next block" } else { "no validators" }
}

fn policy(policy: ProposerPolicy) -> &'static str {
    match policy {
        ProposerPolicy::RoundRobin => "take turns",
        ProposerPolicy::Sticky => "stay while they succeed",
    }
}

fn quorum_size(quorum: QuorumRule) -> &'static str {
    match quorum {
        QuorumRule::CeilTwoThirds => "two thirds of the validators, rounded up",
        QuorumRule::TwoFPlusOne => "2F+1 (safe only for 3F+1 validators)",
    }
}

fn digest_name(digest: DigestRule) -> &'static str {
    match digest {
        DigestRule::Eea => "EEA: the header with the round of the proposal",
        DigestRule::GoQuorum => "GoQuorum: the block hash",
    }
}

fn client(rules: ClientRules) -> &'static str {
    match rules {
        ClientRules::GoQuorum => "GoQuorum's",
        ClientRules::Besu => "Besu's",
    }
}

fn addresses(list: &[Address]) -> String {
    let list: Vec<_> = list.iter().map(ToString::to_string).collect();
    list.join(", ")
}

pub(crate) fn limits(limits: &Limits) -> Vec<Line> {
    let Limits { code_size, init_code_size, transaction_size, block_size, gas_limit } = limits;
    let bytes = |size: &usize| if *size == usize::MAX { "no limit".into() } else { format!("{size} bytes") };
    vec![
        ("contract code", bytes(code_size)),
        ("init code", bytes(init_code_size)),
        ("transaction", bytes(transaction_size)),
        ("block", bytes(block_size)),
        ("gas limit", gas_limit.map_or("any".into(), |gas| gas.to_string())),
    ]
}

pub(crate) fn permissions(permissions: &Permissions) -> Vec<Line> {
    let Permissions { nodes, accounts, system, quotas } = permissions;
    let contract = |at: &Option<Address>, without: &str| at.map_or(without.into(), |at| at.to_string());
    vec![
        (
            "nodes that may connect",
            nodes.map_or("any".into(), |NodeRule { contract, form }| node_rule(contract, form)),
        ),
        ("transactions permitted by", contract(accounts, "nobody: all are")),
        ("called at the end of blocks", contract(system, "nothing")),
        ("gas metered by", contract(quotas, "nothing")),
    ]
}

pub(crate) fn privacy(privacy: &Privacy) -> Vec<Line> {
    let Privacy { transactions, enhancements, markers, parties } = privacy;
    let allowed = |allowed: bool| if allowed { "allowed" } else { "not allowed" };
    vec![
        ("private transactions", allowed(*transactions).to_owned()),
        ("protected private contracts", allowed(*enhancements).to_owned()),
        ("privacy markers", markers.map_or("not allowed".into(), marker_rule)),
        ("parties named by", parties.map_or("nobody".into(), |at| at.to_string())),
    ]
}

fn marker_rule(rule: MarkerRule) -> String {
    let signer = match rule {
        MarkerRule::SameSigner => "the signer of the private transaction inside",
        MarkerRule::AnySigner => "anybody",
    };
    format!("sent to {MARKER_PRECOMPILE} by {signer}")
}

fn node_rule(contract: Address, form: ConnectionForm) -> String {
    let form = match form {
        ConnectionForm::Strings => "asked with strings",
        ConnectionForm::Words => "asked with words",
    };
    format!("what {contract} allows, {form}")
}

fn milliseconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}
