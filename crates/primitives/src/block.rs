//! Blocks, from "nothing promised" to "a quorum sealed it".

use crate::{Header, RecoveredTransaction, SealedHeader};
use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{BufMut, Decodable, EMPTY_LIST_CODE, Encodable, Header as RlpHeader};

/// A block as it travels: nothing is promised beyond its shape. Transactions stay in their EIP-2718 form, so
/// that a block is decoded, hashed, stored and sent on without decoding a single one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// EIP-2718 encodings in order.
    pub transactions: Vec<Bytes>,
}

/// A block whose transactions are decoded and whose senders are known.
#[derive(Clone, Debug)]
pub struct RecoveredBlock {
    /// The header with its hash.
    pub header: SealedHeader,
    /// The transactions in order.
    pub transactions: Vec<RecoveredTransaction>,
}

/// A block that a quorum of its height's validators sealed. Made by `lonja-consensus` only, which checks the
/// seals; the chain's writer takes nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedBlock {
    hash: B256,
    block: Block,
}

impl CertifiedBlock {
    /// For the code that has just checked the seals, and nobody else.
    pub fn new_verified(hash: B256, block: Block) -> Self {
        Self { hash, block }
    }

    /// The block hash.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The block, seals included.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Its height.
    pub fn number(&self) -> u64 {
        self.block.header.number
    }

    /// Gives the block up.
    pub fn into_block(self) -> Block {
        self.block
    }
}

impl Block {
    /// Root of the trie of these transactions.
    pub fn transactions_root(transactions: &[Bytes]) -> B256 {
        ordered_trie_root_with_encoder(transactions, |raw, out| out.put_slice(raw))
    }

    /// Length of the block's RLP form in bytes.
    pub fn size(&self) -> usize {
        self.length()
    }

    fn body_length(&self) -> usize {
        self.transactions.iter().map(|raw| transaction_length(raw)).sum()
    }

    fn payload_length(&self) -> usize {
        let body = self.body_length();
        self.header.length() + RlpHeader { list: true, payload_length: body }.length_with_payload() + 1
    }
}

/// Whether an EIP-2718 form is a legacy transaction, which stands in a block as a list and not as a string.
fn is_legacy(raw: &[u8]) -> bool {
    raw.first().is_some_and(|first| *first >= 0xc0)
}

fn transaction_length(raw: &[u8]) -> usize {
    if is_legacy(raw) { raw.len() } else { raw.length() }
}

impl Encodable for Block {
    /// `[header, [transaction…], ommers]`, with no ommers, as in the eth protocol and in geth's export files.
    fn encode(&self, out: &mut dyn BufMut) {
        RlpHeader { list: true, payload_length: self.payload_length() }.encode(out);
        self.header.encode(out);
        RlpHeader { list: true, payload_length: self.body_length() }.encode(out);
        for raw in &self.transactions {
            if is_legacy(raw) { out.put_slice(raw) } else { raw.encode(out) }
        }
        out.put_u8(EMPTY_LIST_CODE);
    }

    fn length(&self) -> usize {
        RlpHeader { list: true, payload_length: self.payload_length() }.length_with_payload()
    }
}

impl Decodable for Block {
    /// Checks the shape only: transactions are cut out, not decoded. Ommers are refused, as is anything after
    /// the third element.
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut payload = RlpHeader::decode_bytes(buf, true)?;
        let header = Header::decode(&mut payload)?;
        let mut body = RlpHeader::decode_bytes(&mut payload, true)?;
        let mut transactions = Vec::new();
        while !body.is_empty() {
            transactions.push(decode_raw_transaction(&mut body)?);
        }
        let ommers = RlpHeader::decode_bytes(&mut payload, true)?;
        if !ommers.is_empty() || header.ommers_hash != EMPTY_OMMER_ROOT_HASH {
            return Err(alloy_rlp::Error::Custom("an Istanbul block has no ommers"));
        }
        if !payload.is_empty() {
            return Err(alloy_rlp::Error::ListLengthMismatch { expected: 3, got: 4 });
        }
        Ok(Self { header, transactions })
    }
}

fn decode_raw_transaction(body: &mut &[u8]) -> alloy_rlp::Result<Bytes> {
    let start = *body;
    let head = RlpHeader::decode(body)?;
    if body.len() < head.payload_length {
        return Err(alloy_rlp::Error::InputTooShort);
    }
    let (payload, rest) = body.split_at(head.payload_length);
    let whole = &start[..start.len() - rest.len()];
    *body = rest;
    if head.list {
        return Ok(Bytes::copy_from_slice(whole));
    }
    match payload.first() {
        Some(first) if *first < 0x80 => Ok(Bytes::copy_from_slice(payload)),
        _ => Err(alloy_rlp::Error::Custom("a typed transaction begins with its type byte")),
    }
}

impl RecoveredBlock {
    /// Back to the form that travels.
    pub fn to_block(&self) -> Block {
        Block {
            header: self.header.header().clone(),
            transactions: self.transactions.iter().map(|tx| tx.raw().clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    /// Blocks of types 0 and 2 agree with alloy's own block encoding.
    #[test]
    fn round_trip_and_refusals() {
        let legacy = Bytes::from(hex!("c3010203"));
        let typed = Bytes::from(hex!("02c3010203"));
        let header = Header { ommers_hash: EMPTY_OMMER_ROOT_HASH, ..Header::default() };
        let block = Block { header, transactions: vec![legacy, typed] };
        let bytes = alloy_rlp::encode(&block);
        assert_eq!(bytes.len(), block.size());
        assert_eq!(alloy_rlp::decode_exact::<Block>(&bytes).unwrap(), block);
        for cut in 0..bytes.len() {
            assert!(alloy_rlp::decode_exact::<Block>(&bytes[..cut]).is_err());
        }
        let with_ommers = Block { header: Header::default(), transactions: vec![] };
        let mut wrong = with_ommers;
        wrong.header.ommers_hash = B256::ZERO;
        assert!(alloy_rlp::decode_exact::<Block>(alloy_rlp::encode(&wrong)).is_err());
    }

    #[test]
    fn empty_body_has_the_empty_root() {
        assert_eq!(Block::transactions_root(&[]), alloy_trie::EMPTY_ROOT_HASH);
    }
}
