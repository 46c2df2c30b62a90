//! Getting back what was lost with the store.
//!
//! Every node that is known is asked, for each of our keys, for what it has of it: what it sent to us, and our own payloads,
//! of which it has its copy. Pages come in the order in which the other one stored them. An envelope that calls a contract
//! can be judged only when the one that created it is here, and that may come from somebody else: until then it is laid
//! aside, on the disk. How far each node was read is remembered, so that a recovery goes on where it stopped, and a later
//! one asks only for what is new.

use super::Core;
use super::receive::Origin;
use crate::courier::CourierError;
use crate::store::Kept;
use crate::wire::{Answer, Refusal, Request};
use crate::{Codec, EncodedPayload, PayloadHash, PtmError, PublicKey};
use alloy_primitives::Bytes;
use lonja_primitives::NodeId;
use lonja_storage::Table;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Envelopes in one page.
const PAGE: u32 = 256;

/// Pages of one key and node in one run: more than anybody has.
const MAX_PAGES: u32 = 1_000_000;

/// Envelopes that are laid aside. Beyond that they are taken as they are.
const MAX_ASIDE: usize = 100_000;

/// Envelopes laid aside that are looked at together: each may be as large as a page.
const ASIDE_AT_ONCE: usize = 8;

/// How often a node is asked again that has too much to do, and when.
const ASKED_AGAIN: u32 = 120;
const PAUSE: Duration = Duration::from_millis(500);

/// Names of rows in the table of facts: how far a node was read for a key, and envelopes laid aside.
const CURSOR: &[u8] = b"recovered/";
const ASIDE: &[u8] = b"aside/";

/// What came of a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryOutcome {
    /// Payloads that were not here before.
    pub recovered: usize,
    /// Envelopes that were here already, or brought one more of our keys.
    pub known: usize,
    /// Envelopes that the rules refused or dropped, or that no key here opens.
    pub refused: usize,
    /// Envelopes that call contracts whose creation nobody gave. They were taken as far as the rules allow.
    pub unproven: usize,
    /// Pages that did not come: from whom, for which key, and why. What is missing may be there.
    pub incomplete: Vec<(NodeId, PublicKey, String)>,
    /// Of the payloads that were asked for by name, those that are still not here.
    pub missing: Vec<PayloadHash>,
}

/// How the newest recovery is getting on, or how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryStatus {
    /// Whether it is under way.
    pub running: bool,
    /// Nodes that are asked.
    pub nodes: usize,
    /// How many of them have given what they have, or would not.
    pub asked: usize,
    /// What came of it so far.
    pub outcome: RecoveryOutcome,
    /// Why it ended early: the store here failed.
    pub failed: Option<String>,
}

impl RecoveryOutcome {
    /// Whether everybody gave everything.
    pub fn is_complete(&self) -> bool {
        self.incomplete.is_empty()
    }

    fn count(&mut self, result: Result<Option<Kept>, PtmError>) -> Result<(), PtmError> {
        let field = match result {
            Ok(Some(Kept::New)) => &mut self.recovered,
            Ok(Some(_)) => &mut self.known,
            Ok(None) => &mut self.refused,
            Err(error @ PtmError::Unavailable(_)) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "an envelope was refused during recovery");
                &mut self.refused
            }
        };
        *field = field.saturating_add(1);
        Ok(())
    }
}

fn under_way() -> PtmError {
    PtmError::Unavailable("a recovery is under way already".into())
}

fn cursor_name(key: &PublicKey, node: &NodeId) -> Vec<u8> {
    [CURSOR, &key.0, node.0.as_slice()].concat()
}

impl Core {
    /// Asks everybody. `wanted`: payloads that stand on the chain and may be ours.
    pub(super) async fn recover(
        self: &Arc<Self>,
        afresh: bool,
        wanted: &[PayloadHash],
    ) -> Result<RecoveryOutcome, PtmError> {
        let Ok(_alone) = self.recovering.try_lock() else {
            return Err(under_way());
        };
        let nodes = self.directory.lock().nodes();
        *self.recovery.lock() =
            RecoveryStatus { running: true, nodes: nodes.len(), ..RecoveryStatus::default() };
        let result = self.recover_from(nodes, afresh, wanted).await;
        let mut status = self.recovery.lock();
        status.running = false;
        match &result {
            Ok(outcome) => status.outcome = outcome.clone(),
            Err(error) => status.failed = Some(error.to_string()),
        }
        result
    }

