use super::*;
use alloy_primitives::{address, b256, hex, keccak256};

/// Key 0x46… signs with nonces 0, 0 and 1, price 0, 4,700,000 gas, to 0x35… or nobody; the data counts from 0 to 63.
/// Of each what stands before the data, `v`, what follows it, and the hash; made by other means than this code.
const SIGNED: [(&str, u8, &str, B256); 3] = [
    (
        "f8a180808347b76094353535353535353535353535353535353535353580",
        37,
        "a0de6ab7ce9e2205cd324fb4d33b41d896661247ba7eb794e770993c8600543b61a0781810d221a055560fcca322fad65321ad4b78da941b9d661123ba335d483193",
        b256!("59a6a77042a1df2467850d17ff653c9d5065acd28406159d91a9de6842769d82"),
    ),
    (
        "f88d80808347b7608080",
        37,
        "a02ba9952a0d456d9a423d16e81c0a008a943a67df3cb8c3e9601e04c87521ee0fa00646a7507a473a401d335836d1824577d6b96d89cc7928ba482ed647056eaa44",
        b256!("0bf20c354f7623ba08c69a2118e95e04a7e3e6f855e07e44b153b3f6a4b7d2db"),
    ),
    (
        "f8a101808347b76094353535353535353535353535353535353535353580",
        38,
        "a0c7a997c2707fc8dc53fb390c5fa2b1a2461a0c98c32b63c7cffac8aa96f825d1a01f552ff4e9941c46a544a86b085c14fd8198e2cc6ea241a9df5e3e5b61d58dc9",
        b256!("66a8395617190d3d93b84cf384838b4a6d8d8e96ee501b8391566abf42eaf97e"),
    ),
];
const SENDER: Address = address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");

fn counted() -> [u8; 64] {
    std::array::from_fn(|index| index as u8)
}

/// The same signature with another `v` of one byte.
fn with_v(index: usize, v: u8) -> Bytes {
    let (head, _, tail, _) = SIGNED[index];
    let head = hex::decode(head).unwrap();
    [&head[..], &[0xb8, 0x40], &counted()[..], &[v], &hex::decode(tail).unwrap()[..]].concat().into()
}

fn made(index: usize) -> Bytes {
    with_v(index, SIGNED[index].1)
}

fn private_tx(input: Bytes) -> TxLegacy {
    TxLegacy { input, value: U256::ZERO, ..legacy(None) }
}

#[test]
fn a_private_transaction_is_signed_without_chain_id() {
    for (index, (_, _, _, hash)) in SIGNED.into_iter().enumerate() {
        for chain_id in [2, CHAIN, u64::MAX] {
            let tx = RecoveredTransaction::recover(made(index), chain_id).unwrap();
            assert!(tx.is_private());
            assert_eq!((tx.sender(), tx.hash(), tx.chain_id()), (SENDER, hash, None));
            assert_eq!(tx.payload_hash(), Some(PayloadHash(counted().into())));
            assert_eq!((tx.nonce(), tx.kind().is_create()), (u64::from(index == 2), index == 1));
            assert_eq!(signed_chain_id(tx.tx(), chain_id), None);
        }
    }
}

#[test]
fn on_the_chain_with_id_one_nothing_is_private() {
    for index in 0..SIGNED.len() {
        let tx = RecoveredTransaction::recover(made(index), 1).unwrap();
        assert!(!tx.is_private() && !is_private(tx.tx(), 1));
        assert_eq!((tx.payload_hash(), tx.chain_id(), signed_chain_id(tx.tx(), 1)), (None, Some(1), Some(1)));
        assert_ne!(tx.sender(), SENDER, "there the chain id is signed too");
    }
}

#[test]
fn only_these_two_values_of_v_are_private() {
    for v in [27, 28] {
        let tx = RecoveredTransaction::recover(with_v(0, v), CHAIN).unwrap();
        assert!(!tx.is_private());
        assert_eq!((tx.sender() == SENDER, tx.payload_hash(), tx.chain_id()), (v == 27, None, None));
    }
    for v in [39, 40] {
        let error = RecoveredTransaction::recover(with_v(0, v), CHAIN).unwrap_err();
        assert_eq!(error, TransactionError::WrongChain { got: 2, want: CHAIN });
    }
    for v in [1, 26, 29, 34] {
        assert!(RecoveredTransaction::recover(with_v(0, v), CHAIN).is_err(), "{v}");
    }
    for (tx_type, tx) in each_type() {
        assert!(!RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap().is_private(), "type {tx_type}");
    }
}

