//! What the tests of this part share: a manager in memory, servers on free ports, and questions without manners.

use super::address::Address;
use super::client::{RemoteManager, RemoteOptions};
use super::http::{Answer, HttpClient, Timeouts};
use super::listen::{Listen, Server};
use super::tls::TlsClientOptions;
use crate::{
    Addressing, EncodedPayload, KeyPair, Keyring, Lookup, PayloadHash, PrivatePayload,
    PrivateTransactionManager, PtmError, PublicKey, RawPayload, RawTransaction, SendRequest, SendSigned,
    Sent, recipients_of_send, recipients_of_signed,
};
use alloy_primitives::Bytes;
use futures::future::BoxFuture;
use http_body_util::Full;
use hyper::Request;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A manager that holds two keys, keeps everything in memory and reaches nobody.
pub(crate) struct MemoryManager {
    pub(crate) keyring: Keyring,
    pub(crate) rows: Mutex<HashMap<PayloadHash, EncodedPayload>>,
    pub(crate) raw: Mutex<HashMap<PayloadHash, RawTransaction>>,
    pub(crate) erased: Mutex<Vec<PayloadHash>>,
    /// What everything fails with from now on.
    pub(crate) fault: Mutex<Option<PtmError>>,
}

impl MemoryManager {
    pub(crate) fn new() -> Arc<Self> {
        let pairs = [[1; 32], [2; 32]].map(|secret| KeyPair::from_secret(&secret)).into();
        Arc::new(Self {
            keyring: Keyring::new(pairs).unwrap(),
            rows: Mutex::default(),
            raw: Mutex::default(),
            erased: Mutex::default(),
            fault: Mutex::default(),
        })
    }

    pub(crate) fn own(&self, at: usize) -> PublicKey {
        self.keyring.keys()[at]
    }

    pub(crate) fn fail(&self, error: PtmError) {
        *self.fault.lock().unwrap() = Some(error);
    }

    fn check(&self) -> Result<(), PtmError> {
        self.fault.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn row(&self, hash: &PayloadHash) -> Result<EncodedPayload, PtmError> {
        let text = format!("Message with hash {hash} was not found");
        self.rows.lock().unwrap().get(hash).cloned().ok_or(PtmError::NotFound(text))
    }

    fn reachable(&self, recipients: &[PublicKey]) -> Result<(), PtmError> {
        let unknown = recipients.iter().find(|key| !self.keyring.manages(key));
        unknown.map_or(Ok(()), |key| Err(PtmError::UnknownRecipient(*key)))
    }

    fn seal(&self, request: &SendRequest) -> Result<EncodedPayload, PtmError> {
        self.check()?;
        let sender = self.keyring.sender(request.from)?;
        let recipients = recipients_of_send(&request.to, sender, &[]);
        let addressing = Addressing { recipients: &recipients, metadata: &request.metadata, affected: &[] };
        Ok(EncodedPayload::encrypt(&self.keyring, sender, &request.payload, &addressing)?)
    }

    fn keep(&self, envelope: EncodedPayload) -> Result<Sent, PtmError> {
        self.reachable(&envelope.recipients)?;
        let (hash, sender) = (envelope.hash(), envelope.sender);
        let managed_parties = self.keyring.managed_among(&envelope.recipients);
        self.rows.lock().unwrap().insert(hash, envelope);
        Ok(Sent { hash, managed_parties, sender })
    }

    fn open(&self, envelope: &EncodedPayload) -> Result<PrivatePayload, PtmError> {
        let (_, payload) = envelope.decrypt(&self.keyring)?;
        let managed_parties = self.keyring.managed_among(&envelope.recipients);
        Ok(PrivatePayload {
            payload,
            metadata: envelope.metadata(),
            managed_parties,
            sender: envelope.sender,
        })
    }

    fn find(&self, hash: &PayloadHash) -> Lookup {
        if let Err(error) = self.check() {
            return Lookup::Unavailable(error.to_string());
        }
        if self.erased.lock().unwrap().contains(hash) {
            return Lookup::Erased;
        }
        match self.row(hash).map(|row| self.open(&row)) {
            Err(_) => Lookup::NotOurs,
            Ok(Ok(found)) => Lookup::Found(found),
            Ok(Err(error)) => Lookup::Unavailable(error.to_string()),
        }
    }

    fn stored(&self, hash: &PayloadHash, text: &str) -> Result<RawTransaction, PtmError> {
        self.check()?;
        let text = format!("{text} with hash {hash} was not found");
        self.raw.lock().unwrap().get(hash).cloned().ok_or(PtmError::NotFound(text))
    }
}

impl PrivateTransactionManager for MemoryManager {
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>> {
        Box::pin(async move { self.keep(self.seal(&request)?) })
    }

