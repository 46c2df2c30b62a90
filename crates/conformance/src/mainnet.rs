//! The sealing rule of the tests: what mainnet asks of a header beyond what execution tells. Proof of work itself is
//! not verified, which is what the tests' seal engine `NoProof` means.

use crate::network::{Bomb, Network};
use crate::state_test::blob_params;
use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use alloy_primitives::{Address, B64, U256, address};
use lonja_primitives::{Fork, Header};
use std::cmp::Ordering;

/// Most bytes of `extraData`.
const MAX_EXTRA_BYTES: usize = 32;
/// Least gas limit of a block.
const LEAST_GAS_LIMIT: u64 = 5_000;
/// Largest gas limit of a block.
const LARGEST_GAS_LIMIT: u64 = i64::MAX as u64;
/// A block's gas limit is nearer to its parent's than this part of it.
const GAS_LIMIT_STEP: u64 = 1_024;
/// Base fee of the first block of London, in wei (EIP-1559).
const FIRST_BASE_FEE: u64 = 1_000_000_000;
/// Least difficulty of a block.
const LEAST_DIFFICULTY: u64 = 131_072;
/// Blocks between two steps of the difficulty bomb.
const BOMB_PERIOD: u64 = 100_000;
/// What the blocks at and after the DAO fork carry as `extraData`, and for how many blocks (EIP-779).
const DAO_EXTRA: (&[u8], u64) = (b"dao-hard-fork", 10);
/// Who gets what the DAO's accounts had (EIP-779).
pub(crate) const DAO_REFUND: Address = address!("bf4ed7b27f1d666546e30d74d50d173d20bca754");

/// The accounts that EIP-779 empties.
pub(crate) fn dao_accounts() -> impl Iterator<Item = Address> {
    include_str!("dao_accounts.txt").lines().map(|line| line.parse().expect("the list has addresses only"))
}

/// What a block brings its author before the merge, in wei; each uncle it names brings a 32nd more.
pub(crate) fn block_reward(fork: Fork) -> U256 {
    let ether = match fork {
        Fork::Frontier | Fork::Homestead | Fork::TangerineWhistle | Fork::SpuriousDragon => 5u64,
        Fork::Byzantium => 3,
        _ => 2,
    };
    U256::from(ether) * U256::from(10u64.pow(18))
}

/// Whether blocks on this parent come without work (EIP-3675).
pub(crate) fn is_after_merge(network: &Network, parent_total_difficulty: U256) -> bool {
    network.terminal_difficulty.is_some_and(|terminal| parent_total_difficulty >= terminal)
}

/// Checks a header against its parent; `work` tells whether it is of the time of proof of work. The error names the
/// rule.
pub(crate) fn check_header(
    network: &Network,
    header: &Header,
    parent: &Header,
    work: bool,
) -> Result<(), String> {
    check_common(network, header, parent)?;
    ensure(header.timestamp > parent.timestamp, "timestamp: not above the parent's")?;
    ensure(header.extra_data.len() <= MAX_EXTRA_BYTES, "extraData: too long")?;
    check_dao(network, header)?;
    if work {
        let fork = network.spec.fork_at(header.number, header.timestamp);
        let want = difficulty(network, header.timestamp, parent, fork);
        return ensure_eq("difficulty", want, header.difficulty);
    }
    ensure_eq("difficulty", U256::ZERO, header.difficulty)?;
    ensure_eq("nonce", B64::ZERO, header.nonce)?;
    ensure_eq("uncles hash", EMPTY_OMMER_ROOT_HASH, header.ommers_hash)
}

/// What is asked of a header whatever seals it.
pub(crate) fn check_common(network: &Network, header: &Header, parent: &Header) -> Result<(), String> {
    let fork = network.spec.fork_at(header.number, header.timestamp);
    ensure(parent.number.checked_add(1) == Some(header.number), "number: not the parent's plus one")?;
    ensure(header.gas_used <= header.gas_limit, "gas used: above the gas limit")?;
    check_fields(header, fork)?;
    check_gas_limit(network, header, parent, fork)?;
    check_blob_gas(header, parent, fork)
}

