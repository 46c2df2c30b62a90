//! Blocks, from "nothing promised" to "a quorum sealed it".

use crate::{Header, RecoveredTransaction, SealedHeader};
use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_consensus::proofs::ordered_trie_root_with_encoder;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{BufMut, Decodable, EMPTY_LIST_CODE, Encodable, Header as RlpHeader};

/// Most transactions of a block. A signed transaction has 40 bytes at the very least, so that a message of 10
/// MiB holds no more; without the bound, a body of empty transactions would take many times its size in
/// memory.
pub const MAX_BLOCK_TRANSACTIONS: usize = 262_144;

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
        let body = RlpHeader::decode_bytes(&mut payload, true)?;
        let transactions = cut_transactions(body)?;
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

/// Cuts a body into transactions. They share one copy of the body: a block costs one allocation, not one for
/// each transaction.
fn cut_transactions(body: &[u8]) -> alloy_rlp::Result<Vec<Bytes>> {
    let shared = Bytes::copy_from_slice(body);
    let mut transactions = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        if transactions.len() == MAX_BLOCK_TRANSACTIONS {
            return Err(alloy_rlp::Error::Custom("a block has more transactions than any block can have"));
        }
        let start = body.len() - rest.len();
        let head = RlpHeader::decode(&mut rest)?;
        let (payload, behind) =
            rest.split_at_checked(head.payload_length).ok_or(alloy_rlp::Error::InputTooShort)?;
        let typed = payload.first().is_some_and(|first| *first < 0x80);
        if !head.list && !typed {
            return Err(alloy_rlp::Error::Custom("a typed transaction begins with its type byte"));
        }
        let end = body.len() - behind.len();
        let from = if head.list { start } else { end - payload.len() };
        transactions.push(shared.slice(from..end));
        rest = behind;
    }
    Ok(transactions)
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
mod tests;
