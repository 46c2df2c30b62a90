//! What may be set about a store, and how each table is laid out.

use super::is_forgotten;
use crate::Table;
use crate::kv::{History, Tuning};
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits a key for the filters of tables read by exact key: one false hit in a hundred.
const FILTER_BITS: f64 = 10.0;
/// Logs of RocksDB's own that are kept, and their size: enough to look into an incident.
const OWN_LOGS: usize = 4;
const OWN_LOG_BYTES: usize = 4 << 20;

/// Share of one table in the memory for written data: a smaller sorted list is quicker to insert into.
const WRITE_BUFFER_SHARE: usize = 8;

/// Bytes of a block of envelopes: some small ones, or a large one.
const ENVELOPE_BLOCK_BYTES: usize = 16 << 10;

/// What the operator may set about the store. The sums fit a machine with 4 GB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Memory for blocks of data read from files, in bytes.
    pub block_cache_bytes: usize,
    /// Memory for written data not yet in files, in bytes, all tables together.
    pub write_buffer_bytes: usize,
    /// Bound of the write-ahead log on disk, in bytes: what a restart may have to replay.
    pub max_log_bytes: u64,
    /// Memory for decoded trie nodes, in bytes.
    pub trie_cache_bytes: u64,
    /// Memory for accounts and slots of the newest state, in bytes.
    pub state_cache_bytes: u64,
    /// Blocks after which changed trie nodes are written, at the latest.
    pub trie_lag_blocks: u64,
    /// Bytes of changed trie nodes after which they are written, at the latest.
    pub trie_lag_bytes: u64,
    /// Files held open at most.
    pub max_open_files: i32,
    /// How far back states are kept.
    pub history: History,
    /// The tables that are opened, and made where they are not there.
    pub tables: &'static [Table],
    /// Whether a directory that has to be made is for the user of the process alone.
    pub secret: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 256 << 20,
            write_buffer_bytes: 128 << 20,
            max_log_bytes: 128 << 20,
            trie_cache_bytes: 128 << 20,
            state_cache_bytes: 64 << 20,
            trie_lag_blocks: 64,
            trie_lag_bytes: 16 << 20,
            max_open_files: 512,
            history: History::Archive,
            tables: &Table::CHAIN,
            secret: false,
        }
    }
}

impl StoreOptions {
    /// Less memory than the chain has: for a store that most blocks do not touch, and whose directory is nobody
    /// else's business.
    pub fn small(tables: &'static [Table]) -> Self {
        Self {
            block_cache_bytes: 32 << 20,
            write_buffer_bytes: 32 << 20,
            max_log_bytes: 64 << 20,
            trie_cache_bytes: 16 << 20,
            state_cache_bytes: 8 << 20,
            trie_lag_bytes: 2 << 20,
            max_open_files: 128,
            tables,
            secret: true,
            ..Self::default()
        }
    }

    /// For the store of the private state ([`crate::open_private`]).
    pub fn private() -> Self {
        Self::small(&Table::PRIVATE)
    }

    /// For the store of payloads ([`crate::open_payloads`]).
    pub fn payloads() -> Self {
        Self::small(&Table::PAYLOADS)
    }

    pub(super) fn tuning(&self) -> Tuning {
        Tuning {
            trie_cache_bytes: self.trie_cache_bytes,
            state_cache_bytes: self.state_cache_bytes,
            trie_lag_blocks: self.trie_lag_blocks,
            trie_lag_bytes: self.trie_lag_bytes,
            history: self.history,
        }
    }
}

/// The column families of a store, with one cache for all.
pub(super) fn families(
    options: &StoreOptions,
    forgotten: &Arc<AtomicU64>,
) -> impl Iterator<Item = ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.block_cache_bytes);
    let (options, forgotten) = (*options, forgotten.clone());
    options.tables.iter().map(move |table| {
        ColumnFamilyDescriptor::new(table.name(), table_options(*table, &cache, &options, &forgotten))
    })
}

pub(super) fn database_options(options: &StoreOptions) -> Options {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_paranoid_checks(true);
    // Torn ends are cut off before: see [`recovery`].
    db.set_wal_recovery_mode(DBRecoveryMode::AbsoluteConsistency);
    db.set_max_total_wal_size(options.max_log_bytes);
    db.set_db_write_buffer_size(options.write_buffer_bytes);
    db.set_max_open_files(options.max_open_files);
    db.set_max_background_jobs(2);
    db.set_bytes_per_sync(1 << 20);
    db.set_keep_log_file_num(OWN_LOGS);
    db.set_max_log_file_size(OWN_LOG_BYTES);
    db
}

fn table_options(table: Table, cache: &Cache, store: &StoreOptions, forgotten: &Arc<AtomicU64>) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_write_buffer_size(store.write_buffer_bytes / WRITE_BUFFER_SHARE);
    options.set_compression_type(DBCompressionType::Lz4);
    match table {
        Table::Bodies | Table::Receipts | Table::Headers => {
            // Written once, read rarely, in whole blocks: worth the better compression over larger pieces.
            blocks.set_block_size(32 << 10);
            options.set_compression_type(DBCompressionType::Zstd);
        }
        Table::Numbers | Table::Transactions => {
            // Keys and values are hashes and small numbers.
            blocks.set_bloom_filter(FILTER_BITS, false);
            options.set_compression_type(DBCompressionType::None);
        }
        Table::Accounts | Table::Slots | Table::Codes | Table::AccountTrie | Table::StorageTrie => {
            blocks.set_bloom_filter(FILTER_BITS, false);
        }
        // Most blocks have no row, and a search for logs asks for each.
        Table::PrivateBlocks => blocks.set_bloom_filter(FILTER_BITS, false),
        Table::Envelopes | Table::RawPayloads | Table::Outbox => {
            // Ciphertexts do not get smaller, and one of them fills a block.
            blocks.set_block_size(ENVELOPE_BLOCK_BYTES);
            blocks.set_bloom_filter(FILTER_BITS, false);
            options.set_compression_type(DBCompressionType::None);
        }
        Table::Tombstones => blocks.set_bloom_filter(FILTER_BITS, false),
        Table::EnvelopesByKey | Table::Seen => options.set_compression_type(DBCompressionType::None),
        Table::PrivateReceipts | Table::Contracts => {}
        Table::Groups | Table::PtmMeta | Table::Bindings | Table::Readings => {}
        Table::AccountHistory | Table::SlotHistory | Table::Touched => {
            let forgotten = forgotten.clone();
            options.set_compaction_filter("history", move |_, key, _| {
                match is_forgotten(key, forgotten.load(Ordering::SeqCst)) {
                    true => rocksdb::CompactionDecision::Remove,
                    false => rocksdb::CompactionDecision::Keep,
                }
            });
        }
        Table::Meta | Table::Votes => {}
    }
    options.set_block_based_table_factory(&blocks);
    options
}
