//! lonja's own shape of the genesis file.
//!
//! ```json
//! {
//!   "lonja": 1,
//!   "chainId": 1337,
//!   "freeGas": true,
//!   "fork": "osaka",
//!   "timestamp": 1767225600,
//!   "consensus": { "validators": ["0x…"], "blockPeriodMs": 1000 },
//!   "limits": { "gasLimit": 300000000 },
//!   "transitions": [{ "block": 50000, "consensus": { "blockPeriodMs": 500 } }],
//!   "alloc": { "0x…": { "balance": "0x…" } }
//! }
//! ```
//!
//! Names are written exactly; an unknown name, a name written twice, or two fields that say the same thing
//! are errors. Numbers are JSON numbers, or strings of decimal digits, or of hex digits behind `0x`.
//!
//! | field | default | meaning |
//! |---|---|---|
//! | `lonja` | – | version of this shape: 1 |
//! | `chainId` | – | chain id (EIP-155), not 0 |
//! | `freeGas` | true | nothing is charged whatever price a transaction offers |
//! | `fork` | `osaka` | newest fork; it and all before it hold from block 0 |
//! | `forks` | – | instead of `fork`: first block by fork, for example `{"berlin": 0, "osaka": 9000}` |
//! | `timestamp` | 0 | time of block 0, seconds |
//! | `consensus` | – | see below; `validators` must be given |
//! | `limits` | `{}` | see below |
//! | `permissions` | `{}` | contracts that decide who may connect and transact; see below |
//! | `privacy` | `{}` | private transactions; see below |
//! | `transitions` | `[]` | later changes: `block` (ascending), and any of the fields of `consensus`, `limits`, `permissions` and `privacy` |
//! | `alloc` | `{}` | accounts of block 0: `balance`, `nonce`, `code`, `storage` |
//!
//! `consensus`:
//!
//! | field | default | meaning |
//! |---|---|---|
//! | `validators` | – | addresses, any order; in a transition: replaces the set from that block on |
//! | `validatorContract` | – | from here on the validators are what this contract's `getValidators()` answers; where `validators` is given too, from the next block on. In a transition `null` goes back to votes |
//! | `blockPeriodMs` or `blockPeriodSeconds` | 1 s | least time between blocks |
//! | `emptyBlockPeriodMs` or `emptyBlockPeriodSeconds` | block period | time after which an empty block is made |
//! | `requestTimeoutMs` or `requestTimeoutSeconds` | 3 s | timeout of round 0; doubles with each round |
//! | `maxRequestTimeoutMs` or `maxRequestTimeoutSeconds` | 60 s | bound of the doubled timeout |
//! | `epochLength` | 30000 | votes on validators are dropped at its multiples |
//! | `proposerPolicy` | `roundRobin` | or `sticky` |
//! | `quorum` | `ceil2n3` | or `2f+1`, safe only for 3F+1 validators |
//! | `digest` | `eea` | or `goquorum`: what votes name a block by |
//! | `rules` | `besu` | or `goquorum`: voting and turns where the two differ |
//! | `blockReward` | 0 | wei credited per block |
//! | `beneficiary` | the proposer | who receives rewards and fees |
//!
//! `limits`:
//!
//! | field | default | meaning |
//! |---|---|---|
//! | `codeSizeBytes` | 24,576 | longest contract code (EIP-170) |
//! | `initCodeSizeBytes` | twice the code | longest init code (EIP-3860) |
//! | `transactionSizeBytes` | 131,072 | longest transaction in EIP-2718 form |
//! | `blockSizeBytes` | 8 MiB | longest block in RLP form, at most 9 MiB |
//! | `gasLimit` | 300,000,000 | gas limit of every block |
//!
//! `permissions` (the rules are asked at the state before a block; what is not given permits all; in a transition
//! `null` takes a rule away):
//!
//! | field | meaning |
//! |---|---|
//! | `nodes` | the contract that answers `connectionAllowed`: an address, or `{"contract": "0x…", "interface": 2}`, where interface 1 is Besu's older one |
//! | `accounts` | the contract that answers `transactionAllowed` |
//! | `system` | the contract whose `endBlock` is called at the end of every block |
//! | `quotas` | the contract that meters gas per member |
//!
//! `privacy` (not with chain id 1; the others need `transactions`):
//!
//! | field | default | meaning |
//! |---|---|---|
//! | `transactions` | false | legacy transactions with `v` 37 or 38 are private: the public state sees nonce and intrinsic gas |
//! | `enhancements` | false | private contracts may be protected, and bound to their parties |
//! | `markers` | `null` | a public transaction to 0x7a may carry a private one: `anySigner`, or `sameSigner` as GoQuorum has it |
//! | `parties` | nobody | the contract that says who has to be a party, and at which nodes parties are; in a transition `null` takes it away |

