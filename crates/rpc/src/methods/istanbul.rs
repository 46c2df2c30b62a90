//! `istanbul_`: validators and votes as GoQuorum shows them.

use super::validators::{
    HeaderChain, builder, builders, height, known_header, refuse_where_a_contract_chooses, validators_of,
    votes_after,
};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector};
use crate::register::Table;
use alloy_primitives::{Address, B256};
use jsonrpsee::types::Params;
use lonja_consensus::header::committers;
use lonja_primitives::VoteKind;
use lonja_primitives::spec::ProposerPolicy;
use serde::Serialize;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

pub(crate) fn register(table: &mut Table) {
    table.inline("istanbul_nodeAddress", |context, _| Ok(context.node.control.node_info().address));
    table.inline("istanbul_candidates", |context, _| Ok(context.node.control.candidates()));
    table.read("istanbul_getSnapshot", |context, params| snapshot(context, block(context, params)?));
    table.read("istanbul_getSnapshotAtHash", |context, params| snapshot(context, by_hash(context, params)?));
    table.read("istanbul_getValidators", |context, params| validators(context, block(context, params)?));
    table.read("istanbul_getValidatorsAtHash", |context, params| {
        validators(context, by_hash(context, params)?)
    });
    table.read("istanbul_getSignersFromBlock", |context, params| signers(context, block(context, params)?));
    table.read("istanbul_getSignersFromBlockByHash", |context, params| {
        signers(context, by_hash(context, params)?)
    });
    table.read("istanbul_isValidator", is_validator);
    table.heavy("istanbul_status", |context, params| status(context, params, context.limits.log_blocks));
    table.dangerous("istanbul_propose", propose);
    table.dangerous("istanbul_discard", discard);
}

/// The state of the voting after a block.
#[derive(Debug, Serialize)]
struct Snapshot {
    epoch: u64,
    number: u64,
    hash: B256,
    votes: Vec<CastVote>,
    tally: BTreeMap<Address, Tally>,
    validators: Vec<Address>,
    /// 0 round robin, 1 sticky.
    policy: u8,
}

#[derive(Debug, Serialize)]
struct CastVote {
    validator: Address,
    block: u64,
    address: Address,
    authorize: bool,
}

#[derive(Debug, Serialize)]
struct Tally {
    authorize: bool,
    votes: usize,
}

/// Who built and who sealed a block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Signers {
    number: u64,
    hash: B256,
    author: Address,
    /// In the order of the header.
    committers: Vec<Address>,
}

/// Who built how many of the last blocks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    sealer_activity: BTreeMap<Address, u64>,
    num_blocks: u64,
}

/// Blocks that `istanbul_status` looks at when no range is given, where so many may be looked at.
const STATUS_BLOCKS: u64 = 64;

fn block(chain: &dyn HeaderChain, params: &Params<'_>) -> Result<u64, RpcError> {
    let selector = Args::new(params, 1)?.optional(0, "block")?.unwrap_or(BlockSelector::Latest);
    height(chain, selector)?.ok_or_else(RpcError::unknown_block)
}

fn by_hash(chain: &dyn HeaderChain, params: &Params<'_>) -> Result<u64, RpcError> {
    let hash: B256 = Args::new(params, 1)?.required(0, "hash")?;
    height(chain, BlockSelector::Hash(hash))?.ok_or_else(RpcError::unknown_block)
}

fn snapshot(chain: &dyn HeaderChain, number: u64) -> Result<Snapshot, RpcError> {
    let votes = votes_after(chain, number)?;
    let params = chain.spec().consensus_at(number);
    let cast = |vote: &lonja_consensus::votes::CastVote| CastVote {
        validator: vote.validator,
        block: vote.block,
        address: vote.candidate,
        authorize: vote.kind == VoteKind::Add,
    };
    let tally = |(address, tally): (Address, lonja_consensus::votes::Tally)| {
        (address, Tally { authorize: tally.kind == VoteKind::Add, votes: tally.votes })
    };
    Ok(Snapshot {
        epoch: params.epoch_length,
        number,
        hash: known_header(chain, number)?.hash(),
        votes: votes.votes().iter().map(cast).collect(),
        tally: votes.tally().into_iter().map(tally).collect(),
        validators: votes.validators().as_slice().to_vec(),
        policy: u8::from(params.proposer_policy == ProposerPolicy::Sticky),
    })
}

