//! The second pass over one block once more, to look at what ran.
//!
//! Nothing is judged anew: what counted is in the receipts that the pass left, and what did not count changed nothing.

use super::extension::PrivateView;
use super::extension::contract::{Management, STATE_SHARED};
use super::extension::shared::decode;
use super::run::bring;
use alloy_primitives::Address;
use lonja_evm::{
    BlockEnv, DualView, LayeredView, PrivateMessage, PrivateOutcome, TraceError, Tracing, intrinsic_gas,
    trace_private,
};
use lonja_primitives::{
    BlockRules, ChainSpec, Header, PayloadHash, RecoveredTransaction, StateChanges, StateError,
};
use lonja_ptm::{Lookup, PrivatePayload};
use lonja_storage::private::{Origin, PrivateReader, PrivateReceipt};
use lonja_storage::{Brought, StateAt, StoreError};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;

/// Looks a payload up.
pub type LookUp<'a> = dyn FnMut(&PayloadHash) -> Lookup + 'a;

/// Why what ran cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// No trace came of it.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A payload is not here any more.
    #[error("the payload {0} is not here any more, so that what ran cannot be run again")]
    Gone(PayloadHash),
    /// A payload cannot be had now.
    #[error("{0}")]
    Unavailable(String),
    /// It counted for nothing before anything ran.
    #[error("{0}")]
    NotExecuted(String),
    /// Our own disk, or the private state is on its way to another.
    #[error(transparent)]
    State(#[from] StateError),
    /// What is stored does not fit together.
    #[error("{0}")]
    Damaged(String),
}

impl From<StoreError> for ReplayError {
    fn from(error: StoreError) -> Self {
        Self::State(error.into())
    }
}

/// What ran of a block, on the states of its parent.
pub struct Replay<'a> {
    chain_id: u64,
    rules: BlockRules,
    env: BlockEnv,
    public: &'a StateAt,
    private: &'a StateAt,
    reader: &'a PrivateReader,
    receipts: BTreeMap<u32, PrivateReceipt>,
    changes: StateChanges,
    brought: Brought,
}

impl<'a> Replay<'a> {
    /// Begins a block that the second pass is past. `public` and `private` are the states after its parent.
    ///
    /// # Errors
    /// The receipts could not be read.
    pub fn new(
        spec: &ChainSpec,
        header: &Header,
        public: &'a StateAt,
        private: &'a StateAt,
        reader: &'a PrivateReader,
    ) -> Result<Self, ReplayError> {
        Ok(Self {
            chain_id: spec.chain_id,
            rules: spec.rules_at(header.number, header.timestamp),
            env: BlockEnv::from_header(header),
            public,
            private,
            reader,
            receipts: reader.receipts(header.number)?.into_iter().collect(),
            changes: StateChanges::default(),
            brought: Brought::new(),
        })
    }

    /// Whether something ran in this place.
    pub fn ran(&self, index: u32) -> bool {
        self.receipts.contains_key(&index)
    }

    /// What was done to the private state so far.
    pub fn changes(&self) -> &StateChanges {
        &self.changes
    }