use super::fields::{Fields, Names};
use super::header::{HeaderFields, check_validators};
use super::permissions::{self, Null};
use super::{Draft, GenesisError, alloc, privacy};
use crate::header::{ISTANBUL_DIFFICULTY, ISTANBUL_MIX_HASH};
use crate::spec::{
    ClientRules, ConsensusParams, DigestRule, Fork, ForkStart, Limits, Permissions, Privacy, ProposerPolicy,
    QuorumRule,
};
use crate::{ChainSpec, ExtraData, HeaderFormat};
use alloy_primitives::U256;

/// Version of the shape, the value of the field `lonja`.
pub const SHAPE_VERSION: u64 = 1;
/// A block a second: finality that a person does not wait for, and blocks enough apart for validators on
/// different continents.
pub const DEFAULT_BLOCK_PERIOD_MS: u64 = 1_000;
/// Three times what building, sending and checking a full block takes between continents.
pub const DEFAULT_REQUEST_TIMEOUT_MS: u64 = 3_000;
/// After an outage of any length nobody waits longer than a minute for the next round.
pub const DEFAULT_MAX_REQUEST_TIMEOUT_MS: u64 = 60_000;
/// What GoQuorum and Besu take.
pub const DEFAULT_EPOCH_LENGTH: u64 = 30_000;
/// EIP-170.
pub const DEFAULT_CODE_SIZE_BYTES: usize = 24_576;
/// What Ethereum's pools take: twice the init code that EIP-3860 allows fits.
pub const DEFAULT_TRANSACTION_SIZE_BYTES: usize = 128 * 1024;
/// A proposal carries a block and its justification, and a message has at most 10 MiB.
pub const DEFAULT_BLOCK_SIZE_BYTES: usize = 8 * 1024 * 1024;
/// 14,285 plain transfers: more than a machine of two cores executes in the default block period, so that the
/// period and not the gas limit bounds a block; and small enough for tools that compute with it.
pub const DEFAULT_GAS_LIMIT: u64 = 300_000_000;

/// Leaves 1 MiB of a message of 10 MiB for what stands around a block.
const MAX_BLOCK_SIZE_BYTES: usize = 9 * 1024 * 1024;
/// Room for a header with many seals and for one transaction.
const MIN_BLOCK_SIZE_BYTES: usize = 256 * 1024;
/// What a block needs beside its transactions: header, seals of hundreds of validators.
const BLOCK_OVERHEAD_BYTES: usize = 64 * 1024;
/// Larger code costs every node more to load than a call pays for.
const MAX_CODE_SIZE_BYTES: usize = 1024 * 1024;
/// A plain transfer must fit, and a contract of some size.
const MIN_GAS_LIMIT: u64 = 1_000_000;
/// The largest integer that JavaScript tools hold exactly.
const MAX_GAS_LIMIT: u64 = (1 << 53) - 1;
/// A day: longer periods are mistakes, and sums of them must not overflow.
const MAX_PERIOD_MS: u64 = 86_400_000;

/// The consensus parameters of a new network, without validators.
pub(super) const DEFAULT_CONSENSUS: ConsensusParams = ConsensusParams {
    format: HeaderFormat::Qbft,
    block_period_ms: DEFAULT_BLOCK_PERIOD_MS,
    empty_block_period_ms: DEFAULT_BLOCK_PERIOD_MS,
    request_timeout_ms: DEFAULT_REQUEST_TIMEOUT_MS,
    max_request_timeout_ms: DEFAULT_MAX_REQUEST_TIMEOUT_MS,
    epoch_length: DEFAULT_EPOCH_LENGTH,
    proposer_policy: ProposerPolicy::RoundRobin,
    quorum: QuorumRule::CeilTwoThirds,
    digest: DigestRule::Eea,
    rules: ClientRules::Besu,
    validators: None,
    validator_contract: None,
    block_reward: U256::ZERO,
    beneficiary: None,
};

/// The limits of a new network.
pub(super) const DEFAULT_LIMITS: Limits = Limits {
    code_size: DEFAULT_CODE_SIZE_BYTES,
    init_code_size: 2 * DEFAULT_CODE_SIZE_BYTES,
    transaction_size: DEFAULT_TRANSACTION_SIZE_BYTES,
    block_size: DEFAULT_BLOCK_SIZE_BYTES,
    gas_limit: Some(DEFAULT_GAS_LIMIT),
};

