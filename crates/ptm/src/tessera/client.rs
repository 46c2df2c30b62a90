//! A manager elsewhere: a Tessera, or another lonja, asked over HTTP.

mod features;
#[cfg(test)]
mod tests;

use super::ERASED_HEADER;
use super::address::Address;
use super::http::{Answer, HttpClient, HttpError, Timeouts};
use super::json::{EnvelopeJson, JsonError, KeysJson, ReceivedJson, SendJson, SentJson};
use super::media::Media;
use super::tls::{TlsClientOptions, TlsError};
use crate::limits::{
    MAX_AFFECTED, MAX_EXEC_HASH_BYTES, MAX_GROUP_TEXT_BYTES, MAX_PAYLOAD_BYTES, MAX_RECIPIENTS,
};
use crate::path::hash_to_path;
use crate::{
    EncodedPayload, Lookup, PayloadHash, PrivacyMode, PrivatePayload, PrivateTransactionManager, PtmError,
    PublicKey, RawPayload, SendRequest, SendSigned, Sent,
};
use alloy_primitives::Bytes;
pub use features::RemoteFeatures;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests that are under way at the same time. A node asks one thing after another but for bursts of sends; each may hold a
/// payload a few times.
const REQUESTS_AT_ONCE: usize = 64;

/// Bytes of an answer with a payload in it: all fields at their limits, in base64.
const MAX_PAYLOAD_ANSWER_BYTES: usize = MAX_PAYLOAD_BYTES / 3 * 4
    + MAX_RECIPIENTS * 120
    + MAX_AFFECTED * 200
    + (MAX_EXEC_HASH_BYTES + MAX_GROUP_TEXT_BYTES) * 2
    + 4_096;

/// Bytes of any other answer: a hash and lists of keys.
const MAX_ANSWER_BYTES: usize = MAX_RECIPIENTS * 60 + 4_096;

/// Where the manager is and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Its API for nodes (Q2T).
    pub address: Address,
    /// Its API for third parties, which tells its keys. Not needed where that is a lonja: it tells them to nodes too.
    pub third_party: Option<Address>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How it is recognised, where an address begins with `https`.
    pub tls: TlsClientOptions,
}

/// A manager elsewhere. Its connections and what it can do are found out when it is first needed, and again after it was
/// away.
pub struct RemoteManager {
    address: Address,
    http: HttpClient,
    third_party: Option<(Address, HttpClient)>,
    features: Mutex<Option<RemoteFeatures>>,
    places: Arc<Semaphore>,
}

/// What is asked.
struct Question {
    method: Method,
    path: String,
    body: Option<(Media, Vec<u8>)>,
    accept: Media,
    limit: usize,
}

impl Question {
    fn get(path: String, accept: Media) -> Self {
        Self { method: Method::GET, path, body: None, accept, limit: MAX_ANSWER_BYTES }
    }

    fn post(path: &str, media: Media, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("text and numbers are always JSON");
        let body = Some((media, body));
        Self { method: Method::POST, path: path.into(), body, accept: media, limit: MAX_ANSWER_BYTES }
    }

    fn with_payload(self) -> Self {
        Self { limit: MAX_PAYLOAD_ANSWER_BYTES, ..self }
    }

    fn request(self, address: &Address) -> Result<Request<Full<bytes::Bytes>>, HttpError> {
        let mut builder = Request::builder().method(self.method).uri(address.endpoint(&self.path));
        builder = builder.header(USER_AGENT, HeaderValue::from_static(super::AGENT));
        builder = builder.header(ACCEPT, HeaderValue::from_static(self.accept.name()));
        let body = match self.body {
            Some((media, body)) => {
                builder = builder.header(CONTENT_TYPE, HeaderValue::from_static(media.name()));
                body
            }
            None => Vec::new(),
        };
        builder.body(Full::from(body)).map_err(|error| HttpError::Request(error.to_string()))
    }
}

fn away(address: &Address, reason: impl ToString) -> PtmError {
    PtmError::Unavailable(format!("the private-transaction manager at {address}: {}", reason.to_string()))
}

fn client(address: &Address, options: &RemoteOptions) -> Result<HttpClient, TlsError> {
    match address.socket() {
        Some(path) => Ok(HttpClient::local(options.timeouts, path.into())),
        None if address.is_tls() => HttpClient::new(options.timeouts, &options.tls),
        None => Ok(HttpClient::plain(options.timeouts)),
    }
}

impl RemoteManager {
    /// A manager at this address. Nothing is asked yet; only the files of TLS are read.
    pub fn new(options: &RemoteOptions) -> Result<Self, TlsError> {
        let third_party = options.third_party.clone();
        let third_party = third_party.map(|address| client(&address, options).map(|http| (address, http)));
        Ok(Self {
            address: options.address.clone(),
            http: client(&options.address, options)?,
            third_party: third_party.transpose()?,
            features: Mutex::new(None),
            places: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
        })
    }

