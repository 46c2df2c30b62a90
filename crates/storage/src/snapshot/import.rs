//! Filling an empty store with a state that came in parts.

use super::part::CheckedAccount;
use crate::codec::{encode_header, encode_slot};
use crate::open::is_empty;
use crate::tables::{
    FORMAT_VERSION, META_FLOOR, META_FORMAT, META_GENESIS, META_HEAD, META_HORIZON, META_JOINING, META_TRIE,
    slot_key,
};
use crate::trie::{NodeChange, TrieStore, rebuild};
use crate::writer::write_rows;
use crate::{Batch, Kv, KvRead, StoreError, Table};
use alloy_primitives::{Address, B256, Bytes, U256};
use lonja_primitives::{Block, Receipt, SealedHeader};
use std::sync::Arc;

/// A block with what is stored beside it; the hash and the rest belong to the block, which the caller has checked.
#[derive(Clone, Copy, Debug)]
pub struct ImportedBlock<'a> {
    /// The block, seals included.
    pub block: &'a Block,
    /// Its hash.
    pub hash: B256,
    /// The hashes of its transactions, in order.
    pub transaction_hashes: &'a [B256],
    /// Their senders, in order.
    pub senders: &'a [Address],
    /// Their receipts, in order.
    pub receipts: &'a [Receipt],
}

/// Whether a store holds a chain with a block above block 0. What was begun by [`StateImport`] and not finished holds
/// none. Errors: `Damaged` where there is something, but not what names the newest block.
pub fn has_blocks(kv: &dyn KvRead) -> Result<bool, StoreError> {
    if kv.get(Table::Meta, META_JOINING)?.is_some() {
        return Ok(false);
    }
    match kv.get(Table::Meta, META_HEAD)? {
        Some(head) => Ok(head.first_chunk::<8>().is_none_or(|number| *number != [0; 8])),
        None => match is_empty(kv, &Table::CHAIN)? {
            true => Ok(false),
            false => Err(StoreError::damaged("the pointer to the newest block is missing")),
        },
    }
}

/// Writes a state part by part. Until it is finished the store opens as no chain.
pub struct StateImport {
    kv: Arc<dyn Kv>,
    tries: TrieStore,
}

impl StateImport {
    /// Begins in an empty store. Errors: the store is not empty.
    pub fn begin(kv: Arc<dyn Kv>, genesis: &SealedHeader) -> Result<Self, StoreError> {
        if !is_empty(&*kv, &Table::CHAIN)? {
            return Err(StoreError::OutOfOrder("a state can be fetched into an empty store only".into()));
        }
        let block = Block { header: genesis.header().clone(), transactions: Vec::new() };
        let hash = genesis.hash();
        let mut batch = Batch::default();
        batch.put(Table::Meta, META_FORMAT, FORMAT_VERSION.to_be_bytes());
        batch.put(Table::Meta, META_GENESIS, *hash);
        batch.put(Table::Meta, META_JOINING, []);
        let genesis =
            ImportedBlock { block: &block, hash, transaction_hashes: &[], senders: &[], receipts: &[] };
        write_rows(&genesis, &mut batch);
        kv.write(batch)?;
        Ok(Self { tries: TrieStore::new(kv.clone()), kv })
    }

    /// Writes headers before the block of the state, which later blocks name by their hash.
    pub fn put_headers(&self, headers: &[SealedHeader]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for header in headers {
            let row = encode_header(header.header(), &header.hash());
            batch.put(Table::Headers, header.number.to_be_bytes(), row);
        }
        self.kv.write(batch)
    }

    /// Writes accounts with the storages that came with them.
    pub fn put_accounts(&self, accounts: &[CheckedAccount]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for CheckedAccount { account, branches } in accounts {
            batch.put(Table::Accounts, *account.key, account.flat.encode());
            put_slots(&account.key, account.slots.as_deref().unwrap_or_default(), &mut batch);
            self.tries.storage(account.key).write(branches, &mut batch);
        }
        self.kv.write(batch)
    }

    /// Writes slots of an account, and the branches of its storage trie when these are all of them.
    pub fn put_slots(
        &self,
        owner: &B256,
        slots: &[(B256, U256)],
        branches: Option<&[NodeChange]>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        put_slots(owner, slots, &mut batch);
        self.tries.storage(*owner).write(branches.unwrap_or_default(), &mut batch);
        self.kv.write(batch)
    }

    /// Builds the trie of a storage that came in several parts, all of which are written.
    pub fn finish_storage(&self, owner: &B256, root: &B256) -> Result<(), StoreError> {
        self.rebuild(Some(*owner), root)
    }

    /// Writes codes, whose hashes the caller has compared.
    pub fn put_codes(&self, codes: &[(B256, Bytes)]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (hash, code) in codes {
            batch.put(Table::Codes, **hash, code.to_vec());
        }
        self.kv.write(batch)
    }

    /// Builds the account trie, compares its root with the block's, and makes the store an ordinary chain whose newest
    /// block and oldest state is this one. `votes` is the vote snapshot after it.
    pub fn finish(self, block: &ImportedBlock<'_>, votes: &[u8]) -> Result<(), StoreError> {
        let header = &block.block.header;
        self.rebuild(None, &header.state_root)?;
        // What the last batch points at is durable before it.
        self.kv.sync()?;
        let number = header.number.to_be_bytes();
        let mut batch = Batch::default();
        write_rows(block, &mut batch);
        batch.put(Table::Votes, number, votes);
        batch.put(Table::Meta, META_HEAD, [number.as_slice(), block.hash.as_slice()].concat());
        for place in [META_TRIE, META_HORIZON, META_FLOOR] {
            batch.put(Table::Meta, place, number);
        }
        batch.delete(Table::Meta, META_JOINING);
        self.kv.write(batch)?;
        self.kv.sync()
    }

    fn rebuild(&self, owner: Option<B256>, root: &B256) -> Result<(), StoreError> {
        let trie = match owner {
            Some(owner) => self.tries.storage(owner),
            None => self.tries.accounts(),
        };
        let built = rebuild(&trie, &mut |branches| {
            let mut batch = Batch::default();
            trie.write(&branches, &mut batch);
            self.kv.write(batch)
        })?;
        match built == *root {
            true => Ok(()),
            false => Err(StoreError::damaged(format!(
                "the fetched state gives root {built}, where every part of it was proved to be of {root}"
            ))),
        }
    }
}

fn put_slots(owner: &B256, slots: &[(B256, U256)], batch: &mut Batch) {
    for (key, value) in slots {
        batch.put(Table::Slots, slot_key(owner, key), encode_slot(value));
    }
}
