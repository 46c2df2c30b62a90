//! Filling an empty store again, from managers that have what was lost: everything that was sent to our keys by theirs, and
//! what ours sent to theirs.
//!
//! Envelopes come in no order that suits the rules: one that calls a contract can only be judged when the one that created it
//! is here. So everybody is asked several times. What cannot be judged yet is left to the next pass, and only when a pass
//! brought nothing new, what is left is taken as it is.

use super::media::Media;
use super::peers::Peers;
use crate::{Codec, EncodedPayload, PeerUrl, PublicKey, base64};
use parking_lot::Mutex;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Until everybody has told who is where.
const DISCOVERY_TIME: Duration = Duration::from_secs(10);

/// Until a peer has given everything for one key: as long as a Tessera waits.
const RESEND_TIME: Duration = Duration::from_secs(7_200);

/// Envelopes of one batch, in the attempts that are made: smaller each time, should large payloads be the trouble.
const BATCH_SIZES: [usize; 5] = [500, 100, 20, 5, 1];

/// Passes at most. One is needed for each contract that creates another on the way to a call.
const MAX_PASSES: usize = 32;

/// What came of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Payloads that were not here before.
    pub stored: usize,
    /// Envelopes that the rules refused, in the last pass.
    pub refused: usize,
    /// Envelopes that stay unjudged: a contract's creation is nowhere to be had.
    pub unproven: usize,
    /// Peers that were asked.
    pub peers: usize,
    /// Peers that did not give everything, for which key, and why.
    pub failed: Vec<(PeerUrl, PublicKey, String)>,
}

impl RecoveryReport {
    /// Whether everything that was asked for came, and was taken.
    pub fn is_complete(&self) -> bool {
        self.peers > 0 && self.failed.is_empty() && self.refused == 0 && self.unproven == 0
    }

    /// Whether nobody gave anything.
    pub fn is_failure(&self) -> bool {
        self.stored == 0 && (self.peers == 0 || !self.failed.is_empty())
    }
}

/// A recovery that is under way.
pub struct Recovery {
    peers: Peers,
    pass: Mutex<Pass>,
}

/// Counts of one pass over all peers.
#[derive(Clone, Copy, Default)]
struct Pass {
    /// Whether also those are taken whose contracts are unknown.
    last: bool,
    stored: usize,
    refused: usize,
    unproven: usize,
}

impl Recovery {
    /// For the manager of these peers. Its server has to run ([`serve_managers`](super::serve_managers)): what is asked for
    /// comes in there.
    pub fn new(peers: Peers) -> Self {
        Self { peers, pass: Mutex::default() }
    }

    /// Finds peers, and asks everybody for everything until nothing new comes.
    pub async fn run(&self) -> RecoveryReport {
        self.discover(DISCOVERY_TIME).await;
        self.collect().await
    }

    async fn discover(&self, time: Duration) {
        let (until, pause) = (Instant::now() + time, self.peers.lines.options.interval);
        while Instant::now() < until {
            self.peers.round().await;
            sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    pub(super) async fn collect(&self) -> RecoveryReport {
        let mut report = RecoveryReport::default();
        for number in 1..=MAX_PASSES {
            report.failed = self.ask_everybody().await;
            let pass = std::mem::take(&mut *self.pass.lock());
            report.stored = report.stored.saturating_add(pass.stored);
            (report.refused, report.unproven) = (pass.refused, pass.unproven);
            tracing::info!(
                number,
                stored = pass.stored,
                left = pass.unproven,
                "one pass of recovery is over"
            );
            if pass.last || pass.unproven == 0 {
                break;
            }
            self.pass.lock().last = pass.stored == 0;
        }
        report.peers = self.peers.lines.table.lock().urls().len();
        report
    }

    async fn ask_everybody(&self) -> Vec<(PeerUrl, PublicKey, String)> {
        let mut failed = Vec::new();
        let urls = self.peers.lines.table.lock().urls();
        for url in urls {
            for key in self.peers.manager.keyring().keys() {
                if let Err(reason) = self.ask(&url, key).await {
                    tracing::warn!(%url, %key, %reason, "a peer did not give everything again");
                    failed.push((url.clone(), *key, reason));
                }
            }
        }
        failed
    }

    /// Asks one peer for everything that concerns one key.
    async fn ask(&self, url: &PeerUrl, key: &PublicKey) -> Result<(), String> {
        let (lines, key) = (&self.peers.lines, key.to_string());
        let versions = lines.table.lock().versions(url);
        let media = Media::Json.name();
        if !versions.enhancements {
            // An old one, or one that never spoke: it may know nothing of batches.
            let body = json!({"type": "ALL", "publicKey": key}).to_string().into_bytes();
            let answer = lines.post(url, "/resend", media, body, RESEND_TIME).await;
            return match answer {
                Ok(answer) if answer.is_success() => Ok(()),
                Ok(answer) => Err(answer.error().to_string()),
                Err(error) => Err(error.to_string()),
            };
        }
        let mut reason = String::new();
        for size in BATCH_SIZES {
            let body = json!({"publicKey": key, "batchSize": size}).to_string().into_bytes();
            match lines.post(url, "/resendBatch", media, body, RESEND_TIME).await {
                Ok(answer) if answer.is_success() => return Ok(()),
                Ok(answer) => reason = answer.error().to_string(),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// Takes in a batch that a peer pushed because we asked.
    pub(super) async fn take(&self, encoded: &[String]) {
        for text in encoded {
            let envelope = base64::decode(text).and_then(|bytes| Codec::Legacy.decode(&bytes.into()).ok());
            match envelope {
                Some(envelope) => self.take_one(envelope).await,
                None => self.count(|pass| &mut pass.refused),
            }
        }
    }

    async fn take_one(&self, envelope: EncodedPayload) {
        let (manager, hash) = (&self.peers.manager, envelope.hash());
        let is_here = |hash: &crate::PayloadHash| manager.envelope(hash).is_ok_and(|row| row.is_some());
        if envelope.affected.iter().any(|(affected, _)| !is_here(affected)) {
            self.count(|pass| &mut pass.unproven);
            if !self.pass.lock().last {
                return;
            }
        }
        let known = is_here(&hash);
        match manager.receive(envelope).await {
            Ok(_) if known || !is_here(&hash) => {}
            Ok(_) => self.count(|pass| &mut pass.stored),
            Err(error) => {
                tracing::debug!(%hash, %error, "an envelope was refused during recovery");
                self.count(|pass| &mut pass.refused);
            }
        }
    }

    fn count(&self, field: impl Fn(&mut Pass) -> &mut usize) {
        let mut pass = self.pass.lock();
        let count = field(&mut pass);
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
