//! Building a block on the head.

use super::ChainCore;
use super::run::{BlockRun, NotTaken, Outcome};
use crate::error::{BlockError, ChainError};
use crate::executed::ExecutedBlock;
use crate::shared::next_gas_limit;
use crate::telemetry::{self, Step, timed};
use alloy_consensus::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::{B64, B256, Bytes, U256};
use alloy_rlp::{Encodable, length_of_length};
use lonja_consensus::commitment;
use lonja_consensus::machine::BuildRequest;
use lonja_evm::{ExecuteError, TxInvalid};
use lonja_permissioning::Rule;
use lonja_primitives::extra::{block_hash, with_vanity};
use lonja_primitives::header::ISTANBUL_MIX_HASH;
use lonja_primitives::{Block, Fork, Header, RecoveredTransaction, StateView};
use lonja_txpool::{ReadyCursor, SenderState};

/// Transactions taken from the pool at a time, so that it is locked only for moments while a block is built.
const TAKEN_AT_ONCE: usize = 256;

/// How many senders may be passed over before the block counts as full. Bounds the search for small
/// transactions that fit into the last bit of gas.
const MAX_PASSED_OVER: usize = 256;

/// No transaction uses less gas than this.
const LEAST_GAS: u64 = 21_000;

/// List heads of block and body, the empty ommers list, and the growth of the header's gas used.
const FRAME_BYTES: usize = 64;

impl ChainCore {
    /// Builds a block on the head with what the pool has ready, until gas, size or time run out;
    /// `out_of_time` is asked before each transaction. Transactions that can not be executed are dropped from
    /// the pool with the reason. The execution is remembered.
    ///
    /// # Errors
    /// `Unavailable` when the request is not for the head, else a halt.
    pub fn build(
        &mut self,
        request: &BuildRequest,
        out_of_time: &dyn Fn() -> bool,
    ) -> Result<Block, ChainError> {
        timed(Step::Build, || {
            self.expect_next(request.height, request.parent).map_err(ChainError::Unavailable)?;
            let mut header = self.new_header(request);
            let (state, view) = (self.writer.head_state(), self.shared.head.load_full());
            let mut run = BlockRun::new(&self.shared.spec, &header, &self.position, &view, &state);
            let transactions = self.fill(&mut run, &header, &state, out_of_time)?;
            let Outcome { output, next_validators } = run.finish()?;
            self.count_execution(output.gas_used);
            let body: Vec<Bytes> = transactions.iter().map(|tx| tx.raw().clone()).collect();
            let (prepared, transactions_root) =
                rayon::join(|| self.prepare(&output), || Block::transactions_root(&body));
            let prepared = prepared?;
            header.state_root = prepared.root;
            header.transactions_root = transactions_root;
            header.receipts_root = output.receipts_root;
            header.logs_bloom = output.logs_bloom;
            header.gas_used = output.gas_used;
            let format = self.shared.spec.format_at(header.number);
            let our_own = |error| ChainError::Halt(format!("extraData of our own block: {error}"));
            if let Some(next) = &next_validators {
                let vanity = commitment(next.as_slice());
                header.extra_data = with_vanity(&header.extra_data, format, vanity).map_err(our_own)?;
            }
            let hash = block_hash(&header, format).map_err(our_own)?;
            let executed = ExecutedBlock::new(hash, transactions, output, prepared, next_validators);
            self.executions.remember(executed);
            Ok(Block { header, transactions: body })
        })
    }

    /// The header apart from what execution gives.
    fn new_header(&self, request: &BuildRequest) -> Header {
        let spec = &self.shared.spec;
        let london = spec.fork_at(request.height, request.timestamp) >= Fork::London;
        Header {
            parent_hash: request.parent,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: request.beneficiary,
            difficulty: U256::from(1),
            number: request.height,
            gas_limit: next_gas_limit(spec, &self.position.head),
            timestamp: request.timestamp,
            extra_data: request.extra_data.clone(),
            mix_hash: ISTANBUL_MIX_HASH,
            nonce: B64::ZERO,
            base_fee_per_gas: london.then_some(0),
            state_root: B256::ZERO,
            ..Header::default()
        }
    }

