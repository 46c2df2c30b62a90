//! Reading blocks and states beside the writer, without a lock in common with it.

use crate::codec::{decode_body, decode_header, decode_location, decode_receipts};
use crate::state::{Progress, StateAt};
use crate::trie::TrieReader;
use crate::{Kv, StoreError, Table};
use alloy_primitives::{Address, B256, Bytes};
use lonja_primitives::{Block, Receipt, SealedHeader};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The newest block that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// Reads what is published. Cheap to clone, good for any thread; blocks above the head are not seen.
#[derive(Clone)]
pub struct Reader {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) tries: TrieReader,
    pub(crate) progress: Arc<Progress>,
    genesis_hash: B256,
}

impl Reader {
    pub(crate) fn new(
        kv: Arc<dyn Kv>,
        tries: TrieReader,
        progress: Arc<Progress>,
        genesis_hash: B256,
    ) -> Self {
        Self { kv, tries, progress, genesis_hash }
    }

    /// The newest durable block.
    pub fn head(&self) -> Head {
        **self.progress.head.load()
    }

    /// Hash of block 0, which names the network.
    pub fn genesis_hash(&self) -> B256 {
        self.genesis_hash
    }

    /// The header of a block.
    pub fn header(&self, number: u64) -> Result<Option<SealedHeader>, StoreError> {
        self.row(Table::Headers, number)?.map(|bytes| decode_header(&bytes)).transpose()
    }

    /// The number of the block with this hash.
    pub fn number_of(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        let Some(bytes) = self.kv.get(Table::Numbers, hash.as_slice())? else { return Ok(None) };
        let number = u64::from_be_bytes(bytes.try_into().map_err(|_| StoreError::damaged("a block number"))?);
        Ok(Some(number).filter(|number| *number <= self.head().number))
    }

    /// A block.
    pub fn block(&self, number: u64) -> Result<Option<Block>, StoreError> {
        let Some(header) = self.header(number)? else { return Ok(None) };
        let (transactions, _) = self.body(number)?;
        Ok(Some(Block { header: header.into_header(), transactions }))
    }

    /// A block with its hash and the senders of its transactions, in one look at its body.
    pub fn block_with_senders(
        &self,
        number: u64,
    ) -> Result<Option<(SealedHeader, Vec<Bytes>, Vec<Address>)>, StoreError> {
        let Some(header) = self.header(number)? else { return Ok(None) };
        let (transactions, senders) = self.body(number)?;
        if transactions.len() != senders.len() {
            return Err(StoreError::damaged(format!(
                "the senders of block {number} do not fit its transactions"
            )));
        }
        Ok(Some((header, transactions, senders)))
    }

    /// The receipts of a block.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<Receipt>>, StoreError> {
        self.row(Table::Receipts, number)?.map(|bytes| decode_receipts(&bytes)).transpose()
    }

    /// The senders of a block's transactions.
    pub fn senders(&self, number: u64) -> Result<Option<Vec<Address>>, StoreError> {
        if number > self.head().number || (number > 0 && number < self.oldest_block()) {
            return Ok(None);
        }
        self.body(number).map(|(_, senders)| Some(senders))
    }

    /// Block and index of a transaction.
    pub fn transaction_location(&self, hash: &B256) -> Result<Option<(u64, u32)>, StoreError> {
        let Some(bytes) = self.kv.get(Table::Transactions, hash.as_slice())? else { return Ok(None) };
        let location = decode_location(&bytes)?;
        Ok(Some(location).filter(|(number, _)| *number <= self.head().number))
    }

    /// The vote snapshot after a block; `None` when none was stored at or below it, and above the head.
    pub fn votes(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if number > self.head().number {
            return Ok(None);
        }
        Ok(self.kv.last_at(Table::Votes, &number.to_be_bytes())?.map(|(_, votes)| votes))
    }

    /// The oldest block above block 0 that is stored; 0 where all are.
    pub fn oldest_block(&self) -> u64 {
        self.progress.floor.load(Ordering::SeqCst)
    }

    /// The oldest block whose state can be read.
    pub fn oldest_state(&self) -> u64 {
        self.progress.horizon.load(Ordering::SeqCst)
    }

    /// The state after a block. It stays readable until the block's history is dropped, and says so then.
    pub fn state_at(&self, number: u64) -> Result<StateAt, StoreError> {
        let oldest = self.oldest_state();
        if number > self.head().number || number < oldest {
            return Err(StoreError::NotAvailable { number, oldest });
        }
        Ok(StateAt::new(self.kv.clone(), self.progress.clone(), None, number))
    }

    fn row(&self, table: Table, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if number > self.head().number || (number > 0 && number < self.oldest_block()) {
            return Ok(None);
        }
        let row = self.kv.get(table, &number.to_be_bytes())?;
        match row {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(StoreError::damaged(format!("block {number} is missing in table {}", table.name()))),
        }
    }

    fn body(&self, number: u64) -> Result<(Vec<Bytes>, Vec<Address>), StoreError> {
        decode_body(&self.row(Table::Bodies, number)?.unwrap_or_default())
    }
}
