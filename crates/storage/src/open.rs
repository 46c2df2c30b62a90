//! Opening a store: a new one gets block 0, an old one is checked before anything is served from it.

use crate::codec::decode_header;
use crate::prepare::prepare;
use crate::reader::{Head, Reader};
use crate::state::Progress;
use crate::tables::{FORMAT_VERSION, META_FORMAT, META_GENESIS, META_HEAD, META_HORIZON};
use crate::trie::TrieStore;
use crate::writer::{BlockCommit, ChainWriter, write_block, write_codes};
use crate::{Batch, Kv, StoreError, Table};
use alloy_primitives::B256;
use lonja_primitives::{Block, Genesis, SealedHeader, StateChanges};
use std::sync::Arc;

/// The two ends of an open store.
pub struct Opened {
    /// Writes; there is no second one.
    pub writer: ChainWriter,
    /// Reads; clone it freely.
    pub reader: Reader,
}

/// Opens the chain of `genesis` in a store, writing block 0 when the store is empty. The head is the newest block written,
/// made durable and published here. Errors: another network's chain, another format, damage.
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
    let head = read_head(&*kv, &tries)?;
    kv.sync()?;
    let horizon = match kv.get(Table::Meta, META_HORIZON)? {
        Some(bytes) => u64::from_be_bytes(exactly(&bytes, "horizon")?),
        None => 0,
    };
    kv.forget_history(horizon);
    let votes = kv.last_at(Table::Votes, &head.number.to_be_bytes())?.map(|(_, votes)| votes);
    tracing::info!(block = head.number, hash = %head.hash, oldest_state = horizon, "chain store open");
    let progress = Arc::new(Progress::at(head, horizon));
    let reader = Reader::new(kv.clone(), progress.clone(), genesis.hash());
    Ok(Opened { writer: ChainWriter::new(kv, tries, progress, head, votes), reader })
}

fn check_identity(kv: &dyn Kv, version: &[u8], expected: B256) -> Result<(), StoreError> {
    let found = u32::from_be_bytes(exactly(version, "format version")?);
    if found != FORMAT_VERSION {
        return Err(StoreError::WrongVersion { found, expected: FORMAT_VERSION });
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
    for table in Table::ALL {
        if kv.first_from(table, &[], None)?.is_some() {
            return Err(missing("the format version, but not the data,"));
        }
    }
    let hash = genesis.hash();
    let prepared = prepare(kv, tries, B256::ZERO, changes)?;
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
    prepared.write_state(tries, &mut batch);
    write_codes(changes, &mut batch);
    kv.write(batch)?;
    prepared.written(tries);
    kv.sync()
}

/// The newest block, once it is sure that what belongs to it is there.
fn read_head(kv: &dyn Kv, tries: &TrieStore) -> Result<Head, StoreError> {
    let bytes = kv.get(Table::Meta, META_HEAD)?.ok_or_else(|| missing("the pointer to the newest block"))?;
    let pointer: [u8; 40] = exactly(&bytes, "pointer to the newest block")?;
    let (number, hash) =
        pointer.split_first_chunk::<8>().ok_or_else(|| missing("the newest block's number"))?;
    let head = Head { number: u64::from_be_bytes(*number), hash: B256::from_slice(hash) };
    let header = header_at(kv, head.number)?;
    if header.hash() != head.hash {
        return Err(StoreError::damaged(format!(
            "the newest block should be {} {}, but that number holds {}",
            head.number,
            head.hash,
            header.hash()
        )));
    }
    if let Some(below) = head.number.checked_sub(1) {
        let parent = header_at(kv, below)?;
        if parent.hash() != header.parent_hash {
            return Err(StoreError::damaged(format!(
                "block {} is not the parent of block {}",
                below, head.number
            )));
        }
    }
    for table in [Table::Bodies, Table::Receipts] {
        if kv.get(table, &head.number.to_be_bytes())?.is_none() {
            return Err(missing(&format!("block {} in table {}", head.number, table.name())));
        }
    }
    let root = tries.accounts().root()?;
    if root != header.state_root {
        return Err(StoreError::damaged(format!(
            "the state has root {root}, but block {} says {}",
            head.number, header.state_root
        )));
    }
    Ok(head)
}

fn header_at(kv: &dyn Kv, number: u64) -> Result<SealedHeader, StoreError> {
    let bytes = kv.get(Table::Headers, &number.to_be_bytes())?;
    decode_header(&bytes.ok_or_else(|| missing(&format!("the header of block {number}")))?)
}

fn exactly<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::damaged(format!("the stored {what} has {} bytes", bytes.len())))
}

fn missing(what: &str) -> StoreError {
    StoreError::damaged(format!("{what} is missing"))
}
