//! The shape of Besu's genesis file, for its engines QBFT and IBFT 2.0.
//!
//! Understood: `config.qbft` and `config.ibft2` (alone, or both with `qbft.startBlock`),
//! `config.transitions.qbft` and `.ibft2` (applied cumulatively), forks by block and Shanghai by time,
//! `contractSizeLimit`, `zeroBaseFee`; validators chosen by a contract under QBFT. Names may be written in any letter
//! case. Besu's permission contracts stood on its command line; here they stand in `config.permissions`, and with later
//! blocks in `transitions.qbft[].permissions` (or `.ibft2`), as described at [`super::own`]; so do the rules of private
//! transactions in `privacy`, without which there are none.
//!
//! What this version does not support is refused:
//!
//! * a base fee that moves: from London on `zeroBaseFee` must be true;
//! * Cancun and later forks, and Shanghai in block 0: they add fields to headers.
//!
//! Where a contract chooses the validators, lonja's headers commit to them, and Besu's list none: a chain that Besu made
//! in this mode cannot be verified and is refused at its first block. A new chain may begin with such a file; where its
//! `extraData` lists no validators, the contract names the first ones too
//! ([`Genesis::needs_first_validators`](super::Genesis::needs_first_validators)).
//!
//! Gas is not free in the sense of lonja: a transaction pays the price it offers, which may be 0.

use super::fields::{Fields, Names};
use super::foreign::{
    self, Engine, EngineDefaults, NODE_LOCAL, SELECTION_CONTRACT, SELECTION_MODE, SILENT, Selection,
    SelectionFields,
};
use super::header::{HeaderFields, check_validators};
use super::json::Json;
use super::own::DEFAULT_BLOCK_SIZE_BYTES;
use super::permissions::{self, Null, Patch};
use super::{Draft, GenesisError, alloc, privacy};
use crate::spec::{ClientRules, ConsensusParams, Fork, ForkStart, Limits, Permissions, Privacy, QuorumRule};
use crate::{ChainSpec, HeaderFormat};
use alloy_primitives::{Address, U256};
use std::collections::BTreeSet;

/// Base fee of block 0 where London holds and the file does not say, wei. Even where it is zero afterwards.
const GENESIS_BASE_FEE: u64 = 1_000_000_000;
/// Seconds between blocks and seconds of round 0 where the file does not say.
const DEFAULTS: EngineDefaults = EngineDefaults { period_ms: 1_000, timeout_ms: 1_000 };

/// One entry of `transitions`.
struct Transition {
    block: u64,
    period_ms: Option<u64>,
    empty_period_ms: Option<Option<u64>>,
    validators: Option<Vec<Address>>,
    block_reward: Option<U256>,
    /// The inner `None` is the proposer.
    beneficiary: Option<Option<Address>>,
    selection: SelectionFields,
    permissions: Patch,
    privacy: privacy::Patch,
}

/// One engine with its transitions.
struct EngineSchedule {
    format: HeaderFormat,
    from: u64,
    base: Engine,
    transitions: Vec<Transition>,
}

pub(super) fn read(mut root: Fields<'_>, mut warnings: Vec<String>) -> Result<Draft, GenesisError> {
    let mut header = foreign::read_header(&mut root)?;
    let base_fee = root.u64("baseFeePerGas")?;
    let alloc = match root.object("alloc")? {
        Some(accounts) => alloc::read(accounts, Names::AnyCase)?,
        None => return Err(root.error("alloc", "the field must be given")),
    };
    let mut config = root.object("config")?.ok_or_else(|| root.error("config", "the field must be given"))?;
    root.take("comment");
    root.finish()?;

    let chain_id = foreign::read_chain_id(&mut config)?;
    let forks = read_forks(&mut config, &header, &mut warnings)?;
    let engines = read_engines(&mut config, &mut warnings)?;
    let limits = read_limits(&mut config)?;
    let first = permissions::take(&mut config, Null::Refused)?.unwrap_or_default();
    let first_privacy = privacy::take(&mut config, Null::Refused)?.unwrap_or_default();
    ignore_rest(config, &mut warnings)?;

    let consensus = consensus_of(&engines);
    foreign::warn_of_selection(&consensus, &mut warnings);
    let limits = vec![(0, limits)];
    let permissions = permissions_of(&engines, first.over(Permissions::default()));
    let privacy = privacy_of(&engines, first_privacy.over(Privacy::default()));
    let spec = ChainSpec { chain_id, free_gas: false, forks, consensus, limits, permissions, privacy };
    let london = foreign::has_base_fee(&spec, header.timestamp);
    header.base_fee = base_fee.or(london.then_some(GENESIS_BASE_FEE));
    Ok(Draft { spec, header, alloc, warnings })
}

