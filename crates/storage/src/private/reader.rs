//! Reading the private state beside its writer, without a lock in common with it.

use super::codec::{BlockRow, contract_key, place_of, receipt_key, seen_key};
use super::open::row_at;
use super::{ContractRecord, Fate, PrivateReceipt};
use crate::open::exactly;
use crate::proof::{AccountProof, ProofLimits};
use crate::reader::{Head, Reader};
use crate::state::{Progress, StateAt};
use crate::tables::prefix_end;
use crate::trie::TrieReader;
use crate::{Kv, KvRead, StoreError, Table};
use alloy_primitives::{Address, B256, Bloom, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use lonja_primitives::PayloadHash;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Occurrences of one payload that are answered at most: anybody can put the same hash on the chain any number of
/// times, and nobody has a use for more than the first few.
pub const MAX_SEEN: usize = 256;

/// Reads what is committed. Cheap to clone, good for any thread; blocks above the head are not seen. While the state
/// is led back to an earlier block, and in a look that this crosses, the answer is `Busy`.
#[derive(Clone)]
pub struct PrivateReader {
    inner: Reader,
}

impl PrivateReader {
    pub(super) fn new(
        kv: Arc<dyn Kv>,
        tries: TrieReader,
        progress: Arc<Progress>,
        genesis_hash: B256,
    ) -> Self {
        Self { inner: Reader::new(kv, tries, progress, genesis_hash) }
    }

    /// The newest block whose private transactions are executed. It survives a killed process; after a power cut it
    /// may be an earlier one.
    pub fn head(&self) -> Head {
        self.inner.head()
    }

    /// Changes when the state is led back to an earlier block: what was read before may not hold any more.
    pub fn generation(&self) -> u64 {
        self.inner.progress.generation.load(Ordering::SeqCst)
    }

    /// Hash of block 0, which names the network.
    pub fn genesis_hash(&self) -> B256 {
        self.inner.genesis_hash()
    }

    /// The oldest block whose private state can be read.
    pub fn oldest_state(&self) -> u64 {
        self.inner.oldest_state()
    }

    /// Root of the private state after a block; the empty root before anything private happened. It is answered also
    /// where the state itself is not kept. `NotAvailable` above the head.
    pub fn root_at(&self, number: u64) -> Result<B256, StoreError> {
        self.look(|kv, head| {
            if number > head {
                return Err(StoreError::NotAvailable { number, oldest: self.oldest_state() });
            }
            Ok(row_at(kv, number)?.map_or(EMPTY_ROOT_HASH, |(_, row)| row.root))
        })
    }

    /// The private state after a block. It stays readable until the block's history is dropped, and says so then, or
    /// until the state is led back to any earlier block (`Busy`). It knows no block hashes.
    pub fn state_at(&self, number: u64) -> Result<StateAt, StoreError> {
        self.look(|_, _| Ok(self.inner.state_at(number)?.without_headers()))
    }

    /// Proofs of an account and some of its slots against [`PrivateReader::root_at`]. Errors as those of
    /// [`Reader::proof`].
    pub fn proof(
        &self,
        number: u64,
        address: &Address,
        slots: &[U256],
        limits: &ProofLimits,
    ) -> Result<AccountProof, StoreError> {
        let generation = self.inner.progress.begin_look()?;
        let proof = self.inner.proof_against(self.root_at(number)?, number, address, slots, limits);
        self.inner.progress.refuse_if_led_back(generation)?;
        proof
    }

    /// What the private transactions of a block gave, by index; those that were executed here.
    pub fn receipts(&self, number: u64) -> Result<Vec<(u32, PrivateReceipt)>, StoreError> {
        self.look(|kv, head| match number <= head && block_row(kv, number)?.is_some() {
            true => receipts_of(kv, number),
            false => Ok(Vec::new()),
        })
    }

    /// What one private transaction gave; `None` where it was not executed here, or what it gave was erased.
    pub fn receipt(&self, number: u64, index: u32) -> Result<Option<PrivateReceipt>, StoreError> {
        self.look(|kv, head| {
            let row = kv.get(Table::PrivateReceipts, &receipt_key(number, index))?;
            row.filter(|_| number <= head).map(|row| PrivateReceipt::decode(&row)).transpose()
        })
    }

    /// Whether any private transaction was executed here.
    pub fn has_receipts(&self) -> Result<bool, StoreError> {
        self.look(|kv, _| Ok(kv.first_from(Table::PrivateReceipts, &[], None)?.is_some()))
    }

    /// The bloom filter of a block's private logs; `None` where there are none. One look, which costs next to nothing
    /// for a block in which nothing private happened.
    pub fn bloom_at(&self, number: u64) -> Result<Option<Bloom>, StoreError> {
        self.look(|kv, head| Ok(block_row(kv, number)?.filter(|_| number <= head).and_then(|row| row.bloom)))
    }

    /// The first block from this one on in which there are private transactions, ours or not; `None` where there is
    /// none up to the head. For searches over many blocks.
    pub fn next_block(&self, from: u64) -> Result<Option<u64>, StoreError> {
        self.look(|kv, head| {
            let Some((key, _)) = kv.first_from(Table::PrivateBlocks, &from.to_be_bytes(), None)? else {
                return Ok(None);
            };
            let number = u64::from_be_bytes(exactly(&key, "number of a private block")?);
            Ok(Some(number).filter(|number| *number <= head))
        })
    }

    /// The privacy metadata of a contract as of a block, or of the head where that is lower.
    pub fn contract(&self, address: &Address, number: u64) -> Result<Option<ContractRecord>, StoreError> {
        self.look(|kv, head| {
            let found = kv.last_at(Table::Contracts, &contract_key(address, number.min(head)))?;
            let found = found.filter(|(key, row)| key.starts_with(address.as_slice()) && !row.is_empty());
            found.map(|(_, row)| ContractRecord::decode(&row)).transpose()
        })
    }

    /// Where a payload occurs on the chain (block, index in it), and what became of it there, oldest first; the first
    /// [`MAX_SEEN`] occurrences.
    pub fn seen(&self, payload: &PayloadHash) -> Result<Vec<(u64, u32, Fate)>, StoreError> {
        let mut seen = Vec::new();
        self.visit_seen(payload, &mut |number, index, fate| {
            seen.push((number, index, fate));
            seen.len() < MAX_SEEN
        })?;
        Ok(seen)
    }

    /// The first block in which a payload occurs that was not there when the block was executed: before that one the
    /// state has to be led back when the payload turns up.
    pub fn first_not_ours(&self, payload: &PayloadHash) -> Result<Option<u64>, StoreError> {
        let mut first = None;
        self.visit_seen(payload, &mut |number, _, fate| {
            first = (fate == Fate::NotOurs).then_some(number);
            first.is_none()
        })?;
        Ok(first)
    }

    /// Payloads that were executed or read here, in the order of their names: those after this one, `limit` at most.
    /// Passes over all that were not ours on its way.
    pub fn payloads_of_ours(
        &self,
        after: Option<&PayloadHash>,
        limit: usize,
    ) -> Result<Vec<PayloadHash>, StoreError> {
        let from = after.map_or_else(Vec::new, |after| seen_key(after, u64::MAX, u32::MAX).to_vec());
        self.look(|kv, head| {
            let (mut found, mut result) = (Vec::<PayloadHash>::new(), Ok(()));
            kv.scan(Table::Seen, &from, &mut |key, row| match seen_row(key, row) {
                Ok((payload, number, fate)) => {
                    let ours = number <= head && matches!(fate, Fate::Executed | Fate::Read);
                    if ours && found.last() != Some(&payload) && after != Some(&payload) {
                        found.push(payload);
                    }
                    found.len() < limit
                }
                Err(error) => {
                    result = Err(error);
                    false
                }
            })?;
            result.map(|()| found)
        })
    }

    /// Visits the occurrences of a payload in order, until `visit` answers `false`.
    fn visit_seen(
        &self,
        payload: &PayloadHash,
        visit: &mut dyn FnMut(u64, u32, Fate) -> bool,
    ) -> Result<(), StoreError> {
        self.look(|kv, head| {
            let mut result = Ok(());
            kv.scan(Table::Seen, &seen_key(payload, 0, 0), &mut |key, row| {
                let Some(place) = key.strip_prefix(payload.as_slice()) else { return false };
                match (place_of(place), Fate::decode(row)) {
                    (Some((number, index)), Ok(fate)) => number <= head && visit(number, index, fate),
                    (None, _) => {
                        result = Err(unreadable_place());
                        false
                    }
                    (_, Err(error)) => {
                        result = Err(error);
                        false
                    }
                }
            })?;
            result
        })
    }

    /// A look at the store as it is at one instant, which nothing crosses that leads the state back.
    pub(super) fn look_at_once<T>(
        &self,
        read: impl FnOnce(&dyn KvRead) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.look(|_, _| read(&*self.inner.kv.snapshot()))
    }

    /// A look at the store, and at the head before it, which nothing crosses that leads the state back.
    fn look<T>(&self, read: impl FnOnce(&dyn KvRead, u64) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let generation = self.inner.progress.begin_look()?;
        let found = read(&*self.inner.kv, self.head().number);
        self.inner.progress.refuse_if_led_back(generation)?;
        found
    }
}

/// The row of a block; `None` where nothing private happened.
pub(super) fn block_row(kv: &dyn KvRead, number: u64) -> Result<Option<BlockRow>, StoreError> {
    let row = kv.get(Table::PrivateBlocks, &number.to_be_bytes())?;
    row.map(|row| BlockRow::decode(&row)).transpose()
}

/// The receipts of a block, by index.
pub(super) fn receipts_of(kv: &dyn KvRead, number: u64) -> Result<Vec<(u32, PrivateReceipt)>, StoreError> {
    let mut receipts = Vec::new();
    for (key, row) in receipt_rows(kv, number)? {
        let (_, index) = place_of(&key).ok_or_else(|| StoreError::damaged("a key of a private receipt"))?;
        receipts.push((index, PrivateReceipt::decode(&row)?));
    }
    Ok(receipts)
}

/// Keys and rows of the receipts of a block: no more than a block has transactions.
pub(super) fn receipt_rows(kv: &dyn KvRead, number: u64) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
    let from = number.to_be_bytes();
    let until = prefix_end(&from);
    let mut rows = Vec::new();
    kv.scan(Table::PrivateReceipts, &from, &mut |key, row| {
        let is_of_block = until.as_deref().is_none_or(|until| key < until);
        if is_of_block {
            rows.push((key.to_vec(), row.to_vec()));
        }
        is_of_block
    })?;
    Ok(rows)
}

fn unreadable_place() -> StoreError {
    StoreError::damaged("a key of table seen does not decode")
}

/// A row of the table of payloads, with any name.
fn seen_row(key: &[u8], row: &[u8]) -> Result<(PayloadHash, u64, Fate), StoreError> {
    let (payload, place) = key.split_first_chunk::<{ PayloadHash::LENGTH }>().ok_or_else(unreadable_place)?;
    let (number, _) = place_of(place).ok_or_else(unreadable_place)?;
    Ok((PayloadHash(payload.into()), number, Fate::decode(row)?))
}
