//! A block's transactions, permitted and executed in order: the one way in which blocks are built, checked and caught up
//! with. What a contract decides about the block is decided at the state of its parent.

use crate::error::BlockError;
use crate::shared::HeadView;
use lonja_consensus::machine::ChainPosition;
use lonja_consensus::votes::set_by_contract;
use lonja_consensus::{ValidatorSet, header, proposer};
use lonja_evm::{BlockEnv, BlockExecutor, ExecuteError, ExecutionOutput};
use lonja_permissioning::{
    BlockEnd, Judge, Ledger, Refusal, TransactionQuestion, end_block, next_validators,
};
use lonja_primitives::{ChainSpec, Header, RecoveredTransaction, StateView};

/// Why a transaction is not in the block.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// A rule of the network forbids it.
    NotPermitted(Refusal),
    /// It cannot be executed, or our own disk is at fault.
    Execute(ExecuteError),
}

impl From<ExecuteError> for NotTaken {
    fn from(error: ExecuteError) -> Self {
        Self::Execute(error)
    }
}

impl From<NotTaken> for BlockError {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::NotPermitted(refusal) => Self::Invalid(format!("not permitted: {refusal}")),
            NotTaken::Execute(error) => error.into(),
        }
    }
}

/// What came of a block.
pub(super) struct Outcome {
    pub(super) output: ExecutionOutput,
    /// The validators of the next block, where a contract names them.
    pub(super) next_validators: Option<ValidatorSet>,
}

/// One block on the state of its parent.
pub(super) struct BlockRun<'a> {
    spec: &'a ChainSpec,
    header: &'a Header,
    parent: &'a ChainPosition,
    executor: BlockExecutor<'a>,
    judge: Judge<'a>,
    ledger: Ledger,
}

impl<'a> BlockRun<'a> {
    /// `view` is of the parent. Of the header only what is known before execution is looked at.
    pub(super) fn new(
        spec: &'a ChainSpec,
        header: &'a Header,
        parent: &'a ChainPosition,
        view: &'a HeadView,
        state: &'a dyn StateView,
    ) -> Self {
        let rules = spec.rules_at(header.number, header.timestamp);
        let env = BlockEnv::from_header(header);
        let permissions = *spec.permissions_at(header.number);
        let judge =
            Judge::new(permissions, rules, env.clone(), state).with_memos(&view.memos, parent.head.number);
        let executor = BlockExecutor::new(rules, env, state);
        Self { spec, header, parent, executor, judge, ledger: Ledger::default() }
    }

    /// Takes up the next transaction if it may be in the block.
    pub(super) fn execute(&mut self, tx: &RecoveredTransaction) -> Result<(), NotTaken> {
        self.judge.transaction(&TransactionQuestion::of(tx))?.map_err(NotTaken::NotPermitted)?;
        let room = self.ledger.admit(&mut self.judge, tx.sender(), tx.gas_limit())?;
        room.map_err(NotTaken::NotPermitted)?;
        let before = self.executor.gas_taken();
        self.executor.execute(tx)?;
        self.ledger.take(tx.sender(), self.executor.gas_taken().saturating_sub(before));
        Ok(())
    }

    /// Gas that the block has no more.
    pub(super) fn gas_taken(&self) -> u64 {
        self.executor.gas_taken()
    }

    /// Ends the block: what the registry is told, and who validates next.
    pub(super) fn finish(mut self) -> Result<Outcome, BlockError> {
        let end = self.block_end()?;
        let permissions = self.spec.permissions_at(self.header.number);
        for reason in end_block(&mut self.executor, permissions, end)? {
            metrics::counter!("lonja_permission_block_calls_failed_total").increment(1);
            tracing::warn!(number = self.header.number, %reason, "a call of the block itself failed");
        }
        let next_validators = self.next_validators()?;
        Ok(Outcome { output: self.executor.finish()?, next_validators })
    }

    fn block_end(&self) -> Result<BlockEnd, BlockError> {
        let params = self.spec.consensus_at(self.header.number);
        let author = header::author(self.header, params.format)?;
        let validators = self.parent.votes.validators();
        let missed = proposer::skipped(params, validators, self.parent.author, author);
        Ok(BlockEnd { author, missed, used: self.ledger.used() })
    }

    /// What the contract answers on the state after the block; the validators stay who they are where that is no set.
    fn next_validators(&mut self) -> Result<Option<ValidatorSet>, BlockError> {
        let number = self.header.number;
        if !self.spec.commits_to_validators(number) {
            return Ok(None);
        }
        let next = self.spec.consensus_at(number.saturating_add(1));
        let Some(contract) = next.validator_contract else { return Ok(None) };
        let answer = next_validators(&mut self.executor, contract)?;
        if let Err(reason) = &answer {
            metrics::counter!("lonja_validator_contract_failed_total").increment(1);
            tracing::warn!(number, %reason, "the validators stay, because the contract names none");
        }
        Ok(Some(set_by_contract(answer.ok(), self.parent.votes.validators())))
    }
}
