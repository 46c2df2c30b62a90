use super::*;
use crate::{NodeKey, Signer};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Signature as AlloySignature, bytes};
use proptest::prelude::*;

mod private;

const CHAIN: u64 = 1337;

fn key() -> NodeKey {
    NodeKey::from_bytes(&[7; 32]).unwrap()
}

fn sign(digest: B256) -> AlloySignature {
    let raw = key().sign(digest).0;
    AlloySignature::from_bytes_and_parity(&raw[..64], raw[64] == 1)
}

fn signed<T>(tx: T) -> Transaction
where
    T: SignableTransaction<AlloySignature>,
    Transaction: From<alloy_consensus::Signed<T>>,
{
    let signature = sign(tx.signature_hash());
    tx.into_signed(signature).into()
}

fn access_list() -> AccessList {
    let item = AccessListItem { address: Address::repeat_byte(3), storage_keys: vec![B256::repeat_byte(4)] };
    AccessList(vec![item])
}

fn legacy(chain_id: Option<u64>) -> TxLegacy {
    TxLegacy {
        chain_id,
        nonce: 9,
        gas_price: 11,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(1)),
        value: U256::from(5),
        input: bytes!("0102"),
    }
}

fn eip2930(chain_id: u64) -> TxEip2930 {
    TxEip2930 {
        chain_id,
        nonce: 9,
        gas_price: 11,
        gas_limit: 21_000,
        to: TxKind::Create,
        value: U256::from(5),
        access_list: access_list(),
        input: bytes!("0102"),
    }
}

fn eip1559(chain_id: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id,
        nonce: 9,
        max_fee_per_gas: 11,
        max_priority_fee_per_gas: 3,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(1)),
        value: U256::from(5),
        access_list: access_list(),
        input: bytes!("0102"),
    }
}

fn eip7702(chain_id: u64) -> TxEip7702 {
    let authorization =
        Authorization { chain_id: U256::from(chain_id), address: Address::repeat_byte(8), nonce: 1 };
    let signature = sign(authorization.signature_hash());
    TxEip7702 {
        chain_id,
        nonce: 9,
        max_fee_per_gas: 11,
        max_priority_fee_per_gas: 3,
        gas_limit: 21_000,
        to: Address::repeat_byte(1),
        value: U256::from(5),
        access_list: access_list(),
        authorization_list: vec![SignedAuthorization::new_unchecked(
            authorization,
            signature.v().into(),
            signature.r(),
            signature.s(),
        )],
        input: bytes!("0102"),
    }
}

/// One of each accepted type, signed for [`CHAIN`].
fn each_type() -> [(u8, Transaction); 4] {
    [
        (0, signed(legacy(Some(CHAIN)))),
        (1, signed(eip2930(CHAIN))),
        (2, signed(eip1559(CHAIN))),
        (4, signed(eip7702(CHAIN))),
    ]
}

fn raw(tx: &Transaction) -> Bytes {
    tx.encoded_2718().into()
}

#[test]
fn every_accepted_type_comes_back_with_its_sender() {
    for (tx_type, tx) in each_type() {
        let recovered = RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap();
        assert_eq!(recovered.tx(), &tx);
        assert_eq!((recovered.tx_type(), recovered.sender()), (tx_type, key().address()));
        assert_eq!(recovered.hash(), alloy_primitives::keccak256(recovered.raw()));
        assert_eq!((recovered.nonce(), recovered.gas_limit(), recovered.max_fee_per_gas()), (9, 21_000, 11));
        assert_eq!(recovered.value(), U256::from(5));
        assert_eq!(recovered.kind().is_create(), tx_type == 1);
        assert_eq!(raw(recovered.tx()), *recovered.raw());
    }
}

#[test]
fn a_legacy_transaction_without_chain_id_is_accepted() {
    let tx = signed(legacy(None));
    let recovered = RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap();
    assert_eq!((recovered.sender(), recovered.tx().chain_id()), (key().address(), None));
}