pub(super) fn read(mut root: Fields<'_>) -> Result<Draft, GenesisError> {
    let mut warnings = Vec::new();
    if root.u64("lonja")? != Some(SHAPE_VERSION) {
        return Err(root.error("lonja", format!("this program reads version {SHAPE_VERSION} of the shape")));
    }
    let chain_id = root.u64("chainId")?.filter(|id| *id != 0);
    let chain_id = chain_id.ok_or_else(|| root.error("chainId", "a chain id other than 0 is needed"))?;
    let free_gas = root.bool("freeGas")?.unwrap_or(true);
    let forks = read_forks(&mut root)?;
    let timestamp = root.u64("timestamp")?.unwrap_or(0);
    let consensus = root.object("consensus")?;
    let consensus = consensus.ok_or_else(|| root.error("consensus", "it must be given, with validators"))?;
    let mut consensus = read_consensus(consensus, DEFAULT_CONSENSUS, Null::Refused, &mut warnings)?;
    let validators = consensus.validators.take();
    let mut validators =
        validators.ok_or_else(|| root.error("consensus.validators", "the first validators must be given"))?;
    validators.sort_unstable();
    let limits =
        root.object("limits")?.map_or(Ok(DEFAULT_LIMITS), |fields| read_limits(fields, DEFAULT_LIMITS))?;
    let permissions = permissions::take(&mut root, Null::Refused)?.unwrap_or_default();
    let privacy = privacy::take(&mut root, Null::Refused)?.unwrap_or_default();
    let alloc =
        root.object("alloc")?.map_or(Ok(Default::default()), |fields| alloc::read(fields, Names::Exact))?;
    let mut spec = ChainSpec {
        chain_id,
        free_gas,
        forks,
        consensus: vec![(0, consensus)],
        limits: vec![(0, limits)],
        permissions: vec![(0, permissions.over(Permissions::default()))],
        privacy: vec![(0, privacy.over(Privacy::default()))],
    };
    for transition in root.objects("transitions")?.unwrap_or_default() {
        read_transition(transition, &mut spec, &mut warnings)?;
    }
    root.finish()?;
    let extra = ExtraData { vanity: vec![0; 32].into(), validators, ..ExtraData::default() };
    let header = HeaderFields {
        difficulty: ISTANBUL_DIFFICULTY,
        gas_limit: limits.gas_limit.unwrap_or(DEFAULT_GAS_LIMIT),
        timestamp,
        extra_data: extra.encode(HeaderFormat::Qbft),
        mix_hash: ISTANBUL_MIX_HASH,
        base_fee: (spec.fork_at(0, timestamp) >= Fork::London).then_some(0),
        ..HeaderFields::default()
    };
    Ok(Draft { spec, header, alloc, warnings })
}

/// `fork`: all up to it from block 0 on. `forks`: by block; a fork that is left out begins with the next one.
fn read_forks(root: &mut Fields<'_>) -> Result<Vec<(Fork, ForkStart)>, GenesisError> {
    let name = root.text("fork")?;
    let Some(mut by_block) = root.object("forks")? else {
        let newest = match name {
            None => Fork::LATEST,
            Some(name) => Fork::from_name(name).ok_or_else(|| root.error("fork", unknown_fork(name)))?,
        };
        let until = Fork::ALL.into_iter().filter(|fork| *fork <= newest);
        return Ok(until.map(|fork| (fork, ForkStart::Block(0))).collect());
    };
    if name.is_some() {
        return Err(root.error("forks", "it stands instead of fork, not beside it"));
    }
    let named: Vec<_> = by_block.untaken();
    if let Some(name) = named.iter().find(|name| Fork::from_name(name).is_none()) {
        return Err(by_block.error(name, unknown_fork(name)));
    }
    let mut forks = Vec::new();
    let mut waiting = Vec::new();
    let mut last = 0;
    for fork in Fork::ALL {
        waiting.push(fork);
        let Some(block) = by_block.u64(fork.name())? else { continue };
        if block < last {
            return Err(by_block.error(fork.name(), format!("an older fork begins later, with block {last}")));
        }
        if forks.is_empty() && block != 0 {
            return Err(by_block.error(fork.name(), "the oldest fork must begin with block 0"));
        }
        forks.extend(waiting.drain(..).map(|fork| (fork, ForkStart::Block(block))));
        last = block;
    }
    if forks.is_empty() {
        return Err(root.error("forks", "at least one fork must begin with block 0"));
    }
    by_block.finish()?;
    Ok(forks)
}

