//! Taking a certified block into the chain.

use super::ChainCore;
use super::check::Body;
use crate::error::ChainError;
use crate::executed::ExecutedBlock;
use crate::shared::{HeadView, rules_after};
use crate::telemetry::{self, Step, timed};
use alloy_primitives::{Address, B256, Bytes};
use lonja_consensus::machine::ChainPosition;
use lonja_consensus::{VoteState, header, proposer};
use lonja_permissioning::Memos;
use lonja_primitives::{CertifiedBlock, RecoveredTransaction, SealedHeader};
use lonja_storage::BlockCommit;
use lonja_txpool::SenderState;
use std::sync::Arc;

/// A vote snapshot is stored when votes or validators change, and at least this often, so that a start
/// replays few headers and an empty block costs no snapshot.
const MAX_HEADERS_TO_REPLAY: u64 = 1_024;

/// A block that was taken into the chain. It is written, not yet durable.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Where the chain stands now.
    pub position: Arc<ChainPosition>,
    /// Height.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
    /// Hashes of its transactions, in order.
    pub included: Vec<B256>,
    /// Receipts, senders and changes.
    pub executed: Arc<ExecutedBlock>,
    /// Whether nodes may be permitted to connect now that were not before, or the other way round.
    pub connections_differ: bool,
}

impl ChainCore {
    /// Writes the next block; executes it only if no execution of it is remembered. `None` when the block is
    /// in the chain already. Not durable until [`ChainCore::sync_and_publish`] or
    /// [`crate::Publisher::publish`].
    ///
    /// # Errors
    /// `Unavailable` when blocks before it are missing. Halts: another block was sealed at a height we have, or the block
    /// does not execute to what its header says (names block, field and both values), or the store fails.
    pub fn commit(&mut self, block: &CertifiedBlock) -> Result<Option<Committed>, ChainError> {
        timed(Step::Commit, || {
            if block.number() <= self.position.head.number {
                return self.expect_known(block).map(|()| None);
            }
            self.commit_next(block, None).map(Some)
        })
    }

    /// As [`ChainCore::commit`] for the next block, which the caller has just certified and whose senders it knows: these
    /// are not looked for again, and the body is not compared with the header a second time.
    pub fn commit_recovered(
        &mut self,
        block: &CertifiedBlock,
        transactions: Vec<RecoveredTransaction>,
    ) -> Result<Committed, ChainError> {
        timed(Step::Commit, || self.commit_next(block, Some(transactions)))
    }

    fn commit_next(
        &mut self,
        block: &CertifiedBlock,
        transactions: Option<Vec<RecoveredTransaction>>,
    ) -> Result<Committed, ChainError> {
        let (number, hash) = (block.number(), block.hash());
        let header = &block.block().header;
        if self.position.head.number.checked_add(1) != Some(number) {
            return Err(ChainError::Unavailable(format!(
                "block {number} {hash} cannot follow the head, which is block {}",
                self.position.head.number
            )));
        }
        let halt = |reason: String| ChainError::Halt(format!("block {number} {hash}: {reason}"));
        self.expect_next(number, header.parent_hash).map_err(halt)?;
        let body = if transactions.is_some() { Body::Certified } else { Body::Unknown };
        let executed = self.executed(block.block(), hash, transactions, body).map_err(|error| {
            halt(format!("a quorum sealed it, but it does not execute here to what it says: {error}"))
        })?;
        let position = self.position_after(block, &executed).map_err(|error| halt(error.to_string()))?;
        let votes = self.votes_to_store(&position.votes);
        let included = executed.transaction_hashes();
        self.writer.commit(&BlockCommit {
            block: block.block(),
            hash,
            transaction_hashes: &included,
            senders: &executed.senders(),
            receipts: &executed.receipts,
            changes: &executed.changes,
            prepared: &executed.prepared,
            votes: &votes,
        })?;
        let connections_differ = self.move_on(position, &executed, &included);
        telemetry::committed(number, included.len());
        Ok(Committed { position: self.position(), number, hash, included, executed, connections_differ })
    }

    /// A block at or below the head must be the one we have: two sealed blocks at one height are a fork.
    fn expect_known(&self, block: &CertifiedBlock) -> Result<(), ChainError> {
        let (number, hash) = (block.number(), block.hash());
        let head = &self.position.head;
        let ours = match number == head.number {
            true => Some(head.hash()),
            false => self.reader.header(number)?.map(|header| header.hash()),
        };
        match ours {
            Some(ours) if ours != hash => Err(ChainError::Halt(format!(
                "block {number}: a quorum sealed {hash}, but this node has {ours} at that height"
            ))),
            _ => Ok(()),
        }
    }

    fn position_after(
        &self,
        block: &CertifiedBlock,
        executed: &ExecutedBlock,
    ) -> Result<Arc<ChainPosition>, lonja_consensus::HeaderError> {
        let spec = &self.shared.spec;
        let head = SealedHeader::new_unchecked(block.block().header.clone(), block.hash());
        let mut votes = self.position.votes.clone();
        votes.apply(spec, &head, header::author(&head, spec.format_at(head.number))?)?;
        if let Some(next) = &executed.next_validators {
            votes.resolve(next.as_slice().to_vec())?;
        }
        let author = proposer::last_author(spec, &head)?;
        Ok(Arc::new(ChainPosition { head, author, votes }))
    }

    /// The snapshot to store with the next block: the stored one as long as it says the same and is not too
    /// old.
    fn votes_to_store(&mut self, votes: &VoteState) -> Bytes {
        let before = &self.position.votes;
        let same = before.validators() == votes.validators() && before.votes() == votes.votes();
        if let Some((number, stored)) = &self.votes_stored
            && same
            && votes.number().saturating_sub(*number) < MAX_HEADERS_TO_REPLAY
        {
            return stored.clone();
        }
        let bytes = votes.encode();
        self.votes_stored = Some((votes.number(), bytes.clone()));
        bytes
    }

    /// Lets everybody go on from the new head. The doors see it before the pool does: whoever finds its view
    /// of the head unchanged while holding the pool has not missed a block.
    fn move_on(&mut self, position: Arc<ChainPosition>, executed: &ExecutedBlock, included: &[B256]) -> bool {
        let (memos, connections_differ) = self.memos_after(&position.head, executed);
        let view = HeadView { header: position.head.clone(), state: self.writer.head_state(), memos };
        self.position = position;
        self.executions.clear();
        self.shared.head.store(Arc::new(view));
        let touched: Vec<(Address, SenderState)> = executed
            .changes
            .accounts
            .iter()
            .map(|(address, change)| (*address, change.account.unwrap_or_default()))
            .map(|(address, account)| {
                (address, SenderState { nonce: account.nonce, balance: account.balance })
            })
            .collect();
        let now_ms = self.shared.clock.now_ms();
        self.shared.backlog.block_took(included.len());
        timed(Step::Pool, || self.pool.lock().on_block(included, &touched, now_ms));
        connections_differ
    }

    /// What the contracts said and still say after this block. Other contracts, and the same under other rules, have said
    /// nothing yet.
    fn memos_after(&self, head: &SealedHeader, executed: &ExecutedBlock) -> (Memos, bool) {
        let (spec, number) = (&self.shared.spec, head.number);
        let (rules, before) = (rules_after(spec, head), self.shared.head.load());
        let same = spec.permissions_at(number) == spec.permissions_at(number.saturating_add(1));
        if !same || before.memos.rules != rules {
            return (Memos::new(number, rules), true);
        }
        before.memos.after(number, &executed.changes)
    }
}
