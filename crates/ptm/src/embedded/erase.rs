//! Erasing payloads for good.
//!
//! What was erased leaves a signed tombstone, and is not taken again by whatever way it comes. Its bytes leave the files
//! soon after: all files are written anew, which takes a while, and is done once for all that was erased meanwhile. Whether
//! others erase theirs is up to them: they get a signed order, and answer with their tombstones.

use super::Core;
use super::meter::Effort;
use crate::directory::Route;
use crate::records::{Author, Erasure, ErasureKind};
use crate::store::{damaged, now_ms};
use crate::wire::{Answer, Refusal, Request};
use crate::{AcceptErase, PayloadHash, PtmError, PublicKey};
use alloy_primitives::B256;
use futures::{StreamExt, stream};
use lonja_primitives::NodeId;
use lonja_storage::Table;
use metrics::counter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long after an erasure the files are written anew: others may follow it.
const SCRUB_DELAY: Duration = Duration::from_secs(10);

/// When it is tried again while somebody still reads what is to go.
const SCRUB_AGAIN: Duration = Duration::from_secs(60);

/// Says, in the table of facts, that bytes of what was erased may still stand in files: the number of the erasure.
const TO_SCRUB: &[u8] = b"to-scrub";

/// Names, in the table of facts, of the parties that have not erased a payload: their keys, 32 bytes each.
const OUTSTANDING: &[u8] = b"unerased/";

/// Parties that are asked at the same time.
const ASKED_AT_ONCE: usize = 16;

/// What a party answered to an order to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureAnswer {
    /// The party.
    pub party: PublicKey,
    /// Its tombstone, or why there is none.
    pub result: Result<Erasure, String>,
}

fn outstanding_name(hash: &PayloadHash) -> Vec<u8> {
    [OUTSTANDING, hash.as_slice()].concat()
}

