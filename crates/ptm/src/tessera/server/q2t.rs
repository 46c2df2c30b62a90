//! The API for nodes.

use super::common::{self, located};
use super::groups;
use super::{Groups, MAX_REQUEST_BYTES};
use crate::path::hash_from_path;
use crate::tessera::ERASED_HEADER;
use crate::tessera::json::{self, EnvelopeJson, ReceivedJson, SendJson, SentJson};
use crate::tessera::listen::Api;
use crate::tessera::media::{JSON_TO_21, JSON_TO_30, JSON_TO_40, Media, PLAIN_JSON};
use crate::tessera::reply::{Call, Outcome, Reply};
use crate::{
    Lookup, Metadata, PayloadHash, PrivacyMode, PrivateTransactionManager, PtmError, PublicKey, SendRequest,
    SendSigned, Sent,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use std::net::IpAddr;
use std::sync::Arc;

/// Longest list of recipients in a header is that of the header itself; this splits it.
const SEPARATOR: char = ',';

pub(super) struct Q2t {
    pub(super) manager: Arc<dyn PrivateTransactionManager>,
    pub(super) groups: Option<Groups>,
}

impl Api for Q2t {
    fn answer(&self, call: Call) -> BoxFuture<'_, Reply> {
        async move { self.outcome(&call).await.unwrap_or_else(|refusal| refusal) }.boxed()
    }

    fn body_limit(&self, _path: &str) -> usize {
        MAX_REQUEST_BYTES
    }

    fn admits(&self, _host: Option<IpAddr>) -> bool {
        true
    }
}

impl Q2t {
    async fn outcome(&self, call: &Call) -> Outcome {
        if let Some(outcome) = common::answer(call) {
            return outcome;
        }
        let (get, post) = (call.method == Method::GET, call.method == Method::POST);
        let manager = self.manager.as_ref();
        match call.segments().as_slice() {
            ["send"] if post => self.send(call).await,
            ["sendraw"] if post => self.send_raw(call).await,
            ["storeraw"] if post => common::store_raw(manager, call).await,
            ["sendsignedtx"] if post => self.send_signed(call).await,
            ["receiveraw"] if get => self.receive_raw(call).await,
            ["delete"] if post => self.delete(call).await,
            ["encodedpayload", "create"] if post => self.encrypt(call).await,
            ["encodedpayload", "decrypt"] if post => self.decrypt(call).await,
            ["transaction", hash] if get => self.receive(call, of_path(hash)?).await,
            ["transaction", hash] if call.method == Method::DELETE => {
                manager.erase(of_path(hash)?).await?;
                Ok(Reply::status(204))
            }
            ["transaction", hash, what @ ("isSender" | "participants" | "mandatory")] if get => {
                self.about(call, of_path(hash)?, what).await
            }
            // Not one of Tessera's, which tells its keys to third parties alone; it serves a lonja that asks a lonja.
            ["keys"] if get => common::keys(&manager.keys().await?),
            ["createPrivacyGroup" | "findPrivacyGroup" | "retrievePrivacyGroup" | "deletePrivacyGroup"]
                if post =>
            {
                groups::change(self.groups.as_ref(), call).await
            }
            ["groups", kind] if get => groups::list(self.groups.as_ref(), kind),
            segments if is_known(segments) => Ok(Reply::wrong_method()),
            _ => Ok(Reply::unknown_path()),
        }
    }

    async fn send(&self, call: &Call) -> Outcome {
        let media = call.media(JSON_TO_40)?;
        let json: SendJson = call.json()?;
        let metadata = json.metadata(media == Media::V40)?;
        check_mode(&metadata)?;
        let (payload, from, to) = (json.payload()?, json.sender()?, json.recipients()?);
        let sent = self.manager.send(SendRequest { payload, from, to, metadata }).await?;
        Ok(answer_sent(media, &sent))
    }