fn unknown_fork(name: &str) -> String {
    let known: Vec<_> = Fork::ALL.iter().map(|fork| fork.name()).collect();
    format!("{name} is not known; the forks are {}", known.join(", "))
}

/// Overlays what the object says on `base`.
fn read_consensus(
    mut fields: Fields<'_>,
    base: ConsensusParams,
    null: Null,
    warnings: &mut Vec<String>,
) -> Result<ConsensusParams, GenesisError> {
    let block_period_ms = read_duration_ms(&mut fields, "blockPeriod")?.unwrap_or(base.block_period_ms);
    let follows = base.empty_block_period_ms == base.block_period_ms;
    let default_empty_ms = if follows { block_period_ms } else { base.empty_block_period_ms };
    let params = ConsensusParams {
        format: HeaderFormat::Qbft,
        block_period_ms,
        empty_block_period_ms: read_duration_ms(&mut fields, "emptyBlockPeriod")?.unwrap_or(default_empty_ms),
        request_timeout_ms: read_duration_ms(&mut fields, "requestTimeout")?
            .unwrap_or(base.request_timeout_ms),
        max_request_timeout_ms: read_duration_ms(&mut fields, "maxRequestTimeout")?
            .unwrap_or(base.max_request_timeout_ms),
        epoch_length: fields.u64("epochLength")?.unwrap_or(base.epoch_length),
        proposer_policy: choice(
            &mut fields,
            "proposerPolicy",
            &[("roundRobin", ProposerPolicy::RoundRobin), ("sticky", ProposerPolicy::Sticky)],
        )?
        .unwrap_or(base.proposer_policy),
        quorum: choice(
            &mut fields,
            "quorum",
            &[("ceil2n3", QuorumRule::CeilTwoThirds), ("2f+1", QuorumRule::TwoFPlusOne)],
        )?
        .unwrap_or(base.quorum),
        digest: choice(
            &mut fields,
            "digest",
            &[("eea", DigestRule::Eea), ("goquorum", DigestRule::GoQuorum)],
        )?
        .unwrap_or(base.digest),
        rules: choice(
            &mut fields,
            "rules",
            &[("besu", ClientRules::Besu), ("goquorum", ClientRules::GoQuorum)],
        )?
        .unwrap_or(base.rules),
        validators: fields.addresses("validators")?,
        validator_contract: permissions::take_contract(&mut fields, "validatorContract", null)?
            .unwrap_or(base.validator_contract),
        block_reward: fields.quantity("blockReward")?.unwrap_or(base.block_reward),
        beneficiary: fields.address("beneficiary")?.or(base.beneficiary),
    };
    check_consensus(&fields, &params, warnings)?;
    fields.finish()?;
    Ok(params)
}

fn check_consensus(
    fields: &Fields<'_>,
    params: &ConsensusParams,
    warnings: &mut Vec<String>,
) -> Result<(), GenesisError> {
    if params.empty_block_period_ms < params.block_period_ms {
        return Err(fields.error("emptyBlockPeriodMs", "it is shorter than the block period"));
    }
    if params.max_request_timeout_ms < params.request_timeout_ms {
        return Err(fields.error("maxRequestTimeoutMs", "it is shorter than the timeout of round 0"));
    }
    if params.epoch_length == 0 {
        return Err(fields.error("epochLength", "it is at least 1"));
    }
    if params.quorum == QuorumRule::TwoFPlusOne {
        warnings.push(format!("{}: 2f+1 is safe only for 3F+1 validators", fields.path_of("quorum")));
    }
    match &params.validators {
        // The set of block 0 stands in its header, and is checked there too.
        Some(validators) => check_validators(&fields.path_of("validators"), validators, &mut Vec::new()),
        None => Ok(()),
    }
}

/// A duration by its two names, `…Ms` and `…Seconds`.
fn read_duration_ms(fields: &mut Fields<'_>, stem: &str) -> Result<Option<u64>, GenesisError> {
    let (ms_name, seconds_name) = (format!("{stem}Ms"), format!("{stem}Seconds"));
    let ms = fields.u64(&ms_name)?;
    let seconds = fields.u64(&seconds_name)?;
    let (name, value) = match (ms, seconds) {
        (Some(_), Some(_)) => return Err(fields.error(&seconds_name, format!("{ms_name} says the same"))),
        (None, None) => return Ok(None),
        (Some(ms), None) => (ms_name, ms),
        (None, Some(seconds)) => (seconds_name, seconds.saturating_mul(1000)),
    };
    if (1..=MAX_PERIOD_MS).contains(&value) {
        return Ok(Some(value));
    }
    Err(fields.error(&name, "it is at least 1 millisecond and at most a day"))
}

