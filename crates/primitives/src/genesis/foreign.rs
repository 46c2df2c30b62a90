//! What the shapes of GoQuorum and Besu have in common.

use super::GenesisError;
use super::fields::Fields;
use super::header::HeaderFields;
use super::own::{DEFAULT_CODE_SIZE_BYTES, DEFAULT_MAX_REQUEST_TIMEOUT_MS};
use crate::spec::{ClientRules, ConsensusParams, DigestRule, Fork, ForkStart, ProposerPolicy, QuorumRule};
use crate::{ChainSpec, HeaderFormat};
use alloy_primitives::{Address, U256};
use std::collections::BTreeSet;

/// Votes are dropped at every multiple of this height where the file does not say.
pub(super) const DEFAULT_EPOCH_LENGTH: u64 = 30_000;
/// A cap where the foreign client has none: a network that was down for hours must not wait for days.
pub(super) const UNCAPPED_REQUEST_TIMEOUT_MS: u64 = 10 * DEFAULT_MAX_REQUEST_TIMEOUT_MS;
/// EIP-170; a smaller limit in a file is not obeyed by the clients.
pub(super) const MIN_CODE_SIZE_BYTES: usize = DEFAULT_CODE_SIZE_BYTES;

/// Fields of both shapes that name a first block, in the order in which the blocks must stand: the fork that
/// the field belongs to, and whether it begins with this block. The others change nothing here: delays of the
/// difficulty bomb, the DAO's accounts, replay protection.
pub(super) const FORK_BLOCKS: [(&str, Fork, bool); 14] = [
    ("homesteadBlock", Fork::Homestead, true),
    ("daoForkBlock", Fork::Homestead, false),
    ("eip150Block", Fork::TangerineWhistle, true),
    (REPLAY_PROTECTION_BLOCK, Fork::TangerineWhistle, false),
    ("eip158Block", Fork::SpuriousDragon, true),
    ("byzantiumBlock", Fork::Byzantium, true),
    ("constantinopleBlock", Fork::Constantinople, true),
    ("petersburgBlock", Fork::Petersburg, true),
    ("istanbulBlock", Fork::Istanbul, true),
    ("muirGlacierBlock", Fork::Istanbul, false),
    ("berlinBlock", Fork::Berlin, true),
    ("londonBlock", Fork::London, true),
    ("arrowGlacierBlock", Fork::London, false),
    ("grayGlacierBlock", Fork::London, false),
];
/// From here on GoQuorum takes transactions that are signed for a chain id. Besu does not read it.
const REPLAY_PROTECTION_BLOCK: &str = "eip155Block";

/// Fields of `config` that change nothing on an Istanbul chain, in either shape: the hash of a mainnet block,
/// the DAO's accounts, delays of the difficulty bomb after London.
pub(super) const SILENT: [&str; 5] =
    ["eip150Hash", "daoForkSupport", "arrowGlacierBlock", "grayGlacierBlock", "comment"];

/// Why fields of the messaging layer may be ignored.
pub(super) const NODE_LOCAL: &str = "it is a setting of the node there, not a rule of the chain";

/// Reads the fields of block 0 that both shapes have at top level.
pub(super) fn read_header(root: &mut Fields<'_>) -> Result<HeaderFields, GenesisError> {
    let missing = |root: &Fields<'_>, name: &str| root.error(name, "the field must be given");
    let header = HeaderFields {
        parent_hash: root.hash("parentHash")?.unwrap_or_default(),
        coinbase: root.address("coinbase")?.unwrap_or_default(),
        difficulty: root.quantity("difficulty")?.ok_or_else(|| missing(root, "difficulty"))?,
        gas_limit: root.u64("gasLimit")?.ok_or_else(|| missing(root, "gasLimit"))?,
        gas_used: root.u64("gasUsed")?.unwrap_or(0),
        timestamp: root.u64("timestamp")?.unwrap_or(0),
        extra_data: root.bytes("extraData")?.ok_or_else(|| missing(root, "extraData"))?,
        mix_hash: root.hash("mixHash")?.unwrap_or_default(),
        nonce: root.u64("nonce")?.unwrap_or(0),
        base_fee: None,
    };
    match root.u64("number")? {
        None | Some(0) => Ok(header),
        Some(_) => Err(root.error("number", "block 0 has the number 0")),
    }
}