    /// Bytes, with everything else in headers.
    async fn send_raw(&self, call: &Call) -> Outcome {
        call.media(&[Media::Octets])?;
        if call.body.is_empty() {
            return Err(Reply::text(400, "payload is required"));
        }
        let from = call.header("c11n-from").filter(|text| !text.is_empty());
        let from = from.map(|text| key_of_header(text, "c11n-from")).transpose()?;
        let (payload, to) = (call.body.clone().into(), recipients_of_header(call)?);
        let request = SendRequest { payload, from, to, metadata: Metadata::default() };
        let sent = self.manager.send(request).await?;
        Ok(located(Reply::text(200, &sent.hash.to_string()), &sent.hash))
    }

    async fn send_signed(&self, call: &Call) -> Outcome {
        if call.media(&[Media::Octets]).is_ok() {
            let hash = <[u8; PayloadHash::LENGTH]>::try_from(call.body.as_ref());
            let hash =
                hash.map_err(|_| Reply::text(404, "Raw Transaction not found: its hash has 64 bytes"))?;
            let (hash, to) = (PayloadHash(hash.into()), recipients_of_header(call)?);
            let request = SendSigned { hash, to, metadata: Metadata::default() };
            let sent = self.manager.send_signed(request).await?;
            return Ok(Reply::text(200, &sent.hash.to_string()));
        }
        let media = call.media(JSON_TO_40)?;
        let json: SendJson = call.json()?;
        let metadata = json.metadata(media == Media::V40)?;
        check_mode(&metadata)?;
        let (hash, to) = (json.stored()?, json.recipients()?);
        let sent = self.manager.send_signed(SendSigned { hash, to, metadata }).await?;
        Ok(answer_sent(media, &sent))
    }

    async fn receive(&self, call: &Call, hash: PayloadHash) -> Outcome {
        let media = call.accepted(JSON_TO_30)?;
        let all = media != Media::Json;
        if call.parameter("isRaw").is_some_and(|raw| raw.eq_ignore_ascii_case("true")) {
            let raw = self.manager.raw_payload(hash).await?;
            return Ok(Reply::json(200, media, &ReceivedJson::of_raw(raw, all)));
        }
        let reader = call.parameter("to").filter(|to| !to.is_empty());
        let reader = reader.map(|to| key_of_header(&to, "to")).transpose()?;
        let found = self.found(hash, reader).await?;
        Ok(Reply::json(200, media, &ReceivedJson::of(&found, all)))
    }

    async fn receive_raw(&self, call: &Call) -> Outcome {
        let hash = call.header("c11n-key").ok_or_else(|| Reply::text(400, "c11n-key is required"))?;
        let hash = hash.parse().map_err(|_| Reply::text(400, "c11n-key is not a payload hash"))?;
        let reader = call.header("c11n-to").filter(|to| !to.is_empty());
        let reader = reader.map(|to| key_of_header(to, "c11n-to")).transpose()?;
        let found = self.found(hash, reader).await?;
        Ok(Reply::octets(200, found.payload.0))
    }

    /// A payload, for one of its recipients where one is named.
    async fn found(
        &self,
        hash: PayloadHash,
        reader: Option<PublicKey>,
    ) -> Result<crate::PrivatePayload, Reply> {
        let not_found = || Reply::text(404, &format!("Message with hash {hash} was not found"));
        let found = match self.manager.lookup(hash).await {
            Lookup::Found(found) => found,
            Lookup::NotOurs => return Err(not_found()),
            Lookup::Erased => {
                let mark = (HeaderName::from_static(ERASED_HEADER), HeaderValue::from_static("true"));
                return Err(not_found().with(mark.0, mark.1));
            }
            // Never 404: a node takes that for "not a party" and goes on.
            Lookup::Unavailable(reason) => return Err(Reply::text(500, &reason)),
        };
        if let Some(reader) = reader
            && !self.manager.participants(hash).await?.contains(&reader)
        {
            return Err(PtmError::NotARecipient(reader).into());
        }
        Ok(found)
    }

