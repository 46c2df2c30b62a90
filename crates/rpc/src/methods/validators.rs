//! Validators and votes, read from headers: what `istanbul_` and `qbft_` share.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::BlockSelector;
use alloy_primitives::{Address, B256};
use lonja_consensus::{VoteState, header::author, votes::is_epoch_block};
use lonja_primitives::{ChainSpec, ExtraData, SealedHeader};
use std::collections::BTreeMap;

/// The little that questions about validators need of a chain: headers and vote snapshots.
pub(crate) trait HeaderChain {
    /// Its rules.
    fn spec(&self) -> &ChainSpec;
    /// Height of the head.
    fn head(&self) -> u64;
    /// A header; `None` above the head.
    fn header(&self, number: u64) -> Result<Option<SealedHeader>, RpcError>;
    /// The height of a hash.
    fn number_of(&self, hash: &B256) -> Result<Option<u64>, RpcError>;
    /// A vote state after some block at or below `number`, the later the better.
    fn votes_near(&self, number: u64) -> Result<VoteState, RpcError>;
}

/// Blocks built by one validator in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) blocks: u64,
    /// The last of them; 0 without any.
    pub(crate) last: u64,
}

/// The height that is meant; `None` for an unknown block.
pub(crate) fn height(chain: &dyn HeaderChain, selector: BlockSelector) -> Result<Option<u64>, RpcError> {
    Ok(match selector {
        BlockSelector::Latest | BlockSelector::Pending => Some(chain.head()),
        BlockSelector::Earliest => Some(0),
        BlockSelector::Number(number) => Some(number).filter(|number| *number <= chain.head()),
        BlockSelector::Hash(hash) => chain.number_of(&hash)?,
    })
}

/// The header of a known height.
pub(crate) fn known_header(chain: &dyn HeaderChain, number: u64) -> Result<SealedHeader, RpcError> {
    chain.header(number)?.ok_or_else(RpcError::header_not_found)
}

/// The state of the voting after a block: its validators are those of the next height.
pub(crate) fn votes_after(chain: &dyn HeaderChain, number: u64) -> Result<VoteState, RpcError> {
    let mut votes = chain.votes_near(number)?;
    while votes.number() < number {
        let header = known_header(chain, votes.number().saturating_add(1))?;
        let builder = builder(chain, &header)?;
        votes.apply(chain.spec(), &header, builder).map_err(|error| internal(header.number, &error))?;
    }
    Ok(votes)
}

/// The validators of a height, ascending. Every header lists its own.
pub(crate) fn validators_of(chain: &dyn HeaderChain, number: u64) -> Result<Vec<Address>, RpcError> {
    let header = known_header(chain, number)?;
    let extra = ExtraData::decode(&header.extra_data, chain.spec().format_at(number));
    let mut validators = extra.map_err(|error| internal(number, &error))?.validators;
    validators.sort_unstable();
    Ok(validators)
}

/// Who built a block.
pub(crate) fn builder(chain: &dyn HeaderChain, header: &SealedHeader) -> Result<Address, RpcError> {
    author(header, chain.spec().format_at(header.number)).map_err(|error| internal(header.number, &error))
}

/// Who built the blocks from `first` to `end`, `end` excluded. At most `most` blocks are looked at.
pub(crate) fn builders(
    chain: &dyn HeaderChain,
    first: u64,
    end: u64,
    most: u64,
) -> Result<BTreeMap<Address, Built>, RpcError> {
    let blocks = end.saturating_sub(first);
    if blocks > most {
        return Err(RpcError::Limit(format!("{blocks} blocks asked for, at most {most} are looked at")));
    }
    let mut all: BTreeMap<Address, Built> = BTreeMap::new();
    for number in first..end {
        let entry = all.entry(builder(chain, &known_header(chain, number)?)?).or_default();
        *entry = Built { blocks: entry.blocks.saturating_add(1), last: number };
    }
    Ok(all)
}

/// Votes in headers mean nothing where a contract names the validators of the next block: one that is cast would be
/// passed over in silence.
pub(crate) fn refuse_where_a_contract_chooses(chain: &dyn HeaderChain) -> Result<(), RpcError> {
    let next = chain.head().saturating_add(1);
    let Some(contract) = chain.spec().consensus_at(next).validator_contract else { return Ok(()) };
    Err(RpcError::NotEnabled(format!(
        "the contract {contract} chooses the validators of this network: votes of nodes do not count; with lonja's registry \
         see lonja permission node candidacy"
    )))
}

fn internal(number: u64, error: &dyn std::fmt::Display) -> RpcError {
    RpcError::Internal(format!("header {number}: {error}"))
}

impl HeaderChain for Context {
    fn spec(&self) -> &ChainSpec {
        &self.node.spec
    }

    fn head(&self) -> u64 {
        Context::head(self).number
    }

    fn header(&self, number: u64) -> Result<Option<SealedHeader>, RpcError> {
        if number > Context::head(self).number {
            return Ok(None);
        }
        Context::header(self, number).map(Some)
    }

    fn number_of(&self, hash: &B256) -> Result<Option<u64>, RpcError> {
        Ok(self.node.reader.number_of(hash)?)
    }

    fn votes_near(&self, number: u64) -> Result<VoteState, RpcError> {
        let spec = &self.node.spec;
        if let Some(bytes) = self.node.reader.votes(number)? {
            let votes = VoteState::decode(&bytes, spec);
            return votes.map_err(|error| RpcError::Internal(error.to_string()));
        }
        // Below a fetched state nothing is stored; the tally begins anew with each epoch.
        let epoch = (0..=number).rev().find(|number| is_epoch_block(spec, *number)).unwrap_or(0);
        let header = known_header(self, epoch)?;
        VoteState::after_epoch_block(spec, &header).map_err(|error| internal(epoch, &error))
    }
}