fn read_forks(
    config: &mut Fields<'_>,
    header: &HeaderFields,
    warnings: &mut Vec<String>,
) -> Result<Vec<(Fork, ForkStart)>, GenesisError> {
    let unsupported = "this fork adds fields to headers that this version does not support";
    for name in
        ["cancunTime", "pragueTime", "osakaTime", "amsterdamTime", "futureEipsTime", "experimentalEipsTime"]
    {
        if config.has(name) {
            return Err(config.error(name, unsupported));
        }
    }
    for name in ["fixedBaseFee", "evmStackSize", "ecCurve"] {
        if config.has(name) {
            return Err(config.error(name, "it is not supported"));
        }
    }
    if config.has("petersburgBlock") && config.has("constantinopleFixBlock") {
        return Err(config.error("constantinopleFixBlock", "it says the same as petersburgBlock"));
    }
    if !config.bool("zeroBaseFee")?.unwrap_or(false) && config.has("londonBlock") {
        let moving = "a base fee that moves is not supported: zeroBaseFee must be true";
        return Err(config.error("londonBlock", moving));
    }
    let mut forks = foreign::read_forks(config, Fork::London, warnings)?;
    if let Some(time) = config.u64("shanghaiTime")? {
        if time <= header.timestamp {
            return Err(config.error("shanghaiTime", unsupported));
        }
        if !forks.iter().any(|(fork, _)| *fork == Fork::London) {
            return Err(config.error("shanghaiTime", "it needs londonBlock, and zeroBaseFee"));
        }
        forks.push((Fork::Shanghai, ForkStart::Time(time)));
    }
    Ok(forks)
}

fn read_limits(config: &mut Fields<'_>) -> Result<Limits, GenesisError> {
    let code_size = match config.u64("contractSizeLimit")? {
        None => foreign::MIN_CODE_SIZE_BYTES,
        Some(bytes) => usize::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes <= i32::MAX as usize)
            .ok_or_else(|| config.error("contractSizeLimit", "the number is larger than 31 bits"))?,
    };
    Ok(Limits {
        code_size,
        init_code_size: code_size.saturating_mul(2),
        transaction_size: DEFAULT_BLOCK_SIZE_BYTES,
        block_size: DEFAULT_BLOCK_SIZE_BYTES,
        gas_limit: None,
    })
}