    /// Runs what ran in this place, and tells of it what is asked for. All places before it that ran must have been run.
    /// `tx` is the block's, `before` what the public transactions up to and with it did.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn run(
        &mut self,
        index: u32,
        tx: &RecoveredTransaction,
        before: &StateChanges,
        look_up: &mut LookUp<'_>,
        time_left: &(dyn Fn() -> Duration + Sync),
        tracing: Option<&Tracing>,
    ) -> Result<Option<Box<RawValue>>, ReplayError> {
        let Some(receipt) = self.receipts.get(&index).cloned() else { return Ok(None) };
        if tracing.is_none() && !receipt.success {
            return Ok(None);
        }
        let tx = self.inside(tx, &receipt)?;
        let message = self.message(&tx, &receipt, look_up)?;
        let public = LayeredView { base: self.public, changes: before };
        let private = PrivateView { base: self.private, changes: &self.changes, brought: &self.brought };
        let state = DualView { private: &private, public: &public };
        let (outcome, told) = trace_private(&self.rules, &self.env, &state, &message, time_left, tracing)?;
        if receipt.success {
            self.keep(&tx, outcome, look_up)?;
        }
        Ok(told)
    }

    /// The transaction that ran: that of the block, or the one its marker carries.
    fn inside(
        &self,
        tx: &RecoveredTransaction,
        receipt: &PrivateReceipt,
    ) -> Result<RecoveredTransaction, ReplayError> {
        let Some(raw) = &receipt.inner else { return Ok(tx.clone()) };
        let inner = RecoveredTransaction::recover(raw.clone(), self.chain_id);
        inner.map_err(|error| ReplayError::Damaged(format!("a private transaction that ran: {error}")))
    }

    fn message(
        &self,
        tx: &RecoveredTransaction,
        receipt: &PrivateReceipt,
        look_up: &mut LookUp<'_>,
    ) -> Result<PrivateMessage, ReplayError> {
        let not_executed = |reason: String| {
            let reason = receipt.error.clone().unwrap_or(reason);
            ReplayError::NotExecuted(format!("the private transaction was not executed: {reason}"))
        };
        let hash = tx.payload_hash();
        let hash = hash.ok_or_else(|| ReplayError::Damaged("what ran names no payload".to_owned()))?;
        let shell_gas =
            intrinsic_gas(&self.rules, tx).map_err(|invalid| not_executed(invalid.to_string()))?;
        Ok(PrivateMessage {
            sender: tx.sender(),
            nonce: tx.nonce(),
            kind: tx.kind(),
            payload: found(&hash, look_up)?.payload,
            gas_limit: tx.gas_limit(),
            shell_gas,
        })
    }

    fn keep(
        &mut self,
        tx: &RecoveredTransaction,
        outcome: PrivateOutcome,
        look_up: &mut LookUp<'_>,
    ) -> Result<(), ReplayError> {
        if !outcome.success {
            let number = self.env.number;
            return Err(ReplayError::Damaged(format!("what ran in block {number} does not run again")));
        }
        for (address, change) in &outcome.changes.accounts {
            if change.storage_wiped || change.account.is_none() {
                self.brought.remove(address);
            }
        }
        let to = tx.kind().to().copied();
        let shares = |by: &Address| {
            outcome.logs.iter().any(|log| log.address == *by && log.topics().first() == Some(&STATE_SHARED))
        };
        let shares = to.filter(shares);
        self.changes.merge(outcome.changes);
        shares.map_or(Ok(()), |by| self.bring(by, look_up))
    }

    /// A contract whose state came with this transaction.
    fn bring(&mut self, by: Address, look_up: &mut LookUp<'_>) -> Result<(), ReplayError> {
        let after = PrivateView { base: self.private, changes: &self.changes, brought: &self.brought };
        let Some(management) = Management::read(&after, &by)? else { return Ok(()) };
        let Ok(hash) = management.shared.parse::<PayloadHash>() else { return Ok(()) };
        let record = self.reader.contract(&management.contract, self.env.number)?;
        let came =
            record.is_some_and(|record| record.creation == hash && record.origin == Origin::Shared { by });
        if came {
            let state = decode(&found(&hash, look_up)?.payload);
            let state = state.map_err(|error| ReplayError::Damaged(error.to_string()))?;
            bring(&mut self.changes, &mut self.brought, state);
        }
        Ok(())
    }
}

fn found(hash: &PayloadHash, look_up: &mut LookUp<'_>) -> Result<PrivatePayload, ReplayError> {
    match look_up(hash) {
        Lookup::Found(payload) => Ok(payload),
        Lookup::NotOurs | Lookup::Erased => Err(ReplayError::Gone(*hash)),
        Lookup::Unavailable(reason) => Err(ReplayError::Unavailable(reason)),
    }
}
