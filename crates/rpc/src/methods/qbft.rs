//! `qbft_`: validators and votes as Besu shows them.
//!
//! A trap for whoever compares: `istanbul_getValidators(n)` are the validators after block n,
//! `qbft_getValidatorsByBlockNumber(n)` those that decided block n.

use super::validators::{
    HeaderChain, builders, height, refuse_where_a_contract_chooses, validators_of, votes_after,
};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector};
use crate::register::Table;
use alloy_primitives::{Address, B256, U64};
use jsonrpsee::types::Params;
use serde::Serialize;

pub(crate) fn register(table: &mut Table) {
    table.read("qbft_getValidatorsByBlockNumber", |context, params| validators_by_number(context, params));
    table.read("qbft_getValidatorsByBlockHash", |context, params| validators_by_hash(context, params));
    table.inline("qbft_getPendingVotes", |context, _| Ok(context.node.control.candidates()));
    table.heavy("qbft_getSignerMetrics", |context, params| {
        signer_metrics(context, params, context.limits.log_blocks)
    });
    table.inline("qbft_getRequestTimeoutSeconds", |context, _| Ok(request_timeout_s(context)));
    table.dangerous("qbft_proposeValidatorVote", propose);
    table.dangerous("qbft_discardValidatorVote", discard);
}

/// What one validator built in a range of blocks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SignerMetrics {
    address: Address,
    proposed_block_count: U64,
    last_proposed_block_number: U64,
}

/// Blocks that the metrics look at when no range is given, where so many may be looked at.
const METRICS_BLOCKS: u64 = 100;

pub(super) fn validators_by_number(
    chain: &dyn HeaderChain,
    params: &Params<'_>,
) -> Result<Option<Vec<Address>>, RpcError> {
    match Args::new(params, 1)?.required(0, "block")? {
        BlockSelector::Pending => {
            Ok(Some(votes_after(chain, chain.head())?.validators().as_slice().to_vec()))
        }
        selector => height(chain, selector)?.map(|number| validators_of(chain, number)).transpose(),
    }
}

pub(super) fn validators_by_hash(
    chain: &dyn HeaderChain,
    params: &Params<'_>,
) -> Result<Option<Vec<Address>>, RpcError> {
    let hash: B256 = Args::new(params, 1)?.required(0, "hash")?;
    height(chain, BlockSelector::Hash(hash))?.map(|number| validators_of(chain, number)).transpose()
}

/// From the first block up to the second, which is excluded. Validators that built none are listed with zeros.
pub(super) fn signer_metrics(
    chain: &dyn HeaderChain,
    params: &Params<'_>,
    most: u64,
) -> Result<Vec<SignerMetrics>, RpcError> {
    let args = Args::new(params, 2)?;
    let bound = |selector| match selector {
        BlockSelector::Number(number) => Ok(number),
        other => height(chain, other)?.ok_or_else(RpcError::unknown_block),
    };
    let from = args.optional(0, "from")?.map(bound).transpose()?;
    let to = args.optional(1, "to")?.map(bound).transpose()?;
    let to = to.unwrap_or(chain.head()).min(chain.head());
    let from = from.unwrap_or(chain.head().saturating_sub(METRICS_BLOCKS.min(most)));
    if from >= to {
        return Err(RpcError::InvalidParams("the first block has to be below the last one".to_owned()));
    }
    // The genesis block was built by nobody.
    let mut built = builders(chain, from.max(1).min(to), to, most)?;
    for validator in votes_after(chain, to.saturating_sub(1))?.validators() {
        built.entry(*validator).or_default();
    }
    let metrics = |(address, built): (Address, super::validators::Built)| SignerMetrics {
        address,
        proposed_block_count: U64::from(built.blocks),
        last_proposed_block_number: U64::from(built.last),
    };
    Ok(built.into_iter().map(metrics).collect())
}

/// The timeout of round 0 of the next block, whole seconds.
pub(super) fn request_timeout_s(chain: &dyn HeaderChain) -> u64 {
    chain.spec().consensus_at(chain.head().saturating_add(1)).request_timeout_ms / 1_000
}

fn propose(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let args = Args::new(params, 2)?;
    let (validator, add) = (args.required(0, "address")?, args.required(1, "add")?);
    refuse_where_a_contract_chooses(context)?;
    context.node.control.propose(validator, add)?;
    Ok(true)
}

fn discard(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let validator = Args::new(params, 1)?.required(0, "address")?;
    context.node.control.discard(validator)?;
    Ok(true)
}