fn read_engines(
    config: &mut Fields<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<EngineSchedule>, GenesisError> {
    if let Some(other) = ["ethash", "clique"].into_iter().find(|name| config.has(name)) {
        return Err(config.error(other, "only qbft and ibft2 are supported"));
    }
    let mut transitions = config.object("transitions")?;
    let mut engines = Vec::new();
    for (name, format) in [("ibft2", HeaderFormat::Ibft2), ("qbft", HeaderFormat::Qbft)] {
        let Some(fields) = config.object(name)? else { continue };
        let (base, from) = read_engine(fields, format, warnings)?;
        let list = transitions.as_mut().map(|lists| read_transitions(lists, name, format, warnings));
        let list = list.transpose()?;
        if from == 0 && !engines.is_empty() {
            return Err(config.error(name, "beside ibft2 it needs startBlock"));
        }
        if from != 0 && engines.is_empty() {
            return Err(config.error(name, "startBlock needs ibft2 for the blocks before"));
        }
        engines.push(EngineSchedule { format, from, base, transitions: list.unwrap_or_default() });
    }
    if engines.is_empty() {
        return Err(config.error("qbft", "no consensus is given: qbft or ibft2 is needed"));
    }
    if let Some(transitions) = transitions {
        transitions.finish()?;
    }
    Ok(engines)
}

/// The engine and the block it begins with.
fn read_engine(
    mut fields: Fields<'_>,
    format: HeaderFormat,
    warnings: &mut Vec<String>,
) -> Result<(Engine, u64), GenesisError> {
    let said = read_selection(&mut fields, format)?;
    if said.by_contract == Some(false) && said.contract.is_some() {
        return Err(fields.error(SELECTION_MODE, format!("{SELECTION_CONTRACT} says otherwise")));
    }
    // Here the address alone is enough.
    let selection = Selection { by_contract: said.contract.is_some(), contract: said.contract };
    let period_ms = foreign::read_seconds_ms(&mut fields, "blockperiodseconds")?;
    let short_ms = fields.u64("xblockperiodmilliseconds")?.filter(|period| *period != 0);
    let empty_ms = foreign::read_seconds_ms(&mut fields, "xemptyblockperiodseconds")?;
    let engine = Engine {
        epoch_length: fields.u64("epochlength")?,
        period_ms: short_ms.or(period_ms),
        empty_period_ms: empty_ms.or(foreign::read_seconds_ms(&mut fields, "emptyblockperiodseconds")?),
        timeout_ms: foreign::read_seconds_ms(&mut fields, "requesttimeoutseconds")?,
        max_timeout_ms: None,
        sticky: false,
        validators: None,
        selection,
        block_reward: fields.quantity("blockreward")?.unwrap_or_default(),
        beneficiary: read_beneficiary(&mut fields)?.flatten(),
    };
    if engine.epoch_length == Some(0) {
        return Err(fields.error("epochlength", "it is at least 1"));
    }
    let from = fields.u64("startblock")?.unwrap_or(0);
    let local = [
        "gossipedhistorylimit",
        "messagequeuelimit",
        "duplicatemessagelimit",
        "futuremessageslimit",
        "futuremessagesmaxdistance",
    ];
    fields.finish_ignoring(&local, NODE_LOCAL, warnings)?;
    Ok((engine, from))
}

/// Only QBFT has a contract, and the mode needs its address in the same object.
fn read_selection(fields: &mut Fields<'_>, format: HeaderFormat) -> Result<SelectionFields, GenesisError> {
    let said = foreign::read_selection(fields)?;
    let by_contract = said.by_contract == Some(true);
    if by_contract && said.contract.is_none() {
        return Err(fields.error(SELECTION_CONTRACT, "the mode contract needs it"));
    }
    if said.contract.is_some() && format != HeaderFormat::Qbft {
        return Err(fields.error(SELECTION_CONTRACT, "only with qbft validators are chosen by a contract"));
    }
    Ok(said)
}

/// An empty text stands for the proposer, as an absent field does, but overrides what was before.
fn read_beneficiary(fields: &mut Fields<'_>) -> Result<Option<Option<Address>>, GenesisError> {
    let path = fields.path_of("miningbeneficiary");
    match fields.take("miningbeneficiary") {
        None => Ok(None),
        Some(Json::Text(text)) if text.trim().is_empty() => Ok(Some(None)),
        Some(value) => super::fields::address(&path, value).map(|address| Some(Some(address))),
    }
}

fn read_transitions(
    lists: &mut Fields<'_>,
    name: &str,
    format: HeaderFormat,
    warnings: &mut Vec<String>,
) -> Result<Vec<Transition>, GenesisError> {
    let mut read: Vec<Transition> = Vec::new();
    for mut fields in lists.objects(name)?.unwrap_or_default() {
        let block = fields.u64("block")?.ok_or_else(|| fields.error("block", "the field must be given"))?;
        if read.last().is_some_and(|last| last.block >= block) {
            return Err(fields.error("block", "blocks must ascend"));
        }
        let selection = read_selection(&mut fields, format)?;
        if selection.contract.is_some() && selection.by_contract != Some(true) {
            return Err(fields.error(SELECTION_MODE, format!("{SELECTION_CONTRACT} needs the mode contract")));
        }
        let validators = fields.addresses("validators")?;
        match &validators {
            Some(list) => check_validators(&fields.path_of("validators"), list, warnings)?,
            None if selection.by_contract == Some(false) => {
                return Err(fields.error("validators", "the mode blockheader needs a list"));
            }
            None => {}
        }
        let period_ms = foreign::read_seconds_ms(&mut fields, "blockperiodseconds")?;
        let short_ms = fields.u64("xblockperiodmilliseconds")?.filter(|period| *period != 0);
        let empty_given = fields.has("xemptyblockperiodseconds");
        let empty_ms = foreign::read_seconds_ms(&mut fields, "xemptyblockperiodseconds")?;
        read.push(Transition {
            block,
            period_ms: short_ms.or(period_ms),
            empty_period_ms: empty_given.then_some(empty_ms),
            validators,
            block_reward: fields.quantity("blockreward")?,
            beneficiary: read_beneficiary(&mut fields)?,
            selection,
            permissions: permissions::take(&mut fields, Null::TakesAway)?.unwrap_or_default(),
            privacy: privacy::take(&mut fields, Null::TakesAway)?.unwrap_or_default(),
        });
        fields.finish()?;
    }
    Ok(read)
}

/// Fields without effect here: each gives a warning, and any other that is left is an error.
fn ignore_rest(mut config: Fields<'_>, warnings: &mut Vec<String>) -> Result<(), GenesisError> {
    for name in SILENT {
        config.take(name);
    }
    let no_merge = "an Istanbul chain has no proof of work to leave";
    for name in ["terminalTotalDifficulty", "terminalBlockHash", "terminalBlockNumber", "mergeNetSplitBlock"]
    {
        if config.take(name).is_some() {
            warnings.push(format!("{} is ignored: {no_merge}", config.path_of(name)));
        }
    }
    let ignored = [
        "discovery",
        "checkpoint",
        "blobSchedule",
        "depositContractAddress",
        "withdrawalRequestContractAddress",
        "consolidationRequestContractAddress",
    ];
    config.finish_ignoring(&ignored, "it has no meaning before the forks that use it", warnings)
}

fn consensus_of(engines: &[EngineSchedule]) -> Vec<(u64, ConsensusParams)> {
    let heights: BTreeSet<u64> = engines
        .iter()
        .flat_map(|engine| engine.transitions.iter().map(|entry| entry.block).chain([engine.from]))
        .collect();
    foreign::params_by_height(&heights, |height| {
        let running = engines.iter().rfind(|engine| engine.from <= height);
        running.map_or_else(|| engines[0].params_at(height), |engine| engine.params_at(height))
    })
}

fn permissions_of(engines: &[EngineSchedule], first: Permissions) -> Vec<(u64, Permissions)> {
    laid_over(engines, first, |entry, base| entry.permissions.over(base))
}

fn privacy_of(engines: &[EngineSchedule], first: Privacy) -> Vec<(u64, Privacy)> {
    laid_over(engines, first, |entry, base| entry.privacy.over(base))
}

/// Rules that do not depend on the engine: the entries of all engines in the order of their blocks.
fn laid_over<T: Copy + PartialEq>(
    engines: &[EngineSchedule],
    first: T,
    over: fn(&Transition, T) -> T,
) -> Vec<(u64, T)> {
    let entries = || engines.iter().flat_map(|engine| &engine.transitions);
    let heights = std::iter::once(0).chain(entries().map(|entry| entry.block)).collect();
    foreign::by_height(
        &heights,
        |_| false,
        |height| {
            let mut begun: Vec<_> = entries().filter(|entry| entry.block <= height).collect();
            begun.sort_by_key(|entry| entry.block);
            begun.iter().fold(first, |base, entry| over(entry, base))
        },
    )
}

impl EngineSchedule {
    fn params_at(&self, height: u64) -> ConsensusParams {
        let mut engine = self.base.clone();
        for entry in self.transitions.iter().filter(|entry| entry.block <= height) {
            engine.period_ms = entry.period_ms.or(engine.period_ms);
            engine.empty_period_ms = entry.empty_period_ms.unwrap_or(engine.empty_period_ms);
            engine.block_reward = entry.block_reward.unwrap_or(engine.block_reward);
            engine.beneficiary = entry.beneficiary.unwrap_or(engine.beneficiary);
            engine.selection = entry.selection.over(engine.selection);
            if entry.block == height {
                engine.validators.clone_from(&entry.validators);
            }
        }
        engine.params(self.format, QuorumRule::CeilTwoThirds, ClientRules::Besu, DEFAULTS)
    }
}
