use super::*;
use proptest::prelude::*;

fn nibbles(path: &[u8]) -> PartId {
    let step = |id: PartId, nibble: &u8| id.split().unwrap()[usize::from(*nibble)];
    path.iter().fold(PartId::whole(None), step)
}

fn ends(own_ip: Option<&str>, own_port: u16) -> Ends {
    let own_ip = own_ip.map(|ip| ip.parse().unwrap());
    Ends { host: "node.example".into(), port: 30303, own_ip, own_port }
}

#[test]
fn questions_round_trip_and_have_bounds() {
    let hashes = |count| Question::Codes(vec![B256::repeat_byte(1); count]);
    for question in [
        Question::Snapshots,
        Question::Headers { from: 7, count: HEADERS_MAX },
        Question::Part { number: 9, id: nibbles(&[1, 15, 0]) },
        Question::Part { number: 9, id: PartId { owner: Some(B256::repeat_byte(2)), ..nibbles(&[]) } },
        hashes(CODES_MAX),
        Question::Chapters { from: 1, count: CHAPTERS_MAX },
        Question::Witness(ends(Some("10.0.0.1"), 30303)),
        Question::Witness(ends(Some("2001:db8::1"), 0)),
        Question::Witness(Ends { host: "n".repeat(HOST_BYTES_MAX), ..ends(None, 1) }),
    ] {
        let bytes = question.encode();
        assert_eq!(Question::decode(&bytes), Ok(question));
        assert!(Question::decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
    }
    for bad in [
        Question::Headers { from: 7, count: HEADERS_MAX + 1 },
        Question::Headers { from: 7, count: 0 },
        Question::Chapters { from: 1, count: CHAPTERS_MAX + 1 },
        hashes(CODES_MAX + 1),
        Question::Witness(Ends { host: "n".repeat(HOST_BYTES_MAX + 1), ..ends(None, 1) }),
    ] {
        assert!(Question::decode(&bad.encode()).is_err(), "{bad:?}");
    }
    assert!(Question::decode(&[]).is_err() && Question::decode(&[9]).is_err());
}

#[test]
fn answers_hold_what_was_asked_for_and_fit() {
    let header = |number| Header { number, ..Header::default() };
    let answer = encode_headers((5..8).map(header));
    assert_eq!(decode_headers(&answer, 5, 3).unwrap().len(), 3);
    assert!(decode_headers(&answer, 4, 3).is_err(), "from another height");
    assert!(decode_headers(&answer, 5, 2).is_err(), "more than asked");
    let codes = [Bytes::from_static(&[1]), Bytes::from_static(&[2])];
    let asked: Vec<B256> = codes.iter().map(keccak256).collect();
    let answer = encode_codes(codes.into_iter());
    assert_eq!(decode_codes(&answer, &asked).unwrap().len(), 2);
    assert!(decode_codes(&answer, &asked[..1]).is_err());
    assert!(decode_codes(&answer, &[asked[1], asked[0]]).is_err());
    let large = (0..100).map(|_| Bytes::from(vec![0; 100_000]));
    assert!(encode_codes(large).len() <= ANSWER_BYTES + 16);
    assert!(encode_codes(std::iter::empty()).is_empty(), "nothing is no list");
    assert_eq!(decode_snapshots(&encode_snapshots(&[3, 9])), Ok(vec![3, 9]));
}

#[test]
fn a_witness_travels_and_has_bounds() {
    let text = |length: usize| Bytes::from(vec![7; length]);
    let whole = Witness { number: 9, nodes: vec![text(0), text(1), text(600)], codes: vec![text(24_576)] };
    let bytes = encode_witness(&whole);
    assert_eq!(decode_witness(&bytes), Ok(whole.clone()));
    assert!(decode_witness(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
    assert!(decode_witness(&bytes[..bytes.len() - 1]).is_err(), "a byte too few");
    assert!(decode_witness(&[]).is_err());
    let nodes = |count| Witness { nodes: vec![text(1); count], ..Witness::default() };
    assert!(decode_witness(&encode_witness(&nodes(WITNESS_NODES_MAX))).is_ok());
    assert!(decode_witness(&encode_witness(&nodes(WITNESS_NODES_MAX + 1))).is_err());
    let codes = Witness { codes: vec![text(1); WITNESS_ACCOUNTS_MAX + 1], ..Witness::default() };
    assert!(decode_witness(&encode_witness(&codes)).is_err());
    let long = Witness { codes: vec![text(ANSWER_BYTES)], ..Witness::default() };
    assert!(encode_witness(&long).is_empty(), "longer than an answer");
    assert!(decode_witness(&alloy_rlp::encode(&long)).is_err());
    // One item more in the outer list.
    let mut other = Vec::new();
    vec![text(1), text(1), text(1), text(1)].encode(&mut other);
    assert!(decode_witness(&other).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Question::decode(&bytes);
        let _ = decode_snapshots(&bytes);
        let _ = decode_headers(&bytes, 0, 9);
        let _ = decode_part(&bytes);
        let _ = decode_codes(&bytes, &[B256::ZERO]);
        let _ = decode_chapters(&bytes, 0, 9);
        let _ = decode_witness(&bytes);
    }
}
