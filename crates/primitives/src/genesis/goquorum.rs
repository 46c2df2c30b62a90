//! The shape of GoQuorum's genesis file (version 24.4.1).
//!
//! Understood: `config.istanbul`, `ibft` and `qbft`, `config.transitions` (applied cumulatively in their
//! order), code and transaction sizes, rewards, the quorum switch `ceil2Nby3Block`, `testQBFTBlock`. Also the
//! file of a network that moves from GoQuorum to Besu: `ibft` and `qbft` together, with `qbft.startBlock`.
//!
//! Names may be written in any letter case; `null` is as good as absent, and so is 0 for periods, timeouts,
//! epoch and sizes. GoQuorum knows no fork after Berlin, so blocks have no base fee.
//!
//! Where this program differs from GoQuorum:
//!
//! * Where a contract chooses the validators, lonja's headers commit to them, and GoQuorum's list none: a chain that
//!   GoQuorum made in this mode cannot be verified and is refused at its first block. A new chain may begin with such a
//!   file; where neither `extraData` nor `config.qbft.validators` lists any, the contract names the first ones too
//!   ([`Genesis::needs_first_validators`](super::Genesis::needs_first_validators)). Only with QBFT.
//! * The contracts that GoQuorum read from a file of the node stand in `config.permissions`, as described at
//!   [`super::own`]; in `transitions[].permissions` with a later block. They are asked from `qip714Block` on, or from
//!   the transition with `enhancedPermissioningEnabled`; without either from block 0 on.
//! * Private transactions are allowed from block 0 on; what is protected and carried by markers follows from
//!   `privacyEnhancementsBlock`, `privacyPrecompileBlock` and the transitions' switches. An object `privacy`, in
//!   `config` or a transition, is laid over that, as described at [`super::own`]. There is one private state for each
//!   node, whatever `isMPS` says.
//! * Without `enableGasPriceBlock` GoQuorum takes only transactions of price 0; here the chain is one of free
//!   gas, which takes those and any other. A switch to paid gas at a later block is refused.
//! * The old object `istanbul` does not tell the block period, which stood on the command line. Headers up to
//!   the switch to QBFT are checked with the shortest, one second.
//! * `transitions[].validators` holds from `block` on.

use super::fields::{Fields, Names};
use super::foreign::{self, Engine, EngineDefaults, NODE_LOCAL, SELECTION_CONTRACT, SILENT, Selection};
use super::json::Json;
use super::permissions::{self, Null, Patch};
use super::{Draft, GenesisError, alloc, privacy};
use crate::ChainSpec;
use crate::spec::{Fork, ForkStart};
use alloy_primitives::Address;
use transitions::Transition;

mod schedule;
mod transitions;

/// Gas limit of block 0 where the file says 0.
const DEFAULT_GAS_LIMIT: u64 = 800_000_000;
/// Transaction size limit where the file does not say.
const DEFAULT_TRANSACTION_SIZE_KB: u64 = 64;
/// Seconds between blocks and seconds of round 0 where the file does not say.
const DEFAULTS: EngineDefaults = EngineDefaults { period_ms: 5_000, timeout_ms: 10_000 };
/// The object `istanbul` says nothing of the period: the shortest possible.
const OLD_DEFAULTS: EngineDefaults = EngineDefaults { period_ms: 1_000, ..DEFAULTS };

/// The bound of the growing timeout.
const MAX_TIMEOUT: &str = "maxRequestTimeoutSeconds";

/// Fields of `config` that only GoQuorum writes.
const MARKS: [&str; 10] = [
    "isQuorum",
    "txnSizeLimit",
    "maxCodeSizeConfig",
    "istanbul",
    "ibft",
    "qip714Block",
    "enableGasPriceBlock",
    "privacyEnhancementsBlock",
    "privacyPrecompileBlock",
    "isMPS",
];

