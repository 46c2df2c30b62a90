//! What is known of a payload.

use super::Core;
use crate::crypto::payload_hash;
use crate::{
    EncodedPayload, Lookup, PayloadHash, PrivacyMode, PrivatePayload, PtmError, PublicKey, RawPayload,
};
use alloy_primitives::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory for payloads in clear. Those of the last blocks are asked for a few times, by the execution and by clients.
const CACHE_BYTES: u64 = 16 << 20;

/// How many are expected: those of a kilobyte.
const CACHE_ITEMS: usize = 16_384;

/// About what a payload takes besides its bytes.
const ITEM_BYTES: usize = 512;

#[derive(Clone)]
struct Weigh;

impl Weighter<PayloadHash, PrivatePayload> for Weigh {
    fn weight(&self, _: &PayloadHash, payload: &PrivatePayload) -> u64 {
        payload.payload.len().saturating_add(ITEM_BYTES) as u64
    }
}

/// Payloads in clear that were looked at lately. Their bytes are wiped when they are dropped.
pub(super) struct PayloadCache {
    payloads: Cache<PayloadHash, PrivatePayload, Weigh>,
    /// Grows before anything is forgotten: who read the store before that must not put back what it read.
    changes: AtomicU64,
}

impl PayloadCache {
    pub(super) fn new() -> Self {
        let payloads = Cache::with_weighter(CACHE_ITEMS, CACHE_BYTES, Weigh);
        Self { payloads, changes: AtomicU64::new(0) }
    }

    pub(super) fn get(&self, hash: &PayloadHash) -> Option<PrivatePayload> {
        self.payloads.get(hash)
    }

    /// To be asked before the store is read.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Remembers what was read, unless something was forgotten since.
    pub(super) fn put(&self, hash: PayloadHash, payload: PrivatePayload, changes: u64) {
        self.payloads.insert(hash, payload);
        if self.changes() != changes {
            self.payloads.remove(&hash);
        }
    }

    /// The row of this payload was changed or removed.
    pub(super) fn forget(&self, hash: &PayloadHash) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.payloads.remove(hash);
    }
}

impl Core {
    pub(super) fn lookup(&self, hash: PayloadHash) -> Lookup {
        // First, so that nobody can withdraw what is found now.
        if !self.recent.lock().settle(&hash) {
            return Lookup::Unavailable("its sender is withdrawing it at this moment".into());
        }
        if let Some(payload) = self.cache.get(&hash) {
            return Lookup::Found(payload);
        }
        let changes = self.cache.changes();
        match self.find(&hash) {
            Ok(Lookup::Found(payload)) => {
                self.cache.put(hash, payload.clone(), changes);
                Lookup::Found(payload)
            }
            Ok(lookup) => lookup,
            Err(error) => Lookup::Unavailable(error.to_string()),
        }
    }

    fn find(&self, hash: &PayloadHash) -> Result<Lookup, PtmError> {
        let Some(row) = self.store.envelope(hash)? else {
            let erased = self.store.tombstone(hash)?.is_some();
            return Ok(if erased { Lookup::Erased } else { Lookup::NotOurs });
        };
        match self.decrypt(&row.envelope) {
            Ok(payload) => Ok(Lookup::Found(payload)),
            Err(_) if payload_hash(&row.envelope.cipher_text) != *hash => {
                Ok(Lookup::Unavailable(format!("the payload store is damaged: {hash} is another payload")))
            }
            Err(_) => Ok(Lookup::Unavailable(no_key(&row.envelope))),
        }
    }

    /// Opens an envelope, stored or not.
    pub(super) fn decrypt(&self, envelope: &EncodedPayload) -> Result<PrivatePayload, PtmError> {
        let opened = envelope.open(&self.keyring)?;
        Ok(self.in_clear(envelope, opened.payload))
    }

    pub(super) fn in_clear(&self, envelope: &EncodedPayload, payload: Bytes) -> PrivatePayload {
        let (metadata, sender) = (envelope.metadata(), envelope.sender);
        let managed_parties = self.keyring.managed_among(&envelope.recipients);
        PrivatePayload { payload, metadata, managed_parties, sender }
    }

    /// The envelope, or that there is none.
    pub(super) fn stored(&self, hash: &PayloadHash) -> Result<EncodedPayload, PtmError> {
        let row = self.store.envelope(hash)?;
        let none = || PtmError::NotFound(format!("Message with hash {hash} was not found"));
        row.map(|row| row.envelope).ok_or_else(none)
    }

    pub(super) fn mandatory(&self, hash: &PayloadHash) -> Result<Vec<PublicKey>, PtmError> {
        let envelope = self.stored(hash)?;
        match envelope.mode {
            PrivacyMode::MandatoryRecipients => Ok(envelope.mandatory),
            _ => Err(PtmError::BadRequest(
                "the transaction is none with mandatory recipients (privacy flag 2)".into(),
            )),
        }
    }

    pub(super) fn raw_payload(&self, hash: PayloadHash) -> Result<RawPayload, PtmError> {
        let raw = self.store.raw(&hash)?;
        let none = || PtmError::NotFound(format!("Raw Message with hash {hash} was not found"));
        Ok(raw.ok_or_else(none)?.decrypt(&self.keyring)?)
    }
}

/// There is an envelope: this node is a party, and was one with keys that it does not have now. To go on as if it were none
/// would be wrong for ever.
fn no_key(envelope: &EncodedPayload) -> String {
    let mut parties: Vec<String> = envelope.boxed().map(|(key, _)| key.to_string()).collect();
    parties.truncate(4);
    format!(
        "the payload is stored here, and none of this manager's keys opens it. It is for {}: start with that key",
        if parties.is_empty() { "a key that is not named".into() } else { parties.join(", ") }
    )
}