    /// Executes what fits and says what it was.
    fn fill(
        &self,
        run: &mut BlockRun<'_>,
        header: &Header,
        state: &dyn StateView,
        out_of_time: &dyn Fn() -> bool,
    ) -> Result<Vec<RecoveredTransaction>, ChainError> {
        let block_size = self.shared.spec.limits_at(header.number).block_size;
        let body_size = block_size.saturating_sub(header.length().saturating_add(FRAME_BYTES));
        let mut bytes_left = body_size;
        let mut cursor = ReadyCursor::default();
        let mut taken = Vec::new();
        loop {
            let batch = self.pool.lock().next_ready(&mut cursor, TAKEN_AT_ONCE);
            if batch.is_empty() {
                return Ok(taken);
            }
            for tx in batch {
                let gas_left = header.gas_limit.saturating_sub(run.gas_taken());
                let full = gas_left < LEAST_GAS || cursor.passed_over() > MAX_PASSED_OVER;
                if full || out_of_time() {
                    return Ok(taken);
                }
                if cursor.is_passed_over(&tx.sender()) {
                    continue;
                }
                let length = length_in_body(&tx);
                if tx.gas_limit() > gas_left || length > bytes_left {
                    cursor.pass_over(tx.sender());
                    // What not even an empty block can take would stay ready for ever.
                    if tx.gas_limit() > header.gas_limit || length > body_size {
                        self.drop_from_pool(&tx, "exceeds block gas limit or block size");
                    }
                    continue;
                }
                match run.execute(&tx) {
                    Ok(()) => {
                        bytes_left = bytes_left.saturating_sub(length);
                        taken.push(tx);
                    }
                    Err(NotTaken::Execute(ExecuteError::Invalid(reason))) => {
                        cursor.pass_over(tx.sender());
                        self.not_executable(&tx, &reason, state)?;
                    }
                    Err(NotTaken::Execute(error)) => return Err(BlockError::from(error).into()),
                    Err(NotTaken::NotPermitted(refusal)) => {
                        cursor.pass_over(tx.sender());
                        // Gas comes back with the blocks; a permission only by a vote.
                        if refusal.rule != Rule::Quotas {
                            self.drop_from_pool(&tx, &refusal.to_string());
                        }
                    }
                }
            }
        }
    }

    /// Funds and gas may suffice in another block: then the pool is told the sender's state and decides.
    /// Anything else is wrong for good.
    fn not_executable(
        &self,
        tx: &RecoveredTransaction,
        reason: &TxInvalid,
        state: &dyn StateView,
    ) -> Result<(), ChainError> {
        match reason {
            TxInvalid::InsufficientFunds { .. } | TxInvalid::BlockGasExceeded { .. } => {
                let account = state.account(&tx.sender())?.unwrap_or_default();
                let sender = SenderState { nonce: account.nonce, balance: account.balance };
                let now_ms = self.shared.clock.now_ms();
                self.pool.lock().on_block(&[], &[(tx.sender(), sender)], now_ms);
            }
            reason => self.drop_from_pool(tx, &reason.to_string()),
        }
        Ok(())
    }

    fn drop_from_pool(&self, tx: &RecoveredTransaction, reason: &str) {
        tracing::debug!(hash = %tx.hash(), reason, "a transaction cannot be executed and is dropped");
        telemetry::dropped_at_build();
        self.pool.lock().remove_invalid(&tx.hash(), reason, self.shared.clock.now_ms());
    }
}

/// Bytes a transaction takes in a block, or a few more.
fn length_in_body(tx: &RecoveredTransaction) -> usize {
    tx.raw().len().saturating_add(length_of_length(tx.raw().len()))
}
