//! What comes out of a payload is what went in, and nothing that is not one is taken for one.

use super::*;
use alloy_primitives::b256;
use lonja_primitives::NodeKey;
use lonja_storage::Head;
use lonja_storage::codec::FlatAccount;
use proptest::prelude::*;

const CODE: &[u8] = &[0x60, 0x00];

fn terms() -> Terms {
    let (contract, management) = (Address::repeat_byte(2), Address::repeat_byte(3));
    Terms { genesis: B256::repeat_byte(1), contract, management }
}

fn node() -> NodeKey {
    NodeKey::from_bytes(&[7; 32]).unwrap()
}

fn state(slots: &[(u64, u64)]) -> ContractState {
    let slots: BTreeMap<B256, U256> =
        slots.iter().map(|(slot, value)| (keccak256(slot.to_be_bytes()), U256::from(*value))).collect();
    let storage_root = alloy_trie::root::storage_root(slots.clone());
    let account = Account { nonce: 1, balance: U256::from(5), code_hash: keccak256(CODE) };
    let flat = FlatAccount { account, storage_root };
    ContractState { head: Head { number: 9, hash: B256::ZERO }, flat, code: CODE.into(), slots }
}

fn encoded(state: &ContractState) -> Bytes {
    encode(state, &terms(), node().node_id(), &node()).unwrap()
}

/// Names and forms are read by other nodes.
#[test]
fn the_form_is_fixed() {
    let text = String::from_utf8(encoded(&state(&[(1, 255)])).to_vec()).unwrap();
    let statement = decode(text.as_bytes()).unwrap().statement;
    let expected = format!(
        concat!(
            r#"{{"statement":{{"genesis":"{}","block":"0x9","contract":"{:#x}","management":"{:#x}","leaf":"{}","#,
            r#""node":"{}","signature":"{}"}},"{:#x}":{{"state":{{"balance":"0x5","nonce":"0x1","root":"{}","#,
            r#""codeHash":"{}","code":"0x6000","storage":{{"{}":"0xff"}}}}}}}}"#
        ),
        terms().genesis,
        terms().contract,
        terms().management,
        statement.leaf,
        node().node_id(),
        Bytes::copy_from_slice(&statement.signature.0),
        terms().contract,
        state(&[(1, 255)]).flat.storage_root,
        keccak256(CODE),
        keccak256(1u64.to_be_bytes()),
    );
    assert_eq!(text, expected);
    let leaf = b256!("0x1331d230e3df5b8c0bbac9da37ae362bc083ee7e48878aee875b23257d4ec66b");
    assert_eq!(statement.leaf, leaf);
    let Terms { genesis, contract, management } = terms();
    let block = 9u64.to_be_bytes();
    let parts = [genesis.as_slice(), &block, contract.as_slice(), management.as_slice(), leaf.as_slice()];
    let signed = [b"lonja contract state 1".as_slice(), &parts.concat()];
    assert_eq!(statement.signature.recover(keccak256(signed.concat())), Ok(node().address()));
}

#[test]
fn bounds_hold_at_both_ends() {
    let many: Vec<_> = (0..=MAX_SLOTS as u64).map(|slot| (slot, 1)).collect();
    let error = encode(&state(&many), &terms(), node().node_id(), &node());
    assert_eq!(error, Err(SharedStateError::TooManySlots));
    let largest = state(&many[1..]);
    let payload = encoded(&largest);
    assert!(payload.len() < 11 << 20, "{} bytes", payload.len());
    assert_eq!(decode(&payload).unwrap().check(&terms(), 10, 2), Ok(()));
    let mut over = decode(&payload).unwrap();
    over.slots.insert(B256::ZERO, U256::ONE);
    assert_eq!(over.check(&terms(), 10, 2), Err(SharedStateError::TooManySlots));
    let plain = decode(&encoded(&state(&[]))).unwrap();
    assert_eq!(plain.check(&terms(), 10, 2), Ok(()));
    assert_eq!(plain.check(&terms(), 10, 1), Err(SharedStateError::CodeTooLong { length: 2, limit: 1 }));
    assert_eq!(plain.check(&terms(), 9, 2), Err(SharedStateError::OtherStatement("a block to come")));
    let codeless = ContractState { code: Bytes::new(), ..state(&[]) };
    let error = encode(&codeless, &terms(), node().node_id(), &node());
    assert_eq!(error, Err(SharedStateError::NoCode));
}

#[test]
fn nothing_of_the_state_shows_in_debug_output_or_errors() {
    let shared = decode(&encoded(&state(&[(1, 0xdead_beef)]))).unwrap();
    assert!(!format!("{shared:?}").contains("dead"));
    let error = decode(br#"{"statement":{"genesis":"secret"}}"#).unwrap_err();
    assert!(!error.to_string().contains("secret") && !format!("{error:?}").contains("secret"));
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(slots in prop::collection::btree_map(any::<u64>(), 1u64.., 0..20)) {
        let slots: Vec<_> = slots.into_iter().collect();
        let state = state(&slots);
        let shared = decode(&encoded(&state)).unwrap();
        prop_assert_eq!(shared.check(&terms(), 10, 100), Ok(()));
        prop_assert_eq!((&shared.slots, &shared.code), (&state.slots, &state.code));
        prop_assert_eq!((shared.account, shared.root), (state.flat.account, state.flat.storage_root));
        prop_assert_eq!((shared.contract, shared.statement.block), (terms().contract, 9));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_byte_can_be_altered(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let payload = encoded(&state(&[(1, 5), (2, 6)]));
        let mut altered = payload.to_vec();
        altered[at.index(payload.len())] = to;
        let original = decode(&payload).unwrap();
        if let Ok(shared) = decode(&altered)
            && shared != original
        {
            prop_assert!(shared.check(&terms(), 10, 100).is_err());
        }
    }
}