    async fn about(&self, call: &Call, hash: PayloadHash, what: &str) -> Outcome {
        call.accepted(&[Media::Text])?;
        let text = match what {
            "isSender" => self.manager.is_sender(hash).await?.to_string(),
            "participants" => joined(&self.manager.participants(hash).await?),
            _ => joined(&self.manager.mandatory(hash).await?),
        };
        Ok(Reply::text(200, &text))
    }

    async fn delete(&self, call: &Call) -> Outcome {
        call.media(PLAIN_JSON)?;
        let request: SentJson = call.json()?;
        self.manager.erase(json::hash(&request.key, "key")?).await?;
        Ok(Reply::text(200, "Delete successful"))
    }

    async fn encrypt(&self, call: &Call) -> Outcome {
        let media = call.media(JSON_TO_21)?;
        let json: SendJson = call.json()?;
        let metadata = json.metadata(false)?;
        check_mode(&metadata)?;
        let (payload, from, to) = (json.payload()?, json.sender()?, json.recipients()?);
        let envelope = self.manager.encrypt(SendRequest { payload, from, to, metadata }).await?;
        Ok(Reply::json(200, media, &EnvelopeJson::of(&envelope)))
    }

    async fn decrypt(&self, call: &Call) -> Outcome {
        let media = call.media(JSON_TO_21)?;
        let json: EnvelopeJson = call.json()?;
        let mut found = self.manager.decrypt(json.envelope()?).await?;
        found.metadata.mode = json.mode();
        Ok(Reply::json(200, media, &ReceivedJson::of(&found, media != Media::Json)))
    }
}

/// Whether this path is one of this API's, with another method.
fn is_known(segments: &[&str]) -> bool {
    let about = ["isSender", "participants", "mandatory"];
    match segments {
        ["send" | "sendraw" | "storeraw" | "sendsignedtx" | "receiveraw" | "delete" | "keys"] => true,
        ["createPrivacyGroup" | "findPrivacyGroup" | "retrievePrivacyGroup" | "deletePrivacyGroup"] => true,
        ["encodedpayload", "create" | "decrypt"] | ["transaction", _] | ["groups", _] => true,
        ["transaction", _, what] => about.contains(what),
        _ => false,
    }
}

fn answer_sent(media: Media, sent: &Sent) -> Reply {
    let body = SentJson::of(sent, media != Media::Json);
    located(Reply::json(201, media, &body), &sent.hash)
}

/// What a mode must have. Where mandatory recipients are missing they may have been given, in a media type that has none.
fn check_mode(metadata: &Metadata) -> Result<(), Reply> {
    match metadata.mode {
        PrivacyMode::StateValidation if metadata.exec_hash.is_empty() => {
            Err(Reply::text(400, "Invalid privacy flag: 3 needs an execHash"))
        }
        PrivacyMode::MandatoryRecipients if metadata.mandatory.is_empty() => {
            let need = Media::V40.name();
            Err(Reply::text(
                500,
                &format!("privacy flag 2 needs mandatoryRecipients, which are read in {need} only"),
            ))
        }
        _ => Ok(()),
    }
}

fn of_path(segment: &str) -> Result<PayloadHash, Reply> {
    hash_from_path(segment).map_err(|error| Reply::text(400, &error.to_string()))
}

/// A key in a header or a parameter. There, base64 that cannot be read is the client's fault.
fn key_of_header(text: &str, name: &'static str) -> Result<PublicKey, Reply> {
    json::key(text, name).map_err(|error| match error {
        json::JsonError::NotBase64(_) => Reply::text(400, &error.to_string()),
        error => error.into(),
    })
}

fn recipients_of_header(call: &Call) -> Result<Vec<PublicKey>, Reply> {
    let list = call.header("c11n-to").filter(|list| !list.is_empty());
    let keys = list.map(|list| list.split(SEPARATOR).map(|key| json::key(key, "c11n-to")).collect());
    Ok(keys.transpose()?.unwrap_or_default())
}

fn joined(keys: &[PublicKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
