//! What can be said of a transaction without a state, and how it is handed to revm.

use crate::invalid::TxInvalid;
use crate::machine::spec_id;
use alloy_consensus::Transaction as _;
use lonja_primitives::{BlockRules, Fork, RecoveredTransaction};
use revm::context::TxEnv;
use revm::context_interface::cfg::GasParams;
use revm::context_interface::either::Either;

/// The most gas a transaction may ask for from Osaka on: 2^24 (EIP-7825).
const OSAKA_TRANSACTION_GAS_CAP: u64 = 1 << 24;

/// The largest code limit under which every contract can still be deployed within [`OSAKA_TRANSACTION_GAS_CAP`]:
/// a byte costs up to 240 gas (200 to store it, 40 as call data under EIP-7623).
const LARGEST_CODE_UNDER_CAP: usize = 65_536;

/// The most gas one transaction may ask for, where there is such a rule: EIP-7825 from Osaka on. A network whose
/// rules allow contracts so large that the cap would forbid to deploy them has no cap.
pub fn transaction_gas_cap(rules: &BlockRules) -> Option<u64> {
    let capped = rules.fork >= Fork::Osaka && rules.limits.code_size <= LARGEST_CODE_UNDER_CAP;
    capped.then_some(OSAKA_TRANSACTION_GAS_CAP)
}

/// The least gas limit with which this transaction can be in a block under these rules (the intrinsic gas, and from
/// Prague on at least the floor of EIP-7623), or the rule it breaks. Needs no state: nonce and balance are not
/// looked at.
pub fn intrinsic_gas(rules: &BlockRules, tx: &RecoveredTransaction) -> Result<u64, TxInvalid> {
    check_shape(rules, tx)?;
    let inner = tx.tx();
    let list = inner.access_list();
    let accounts = list.map_or(0, |list| list.len() as u64);
    let slots = list.map_or(0, |list| list.storage_keys_count() as u64);
    let authorizations = inner.authorization_list().map_or(0, |list| list.len() as u64);
    let gas = GasParams::new_spec(spec_id(rules.fork)).initial_tx_gas(
        inner.input(),
        inner.is_create(),
        accounts,
        slots,
        authorizations,
        None,
    );
    let (have, want) = (tx.gas_limit(), gas.initial_total_gas());
    if want > have {
        return Err(TxInvalid::IntrinsicGas { have, want });
    }
    if rules.fork < Fork::Prague {
        return Ok(want);
    }
    let floor = gas.floor_gas();
    if floor > have {
        return Err(TxInvalid::FloorDataGas { have, want: floor });
    }
    Ok(want.max(floor))
}

/// The rules that concern the transaction alone, without its gas.
pub(crate) fn check_shape(rules: &BlockRules, tx: &RecoveredTransaction) -> Result<(), TxInvalid> {
    let (tx_type, address) = (tx.tx_type(), tx.sender());
    if type_begins_with(tx_type).is_none_or(|first| rules.fork < first) {
        return Err(TxInvalid::TypeNotSupported { tx_type, fork: rules.fork });
    }
    if tx.is_private() {
        check_private(rules, tx)?;
    }
    let (size, limit) = (tx.raw().len(), rules.limits.transaction_size);
    if size > limit {
        return Err(TxInvalid::TooLarge { size, limit });
    }
    let (size, limit) = (tx.tx().input().len(), rules.limits.init_code_size);
    if rules.fork >= Fork::Shanghai && tx.kind().is_create() && size > limit {
        return Err(TxInvalid::InitCodeTooLarge { size, limit });
    }
    if let Some(cap) = transaction_gas_cap(rules).filter(|cap| tx.gas_limit() > *cap) {
        return Err(TxInvalid::GasLimitTooHigh { cap, tx: tx.gas_limit() });
    }
    if tx.nonce() == u64::MAX {
        return Err(TxInvalid::NonceMax { address });
    }
    if tx.tx().authorization_list().is_some_and(|list| list.is_empty()) {
        return Err(TxInvalid::EmptyAuthorizationList);
    }
    let (tip, fee) = (tx.tx().max_priority_fee_per_gas().unwrap_or(0), tx.max_fee_per_gas());
    if tip > fee {
        return Err(TxInvalid::TipAboveFee { address, tip, fee });
    }
    Ok(())
}

/// A private transaction moves no value: its parties alone would see where it went.
fn check_private(rules: &BlockRules, tx: &RecoveredTransaction) -> Result<(), TxInvalid> {
    if !rules.privacy.transactions {
        return Err(TxInvalid::PrivateNotEnabled { chain_id: rules.chain_id });
    }
    if !tx.value().is_zero() {
        return Err(TxInvalid::PrivateValue);
    }
    Ok(())
}

/// The fork that brought a type of transaction; blob transactions have none on our networks.
fn type_begins_with(tx_type: u8) -> Option<Fork> {
    match tx_type {
        0 => Some(Fork::Frontier),
        1 => Some(Fork::Berlin),
        2 => Some(Fork::London),
        4 => Some(Fork::Prague),
        _ => None,
    }
}

/// The transaction as revm takes it. With free gas every price is 0, so that nothing is charged, only the value
/// must be there, and contracts see a price of 0.
pub(crate) fn tx_env(rules: &BlockRules, tx: &RecoveredTransaction) -> TxEnv {
    let inner = tx.tx();
    let tip = inner.max_priority_fee_per_gas();
    let authorizations = inner.authorization_list().unwrap_or_default();
    TxEnv {
        tx_type: tx.tx_type(),
        caller: tx.sender(),
        gas_limit: tx.gas_limit(),
        gas_price: if rules.free_gas { 0 } else { tx.max_fee_per_gas() },
        kind: tx.kind(),
        value: tx.value(),
        data: inner.input().clone(),
        nonce: tx.nonce(),
        // The `v` of a private one looks like chain id 1.
        chain_id: inner.chain_id().filter(|_| !tx.is_private()),
        access_list: inner.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: if rules.free_gas { tip.map(|_| 0) } else { tip },
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: authorizations.iter().cloned().map(Either::Left).collect(),
    }
}
