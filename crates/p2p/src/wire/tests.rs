use super::*;
use lonja_primitives::spec::RulesNow;
use proptest::prelude::*;

fn bytes(text: &'static [u8]) -> Bytes {
    Bytes::from_static(text)
}

fn status() -> Status {
    Status {
        version: PROTOCOL_VERSION,
        genesis_hash: B256::repeat_byte(1),
        chain_id: 1337,
        rules: RulesNow { id: B256::repeat_byte(2), next_change: Some(1_000) },
        head_number: 77,
        head_hash: B256::repeat_byte(3),
        client: "lonja/0.1.0".into(),
        listen_port: 30303,
        instance: 9,
    }
}

fn without_length(frame: Bytes) -> Bytes {
    Bytes::from(frame.0.slice(FRAME_LENGTH_BYTES..))
}

#[test]
fn known_bytes() {
    let ask = Message::GetBlocks { request: 1, from: 300, count: 128 };
    assert_eq!(encode(&ask).unwrap(), bytes(&[5, 0xc6, 1, 0x82, 1, 44, 0x81, 128]));
    assert_eq!(
        encode(&Message::Transactions(vec![bytes(b"ab"), bytes(b"c")])).unwrap(),
        bytes(&[3, 0xc4, 0x82, b'a', b'b', b'c'])
    );
    assert_eq!(
        encode(&Message::PartyRequest { request: 300, body: bytes(b"abc") }).unwrap(),
        bytes(&[12, 0xc7, 0x82, 1, 44, 0x83, b'a', b'b', b'c'])
    );
    assert_eq!(
        encode(&Message::PartyAnswer { request: 0, body: Bytes::new() }).unwrap(),
        bytes(&[13, 0xc2, 0x80, 0x80])
    );
    let frame = encode_frame(&Message::Consensus(bytes(b"xyz"))).unwrap();
    assert_eq!(frame, bytes(&[0, 0, 0, 4, 2, b'x', b'y', b'z']));
}

#[test]
fn session_messages_round_trip() {
    let frame = without_length(encode_status_frame(&status()));
    assert_eq!(decode_status(&frame), Ok(status()));
    let settled = Status { rules: RulesNow { next_change: None, ..status().rules }, ..status() };
    assert_eq!(decode_status(&without_length(encode_status_frame(&settled))), Ok(settled));
    assert_eq!(decode(&frame), Err(WireError::Misplaced(Kind::Status)));
    for reason in GoodbyeReason::ALL {
        let goodbye = Goodbye { reason, text: "because".into() };
        assert_eq!(decode_goodbye(&without_length(encode_goodbye_frame(&goodbye))), Ok(goodbye));
    }
}

#[test]
fn texts_are_cut_and_cleaned_by_the_sender() {
    let long = Status { client: format!("a\nb{}", "é".repeat(500)), ..status() };
    let read = decode_status(&without_length(encode_status_frame(&long))).unwrap();
    assert_eq!(read.client.len(), MAX_CLIENT_BYTES);
    assert!(read.client.starts_with("a?b?"));
    let goodbye = Goodbye { reason: GoodbyeReason::Abuse, text: "x".repeat(5000) };
    let read = decode_goodbye(&without_length(encode_goodbye_frame(&goodbye))).unwrap();
    assert_eq!(read.text.len(), MAX_GOODBYE_BYTES);
}

#[test]
fn a_client_name_with_control_characters_is_refused() {
    let mut frame = without_length(encode_status_frame(&status())).to_vec();
    let at = frame.windows(5).position(|w| w == b"lonja").unwrap();
    frame[at] = 0x1b;
    assert!(matches!(decode_status(&frame.into()), Err(WireError::Malformed { .. })));
}

#[test]
fn counts_have_bounds() {
    let one = bytes(b"t");
    let over = Message::Transactions(vec![one.clone(); MAX_TRANSACTIONS + 1]);
    assert!(matches!(encode(&over), Err(WireError::BadCount { count: 4097, .. })));
    assert!(matches!(encode(&Message::Transactions(vec![])), Err(WireError::BadCount { .. })));
    let full = Message::Transactions(vec![one.clone(); MAX_TRANSACTIONS]);
    assert_eq!(decode(&encode(&full).unwrap()), Ok(full));
    for count in [0, 129] {
        let ask = Message::GetBlocks { request: 1, from: 1, count };
        assert!(matches!(encode(&ask), Err(WireError::BadCount { .. })));
        let mut raw = vec![Kind::GetBlocks as u8];
        GetBlocksBody { request: 1, from: 1, count }.encode(&mut raw);
        assert!(matches!(decode(&raw.into()), Err(WireError::BadCount { .. })));
    }
    let mut raw = vec![Kind::Transactions as u8];
    vec![one; MAX_TRANSACTIONS + 1].encode(&mut raw);
    assert!(matches!(decode(&raw.into()), Err(WireError::BadCount { count: 4097, .. })));
}

