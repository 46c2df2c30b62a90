//! Opening a store: a new one gets block 0, an old one is checked before anything is served from it.

use crate::codec::decode_header;
use crate::prepare::Newest;
use crate::reader::{Head, Reader};
use crate::snapshot::BackfillWriter;
use crate::state::Progress;
use crate::tables::{
    FORMAT_VERSION, META_FLOOR, META_FORMAT, META_GENESIS, META_HEAD, META_HORIZON, META_JOINING, META_TRIE,
};
use crate::touched::Touched;
use crate::trie::{TrieStore, catch_up};
use crate::writer::{BlockCommit, ChainWriter, horizon_after, write_block, write_codes};
use crate::{Batch, Kv, KvRead, StoreError, Table};
use alloy_primitives::B256;
use lonja_primitives::{Block, Genesis, SealedHeader, StateChanges};
use std::sync::Arc;

/// The two ends of an open store.
pub struct Opened {
    /// Writes; there is no second one.
    pub writer: ChainWriter,
    /// Reads; clone it freely.
    pub reader: Reader,
    /// Writes the blocks that are missing below a fetched state; `None` where none are.
    pub backfill: Option<BackfillWriter>,
}

/// Opens the chain of `genesis` in a store, writing block 0 when the store is empty. The head is the newest
/// block written, made durable and published here. Errors: another network's chain, another format, damage.
pub fn open(kv: Arc<dyn Kv>, genesis: &Genesis) -> Result<Opened, StoreError> {
    open_chain(kv, &genesis.header, &genesis.state_changes())
}

/// As [`open`], from block 0 and its state as a delta on the empty one.
pub(crate) fn open_chain(
    kv: Arc<dyn Kv>,
    genesis: &SealedHeader,
    state: &StateChanges,
) -> Result<Opened, StoreError> {
    let tries = TrieStore::new(kv.clone());
    match kv.get(Table::Meta, META_FORMAT)? {
        Some(version) => check_identity(&*kv, &version, genesis.hash())?,
        None => write_genesis(&*kv, &tries, genesis, state)?,
    }
    let newest = read_head(&*kv)?;
    let stored_trie = read_trie(&*kv, &tries, newest.number, newest.state_root)?;
    let head = Head { number: newest.number, hash: newest.hash() };
    let stored_horizon = read_number(&*kv, META_HORIZON)?;
    let floor = read_number(&*kv, META_FLOOR)?;
    // Where less is to be kept from now on, it is less at once; where more, what was dropped stays dropped.
    let horizon = horizon_after(head.number, kv.tuning().history, stored_horizon);
    if horizon > stored_horizon {
        let mut batch = Batch::default();
        batch.put(Table::Meta, META_HORIZON, horizon.to_be_bytes());
        kv.write(batch)?;
    }
    kv.sync()?;
    kv.forget_history(horizon.min(stored_trie));
    let votes = kv.last_at(Table::Votes, &head.number.to_be_bytes())?.map(|(_, votes)| votes);
    tracing::debug!(block = head.number, hash = %head.hash, oldest_state = horizon, "chain store open");
    let progress = Arc::new(Progress::at(head, horizon, floor, stored_trie));
    let reader = Reader::new(kv.clone(), tries.reader(), progress.clone(), genesis.hash());
    let backfill = (floor > 1).then(|| BackfillWriter::new(kv.clone(), progress.clone()));
    Ok(Opened { writer: ChainWriter::new(kv, tries, progress, head, votes), reader, backfill })
}

fn check_identity(kv: &dyn Kv, version: &[u8], expected: B256) -> Result<(), StoreError> {
    let found = u32::from_be_bytes(exactly(version, "format version")?);
    if found != FORMAT_VERSION {
        return Err(StoreError::WrongVersion { found, expected: FORMAT_VERSION });
    }
    if kv.get(Table::Meta, META_JOINING)?.is_some() {
        return Err(StoreError::Unfinished);
    }
    let genesis = kv.get(Table::Meta, META_GENESIS)?.ok_or_else(|| missing("the genesis hash"))?;
    let found = B256::new(exactly(&genesis, "genesis hash")?);
    match found == expected {
        true => Ok(()),
        false => Err(StoreError::WrongGenesis { found, expected }),
    }
}