pub(crate) fn ensure(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

pub(crate) fn ensure_eq<T: PartialEq + std::fmt::Display>(
    field: &str,
    want: T,
    got: T,
) -> Result<(), String> {
    if want == got { Ok(()) } else { Err(format!("{field}: the header says {got}, it must be {want}")) }
}

/// The fields that forks added: each is there from its fork on, and not before.
fn check_fields(header: &Header, fork: Fork) -> Result<(), String> {
    let same = |first: Fork, present: bool| (fork >= first) == present;
    ensure(same(Fork::London, header.base_fee_per_gas.is_some()), "base fee: present in London only")?;
    ensure(same(Fork::Shanghai, header.withdrawals_root.is_some()), "withdrawals: present in Shanghai only")?;
    ensure(same(Fork::Cancun, header.blob_gas_used.is_some()), "blob gas used: present in Cancun only")?;
    ensure(same(Fork::Cancun, header.excess_blob_gas.is_some()), "excess blob gas: present in Cancun only")?;
    let beacon_root = header.parent_beacon_block_root.is_some();
    ensure(same(Fork::Cancun, beacon_root), "beacon root: present in Cancun only")?;
    // Tests of Prague that are older than EIP-7685 have no requests.
    ensure(fork >= Fork::Prague || header.requests_hash.is_none(), "requests: present in Prague only")
}

fn check_gas_limit(network: &Network, header: &Header, parent: &Header, fork: Fork) -> Result<(), String> {
    let first_of_london = fork >= Fork::London && parent.base_fee_per_gas.is_none();
    let parent_limit = if first_of_london { parent.gas_limit.saturating_mul(2) } else { parent.gas_limit };
    let step = header.gas_limit.abs_diff(parent_limit);
    ensure(step < parent_limit / GAS_LIMIT_STEP, "gas limit: too far from the parent's")?;
    ensure(header.gas_limit >= LEAST_GAS_LIMIT, "gas limit: too low")?;
    ensure(header.gas_limit <= LARGEST_GAS_LIMIT, "gas limit: too high")?;
    let Some(base_fee) = header.base_fee_per_gas else { return Ok(()) };
    ensure_eq("base fee", next_base_fee(network, parent), base_fee)
}

/// Base fee of a block of London on this parent, in wei (EIP-1559).
pub(crate) fn next_base_fee(network: &Network, parent: &Header) -> u64 {
    let fork = network.spec.fork_at(parent.number, parent.timestamp);
    match parent.base_fee_per_gas {
        Some(fee) if fork >= Fork::London => {
            calc_next_block_base_fee(parent.gas_used, parent.gas_limit, fee, BaseFeeParams::ethereum())
        }
        _ => FIRST_BASE_FEE,
    }
}

/// The excess follows from the parent; no block that is run here has a blob.
fn check_blob_gas(header: &Header, parent: &Header, fork: Fork) -> Result<(), String> {
    let (Some(used), Some(excess)) = (header.blob_gas_used, header.excess_blob_gas) else { return Ok(()) };
    ensure_eq("excess blob gas", next_excess_blob_gas(parent, fork), excess)?;
    ensure_eq("blob gas used", 0, used)
}

/// Excess blob gas of a block of this fork on this parent (EIP-4844, EIP-7918).
pub(crate) fn next_excess_blob_gas(parent: &Header, fork: Fork) -> u64 {
    let (before, used_before) = (parent.excess_blob_gas.unwrap_or(0), parent.blob_gas_used.unwrap_or(0));
    let params = blob_params(fork);
    match fork {
        Fork::Osaka => {
            params.next_block_excess_blob_gas_osaka(before, used_before, parent.base_fee_per_gas.unwrap_or(0))
        }
        _ => before.saturating_add(used_before).saturating_sub(params.target_blob_gas_per_block()),
    }
}

fn check_dao(network: &Network, header: &Header) -> Result<(), String> {
    let Some(block) = network.dao_block else { return Ok(()) };
    let (extra, blocks) = DAO_EXTRA;
    let marked = header.number >= block && header.number < block.saturating_add(blocks);
    ensure(!marked || header.extra_data.as_ref() == extra, "extraData: not that of the DAO fork")
}

/// Difficulty of a block with this timestamp on this parent.
pub(crate) fn difficulty(network: &Network, timestamp: u64, parent: &Header, fork: Fork) -> U256 {
    let elapsed = timestamp.saturating_sub(parent.timestamp);
    let step = parent.difficulty / U256::from(2_048);
    let (up, steps) = steps(elapsed, parent, fork);
    let change = step.saturating_mul(U256::from(steps));
    let least = U256::from(LEAST_DIFFICULTY);
    let moved = match up {
        true => parent.difficulty.saturating_add(change),
        false => parent.difficulty.saturating_sub(change),
    };
    let delay = match network.bomb {
        Bomb::Delayed(blocks) => blocks,
        Bomb::OfFork => bomb_delay(fork),
    };
    let next = parent.number.saturating_add(1);
    let period = next.saturating_sub(delay) / BOMB_PERIOD;
    let bomb = match period.cmp(&1) {
        Ordering::Greater => U256::ONE.checked_shl(usize::try_from(period - 2).unwrap_or(usize::MAX)),
        _ => Some(U256::ZERO),
    };
    moved.max(least).saturating_add(bomb.unwrap_or(U256::MAX)).max(least)
}

/// By how many 2048ths of itself difficulty goes up or down.
fn steps(elapsed: u64, parent: &Header, fork: Fork) -> (bool, u64) {
    if fork == Fork::Frontier {
        return (elapsed < 13, 1);
    }
    let (base, seconds) = match fork {
        Fork::Homestead | Fork::TangerineWhistle | Fork::SpuriousDragon => (1, 10),
        _ if parent.ommers_hash == EMPTY_OMMER_ROOT_HASH => (1, 9),
        _ => (2, 9),
    };
    let down = elapsed / seconds;
    match down <= base {
        true => (true, base - down),
        false => (false, (down - base).min(99)),
    }
}

/// How far the forks delay the bomb, in blocks (EIP-649, EIP-1234, EIP-2384, EIP-3554).
fn bomb_delay(fork: Fork) -> u64 {
    match fork {
        Fork::Frontier | Fork::Homestead | Fork::TangerineWhistle | Fork::SpuriousDragon => 0,
        Fork::Byzantium => 3_000_000,
        Fork::Constantinople | Fork::Petersburg | Fork::Istanbul => 5_000_000,
        Fork::Berlin => 9_000_000,
        _ => 9_700_000,
    }
}