#[test]
fn sizes_have_bounds() {
    let just = Message::Consensus(vec![7; MAX_CONSENSUS_BYTES - 1].into());
    assert_eq!(decode(&encode(&just).unwrap()), Ok(just));
    let over = Message::Consensus(vec![7; MAX_CONSENSUS_BYTES].into());
    assert!(matches!(encode(&over), Err(WireError::TooLarge { .. })));
    let mut raw = vec![7; MAX_CONSENSUS_BYTES + 1];
    raw[0] = Kind::Consensus as u8;
    assert!(matches!(decode(&raw.into()), Err(WireError::TooLarge { .. })));
    let big = Message::Transactions(vec![vec![1; MAX_TRANSACTIONS_BYTES].into()]);
    assert!(matches!(encode(&big), Err(WireError::TooLarge { .. })));
    let blocks = Message::Blocks { request: 0, blocks: vec![vec![1; MAX_BLOCKS_BYTES].into()] };
    assert!(matches!(encode(&blocks), Err(WireError::TooLarge { .. })));
    let question = Message::Question { request: 0, content: vec![1; MAX_QUESTION_BYTES].into() };
    assert!(matches!(encode(&question), Err(WireError::TooLarge { .. })));
    let answer = Message::Answer { request: 0, content: vec![1; MAX_ANSWER_BYTES].into() };
    assert!(matches!(encode(&answer), Err(WireError::TooLarge { .. })));
}

#[test]
fn parties_say_much_but_not_more() {
    // Kind, two list heads, and a number of nine bytes stand before the body.
    let most = vec![1; MAX_PARTY_BYTES - 18];
    let request = u64::MAX;
    let just = Message::PartyRequest { request, body: most.clone().into() };
    let encoded = encode(&just).unwrap();
    assert_eq!(encoded.len(), MAX_PARTY_BYTES);
    assert_eq!(decode(&encoded), Ok(just));
    let just = Message::PartyAnswer { request, body: most.into() };
    assert_eq!(decode(&encode(&just).unwrap()), Ok(just));
    for length in [MAX_PARTY_BYTES - 17, MAX_PARTY_BYTES] {
        let body = Bytes::from(vec![1; length]);
        let over = encode(&Message::PartyRequest { request, body: body.clone() });
        assert!(matches!(over, Err(WireError::TooLarge { .. })), "{length}");
        assert!(matches!(encode(&Message::PartyAnswer { request, body }), Err(WireError::TooLarge { .. })));
    }
    let nothing = Message::PartyRequest { request, body: Bytes::new() };
    assert!(encode(&nothing).is_err(), "nothing is asked");
}

#[test]
fn only_messages_between_parties_need_the_second_version_of_data() {
    for kind in Kind::ALL {
        let between_parties = matches!(kind, Kind::PartyRequest | Kind::PartyAnswer);
        assert_eq!(kind.since() == StreamVersion::Two, between_parties, "{kind:?}");
        assert!(!between_parties || kind.lane() == Lane::Data);
    }
}

#[test]
fn relays_and_lists_of_hashes_have_bounds() {
    let relay = |receivers, length| Message::Relay {
        to: vec![Address::repeat_byte(7); receivers],
        message: vec![1; length].into(),
    };
    let most = relay(MAX_RELAY_RECEIVERS, MAX_CONSENSUS_BYTES - 1);
    assert_eq!(decode(&encode(&most).unwrap()), Ok(most), "whatever may be sent may be relayed");
    assert!(matches!(encode(&relay(1, MAX_CONSENSUS_BYTES)), Err(WireError::TooLarge { .. })));
    for bad in [relay(0, 1), relay(MAX_RELAY_RECEIVERS + 1, 1)] {
        assert!(matches!(encode(&bad), Err(WireError::BadCount { .. })));
    }
    assert!(encode(&relay(1, 0)).is_err(), "nothing to relay");
    let most = Message::TransactionHashes(vec![B256::ZERO; MAX_HASHES]);
    assert_eq!(decode(&encode(&most).unwrap()), Ok(most));
    for count in [0, MAX_HASHES + 1] {
        let bad = Message::GetTransactions(vec![B256::ZERO; count]);
        assert!(matches!(encode(&bad), Err(WireError::BadCount { .. })));
        let mut raw = vec![Kind::GetTransactions as u8];
        vec![B256::ZERO; count].encode(&mut raw);
        assert!(matches!(decode(&raw.into()), Err(WireError::BadCount { .. })));
    }
}