/// The field by which a file has GoQuorum's shape rather than Besu's.
pub(super) fn mark_of(root: &Json) -> Option<String> {
    let mut root = Fields::new("", root, Names::AnyCase).ok()?;
    let mut config = root.object("config").ok()??;
    if let Some(mark) = MARKS.into_iter().find(|mark| config.has(mark)) {
        return Some(config.path_of(mark));
    }
    let list = matches!(config.take("transitions"), Some(Json::List(_)));
    list.then(|| format!("the list {}", config.path_of("transitions")))
}

/// One of the objects `istanbul`, `ibft`, `qbft`.
#[derive(Default)]
struct EngineObject {
    path: String,
    engine: Engine,
    /// From this block the quorum is two thirds rounded up.
    ceil_block: Option<u64>,
    /// `istanbul`: first QBFT block.
    test_qbft_block: Option<u64>,
    /// `qbft` of a network that moved on from GoQuorum: first QBFT block.
    start_block: Option<u64>,
    /// The object is `istanbul`.
    old: bool,
}

/// Everything in the file that rules by height follow from.
struct Schedule {
    /// `istanbul` or `ibft`.
    ibft: Option<EngineObject>,
    qbft: Option<EngineObject>,
    transitions: Vec<Transition>,
    code_sizes_kb: Vec<(u64, u64)>,
    transaction_size_kb: u64,
    /// Of `config`; those of transitions are laid over it.
    permissions: Patch,
    /// `qip714Block`.
    permitted_from: Option<u64>,
    /// `privacyEnhancementsBlock`.
    enhancements_from: Option<u64>,
    /// `privacyPrecompileBlock`.
    markers_from: Option<u64>,
    /// Of `config`; those of transitions are laid over it.
    privacy: privacy::Patch,
}

pub(super) fn read(mut root: Fields<'_>, mut warnings: Vec<String>) -> Result<Draft, GenesisError> {
    let mut header = foreign::read_header(&mut root)?;
    if header.gas_limit == 0 {
        header.gas_limit = DEFAULT_GAS_LIMIT;
    }
    let accounts = root.object("alloc")?.ok_or_else(|| root.error("alloc", "the field must be given"))?;
    let alloc = alloc::read(accounts, Names::AnyCase)?;
    let mut config = root.object("config")?.ok_or_else(|| root.error("config", "the field must be given"))?;
    root.finish_ignoring(&["comment", "baseFeePerGas"], "GoQuorum does not read it", &mut warnings)?;

    let chain_id = foreign::read_chain_id(&mut config)?;
    if chain_id == 1 {
        return Err(config.error("chainId", "GoQuorum refuses the chain id of Ethereum's main network"));
    }
    if config.bool("isQuorum")? == Some(false) {
        return Err(config.error("isQuorum", "without it other rules hold, which are not supported"));
    }
    let forks = read_forks(&mut config, &mut warnings)?;
    let mut schedule = read_schedule(&mut config, &mut warnings)?;
    let free_gas = read_free_gas(&mut config, &schedule.transitions)?;
    ignore_rest(config, &mut warnings)?;

    schedule.settle_validators(&header.extra_data, &mut warnings)?;
    let heights = schedule.heights();
    heights.iter().try_for_each(|height| schedule.check_timeouts(*height))?;
    heights.iter().try_for_each(|height| schedule.check_selection(*height))?;
    let consensus = foreign::params_by_height(&heights, |height| schedule.consensus_at(height));
    foreign::warn_of_selection(&consensus, &mut warnings);
    let permissions = foreign::by_height(&heights, |_| false, |height| schedule.permissions_at(height));
    let limits = foreign::by_height(&heights, |_| false, |height| schedule.limits_at(height));
    let privacy = foreign::by_height(&heights, |_| false, |height| schedule.privacy_at(height));
    Ok(Draft {
        spec: ChainSpec { chain_id, free_gas, forks, consensus, limits, permissions, privacy },
        header,
        alloc,
        warnings,
    })
}

