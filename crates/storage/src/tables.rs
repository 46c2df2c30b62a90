//! Every table: key, value, meaning. Keys are fixed-width big-endian, so that they sort as numbers do.
//!
//! There are three stores, each in a directory and with a log of its own: the chain ([`Table::CHAIN`]), the private
//! state ([`Table::PRIVATE`]) and the payloads of private transactions ([`Table::PAYLOADS`]). The first two share the
//! tables of a state.
//!
//! `address#` and `slot#` stand for keccak-256 of the address (20 bytes) and of the slot (32 bytes
//! big-endian); `number` is a block number in 8 bytes. Values are described in [`crate::codec`] and
//! [`crate::trie`].

use alloy_primitives::{Address, B256, U256, keccak256};

/// Version of everything described here and in [`crate::codec`]; stored under [`META_FORMAT`] and checked on
/// open.
pub const FORMAT_VERSION: u32 = 2;

/// Key in [`Table::Meta`]: format version, 4 bytes big-endian.
pub const META_FORMAT: &[u8] = b"format";
/// Key in [`Table::Meta`]: hash of block 0.
pub const META_GENESIS: &[u8] = b"genesis";
/// Key in [`Table::Meta`]: newest block written: number ++ hash.
pub const META_HEAD: &[u8] = b"head";
/// Key in [`Table::Meta`]: the oldest block whose state can be read, 8 bytes big-endian; 0 where it is
/// absent.
pub const META_HORIZON: &[u8] = b"horizon";

/// Key in [`Table::Meta`]: the block up to which the room of forgotten history was given back, 8 bytes big-endian; 0
/// where it is absent.
pub const META_RECLAIMED: &[u8] = b"reclaimed";

/// Key in [`Table::Meta`]: the block whose state the stored trie nodes are of, 8 bytes big-endian. It stands
/// at or below the newest block; [`Table::Touched`] names what the blocks between changed.
pub const META_TRIE: &[u8] = b"trie";

/// Key in [`Table::Meta`]: the oldest block above block 0 that is stored, 8 bytes big-endian; absent where all are.
pub const META_FLOOR: &[u8] = b"floor";

/// Key in [`Table::Meta`]: there while a state is being fetched into the store, and nothing may be read from it.
pub const META_JOINING: &[u8] = b"joining";

/// Version of what is described here for the private state, and in [`crate::private`]; stored under
/// [`META_PRIVATE_FORMAT`] and checked on open.
pub const PRIVATE_FORMAT_VERSION: u32 = 1;

/// Key in [`Table::Meta`] of the private state: format version, 4 bytes big-endian. Not [`META_FORMAT`], so that
/// neither store is taken for the other.
pub const META_PRIVATE_FORMAT: &[u8] = b"private-format";

/// Key in [`Table::Meta`] of the private state: there while it is being led back, number ++ hash of the block it goes
/// back to.
pub const META_REWIND: &[u8] = b"rewind";

/// A table; in RocksDB a column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub enum Table {
    /// name → value: the few facts about the database itself (`META_…`).
    Meta,
    /// number → block hash ++ RLP(header).
    Headers,
    /// block hash → number.
    Numbers,
    /// number → compact body: raw transactions and their senders.
    Bodies,
    /// number → compact receipts, without what can be computed from the rest.
    Receipts,
    /// transaction hash → (block number, index in the block).
    Transactions,
    /// number → the vote snapshot after that block; only where it differs from the one before.
    Votes,
    /// address# → account of the newest state, with its storage root.
    Accounts,
    /// address# ++ slot# → value of the newest state; zero is absent.
    Slots,
    /// code hash → code.
    Codes,
    /// nibble path, a nibble a byte → branch of the account trie.
    AccountTrie,
    /// address# ++ nibble path → branch of that account's storage trie.
    StorageTrie,
    /// number → the beginnings of the hashes of the accounts and slots that block changed ([`crate::touched`]);
    /// only where there are any, and as long as the history has their values before it.
    Touched,
    /// address# ++ number → the account before that block changed it; empty where there was none.
    AccountHistory,
    /// address# ++ slot# ++ number → the slot's value before that block changed it; empty for zero.
    SlotHistory,
    /// number → what a block did to the private state and where that is found ([`crate::private`]); only blocks that
    /// did something.
    PrivateBlocks,
    /// number ++ index in the block (4) → what the private execution of that transaction gave.
    PrivateReceipts,
    /// address (20) ++ number → the private contract's privacy metadata as of that block; empty where it went.
    Contracts,
    /// payload hash (64) ++ number ++ index in the block (4) → what became of that private transaction.
    Seen,
    /// payload hash → the envelope, 500 bytes to some megabytes.
    Envelopes,
    /// recipient's or sender's key ++ sequence number → payload hash.
    EnvelopesByKey,
    /// payload hash → a payload that was stored and not sent yet.
    RawPayloads,
    /// payload hash → the signed record that the payload was erased.
    Tombstones,
    /// sequence number → an envelope that a recipient still has to get.
    Outbox,
    /// id → a privacy group.
    Groups,
    /// name → value: facts about the payload store itself.
    PtmMeta,
    /// key → what a party's key is bound to.
    Bindings,
    /// sequence number → who read which payload.
    Readings,
}

