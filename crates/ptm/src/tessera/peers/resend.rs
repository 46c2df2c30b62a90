//! Giving envelopes again to a manager that lost them.

use super::{Lines, Peers};
use crate::limits::MAX_ENVELOPE_BYTES;
use crate::tessera::media::Media;
use crate::{Codec, EncodedPayload, PayloadHash, PeerUrl, PrivacyMode, PtmError, PublicKey, base64};
use serde_json::json;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Resends that are under way at the same time. Each reads much of the store, for whoever asks.
pub(super) const RESENDS_AT_ONCE: usize = 2;

/// Envelopes of one batch where nobody says how many, and at most.
const MAX_BATCH: usize = 10_000;

/// Bytes of envelopes after which a batch is sent although it is not full.
const BATCH_BYTES: usize = 24 * 1024 * 1024;

/// Rows that are read from the store at a time.
const PAGE: usize = 256;

/// Until a batch was taken in. Its taker stores each envelope durably.
const BATCH_TIME: Duration = Duration::from_secs(120);

/// Copies that wait to be sent together.
struct Batch {
    copies: Vec<String>,
    bytes: usize,
    size: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.copies.len() >= self.size || self.bytes >= BATCH_BYTES
    }
}

impl Peers {
    fn begin_resend(&self) -> Result<OwnedSemaphorePermit, PtmError> {
        let busy = |_| PtmError::Unavailable("other resends are under way; ask again later".into());
        self.resends.clone().try_acquire_owned().map_err(busy)
    }

    /// Where what concerns a key is given again. Nowhere, where the network says which nodes hold it.
    fn place(&self, key: &PublicKey) -> Result<PeerUrl, PtmError> {
        self.not_bound(key)?;
        self.lines.table.lock().place(key).ok_or(PtmError::UnknownRecipient(*key))
    }

    fn not_bound(&self, key: &PublicKey) -> Result<(), PtmError> {
        if self.manager.is_bound(key)? { Err(PtmError::UnknownRecipient(*key)) } else { Ok(()) }
    }

    /// One envelope, for a party that asks for it by name. Of standard payloads only, and never for our own keys: whoever asks by
    /// these is somebody else, and would see who the parties are.
    pub(crate) fn one_again(&self, key: &PublicKey, hash: &PayloadHash) -> Result<EncodedPayload, PtmError> {
        self.not_bound(key)?;
        let not_found = || PtmError::NotFound(format!("Message with hash {hash} was not found"));
        let envelope = self.manager.envelope(hash)?.ok_or_else(not_found)?;
        if envelope.mode != PrivacyMode::Standard {
            let text = "Cannot resend enhanced privacy transaction in legacy resend";
            return Err(PtmError::Violation(text.into()));
        }
        if self.manager.keyring().manages(key) {
            return Err(not_found());
        }
        if *key == envelope.sender { Ok(envelope) } else { Ok(envelope.strip_for(key)?) }
    }

    /// Pushes every standard payload that concerns a key to its manager, one after the other.
    pub(crate) async fn all_again(&self, key: &PublicKey) -> Result<(), PtmError> {
        let (_place, url) = (self.begin_resend()?, self.place(key)?);
        let (mut cursor, mut refused) = (Some(0), None);
        while let Some(from) = cursor {
            let (page, next) = self.manager.concerning(key, from, PAGE)?;
            let standard = page.iter().filter(|envelope| envelope.mode == PrivacyMode::Standard);
            for copy in standard.flat_map(|envelope| self.copies(key, envelope)) {
                match self.lines.push(&url, *key, &copy).await {
                    // One that it does not want keeps it from no other.
                    Err(error @ PtmError::Refused { .. }) => refused = Some(error),
                    pushed => pushed?,
                }
            }
            cursor = next;
        }
        refused.map_or(Ok(()), Err)
    }

    /// Pushes everything that concerns a key to its manager, in batches. Answers how many copies that were.
    pub(crate) async fn all_in_batches(&self, key: &PublicKey, size: i64) -> Result<usize, PtmError> {
        let (_place, url) = (self.begin_resend()?, self.place(key)?);
        let size =
            usize::try_from(size).ok().filter(|size| (1..=MAX_BATCH).contains(size)).unwrap_or(MAX_BATCH);
        let (mut total, mut cursor) = (0_usize, Some(0));
        let mut batch = Batch { copies: Vec::new(), bytes: 0, size };
        while let Some(from) = cursor {
            let (page, next) = self.manager.concerning(key, from, size.min(PAGE))?;
            for copy in page.iter().flat_map(|envelope| self.copies(key, envelope)) {
                let encoded = copy.encode(Codec::Legacy);
                batch.bytes = batch.bytes.saturating_add(encoded.len());
                batch.copies.push(base64::encode(&encoded));
                total = total.saturating_add(1);
                if batch.is_full() {
                    self.lines.push_batch(&url, *key, &mut batch).await?;
                }
            }
            cursor = next;
        }
        self.lines.push_batch(&url, *key, &mut batch).await?;
        Ok(total)
    }

    /// What of an envelope is given to the holder of a key: its copy, where we sent it; where it was the sender, a copy for
    /// each box that is here, so that it can put its own together again. What others sent is theirs to give.
    fn copies(&self, key: &PublicKey, envelope: &EncodedPayload) -> Vec<EncodedPayload> {
        if envelope.sender == *key {
            let recipients = envelope.boxed().map(|(recipient, _)| recipient);
            return recipients.filter_map(|recipient| envelope.strip_for(&recipient).ok()).collect();
        }
        if self.manager.keyring().manages(&envelope.sender) {
            return envelope.strip_for(key).into_iter().collect();
        }
        Vec::new()
    }
}

impl Lines {
    async fn push_batch(
        &self,
        url: &PeerUrl,
        recipient: PublicKey,
        batch: &mut Batch,
    ) -> Result<(), PtmError> {
        if batch.copies.is_empty() {
            return Ok(());
        }
        batch.bytes = 0;
        let body = json!({"encodedPayloads": std::mem::take(&mut batch.copies)}).to_string().into_bytes();
        let answer = self.post(url, "/pushBatch", Media::Json.name(), body, BATCH_TIME).await;
        match answer {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => {
                let reason = format!("{url} refused a batch: {}", answer.error());
                Err(PtmError::Refused { recipient, reason })
            }
            Err(error) => Err(PtmError::Unreachable { recipient, reason: format!("{url}: {error}") }),
        }
    }
}

/// Bytes of the largest batch that we take: two full ones, in base64.
pub(crate) const MAX_BATCH_BYTES: usize = (BATCH_BYTES + MAX_ENVELOPE_BYTES) / 3 * 4 + MAX_BATCH * 8 + 4_096;
