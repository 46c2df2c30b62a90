//! What gas costs: nothing where gas is free, otherwise what others paid lately. The base fee is 0 always.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector, Count};
use crate::register::Table;
use alloy_primitives::{U64, U128, U256};
use jsonrpsee::types::Params;
use serde::Serialize;

pub(super) fn register(table: &mut Table) {
    table.read("eth_gasPrice", gas_price);
    table.read("eth_maxPriorityFeePerGas", gas_price);
    table.heavy("eth_feeHistory", fee_history);
}

/// Blocks whose prices a suggestion rests on, and the share of their transactions (percent) that paid no more
/// than what is suggested: geth's values.
const SAMPLE_BLOCKS: u64 = 20;
const SAMPLE_PERCENTILE: usize = 60;

/// Most blocks, and most percentiles, in one fee history (geth's bounds).
const HISTORY_BLOCKS_MAX: u64 = 1_024;
const HISTORY_PERCENTILES_MAX: usize = 100;

/// Price and tip are one and the same, since the base fee is 0.
fn gas_price(context: &Context, _params: &Params<'_>) -> Result<U128, RpcError> {
    suggested_price(context).map(U128::from)
}

/// What to offer per gas, wei. Blocks, where gas is not free.
pub(crate) fn suggested_price(context: &Context) -> Result<u128, RpcError> {
    if context.node.spec.free_gas {
        return Ok(0);
    }
    let head = context.head();
    if let Some((_, price)) = context.suggested_price.lock().filter(|(hash, _)| *hash == head.hash) {
        return Ok(price);
    }
    let mut prices = Vec::new();
    for number in head.number.saturating_sub(SAMPLE_BLOCKS - 1)..=head.number {
        prices.extend(context.block(number)?.tips()?.into_iter().map(|(price, _)| price));
    }
    prices.sort_unstable();
    let index = prices.len().saturating_sub(1) * SAMPLE_PERCENTILE / 100;
    let price = prices.get(index).copied().unwrap_or(0);
    *context.suggested_price.lock() = Some((head.hash, price));
    Ok(price)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FeeHistory {
    oldest_block: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<Vec<Vec<U128>>>,
    /// One more than there are blocks: the last is the next block's.
    base_fee_per_gas: Vec<U256>,
    gas_used_ratio: Vec<f64>,
}

fn fee_history(context: &Context, params: &Params<'_>) -> Result<FeeHistory, RpcError> {
    let args = Args::new(params, 3)?;
    let Count(count) = args.required(0, "blockCount")?;
    let newest = args.required::<BlockSelector>(1, "newestBlock")?;
    let percentiles = args.optional::<Vec<f64>>(2, "rewardPercentiles")?.unwrap_or_default();
    check_percentiles(&percentiles)?;
    let newest = newest_block(context, newest)?;
    let count = count.min(HISTORY_BLOCKS_MAX).min(newest.saturating_add(1));
    if count == 0 {
        return Ok(FeeHistory {
            oldest_block: U64::ZERO,
            reward: None,
            base_fee_per_gas: Vec::new(),
            gas_used_ratio: Vec::new(),
        });
    }
    let oldest = newest.saturating_sub(count - 1);
    let mut history = FeeHistory {
        oldest_block: U64::from(oldest),
        reward: (!percentiles.is_empty()).then(Vec::new),
        base_fee_per_gas: Vec::new(),
        gas_used_ratio: Vec::new(),
    };
    let time_is_up = context.time_limit();
    for number in oldest..=newest {
        if time_is_up() {
            return Err(RpcError::Limit("the fee history takes too long: ask for fewer blocks".to_owned()));
        }
        add_block(context, &mut history, number, &percentiles)?;
    }
    history.base_fee_per_gas.push(U256::ZERO);
    Ok(history)
}

fn add_block(
    context: &Context,
    history: &mut FeeHistory,
    number: u64,
    percentiles: &[f64],
) -> Result<(), RpcError> {
    let header = context.header(number)?;
    history.base_fee_per_gas.push(U256::from(header.base_fee_per_gas.unwrap_or(0)));
    let limit = header.gas_limit.max(1);
    history.gas_used_ratio.push(header.gas_used as f64 / limit as f64);
    if let Some(rewards) = &mut history.reward {
        let free = context.rules(&header).free_gas || header.gas_used == 0;
        let tips = if free { Vec::new() } else { context.passing_block(number)?.tips()? };
        rewards.push(rewards_of(tips, percentiles));
    }
    Ok(())
}

/// The tips at these percentiles of the block's gas.
fn rewards_of(mut tips: Vec<(u128, u64)>, percentiles: &[f64]) -> Vec<U128> {
    tips.sort_unstable();
    let total: u64 = tips.iter().fold(0, |sum: u64, (_, gas)| sum.saturating_add(*gas));
    let reward = |percentile: &f64| {
        let threshold = (total as f64 * percentile / 100.0) as u64;
        let mut gas_so_far = 0_u64;
        let reached = tips.iter().find(|(_, gas)| {
            gas_so_far = gas_so_far.saturating_add(*gas);
            gas_so_far >= threshold
        });
        U128::from(reached.or(tips.last()).map_or(0, |(tip, _)| *tip))
    };
    percentiles.iter().map(reward).collect()
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    let refuse =
        |reason: String| Err(RpcError::InvalidParams(format!("invalid reward percentile: {reason}")));
    if percentiles.len() > HISTORY_PERCENTILES_MAX {
        return refuse(format!("over the query limit {HISTORY_PERCENTILES_MAX}"));
    }
    if let Some(outside) = percentiles.iter().find(|percentile| !(0.0..=100.0).contains(*percentile)) {
        return refuse(format!("{outside} is not between 0 and 100"));
    }
    if !percentiles.is_sorted() {
        return refuse("the list has to ascend".to_owned());
    }
    Ok(())
}

fn newest_block(context: &Context, selector: BlockSelector) -> Result<u64, RpcError> {
    match selector {
        BlockSelector::Number(number) if number > context.head().number => Err(RpcError::Refused(format!(
            "request beyond head block: requested {number}, head {}",
            context.head().number
        ))),
        other => context.known_height(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_weighted_by_gas() {
        let tips = vec![(30, 10), (10, 80), (20, 10)];
        let expected: Vec<U128> = [10, 10, 20, 30].map(U128::from).to_vec();
        assert_eq!(rewards_of(tips, &[0.0, 80.0, 85.0, 100.0]), expected);
        assert_eq!(rewards_of(Vec::new(), &[50.0]), vec![U128::ZERO]);
    }

    #[test]
    fn percentiles_are_checked() {
        assert!(check_percentiles(&[0.0, 25.0, 25.0, 100.0]).is_ok());
        for bad in [&[101.0][..], &[-1.0], &[f64::NAN], &[50.0, 10.0], &[1.0; 101]] {
            assert_eq!(check_percentiles(bad).unwrap_err().code(), -32602, "{bad:?}");
        }
    }
}
