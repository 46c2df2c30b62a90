//! Uncles: blocks beside the chain that a block names, before the merge.

use crate::chain::Chain;
use crate::mainnet::{check_header, ensure};
use alloy_primitives::{B256, U256};
use lonja_primitives::Header;
use std::collections::HashSet;

/// Most uncles of a block.
const MAX_UNCLES: usize = 2;
/// How many generations back an uncle's parent may be from the block's.
const GENERATIONS: usize = 7;

/// Checks the uncles of a block on `parent`: each is a valid header on an ancestor, but not on the parent, is no
/// ancestor itself, and was not named before.
pub(crate) fn check(chain: &Chain, header: &Header, uncles: &[Header]) -> Result<(), String> {
    ensure(uncles.len() <= MAX_UNCLES, "uncles: too many")?;
    let mut ancestors = HashSet::new();
    let mut named = HashSet::new();
    let mut hash = header.parent_hash;
    for _ in 0..GENERATIONS {
        let Some(known) = chain.block(&hash) else { break };
        ancestors.insert(hash);
        named.extend(known.uncles.iter().map(Header::hash_slow));
        hash = known.header.parent_hash;
    }
    for uncle in uncles {
        let hash = uncle.hash_slow();
        ensure(!ancestors.contains(&hash), "uncles: an ancestor is no uncle")?;
        ensure(named.insert(hash), "uncles: named twice")?;
        check_one(chain, header, uncle, &ancestors)?;
    }
    Ok(())
}

fn check_one(
    chain: &Chain,
    header: &Header,
    uncle: &Header,
    ancestors: &HashSet<B256>,
) -> Result<(), String> {
    ensure(uncle.parent_hash != header.parent_hash, "uncles: a brother is no uncle")?;
    ensure(ancestors.contains(&uncle.parent_hash), "uncles: its parent is no near ancestor")?;
    let parent = chain.block(&uncle.parent_hash).ok_or("uncles: its parent is not known")?;
    check_header(chain.network(), uncle, &parent.header, true).map_err(|rule| format!("uncle: {rule}"))
}

/// What an uncle's author gets, in wei, where a block brings `reward`.
pub(crate) fn reward(uncle: &Header, block_number: u64, reward: U256) -> U256 {
    let distance = block_number.saturating_sub(uncle.number);
    reward * U256::from(8u64.saturating_sub(distance)) / U256::from(8)
}