impl Table {
    /// The tables of the chain store.
    pub const CHAIN: [Self; 15] = [
        Self::Meta,
        Self::Headers,
        Self::Numbers,
        Self::Bodies,
        Self::Receipts,
        Self::Transactions,
        Self::Votes,
        Self::Accounts,
        Self::Slots,
        Self::Codes,
        Self::AccountTrie,
        Self::StorageTrie,
        Self::Touched,
        Self::AccountHistory,
        Self::SlotHistory,
    ];

    /// The tables of the store of the private state.
    pub const PRIVATE: [Self; 13] = [
        Self::Meta,
        Self::Accounts,
        Self::Slots,
        Self::Codes,
        Self::AccountTrie,
        Self::StorageTrie,
        Self::Touched,
        Self::AccountHistory,
        Self::SlotHistory,
        Self::PrivateBlocks,
        Self::PrivateReceipts,
        Self::Contracts,
        Self::Seen,
    ];

    /// The tables of the store of payloads. Their rows are made and read by the private-transaction manager; here they
    /// are bytes.
    pub const PAYLOADS: [Self; 9] = [
        Self::Envelopes,
        Self::EnvelopesByKey,
        Self::RawPayloads,
        Self::Tombstones,
        Self::Outbox,
        Self::Groups,
        Self::PtmMeta,
        Self::Bindings,
        Self::Readings,
    ];

    /// Every table of every store, in the order of the enum.
    pub const ALL: [Self; 28] = [
        Self::Meta,
        Self::Headers,
        Self::Numbers,
        Self::Bodies,
        Self::Receipts,
        Self::Transactions,
        Self::Votes,
        Self::Accounts,
        Self::Slots,
        Self::Codes,
        Self::AccountTrie,
        Self::StorageTrie,
        Self::Touched,
        Self::AccountHistory,
        Self::SlotHistory,
        Self::PrivateBlocks,
        Self::PrivateReceipts,
        Self::Contracts,
        Self::Seen,
        Self::Envelopes,
        Self::EnvelopesByKey,
        Self::RawPayloads,
        Self::Tombstones,
        Self::Outbox,
        Self::Groups,
        Self::PtmMeta,
        Self::Bindings,
        Self::Readings,
    ];

    /// Its name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Headers => "headers",
            Self::Numbers => "numbers",
            Self::Bodies => "bodies",
            Self::Receipts => "receipts",
            Self::Transactions => "transactions",
            Self::Votes => "votes",
            Self::Accounts => "accounts",
            Self::Slots => "slots",
            Self::Codes => "codes",
            Self::AccountTrie => "account-trie",
            Self::StorageTrie => "storage-trie",
            Self::Touched => "touched",
            Self::AccountHistory => "account-history",
            Self::SlotHistory => "slot-history",
            Self::PrivateBlocks => "private-blocks",
            Self::PrivateReceipts => "private-receipts",
            Self::Contracts => "contracts",
            Self::Seen => "seen",
            Self::Envelopes => "envelopes",
            Self::EnvelopesByKey => "envelopes-by-key",
            Self::RawPayloads => "raw-payloads",
            Self::Tombstones => "tombstones",
            Self::Outbox => "outbox",
            Self::Groups => "groups",
            Self::PtmMeta => "ptm-meta",
            Self::Bindings => "bindings",
            Self::Readings => "readings",
        }
    }
}

/// Key of a flat account: keccak-256 of the address.
pub fn account_key(address: &Address) -> B256 {
    keccak256(address)
}

/// keccak-256 of the slot number in 32 bytes.
pub fn slot_hash(slot: &U256) -> B256 {
    keccak256(slot.to_be_bytes::<32>())
}

/// Key of a flat slot.
pub fn slot_key(account: &B256, slot: &B256) -> [u8; 64] {
    let mut key = [0; 64];
    let (left, right) = key.split_at_mut(32);
    left.copy_from_slice(account.as_slice());
    right.copy_from_slice(slot.as_slice());
    key
}

/// Key of a history entry: what changed (an account key or a slot key), then the block that changed it.
pub fn history_key(subject: &[u8], number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(subject.len() + 8);
    key.extend_from_slice(subject);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The smallest key above every key that begins with `prefix`; `None` when there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_its_own_name_and_place() {
        let names: std::collections::BTreeSet<_> = Table::ALL.iter().map(|table| table.name()).collect();
        assert_eq!(names.len(), Table::ALL.len());
        for (place, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, place);
        }
    }

    #[test]
    fn every_table_is_of_a_store_and_payloads_share_none() {
        let stores = [&Table::CHAIN[..], &Table::PRIVATE, &Table::PAYLOADS];
        let of_stores = |table: &Table| stores.iter().filter(|store| store.contains(table)).count();
        assert!(Table::ALL.iter().all(|table| of_stores(table) > 0));
        assert!(Table::PAYLOADS.iter().all(|table| of_stores(table) == 1));
        for store in stores {
            assert!(store.is_sorted(), "doubles, or another order than that of the enum");
        }
    }

    #[test]
    fn ends_of_prefixes() {
        assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(prefix_end(&[1, 0xff]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
        assert_eq!(prefix_end(&[]), None);
    }

    #[test]
    fn history_keys_sort_by_block() {
        assert!(history_key(b"a", 255) < history_key(b"a", 256));
        assert!(history_key(b"a", u64::MAX) < history_key(b"b", 0));
    }
}
