//! Accounts and storage.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector, Quantity};
use crate::privacy::parties;
use crate::privacy::states::{private_at, state_of};
use crate::register::Table;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use jsonrpsee::types::Params;
use lonja_primitives::{Account, StateView};
use lonja_storage::{AccountProof, ProofLimits, SlotProof, StateAt};
use serde::Serialize;
use std::time::Instant;

pub(super) fn register(table: &mut Table) {
    table.read("eth_getBalance", balance);
    table.read("eth_getCode", code);
    table.read("eth_getStorageAt", storage_at);
    table.read("eth_getTransactionCount", transaction_count);
    table.heavy("eth_getProof", proof);
}

/// Most slots in one proof (geth's bound).
const PROOF_SLOTS_MAX: usize = 1_024;

/// The account, in the state that it belongs to after the block that the parameter names; the head's when it is absent.
fn account(context: &Context, args: &Args<'_>, block: usize) -> Result<(StateAt, Account), RpcError> {
    let address: Address = args.required(0, "address")?;
    let selector = args.optional(block, "block")?.unwrap_or(BlockSelector::Latest);
    let state = state_of(context, selector, &address)?;
    let account = state.account(&address)?.unwrap_or_default();
    Ok((state, account))
}

fn balance(context: &Context, params: &Params<'_>) -> Result<U256, RpcError> {
    Ok(account(context, &Args::new(params, 2)?, 1)?.1.balance)
}

fn code(context: &Context, params: &Params<'_>) -> Result<Bytes, RpcError> {
    let (state, account) = account(context, &Args::new(params, 2)?, 1)?;
    Ok(state.code(&account.code_hash)?)
}

fn storage_at(context: &Context, params: &Params<'_>) -> Result<B256, RpcError> {
    let args = Args::new(params, 3)?;
    let address: Address = args.required(0, "address")?;
    let slot: Quantity<U256> = args.required(1, "slot")?;
    let selector = args.optional(2, "block")?.unwrap_or(BlockSelector::Latest);
    Ok(B256::from(state_of(context, selector, &address)?.storage(&address, &slot.0)?))
}

/// With the tag `pending`: the nonce that the sender's next transaction needs, after all that wait in the pool
/// without a gap.
fn transaction_count(context: &Context, params: &Params<'_>) -> Result<U64, RpcError> {
    let args = Args::new(params, 2)?;
    let address: Address = args.required(0, "address")?;
    let selector = args.optional(1, "block")?;
    let nonce = account(context, &args, 1)?.1.nonce;
    if selector != Some(BlockSelector::Pending) {
        return Ok(U64::from(nonce));
    }
    let waiting = context.node.pool.lock().pending_nonce(&address);
    Ok(U64::from(waiting.unwrap_or(0).max(nonce)))
}

/// An account with the nodes that prove it (EIP-1186).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProofView {
    address: Address,
    account_proof: Vec<Bytes>,
    balance: U256,
    code_hash: B256,
    nonce: U64,
    storage_hash: B256,
    storage_proof: Vec<SlotProofView>,
}

#[derive(Debug, Serialize)]
struct SlotProofView {
    /// As the client wrote it: some compare.
    key: String,
    value: U256,
    proof: Vec<Bytes>,
}

fn proof(context: &Context, params: &Params<'_>) -> Result<ProofView, RpcError> {
    let args = Args::new(params, 3)?;
    let address: Address = args.required(0, "address")?;
    let keys: Vec<String> = args.required(1, "storageKeys")?;
    let slots: Vec<Quantity<U256>> = args.required(1, "storageKeys")?;
    let selector = args.optional(2, "block")?.unwrap_or(BlockSelector::Latest);
    if keys.len() > PROOF_SLOTS_MAX {
        return Err(RpcError::InvalidParams(format!("too many slots (max {PROOF_SLOTS_MAX})")));
    }
    let slots = keys.into_iter().zip(slots).map(|(key, slot)| Slot { key, slot: slot.0 }).collect();
    match private_at(context, selector, &address)? {
        Some((number, _)) => prove_private(context, number, address, slots),
        None => prove(context, context.known_height(selector)?, address, slots),
    }
}

/// A slot to be proved.
pub(crate) struct Slot {
    /// What the answer names it by.
    pub(crate) key: String,
    pub(crate) slot: U256,
}

/// Proves an account and slots of it after a block that is known.
pub(crate) fn prove(
    context: &Context,
    number: u64,
    address: Address,
    slots: Vec<Slot>,
) -> Result<ProofView, RpcError> {
    let proof = context.node.reader.proof(number, &address, &wanted(&slots), &proof_limits(context))?;
    Ok(proof_view(proof, slots))
}

/// The same against the root of the private state, which no header carries.
fn prove_private(
    context: &Context,
    number: u64,
    address: Address,
    slots: Vec<Slot>,
) -> Result<ProofView, RpcError> {
    let reader = &parties(context)?.reader;
    Ok(proof_view(reader.proof(number, &address, &wanted(&slots), &proof_limits(context))?, slots))
}

fn wanted(slots: &[Slot]) -> Vec<U256> {
    slots.iter().map(|slot| slot.slot).collect()
}

fn proof_limits(context: &Context) -> ProofLimits {
    ProofLimits { changes: context.limits.proof_changes, until: Instant::now() + context.limits.call_time }
}

fn proof_view(proof: AccountProof, slots: Vec<Slot>) -> ProofView {
    let account = proof.account.unwrap_or_default();
    let view = |(slot, proved): (Slot, SlotProof)| SlotProofView {
        key: slot.key,
        value: proved.value,
        proof: proved.proof,
    };
    ProofView {
        address: proof.address,
        account_proof: proof.proof,
        balance: account.balance,
        code_hash: account.code_hash,
        nonce: U64::from(account.nonce),
        storage_hash: proof.storage_root,
        storage_proof: slots.into_iter().zip(proof.storage).map(view).collect(),
    }
}