/// Reads `chainId`.
pub(super) fn read_chain_id(config: &mut Fields<'_>) -> Result<u64, GenesisError> {
    let id = config.u64("chainId")?.filter(|id| *id != 0);
    id.ok_or_else(|| config.error("chainId", "a chain id other than 0 is needed"))
}

/// Reads the fields of [`FORK_BLOCKS`] that belong to forks up to `newest`. Frontier holds from block 0.
pub(super) fn read_forks(
    config: &mut Fields<'_>,
    newest: Fork,
    warnings: &mut Vec<String>,
) -> Result<Vec<(Fork, ForkStart)>, GenesisError> {
    let mut forks = vec![(Fork::Frontier, ForkStart::Block(0))];
    let mut last = ("", 0);
    for (name, fork, begins) in FORK_BLOCKS.into_iter().filter(|(_, fork, _)| *fork <= newest) {
        // Besu reads an older name of Petersburg too.
        let name = if fork == Fork::Petersburg && newest > Fork::Berlin && !config.has(name) {
            config.take(name);
            "constantinopleFixBlock"
        } else {
            name
        };
        let given = config.u64(name)?;
        if let Some(block) = given {
            if block < last.1 {
                let (earlier, first) = last;
                let reason = format!("{earlier}, which comes before, begins later: with block {first}");
                return Err(config.error(name, reason));
            }
            last = (name, block);
        }
        if name == REPLAY_PROTECTION_BLOCK && given.is_some_and(|block| block > 0) {
            let why = "transactions signed for the chain id are taken from block 0 on; blocks that exist have none before";
            warnings.push(format!("{} is ignored: {why}", config.path_of(name)));
        }
        // Without Petersburg's own block the fork comes with Constantinople, whose EIP-1283 nobody keeps.
        let with_other = || (fork == Fork::Petersburg).then(|| start_of(&forks, Fork::Constantinople));
        if let Some(block) = given.or(with_other().flatten())
            && begins
        {
            forks.push((fork, ForkStart::Block(block)));
        }
    }
    Ok(forks)
}

fn start_of(forks: &[(Fork, ForkStart)], wanted: Fork) -> Option<u64> {
    forks.iter().find_map(|(fork, start)| match start {
        ForkStart::Block(block) if *fork == wanted => Some(*block),
        _ => None,
    })
}

/// Consensus settings as foreign files give them, before defaults.
#[derive(Clone, Debug, Default)]
pub(super) struct Engine {
    pub(super) epoch_length: Option<u64>,
    pub(super) period_ms: Option<u64>,
    pub(super) empty_period_ms: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) max_timeout_ms: Option<u64>,
    pub(super) sticky: bool,
    pub(super) validators: Option<Vec<Address>>,
    pub(super) selection: Selection,
    pub(super) block_reward: U256,
    pub(super) beneficiary: Option<Address>,
}

/// What a client takes where a file says nothing, milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct EngineDefaults {
    pub(super) period_ms: u64,
    pub(super) timeout_ms: u64,
}

impl Engine {
    /// With defaults in place. lonja names proposed blocks in the EEA's way on every chain: no rule about
    /// blocks depends on it, and the other way is not needed, because no other client takes part in the
    /// voting.
    pub(super) fn params(
        &self,
        format: HeaderFormat,
        quorum: QuorumRule,
        rules: ClientRules,
        defaults: EngineDefaults,
    ) -> ConsensusParams {
        let block_period_ms = self.period_ms.unwrap_or(defaults.period_ms);
        let request_timeout_ms = self.timeout_ms.unwrap_or(defaults.timeout_ms);
        let max_timeout_ms = self.max_timeout_ms.unwrap_or(UNCAPPED_REQUEST_TIMEOUT_MS);
        ConsensusParams {
            format,
            block_period_ms,
            empty_block_period_ms: self.empty_period_ms.unwrap_or(0).max(block_period_ms),
            request_timeout_ms,
            max_request_timeout_ms: max_timeout_ms.max(request_timeout_ms),
            epoch_length: self.epoch_length.unwrap_or(DEFAULT_EPOCH_LENGTH),
            proposer_policy: if self.sticky { ProposerPolicy::Sticky } else { ProposerPolicy::RoundRobin },
            quorum,
            digest: DigestRule::Eea,
            rules,
            validators: self.validators.clone(),
            validator_contract: self.selection.contract.filter(|_| self.selection.by_contract),
            block_reward: self.block_reward,
            beneficiary: self.beneficiary,
        }
    }
}

