use super::*;
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Signature as AlloySignature, U256, hex};
use proptest::prelude::*;

fn header() -> Header {
    Header { ommers_hash: EMPTY_OMMER_ROOT_HASH, number: 3, base_fee_per_gas: Some(0), ..Header::default() }
}

fn block() -> Block {
    let transactions =
        vec![Bytes::from(hex!("c3010203")), Bytes::from(hex!("02c3010203")), Bytes::from(hex!("01"))];
    Block { header: header(), transactions }
}

#[test]
fn what_is_encoded_decodes() {
    let block = block();
    let bytes = alloy_rlp::encode(&block);
    assert_eq!(bytes.len(), block.size());
    assert_eq!(alloy_rlp::decode_exact::<Block>(&bytes).unwrap(), block);
    for cut in 0..bytes.len() {
        assert!(alloy_rlp::decode_exact::<Block>(&bytes[..cut]).is_err());
    }
}

/// Blocks with legacy and typed transactions are written as alloy writes them.
#[test]
fn encodes_like_alloy() {
    let signature = AlloySignature::new(U256::from(1), U256::from(2), true);
    let transactions: Vec<EthereumTxEnvelope<TxEip4844>> = vec![
        TxLegacy { chain_id: Some(5), nonce: 1, ..TxLegacy::default() }.into_signed(signature).into(),
        TxEip1559 { chain_id: 5, nonce: 2, ..TxEip1559::default() }.into_signed(signature).into(),
    ];
    let ours = Block {
        header: header(),
        transactions: transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
    };
    let root = alloy_consensus::proofs::calculate_transaction_root(&transactions);
    assert_eq!(Block::transactions_root(&ours.transactions), root);
    let body = alloy_consensus::BlockBody { transactions, ommers: vec![], withdrawals: None };
    let theirs = alloy_consensus::Block { header: header(), body };
    assert_eq!(alloy_rlp::encode(&ours), alloy_rlp::encode(&theirs));
}

#[test]
fn ommers_and_extra_elements_are_refused() {
    let mut with_ommers = block();
    with_ommers.header.ommers_hash = B256::ZERO;
    assert!(alloy_rlp::decode_exact::<Block>(alloy_rlp::encode(&with_ommers)).is_err());

    let elements = |body: &[u8], rest: &[u8]| {
        let payload = [&alloy_rlp::encode(header())[..], body, rest].concat();
        let mut out = Vec::new();
        RlpHeader { list: true, payload_length: payload.len() }.encode(&mut out);
        out.extend_from_slice(&payload);
        alloy_rlp::decode_exact::<Block>(&out)
    };
    assert!(elements(&[0xc0], &[0xc0]).is_ok());
    assert!(elements(&[0xc0], &[0xc1, 0xc0]).is_err(), "an ommer");
    assert!(elements(&[0xc0], &[0xc0, 0xc0]).is_err(), "withdrawals");
    assert!(elements(&[0xc0], &[]).is_err(), "no ommers element");
    assert!(elements(&[0x80], &[0xc0]).is_err(), "a body that is no list");
    assert!(elements(&[0xc1, 0x80], &[0xc0]).is_err(), "a transaction of no bytes");
    assert!(elements(&[0xc2, 0x81, 0x85], &[0xc0]).is_err(), "a type byte above 0x7f");
    assert!(elements(&[0xc2, 0x81, 0x05], &[0xc0]).is_err(), "a short string not in canonical form");
    assert!(elements(&[0xc2, 0xc3, 0x01], &[0xc0]).is_err(), "a transaction longer than the body");
}

#[test]
fn a_body_of_countless_transactions_is_refused() {
    let with = |count| {
        let block = Block { header: header(), transactions: vec![Bytes::from_static(&[1]); count] };
        alloy_rlp::decode_exact::<Block>(alloy_rlp::encode(&block))
    };
    assert!(with(MAX_BLOCK_TRANSACTIONS).is_ok());
    assert!(with(MAX_BLOCK_TRANSACTIONS + 1).is_err());
}

#[test]
fn empty_body_has_the_empty_root() {
    assert_eq!(Block::transactions_root(&[]), alloy_trie::EMPTY_ROOT_HASH);
}

proptest! {
    #[test]
    fn noise_never_panics(raw in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = alloy_rlp::decode_exact::<Block>(&raw);
    }

    /// A block whose bytes were changed is refused, or is another block with these bytes as its encoding.
    #[test]
    fn changed_bytes_never_pass_for_the_same_block(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = alloy_rlp::encode(block());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(decoded) = alloy_rlp::decode_exact::<Block>(&bytes) {
            prop_assert_eq!(alloy_rlp::encode(&decoded), bytes);
        }
    }
}
