//! Blocks of the chain, executed once more.

use super::{TraceError, Tracing, why};
use crate::block::{BlockExecutor, ExecuteError};
use crate::env::BlockEnv;
use lonja_primitives::{BlockRules, RecoveredTransaction, StateChanges, StateView};
use serde_json::value::RawValue;
use std::time::Duration;

/// Executes the transactions of a block that is in the chain once more, to look at some of them. What is in the chain was
/// permitted, so that nobody is asked.
pub struct BlockReplay<'a> {
    executor: BlockExecutor<'a>,
    time_left: &'a (dyn Fn() -> Duration + Sync),
    changes: StateChanges,
}

impl<'a> BlockReplay<'a> {
    /// Begins on the state of the block's parent. `time_left` is asked as by calls.
    pub fn new(
        rules: BlockRules,
        env: BlockEnv,
        state: &'a dyn StateView,
        time_left: &'a (dyn Fn() -> Duration + Sync),
    ) -> Self {
        let mut executor = BlockExecutor::new(rules, env, state);
        executor.limit_time(time_left);
        executor.tell_changes();
        Self { executor, time_left, changes: StateChanges::default() }
    }

    /// Executes the next transaction without looking.
    ///
    /// # Errors
    /// The time was up, or a transaction that is in the chain does not execute here.
    pub fn pass(&mut self, tx: &RecoveredTransaction) -> Result<(), TraceError> {
        self.look_at_time()?;
        let done = self.executor.execute(tx);
        self.note(done)
    }

    /// Executes the next transaction, and tells of it what is asked for: of a private one, what everybody sees.
    ///
    /// # Errors
    /// As of [`BlockReplay::pass`]; the answer is longer than it may be.
    pub fn trace(
        &mut self,
        tx: &RecoveredTransaction,
        tracing: &Tracing,
    ) -> Result<Box<RawValue>, TraceError> {
        self.look_at_time()?;
        let told = self.executor.observe(tx, tracing.observer());
        self.note(told)?
    }

    /// What the transactions so far did to the state.
    pub fn changes(&self) -> &StateChanges {
        &self.changes
    }

    fn look_at_time(&self) -> Result<(), TraceError> {
        if (self.time_left)().is_zero() { Err(TraceError::Stopped) } else { Ok(()) }
    }

    fn note<T>(&mut self, done: Result<T, ExecuteError>) -> Result<T, TraceError> {
        self.changes.merge(self.executor.take_told());
        done.map_err(|error| why(&self.executor.evm, error))
    }
}