    /// Asks the manager whether it is up and what it can do, unless that is known. [`PtmError::Unavailable`] where it cannot be
    /// reached or is too old.
    pub async fn features(&self) -> Result<RemoteFeatures, PtmError> {
        if let Some(features) = self.known_features() {
            return Ok(features);
        }
        let _place = self.place().await?;
        // Somebody may have found out meanwhile.
        if let Some(features) = self.known_features() {
            return Ok(features);
        }
        let features = features::ask(&self.http, &self.address).await?;
        *self.features.lock() = Some(features);
        Ok(features)
    }

    fn known_features(&self) -> Option<RemoteFeatures> {
        *self.features.lock()
    }

    /// Waits for room among the requests.
    async fn place(&self) -> Result<SemaphorePermit<'_>, PtmError> {
        self.places.acquire().await.map_err(|error| away(&self.address, error))
    }

    async fn ask(&self, question: Question) -> Result<Answer, PtmError> {
        let _place = self.place().await?;
        let request = question_request(question, &self.address)?;
        let outcome = self.http.ask(request.0, request.1).await;
        if outcome.is_err() {
            // Whoever comes back may be another version.
            *self.features.lock() = None;
        }
        outcome.map_err(|error| away(&self.address, error))
    }

    /// An answer's JSON. Its text may hold a payload: errors give the place alone.
    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, PtmError> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            away(&self.address, format!("its answer cannot be read: line {line}, column {column}"))
        })
    }

    fn understood<T>(&self, read: Result<T, JsonError>) -> Result<T, PtmError> {
        read.map_err(|error| away(&self.address, format!("in its answer, {error}")))
    }

    async fn sent(&self, path: &str, body: SendJson, mode: PrivacyMode) -> Result<Sent, PtmError> {
        let features = self.features().await?;
        if mode == PrivacyMode::MandatoryRecipients && !features.mandatory_recipients() {
            let text = "Transactions with mandatory recipients are not supported by this node's manager";
            return Err(PtmError::Violation(text.into()));
        }
        let answer = self.ask(Question::post(path, features.send_media(), &body)).await?;
        if !answer.is_success() {
            return Err(answer.error());
        }
        self.understood(self.read::<SentJson>(&answer)?.sent())
    }

    /// What is stored under a hash. `raw`: and was not sent.
    async fn received(&self, hash: &PayloadHash, raw: bool) -> Result<Answer, PtmError> {
        self.features().await?;
        let path = format!("/transaction/{}?isRaw={raw}", hash_to_path(hash));
        self.ask(Question::get(path, Media::V21).with_payload()).await
    }

    /// A text about a payload. 404 means that it is not there.
    async fn text(&self, hash: &PayloadHash, what: &str) -> Result<String, PtmError> {
        self.features().await?;
        let path = format!("/transaction/{}/{what}", hash_to_path(hash));
        let answer = self.ask(Question::get(path, Media::Text)).await?;
        match answer.status {
            404 => Err(PtmError::NotFound(answer.text())),
            400 => Err(PtmError::BadRequest(answer.text())),
            _ if answer.is_success() => Ok(String::from_utf8_lossy(&answer.body).trim().to_string()),
            _ => Err(answer.error()),
        }
    }

    async fn key_list(&self, hash: &PayloadHash, what: &str) -> Result<Vec<PublicKey>, PtmError> {
        let text = self.text(hash, what).await?;
        let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        keys.map(|key| key.parse().map_err(|error| away(&self.address, error))).collect()
    }

    async fn found(&self, hash: &PayloadHash, answer: &Answer) -> Result<PrivatePayload, PtmError> {
        let mut found = self.understood(self.read::<ReceivedJson>(answer)?.found())?;
        if found.metadata.mode == PrivacyMode::MandatoryRecipients {
            found.metadata.mandatory = self.key_list(hash, "mandatory").await?;
        }
        Ok(found)
    }

    async fn look(&self, hash: &PayloadHash) -> Result<Lookup, PtmError> {
        let answer = self.received(hash, false).await?;
        match answer.status {
            404 if answer.headers.contains_key(ERASED_HEADER) => Ok(Lookup::Erased),
            404 => Ok(Lookup::NotOurs),
            _ if answer.is_success() => self.found(hash, &answer).await.map(Lookup::Found),
            _ => Ok(Lookup::Unavailable(away(&self.address, answer.error()).to_string())),
        }
    }

    async fn own_keys(&self) -> Result<Vec<PublicKey>, PtmError> {
        let (address, http) = self.third_party.as_ref().map_or((&self.address, &self.http), |(a, h)| (a, h));
        let (request, limit) = question_request(Question::get("/keys".into(), Media::Json), address)?;
        let answer = http.ask(request, limit).await.map_err(|error| away(address, error))?;
        if answer.status == 404 && self.third_party.is_none() {
            let text = "it does not tell nodes its keys; give the address of its API for third parties";
            return Err(away(address, text));
        }
        if !answer.is_success() {
            return Err(answer.error());
        }
        self.understood(self.read::<KeysJson>(&answer)?.keys())
    }
}

