//! Sending by the node's accounts: completed, signed and taken into the pool, one after the other for each account.

use super::fill::fill;
use super::request::SendRequest;
use super::signing::{Authority, sign};
use crate::context::Context;
use crate::error::RpcError;
use crate::privacy;
use alloy_primitives::{Address, B256, Bytes};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex as WaitingMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// Transactions that the node may be working on or that may wait for their account's turn: as many as a busy application sends
/// in some seconds, and few enough that their memory does not matter.
const SENDING_MAX: usize = 1_024;

/// The accounts that are sending.
#[derive(Debug)]
pub(crate) struct Turns {
    places: Arc<Semaphore>,
    senders: Mutex<HashMap<Address, Arc<WaitingMutex<()>>>>,
}

/// The right to choose the next nonce of an account. Given back when the transaction is in the pool, or is not.
#[derive(Debug)]
pub(crate) struct Turn {
    _turn: OwnedMutexGuard<()>,
    _place: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(SENDING_MAX)), senders: Mutex::default() }
    }

    /// Waits for the account's turn: in order of arrival.
    pub(crate) async fn take(&self, sender: Address) -> Result<Turn, RpcError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| RpcError::busy("transactions of this node's accounts"))?;
        let turn = {
            let mut senders = self.senders.lock();
            // Those whose turn is over and for whom nobody waits.
            senders.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(senders.entry(sender).or_default())
        };
        Ok(Turn { _turn: turn.lock_owned().await, _place: place })
    }
}

/// Sends a transaction; its hash, once the pool has taken it.
///
/// What was begun is finished, also for a client that goes away meanwhile: else the next transaction could be given the
/// nonce of one that is on its way into the pool.
pub(crate) async fn send(
    context: Arc<Context>,
    request: SendRequest,
    authority: Authority,
) -> Result<B256, RpcError> {
    if request.private.is_private() {
        return privacy::sending::send(context, request, authority).await;
    }
    let sending = tokio::spawn(async move {
        check(&context, request.from, &authority).await?;
        let _turn = context.turns.take(request.from).await?;
        let raw = prepare(&context, request, authority).await?;
        submit(&context, raw).await
    });
    sending.await.unwrap_or_else(|error| Err(RpcError::Internal(format!("sending failed: {error}"))))
}

/// Refuses an account that cannot sign, before anything else is done for it.
pub(crate) async fn check(
    context: &Arc<Context>,
    account: Address,
    authority: &Authority,
) -> Result<(), RpcError> {
    let (owned, authority) = (Arc::clone(context), authority.clone());
    context.workers.reads.run(move || authority.check(&owned, account)).await
}

/// Brings a signed transaction into the pool, by the same way as clients' raw ones.
pub(crate) async fn submit(context: &Context, raw: Bytes) -> Result<B256, RpcError> {
    context.submitter.submit(raw).await
}

async fn prepare(
    context: &Arc<Context>,
    request: SendRequest,
    authority: Authority,
) -> Result<Bytes, RpcError> {
    // An estimate executes the message, and a password is derived from: both are work. The rest is a few reads.
    let heavy = request.gas.is_none() || matches!(authority, Authority::Password(_));
    let lane = if heavy { &context.workers.heavy } else { &context.workers.reads };
    let owned = Arc::clone(context);
    let job = move || {
        let tx = fill(&owned, &request)?;
        sign(&owned, request.from, &authority, tx)
    };
    lane.run(job).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_account_one_turn() {
        let turns = Turns::new();
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let first = turns.take(one).await.unwrap();
        let mut second = Box::pin(turns.take(one));
        assert!(futures::poll!(&mut second).is_pending());
        drop(turns.take(other).await.unwrap());
        drop(first);
        drop(second.await.unwrap());
        drop(turns.take(other).await.unwrap());
        assert_eq!(turns.senders.lock().len(), 1, "who is done is forgotten");
    }

    #[tokio::test]
    async fn those_who_wait_are_counted() {
        let turns = Turns::new();
        let _first = turns.take(Address::ZERO).await.unwrap();
        let mut waiting: Vec<_> = (1..SENDING_MAX).map(|_| Box::pin(turns.take(Address::ZERO))).collect();
        for one in &mut waiting {
            assert!(futures::poll!(one).is_pending());
        }
        let refused = turns.take(Address::repeat_byte(1)).await.unwrap_err();
        assert_eq!(refused.code(), -32005);
        waiting.pop();
        assert!(turns.take(Address::repeat_byte(1)).await.is_ok());
    }
}
