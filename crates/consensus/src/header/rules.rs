//! The rules of a header that need no key and no list.

use super::{HeaderError, MAX_CLOCK_DIFFERENCE_MS};
use crate::timers::least_timestamp_step_s;
use alloy_primitives::B64;
use lonja_primitives::header::{ISTANBUL_DIFFICULTY, ISTANBUL_MIX_HASH};
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{ChainSpec, Fork, Header, HeaderFormat, SealedHeader, Vote, VoteKind};

/// keccak-256 of the RLP of an empty list, as every Istanbul header carries it.
pub(super) const NO_OMMERS: alloy_primitives::B256 =
    alloy_primitives::b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// An IBFT 1.0 header with this nonce votes to add its coinbase.
pub(crate) const ADD_NONCE: B64 = B64::new([0xff; 8]);

pub(super) fn check_place(header: &Header, parent: &SealedHeader) -> Result<(), HeaderError> {
    if parent.number.checked_add(1) != Some(header.number) {
        return Err(HeaderError::Number { parent: parent.number, got: header.number });
    }
    if header.parent_hash != parent.hash() {
        return Err(HeaderError::Parent { want: parent.hash(), got: header.parent_hash });
    }
    Ok(())
}

pub(super) fn check_constants(header: &Header, format: HeaderFormat) -> Result<(), HeaderError> {
    if header.mix_hash != ISTANBUL_MIX_HASH {
        return Err(HeaderError::MixHash(header.mix_hash));
    }
    if header.difficulty != ISTANBUL_DIFFICULTY {
        return Err(HeaderError::Difficulty);
    }
    if header.ommers_hash != NO_OMMERS {
        return Err(HeaderError::Ommers(header.ommers_hash));
    }
    match (header.nonce, format) {
        (B64::ZERO, _) => Ok(()),
        (ADD_NONCE, HeaderFormat::Ibft1) => Ok(()),
        (nonce, _) => Err(HeaderError::Nonce(nonce)),
    }
}

pub(super) fn check_time(
    header: &Header,
    parent: &SealedHeader,
    params: &ConsensusParams,
    now_unix_ms: Option<u64>,
) -> Result<(), HeaderError> {
    let least = parent.timestamp.saturating_add(least_timestamp_step_s(params));
    if header.timestamp < least {
        return Err(HeaderError::TooEarly { got: header.timestamp, least });
    }
    let due_unix_ms = header.timestamp.saturating_mul(1000).saturating_sub(MAX_CLOCK_DIFFERENCE_MS);
    match now_unix_ms {
        Some(now) if now < due_unix_ms => {
            Err(HeaderError::FromFuture { timestamp: header.timestamp, due_unix_ms })
        }
        _ => Ok(()),
    }
}

pub(super) fn check_gas(spec: &ChainSpec, header: &Header) -> Result<(), HeaderError> {
    match spec.limits_at(header.number).gas_limit {
        Some(want) if want != header.gas_limit => {
            return Err(HeaderError::GasLimit { want, got: header.gas_limit });
        }
        _ => {}
    }
    if header.gas_used > header.gas_limit {
        return Err(HeaderError::GasUsed { used: header.gas_used, limit: header.gas_limit });
    }
    let want = (spec.fork_at(header.number, header.timestamp) >= Fork::London).then_some(0);
    if header.base_fee_per_gas != want {
        return Err(HeaderError::BaseFee { want, got: header.base_fee_per_gas });
    }
    check_no_later_fields(header)
}

/// Fields of later forks, which belong to networks with a beacon chain or with blobs.
fn check_no_later_fields(header: &Header) -> Result<(), HeaderError> {
    let present = [
        (header.withdrawals_root.is_some(), "a withdrawals root"),
        (header.blob_gas_used.is_some(), "blob gas used"),
        (header.excess_blob_gas.is_some(), "excess blob gas"),
        (header.parent_beacon_block_root.is_some(), "a beacon root"),
        (header.requests_hash.is_some(), "a requests hash"),
        (header.block_access_list_hash.is_some(), "a block access list hash"),
        (header.slot_number.is_some(), "a slot number"),
    ];
    match present.iter().find(|(there, _)| *there) {
        Some((_, name)) => Err(HeaderError::UnknownField(name)),
        None => Ok(()),
    }
}

/// Nobody holds the key of the zero address, and a vote to drop it changes nothing.
pub(super) fn adds_zero_address(vote: Vote) -> bool {
    vote.kind == VoteKind::Add && vote.recipient.is_zero()
}