#[test]
fn the_private_form_has_the_same_signature() {
    for (index, (_, v, ..)) in SIGNED.into_iter().enumerate() {
        let public = decode_transaction(&with_v(index, v - 10)).unwrap();
        let private = to_private(public).unwrap();
        assert_eq!(raw(&private), made(index));
        assert_eq!(to_private(private.clone()), Some(private), "and stays as it is");
    }
    let others = [
        signed(legacy(Some(CHAIN))),
        signed(legacy(Some(2))),
        signed(eip2930(1)),
        signed(eip1559(1)),
        signed(eip7702(1)),
    ];
    for tx in others {
        assert_eq!(to_private(tx.clone()), None, "{tx:?}");
    }
}

#[test]
fn a_key_signs_the_private_form() {
    for chain_id in [None, Some(1), Some(CHAIN)] {
        let tx = TxLegacy { chain_id, ..private_tx(counted().into()) };
        let tx = RecoveredTransaction::recover(raw(&sign_private(tx, &key())), CHAIN).unwrap();
        assert_eq!((tx.is_private(), tx.sender()), (true, key().address()));
    }
    let known = NodeKey::from_bytes(&[0x46; 32]).unwrap();
    for index in 0..SIGNED.len() {
        let tx = decode_transaction(&made(index)).unwrap();
        let Transaction::Legacy(unsigned) = tx else { panic!("it is legacy") };
        assert_eq!(raw(&sign_private(unsigned.into_parts().0, &known)), made(index));
    }
}

#[test]
fn a_high_s_is_refused_in_private_form_too() {
    let order = U256::from_be_slice(&secp256k1::constants::CURVE_ORDER);
    let Transaction::Legacy(signed) = sign_private(private_tx(counted().into()), &key()) else { panic!() };
    let good = *signed.signature();
    let high = AlloySignature::new(good.r(), order - good.s(), !good.v());
    let tx: Transaction = Signed::new_unhashed(signed.into_parts().0, high).into();
    assert_eq!(RecoveredTransaction::recover(raw(&tx), CHAIN).unwrap_err(), TransactionError::BadSignature);
}

#[test]
fn data_of_any_length_is_a_payload_hash_except_none() {
    let recovered = |input: Bytes| {
        RecoveredTransaction::recover(raw(&sign_private(private_tx(input), &key())), CHAIN).unwrap()
    };
    assert_eq!(recovered(Bytes::new()).payload_hash(), None);
    assert!(recovered(Bytes::new()).is_private());
    assert_eq!(recovered(bytes!("0102")).payload_hash(), Some(PayloadHash::from_data(&[1, 2])));
    let longer = [&[9; 7][..], &counted()].concat();
    assert_eq!(recovered(longer.into()).payload_hash(), Some(PayloadHash(counted().into())));
}

proptest! {
    /// Whatever is signed, the hash is of the bytes and the sender is who signed them.
    #[test]
    fn private_transactions_round_trip(
        nonce in any::<u64>(),
        gas_price in any::<u128>(),
        creates in any::<bool>(),
        input in prop::collection::vec(any::<u8>(), 0..130),
        chain_id in 2..u64::MAX,
    ) {
        let to = if creates { TxKind::Create } else { TxKind::Call(Address::repeat_byte(1)) };
        let tx = TxLegacy { nonce, gas_price, to, ..private_tx(input.into()) };
        let bytes = raw(&sign_private(tx, &key()));
        let recovered = RecoveredTransaction::recover(bytes.clone(), chain_id).unwrap();
        prop_assert!(recovered.is_private());
        prop_assert_eq!((recovered.sender(), recovered.hash()), (key().address(), keccak256(&bytes)));
        prop_assert_eq!(recovered.raw(), &bytes);
    }
}
