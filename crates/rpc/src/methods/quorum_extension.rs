//! `quorumExtension_`: giving a private contract to one more party, by GoQuorum's methods and in its words.
//!
//! What the methods do is to send private transactions about a management contract; the rest happens in the second pass
//! (`chain::private::extension`) and at the creator's node. Differences from GoQuorum:
//!
//! * A contract without protection is extended by its parties only: a node that does not have it cannot.
//! * Parties of the extension need not be named again: the recipient is told them.
//! * GoQuorum wants administrators of organisations on networks with its enhanced permissions. No contract that lonja asks
//!   knows of such a rule: who may transact may extend.

mod sender;

use super::accounts::request::SendRequest;
use super::accounts::sending;
use super::accounts::signing::Authority;
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, Quantity};
use crate::privacy::{RpcPrivacy, parties};
use crate::register::Table;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY};
use alloy_sol_types::SolCall;
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use lonja_chain::private::extension::contract::{DEFAULT_GAS, Extension as Management, creation};
use lonja_chain::private::extension::index::{Extension, look};
use lonja_primitives::{PayloadHash, StateView};
use lonja_ptm::{Lookup, Metadata, PrivacyMode, PublicKey, SendRequest as Parcel};
use lonja_storage::private::ContractRecord;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeSet;
use std::sync::Arc;

pub use sender::{ExtensionSender, parties_of};

pub(crate) fn register(table: &mut Table) {
    table.heavy("quorumExtension_activeExtensionContracts", active_extensions);
    table.read("quorumExtension_getExtensionStatus", status);
    table.waiting("quorumExtension_extendContract", |context, params| answer(extend(context, params)));
    table.waiting("quorumExtension_approveExtension", |context, params| answer(approve(context, params)));
    table.waiting("quorumExtension_cancelExtension", |context, params| answer(cancel(context, params)));
    table.waiting("quorumExtension_generateExtensionApprovalUuid", |context, params| {
        answer(approval_uuid(context, params))
    });
}

fn answer<T: Serialize + 'static>(
    result: impl Future<Output = Result<T, RpcError>> + Send + 'static,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move { to_raw_value(&result.await?).map_err(|error| RpcError::Internal(error.to_string())) }.boxed()
}

fn refused<T>(text: &str) -> Result<T, RpcError> {
    Err(RpcError::Refused(text.to_owned()))
}

/// An extension as GoQuorum lists it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtensionView {
    contract_extended: Address,
    initiator: Address,
    recipient: Address,
    management_contract_address: Address,
    recipient_ptm_key: String,
    creation_data: PayloadHash,
}

fn active_extensions(context: &Context, params: &Params<'_>) -> Result<Vec<ExtensionView>, RpcError> {
    Args::new(params, 0)?;
    let views = open_extensions(context, parties(context)?)?.into_iter().map(|extension| ExtensionView {
        contract_extended: extension.state.contract,
        initiator: extension.state.creator,
        recipient: extension.state.recipient,
        management_contract_address: extension.management,
        recipient_ptm_key: extension.state.key,
        creation_data: extension.creation,
    });
    Ok(views.collect())
}

fn open_extensions(context: &Context, privacy: &RpcPrivacy) -> Result<Vec<Extension>, RpcError> {
    let mut index = context.extensions.lock();
    while !index.look_on(&privacy.reader)? {}
    Ok(index.open(&privacy.reader)?)
}

