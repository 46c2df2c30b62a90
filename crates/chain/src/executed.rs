//! Executed blocks, remembered until one of them is committed.

use alloy_primitives::{Address, B256, Bytes};
use lonja_consensus::ValidatorSet;
use lonja_evm::ExecutionOutput;
use lonja_primitives::{Receipt, RecoveredTransaction, StateChanges};
use lonja_storage::PreparedState;
use std::collections::VecDeque;
use std::sync::Arc;

/// Executions remembered at once. All are of one height, where rounds with different proposals are few; a
/// forgotten one only costs a second execution.
const MAX_REMEMBERED: usize = 8;

/// A block that was executed on our head and whose header agrees with the outcome.
#[derive(Clone, Debug)]
pub struct ExecutedBlock {
    /// Block hash: without seals and round, so that the same block is found again under any of them.
    pub hash: B256,
    /// The transactions with their senders.
    pub transactions: Vec<RecoveredTransaction>,
    /// Their receipts.
    pub receipts: Vec<Receipt>,
    /// What the block does to the state.
    pub changes: StateChanges,
    /// The same, ready to be written, with the state root.
    pub prepared: PreparedState,
    /// The validators of the next block, where a contract names them.
    pub next_validators: Option<ValidatorSet>,
}

impl ExecutedBlock {
    pub(crate) fn new(
        hash: B256,
        transactions: Vec<RecoveredTransaction>,
        output: ExecutionOutput,
        prepared: PreparedState,
        next_validators: Option<ValidatorSet>,
    ) -> Self {
        let ExecutionOutput { receipts, changes, .. } = output;
        Self { hash, transactions, receipts, changes, prepared, next_validators }
    }

    /// Hashes of the transactions, in order.
    pub fn transaction_hashes(&self) -> Vec<B256> {
        self.transactions.iter().map(RecoveredTransaction::hash).collect()
    }

    /// Senders of the transactions, in order.
    pub fn senders(&self) -> Vec<Address> {
        self.transactions.iter().map(RecoveredTransaction::sender).collect()
    }

    /// Whether these are the transactions that were executed. The hash covers their root, but a body that
    /// comes with a header need not be the header's.
    pub(crate) fn has_body(&self, body: &[Bytes]) -> bool {
        same_body(&self.transactions, body)
    }
}

/// Whether these transactions are those of a body.
pub(crate) fn same_body(transactions: &[RecoveredTransaction], body: &[Bytes]) -> bool {
    transactions.len() == body.len() && transactions.iter().zip(body).all(|(tx, raw)| tx.raw() == raw)
}

/// The last few executions on the head.
#[derive(Default)]
pub(crate) struct Executions(VecDeque<Arc<ExecutedBlock>>);

impl Executions {
    pub(crate) fn remember(&mut self, executed: ExecutedBlock) -> Arc<ExecutedBlock> {
        self.0.retain(|known| known.hash != executed.hash);
        if self.0.len() >= MAX_REMEMBERED {
            self.0.pop_front();
        }
        let executed = Arc::new(executed);
        self.0.push_back(executed.clone());
        executed
    }

    pub(crate) fn find(&self, hash: &B256, body: &[Bytes]) -> Option<Arc<ExecutedBlock>> {
        self.0.iter().find(|known| known.hash == *hash && known.has_body(body)).cloned()
    }

    /// After a commit: what stood on the old head is of no use any more.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
