//! The API between managers.

use super::common;
use crate::codec::negotiation::VERSIONS_HEADER;
use crate::limits::{MAX_ANNOUNCED, MAX_ENVELOPE_BYTES, MAX_GROUP_TEXT_BYTES, MAX_RECIPIENTS};
use crate::tessera::json::{self, JsonError};
use crate::tessera::listen::Api;
use crate::tessera::media::{Media, PLAIN_JSON};
use crate::tessera::peers::{Heard, MAX_BATCH_BYTES, Peers, solve};
use crate::tessera::recovery::Recovery;
use crate::tessera::reply::{Call, Outcome, Reply};
use crate::{Codec, GroupKind, PartyInfo, PeerUrl, PeerVersions, PrivacyGroup, PrivacyMode, PtmError};
use alloy_primitives::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// Bytes of a party info: keys and managers at their limit, with URLs of usual length.
const MAX_PARTY_INFO_BYTES: usize = MAX_ANNOUNCED * 256;

/// Bytes of a privacy group.
const MAX_GROUP_BYTES: usize = MAX_RECIPIENTS * 40 + MAX_GROUP_TEXT_BYTES * 4;

/// Bytes of anything else that is asked.
const MAX_SMALL_BYTES: usize = 16 * 1024;

pub(super) struct P2p {
    pub(super) peers: Peers,
    /// Where the store is being filled again: then there is nothing to give.
    pub(super) recovery: Option<Arc<Recovery>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResendJson {
    #[serde(rename = "type")]
    kind: Option<String>,
    public_key: Option<String>,
    key: Option<String>,
    batch_size: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BatchJson {
    encoded_payloads: Vec<String>,
}

#[derive(Serialize)]
struct KnownJson {
    url: String,
    peers: Vec<PeerJson>,
    keys: Vec<PlacedJson>,
}

#[derive(Serialize)]
struct PeerJson {
    url: String,
}

#[derive(Serialize)]
struct PlacedJson {
    key: String,
    url: String,
}

impl Api for P2p {
    fn answer(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move { self.outcome(&call).await.unwrap_or_else(|refusal| refusal) }.boxed()
    }

    fn body_limit(&self, path: &str) -> usize {
        match path {
            "/push" => MAX_ENVELOPE_BYTES,
            "/pushBatch" if self.recovery.is_some() => MAX_BATCH_BYTES,
            "/partyinfo" => MAX_PARTY_INFO_BYTES,
            "/pushPrivacyGroup" => MAX_GROUP_BYTES,
            _ => MAX_SMALL_BYTES,
        }
    }

    fn admits(&self, host: Option<IpAddr>) -> bool {
        self.peers.admits(host)
    }
}

impl P2p {
    async fn outcome(&self, call: &Call) -> Outcome {
        if let Some(outcome) = common::answer(call) {
            return outcome;
        }
        let (get, post) = (call.method == Method::GET, call.method == Method::POST);
        match (call.segments().as_slice(), &self.recovery) {
            (["push"], _) if post => self.push(call).await,
            (["partyinfo"], _) if post => self.hear(call).await,
            (["partyinfo"], _) if get => self.tell(call),
            (["partyinfo", "validate"], _) if post => self.solve(call),
            (["resend"], None) if post => self.resend(call).await,
            (["resendBatch"], None) if post => self.resend_batch(call).await,
            (["pushPrivacyGroup"], None) if post => self.take_group(call).await,
            (["pushBatch"], Some(recovery)) if post => take_batch(call, recovery).await,
            (["push" | "partyinfo"] | ["partyinfo", "validate"], _)
            | (["resend" | "resendBatch" | "pushPrivacyGroup"], None)
            | (["pushBatch"], Some(_)) => Ok(Reply::wrong_method()),
            _ => Ok(Reply::unknown_path()),
        }
    }

    async fn push(&self, call: &Call) -> Outcome {
        call.media(&[Media::Octets])?;
        let codec = PeerVersions::from_header(call.header(VERSIONS_HEADER)).codec();
        // Whoever cannot be read is answered as Tessera does it: as a fault of ours.
        let unreadable = |error: crate::CodecError| Reply::text(500, &error.to_string());
        // Where we announce no CBOR, nobody has a reason to send it.
        let codec = if self.peers.lines.options.cbor { codec } else { Codec::Legacy };
        let envelope = codec.decode(&bytes_of(call)).map_err(unreadable)?;
        if self.recovery.is_some() && envelope.mode != PrivacyMode::Standard {
            return Err(Reply::text(403, "only standard payloads are taken one by one during recovery"));
        }
        if self.recovery.is_none() && self.peers.manager.keyring().manages(&envelope.sender) {
            // Both ends of a box can make it: what we sent, nobody tells us unasked.
            return Err(PtmError::Violation("the sender's key is held here".into()).into());
        }
        let hash = self.peers.manager.receive(envelope).await?;
        Ok(Reply::text(201, &hash.to_string()))
    }

    async fn hear(&self, call: &Call) -> Outcome {
        call.media(&[Media::Octets])?;
        let info = PartyInfo::decode(&bytes_of(call));
        let info = info.map_err(|error| Reply::text(500, &error.to_string()))?;
        let versions = PeerVersions::from_header(call.header(VERSIONS_HEADER));
        let url = info.url.clone();
        match self.peers.heard(info, versions).await {
            Heard::Taken if self.peers.lines.options.validate_keys => Ok(Reply::octets(200, Vec::new())),
            Heard::Taken => {
                let own = PartyInfo::of(self.peers.lines.options.url.clone());
                Ok(Reply::octets(200, own.encode()))
            }
            Heard::Stranger => Err(Reply::text(403, &format!("Peer {url} not found in known peer list"))),
            Heard::NoValidKey => Err(Reply::status(500)),
            Heard::Busy => {
                Err(Reply::text(503, "too many others are being asked for their keys; come again"))
            }
        }
    }

    fn tell(&self, call: &Call) -> Outcome {
        call.accepted(PLAIN_JSON)?;
        let (mut urls, own) = (self.peers.lines.table.lock().urls(), &self.peers.lines.options.url);
        urls.push(own.clone());
        let placed = |(key, url): (crate::PublicKey, PeerUrl)| PlacedJson {
            key: key.to_string(),
            url: url.to_string(),
        };
        let known = KnownJson {
            url: own.to_string(),
            peers: urls.iter().map(|url| PeerJson { url: url.to_string() }).collect(),
            keys: self.peers.known().into_iter().map(placed).collect(),
        };
        Ok(Reply::json(200, Media::Json, &known))
    }

    fn solve(&self, call: &Call) -> Outcome {
        call.media(&[Media::Octets])?;
        match solve(self.peers.manager.keyring(), &bytes_of(call)) {
            Some(uuid) => Ok(Reply::text(200, &uuid)),
            None => Err(Reply::text(400, "this is no riddle for a key that is held here")),
        }
    }

    async fn resend(&self, call: &Call) -> Outcome {
        call.media(PLAIN_JSON)?;
        let request: ResendJson = call.json()?;
        let key = request.party()?;
        match request.kind.as_deref() {
            Some("ALL") => {
                self.peers.all_again(&key).await?;
                Ok(Reply::text(200, ""))
            }
            Some("INDIVIDUAL") => {
                let hash = json::hash(request.key.as_deref().ok_or(JsonError::Missing("key"))?, "key")?;
                let copy = self.peers.one_again(&key, &hash)?;
                // Bytes, although they are called text.
                Ok(Reply { media: Some(Media::Text), ..Reply::octets(200, copy.encode(Codec::Legacy)) })
            }
            _ => Err(Reply::text(400, "type is ALL or INDIVIDUAL")),
        }
    }

    async fn resend_batch(&self, call: &Call) -> Outcome {
        call.media(PLAIN_JSON)?;
        let request: ResendJson = call.json()?;
        let total =
            self.peers.all_in_batches(&request.party()?, request.batch_size.unwrap_or_default()).await?;
        Ok(Reply::json(200, Media::Json, &serde_json::json!({"total": total})))
    }

    async fn take_group(&self, call: &Call) -> Outcome {
        call.media(&[Media::Octets])?;
        let group =
            PrivacyGroup::decode(&bytes_of(call)).map_err(|error| Reply::text(500, &error.to_string()))?;
        let manager = &self.peers.manager;
        let ours = manager.keyring().managed_among(&group.members);
        // Tenants are nobody's business but their own manager's, and groups of others are not kept here.
        if group.kind == GroupKind::Resident || ours.is_empty() {
            return Err(PtmError::Violation("this manager has no member of the group".into()).into());
        }
        manager.put_group(group).await?;
        Ok(Reply::status(200))
    }
}

impl ResendJson {
    fn party(&self) -> Result<crate::PublicKey, JsonError> {
        json::key(self.public_key.as_deref().ok_or(JsonError::Missing("publicKey"))?, "publicKey")
    }
}

async fn take_batch(call: &Call, recovery: &Recovery) -> Outcome {
    call.media(PLAIN_JSON)?;
    let batch: BatchJson = call.json()?;
    recovery.take(&batch.encoded_payloads).await;
    Ok(Reply::status(200))
}

fn bytes_of(call: &Call) -> Bytes {
    Bytes(call.body.clone())
}
