//! Headers and blocks.

use super::TransactionView;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U64, U256};
use lonja_primitives::{ExtraData, Header, HeaderFormat, SealedHeader};
use serde::Serialize;

/// A header, as `eth_getHeaderByNumber` and the subscription `newHeads` give it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeaderView {
    /// The Istanbul hash; clients take it as it is, they do not compute it.
    hash: B256,
    parent_hash: B256,
    sha3_uncles: B256,
    miner: Address,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    difficulty: U256,
    number: U64,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    /// The vanity only, at most 32 bytes: web3.py with its defaults refuses blocks with more, and no client needs it.
    extra_data: Bytes,
    /// The whole of the header's `extraData`: validators, vote, round and seals.
    istanbul_extra_data: Bytes,
    mix_hash: B256,
    nonce: B64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_fee_per_gas: Option<U64>,
}

/// A block, as `eth_getBlockByNumber` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockView {
    #[serde(flatten)]
    header: HeaderView,
    /// Height + 1, since every block has difficulty 1. geth has dropped it; older libraries still ask for it.
    total_difficulty: U256,
    size: U64,
    transactions: TransactionsView,
    uncles: [B256; 0],
}

/// The transactions of a block: hashes, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum TransactionsView {
    Hashes(Vec<B256>),
    Full(Vec<TransactionView>),
}

impl HeaderView {
    pub(crate) fn new(header: &SealedHeader) -> Self {
        Self {
            hash: header.hash(),
            parent_hash: header.parent_hash,
            sha3_uncles: header.ommers_hash,
            miner: header.beneficiary,
            state_root: header.state_root,
            transactions_root: header.transactions_root,
            receipts_root: header.receipts_root,
            logs_bloom: header.logs_bloom,
            difficulty: header.difficulty,
            number: U64::from(header.number),
            gas_limit: U64::from(header.gas_limit),
            gas_used: U64::from(header.gas_used),
            timestamp: U64::from(header.timestamp),
            extra_data: vanity(header),
            istanbul_extra_data: header.extra_data.clone(),
            mix_hash: header.mix_hash,
            nonce: header.nonce,
            base_fee_per_gas: header.base_fee_per_gas.map(U64::from),
        }
    }
}

/// The free bytes in front of what Istanbul keeps in `extraData`, whatever the format.
fn vanity(header: &Header) -> Bytes {
    let formats = [HeaderFormat::Qbft, HeaderFormat::Ibft2, HeaderFormat::Ibft1];
    let decoded = formats.iter().find_map(|format| ExtraData::decode(&header.extra_data, *format).ok());
    decoded.map_or_else(Bytes::new, |extra| extra.vanity)
}

impl BlockView {
    pub(crate) fn new(header: &SealedHeader, size_bytes: usize, transactions: TransactionsView) -> Self {
        Self {
            header: HeaderView::new(header),
            total_difficulty: U256::from(header.number).saturating_add(U256::from(1)),
            size: U64::from(size_bytes),
            transactions,
            uncles: [],
        }
    }
}
