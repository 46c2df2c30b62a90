//! Blocks with the rules they were made under, and their JSON.

use crate::context::RpcContext;
use crate::error::RpcError;
use crate::view::{BlockView, Place, ReceiptView, TransactionView, TransactionsView};
use alloy_consensus::Transaction as _;
use alloy_primitives::keccak256;
use lonja_chain::history::{self, FoundLog, HistoryBlock, LogFilter, Outcome};
use lonja_primitives::{BlockRules, Transaction};
use lonja_storage::Reader;
use std::ops::Deref;

/// What a transaction and a log cost in the cache beyond their bytes.
const ITEM_BYTES: usize = 256;

/// A block of the chain with senders and receipts.
#[derive(Debug)]
pub(crate) struct FullBlock {
    block: HistoryBlock,
    rules: BlockRules,
}

impl Deref for FullBlock {
    type Target = HistoryBlock;

    fn deref(&self) -> &HistoryBlock {
        &self.block
    }
}

/// The store lacks what must be there, or what lies before the state that the node joined by.
pub(crate) fn missing(reader: &Reader, what: &str, number: u64) -> RpcError {
    let oldest = reader.oldest_block();
    if number < oldest {
        return RpcError::Refused(format!(
            "block {number} is not here: the node joined by a state, and its oldest block is {oldest} for now"
        ));
    }
    RpcError::Internal(format!("the {what} of block {number} should be in the store and is not"))
}

impl FullBlock {
    /// Reads a block whose height is known to be there.
    pub(crate) fn read(node: &RpcContext, number: u64) -> Result<Self, RpcError> {
        let block =
            history::block(&node.reader, number)?.ok_or_else(|| missing(&node.reader, "body", number))?;
        Ok(Self { rules: node.spec.rules_at(number, block.header.timestamp), block })
    }

    pub(crate) fn block_view(&self, full: bool) -> Result<BlockView, RpcError> {
        let transactions = if full {
            let outcomes = self.outcomes()?;
            TransactionsView::Full(outcomes.iter().map(|outcome| self.transaction(outcome)).collect())
        } else {
            TransactionsView::Hashes(self.transactions.iter().map(keccak256).collect())
        };
        Ok(BlockView::new(&self.header, self.size, transactions))
    }

    /// The transaction at this place; `None` behind the last.
    pub(crate) fn transaction_view(&self, index: u32) -> Result<Option<TransactionView>, RpcError> {
        Ok(self.outcome(index)?.map(|outcome| self.transaction(&outcome)))
    }

    /// A transaction of the block, or one behind it.
    pub(crate) fn transaction(&self, outcome: &Outcome) -> TransactionView {
        let place = Place {
            block_hash: self.header.hash(),
            block_number: self.header.number,
            index: outcome.index,
            gas_price: self.gas_price(&outcome.transaction),
        };
        TransactionView::included(&outcome.transaction, outcome.sender, self.rules.chain_id, place)
    }

    /// A receipt as everybody sees it.
    pub(crate) fn receipt(&self, outcome: &Outcome) -> ReceiptView {
        ReceiptView::new(&self.header, outcome, self.gas_price(&outcome.transaction))
    }

    /// The rules that the block was made under.
    pub(crate) fn rules(&self) -> &BlockRules {
        &self.rules
    }

    /// The logs that the filter takes and that everybody sees, in order.
    pub(crate) fn logs(&self, filter: &LogFilter) -> Vec<FoundLog> {
        let mut found = Vec::new();
        let mut log_index = 0_u32;
        for (index, (receipt, raw)) in (0_u32..).zip(self.receipts.iter().zip(&self.transactions)) {
            let mut hash = None;
            for log in &receipt.logs {
                if filter.matches(log) {
                    found.push(FoundLog {
                        log: log.clone(),
                        block_number: self.header.number,
                        block_hash: self.header.hash(),
                        block_timestamp: self.header.timestamp,
                        transaction_hash: *hash.get_or_insert_with(|| keccak256(raw)),
                        transaction_index: index,
                        log_index,
                    });
                }
                log_index = log_index.saturating_add(1);
            }
        }
        found
    }

    /// Price per gas paid above the base fee, and gas used, of every transaction.
    pub(crate) fn tips(&self) -> Result<Vec<(u128, u64)>, RpcError> {
        let base_fee = u128::from(self.header.base_fee_per_gas.unwrap_or(0));
        let tip = |outcome: &Outcome| {
            (self.gas_price(&outcome.transaction).saturating_sub(base_fee), outcome.gas_used)
        };
        Ok(self.outcomes()?.iter().map(tip).collect())
    }

    /// What the transaction paid per gas.
    fn gas_price(&self, tx: &Transaction) -> u128 {
        if self.rules.free_gas { 0 } else { tx.effective_gas_price(self.header.base_fee_per_gas) }
    }

    /// What the block takes in memory, about.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let body: usize = self.transactions.iter().map(|raw| raw.len().saturating_add(ITEM_BYTES)).sum();
        let logs = self.receipts.iter().flat_map(|receipt| &receipt.logs);
        let logs: usize = logs.map(|log| log.data.data.len().saturating_add(ITEM_BYTES)).sum();
        body.saturating_add(logs).saturating_add(self.header.extra_data.len()).saturating_add(1_024) as u64
    }
}
