//! Blocks of mainnet: the node's, and uncles and withdrawals beside.

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::proofs::calculate_withdrawals_root;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable, EMPTY_LIST_CODE, Encodable, Header as RlpHeader};
use lonja_primitives::{Block, Header};

/// What follows the header.
pub(crate) struct Body {
    pub(crate) transactions: Vec<Bytes>,
    pub(crate) uncles: Vec<Header>,
    pub(crate) uncles_hash: B256,
    pub(crate) withdrawals: Option<Vec<Withdrawal>>,
}

impl Body {
    pub(crate) fn withdrawals_root(&self) -> Option<B256> {
        self.withdrawals.as_deref().map(calculate_withdrawals_root)
    }
}

/// Decodes a block that fills `raw`: `[header, [transaction…], [uncle…]]`, from Shanghai on with `[withdrawal…]`.
/// Header and transactions are read by the node's decoder.
pub(crate) fn decode(raw: &[u8]) -> Result<(Header, Body), String> {
    let items = items(raw)?;
    let (header, transactions, uncles, withdrawals) = match items.as_slice() {
        [header, transactions, uncles] => (*header, *transactions, *uncles, None),
        [header, transactions, uncles, withdrawals] => (*header, *transactions, *uncles, Some(*withdrawals)),
        other => return Err(format!("a block has three or four parts, not {}", other.len())),
    };
    let header = decode_header(header)?;
    let body = Body {
        transactions: node_block(&header, transactions)?.transactions,
        uncles: parts(uncles)?.into_iter().map(decode_header).collect::<Result<_, _>>()?,
        uncles_hash: keccak256(uncles),
        withdrawals: withdrawals.map(exactly::<Vec<Withdrawal>>).transpose()?,
    };
    Ok((header, body))
}

/// The block as a node would get it: without what a node's block does not have.
fn node_block(header: &Header, transactions: &[u8]) -> Result<Block, String> {
    let header = Header { ommers_hash: EMPTY_OMMER_ROOT_HASH, ..header.clone() };
    let payload_length = header.length() + transactions.len() + 1;
    let mut raw = Vec::new();
    RlpHeader { list: true, payload_length }.encode(&mut raw);
    header.encode(&mut raw);
    raw.extend_from_slice(transactions);
    raw.push(EMPTY_LIST_CODE);
    exactly(&raw)
}

fn decode_header(raw: &[u8]) -> Result<Header, String> {
    let header: Header = exactly(raw)?;
    match alloy_rlp::encode(&header) == raw {
        true => Ok(header),
        false => Err("a header is not in canonical form".to_owned()),
    }
}

fn exactly<T: Decodable>(raw: &[u8]) -> Result<T, String> {
    alloy_rlp::decode_exact(raw).map_err(|error| error.to_string())
}

/// The elements of a list that fills `raw`, each with its own head.
fn items(raw: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut rest = raw;
    let payload = RlpHeader::decode_bytes(&mut rest, true).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the block", rest.len()));
    }
    cut(payload)
}

fn parts(list: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut rest = list;
    let payload = RlpHeader::decode_bytes(&mut rest, true).map_err(|error| error.to_string())?;
    cut(payload)
}

/// Items one after the other, each with its own head.
pub(crate) fn cut(mut payload: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut items = Vec::new();
    while !payload.is_empty() {
        let mut rest = payload;
        let head = RlpHeader::decode(&mut rest).map_err(|error| error.to_string())?;
        let length = payload.len() - rest.len() + head.payload_length;
        let (item, behind) = payload.split_at_checked(length).ok_or("a part is cut off")?;
        items.push(item);
        payload = behind;
    }
    Ok(items)
}
