//! What is inside of a block's markers: decoded and recovered once, many at a time.

use super::block::{Carrier, Named, NamingBlock};
use super::marker;
use super::payloads::{Missing, Payloads};
use crate::recover::{in_parallel, on_door_workers};
use alloy_primitives::Bytes;
use lonja_primitives::spec::MarkerRule;
use lonja_primitives::{ChainSpec, PayloadHash, RecoveredTransaction};
use lonja_ptm::Lookup;
use std::collections::BTreeMap;

/// Markers that are opened together.
const OPENED_AT_ONCE: usize = 64;

/// Bytes of private transactions that are held for one block. The others are opened again when their turn comes.
const HELD_BYTES: usize = 16 << 20;

/// A private transaction that came in a marker, and the name of its payload.
pub(super) type Inner = (RecoveredTransaction, PayloadHash);

/// What the markers of a block carry, by their places; `None` where the rules let one carry nothing.
#[derive(Default)]
pub(super) struct Insides {
    known: BTreeMap<u32, Option<Inner>>,
    held_bytes: usize,
}

impl Insides {
    /// Opens every marker whose payload is here.
    pub(super) fn open(
        spec: &ChainSpec,
        block: &NamingBlock,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<Self, Missing> {
        let markers: Vec<&Named> =
            block.named.iter().filter(|named| named.carrier == Carrier::Marker).collect();
        let mut insides = Self::default();
        for markers in markers.chunks(OPENED_AT_ONCE) {
            let mut found = Vec::with_capacity(markers.len());
            for named in markers {
                if let Lookup::Found(payload) = payloads.get(&named.hash)? {
                    found.push((named.index, payload.payload));
                }
            }
            let open = |(index, payload): (u32, Bytes)| (index, inner_of(spec, block, index, &payload));
            // Not by those who check blocks: the public chain never waits for this.
            let opened = on_door_workers(|| in_parallel(found, open));
            opened.into_iter().for_each(|(index, inner)| insides.keep(index, inner));
        }
        Ok(insides)
    }

    /// The names of the payloads inside, as far as they are held.
    pub(super) fn hashes(&self) -> impl Iterator<Item = PayloadHash> {
        self.known.values().flatten().map(|(_, hash)| *hash)
    }

    /// What the marker at this place carries, whose payload this is.
    pub(super) fn of(
        &self,
        spec: &ChainSpec,
        block: &NamingBlock,
        index: u32,
        payload: &[u8],
    ) -> Option<Inner> {
        match self.known.get(&index) {
            Some(inner) => inner.clone(),
            None => inner_of(spec, block, index, payload),
        }
    }

    fn keep(&mut self, index: u32, inner: Option<Inner>) {
        let bytes = inner.as_ref().map_or(0, |(tx, _)| tx.raw().len());
        let held = self.held_bytes.saturating_add(bytes);
        if held <= HELD_BYTES {
            self.held_bytes = held;
            self.known.insert(index, inner);
        }
    }
}

/// The transaction in a marker, and the name of its payload, if the rules let this marker carry it. If not, nothing happens.
fn inner_of(spec: &ChainSpec, block: &NamingBlock, index: u32, payload: &[u8]) -> Option<Inner> {
    let marker = block.transactions.get(index as usize)?;
    let inner = match marker::decode(payload, spec.chain_id) {
        Ok(inner) => inner,
        Err(error) => {
            tracing::debug!(marker = %marker.hash(), %error, "a marker carries nothing that can run");
            return None;
        }
    };
    let same = inner.sender() == marker.sender() && inner.nonce() == marker.nonce();
    let allowed = match spec.privacy_at(block.header.number).markers? {
        MarkerRule::SameSigner => same,
        MarkerRule::AnySigner => true,
    };
    let hash = inner.payload_hash()?;
    (allowed && inner.gas_limit() <= block.header.gas_limit).then_some((inner, hash))
}