#[test]
fn nonsense_is_refused() {
    assert_eq!(decode(&Bytes::new()), Err(WireError::Empty));
    assert_eq!(decode(&bytes(&[14, 0xc0])), Err(WireError::UnknownKind(14)));
    assert!(decode(&bytes(&[8, 0xc0])).is_err(), "no hashes");
    assert!(decode(&bytes(&[9, 0xc2, 1, 2])).is_err(), "hashes too short");
    assert!(decode(&bytes(&[7, 0xc2, 0xc0, 1])).is_err(), "no receivers");
    assert!(decode(&bytes(&[10, 0xc2, 1, 0x80])).is_err(), "an empty question");
    assert!(decode(&bytes(&[11, 0xc2, 1, 0x80])).is_ok(), "an empty answer is one");
    assert!(decode(&bytes(&[12, 0xc2, 1, 0x80])).is_err(), "an empty request");
    assert!(decode(&bytes(&[12, 0xc4, 1, 0xc2, 1, 2])).is_err(), "a list for a body");
    assert!(decode(&bytes(&[12, 0xc3, 1, 0x81, 1])).is_err(), "a byte in its long form");
    assert!(decode(&bytes(&[12, 0xc3, 1, 1, 1])).is_err(), "a field too many");
    assert!(decode(&bytes(&[13, 0xc2, 1, 0x80])).is_ok(), "an empty answer is one");
    assert!(decode(&bytes(&[13, 0xc2, 1, 0x80, 0])).is_err(), "a byte behind the end");
    assert!(decode(&bytes(&[13, 0xc1, 1])).is_err(), "no body");
    assert!(decode(&bytes(&[2])).is_err(), "empty consensus message");
    assert!(decode(&bytes(&[3, 0xc0])).is_err(), "no transactions");
    assert!(decode(&bytes(&[3, 0xc1, 0x80])).is_err(), "an empty transaction");
    assert!(decode(&bytes(&[3, 0xc2, 0x81, 0x01])).is_err(), "a byte in its long form");
    assert!(decode(&bytes(&[3, 0xc1, 0x01, 0x00])).is_err(), "a byte too many");
    assert!(decode(&bytes(&[5, 0xc3, 1, 1])).is_err(), "cut short");
    assert!(decode(&bytes(&[5, 0xc4, 1, 1, 1, 1])).is_err(), "a field too many");
    assert!(decode(&bytes(&[5, 0xc3, 0, 1, 1])).is_err(), "a leading zero");
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 1..300).prop_map(Bytes::from)
}

fn any_hashes() -> impl Strategy<Value = Vec<B256>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(B256::from), 1..40)
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any_bytes().prop_map(Message::Consensus),
        prop::collection::vec(any_bytes(), 1..40).prop_map(Message::Transactions),
        (any::<u64>(), any::<[u8; 32]>())
            .prop_map(|(number, hash)| Message::NewHead { number, hash: hash.into() }),
        (any::<u64>(), any::<u64>(), 1u64..=128).prop_map(|(request, from, count)| Message::GetBlocks {
            request,
            from,
            count
        }),
        (any::<u64>(), prop::collection::vec(any_bytes(), 0..20))
            .prop_map(|(request, blocks)| Message::Blocks { request, blocks }),
        (prop::collection::vec(any::<[u8; 20]>().prop_map(Address::from), 1..20), any_bytes())
            .prop_map(|(to, message)| Message::Relay { to, message }),
        any_hashes().prop_map(Message::TransactionHashes),
        any_hashes().prop_map(Message::GetTransactions),
        (any::<u64>(), any_bytes()).prop_map(|(request, content)| Message::Question { request, content }),
        (any::<u64>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(request, content)| Message::Answer { request, content: content.into() }),
        (any::<u64>(), any_bytes()).prop_map(|(request, body)| Message::PartyRequest { request, body }),
        (any::<u64>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(request, body)| Message::PartyAnswer { request, body: body.into() }),
    ]
}

proptest! {
    #[test]
    fn messages_round_trip(message in any_message()) {
        let encoded = encode(&message).unwrap();
        let frame = encode_frame(&message).unwrap();
        prop_assert_eq!(&frame[4..], &encoded[..]);
        prop_assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, encoded.len());
        prop_assert_eq!(decode(&encoded), Ok(message));
    }

    #[test]
    fn any_bytes_decode_or_fail_without_panic(kind in 0u8..16, body in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut raw = vec![kind];
        raw.extend(body);
        let raw = Bytes::from(raw);
        if let Ok(message) = decode(&raw) {
            prop_assert_eq!(encode(&message).unwrap(), raw.clone(), "one form only");
        }
        let _ = decode_status(&raw);
        let _ = decode_goodbye(&raw);
    }

    #[test]
    fn damaged_messages_decode_or_fail_without_panic(
        message in any_message(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let mut raw = encode(&message).unwrap().to_vec();
        let at = at.index(raw.len());
        if cut { raw.truncate(at) } else { raw[at] = byte }
        let raw = Bytes::from(raw);
        if let Ok(message) = decode(&raw) {
            prop_assert_eq!(encode(&message).unwrap(), raw);
        }
    }
}
