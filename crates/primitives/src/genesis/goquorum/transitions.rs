//! `config.transitions` of GoQuorum's shape.

use super::super::GenesisError;
use super::super::fields::Fields;
use super::super::foreign::{self, Engine, SELECTION_CONTRACT, SELECTION_MODE, SelectionFields};
use super::super::header::check_validators;
use super::super::permissions::{self, Null, Patch};
use super::super::privacy;
use super::MAX_TIMEOUT;
use crate::HeaderFormat;
use alloy_primitives::{Address, U256};

/// The timeout of round 0.
const TIMEOUT: &str = "requesttimeoutseconds";

/// One entry: what it sets, from `block` on.
#[derive(Clone, Debug, Default)]
pub(super) struct Transition {
    path: String,
    pub(super) block: u64,
    pub(super) algorithm: Option<HeaderFormat>,
    pub(super) two_f_plus_one: Option<bool>,
    pub(super) paid_gas: Option<bool>,
    pub(super) code_size_kb: Option<u64>,
    pub(super) transaction_size_kb: Option<u64>,
    /// Whether GoQuorum asks the permission contracts.
    pub(super) permitted: Option<bool>,
    pub(super) permissions: Option<Patch>,
    /// `privacyEnhancementsEnabled`.
    pub(super) enhancements: Option<bool>,
    /// `privacyPrecompileEnabled`.
    pub(super) markers: Option<bool>,
    pub(super) privacy: Option<privacy::Patch>,
    selection: SelectionFields,
    epoch_length: Option<u64>,
    period_ms: Option<u64>,
    /// The inner `None` switches the period off, which only this field can say.
    empty_period_ms: Option<Option<u64>>,
    timeout_ms: Option<u64>,
    max_timeout_ms: Option<u64>,
    validators: Option<Vec<Address>>,
    block_reward: Option<U256>,
    /// The inner `None` is the proposer.
    beneficiary: Option<Option<Address>>,
}

