//! Executing a block that somebody else built.

use super::ChainCore;
use super::run::{BlockRun, NotTaken, Outcome};
use crate::error::{BlockError, compare};
use crate::executed::{ExecutedBlock, same_body};
use crate::recover::block_transactions;
use crate::shared::next_gas_limit;
use crate::telemetry::{self, Step, timed};
use alloy_primitives::B256;
use lonja_consensus::header::check_body;
use lonja_consensus::votes::check_commitment;
use lonja_evm::ExecutionOutput;
use lonja_primitives::extra::block_hash;
use lonja_primitives::{Block, Header, RecoveredTransaction};
use lonja_storage::PreparedState;
use std::sync::Arc;

/// Whether execution gave what the header says of gas used, receipts root and logs bloom; names the field and both
/// values where not.
pub fn check_output(header: &Header, output: &ExecutionOutput) -> Result<(), BlockError> {
    compare("gas used", header.gas_used, output.gas_used)?;
    compare("receipts root", header.receipts_root, output.receipts_root)?;
    compare("logs bloom", header.logs_bloom, output.logs_bloom)
}

/// Whether the state after a block has the root its header says; names both where not.
pub fn check_state(header: &Header, prepared: &PreparedState) -> Result<(), BlockError> {
    compare("state root", header.state_root, prepared.root)
}

/// What is known of a block's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    Unknown,
    /// It was compared with its header when the block was certified.
    Certified,
}

impl ChainCore {
    /// Checks a proposed block whose header rules were checked already: gas limit, body, size, every
    /// transaction, gas used, receipts root, bloom and state root. Remembers the execution, so that the same
    /// block is not executed again when it is proposed in another round or committed.
    pub fn check(&mut self, block: &Block) -> Result<(), BlockError> {
        timed(Step::Check, || {
            let header = &block.header;
            self.expect_next(header.number, header.parent_hash).map_err(BlockError::Unavailable)?;
            let hash = block_hash(header, self.shared.spec.format_at(header.number))
                .map_err(|error| BlockError::Invalid(error.to_string()))?;
            self.executed(block, hash, None, Body::Unknown).map(drop)
        })
    }

    /// The execution of a block that stands on the head: the remembered one, or a new one, which is remembered.
    /// `transactions` are the block's where the caller recovered them already.
    pub(super) fn executed(
        &mut self,
        block: &Block,
        hash: B256,
        transactions: Option<Vec<RecoveredTransaction>>,
        body: Body,
    ) -> Result<Arc<ExecutedBlock>, BlockError> {
        if let Some(executed) = self.executions.find(&hash, &block.transactions) {
            telemetry::execution_reused();
            return Ok(executed);
        }
        let executed = self.execute(block, hash, transactions, body)?;
        Ok(self.executions.remember(executed))
    }

    fn execute(
        &mut self,
        block: &Block,
        hash: B256,
        transactions: Option<Vec<RecoveredTransaction>>,
        body: Body,
    ) -> Result<ExecutedBlock, BlockError> {
        let spec = self.shared.spec.clone();
        let header = &block.header;
        let gas_limit = next_gas_limit(&spec, &self.position.head);
        if spec.limits_at(header.number).gas_limit.is_some() && header.gas_limit != gas_limit {
            let got = header.gas_limit;
            return Err(BlockError::Invalid(format!(
                "gas limit: the header says {got}, the network's is {gas_limit}"
            )));
        }
        let (body, transactions) = rayon::join(
            || match body {
                Body::Unknown => check_body(&spec, block),
                Body::Certified => Ok(()),
            },
            || match transactions.filter(|known| same_body(known, &block.transactions)) {
                Some(known) => Ok(known),
                None => block_transactions(&block.transactions, &self.pool, spec.chain_id),
            },
        );
        body?;
        let transactions = transactions
            .map_err(|(index, error)| BlockError::Invalid(format!("transaction {index}: {error}")))?;
        let Outcome { output, next_validators } = self.run(header, &transactions)?;
        check_output(header, &output)?;
        if let Some(next) = &next_validators {
            check_commitment(&spec, header, next)?;
        }
        let prepared = self.prepare(&output)?;
        check_state(header, &prepared)?;
        Ok(ExecutedBlock::new(hash, transactions, output, prepared, next_validators))
    }

    /// Runs the transactions; all of them must be executable.
    fn run(&mut self, header: &Header, transactions: &[RecoveredTransaction]) -> Result<Outcome, BlockError> {
        let (state, view) = (self.writer.head_state(), self.shared.head.load_full());
        let mut run = BlockRun::new(&self.shared.spec, header, &self.position, &view, &state);
        for (index, tx) in transactions.iter().enumerate() {
            run.execute(tx).map_err(|error: NotTaken| match BlockError::from(error) {
                BlockError::Invalid(reason) => {
                    BlockError::Invalid(format!("transaction {index} ({}): {reason}", tx.hash()))
                }
                other => other,
            })?;
        }
        let outcome = run.finish()?;
        self.count_execution(outcome.output.gas_used);
        Ok(outcome)
    }

    /// The state root, and what will be written.
    pub(super) fn prepare(&self, output: &ExecutionOutput) -> Result<PreparedState, BlockError> {
        Ok(timed(Step::Root, || self.writer.prepare(&output.changes))?)
    }

    pub(super) fn count_execution(&mut self, gas: u64) {
        self.executed_count = self.executed_count.saturating_add(1);
        telemetry::executed(gas);
    }
}