/// Fields without effect here: each gives a warning, and any other that is left is an error.
fn ignore_rest(mut config: Fields<'_>, warnings: &mut Vec<String>) -> Result<(), GenesisError> {
    for name in SILENT {
        config.take(name);
    }
    if config.bool("isMPS")? == Some(true) {
        warnings.push(format!("{} is ignored: a node has one private state", config.path_of("isMPS")));
    }
    // GoQuorum reads none of these, although files that serve Besu too carry them.
    let unread = [
        "londonBlock",
        "shanghaiTime",
        "cancunTime",
        "pragueTime",
        "osakaTime",
        "zeroBaseFee",
        "contractSizeLimit",
        "ethash",
        "discovery",
    ];
    config.finish_ignoring(&unread, "GoQuorum does not read it", warnings)
}

/// GoQuorum refuses to skip a fork or to put one before an older one.
fn read_forks(
    config: &mut Fields<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<(Fork, ForkStart)>, GenesisError> {
    for name in ["yoloV3Block", "catalystBlock", "ewasmBlock"] {
        if config.has(name) {
            return Err(config.error(name, "a trial fork that never became a rule of Ethereum"));
        }
    }
    let mut missing = None;
    let begun = foreign::FORK_BLOCKS.iter().filter(|(_, fork, begins)| *begins && *fork <= Fork::Berlin);
    for (name, ..) in begun.copied() {
        match (config.has(name), missing) {
            (true, Some(earlier)) => {
                return Err(config.error(name, format!("{earlier}, which comes before, has no block")));
            }
            (false, None) if name != "petersburgBlock" => missing = Some(name),
            _ => {}
        }
    }
    foreign::read_forks(config, Fork::Berlin, warnings)
}

fn read_schedule(config: &mut Fields<'_>, warnings: &mut Vec<String>) -> Result<Schedule, GenesisError> {
    if let Some(other) = ["clique", "raft"].into_iter().find(|name| config.has(name)) {
        return Err(config.error(other, "only istanbul, ibft and qbft are supported"));
    }
    let old = config.object("istanbul")?.map(|fields| read_istanbul(fields, warnings)).transpose()?;
    let ibft = config.object("ibft")?.map(|fields| read_engine(fields, warnings)).transpose()?;
    let qbft = config.object("qbft")?.map(|fields| read_engine(fields, warnings)).transpose()?;
    if old.is_some() && ibft.is_some() {
        return Err(config.error("istanbul", "it excludes ibft"));
    }
    if ibft.as_ref().is_some_and(|object| object.start_block.is_some()) {
        return Err(config.error("ibft.startBlock", "only qbft can begin later"));
    }
    let (ibft_there, starts) =
        (old.is_some() || ibft.is_some(), qbft.as_ref().is_some_and(|object| object.start_block.is_some()));
    if qbft.is_some() && ibft_there && !starts {
        return Err(
            config.error("qbft", "beside istanbul or ibft it needs startBlock, or transitions instead")
        );
    }
    if starts && !ibft_there {
        return Err(config.error("qbft.startBlock", "it needs istanbul or ibft for the blocks before"));
    }
    let begun = qbft.is_some() && !starts;
    let transitions = transitions::read(config, begun, warnings)?;
    if old.as_ref().is_some_and(|object| object.test_qbft_block.is_some())
        && let Some(both) = transitions.iter().find(|entry| entry.algorithm.is_some())
    {
        return Err(GenesisError::new(
            both.path_of("algorithm"),
            "it excludes config.istanbul.testQBFTBlock",
        ));
    }
    let at_zero = transitions.iter().any(|entry| entry.block == 0 && entry.algorithm.is_some());
    if !ibft_there && qbft.is_none() && !at_zero {
        return Err(config.error("qbft", "no consensus is given: one of istanbul, ibft, qbft is needed"));
    }
    let code_sizes_kb = read_code_sizes(config, &transitions)?;
    let transaction_size_kb = read_transaction_size(config)?;
    let (permissions, permitted_from) = read_permissions(config, &transitions, warnings)?;
    Ok(Schedule {
        ibft: old.or(ibft),
        qbft,
        transitions,
        code_sizes_kb,
        transaction_size_kb,
        permissions,
        permitted_from,
        enhancements_from: config.u64("privacyEnhancementsBlock")?,
        markers_from: config.u64("privacyPrecompileBlock")?,
        privacy: privacy::take(config, Null::Refused)?.unwrap_or_default(),
    })
}

/// The contracts, and the block from which GoQuorum asks them. It knew them from a file of the node, so that a block
/// without contracts says nothing.
fn read_permissions(
    config: &mut Fields<'_>,
    transitions: &[Transition],
    warnings: &mut Vec<String>,
) -> Result<(Patch, Option<u64>), GenesisError> {
    let patch = permissions::take(config, Null::Refused)?;
    let from = config.u64("qip714Block")?;
    if patch.is_none() && transitions.iter().all(|entry| entry.permissions.is_none()) {
        let switches = transitions.iter().filter(|entry| entry.permitted == Some(true));
        let switches = switches.map(|entry| entry.path_of("enhancedPermissioningEnabled"));
        let block = from.map(|_| config.path_of("qip714Block"));
        let why = format!("{} names no contracts", config.path_of("permissions"));
        warnings.extend(block.into_iter().chain(switches).map(|path| format!("{path} is ignored: {why}")));
    }
    Ok((patch.unwrap_or_default(), from))
}

fn read_istanbul(mut fields: Fields<'_>, warnings: &mut Vec<String>) -> Result<EngineObject, GenesisError> {
    let engine = Engine {
        epoch_length: fields.u64("epoch")?.filter(|epoch| *epoch != 0),
        sticky: read_policy(&mut fields)?,
        ..Engine::default()
    };
    let (ceil_block, test_qbft_block) = (fields.u64("ceil2Nby3Block")?, fields.u64("testQBFTBlock")?);
    if ceil_block.is_none() {
        let path = fields.path_of("ceil2Nby3Block");
        warnings
            .push(format!("{path} is absent: the quorum is 2F+1, which is safe only for 3F+1 validators"));
    }
    let why = "headers made by IBFT 1.0 are checked with one second";
    warnings.push(format!("{}: the block period is not in the file; {why}", fields.path_of("period")));
    let path = fields.path_of("");
    fields.finish_ignoring(&["allowedFutureBlockTime", "comment"], NODE_LOCAL, warnings)?;
    Ok(EngineObject { path, engine, ceil_block, test_qbft_block, start_block: None, old: true })
}

fn read_engine(mut fields: Fields<'_>, warnings: &mut Vec<String>) -> Result<EngineObject, GenesisError> {
    let selection = foreign::read_selection(&mut fields)?.over(Selection::default());
    if selection.by_contract && selection.contract.is_none() {
        return Err(fields.error(SELECTION_CONTRACT, "the mode contract needs it"));
    }
    if selection.contract.is_some() && !selection.by_contract {
        let path = fields.path_of(SELECTION_CONTRACT);
        warnings.push(format!("{path} has no effect where {} is not contract", foreign::SELECTION_MODE));
    }
    let engine = Engine {
        epoch_length: fields.u64("epochlength")?.filter(|epoch| *epoch != 0),
        period_ms: foreign::read_seconds_ms(&mut fields, "blockperiodseconds")?,
        empty_period_ms: foreign::read_seconds_ms(&mut fields, "emptyblockperiodseconds")?,
        timeout_ms: foreign::read_seconds_ms(&mut fields, "requesttimeoutseconds")?,
        max_timeout_ms: foreign::read_seconds_ms(&mut fields, MAX_TIMEOUT)?,
        sticky: read_policy(&mut fields)?,
        validators: fields.addresses("validators")?,
        selection,
        block_reward: fields.quantity("blockReward")?.unwrap_or_default(),
        beneficiary: read_beneficiary(&mut fields)?,
    };
    // With `ibft` and `qbft` the absent field counts as 0: two thirds rounded up from the beginning.
    let ceil_block = Some(fields.u64("ceil2Nby3Block")?.unwrap_or(0));
    let start_block = fields.u64("startBlock")?.filter(|block| *block != 0);
    let path = fields.path_of("");
    fields.finish_ignoring(&["allowedFutureBlockTime", "comment"], NODE_LOCAL, warnings)?;
    Ok(EngineObject { path, engine, ceil_block, test_qbft_block: None, start_block, old: false })
}

fn read_policy(fields: &mut Fields<'_>) -> Result<bool, GenesisError> {
    match fields.u64("policy")? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(_) => Err(fields.error("policy", "it is 0 (round robin) or 1 (sticky)")),
    }
}