/// Reads and checks the list. `begun`: the chain is QBFT from block 0.
pub(super) fn read(
    config: &mut Fields<'_>,
    begun: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<Transition>, GenesisError> {
    let mut list: Vec<Transition> = Vec::new();
    let mut qbft = begun;
    for fields in config.objects("transitions")?.unwrap_or_default() {
        let entry = read_entry(fields, warnings)?;
        if list.last().is_some_and(|last| last.block > entry.block) {
            return Err(GenesisError::new(entry.path_of("block"), "blocks must not descend"));
        }
        match entry.algorithm {
            Some(HeaderFormat::Qbft) => qbft = true,
            Some(_) if qbft => {
                return Err(GenesisError::new(entry.path_of("algorithm"), "there is no way back from qbft"));
            }
            _ => {}
        }
        list.push(entry);
    }
    Ok(list)
}

fn read_entry(mut fields: Fields<'_>, warnings: &mut Vec<String>) -> Result<Transition, GenesisError> {
    let block = fields.u64("block")?.ok_or_else(|| fields.error("block", "the field must be given"))?;
    let selection = foreign::read_selection(&mut fields)?;
    if selection.contract.is_some() && selection.by_contract != Some(true) {
        return Err(fields.error(SELECTION_MODE, format!("{SELECTION_CONTRACT} needs the mode contract")));
    }
    let validators = fields.addresses("validators")?;
    if let Some(validators) = &validators {
        let path = fields.path_of("validators");
        check_validators(&path, validators, warnings)?;
        warnings
            .push(format!("{path} holds from block {block} on; GoQuorum nodes did not agree on the block"));
    }
    let empty_period = fields.has("emptyblockperiodseconds");
    let empty_ms = foreign::read_seconds_ms(&mut fields, "emptyblockperiodseconds")?;
    let entry = Transition {
        path: fields.path_of(""),
        block,
        algorithm: read_algorithm(&mut fields)?,
        two_f_plus_one: fields.bool("2FPlus1Enabled")?,
        paid_gas: fields.bool("gasPriceEnabled")?,
        code_size_kb: read_size(&mut fields, "contractsizelimit", 24..=128)?,
        transaction_size_kb: read_size(&mut fields, "transactionSizeLimit", 32..=128)?,
        permitted: fields.bool("enhancedPermissioningEnabled")?,
        permissions: permissions::take(&mut fields, Null::TakesAway)?,
        enhancements: fields.bool("privacyEnhancementsEnabled")?,
        markers: fields.bool("privacyPrecompileEnabled")?,
        privacy: privacy::take(&mut fields, Null::TakesAway)?,
        selection,
        epoch_length: fields.u64("epochlength")?.filter(|epoch| *epoch != 0),
        period_ms: foreign::read_seconds_ms(&mut fields, "blockperiodseconds")?,
        empty_period_ms: empty_period.then_some(empty_ms),
        timeout_ms: foreign::read_seconds_ms(&mut fields, TIMEOUT)?,
        max_timeout_ms: foreign::read_seconds_ms(&mut fields, MAX_TIMEOUT)?,
        validators,
        block_reward: fields.quantity("blockReward")?,
        beneficiary: read_beneficiary(&mut fields, warnings)?,
    };
    let why = "it guides only who builds a block; any gas limit is valid";
    fields.finish_ignoring(&["miner.gaslimit"], why, warnings)?;
    Ok(entry)
}

fn read_algorithm(fields: &mut Fields<'_>) -> Result<Option<HeaderFormat>, GenesisError> {
    match fields.text("algorithm")? {
        None => Ok(None),
        Some(name) if name.eq_ignore_ascii_case("ibft") => Ok(Some(HeaderFormat::Ibft1)),
        Some(name) if name.eq_ignore_ascii_case("qbft") => Ok(Some(HeaderFormat::Qbft)),
        Some(name) => Err(fields.error("algorithm", format!("{name} is neither ibft nor qbft"))),
    }
}

fn read_size(
    fields: &mut Fields<'_>,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, GenesisError> {
    match fields.u64(name)? {
        None | Some(0) => Ok(None),
        Some(kb) if range.contains(&kb) => Ok(Some(kb)),
        Some(_) => Err(fields.error(name, format!("it is from {} to {} (KB)", range.start(), range.end()))),
    }
}

/// `validators` and `validator` turn back to the proposer; an address, alone or with `fixed`, sets the
/// receiver.
fn read_beneficiary(
    fields: &mut Fields<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<Option<Address>>, GenesisError> {
    let address = fields.address("miningBeneficiary")?;
    match fields.text("beneficiaryMode")? {
        Some("validators" | "validator") => Ok(Some(None)),
        None | Some("fixed") => Ok(address.map(Some)),
        Some("" | "list") => {
            warnings.push(format!("{} is ignored: it has no effect", fields.path_of("beneficiaryMode")));
            Ok(None)
        }
        Some(mode) => Err(fields.error("beneficiaryMode", format!("{mode} is not fixed or validators"))),
    }
}

impl Transition {
    /// The path of a field of this entry.
    pub(super) fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// The path of the timeout that this entry sets, or of the bound, if it sets one of them.
    pub(super) fn timeout_path(&self) -> Option<String> {
        let name = match (self.max_timeout_ms, self.timeout_ms) {
            (Some(_), _) => MAX_TIMEOUT,
            (None, Some(_)) => TIMEOUT,
            (None, None) => return None,
        };
        Some(self.path_of(name))
    }

    /// Whether the entry says anything of how validators are chosen.
    pub(super) fn chooses(&self) -> bool {
        self.selection.by_contract.is_some()
    }

    /// Sets what the entry sets. A list of validators counts only at the very block it stands for: it
    /// replaces the set once.
    pub(super) fn apply(&self, engine: &mut Engine, height: u64) {
        let keep = |mine: Option<u64>, theirs: &mut Option<u64>| *theirs = mine.or(*theirs);
        keep(self.epoch_length, &mut engine.epoch_length);
        keep(self.period_ms, &mut engine.period_ms);
        keep(self.timeout_ms, &mut engine.timeout_ms);
        keep(self.max_timeout_ms, &mut engine.max_timeout_ms);
        if let Some(empty) = self.empty_period_ms {
            engine.empty_period_ms = empty;
        }
        if let Some(reward) = self.block_reward {
            engine.block_reward = reward;
        }
        if let Some(beneficiary) = self.beneficiary {
            engine.beneficiary = beneficiary;
        }
        engine.selection = self.selection.over(engine.selection);
        if height == self.block && self.validators.is_some() {
            engine.validators.clone_from(&self.validators);
        }
    }
}