fn choice<T: Copy>(
    fields: &mut Fields<'_>,
    name: &str,
    choices: &[(&str, T)],
) -> Result<Option<T>, GenesisError> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(Some(*value));
    }
    let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
    Err(fields.error(name, format!("{text} is not one of {}", words.join(", "))))
}

/// Overlays what the object says on `base`.
fn read_limits(mut fields: Fields<'_>, base: Limits) -> Result<Limits, GenesisError> {
    let code_size =
        read_bytes(&mut fields, "codeSizeBytes", 1..=MAX_CODE_SIZE_BYTES)?.unwrap_or(base.code_size);
    let follows = base.init_code_size == 2 * base.code_size;
    let default_init = if follows { 2 * code_size } else { base.init_code_size };
    let init_range = code_size..=2 * MAX_CODE_SIZE_BYTES;
    let init_code_size = read_bytes(&mut fields, "initCodeSizeBytes", init_range)?.unwrap_or(default_init);
    let block_range = MIN_BLOCK_SIZE_BYTES..=MAX_BLOCK_SIZE_BYTES;
    let block_size = read_bytes(&mut fields, "blockSizeBytes", block_range)?.unwrap_or(base.block_size);
    let transaction_range = 1024..=block_size - BLOCK_OVERHEAD_BYTES;
    let transaction_size = read_bytes(&mut fields, "transactionSizeBytes", transaction_range.clone())?;
    let transaction_size = transaction_size.unwrap_or(base.transaction_size);
    if !transaction_range.contains(&transaction_size) {
        return Err(fields.error("blockSizeBytes", "a transaction of the allowed size does not fit"));
    }
    let gas_limit = fields.u64("gasLimit")?.or(base.gas_limit).unwrap_or(DEFAULT_GAS_LIMIT);
    if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&gas_limit) {
        return Err(fields.error("gasLimit", format!("it is from {MIN_GAS_LIMIT} to {MAX_GAS_LIMIT}")));
    }
    fields.finish()?;
    Ok(Limits { code_size, init_code_size, transaction_size, block_size, gas_limit: Some(gas_limit) })
}

fn read_bytes(
    fields: &mut Fields<'_>,
    name: &str,
    range: std::ops::RangeInclusive<usize>,
) -> Result<Option<usize>, GenesisError> {
    let Some(value) = fields.u64(name)? else { return Ok(None) };
    match usize::try_from(value) {
        Ok(bytes) if range.contains(&bytes) => Ok(Some(bytes)),
        _ => Err(fields.error(name, format!("it is from {} to {} bytes", range.start(), range.end()))),
    }
}

/// Appends what changes with one block; everything else goes on.
fn read_transition(
    mut fields: Fields<'_>,
    spec: &mut ChainSpec,
    warnings: &mut Vec<String>,
) -> Result<(), GenesisError> {
    let block = fields.u64("block")?.ok_or_else(|| fields.error("block", "the first block must be given"))?;
    let newest = [
        spec.consensus.last().map(|(at, _)| *at),
        spec.limits.last().map(|(at, _)| *at),
        spec.permissions.last().map(|(at, _)| *at),
        spec.privacy.last().map(|(at, _)| *at),
    ];
    let newest = newest.into_iter().flatten().max().unwrap_or(0);
    if block <= newest {
        return Err(fields.error("block", format!("it must be above {newest}: transitions stand in order")));
    }
    let consensus = fields.object("consensus")?;
    let limits = fields.object("limits")?;
    let permissions = permissions::take(&mut fields, Null::TakesAway)?;
    let privacy = privacy::take(&mut fields, Null::TakesAway)?;
    if consensus.is_none() && limits.is_none() && permissions.is_none() && privacy.is_none() {
        return Err(fields.error("block", "nothing changes with this block"));
    }
    if let Some(consensus) = consensus {
        let base = ConsensusParams { validators: None, ..spec.consensus_at(block).clone() };
        let mut params = read_consensus(consensus, base, Null::TakesAway, warnings)?;
        if let Some(validators) = &mut params.validators {
            validators.sort_unstable();
        }
        spec.consensus.push((block, params));
    }
    if let Some(limits) = limits {
        let base = *spec.limits_at(block);
        spec.limits.push((block, read_limits(limits, base)?));
    }
    if let Some(permissions) = permissions {
        let base = *spec.permissions_at(block);
        spec.permissions.push((block, permissions.over(base)));
    }
    if let Some(privacy) = privacy {
        let base = *spec.privacy_at(block);
        spec.privacy.push((block, privacy.over(base)));
    }
    fields.finish()
}