    fn store_raw(
        &self,
        payload: Bytes,
        from: Option<PublicKey>,
    ) -> BoxFuture<'_, Result<PayloadHash, PtmError>> {
        Box::pin(async move {
            self.check()?;
            let raw = RawTransaction::encrypt(&self.keyring, self.keyring.sender(from)?, &payload)?;
            let hash = raw.hash();
            self.raw.lock().unwrap().insert(hash, raw);
            Ok(hash)
        })
    }

    fn send_signed(&self, request: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>> {
        Box::pin(async move {
            let raw = self.stored(&request.hash, "Raw Transaction")?;
            let recipients = recipients_of_signed(&request.to, raw.sender, &[]);
            let addressing =
                Addressing { recipients: &recipients, metadata: &request.metadata, affected: &[] };
            self.keep(raw.wrap(&self.keyring, &addressing)?)
        })
    }

    fn lookup(&self, hash: PayloadHash) -> BoxFuture<'_, Lookup> {
        Box::pin(async move { self.find(&hash) })
    }

    fn raw_payload(&self, hash: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>> {
        Box::pin(async move { Ok(self.stored(&hash, "Raw Message")?.decrypt(&self.keyring)?) })
    }

    fn is_sender(&self, hash: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>> {
        Box::pin(async move { Ok(self.keyring.manages(&self.row(&hash)?.sender)) })
    }

    fn participants(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async move { Ok(self.row(&hash)?.recipients) })
    }

    fn mandatory(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async move {
            let mandatory = self.row(&hash)?.mandatory;
            let text = "Operation may only be performed on transaction with mandatory recipients";
            if mandatory.is_empty() { Err(PtmError::BadRequest(text.into())) } else { Ok(mandatory) }
        })
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async move { Ok(self.keyring.keys().to_vec()) })
    }

    fn erase(&self, hash: PayloadHash) -> BoxFuture<'_, Result<(), PtmError>> {
        Box::pin(async move {
            self.row(&hash)?;
            self.rows.lock().unwrap().remove(&hash);
            self.erased.lock().unwrap().push(hash);
            Ok(())
        })
    }

    fn encrypt(&self, request: SendRequest) -> BoxFuture<'_, Result<EncodedPayload, PtmError>> {
        Box::pin(async move { self.seal(&request) })
    }

    fn decrypt(&self, envelope: EncodedPayload) -> BoxFuture<'_, Result<PrivatePayload, PtmError>> {
        Box::pin(async move { self.open(&envelope) })
    }
}

/// Any free port of this host.
pub(crate) fn anywhere() -> Listen {
    Listen { address: "http://127.0.0.1:0".parse().unwrap(), tls: None }
}

pub(crate) fn generous() -> Timeouts {
    let minute = Duration::from_secs(60);
    Timeouts { dial: minute, request: minute, idle: minute }
}

pub(crate) fn remote(address: &Address) -> RemoteManager {
    let options = RemoteOptions {
        address: address.clone(),
        third_party: None,
        timeouts: generous(),
        tls: TlsClientOptions::default(),
    };
    RemoteManager::new(&options).unwrap()
}

/// A client that sends what it is told.
pub(crate) struct Asker {
    address: Address,
    http: HttpClient,
}

impl Asker {
    pub(crate) fn of(server: &Server) -> Self {
        Self { address: server.address().clone(), http: HttpClient::plain(generous()) }
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(self.address.endpoint(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        self.http.ask(request, 1 << 26).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, media: &str, body: impl Into<bytes::Bytes>) -> Answer {
        self.ask("POST", path, &[("content-type", media)], body).await
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn body_text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn body_json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}