    /// As [`recover`](Self::recover), on a task of its own. [`RecoveryStatus`] says how it gets on.
    pub(super) fn start_recovery(
        self: &Arc<Self>,
        afresh: bool,
        wanted: Vec<PayloadHash>,
    ) -> Result<(), PtmError> {
        // Said at once where one is under way; the task looks again.
        drop(self.recovering.try_lock().map_err(|_| under_way())?);
        self.recovery.lock().running = true;
        let core = self.clone();
        self.runtime.spawn(async move {
            if let Err(error) = core.recover(afresh, &wanted).await {
                tracing::warn!(%error, "the recovery of payloads ended early");
            }
        });
        Ok(())
    }

    async fn recover_from(
        &self,
        nodes: BTreeSet<NodeId>,
        afresh: bool,
        wanted: &[PayloadHash],
    ) -> Result<RecoveryOutcome, PtmError> {
        let mut outcome = RecoveryOutcome::default();
        for node in nodes {
            for key in self.keyring.keys() {
                match self.pull(key, node, afresh, &mut outcome).await {
                    Ok(Ok(())) => {}
                    Ok(Err(reason)) => outcome.incomplete.push((node, *key, reason)),
                    Err(error) => return Err(error),
                }
            }
            tracing::info!(?node, recovered = outcome.recovered, known = outcome.known, "a node was asked");
            let mut status = self.recovery.lock();
            status.asked = status.asked.saturating_add(1);
        }
        self.take_aside(&mut outcome).await?;
        for hash in wanted {
            if !self.store.has(hash)? && self.store.tombstone(hash)?.is_none() {
                outcome.missing.push(*hash);
            }
        }
        Ok(outcome)
    }

    /// Reads what a node has of a key, to the end. The inner error is the node's, the outer our store's.
    async fn pull(
        &self,
        key: &PublicKey,
        node: NodeId,
        afresh: bool,
        outcome: &mut RecoveryOutcome,
    ) -> Result<Result<(), String>, PtmError> {
        let name = cursor_name(key, &node);
        let read = self.store.meta(&name)?.and_then(|row| row.as_slice().try_into().ok());
        let mut cursor = read.filter(|_| !afresh).map_or(0, u64::from_be_bytes);
        for _ in 0..MAX_PAGES {
            let request = Request::Resend { key: *key, cursor, limit: PAGE };
            let (envelopes, next, more) = match self.ask_page(node, request).await {
                Ok(Answer::Batch { envelopes, next, more }) => (envelopes, next, more),
                Ok(Answer::Refused(_, reason)) => return Ok(Err(reason)),
                Ok(_) => return Ok(Err("it answers something else".into())),
                Err(error) => return Ok(Err(error.to_string())),
            };
            let left = self.take_page(&envelopes, outcome).await?;
            self.lay_aside(left, outcome).await?;
            self.store.put(Table::PtmMeta, &name, next.to_be_bytes()).await?;
            self.recovery.lock().outcome = outcome.clone();
            if !more {
                return Ok(Ok(()));
            }
            if next == cursor {
                return Ok(Err("its pages do not go on".into()));
            }
            cursor = next;
        }
        Ok(Err("it has no end".into()))
    }

    async fn ask_page(&self, node: NodeId, request: Request) -> Result<Answer, CourierError> {
        let request = request.encode();
        let mut answer = self.ask(node, request.clone()).await;
        for _ in 0..ASKED_AGAIN {
            if !matches!(answer, Ok(Answer::Refused(Refusal::Busy, _)) | Err(CourierError::Busy)) {
                break;
            }
            self.surroundings.sleep(PAUSE).await;
            answer = self.ask(node, request.clone()).await;
        }
        answer
    }

