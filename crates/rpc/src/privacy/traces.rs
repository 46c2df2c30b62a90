//! Private transactions as their parties may look at them: what ran of a block in the second pass, run once more.

use super::RpcPrivacy;
use super::results::is_public;
use crate::blocks::FullBlock;
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::debug::refusal;
use lonja_chain::private::{Replay, ReplayError};
use lonja_evm::Tracing;
use lonja_primitives::{PayloadHash, RecoveredTransaction, StateChanges};
use lonja_ptm::Lookup;
use lonja_storage::StateAt;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

/// A trace, or why there is none of this transaction alone.
pub(crate) type Told = Result<Box<RawValue>, String>;

/// What the second pass over a block stands on.
pub(crate) struct SecondPass<'c> {
    context: &'c Context,
    privacy: &'c RpcPrivacy,
    block: &'c FullBlock,
    private: StateAt,
    generation: u64,
    _place: OwnedSemaphorePermit,
}

/// The second pass over a block on its way.
pub(crate) struct Running<'p, 'c> {
    pass: &'p SecondPass<'c>,
    replay: Replay<'p>,
    /// The last place that is of interest.
    last: Option<u32>,
}

impl<'c> SecondPass<'c> {
    /// `None` where none of the transactions that are looked at has anything to do with it, or nothing runs at this node.
    pub(crate) fn of(
        context: &'c Context,
        block: &'c FullBlock,
        looked_at: &[&RecoveredTransaction],
    ) -> Result<Option<Self>, RpcError> {
        let Some(privacy) = &context.node.privacy else { return Ok(None) };
        if looked_at.iter().all(|tx| is_public(block, tx.tx())) {
            return Ok(None);
        }
        let (number, place) = (block.header.number, context.private.look()?);
        if !privacy.comes_to(number) {
            return Err(privacy.behind(number));
        }
        let generation = privacy.reader.generation();
        let private = privacy.reader.state_at(number.saturating_sub(1))?;
        Ok(Some(Self { context, privacy, block, private, generation, _place: place }))
    }

    /// Begins, with the public state after the block's parent. `looks_at` says which places are looked at.
    pub(crate) fn begin<'p>(
        &'p self,
        public: &'p StateAt,
        looks_at: impl Fn(u32) -> bool,
    ) -> Result<Running<'p, 'c>, RpcError> {
        let (spec, reader) = (&self.context.node.spec, &self.privacy.reader);
        let replay = Replay::new(spec, &self.block.header, public, &self.private, reader);
        let replay = replay.map_err(|error| self.refusal(error, Duration::ZERO))?;
        let places = 0..u32::try_from(self.block.transactions.len()).unwrap_or(u32::MAX);
        let last = places.rev().find(|index| looks_at(*index) && replay.ran(*index));
        Ok(Running { pass: self, replay, last })
    }

    fn look_up(&self, hash: &PayloadHash, time_left: Duration) -> Lookup {
        let look_up = async { tokio::time::timeout(time_left, self.privacy.manager.lookup(*hash)).await };
        Handle::current().block_on(look_up).unwrap_or_else(|_| {
            Lookup::Unavailable("the private-transaction manager did not answer in time".to_owned())
        })
    }

    fn refusal(&self, error: ReplayError, time: Duration) -> RpcError {
        if self.privacy.reader.generation() != self.generation {
            return RpcError::Limit("the private state was led back meanwhile: try again".to_owned());
        }
        match error {
            ReplayError::Trace(error) => refusal(error, time),
            ReplayError::State(error) => error.into(),
            ReplayError::Unavailable(reason) => RpcError::Limit(reason),
            ReplayError::Damaged(reason) => RpcError::Internal(reason),
            other => RpcError::Refused(other.to_string()),
        }
    }
}

impl Running<'_, '_> {
    /// Whether something ran here in this place.
    pub(crate) fn ran(&self, index: u32) -> bool {
        self.replay.ran(index)
    }

    /// Runs what ran in this place, after the public transactions up to and with it, which did `public`. In order for
    /// every place; what nobody looks at afterwards is passed over.
    pub(crate) fn run(
        &mut self,
        index: u32,
        tx: &RecoveredTransaction,
        public: &StateChanges,
        clock: (&(dyn Fn() -> Duration + Sync), Duration),
        tracing: Option<&Tracing>,
    ) -> Result<Option<Told>, RpcError> {
        if self.last.is_none_or(|last| index > last) {
            return Ok(None);
        }
        let (time_left, time) = clock;
        let pass = self.pass;
        let mut look_up = |hash: &PayloadHash| pass.look_up(hash, time_left());
        let told = self.replay.run(index, tx, public, &mut look_up, time_left, tracing);
        match told {
            Ok(told) => Ok(told.map(Ok)),
            // It changed nothing, so that what comes after it can be told.
            Err(ReplayError::NotExecuted(reason)) => Ok(Some(Err(reason))),
            Err(error) => Err(pass.refusal(error, time)),
        }
    }

    /// Whether what was said holds: the private state must not have been led back meanwhile.
    pub(crate) fn check(&self) -> Result<(), RpcError> {
        match self.pass.privacy.reader.generation() == self.pass.generation {
            true => Ok(()),
            false => Err(RpcError::Limit("the private state was led back meanwhile: try again".to_owned())),
        }
    }
}
