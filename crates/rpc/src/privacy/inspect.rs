//! What is private at this node, and how it is protected.

use super::states::{private_at, state_of};
use super::{RpcPrivacy, payloads_of};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector};
use crate::register::Table;
use alloy_primitives::{Address, B256, Bytes};
use jsonrpsee::types::Params;
use lonja_primitives::spec::MARKER_PRECOMPILE;
use lonja_primitives::{PayloadHash, StateView};
use lonja_ptm::PublicKey;
use serde::Serialize;

/// The only private state here, by GoQuorum's name for it.
const STATE_NAME: &str = "private";

pub(super) fn register(table: &mut Table) {
    table.inline("eth_getPSI", |_, _| Ok(STATE_NAME));
    table.inline("eth_getPrivacyPrecompileAddress", |_, _| Ok(MARKER_PRECOMPILE));
    table.read("eth_getContractPrivacyMetadata", contract_metadata);
    table.read("eth_storageRoot", storage_root);
    table.read("debug_privateStateRoot", state_root);
    table.read("debug_defaultStateRoot", state_root);
    table.read("debug_dumpAddress", dump_address);
}

/// How a private contract is protected.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContractView {
    creation_tx_hash: PayloadHash,
    privacy_flag: u8,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mandatory_for: Vec<PublicKey>,
}

/// An account as geth dumps it. Slots are not listed: the store knows them by the hashes of their numbers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountView {
    /// In decimal.
    balance: String,
    nonce: u64,
    root: B256,
    code_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Bytes>,
    address: Address,
}

fn contract_metadata(context: &Context, params: &Params<'_>) -> Result<ContractView, RpcError> {
    let privacy = payloads_of(context)?;
    let address: Address = Args::new(params, 1)?.required(0, "address")?;
    let Some((number, _)) = private_at(context, BlockSelector::Latest, &address)? else {
        let text = format!("{address:#x}: the provided address is not a private contract");
        return Err(RpcError::Refused(text));
    };
    let record = privacy.reader.contract(&address, number)?;
    let record = record
        .ok_or_else(|| RpcError::Refused(format!("no privacy metadata data for contract {address:#x}")))?;
    Ok(ContractView {
        creation_tx_hash: record.creation,
        privacy_flag: record.flag,
        mandatory_for: record.mandatory.into_iter().map(PublicKey).collect(),
    })
}

fn storage_root(context: &Context, params: &Params<'_>) -> Result<B256, RpcError> {
    let args = Args::new(params, 2)?;
    let address: Address = args.required(0, "address")?;
    let selector = args.optional(1, "block")?.unwrap_or(BlockSelector::Latest);
    if context.height(selector)?.is_none() {
        return Err(RpcError::Refused("invalid block number".to_owned()));
    }
    let account = state_of(context, selector, &address)?.flat_account(&address)?;
    let account = account.ok_or_else(|| RpcError::Refused("can't find state object".to_owned()))?;
    Ok(account.storage_root)
}

/// The root of the private state, which no header carries: parties of the same transactions compare it by hand. There is one
/// private state, and it is the default one.
fn state_root(context: &Context, params: &Params<'_>) -> Result<B256, RpcError> {
    let privacy = payloads_of(context)?;
    let number = known_private(context, privacy, &Args::new(params, 1)?, 0)?;
    Ok(privacy.reader.root_at(number)?)
}

/// The block that is meant, if the private state has come to it; its head where none is named.
fn known_private(
    context: &Context,
    privacy: &RpcPrivacy,
    args: &Args<'_>,
    index: usize,
) -> Result<u64, RpcError> {
    let number = match args.optional(index, "block")?.unwrap_or(BlockSelector::Latest) {
        BlockSelector::Latest | BlockSelector::Pending => privacy.reader.head().number,
        other => context.known_height(other)?,
    };
    if privacy.comes_to(number) { Ok(number) } else { Err(privacy.behind(number)) }
}

fn dump_address(context: &Context, params: &Params<'_>) -> Result<AccountView, RpcError> {
    let args = Args::new(params, 2)?;
    let address: Address = args.required(0, "address")?;
    let selector = args.optional(1, "block")?.unwrap_or(BlockSelector::Latest);
    let state = state_of(context, selector, &address)?;
    let flat = state.flat_account(&address)?;
    let flat = flat.ok_or_else(|| RpcError::Refused("error retrieving address state".to_owned()))?;
    Ok(AccountView {
        balance: flat.account.balance.to_string(),
        nonce: flat.account.nonce,
        root: flat.storage_root,
        code_hash: flat.account.code_hash,
        code: Some(state.code(&flat.account.code_hash)?).filter(|code| !code.is_empty()),
        address,
    })
}