fn write_genesis(
    kv: &dyn Kv,
    tries: &TrieStore,
    genesis: &SealedHeader,
    changes: &StateChanges,
) -> Result<(), StoreError> {
    if !is_empty(kv, &Table::CHAIN)? {
        return Err(missing("the format version, but not the data,"));
    }
    let hash = genesis.hash();
    let prepared = Newest { kv, tries, recent: None }.prepare(B256::ZERO, changes)?;
    if prepared.root != genesis.state_root {
        return Err(StoreError::OutOfOrder(format!(
            "block 0 says state root {}, its accounts give {}",
            genesis.state_root, prepared.root
        )));
    }
    let block = Block { header: genesis.header().clone(), transactions: Vec::new() };
    let commit = BlockCommit {
        block: &block,
        hash,
        transaction_hashes: &[],
        senders: &[],
        receipts: &[],
        changes,
        prepared: &prepared,
        votes: &[],
    };
    let mut batch = Batch::default();
    batch.put(Table::Meta, META_FORMAT, FORMAT_VERSION.to_be_bytes());
    batch.put(Table::Meta, META_GENESIS, *hash);
    write_block(&commit, &mut batch);
    prepared.write_state(&mut batch);
    write_codes(changes, &mut batch);
    prepared.apply_nodes(tries);
    tries.write_all(&mut batch);
    batch.put(Table::Meta, META_TRIE, 0u64.to_be_bytes());
    kv.write(batch)?;
    tries.all_written();
    kv.sync()
}

/// Whether nothing at all is stored.
pub(crate) fn is_empty(kv: &dyn KvRead, tables: &[Table]) -> Result<bool, StoreError> {
    for table in tables {
        if kv.first_from(*table, &[], None)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The newest block, once it is sure that what belongs to it is there.
pub(crate) fn read_head(kv: &dyn KvRead) -> Result<SealedHeader, StoreError> {
    let bytes = kv.get(Table::Meta, META_HEAD)?.ok_or_else(|| missing("the pointer to the newest block"))?;
    let pointer: [u8; 40] = exactly(&bytes, "pointer to the newest block")?;
    let (number, hash) =
        pointer.split_first_chunk::<8>().ok_or_else(|| missing("the newest block's number"))?;
    let (number, hash) = (u64::from_be_bytes(*number), B256::from_slice(hash));
    let header = header_at(kv, number)?;
    if header.hash() != hash || header.number != number {
        let held = header.hash();
        return Err(StoreError::damaged(format!(
            "the newest block should be {number} {hash}, but is {held}"
        )));
    }
    if let Some(below) = number.checked_sub(1)
        && header_at(kv, below)?.hash() != header.parent_hash
    {
        return Err(StoreError::damaged(format!("block {below} is not the parent of block {number}")));
    }
    for table in [Table::Bodies, Table::Receipts] {
        if kv.get(table, &number.to_be_bytes())?.is_none() {
            return Err(missing(&format!("block {number} in table {}", table.name())));
        }
    }
    Ok(header)
}

/// Brings the tries to the state after the newest block and compares the root; answers which block's the stored nodes
/// are.
pub(crate) fn read_trie(
    kv: &dyn Kv,
    tries: &TrieStore,
    number: u64,
    expected: B256,
) -> Result<u64, StoreError> {
    let bytes = kv.get(Table::Meta, META_TRIE)?.ok_or_else(|| missing("the number of the trie's block"))?;
    let stored = u64::from_be_bytes(exactly(&bytes, "number of the trie's block")?);
    catch_up(kv, tries, &touched_between(kv, stored, number)?)?;
    let root = tries.accounts().root()?;
    if root != expected {
        return Err(StoreError::damaged(format!(
            "the state has root {root}, but block {number} says {expected}"
        )));
    }
    Ok(stored)
}

/// The keys that the blocks above `after`, up to and including `until`, changed.
pub(crate) fn touched_between(kv: &dyn KvRead, after: u64, until: u64) -> Result<Touched, StoreError> {
    let mut touched = Touched::default();
    let mut result = Ok(());
    let until = until.to_be_bytes();
    kv.scan(Table::Touched, &after.saturating_add(1).to_be_bytes(), &mut |number, list| {
        if number > until.as_slice() {
            return false;
        }
        result = touched.add(list, |_| true);
        result.is_ok()
    })?;
    result.map(|()| touched)
}

pub(crate) fn header_at(kv: &dyn KvRead, number: u64) -> Result<SealedHeader, StoreError> {
    let bytes = kv.get(Table::Headers, &number.to_be_bytes())?;
    decode_header(&bytes.ok_or_else(|| missing(&format!("the header of block {number}")))?)
}

pub(crate) fn exactly<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::damaged(format!("the stored {what} has {} bytes", bytes.len())))
}

/// A number in the facts about the database; 0 where it is absent.
pub(crate) fn read_number(kv: &dyn KvRead, key: &[u8]) -> Result<u64, StoreError> {
    let stored = kv.get(Table::Meta, key)?;
    stored.map_or(Ok(0), |bytes| Ok(u64::from_be_bytes(exactly(&bytes, &String::from_utf8_lossy(key))?)))
}

pub(crate) fn missing(what: &str) -> StoreError {
    StoreError::damaged(format!("{what} is missing"))
}