/// The validators after a block: those of the next height.
fn validators(chain: &dyn HeaderChain, number: u64) -> Result<Vec<Address>, RpcError> {
    if number < chain.head() {
        return validators_of(chain, number.saturating_add(1));
    }
    Ok(votes_after(chain, number)?.validators().as_slice().to_vec())
}

fn signers(chain: &dyn HeaderChain, number: u64) -> Result<Signers, RpcError> {
    if number == 0 {
        return Err(RpcError::Refused("the genesis block is signed by nobody".to_owned()));
    }
    let header = known_header(chain, number)?;
    let committers = committers(&header, chain.spec().format_at(number));
    Ok(Signers {
        number,
        hash: header.hash(),
        author: builder(chain, &header)?,
        committers: committers.map_err(|error| RpcError::Internal(format!("header {number}: {error}")))?,
    })
}

fn is_validator(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let validators = validators(context, block(context, params)?)?;
    Ok(validators.contains(&context.node.control.node_info().address))
}

/// Counts blocks `start` to `end - 1`. A range that reaches back to the genesis block begins at block 1.
fn status(chain: &dyn HeaderChain, params: &Params<'_>, most: u64) -> Result<Status, RpcError> {
    let (start, end) = status_range(chain, params, most)?;
    let built = builders(chain, start, end, most)?;
    let mut sealer_activity: BTreeMap<Address, u64> =
        validators(chain, end)?.into_iter().map(|validator| (validator, 0)).collect();
    sealer_activity.extend(built.into_iter().map(|(builder, built)| (builder, built.blocks)));
    Ok(Status { sealer_activity, num_blocks: end.saturating_sub(start) })
}

fn status_range(chain: &dyn HeaderChain, params: &Params<'_>, most: u64) -> Result<(u64, u64), RpcError> {
    let args = Args::new(params, 2)?;
    let bound = |index, name| -> Result<Option<u64>, RpcError> {
        let Some(selector) = args.optional::<BlockSelector>(index, name)? else { return Ok(None) };
        // A height above the head is left to the comparison below, which says what is wrong.
        let number = match selector {
            BlockSelector::Number(number) => Some(number),
            other => height(chain, other)?,
        };
        number.map(Some).ok_or_else(RpcError::unknown_block)
    };
    let refuse = |reason: &str| Err(RpcError::Refused(reason.to_owned()));
    let (start, end) = match (bound(0, "start")?, bound(1, "end")?) {
        (None, None) => (chain.head().saturating_sub(STATUS_BLOCKS.min(most)), chain.head()),
        (Some(start), Some(end)) => (start, end),
        (Some(_), None) => return refuse("pass the end block number"),
        (None, Some(_)) => return refuse("pass the start block number"),
    };
    if start > end {
        return refuse("start block number should be less than end block number");
    }
    if end > chain.head() {
        return refuse("end block number should be less than or equal to current block height");
    }
    // The genesis block was built by nobody.
    Ok((start.max(1).min(end), end))
}

fn propose(context: &Context, params: &Params<'_>) -> Result<(), RpcError> {
    let args = Args::new(params, 2)?;
    let (validator, add) = (args.required(0, "address")?, args.required(1, "auth")?);
    refuse_where_a_contract_chooses(context)?;
    Ok(context.node.control.propose(validator, add)?)
}

fn discard(context: &Context, params: &Params<'_>) -> Result<(), RpcError> {
    let validator = Args::new(params, 1)?.required(0, "address")?;
    Ok(context.node.control.discard(validator)?)
}
