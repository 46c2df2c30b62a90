use super::*;
use crate::records::Author;
use alloy_primitives::hex;
use lonja_primitives::{NodeId, NodeKey, Signature};
use proptest::prelude::*;

fn hash() -> impl Strategy<Value = PayloadHash> {
    any::<[u8; 32]>().prop_map(|bytes| PayloadHash::from_data(&bytes))
}

fn a_key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey)
}

fn some_bytes(most: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

fn binding() -> impl Strategy<Value = Binding> {
    (a_key(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(key, sequence_ms, bytes)| Binding {
        key,
        node: NodeId(B512::left_padding_from(&bytes)),
        sequence_ms,
        genesis: B256::from(bytes),
        signature: Signature([bytes[0]; 65]),
    })
}

fn erasure() -> impl Strategy<Value = Erasure> {
    (hash(), any::<[u8; 32]>(), any::<u64>()).prop_map(|(hash, order, time_ms)| Erasure {
        hash,
        order: order.into(),
        time_ms,
        node: NodeId(B512::left_padding_from(&order)),
        signature: Signature([order[0]; 65]),
    })
}

fn challenge() -> impl Strategy<Value = Challenge> {
    (a_key(), a_key(), any::<Nonce>(), any::<[u8; 32]>()).prop_map(|(key, from, nonce, bytes)| Challenge {
        key,
        from,
        nonce,
        sealed: std::array::from_fn(|at| bytes[at % 32]),
    })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (any::<u64>(), some_bytes(99)).prop_map(|(attempt, envelope)| Request::Push { attempt, envelope }),
        (hash(), any::<u64>()).prop_map(|(hash, attempt)| Request::Withdraw { hash, attempt }),
        proptest::collection::vec(binding(), 0..4).prop_map(Request::Announce),
        challenge().prop_map(Request::Challenge),
        (a_key(), any::<u64>(), any::<u32>()).prop_map(|(key, cursor, limit)| Request::Resend {
            key,
            cursor,
            limit
        }),
        erasure().prop_map(Request::Erase),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (0..5u8, "[a-zé]{0,99}")
            .prop_map(|(code, text)| Answer::Refused(Refusal::from_code(code).unwrap(), text)),
        (hash(), any::<[u8; 32]>()).prop_map(|(hash, proof)| Answer::Stored { hash, proof: proof.into() }),
        Just(Answer::Noted),
        any::<[u8; 32]>().prop_map(|proof| Answer::Proof(proof.into())),
        (proptest::collection::vec(some_bytes(99), 0..4), any::<u64>(), any::<bool>())
            .prop_map(|(envelopes, next, more)| Answer::Batch { envelopes, next, more }),
        erasure().prop_map(Answer::Erased),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(request in request(), answer in answer()) {
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        prop_assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
    }

    #[test]
    fn no_bytes_are_a_trap(
        request in request(),
        answer in answer(),
        at in any::<proptest::sample::Index>(),
        with in any::<u8>(),
        junk in some_bytes(300),
    ) {
        let _ = (Request::decode(&junk), Answer::decode(&junk));
        for bytes in [request.encode(), answer.encode()] {
            let mut almost = bytes.to_vec();
            let at = at.index(almost.len());
            almost[at] = with;
            let almost = Bytes::from(almost);
            let (request, answer) = (Request::decode(&almost), Answer::decode(&almost));
            // There is one form of each message.
            prop_assert!(request.is_err() || request.unwrap().encode() == almost);
            prop_assert!(answer.is_err() || answer.unwrap().encode() == almost);
            let shorter = bytes.slice(..at);
            prop_assert!(at >= 10 && bytes[1] == PUSH || Request::decode(&shorter).is_err());
            prop_assert!(Answer::decode(&shorter).is_err());
        }
    }
}

#[test]
fn the_bytes_of_messages_stay_what_they_are() {
    let key = NodeKey::from_bytes(&[1; 32]).unwrap();
    let author = Author { node: key.node_id(), signer: &key, genesis: B256::repeat_byte(2) };
    let binding = Binding::sign(author, PublicKey([3; 32]), 4);
    let announce = Request::Announce(vec![binding]).encode();
    assert_eq!(hex::encode(&announce[..8]), "0103f8caf8c8a003");
    let push = Request::Push { attempt: 5, envelope: Bytes::from_static(b"\xab") }.encode();
    assert_eq!(push, Bytes::from_static(b"\x01\x01\0\0\0\0\0\0\0\x05\xab"));
    assert_eq!(Answer::Noted.encode(), Bytes::from_static(b"\x01\x42\xc0"));
    let refused = Answer::refused(Refusal::NotHeld, "no");
    assert_eq!(refused.encode(), Bytes::from_static(b"\x01\x40\xc4\x02\x82no"));
    let withdraw = Request::Withdraw { hash: PayloadHash::from_data(&[9]), attempt: 5 }.encode();
    assert_eq!(hex::encode(&withdraw[..6]), "0102f843b840");
    assert_eq!(hex::encode(&withdraw[69..]), "0905");
}

#[test]
fn other_versions_kinds_and_sizes_are_refused() {
    let text = |bytes: &'static [u8]| Request::decode(&Bytes::from_static(bytes)).unwrap_err().to_string();
    assert!(text(b"").contains("head"));
    assert!(text(b"\x02\x01").contains("the version"));
    assert!(text(b"\x01\x07\xc0").contains("the kind of the request"));
    assert!(Answer::decode(&Bytes::from_static(b"\x01\x01\xc0")).is_err(), "a request is no answer");
    let large = Bytes::from(vec![1; MAX_MESSAGE_BYTES + 1]);
    assert!(matches!(Request::decode(&large), Err(CodecError::TooLarge { .. })));
    assert!(Request::decode(&large.slice(1..)).is_ok(), "the largest push");
    let code = Bytes::from_static(b"\x01\x40\xc4\x05\x82no");
    assert!(Answer::decode(&code).is_err());
}

#[test]
fn lists_are_counted_before_they_are_read() {
    let items = |count: usize| message(ANNOUNCE, &vec![Bytes::new(); count]);
    assert!(matches!(Request::decode(&items(MAX_BINDINGS + 1)), Err(CodecError::TooLarge { .. })));
    assert!(matches!(Request::decode(&items(MAX_BINDINGS)), Err(CodecError::WrongType { .. })));
    let batch =
        |count: usize| Answer::Batch { envelopes: vec![Bytes::new(); count], next: 0, more: false }.encode();
    assert!(Answer::decode(&batch(MAX_BATCH)).is_ok());
    assert!(matches!(Answer::decode(&batch(MAX_BATCH + 1)), Err(CodecError::TooLarge { .. })));
    let long = message(REFUSED, &RefusedBody { refusal: 0, text: "é".repeat(MAX_TEXT_BYTES) });
    assert!(Answer::decode(&long).is_err());
    let Answer::Refused(_, text) = Answer::refused(Refusal::Rule, "é".repeat(MAX_TEXT_BYTES) + "x") else {
        panic!()
    };
    assert_eq!(text.len(), MAX_TEXT_BYTES);
}