/// `miningBeneficiary` alone is enough for a fixed receiver; the mode, where given, has the last word.
fn read_beneficiary(fields: &mut Fields<'_>) -> Result<Option<Address>, GenesisError> {
    let address = fields.address("miningBeneficiary")?;
    match fields.text("beneficiaryMode")? {
        None => Ok(address),
        Some(mode) if mode.eq_ignore_ascii_case("validator") => Ok(None),
        Some(mode) if mode.eq_ignore_ascii_case("fixed") => match address {
            Some(address) => Ok(Some(address)),
            None => Err(fields.error("miningBeneficiary", "the mode fixed needs it")),
        },
        Some(mode) => {
            let reason = format!("with {mode} GoQuorum executes no transaction; it is fixed or validator");
            Err(fields.error("beneficiaryMode", reason))
        }
    }
}

fn read_transaction_size(config: &mut Fields<'_>) -> Result<u64, GenesisError> {
    match config.u64("txnSizeLimit")? {
        None | Some(0) => Ok(DEFAULT_TRANSACTION_SIZE_KB),
        Some(kb @ 32..=128) => Ok(kb),
        Some(_) => Err(config.error("txnSizeLimit", "it is from 32 to 128 (KB)")),
    }
}

fn read_code_sizes(
    config: &mut Fields<'_>,
    transitions: &[Transition],
) -> Result<Vec<(u64, u64)>, GenesisError> {
    for name in ["maxCodeSize", "maxCodeSizeChangeBlock"] {
        if config.u64(name)?.is_some_and(|value| value != 0 || name == "maxCodeSizeChangeBlock") {
            return Err(config.error(name, "GoQuorum refuses it; maxCodeSizeConfig stands in its place"));
        }
    }
    let mut sizes: Vec<(u64, u64)> = Vec::new();
    for mut entry in config.objects("maxCodeSizeConfig")?.unwrap_or_default() {
        let block = entry.u64("block")?.ok_or_else(|| entry.error("block", "the field must be given"))?;
        let size = entry.u64("size")?.filter(|kb| (24..=128).contains(kb));
        let size = size.ok_or_else(|| entry.error("size", "it is from 24 to 128 (KB)"))?;
        if sizes.last().is_some_and(|(last, _)| *last >= block) {
            return Err(entry.error("block", "blocks must ascend"));
        }
        entry.finish()?;
        sizes.push((block, size));
    }
    match transitions.iter().find(|entry| entry.code_size_kb.is_some()) {
        Some(entry) if !sizes.is_empty() => {
            Err(GenesisError::new(entry.path_of("contractsizelimit"), "it excludes config.maxCodeSizeConfig"))
        }
        _ => Ok(sizes),
    }
}

/// Paid gas is a property of a whole chain here, so that only block 0 can switch it on.
fn read_free_gas(config: &mut Fields<'_>, transitions: &[Transition]) -> Result<bool, GenesisError> {
    let later = "a switch to paid gas after block 0 is not supported";
    let from_genesis = match config.u64("enableGasPriceBlock")? {
        Some(0) => true,
        Some(_) => return Err(config.error("enableGasPriceBlock", later)),
        None => transitions
            .iter()
            .rfind(|entry| entry.block == 0 && entry.paid_gas.is_some())
            .is_some_and(|entry| entry.paid_gas == Some(true)),
    };
    // What a field of the genesis switched on, no transition switches off.
    let fixed = config.has("enableGasPriceBlock");
    for entry in transitions.iter().filter(|entry| entry.block > 0) {
        if entry.paid_gas.is_some_and(|paid| paid != from_genesis && (paid || !fixed)) {
            return Err(GenesisError::new(entry.path_of("gasPriceEnabled"), later));
        }
    }
    Ok(!from_genesis)
}