impl Core {
    pub(super) fn author(&self) -> Author<'_> {
        Author { node: self.node, signer: &*self.signer, genesis: self.settings.genesis }
    }

    /// Erases a payload here, and leaves a tombstone.
    pub(super) async fn erase(self: &Arc<Self>, hash: PayloadHash, order: B256) -> Result<Erasure, PtmError> {
        if !self.store.has(&hash)? && self.store.raw(&hash)?.is_none() {
            return Err(PtmError::NotFound(format!("Message with hash {hash} was not found")));
        }
        self.erase_wherever(hash, order).await
    }

    /// As [`erase`](Self::erase), also where the payload is not here: it is not taken any more then.
    pub(super) async fn erase_wherever(
        self: &Arc<Self>,
        hash: PayloadHash,
        order: B256,
    ) -> Result<Erasure, PtmError> {
        let tombstone = Erasure::sign(self.author(), ErasureKind::Done, hash, order, now_ms());
        let mut others = self.outbox.rows_of(&hash);
        others.push((Table::PtmMeta, TO_SCRUB.to_vec(), Some(tombstone.signature.0.to_vec())));
        self.store.erase(hash, alloy_rlp::encode(&tombstone), others).await?;
        self.outbox.forget(&hash);
        self.cache.forget(&hash);
        counter!("lonja_ptm_erased_total").increment(1);
        tracing::info!(%hash, %order, "a payload was erased");
        self.scrub_later(SCRUB_DELAY);
        // An older tombstone stays; where there is one, nothing changed.
        self.tombstone(&hash)?.ok_or_else(|| damaged("a tombstone that was just written is not there"))
    }

    /// The record that a payload was erased here.
    pub(super) fn tombstone(&self, hash: &PayloadHash) -> Result<Option<Erasure>, PtmError> {
        let row = self.store.tombstone(hash)?;
        let read =
            |row| alloy_rlp::decode_exact(row).map_err(|_| damaged(format!("the tombstone of {hash}")));
        row.map(read).transpose()
    }

    /// Removes the bytes of what was erased from the files, now.
    pub(super) async fn scrub(&self) -> Result<(), PtmError> {
        let _alone = self.scrubbing.lock().await;
        let Some(until) = self.store.meta(TO_SCRUB)? else { return Ok(()) };
        let store = self.store.clone();
        let scrubbed = tokio::task::spawn_blocking(move || store.scrub()).await;
        scrubbed.map_err(|_| PtmError::Unavailable("the manager is stopping".into()))??;
        // What was erased meanwhile is for the next time.
        let done = self.store.change(move |pending| {
            let latest = pending.get(Table::PtmMeta, TO_SCRUB)?;
            let row = (Table::PtmMeta, TO_SCRUB.to_vec(), None);
            Ok((if latest == Some(until) { vec![row] } else { Vec::new() }, ()))
        });
        done.await
    }

    /// Whether bytes of something erased may still stand in files.
    pub(super) fn is_scrubbed(&self) -> Result<bool, PtmError> {
        Ok(self.store.meta(TO_SCRUB)?.is_none())
    }

    /// Goes on after a restart with what was begun before.
    pub(super) fn resume_scrubbing(self: &Arc<Self>) -> Result<(), PtmError> {
        if self.store.meta(TO_SCRUB)?.is_some() {
            self.scrub_later(SCRUB_DELAY);
        }
        Ok(())
    }

    fn scrub_later(self: &Arc<Self>, delay: Duration) {
        if self.scrub_waits.swap(true, Ordering::SeqCst) {
            return;
        }
        let (core, surroundings) = (Arc::downgrade(self), self.surroundings.clone());
        self.runtime.spawn(async move {
            let mut delay = delay;
            loop {
                surroundings.sleep(delay).await;
                let Some(core) = core.upgrade() else { return };
                // What is erased from here on is for the next time.
                core.scrub_waits.store(false, Ordering::SeqCst);
                match core.scrub().await {
                    Ok(()) => return,
                    Err(_) if core.store.halted().is_some() => return,
                    Err(error) => {
                        tracing::warn!(%error, "erased bytes could not be removed from the files yet")
                    }
                }
                if core.scrub_waits.swap(true, Ordering::SeqCst) {
                    return;
                }
                delay = SCRUB_AGAIN;
            }
        });
    }

    /// Asks the other parties that are known here to erase a payload: all at first, and later those that have not done it.
    pub(super) async fn ask_parties(
        &self,
        hash: PayloadHash,
        order: B256,
    ) -> Result<Vec<ErasureAnswer>, PtmError> {
        let parties = self.parties_to_ask(&hash)?;
        let order = Erasure::sign(self.author(), ErasureKind::Order, hash, order, now_ms());
        let asked = parties.into_iter().map(|party| {
            let order = &order;
            async move { ErasureAnswer { party, result: self.ask_party(party, order).await } }
        });
        let answers: Vec<_> = stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
        let outstanding = answers.iter().filter(|answer| answer.result.is_err());
        let outstanding: Vec<u8> = outstanding.flat_map(|answer| answer.party.0).collect();
        let row = Some(outstanding).filter(|keys| !keys.is_empty());
        self.store.write(vec![(Table::PtmMeta, outstanding_name(&hash), row)]).await?;
        Ok(answers)
    }

    /// Once a payload is erased nobody knows its parties: those that have not erased theirs are written down before.
    fn parties_to_ask(&self, hash: &PayloadHash) -> Result<Vec<PublicKey>, PtmError> {
        if let Some(keys) = self.store.meta(&outstanding_name(hash))? {
            let (keys, rest) = keys.as_chunks::<{ PublicKey::LENGTH }>();
            let wrong = || damaged(format!("the parties that have not erased {hash}"));
            return rest.is_empty().then(|| keys.iter().copied().map(PublicKey).collect()).ok_or_else(wrong);
        }
        if self.store.tombstone(hash)?.is_some() {
            return Ok(Vec::new());
        }
        let envelope = self.stored(hash)?;
        let parties = envelope.recipients.iter().chain([&envelope.sender]);
        Ok(crate::envelope::each_once(parties.filter(|key| !self.keyring.manages(key)).copied()))
    }

    async fn ask_party(&self, party: PublicKey, order: &Erasure) -> Result<Erasure, String> {
        let mut reason = "nobody is known who holds this key".to_owned();
        let routes = self.routes(&party).map_err(|error| error.to_string())?;
        for (route, _) in routes {
            let node = match route {
                Route::Node(node) => node,
                Route::Url(url) => {
                    reason = format!("the manager at {url} takes no orders");
                    continue;
                }
                Route::Local => continue,
            };
            match self.prove(party, node).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    reason = error.to_string();
                    continue;
                }
            }
            return match self.ask(node, Request::Erase(order.clone()).encode()).await {
                Ok(Answer::Erased(tombstone)) if self.is_tombstone(&tombstone, order, &node) => Ok(tombstone),
                Ok(Answer::Refused(_, reason)) => Err(reason),
                Ok(_) => Err("its answer is no tombstone of this payload".into()),
                Err(error) => Err(error.to_string()),
            };
        }
        Err(reason)
    }

    fn is_tombstone(&self, tombstone: &Erasure, order: &Erasure, node: &NodeId) -> bool {
        tombstone.hash == order.hash
            && tombstone.node == *node
            && tombstone.is_signed(ErasureKind::Done, self.settings.genesis)
    }

    /// Carries out an order, or says why not.
    pub(super) async fn handle_order(self: &Arc<Self>, peer: NodeId, order: &Erasure) -> Answer {
        if !self.meter(&peer, Effort::Curve, 2) {
            return super::handle::busy();
        }
        if order.node != peer || !order.is_signed(ErasureKind::Order, self.settings.genesis) {
            return Answer::refused(Refusal::Rule, "the order is not signed by the node that gives it");
        }
        match self.carry_out(peer, order).await {
            Ok(tombstone) => Answer::Erased(tombstone),
            Err(error) => super::handle::refused(&error),
        }
    }

    async fn carry_out(self: &Arc<Self>, peer: NodeId, order: &Erasure) -> Result<Erasure, PtmError> {
        if let Some(tombstone) = self.tombstone(&order.hash)? {
            return Ok(tombstone);
        }
        let envelope = self.stored(&order.hash)?;
        let may = match self.settings.accept_erase {
            AcceptErase::Never => Vec::new(),
            AcceptErase::FromSender => vec![envelope.sender],
            AcceptErase::FromAnyParty => {
                let parties = envelope.recipients.iter().chain([&envelope.sender]);
                crate::envelope::each_once(parties.copied())
            }
        };
        for key in may {
            if !self.keyring.manages(&key) && matches!(self.prove_known(key, peer).await, Ok(true)) {
                tracing::info!(hash = %order.hash, order = %order.order, ?peer, "an order to erase is carried out");
                return self.erase(order.hash, order.order).await;
            }
        }
        Err(PtmError::Violation("this manager does not take such orders from this node".into()))
    }

    /// As [`prove`](Self::prove), for nodes that claim the key.
    async fn prove_known(&self, key: PublicKey, node: NodeId) -> Result<bool, crate::CourierError> {
        let claims = self.directory.lock().standing(&key, &node).is_some();
        if claims { self.prove(key, node).await } else { Ok(false) }
    }
}
