//! Taking in envelopes from other managers.

use super::Core;
use super::recent::Found;
use super::send::off_the_tasks;
use crate::envelope::Opened;
use crate::rules::{self, Received};
use crate::store::{Keep, Kept, Other};
use crate::{EncodedPayload, PayloadHash, PrivacyMode, PtmError, proof};
use alloy_primitives::B256;
use lonja_primitives::NodeId;
use metrics::counter;
use std::time::Duration;

/// How often and how long a push waits for a withdrawal of the same payload to end, which is one write.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Which way an envelope came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// Pushed by a node, which may withdraw it.
    Push {
        /// The node.
        peer: NodeId,
        /// Its attempt.
        attempt: u64,
    },
    /// From a manager at a URL, or asked for.
    Manager,
}

/// An envelope is durable here, or dropped without a word.
pub(super) struct Taken {
    pub(super) hash: PayloadHash,
    /// Shows that it was opened.
    pub(super) proof: B256,
    /// What became of it; `None` where it was dropped.
    pub(super) kept: Option<Kept>,
}

impl Core {
    /// Checks an envelope and keeps it. What none of our keys opens is refused: nobody could ever execute it, and a
    /// transaction that names it would stop this node's private state.
    pub(super) async fn receive(&self, envelope: EncodedPayload, origin: Origin) -> Result<Taken, PtmError> {
        let result = self.take_in(envelope, origin).await;
        let label = if result.is_ok() { "taken" } else { "refused" };
        counter!("lonja_ptm_received_total", "result" => label).increment(1);
        result
    }

    async fn take_in(&self, envelope: EncodedPayload, origin: Origin) -> Result<Taken, PtmError> {
        let own = self.keyring.manages(&envelope.sender);
        if own && matches!(origin, Origin::Push { .. }) {
            // Both ends of a box can make it: nobody but we may say what we sent, except when we ask for it.
            return Err(PtmError::Violation("the sender's key is held here".into()));
        }
        let (keyring, size) = (self.keyring.clone(), envelope.cipher_text.len());
        let open = move || {
            let (hash, opened) = (envelope.hash(), envelope.open(&keyring));
            opened.map(|opened| (hash, opened, envelope))
        };
        let (hash, opened, envelope) = off_the_tasks(size, open).await??;
        let mut taken = Taken { hash, proof: proof::stored(&hash, &opened.master_key), kept: None };
        match self.check(envelope).await? {
            Received::Keep(envelope) => {
                let envelope = if own { self.rebuilt(envelope)? } else { envelope };
                taken.kept = Some(self.keep(hash, envelope, opened, origin).await?);
            }
            Received::Dropped(reason) => {
                counter!("lonja_ptm_dropped_total", "reason" => reason.name()).increment(1);
                tracing::debug!(%hash, %reason, "a payload was dropped, and its sender told that it was taken");
            }
        }
        Ok(taken)
    }

    /// What the rules say, which compare it with the transactions that it affects.
    async fn check(&self, envelope: EncodedPayload) -> Result<Received, PtmError> {
        let known = self.store.envelopes(envelope.affected.iter().map(|(hash, _)| hash))?;
        let compared = envelope.cipher_text.len().saturating_mul(known.len());
        let sizes = known.iter().map(|(_, envelope)| envelope.cipher_text.len());
        let bytes = sizes.fold(compared, usize::saturating_add);
        let (enhancements, keyring) = (self.settings.enhancements, self.keyring.clone());
        let check = move || rules::check_receive(enhancements, &keyring, envelope, &known);
        off_the_tasks(bytes, check).await?
    }

    /// A payload that we sent, and of which a recipient gives us back its copy: it gets our own box again, and where
    /// everybody knows everybody the boxes of all.
    fn rebuilt(&self, mut envelope: EncodedPayload) -> Result<EncodedPayload, PtmError> {
        let mut parties = vec![envelope.sender];
        if envelope.mode == PrivacyMode::StateValidation {
            parties.extend(envelope.recipients.iter().copied());
        }
        if !envelope.recipients.is_empty() {
            for party in parties {
                envelope.add_recipient(&self.keyring, party)?;
            }
        }
        Ok(envelope)
    }

    async fn keep(
        &self,
        hash: PayloadHash,
        envelope: EncodedPayload,
        opened: Opened,
        origin: Origin,
    ) -> Result<Kept, PtmError> {
        let sent_here = self.keyring.manages(&envelope.sender);
        let other = match origin {
            Origin::Push { peer, attempt } => self.announce_push(hash, peer, attempt).await?,
            Origin::Manager if sent_here => Other::Unite,
            Origin::Manager => Other::Refuse,
        };
        let (changes, payload) = (self.cache.changes(), self.in_clear(&envelope, opened.payload));
        let kept = self.store.keep(Keep { hash, envelope, sent_here, other }).await?;
        match kept {
            Kept::New => self.cache.put(hash, payload, changes),
            Kept::Merged | Kept::Replaced => self.cache.forget(&hash),
            Kept::Same => {}
        }
        Ok(kept)
    }

    /// Remembers that a push may be withdrawn. It takes the place of what an older attempt left.
    async fn announce_push(&self, hash: PayloadHash, peer: NodeId, attempt: u64) -> Result<Other, PtmError> {
        for _ in 0..LOOKS {
            let found = self.recent.lock().push(&hash, &peer, attempt);
            match found {
                Found::Leaving => self.surroundings.sleep(PAUSE).await,
                Found::Older => return Ok(Other::Replace),
                Found::Other => return Ok(Other::Refuse),
                Found::Nothing => {
                    if attempt != 0 && !self.store.has(&hash)? {
                        self.recent.lock().note(hash, peer, attempt, self.surroundings.now());
                    }
                    return Ok(Other::Refuse);
                }
            }
        }
        Err(PtmError::Unavailable("an earlier attempt is being withdrawn".into()))
    }

    /// Forgets what was pushed in an attempt that failed.
    pub(super) async fn forget_push(
        &self,
        hash: PayloadHash,
        peer: NodeId,
        attempt: u64,
    ) -> Result<(), PtmError> {
        if self.recent.lock().pushed_by(&hash, self.surroundings.now()) != Some(peer) {
            return Ok(());
        }
        let Some(row) = self.store.envelope(&hash)? else { return Ok(()) };
        let sender = row.envelope.sender;
        let proven = self.prove(sender, peer).await;
        if !matches!(proven, Ok(true)) {
            return Err(PtmError::Violation(format!("this node has not shown that it holds {sender}")));
        }
        if !self.recent.lock().leave(&hash, &peer, attempt, self.surroundings.now()) {
            return Ok(());
        }
        let deleted = self.store.delete(hash).await;
        self.cache.forget(&hash);
        self.recent.lock().gone(&hash);
        counter!("lonja_ptm_withdrawn_total").increment(1);
        deleted.map(|_| ())
    }
}
