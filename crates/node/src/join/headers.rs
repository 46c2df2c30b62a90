//! The headers up to the block of a state: they tell which votes wait there, and hang on its hash.

use alloy_primitives::B256;
use lonja_consensus::header::{self, Seals, check_body, check_header};
use lonja_consensus::votes::is_epoch_block;
use lonja_consensus::{HeaderError, VoteState};
use lonja_primitives::extra::block_hash;
use lonja_primitives::receipt::receipts_root;
use lonja_primitives::{Block, ChainSpec, Header, Receipt, SealedHeader};

/// Ancestors that a block may name by their hash (BLOCKHASH, EIP-2935 beyond it reads its own storage).
const ANCESTORS: u64 = 256;

/// Headers one after the other, from an epoch block to the block of the state.
pub(super) struct HeaderRun {
    pub(super) next: u64,
    /// The one before and the votes after it; `None` before the first.
    pub(super) before: Option<(SealedHeader, VoteState)>,
}

impl HeaderRun {
    /// Towards the block of this height, from the epoch block at or below the oldest ancestor that a later block may
    /// name.
    pub(super) fn new(spec: &ChainSpec, genesis: &SealedHeader, number: u64) -> Result<Self, HeaderError> {
        let mut next = number.saturating_sub(ANCESTORS);
        while next > 0 && !is_epoch_block(spec, next) {
            next -= 1;
        }
        if next > 0 {
            return Ok(Self { next, before: None });
        }
        let votes = VoteState::genesis(spec, genesis.header())?;
        Ok(Self { next: 1, before: Some((genesis.clone(), votes)) })
    }

    /// Takes consecutive headers in, the last of which must be sealed by the validators that the votes before make, or
    /// be the block itself. On an error nothing has changed.
    pub(super) fn take(
        &mut self,
        spec: &ChainSpec,
        headers: Vec<Header>,
        block: &SealedHeader,
    ) -> Result<Vec<SealedHeader>, String> {
        let mut before = self.before.clone();
        let mut sealed = Vec::with_capacity(headers.len());
        let last = headers.last().ok_or("no headers")?.number;
        for header in headers {
            let number = header.number;
            let name = |error: HeaderError| format!("header {number}: {error}");
            let hash = block_hash(&header, spec.format_at(number)).map_err(|error| name(error.into()))?;
            let votes = match &before {
                None => VoteState::after_epoch_block(spec, &header).map_err(name)?,
                Some((parent, votes)) => {
                    if number == last {
                        let validators = votes.validators_for(spec, &header).map_err(name)?;
                        check_header(spec, &header, parent, &validators, Seals::Required, None)
                            .map_err(name)?;
                    } else if header.parent_hash != parent.hash() {
                        let (want, got) = (parent.hash(), header.parent_hash);
                        return Err(name(HeaderError::Parent { want, got }));
                    }
                    let author = header::author(&header, spec.format_at(number)).map_err(name)?;
                    let mut votes = votes.clone();
                    votes.apply(spec, &header, author).map_err(name)?;
                    votes
                }
            };
            if number == block.number && hash != block.hash() {
                return Err(format!("the headers lead to block {hash}, not to {}", block.hash()));
            }
            let header = SealedHeader::new_unchecked(header, hash);
            before = Some((header.clone(), votes));
            sealed.push(header);
        }
        (self.before, self.next) = (before, last.saturating_add(1));
        Ok(sealed)
    }
}

/// Whether a block with its receipts is the one with this hash.
pub fn check_chapter(
    spec: &ChainSpec,
    block: &Block,
    receipts: &[Receipt],
    hash: B256,
) -> Result<(), String> {
    let number = block.header.number;
    let name = |error: HeaderError| format!("block {number}: {error}");
    let got = block_hash(&block.header, spec.format_at(number)).map_err(|error| name(error.into()))?;
    if got != hash {
        return Err(format!("block {number} is {got} where {hash} was asked for"));
    }
    check_body(spec, block).map_err(name)?;
    if receipts_root(receipts) != block.header.receipts_root || receipts.len() != block.transactions.len() {
        return Err(format!("the receipts of block {number} are not those that its header promises"));
    }
    Ok(())
}