/// Reads a number of seconds as milliseconds; absent and 0 are the same.
pub(super) fn read_seconds_ms(fields: &mut Fields<'_>, name: &str) -> Result<Option<u64>, GenesisError> {
    /// A day: more is a mistake, and must not overflow anything.
    const MAX_SECONDS: u64 = 86_400;
    match fields.u64(name)? {
        Some(seconds) if seconds > MAX_SECONDS => Err(fields.error(name, "more than a day")),
        seconds => Ok(seconds.filter(|seconds| *seconds != 0).map(|seconds| seconds * 1000)),
    }
}

/// How validators are chosen, as far as a file has said it up to some height.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selection {
    /// By the contract, once it is named; otherwise by votes in headers.
    pub(super) by_contract: bool,
    pub(super) contract: Option<Address>,
}

/// What one object says of the selection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SelectionFields {
    pub(super) by_contract: Option<bool>,
    pub(super) contract: Option<Address>,
}

impl SelectionFields {
    pub(super) fn over(&self, before: Selection) -> Selection {
        Selection {
            by_contract: self.by_contract.unwrap_or(before.by_contract),
            contract: self.contract.or(before.contract),
        }
    }
}

/// The address of the contract that chooses validators.
pub(super) const SELECTION_CONTRACT: &str = "validatorcontractaddress";
/// By contract or by votes.
pub(super) const SELECTION_MODE: &str = "validatorselectionmode";

/// Reads how validators are chosen. The zero address is none, as both clients have it.
pub(super) fn read_selection(fields: &mut Fields<'_>) -> Result<SelectionFields, GenesisError> {
    let by_contract = match fields.text(SELECTION_MODE)? {
        None | Some("") => None,
        Some(mode) if mode.eq_ignore_ascii_case("contract") => Some(true),
        Some(mode) if mode.eq_ignore_ascii_case("blockheader") => Some(false),
        Some(mode) => {
            let reason = format!("{mode} is neither blockheader nor contract");
            return Err(fields.error(SELECTION_MODE, reason));
        }
    };
    let contract = fields.address(SELECTION_CONTRACT)?.filter(|address| !address.is_zero());
    Ok(SelectionFields { by_contract, contract })
}

/// Said wherever a file of another client chooses validators by a contract.
pub(super) fn warn_of_selection(consensus: &[(u64, ConsensusParams)], warnings: &mut Vec<String>) {
    if let Some((from, _)) = consensus.iter().find(|(_, params)| params.validator_contract.is_some()) {
        warnings.push(format!(
            "validators are chosen by a contract from block {from} on: headers that another client made in this mode \
             do not commit to their validators, so that such a chain is refused; a new chain is none the worse for it"
        ));
    }
}

/// The values at every height where something may change; heights that change nothing are left out.
pub(super) fn by_height<T: PartialEq>(
    heights: &BTreeSet<u64>,
    replaces: impl Fn(&T) -> bool,
    at: impl Fn(u64) -> T,
) -> Vec<(u64, T)> {
    let mut list: Vec<(u64, T)> = Vec::new();
    for height in heights {
        let value = at(*height);
        if list.last().is_none_or(|(_, last)| *last != value || replaces(&value)) {
            list.push((*height, value));
        }
    }
    list
}

/// `by_height` for consensus parameters: a list of validators replaces the set even where nothing else
/// changes.
pub(super) fn params_by_height(
    heights: &BTreeSet<u64>,
    at: impl Fn(u64) -> ConsensusParams,
) -> Vec<(u64, ConsensusParams)> {
    by_height(heights, |params| params.validators.is_some(), at)
}

/// Whether the newest fork of block 0 has a base fee.
pub(super) fn has_base_fee(spec: &ChainSpec, timestamp: u64) -> bool {
    spec.fork_at(0, timestamp) >= Fork::London
}