    /// Takes what can be judged, and returns what cannot be yet.
    async fn take_page(
        &self,
        envelopes: &[Bytes],
        outcome: &mut RecoveryOutcome,
    ) -> Result<Vec<EncodedPayload>, PtmError> {
        let mut left = Vec::with_capacity(envelopes.len());
        for bytes in envelopes {
            match EncodedPayload::decode(Codec::Cbor, bytes) {
                Ok(envelope) => left.push(envelope),
                Err(error) => outcome.count(Err(error.into()))?,
            }
        }
        self.take_ready(left, outcome).await
    }

    /// Takes those whose contracts are known here, then those that became so by these, and so on.
    async fn take_ready(
        &self,
        mut left: Vec<EncodedPayload>,
        outcome: &mut RecoveryOutcome,
    ) -> Result<Vec<EncodedPayload>, PtmError> {
        loop {
            let (mut ready, mut later) = (Vec::new(), Vec::new());
            for envelope in left {
                let known = self.knows_affected(&envelope)?;
                if known { ready.push(envelope) } else { later.push(envelope) }
            }
            if ready.is_empty() {
                return Ok(later);
            }
            self.take_all(ready, outcome).await?;
            left = later;
        }
    }

    fn knows_affected(&self, envelope: &EncodedPayload) -> Result<bool, PtmError> {
        for (hash, _) in &envelope.affected {
            if !self.store.has(hash)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn take_all(
        &self,
        envelopes: Vec<EncodedPayload>,
        outcome: &mut RecoveryOutcome,
    ) -> Result<(), PtmError> {
        let takes = envelopes.into_iter().map(|envelope| self.receive(envelope, Origin::Manager));
        for result in futures::future::join_all(takes).await {
            outcome.count(result.map(|taken| taken.kept))?;
        }
        Ok(())
    }

    async fn lay_aside(
        &self,
        envelopes: Vec<EncodedPayload>,
        outcome: &mut RecoveryOutcome,
    ) -> Result<(), PtmError> {
        if envelopes.is_empty() {
            return Ok(());
        }
        let aside = self.store.count(Table::PtmMeta, ASIDE, MAX_ASIDE)?;
        if aside.saturating_add(envelopes.len()) > MAX_ASIDE {
            outcome.unproven = outcome.unproven.saturating_add(envelopes.len());
            return self.take_all(envelopes, outcome).await;
        }
        let put = self.store.change(move |pending| {
            let rows = envelopes.iter().map(|envelope| {
                let number = pending.next_sequence().to_be_bytes();
                (Table::PtmMeta, [ASIDE, &number].concat(), Some(envelope.encode(Codec::Cbor)))
            });
            Ok((rows.collect(), ()))
        });
        put.await
    }

    /// Takes what was laid aside: first whatever can be judged now, round by round, and in the end all that is left.
    async fn take_aside(&self, outcome: &mut RecoveryOutcome) -> Result<(), PtmError> {
        let mut last = false;
        loop {
            let (mut from, mut taken) = (ASIDE.to_vec(), 0usize);
            loop {
                let rows = self.store.rows(Table::PtmMeta, ASIDE, &from, ASIDE_AT_ONCE)?;
                let Some((newest, _)) = rows.last() else { break };
                from = [newest.as_slice(), &[0]].concat();
                taken = taken.saturating_add(self.take_rows(rows, last, outcome).await?);
            }
            if last {
                return Ok(());
            }
            last = taken == 0;
        }
    }

    /// Returns how many were taken.
    async fn take_rows(
        &self,
        rows: Vec<(Vec<u8>, Vec<u8>)>,
        last: bool,
        outcome: &mut RecoveryOutcome,
    ) -> Result<usize, PtmError> {
        let (mut ready, mut gone) = (Vec::new(), Vec::new());
        for (key, row) in rows {
            // A row that does not read cannot be taken by anybody.
            let envelope = EncodedPayload::decode(Codec::Cbor, &row.into()).ok();
            if let Some(envelope) = envelope {
                let known = self.knows_affected(&envelope)?;
                if !known && !last {
                    continue;
                }
                outcome.unproven = outcome.unproven.saturating_add(usize::from(!known));
                ready.push(envelope);
            }
            gone.push((Table::PtmMeta, key, None));
        }
        let taken = gone.len();
        self.take_all(ready, outcome).await?;
        self.store.write(gone).await?;
        Ok(taken)
    }
}
