//! The payloads of a block, as the manager answers for them.

use alloy_primitives::map::HashMap;
use lonja_primitives::PayloadHash;
use lonja_ptm::Lookup;

/// Asks the manager; one answer per hash, in order.
pub type Ask<'a> = dyn FnMut(&[PayloadHash]) -> Vec<Lookup> + 'a;

/// Bytes of payloads held for one block. A block may name more than fits into memory; the others are asked for again when
/// their turn comes.
const HELD_BYTES: usize = 64 << 20;

/// Asked for at a time.
const ASKED_AT_ONCE: usize = 64;

/// A payload that nobody can give now, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) hash: PayloadHash,
    pub(super) reason: String,
}

/// What is known of the payloads of a block.
pub(super) struct Payloads<'a, 'b> {
    ask: &'a mut Ask<'b>,
    known: HashMap<PayloadHash, Lookup>,
    held_bytes: usize,
}

impl<'a, 'b> Payloads<'a, 'b> {
    pub(super) fn new(ask: &'a mut Ask<'b>) -> Self {
        Self { ask, known: HashMap::default(), held_bytes: 0 }
    }

    /// Asks for many together, so that a remote manager is not asked one by one.
    pub(super) fn prefetch(&mut self, hashes: impl Iterator<Item = PayloadHash>) -> Result<(), Missing> {
        let mut unknown: Vec<PayloadHash> = hashes.filter(|hash| !self.known.contains_key(hash)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        for hashes in unknown.chunks(ASKED_AT_ONCE) {
            let answers = (self.ask)(hashes);
            for (place, hash) in hashes.iter().enumerate() {
                self.keep(*hash, answers.get(place).cloned())?;
            }
        }
        Ok(())
    }

    /// What is known of one payload: found, not ours, or erased.
    pub(super) fn get(&mut self, hash: &PayloadHash) -> Result<Lookup, Missing> {
        if let Some(known) = self.known.get(hash) {
            return Ok(known.clone());
        }
        let answer = (self.ask)(std::slice::from_ref(hash)).into_iter().next();
        self.keep(*hash, answer)
    }

    fn keep(&mut self, hash: PayloadHash, answer: Option<Lookup>) -> Result<Lookup, Missing> {
        let answer = match answer {
            None => Err("the manager did not answer".to_owned()),
            Some(Lookup::Unavailable(reason)) => Err(reason),
            Some(answer) => Ok(answer),
        };
        let answer = answer.map_err(|reason| Missing { hash, reason })?;
        let bytes = match &answer {
            Lookup::Found(payload) => payload.payload.len(),
            _ => 0,
        };
        if self.held_bytes.saturating_add(bytes) <= HELD_BYTES {
            self.held_bytes = self.held_bytes.saturating_add(bytes);
            self.known.insert(hash, answer.clone());
        }
        Ok(answer)
    }
}