fn status(context: &Context, params: &Params<'_>) -> Result<&'static str, RpcError> {
    let management: Address = Args::new(params, 1)?.required(0, "managementContract")?;
    let extension = find(parties(context)?, &management)?;
    Ok(if extension.state.finished { "DONE" } else { "ACTIVE" })
}

fn find(privacy: &RpcPrivacy, management: &Address) -> Result<Extension, RpcError> {
    let none =
        || RpcError::Refused(format!("{management:#x} manages no extension that this node is a party to"));
    look(&privacy.reader, management)?.ok_or_else(none)
}

async fn extension_at(context: &Arc<Context>, management: Address) -> Result<Extension, RpcError> {
    let owned = Arc::clone(context);
    context.workers.reads.run(move || find(parties(&owned)?, &management)).await
}

/// Deploys the management contract.
async fn extend(context: Arc<Context>, params: Params<'static>) -> Result<B256, RpcError> {
    let args = Args::new(&params, 4)?;
    let contract: Address = args.required(0, "toExtend")?;
    let key: String = args.required(1, "newRecipientPtmPublicKey")?;
    let recipient: Address = args.required(2, "recipientAddr")?;
    let mut request = SendRequest::read(&args, 3)?;
    let privacy = Arc::clone(parties(&context)?);
    let owned = Arc::clone(&context);
    let extendable = move || extendable(&owned, &contract, &recipient);
    let record = context.workers.heavy.run(extendable).await?;
    let record = record.filter(|record| record.flag != PrivacyMode::Standard.flag());
    if let Some(record) = &record
        && !privacy.manager.is_sender(record.creation).await?
    {
        return refused("operation not allowed");
    }
    if request.from == recipient {
        return refused("account accepting the extension cannot be the account initiating extension");
    }
    let Ok(key) = key.parse::<PublicKey>() else {
        return refused("invalid new recipient transaction manager key provided");
    };
    let given = request.private.private_for.take().unwrap_or_default();
    if !matches!(given.as_slice(), [] | [_]) || given.iter().any(|given| *given != key.to_string()) {
        return refused("mismatch between recipient transaction manager key and privateFor argument");
    }
    let (from, others) = begun_by(&privacy, &request, record.as_ref()).await?;
    let parties: BTreeSet<PublicKey> = others.into_iter().chain([from, key]).collect();
    let parties: Vec<PublicKey> = parties.into_iter().collect();
    request.private.private_from = Some(from.to_string());
    let mandatory =
        record.as_ref().map(|record| record.mandatory.iter().map(|key| PublicKey(*key)).collect());
    let protection = (record.map_or(0, |record| record.flag), mandatory.unwrap_or_default());
    protect(&mut request, protection, &parties);
    request.to = None;
    let payload = creation(contract, recipient, &key, &parties);
    send(context, request, payload).await
}

/// Whether this node can extend the contract now; what is known of it.
fn extendable(
    context: &Context,
    contract: &Address,
    recipient: &Address,
) -> Result<Option<ContractRecord>, RpcError> {
    let privacy = parties(context)?;
    if open_extensions(context, privacy)?.iter().any(|open| open.state.contract == *contract) {
        return refused("contract extension in progress for the given contract address");
    }
    let number = privacy.reader.head().number;
    let has_code = |state: &dyn StateView| -> Result<bool, RpcError> {
        Ok(state.account(contract)?.is_some_and(|account| account.code_hash != KECCAK256_EMPTY))
    };
    let private = has_code(&privacy.reader.state_at(number)?)?;
    if !private && has_code(&context.state(context.head().number)?)? {
        return refused("extending a public contract!!! not allowed");
    }
    if recipient.is_zero() {
        return refused("invalid recipient address");
    }
    if !private {
        return refused("extending a non-existent private contract!!! not allowed");
    }
    Ok(privacy.reader.contract(contract, number)?)
}

/// Who begins an extension, and the parties that the contract has already. Those of a protected one hear of it, and it must
/// be the same party that made it.
async fn begun_by(
    privacy: &RpcPrivacy,
    request: &SendRequest,
    protected: Option<&ContractRecord>,
) -> Result<(PublicKey, Vec<PublicKey>), RpcError> {
    if let Some(record) = protected {
        let Lookup::Found(payload) = privacy.manager.lookup(record.creation).await else {
            return refused("operation not allowed");
        };
        return Ok((payload.sender, privacy.manager.participants(record.creation).await?));
    }
    let from = match request.private.private_from.as_deref().filter(|from| !from.is_empty()) {
        Some(from) => {
            from.parse().map_err(|error| RpcError::InvalidParams(format!("privateFrom: {error}")))?
        }
        None => {
            let none = || RpcError::Refused("the private transaction manager has no key".to_owned());
            privacy.manager.keys().await?.first().copied().ok_or_else(none)?
        }
    };
    Ok((from, Vec::new()))
}

/// Votes for the recipient.
async fn approve(context: Arc<Context>, params: Params<'static>) -> Result<B256, RpcError> {
    let args = Args::new(&params, 3)?;
    let management: Address = args.required(0, "managementContract")?;
    let vote: bool = args.required(1, "vote")?;
    let request = SendRequest::read(&args, 2)?;
    let privacy = Arc::clone(parties(&context)?);
    let extension = extension_at(&context, management).await?;
    may_vote(&extension, &request.from)?;
    let nextuuid = match vote {
        true => consent(&privacy, &extension).await?.to_string(),
        false => String::new(),
    };
    let key = extension.state.key.clone();
    let call = Management::doVoteCall { vote, nextuuid }.abi_encode();
    manage(context, request, extension, Some(key), call.into()).await
}

fn may_vote(extension: &Extension, account: &Address) -> Result<(), RpcError> {
    if extension.state.finished {
        return refused("contract extension process complete. nothing to accept");
    }
    if extension.state.recipient != *account {
        return refused("account is not acceptor of this extension request");
    }
    match extension.state.vote {
        Some(_) => refused("already voted"),
        None => Ok(()),
    }
}

/// Says to ourselves, by a payload that nobody else gets, that this extension may bring a contract to this node.
async fn consent(privacy: &RpcPrivacy, extension: &Extension) -> Result<PayloadHash, RpcError> {
    let Ok(key) = extension.state.key.parse::<PublicKey>() else {
        return refused("invalid new recipient transaction manager key provided");
    };
    let payload = Bytes::copy_from_slice(extension.management.as_slice());
    let parcel = Parcel { payload, from: Some(key), to: Vec::new(), metadata: Metadata::default() };
    Ok(privacy.manager.send(parcel).await?.hash)
}

/// The consent alone, for a vote that is signed elsewhere.
async fn approval_uuid(context: Arc<Context>, params: Params<'static>) -> Result<PayloadHash, RpcError> {
    let args = Args::new(&params, 3)?;
    let management: Address = args.required(0, "managementContract")?;
    let signer: Address = args.required(1, "externalSignerAddress")?;
    let privacy = Arc::clone(parties(&context)?);
    let extension = extension_at(&context, management).await?;
    may_vote(&extension, &signer)?;
    consent(&privacy, &extension).await
}

/// Ends it for the creator.
async fn cancel(context: Arc<Context>, params: Params<'static>) -> Result<B256, RpcError> {
    let args = Args::new(&params, 2)?;
    let management: Address = args.required(0, "managementContract")?;
    let request = SendRequest::read(&args, 1)?;
    let extension = extension_at(&context, management).await?;
    if extension.state.finished {
        return refused("contract extension process complete. nothing to cancel");
    }
    if extension.state.creator != request.from {
        return refused("account is not the creator of this extension request");
    }
    manage(context, request, extension, None, Management::finishCall {}.abi_encode().into()).await
}

/// Sends something to a management contract, so that all parties of the extension get it. `from`: the sending party, where
/// the request names none.
async fn manage(
    context: Arc<Context>,
    mut request: SendRequest,
    extension: Extension,
    from: Option<String>,
    call: Bytes,
) -> Result<B256, RpcError> {
    let privacy = Arc::clone(parties(&context)?);
    let parties = parties_of(&*privacy.manager, &extension).await?;
    if parties.is_empty() {
        return refused("must specify private participants");
    }
    let known = |text: &String| text.parse::<PublicKey>().is_ok_and(|key| parties.contains(&key));
    if !request.private.private_for.take().unwrap_or_default().iter().all(known) {
        return refused("invalid transaction manager keys given in privateFor argument");
    }
    let begun_from = match from {
        Some(from) => Some(from),
        None => match privacy.manager.lookup(extension.creation).await {
            Lookup::Found(payload) => Some(payload.sender.to_string()),
            _ => None,
        },
    };
    request.private.private_from = begun_from.or(request.private.private_from.take());
    protect(&mut request, (extension.flag, extension.mandatory), &parties);
    request.to = Some(extension.management);
    send(context, request, call).await
}

/// Gives a transaction the protection of the contract that is extended.
fn protect(request: &mut SendRequest, (flag, mandatory): (u8, Vec<PublicKey>), parties: &[PublicKey]) {
    let texts = |keys: &[PublicKey]| keys.iter().map(PublicKey::to_string).collect::<Vec<_>>();
    request.private.private_for = Some(texts(parties));
    request.private.privacy_flag = Some(Quantity(u64::from(flag)));
    request.private.mandatory_for = (!mandatory.is_empty()).then(|| texts(&mandatory));
}

async fn send(context: Arc<Context>, mut request: SendRequest, payload: Bytes) -> Result<B256, RpcError> {
    request.replace_payload(payload);
    request.gas = request.gas.or(Some(Quantity(DEFAULT_GAS)));
    sending::send(context, request, Authority::Unlocked).await
}

#[cfg(test)]
mod tests;
