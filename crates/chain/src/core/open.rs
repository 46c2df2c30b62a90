//! Opening: where the chain stands, from what is in the store.

use super::ChainCore;
use crate::clock::Clock;
use crate::door::Door;
use crate::error::ChainError;
use crate::executed::Executions;
use crate::shared::{Backlog, HeadView, Shared, rules_after};
use alloy_primitives::{Address, Bytes};
use arc_swap::ArcSwap;
use lonja_consensus::machine::ChainPosition;
use lonja_consensus::{VoteState, header, proposer};
use lonja_evm::{BlockEnv, BlockExecutor};
use lonja_permissioning::{Memos, next_validators};
use lonja_primitives::{ChainSpec, SealedHeader, StateView};
use lonja_storage::{Opened, Reader};
use lonja_txpool::TxPool;
use parking_lot::Mutex;
use std::sync::Arc;

impl ChainCore {
    /// Takes over an open store. The pool is told how the network charges; it should be empty still.
    ///
    /// The votes are those of the newest stored snapshot, brought up to the head by the headers since.
    ///
    /// # Errors
    /// Always a halt: headers that cannot be read or do not follow the rules they were committed under.
    pub fn open(opened: Opened, spec: Arc<ChainSpec>, pool: Arc<Mutex<TxPool>>) -> Result<Self, ChainError> {
        let Opened { writer, reader, .. } = opened;
        let head = stored_header(&reader, writer.written().number)?;
        let (mut votes, votes_stored) = restore_votes(&reader, &spec, head.number)?;
        if votes.pending().is_some() {
            let list = named_validators(&spec, &head, &writer.head_state())?;
            votes.resolve(list).map_err(broken(head.number))?;
        }
        let author = proposer::last_author(&spec, &head).map_err(broken(head.number))?;
        pool.lock().set_free_gas(spec.free_gas);
        let memos = Memos::new(head.number, rules_after(&spec, &head));
        let view = HeadView { header: head.clone(), state: writer.head_state(), memos };
        let shared = Arc::new(Shared {
            spec,
            head: ArcSwap::from_pointee(view),
            clock: Clock::default(),
            backlog: Backlog::default(),
        });
        Ok(Self {
            position: Arc::new(ChainPosition { head, author, votes }),
            executions: Executions::default(),
            door: Door::new(shared.clone(), pool.clone()),
            writer,
            reader,
            pool,
            shared,
            votes_stored,
            executed_count: 0,
        })
    }
}

fn stored_header(reader: &Reader, number: u64) -> Result<SealedHeader, ChainError> {
    let header = reader.header(number)?;
    header.ok_or_else(|| ChainError::Halt(format!("the header of block {number} is missing in the store")))
}

fn broken(number: u64) -> impl Fn(lonja_consensus::HeaderError) -> ChainError {
    move |error| ChainError::Halt(format!("the stored header of block {number} is not acceptable: {error}"))
}

/// Who validates after a block whose header only has their hash.
fn named_validators(
    spec: &ChainSpec,
    head: &SealedHeader,
    state: &dyn StateView,
) -> Result<Vec<Address>, ChainError> {
    let next = spec.consensus_at(head.number.saturating_add(1));
    let contract = next.validator_contract.unwrap_or_default();
    let rules = spec.rules_at(head.number, head.timestamp);
    let mut executor = BlockExecutor::new(rules, BlockEnv::from_header(head), state);
    let named =
        next_validators(&mut executor, contract).map_err(|error| ChainError::Halt(error.to_string()))?;
    named.map_err(|reason| {
        ChainError::Halt(format!("the validators after block {} are not known: {reason}", head.number))
    })
}

/// The votes after block `head`, and the snapshot they were read from.
fn restore_votes(
    reader: &Reader,
    spec: &ChainSpec,
    head: u64,
) -> Result<(VoteState, Option<(u64, Bytes)>), ChainError> {
    let (mut votes, stored) = match snapshot(reader, spec, head)? {
        Some((votes, bytes)) => (votes.clone(), Some((votes.number(), bytes))),
        None => (VoteState::genesis(spec, stored_header(reader, 0)?.header()).map_err(broken(0))?, None),
    };
    for number in votes.number().saturating_add(1)..=head {
        let header = stored_header(reader, number)?;
        let author = header::author(&header, spec.format_at(number)).map_err(broken(number))?;
        votes.apply(spec, &header, author).map_err(broken(number))?;
    }
    Ok((votes, stored))
}

/// The newest stored snapshot. One that another version wrote is not an error, since headers say the same.
fn snapshot(reader: &Reader, spec: &ChainSpec, head: u64) -> Result<Option<(VoteState, Bytes)>, ChainError> {
    let Some(bytes) = reader.votes(head)? else { return Ok(None) };
    match VoteState::decode(&bytes, spec) {
        Ok(votes) if votes.number() <= head => Ok(Some((votes, bytes.into()))),
        Ok(_) => Ok(None),
        Err(error) => {
            tracing::warn!(%error, "the votes are counted again from block 0");
            Ok(None)
        }
    }
}
