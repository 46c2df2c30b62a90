//! Blocks with receipts and senders, and the outcome of each transaction.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use lonja_primitives::transaction::decode_transaction;
use lonja_primitives::{Block, Receipt, SealedHeader, Transaction};
use lonja_storage::{Reader, StoreError};

/// A block with everything that is stored with it. The lists have one entry per transaction, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryBlock {
    /// The header with its hash.
    pub header: SealedHeader,
    /// Length of the block's RLP form, seals included, bytes.
    pub size: usize,
    /// EIP-2718 forms.
    pub transactions: Vec<Bytes>,
    /// Senders.
    pub senders: Vec<Address>,
    /// Receipts.
    pub receipts: Vec<Receipt>,
}

/// A transaction of a block with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Place in the block.
    pub index: u32,
    /// Hash.
    pub hash: B256,
    /// Sender.
    pub sender: Address,
    /// The transaction.
    pub transaction: Transaction,
    /// Its receipt.
    pub receipt: Receipt,
    /// Gas used by this transaction alone.
    pub gas_used: u64,
    /// Index within the block of its first log.
    pub first_log_index: u32,
    /// The contract it created; `None` for calls and for creations that failed.
    pub contract: Option<Address>,
}

/// A published block; `None` above the head.
pub fn block(reader: &Reader, number: u64) -> Result<Option<HistoryBlock>, StoreError> {
    let Some((header, transactions, senders)) = reader.block_with_senders(number)? else { return Ok(None) };
    let missing = |what: &str| StoreError::Damaged(format!("the {what} of block {number} are missing"));
    let receipts = reader.receipts(number)?.ok_or_else(|| missing("receipts"))?;
    if receipts.len() != transactions.len() {
        return Err(missing("receipts of some transactions"));
    }
    let block = Block { header: header.header().clone(), transactions };
    let size = block.size();
    Ok(Some(HistoryBlock { header, size, transactions: block.transactions, senders, receipts }))
}

/// The block of a transaction and its outcome; `None` while it is in no published block.
pub fn outcome(reader: &Reader, hash: &B256) -> Result<Option<(HistoryBlock, Outcome)>, StoreError> {
    let Some((number, index)) = reader.transaction_location(hash)? else { return Ok(None) };
    let Some(block) = block(reader, number)? else { return Ok(None) };
    match block.outcome(index)? {
        Some(outcome) if outcome.hash == *hash => Ok(Some((block, outcome))),
        _ => {
            Err(StoreError::Damaged(format!("transaction {hash} is not at place {index} of block {number}")))
        }
    }
}

impl HistoryBlock {
    /// The transaction at a place with its outcome; `None` behind the last.
    pub fn outcome(&self, index: u32) -> Result<Option<Outcome>, StoreError> {
        let before = self.receipts.get(..index as usize).unwrap_or_default();
        let gas = before.last().map_or(0, |receipt| receipt.cumulative_gas_used);
        let logs = before.iter().fold(0, count_logs);
        self.outcome_after(index, gas, logs)
    }

    /// All transactions with their outcomes.
    pub fn outcomes(&self) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(self.transactions.len());
        let (mut gas, mut logs) = (0, 0);
        for (index, receipt) in (0u32..).zip(&self.receipts) {
            outcomes.extend(self.outcome_after(index, gas, logs)?);
            gas = receipt.cumulative_gas_used;
            logs = count_logs(logs, receipt);
        }
        Ok(outcomes)
    }

    /// The outcome at a place, behind transactions that used so much gas and left so many logs.
    fn outcome_after(&self, index: u32, gas: u64, logs: u32) -> Result<Option<Outcome>, StoreError> {
        let place = index as usize;
        let parts = (self.transactions.get(place), self.senders.get(place), self.receipts.get(place));
        let (Some(raw), Some(sender), Some(receipt)) = parts else { return Ok(None) };
        let transaction = decode_transaction(raw).map_err(|error| {
            StoreError::Damaged(format!("transaction {index} of block {}: {error}", self.header.number))
        })?;
        Ok(Some(Outcome {
            index,
            hash: keccak256(raw),
            sender: *sender,
            gas_used: receipt.cumulative_gas_used.saturating_sub(gas),
            first_log_index: logs,
            contract: contract_address(&transaction, sender).filter(|_| receipt.success),
            transaction,
            receipt: receipt.clone(),
        }))
    }
}

fn count_logs(before: u32, receipt: &Receipt) -> u32 {
    before.saturating_add(u32::try_from(receipt.logs.len()).unwrap_or(u32::MAX))
}

/// The address of the contract that a creation by `sender` makes; `None` for a call.
pub fn contract_address(transaction: &Transaction, sender: &Address) -> Option<Address> {
    transaction.is_create().then(|| sender.create(transaction.nonce()))
}
