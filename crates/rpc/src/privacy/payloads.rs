//! Payloads in clear, for those who may ask this node: its manager opens what its parties were sent.

use super::{RpcPrivacy, payloads_of};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::Args;
use crate::register::Table;
use alloy_primitives::{B256, Bytes, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use lonja_ptm::tessera::envelope_of_json;
use lonja_ptm::{Lookup, PayloadHash, PrivatePayload, PublicKey};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

pub(super) fn register(table: &mut Table) {
    table.waiting("eth_getQuorumPayload", payload);
    table.waiting("eth_getQuorumPayloadExtra", payload_with_more);
    table.waiting("eth_decryptQuorumPayload", decrypt);
}

/// A payload and what goes with it, in GoQuorum's names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PayloadView {
    payload: Bytes,
    extra_meta_data: MetadataView,
    is_sender: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetadataView {
    #[serde(rename = "ACHashes")]
    affected: Vec<PayloadHash>,
    #[serde(rename = "ACMerkleRoot")]
    root: B256,
    privacy_flag: u8,
    managed_parties: Vec<PublicKey>,
    sender: PublicKey,
    mandatory_recipients: Vec<PublicKey>,
}

impl PayloadView {
    fn new(payload: PrivatePayload, is_sender: bool) -> Self {
        let PrivatePayload { payload, metadata, managed_parties, sender } = payload;
        Self {
            payload,
            extra_meta_data: MetadataView {
                affected: metadata.affected,
                root: root(&metadata.exec_hash),
                privacy_flag: metadata.mode.flag(),
                managed_parties,
                sender,
                mandatory_recipients: metadata.mandatory,
            },
            is_sender,
        }
    }
}

/// The root that travels as base64; zero where there is none.
fn root(text: &[u8]) -> B256 {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    B256::try_from(bytes.as_slice()).unwrap_or_default()
}

fn payload(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let privacy = payloads_of(&context)?;
        let hash = digest(&params)?;
        let _place = context.private.look()?;
        let found = look_up(privacy, hash).await?;
        answer(&found.map(|found| found.payload).unwrap_or_default())
    }
    .boxed()
}

fn payload_with_more(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let privacy = payloads_of(&context)?;
        let hash = digest(&params)?;
        let _place = context.private.look()?;
        match look_up(privacy, hash).await? {
            Some(found) => {
                let is_sender = privacy.manager.is_sender(hash).await?;
                answer(&PayloadView::new(found, is_sender))
            }
            None => answer(&()),
        }
    }
    .boxed()
}

fn decrypt(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let privacy = payloads_of(&context)?;
        let json: Bytes = Args::new(&params, 1)?.required(0, "payload")?;
        let wrong = |error| RpcError::InvalidParams(format!("the payload to decrypt: {error}"));
        let parcel = envelope_of_json(&json).map_err(wrong)?;
        let _place = context.private.look()?;
        let opened = privacy.manager.decrypt(parcel).await?;
        answer(&PayloadView::new(opened, true))
    }
    .boxed()
}

/// What the manager has; `None` where it is not ours, or was erased.
async fn look_up(privacy: &RpcPrivacy, hash: PayloadHash) -> Result<Option<PrivatePayload>, RpcError> {
    match privacy.manager.lookup(hash).await {
        Lookup::Found(payload) => Ok(Some(payload)),
        Lookup::NotOurs | Lookup::Erased => Ok(None),
        Lookup::Unavailable(reason) => Err(RpcError::Limit(reason)),
    }
}

/// The name of a payload, in hex with or without `0x`.
fn digest(params: &Params<'_>) -> Result<PayloadHash, RpcError> {
    let text: String = Args::new(params, 1)?.required(0, "digest")?;
    let bytes = hex::decode(&text).map_err(|_| RpcError::Refused("Invalid digest hex".to_owned()))?;
    if bytes.len() != PayloadHash::LENGTH {
        return Err(RpcError::Refused(format!(
            "Expected a Quorum digest of length 64, but got {}",
            bytes.len()
        )));
    }
    Ok(PayloadHash::from_data(&bytes))
}

fn answer<T: Serialize>(result: &T) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(result).map_err(|error| RpcError::Internal(error.to_string()))
}
