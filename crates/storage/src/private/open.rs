//! Opening the store of the private state: a new one is empty, an old one is checked before anything is served from
//! it, and is led back to the end where that was begun.

use super::codec::BlockRow;
use super::rewind::wipe;
use super::{PrivateReader, PrivateStore, PrivateWriter};
use crate::open::{exactly, is_empty, missing, read_number, read_trie};
use crate::state::Progress;
use crate::tables::{
    META_GENESIS, META_HEAD, META_HORIZON, META_PRIVATE_FORMAT, META_REWIND, META_TRIE,
    PRIVATE_FORMAT_VERSION,
};
use crate::trie::TrieStore;
use crate::writer::horizon_after;
use crate::{Batch, Head, Kv, KvRead, StoreError, Table};
use alloy_primitives::B256;
use alloy_trie::EMPTY_ROOT_HASH;
use std::sync::Arc;

/// Opens the private state of the network with this block 0; an empty store becomes that of block 0, with nothing in
/// it. The head is the newest block written. Errors: another network's state, another format, damage.
pub fn open_private(kv: Arc<dyn Kv>, genesis_hash: B256) -> Result<PrivateStore, StoreError> {
    match kv.get(Table::Meta, META_PRIVATE_FORMAT)? {
        Some(version) => check_identity(&*kv, &version, genesis_hash)?,
        None => write_empty(&*kv, genesis_hash)?,
    }
    let mut unfinished = read_pointer(&*kv, META_REWIND)?;
    if let Some(to) = &unfinished
        && row_at(&*kv, to.number)?.is_none()
    {
        wipe(&*kv, to)?;
        unfinished = None;
    }
    let head = read_pointer(&*kv, META_HEAD)?.ok_or_else(|| missing("the pointer to the newest block"))?;
    let root = check_newest(&*kv, &head)?;
    let tries = TrieStore::new(kv.clone());
    let stored_trie = read_trie(&*kv, &tries, head.number, root)?;
    // What is kept is counted from the block that the way back ends at.
    let horizon = match unfinished {
        Some(_) => read_number(&*kv, META_HORIZON)?,
        None => settle_horizon(&*kv, head.number)?,
    };
    kv.sync()?;
    kv.forget_history(horizon.min(stored_trie));
    tracing::debug!(block = head.number, %root, oldest_state = horizon, "private state open");
    let progress = Arc::new(Progress::at(head, horizon, 0, stored_trie));
    let reader = PrivateReader::new(kv.clone(), tries.reader(), progress.clone(), genesis_hash);
    let mut writer = PrivateWriter::new(kv, tries, progress, head, root);
    if let Some(to) = unfinished {
        writer.rewind(to)?;
    }
    Ok(PrivateStore { writer, reader })
}

pub(super) fn check_identity(kv: &dyn Kv, version: &[u8], expected: B256) -> Result<(), StoreError> {
    let found = u32::from_be_bytes(exactly(version, "format version")?);
    if found != PRIVATE_FORMAT_VERSION {
        return Err(StoreError::WrongVersion { found, expected: PRIVATE_FORMAT_VERSION });
    }
    let genesis = kv.get(Table::Meta, META_GENESIS)?.ok_or_else(|| missing("the genesis hash"))?;
    let found = B256::new(exactly(&genesis, "genesis hash")?);
    match found == expected {
        true => Ok(()),
        false => Err(StoreError::WrongGenesis { found, expected }),
    }
}

fn write_empty(kv: &dyn Kv, genesis_hash: B256) -> Result<(), StoreError> {
    if !is_empty(kv, &Table::PRIVATE)? {
        return Err(missing("the format version of the private state, but not the data,"));
    }
    let mut batch = Batch::default();
    batch.put(Table::Meta, META_PRIVATE_FORMAT, PRIVATE_FORMAT_VERSION.to_be_bytes());
    batch.put(Table::Meta, META_GENESIS, *genesis_hash);
    batch.put(Table::Meta, META_HEAD, pointer(&Head { number: 0, hash: genesis_hash }));
    batch.put(Table::Meta, META_TRIE, 0u64.to_be_bytes());
    kv.write(batch)?;
    kv.sync()
}

/// The root of the newest private state, once its row fits the pointer to the newest block.
pub(super) fn check_newest(kv: &dyn KvRead, head: &Head) -> Result<B256, StoreError> {
    let Some((number, row)) = row_at(kv, u64::MAX)? else { return Ok(EMPTY_ROOT_HASH) };
    if number > head.number || (number == head.number && row.hash != head.hash) {
        return Err(StoreError::damaged(format!(
            "the newest block of the private state should be {} {}, but is {number} {}",
            head.number, head.hash, row.hash
        )));
    }
    Ok(row.root)
}

/// Where less is to be kept from now on, it is less at once; where more, what was dropped stays dropped.
fn settle_horizon(kv: &dyn Kv, number: u64) -> Result<u64, StoreError> {
    let stored = read_number(kv, META_HORIZON)?;
    let horizon = horizon_after(number, kv.tuning().history, stored);
    if horizon > stored {
        let mut batch = Batch::default();
        batch.put(Table::Meta, META_HORIZON, horizon.to_be_bytes());
        kv.write(batch)?;
    }
    Ok(horizon)
}

/// The newest row of a block up to and including this one.
pub(super) fn row_at(kv: &dyn KvRead, number: u64) -> Result<Option<(u64, BlockRow)>, StoreError> {
    let Some((key, row)) = kv.last_at(Table::PrivateBlocks, &number.to_be_bytes())? else { return Ok(None) };
    let number = u64::from_be_bytes(exactly(&key, "number of a private block")?);
    Ok(Some((number, BlockRow::decode(&row)?)))
}

/// The stored form of a block's number and hash.
pub(super) fn pointer(head: &Head) -> Vec<u8> {
    [head.number.to_be_bytes().as_slice(), head.hash.as_slice()].concat()
}

pub(super) fn read_pointer(kv: &dyn KvRead, name: &[u8]) -> Result<Option<Head>, StoreError> {
    let Some(bytes) = kv.get(Table::Meta, name)? else { return Ok(None) };
    let what = || StoreError::damaged("the stored pointer to a block does not decode");
    let (number, hash) = bytes.split_first_chunk::<8>().ok_or_else(what)?;
    let hash = B256::try_from(hash).map_err(|_| what())?;
    Ok(Some(Head { number: u64::from_be_bytes(*number), hash }))
}
