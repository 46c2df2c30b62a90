//! Other managers that are known by their URL: finding them, handing envelopes to them.

mod courier;
mod polling;
mod resend;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod validation;

use super::http::{Answer, HttpClient, HttpError, Timeouts};
use super::tls::{TlsClientOptions, TlsError};
use crate::codec::negotiation::{VERSIONS, VERSIONS_HEADER, VERSIONS_WITHOUT_CBOR};
use crate::{EmbeddedManager, PeerUrl, PublicKey};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use parking_lot::{Mutex, RwLock};
pub(crate) use polling::Heard;
pub(crate) use resend::MAX_BATCH_BYTES;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use table::PeerTable;
use tokio::sync::Semaphore;
use validation::Validated;
pub(crate) use validation::solve;

/// How often peers are told who is here: Tessera's default.
const INTERVAL: Duration = Duration::from_secs(5);

/// Until a connection to a peer stands.
const DIAL_TIME: Duration = Duration::from_secs(3);

/// Until a peer has an envelope and says so. Peers store before they answer, the largest one over a slow line.
const PUSH_TIME: Duration = Duration::from_secs(20);

/// For which a connection to a peer is kept: until after the next round.
const IDLE_TIME: Duration = Duration::from_secs(20);

/// Bytes of an answer between managers: a hash, a text, or a party info that is not looked at.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Peers that are talked to at the same time in one round.
const CALLS_AT_ONCE: usize = 16;

/// What the operator says about peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOptions {
    /// Our URL, as peers dial it. It is our identity to them: they push to exactly this one.
    pub url: PeerUrl,
    /// Managers to talk to from the start.
    pub peers: Vec<PeerUrl>,
    /// Whether managers that nobody configured are listened to, and found through others.
    pub discovery: bool,
    /// Whether only hosts of configured managers may ask anything at all.
    pub only_configured_hosts: bool,
    /// Whether a manager has to show that it holds the keys that it announces.
    pub validate_keys: bool,
    /// Whether CBOR is announced and used; the legacy encoding otherwise.
    pub cbor: bool,
    /// How often peers are told who is here.
    pub interval: Duration,
    /// How peers are recognised whose URL begins with `https`, and what we show them.
    pub tls: TlsClientOptions,
}

impl PeerOptions {
    /// The usual ones, with nobody configured.
    pub fn new(url: PeerUrl) -> Self {
        Self {
            url,
            peers: Vec::new(),
            discovery: true,
            only_configured_hosts: false,
            validate_keys: true,
            cbor: true,
            interval: INTERVAL,
            tls: TlsClientOptions::default(),
        }
    }
}

/// Other managers that are known by their URL. Clones are the same.
#[derive(Clone)]
pub struct Peers {
    pub(crate) manager: EmbeddedManager,
    pub(crate) lines: Arc<Lines>,
    pub(crate) resends: Arc<Semaphore>,
    validated: Arc<Mutex<Validated>>,
    validations: Arc<Semaphore>,
    hearings: Arc<Semaphore>,
    /// Who may ask, where that is limited.
    hosts: Arc<RwLock<HashSet<IpAddr>>>,
}

/// The way to peers. It knows nothing of our own manager, which holds it.
pub(crate) struct Lines {
    pub(crate) options: PeerOptions,
    pub(crate) table: Mutex<PeerTable>,
    http: HttpClient,
}

impl Peers {
    /// Peers of this manager, which from now on reaches recipients through them. Nobody is asked before
    /// [`run`](Self::run).
    pub fn new(manager: EmbeddedManager, options: PeerOptions) -> Result<Self, TlsError> {
        let timeouts = Timeouts { dial: DIAL_TIME, request: PUSH_TIME, idle: IDLE_TIME };
        let secure =
            std::iter::once(&options.url).chain(&options.peers).any(|url| url.as_str().starts_with("https:"));
        let tls_given = options.tls != TlsClientOptions::default();
        let http = match secure || tls_given {
            true => HttpClient::new(timeouts, &options.tls)?,
            false => HttpClient::plain(timeouts),
        };
        let table = Mutex::new(PeerTable::new(&options));
        let lines = Arc::new(Lines { options, table, http });
        manager.set_url_courier(lines.clone());
        Ok(Self {
            manager,
            lines,
            resends: Arc::new(Semaphore::new(resend::RESENDS_AT_ONCE)),
            validated: Arc::default(),
            validations: Arc::new(Semaphore::new(validation::VALIDATIONS_AT_ONCE)),
            hearings: Arc::new(Semaphore::new(validation::HEARINGS_AT_ONCE)),
            hosts: Arc::default(),
        })
    }

    /// The way to members of privacy groups.
    pub fn group_courier(&self) -> Arc<dyn super::GroupCourier> {
        self.lines.clone()
    }

    /// Whether a host may ask anything at all. Programs of this machine that come over loopback are hosts like others.
    pub(crate) fn admits(&self, host: Option<IpAddr>) -> bool {
        !self.lines.options.only_configured_hosts
            || host.is_some_and(|host| self.hosts.read().contains(&host))
    }

    /// What we answer to those who look for keys: all that are known, ours first.
    pub(crate) fn known(&self) -> Vec<(PublicKey, PeerUrl)> {
        let own = self.manager.keyring().keys().iter().map(|key| (*key, self.lines.options.url.clone()));
        own.chain(self.lines.table.lock().keys()).collect()
    }
}

impl Lines {
    /// Our versions, as every request between managers tells them.
    pub(crate) fn announced(&self) -> &'static str {
        if self.options.cbor { VERSIONS } else { VERSIONS_WITHOUT_CBOR }
    }

    /// Asks a manager. `media`: of the body.
    pub(crate) async fn post(
        &self,
        url: &PeerUrl,
        path: &str,
        media: &'static str,
        body: Vec<u8>,
        time: Duration,
    ) -> Result<Answer, HttpError> {
        let request = Request::post(url.endpoint(path))
            .header(USER_AGENT, HeaderValue::from_static(super::AGENT))
            .header(CONTENT_TYPE, HeaderValue::from_static(media))
            .header(VERSIONS_HEADER, HeaderValue::from_static(self.announced()))
            .body(Full::from(body));
        let request = request.map_err(|error| HttpError::Request(error.to_string()))?;
        self.http.ask_within(request, MAX_ANSWER_BYTES, time).await
    }
}
