//! What a block tells the code that runs in it.

use alloy_primitives::{Address, B256, U256};
use lonja_primitives::Header;

/// The block as contracts see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockEnv {
    /// Height.
    pub number: u64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// The proposer; receives fees and rewards where the rules name nobody else.
    pub beneficiary: Address,
    /// Gas limit of the whole block.
    pub gas_limit: u64,
    /// Base fee per gas in wei; `None` before London, 0 on lonja's own chains.
    pub base_fee: Option<u64>,
    /// Answer of `PREVRANDAO` (EIP-4399): the header's mix hash.
    pub prevrandao: B256,
    /// Answer of `DIFFICULTY` before Shanghai.
    pub difficulty: U256,
}

impl BlockEnv {
    /// The environment that this header gives to its transactions.
    pub fn from_header(header: &Header) -> Self {
        Self {
            number: header.number,
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            gas_limit: header.gas_limit,
            base_fee: header.base_fee_per_gas,
            prevrandao: header.mix_hash,
            difficulty: header.difficulty,
        }
    }
}