#[test]
fn another_chains_transaction_is_refused() {
    let others = [signed(legacy(Some(2))), signed(eip2930(2)), signed(eip1559(2)), signed(eip7702(2))];
    for tx in others {
        let error = RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap_err();
        assert_eq!(error, TransactionError::WrongChain { got: 2, want: CHAIN });
    }
    for tx in [signed(eip2930(1)), signed(eip1559(1)), signed(eip7702(1))] {
        let error = RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap_err();
        assert_eq!(error, TransactionError::WrongChain { got: 1, want: CHAIN });
    }
    let main_network = signed(legacy(Some(1)));
    let error = RecoveredTransaction::recover(raw(&signed(legacy(Some(CHAIN)))), 1).unwrap_err();
    assert_eq!(error, TransactionError::WrongChain { got: CHAIN, want: 1 });
    assert!(!RecoveredTransaction::recover(raw(&main_network), 1).unwrap().is_private());
}

#[test]
fn other_types_are_refused() {
    assert_eq!(decode_transaction(&[3, 0xc0]), Err(TransactionError::Blob));
    for other in [0, 5, 0x7f, 0x80, 0xb8, 0xbf] {
        assert_eq!(decode_transaction(&[other, 0xc0]), Err(TransactionError::UnknownType(other)));
    }
    assert!(matches!(decode_transaction(&[]), Err(TransactionError::Malformed(_))));
    assert!(matches!(decode_transaction(&[2]), Err(TransactionError::Malformed(_))));
    let mut blob = raw(&signed(eip1559(CHAIN))).to_vec();
    blob[0] = 3;
    assert_eq!(RecoveredTransaction::recover(blob.into(), CHAIN).unwrap_err(), TransactionError::Blob);
}

#[test]
fn a_high_s_is_refused() {
    let order = U256::from_be_slice(&secp256k1::constants::CURVE_ORDER);
    let tx = legacy(Some(CHAIN));
    let good = sign(tx.signature_hash());
    let high = AlloySignature::new(good.r(), order - good.s(), !good.v());
    let tx: Transaction = tx.into_signed(high).into();
    assert_eq!(RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap_err(), TransactionError::BadSignature);
    let zero = AlloySignature::new(U256::ZERO, U256::ZERO, false);
    let tx: Transaction = eip1559(CHAIN).into_signed(zero).into();
    assert_eq!(RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap_err(), TransactionError::BadSignature);
}

#[test]
fn cut_and_longer_forms_are_refused() {
    for (tx_type, tx) in each_type() {
        let bytes = raw(&tx);
        for cut in 0..bytes.len() {
            assert!(decode_transaction(&bytes[..cut]).is_err(), "type {tx_type} cut to {cut}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(matches!(decode_transaction(&longer), Err(TransactionError::Malformed(_))));
        let mut doubled = bytes.to_vec();
        doubled.extend_from_slice(&bytes);
        assert!(decode_transaction(&doubled).is_err());
    }
}

#[test]
fn many_keep_their_order() {
    let mut list: Vec<Bytes> = each_type().iter().map(|(_, tx)| raw(tx)).collect();
    list.insert(1, bytes!("03"));
    let recovered = recover_all(list.clone(), CHAIN);
    assert_eq!(recovered.len(), 5);
    for (index, (result, raw)) in recovered.iter().zip(&list).enumerate() {
        match result {
            Ok(tx) => assert_eq!(tx.raw(), raw),
            Err(error) => assert_eq!((index, error), (1, &TransactionError::Blob)),
        }
    }
}

proptest! {
    /// Changed bytes are refused, or are the only encoding of another transaction.
    #[test]
    fn there_is_one_encoding_only(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = raw(&each_type()[which].1).to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(tx) = decode_transaction(&bytes) {
            prop_assert_eq!(tx.encoded_2718(), bytes.clone());
        }
        if let Ok(recovered) = RecoveredTransaction::recover(bytes.clone().into(), CHAIN) {
            prop_assert_eq!(recovered.hash(), alloy_primitives::keccak256(&bytes));
        }
    }

    #[test]
    fn noise_never_panics(raw in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = RecoveredTransaction::recover(raw.into(), CHAIN);
    }
}