fn question_request(
    question: Question,
    address: &Address,
) -> Result<(Request<Full<bytes::Bytes>>, usize), PtmError> {
    let limit = question.limit;
    let request = question.request(address).map_err(|error| away(address, error))?;
    Ok((request, limit))
}

impl PrivateTransactionManager for RemoteManager {
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>> {
        let mode = request.metadata.mode;
        async move { self.sent("/send", SendJson::of_send(&request), mode).await }.boxed()
    }

    fn store_raw(
        &self,
        payload: Bytes,
        from: Option<PublicKey>,
    ) -> BoxFuture<'_, Result<PayloadHash, PtmError>> {
        async move {
            self.features().await?;
            let body = SendJson::of_raw(&payload, from);
            let answer = self.ask(Question::post("/storeraw", Media::V21, &body)).await?;
            if !answer.is_success() {
                return Err(answer.error());
            }
            let key = self.read::<SentJson>(&answer)?.key;
            self.understood(super::json::hash(&key, "key"))
        }
        .boxed()
    }

    fn send_signed(&self, request: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>> {
        let mode = request.metadata.mode;
        async move { self.sent("/sendsignedtx", SendJson::of_signed(&request), mode).await }.boxed()
    }

    fn lookup(&self, hash: PayloadHash) -> BoxFuture<'_, Lookup> {
        async move { self.look(&hash).await.unwrap_or_else(|error| Lookup::Unavailable(error.to_string())) }
            .boxed()
    }

    fn raw_payload(&self, hash: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>> {
        async move {
            let answer = self.received(&hash, true).await?;
            match answer.status {
                404 => Err(PtmError::NotFound(answer.text())),
                _ if answer.is_success() => {
                    let found = self.understood(self.read::<ReceivedJson>(&answer)?.found())?;
                    Ok(RawPayload { payload: found.payload, sender: found.sender })
                }
                _ => Err(answer.error()),
            }
        }
        .boxed()
    }

    fn is_sender(&self, hash: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>> {
        async move {
            match self.text(&hash, "isSender").await?.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(away(&self.address, "its answer is neither true nor false")),
            }
        }
        .boxed()
    }

    fn participants(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        async move { self.key_list(&hash, "participants").await }.boxed()
    }

    fn mandatory(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        async move { self.key_list(&hash, "mandatory").await }.boxed()
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        self.own_keys().boxed()
    }

    fn erase(&self, hash: PayloadHash) -> BoxFuture<'_, Result<(), PtmError>> {
        async move {
            self.features().await?;
            let path = format!("/transaction/{}", hash_to_path(&hash));
            let question = Question { method: Method::DELETE, ..Question::get(path, Media::Text) };
            let answer = self.ask(question).await?;
            match answer.status {
                404 => Err(PtmError::NotFound(answer.text())),
                _ if answer.is_success() => Ok(()),
                _ => Err(answer.error()),
            }
        }
        .boxed()
    }

    fn encrypt(&self, request: SendRequest) -> BoxFuture<'_, Result<EncodedPayload, PtmError>> {
        async move {
            self.features().await?;
            let body = SendJson::of_send(&request);
            let question = Question::post("/encodedpayload/create", Media::V21, &body).with_payload();
            let answer = self.ask(question).await?;
            if !answer.is_success() {
                return Err(answer.error());
            }
            self.understood(self.read::<EnvelopeJson>(&answer)?.envelope())
        }
        .boxed()
    }

    fn decrypt(&self, envelope: EncodedPayload) -> BoxFuture<'_, Result<PrivatePayload, PtmError>> {
        async move {
            self.features().await?;
            let body = EnvelopeJson::of(&envelope);
            let question = Question::post("/encodedpayload/decrypt", Media::V21, &body).with_payload();
            let answer = self.ask(question).await?;
            if !answer.is_success() {
                return Err(answer.error());
            }
            let mut found = self.understood(self.read::<ReceivedJson>(&answer)?.found())?;
            // Both of these stand in the envelope and not in the JSON.
            (found.metadata.mandatory, found.metadata.group) = (envelope.mandatory, envelope.group);
            Ok(found)
        }
        .boxed()
    }
}
