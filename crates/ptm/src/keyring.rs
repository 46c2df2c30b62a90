//! The keys of one manager.

use crate::crypto::{CryptoError, KeyPair, SealingKey};
use crate::{PtmError, PublicKey};
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// How many keys one manager holds. An envelope that does not say whose it is gets tried with every one of them, some 50
/// microseconds each.
pub const MAX_KEYS: usize = 1_024;

/// How many keys agreed with other parties are remembered. Every party of a large network with a few keys here fits; at
/// about 250 bytes each they take 4 MB.
const MAX_SHARED_KEYS: usize = 16_384;

/// Why these keys make no keyring, or one of them cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// There is none.
    #[error("a manager needs at least one key")]
    Empty,
    /// There are too many.
    #[error("{0} keys are more than the {MAX_KEYS} that one manager holds")]
    TooMany(usize),
    /// One stands there twice.
    #[error("the key {0} is there twice")]
    Twice(PublicKey),
    /// The key is somebody else's.
    #[error("the key {0} is not managed here")]
    NotManaged(PublicKey),
    /// The other party's key is none.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// The key pairs that one manager holds, and the keys agreed with other parties, which are dear to work out.
pub struct Keyring {
    pairs: Vec<KeyPair>,
    keys: Vec<PublicKey>,
    places: HashMap<PublicKey, usize>,
    shared: Cache<(PublicKey, PublicKey), Arc<SealingKey>>,
}

impl Keyring {
    /// A keyring with these pairs. The first is the default one.
    pub fn new(pairs: Vec<KeyPair>) -> Result<Self, KeyringError> {
        if pairs.is_empty() {
            return Err(KeyringError::Empty);
        }
        if pairs.len() > MAX_KEYS {
            return Err(KeyringError::TooMany(pairs.len()));
        }
        let keys: Vec<_> = pairs.iter().map(KeyPair::public).collect();
        let mut places = HashMap::with_capacity(keys.len());
        for (place, key) in keys.iter().enumerate() {
            if places.insert(*key, place).is_some() {
                return Err(KeyringError::Twice(*key));
            }
        }
        Ok(Self { pairs, keys, places, shared: Cache::new(MAX_SHARED_KEYS) })
    }

    /// Who sends where nobody is named.
    pub fn default_key(&self) -> PublicKey {
        *self.keys.first().expect("a keyring is never empty")
    }

    /// All keys, the default one first.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Whether this key is ours.
    pub fn manages(&self, key: &PublicKey) -> bool {
        self.places.contains_key(key)
    }

    /// Who sends: the named key, which has to be ours, or the default one.
    pub fn sender(&self, from: Option<PublicKey>) -> Result<PublicKey, PtmError> {
        match from {
            None => Ok(self.default_key()),
            Some(key) if self.manages(&key) => Ok(key),
            Some(key) => Err(PtmError::UnknownSender(key)),
        }
    }

    /// Those of these parties that are ours, in their order, each once.
    pub fn managed_among<'a>(&self, parties: impl IntoIterator<Item = &'a PublicKey>) -> Vec<PublicKey> {
        let ours = parties.into_iter().filter(|key| self.manages(key)).copied();
        crate::envelope::each_once(ours)
    }

    /// As [`shared_key`](Self::shared_key), without remembering it: for keys that somebody may have drawn a moment ago.
    pub(crate) fn fresh_shared_key(
        &self,
        own: &PublicKey,
        other: &PublicKey,
    ) -> Result<SealingKey, KeyringError> {
        let place = self.places.get(own).ok_or(KeyringError::NotManaged(*own))?;
        let pair = self.pairs.get(*place).ok_or(KeyringError::NotManaged(*own))?;
        Ok(pair.shared_key(other)?)
    }

    /// The key agreed between one of ours and another party's (which may be ours as well).
    pub fn shared_key(&self, own: &PublicKey, other: &PublicKey) -> Result<Arc<SealingKey>, KeyringError> {
        let place = self.places.get(own).ok_or(KeyringError::NotManaged(*own))?;
        let pair = self.pairs.get(*place).ok_or(KeyringError::NotManaged(*own))?;
        let make = || pair.shared_key(other).map(Arc::new);
        Ok(self.shared.get_or_insert_with(&(*own, *other), make)?)
    }
}

#[cfg(test)]
mod tests;
