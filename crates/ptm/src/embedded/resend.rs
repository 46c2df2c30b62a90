//! Giving again what concerns a key, to the node that shows that it holds it.

use super::Core;
use super::meter::Effort;
use crate::courier::CourierError;
use crate::store::PayloadStore;
use crate::wire::{Answer, MAX_BATCH, MAX_BATCH_BYTES, MAX_PUSHED_BYTES, Refusal};
use crate::{Codec, EncodedPayload, PtmError, PublicKey};
use alloy_primitives::Bytes;
use lonja_primitives::NodeId;

/// A page that another node asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) key: PublicKey,
    pub(super) cursor: u64,
    pub(super) limit: u32,
}

impl Core {
    pub(super) async fn resend(&self, peer: NodeId, page: Page) -> Answer {
        let limit = (page.limit as usize).clamp(1, MAX_BATCH);
        if !self.meter(&peer, Effort::Curve, 1) || !self.meter(&peer, Effort::Envelope, limit) {
            return super::handle::busy();
        }
        match self.prove(page.key, peer).await {
            Ok(true) => {}
            Ok(false) => return Answer::refused(Refusal::NotHeld, "the key was not shown"),
            Err(error @ CourierError::Busy) => return Answer::refused(Refusal::Busy, error.to_string()),
            Err(error) => {
                return Answer::refused(Refusal::Busy, format!("the key could not be asked for: {error}"));
            }
        }
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || read_page(&store, page, limit)).await;
        match read {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => super::handle::refused(&error),
            Err(_) => Answer::refused(Refusal::Busy, "the manager is stopping"),
        }
    }
}

fn read_page(store: &PayloadStore, page: Page, limit: usize) -> Result<Answer, PtmError> {
    let newest = *store.newest().borrow();
    let cursor = if page.cursor > newest { 0 } else { page.cursor };
    let index = store.index(&page.key, cursor, limit)?;
    let (mut envelopes, mut bytes, mut next, mut passed) = (Vec::new(), 0usize, cursor, 0usize);
    for (sequence, hash) in &index {
        let copy = store.envelope(hash)?.and_then(|row| copy_for(row.envelope, &page.key));
        let copy = copy.map(|copy| copy.encode(Codec::Cbor)).filter(|copy| copy.len() <= MAX_PUSHED_BYTES);
        if let Some(copy) = copy {
            if !envelopes.is_empty() && bytes.saturating_add(copy.len()) > MAX_BATCH_BYTES {
                break;
            }
            bytes = bytes.saturating_add(copy.len());
            envelopes.push(Bytes::from(copy));
        }
        next = *sequence;
        passed = passed.saturating_add(1);
    }
    Ok(Answer::Batch { envelopes, next, more: passed < index.len() || index.len() >= limit })
}

/// What a key gets of an envelope: its sender all that is here, so that it can make its own copy again; a recipient its
/// own copy.
fn copy_for(envelope: EncodedPayload, key: &PublicKey) -> Option<EncodedPayload> {
    if envelope.sender == *key {
        return Some(envelope);
    }
    envelope.strip_for(key).ok()
}
