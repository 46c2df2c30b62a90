use super::*;
use crate::{NodeKey, Signer};
use alloy_primitives::hex;
use alloy_rlp::Decodable;
use proptest::prelude::*;
use serde_json::Value;

const EXTRA: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/istanbul/extra_data.json"));
const HASHES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/istanbul/header_hash.json"));

fn cases(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("text expected, not {value}"))
}

fn bytes(value: &Value) -> Bytes {
    hex::decode(text(value)).unwrap().into()
}

fn hash(value: &Value) -> B256 {
    B256::from_slice(&bytes(value))
}

fn format(name: &str) -> HeaderFormat {
    match name {
        "ibft1" => HeaderFormat::Ibft1,
        "ibft2" => HeaderFormat::Ibft2,
        _ => HeaderFormat::Qbft,
    }
}

fn expected(expect: &Value) -> ExtraData {
    let list = |name: &str| expect[name].as_array().unwrap().iter().map(bytes).collect::<Vec<_>>();
    let vote = expect.get("vote").filter(|vote| !vote.is_null()).map(|vote| Vote {
        recipient: Address::from_slice(&bytes(&vote["recipient"])),
        kind: if vote["authorize"].as_bool().unwrap() { VoteKind::Add } else { VoteKind::Drop },
    });
    ExtraData {
        vanity: bytes(&expect["vanity"]),
        validators: list("validators").iter().map(|raw| Address::from_slice(raw)).collect(),
        vote,
        round: expect.get("round").map_or(0, |round| round.as_u64().unwrap() as u32),
        proposer_seal: expect.get("proposer_seal").map(bytes).unwrap_or_default(),
        seals: list("committed_seals").iter().map(|raw| Signature::from_slice(raw).unwrap()).collect(),
    }
}

fn header_with(extra_data: Bytes) -> Header {
    Header { extra_data, number: 1, ..Header::default() }
}

#[test]
fn vectors_decode_and_encode() {
    let mut kinds = std::collections::BTreeMap::new();
    for case in cases(EXTRA) {
        let id = text(&case["id"]);
        let (raw, expect) = (bytes(&case["encoded"]), &case["expect"]);
        let kind = text(&case["format"]);
        *kinds.entry(kind.to_owned()).or_insert(0) += 1;
        match kind {
            "ibft1" | "ibft2" | "qbft" if expect["ok"] == true => {
                let decoded = ExtraData::decode(&raw, format(kind)).unwrap_or_else(|e| panic!("{id}: {e}"));
                assert_eq!(decoded, expected(expect), "{id}");
                assert_eq!(decoded.encode(format(kind)), raw, "{id}");
            }
            "ibft1" | "ibft2" | "qbft" => {
                assert!(ExtraData::decode(&raw, format(kind)).is_err(), "{id}");
            }
            "qbft-2021-draft" => {
                assert!(ExtraData::decode(&raw, HeaderFormat::Qbft).is_err(), "{id}");
                let decoded = ExtraData::decode(&raw, HeaderFormat::Ibft2).unwrap();
                assert_eq!(decoded.encode(HeaderFormat::Ibft2), raw, "{id}");
            }
            "ibft1-write-seal" => {
                assert_ne!(raw.len(), 65, "{id}");
                let extra = ExtraData { proposer_seal: raw, ..ExtraData::default() };
                assert!(ExtraData::decode(&extra.encode(HeaderFormat::Ibft1), HeaderFormat::Ibft1).is_err());
            }
            "qbft-for-commit-hash" => {
                let round = qbft_round(&header_with(raw.clone())).unwrap();
                let stripped = with_round(&header_with(raw), round).unwrap();
                assert_eq!(stripped.extra_data, bytes(&expect["stripped"]), "{id}");
            }
            "ibft2-for-commit-hash" => {
                let stripped = header_with(bytes(&expect["stripped"])).hash_slow();
                assert_eq!(commit_digest(&header_with(raw), HeaderFormat::Ibft2), Ok(stripped), "{id}");
            }
            other => panic!("{id}: unknown kind {other}"),
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

#[test]
fn vectors_hash() {
    for case in cases(HASHES) {
        let (id, expect) = (text(&case["id"]), &case["expect"]);
        let format = format(text(&case["format"]));
        let raw = bytes(&case["header_rlp"]);
        let header = Header::decode(&mut raw.as_ref()).unwrap();
        assert_eq!(alloy_rlp::encode(&header), raw, "{id}");
        assert_eq!(block_hash(&header, format).unwrap(), hash(&expect["block_hash"]), "{id}");
        if expect.get("seal_hash_without_seals").is_some() {
            let seal_hash = ibft1_seal_hash(&header).unwrap();
            assert_eq!(seal_hash, hash(&expect["seal_hash_without_seals"]), "{id}");
            let digest = ibft1_proposer_digest(&header).unwrap();
            assert_eq!(digest, hash(&expect["proposer_signed_digest"]), "{id}");
            let extra = ExtraData::decode(&header.extra_data, format).unwrap();
            let seal = Signature::from_slice(&extra.proposer_seal).unwrap();
            assert_eq!(bytes(&expect["proposer"]), seal.recover(digest).unwrap().to_vec(), "{id}");
        }
        let Some(digest) = expect.get("committed_seal_signed_digest") else { continue };
        assert_eq!(commit_digest(&header, format).unwrap(), hash(digest), "{id}");
        check_committers(id, &header, format, &expect["committers"]);
    }
}

fn check_committers(id: &str, header: &Header, format: HeaderFormat, committers: &Value) {
    let digest = commit_digest(header, format).unwrap();
    let seals = ExtraData::decode(&header.extra_data, format).unwrap().seals;
    let mut who: Vec<_> = seals.iter().map(|seal| seal.recover(digest).unwrap()).collect();
    let mut want: Vec<_> =
        committers.as_array().unwrap().iter().map(|raw| Address::from_slice(&bytes(raw))).collect();
    who.sort();
    want.sort();
    assert_eq!(who, want, "{id}");
}

/// `[vanity, [], [], round 1, []]` and what one wrong byte or element makes of it.
#[test]
fn qbft_is_strict() {
    let list = |elements: &str| {
        let payload = hex::decode(elements.replace(' ', "")).unwrap();
        whole_list(&payload)
    };
    let vanity = format!("a0{}", "00".repeat(32));
    let voter = format!("94{}", "01".repeat(20));
    let decode = |elements: &str| {
        ExtraData::decode(&list(&elements.replace('V', &vanity).replace('R', &voter)), HeaderFormat::Qbft)
    };
    for good in
        ["V c0 c0 01 c0", "80 c0 c0 80 c0", "01 c0 c0 80 c0", "V c0 d6 R 80 80 c0", "V c0 d7 R 81ff 80 c0"]
    {
        assert!(decode(good).is_ok(), "{good}");
    }
    let bad = [
        ("V c0 c0 00 c0", "round zero as a byte"),
        ("V c0 c0 820001 c0", "round with a leading zero"),
        ("V c0 c0 8101 c0", "round not as a single byte"),
        ("V c0 c0 01", "no seals"),
        ("V c0 c0 01 c0 c0", "a sixth element"),
        ("V c0 80 01 c0", "IBFT 2.0's absent vote"),
        ("V c0 d6 R 00 01 c0", "IBFT 2.0's drop vote"),
        ("V c0 d6 R 01 01 c0", "an unknown type of vote"),
        ("V c0 d5 R 01 c0", "a vote without type"),
        ("V c0 d7 R 80 80 01 c0", "a vote with a third element"),
        ("V c1 80 c0 01 c0", "a validator of no bytes"),
        ("V 80 c0 01 c0", "validators that are no list"),
        ("V c0 c0 01 c1 80", "a seal of no bytes"),
        ("V c0 c0 01 80", "seals that are no list"),
        ("V c0 c0 c0 c0", "a round that is a list"),
        ("c0 c0 c0 01 c0", "a vanity that is a list"),
        (
            "a1000000000000000000000000000000000000000000000000000000000000000000 c0 c0 01 c0",
            "33 bytes of vanity",
        ),
    ];
    for (elements, what) in bad {
        assert!(decode(elements).is_err(), "{what} was taken");
    }
    let mut trailing = list(&format!("{vanity} c0 c0 01 c0")).to_vec();
    trailing.push(0);
    assert!(ExtraData::decode(&trailing, HeaderFormat::Qbft).is_err());
}

#[test]
fn ibft1_is_strict() {
    let good = ExtraData { vanity: vec![7; 32].into(), ..ExtraData::default() };
    let raw = good.encode(HeaderFormat::Ibft1);
    assert_eq!(ExtraData::decode(&raw, HeaderFormat::Ibft1), Ok(good));
    for cut in 0..raw.len() {
        assert!(ExtraData::decode(&raw[..cut], HeaderFormat::Ibft1).is_err());
    }
    let mut longer = raw.to_vec();
    longer.push(0x80);
    assert!(ExtraData::decode(&longer, HeaderFormat::Ibft1).is_err());
    let mut fourth = raw[..32].to_vec();
    fourth.extend_from_slice(&[0xc4, 0xc0, 0x80, 0xc0, 0xc0]);
    assert!(ExtraData::decode(&fourth, HeaderFormat::Ibft1).is_err());
}

#[test]
fn a_header_of_another_format_has_no_hash() {
    let extra = ExtraData { vanity: vec![0; 32].into(), ..ExtraData::default() };
    let qbft = header_with(extra.encode(HeaderFormat::Qbft));
    assert!(block_hash(&qbft, HeaderFormat::Ibft1).is_err());
    assert!(commit_digest(&qbft, HeaderFormat::Ibft2).is_err());
    assert!(qbft_digest(&header_with(extra.encode(HeaderFormat::Ibft1)), 0).is_err());
}

#[test]
fn round_and_seals_do_not_move_the_block_hash() {
    let extra = ExtraData { vanity: vec![1; 32].into(), round: 2, ..ExtraData::default() };
    let header = header_with(extra.encode(HeaderFormat::Qbft));
    let hash = block_hash(&header, HeaderFormat::Qbft).unwrap();
    let seal = NodeKey::from_bytes(&[3; 32]).unwrap().sign(qbft_digest(&header, 5).unwrap());
    let sealed = with_round_and_seals(&header, 5, &[seal]).unwrap();
    assert_eq!(block_hash(&sealed, HeaderFormat::Qbft).unwrap(), hash);
    assert_eq!(commit_digest(&sealed, HeaderFormat::Qbft), qbft_digest(&header, 5));
    assert_ne!(commit_digest(&sealed, HeaderFormat::Qbft), commit_digest(&header, HeaderFormat::Qbft));
    assert_eq!(qbft_digest(&sealed, 0), Ok(hash));
    assert_eq!(ExtraData::decode(&sealed.extra_data, HeaderFormat::Qbft).unwrap().seals, vec![seal]);
    assert_eq!(with_round(&sealed, 2).unwrap(), header);
}

#[test]
fn block_zero_of_ibft2_is_hashed_as_it_stands() {
    let extra = ExtraData { vanity: vec![0; 32].into(), ..ExtraData::default() };
    let mut header = header_with(extra.encode(HeaderFormat::Ibft2));
    assert_ne!(block_hash(&header, HeaderFormat::Ibft2), Ok(header.hash_slow()));
    header.number = 0;
    assert_eq!(block_hash(&header, HeaderFormat::Ibft2), Ok(header.hash_slow()));
}

fn any_format() -> impl Strategy<Value = HeaderFormat> {
    prop_oneof![Just(HeaderFormat::Ibft1), Just(HeaderFormat::Ibft2), Just(HeaderFormat::Qbft)]
}

fn any_extra(format: HeaderFormat) -> impl Strategy<Value = ExtraData> {
    let vanity = if format == HeaderFormat::Qbft { 0..33_usize } else { 32..33 };
    let address = any::<[u8; 20]>().prop_map(Address::from);
    let seal = prop::collection::vec(any::<u8>(), 65).prop_map(|raw| Signature::from_slice(&raw).unwrap());
    let vote = prop::option::of((address.clone(), any::<bool>()).prop_map(|(recipient, add)| Vote {
        recipient,
        kind: if add { VoteKind::Add } else { VoteKind::Drop },
    }));
    let parts = (
        prop::collection::vec(any::<u8>(), vanity),
        prop::collection::vec(address, 0..6),
        vote,
        any::<u32>(),
        any::<bool>(),
        prop::collection::vec(seal, 0..6),
    );
    parts.prop_map(move |(vanity, validators, vote, round, sealed, seals)| {
        let ibft1 = format == HeaderFormat::Ibft1;
        ExtraData {
            vanity: vanity.into(),
            validators,
            vote: vote.filter(|_| !ibft1),
            round: if ibft1 { 0 } else { round },
            proposer_seal: if ibft1 && sealed { vec![9; 65].into() } else { Bytes::new() },
            seals,
        }
    })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes(
        (format, extra) in any_format().prop_flat_map(|f| (Just(f), any_extra(f)))
    ) {
        prop_assert_eq!(ExtraData::decode(&extra.encode(format), format), Ok(extra));
    }

    /// A commitment moves the hash of a block, and touches nothing else.
    #[test]
    fn a_vanity_is_replaced_alone(
        (format, extra) in any_format().prop_flat_map(|f| (Just(f), any_extra(f))),
        vanity in any::<[u8; 32]>(),
    ) {
        let vanity = B256::from(vanity);
        let raw = extra.encode(format);
        let replaced = with_vanity(&raw, format, vanity).unwrap();
        let want = ExtraData { vanity: vanity.to_vec().into(), ..extra.clone() };
        prop_assert_eq!(ExtraData::decode(&replaced, format), Ok(want.clone()));
        let hash = |extra_data| block_hash(&header_with(extra_data), format).unwrap();
        prop_assert_eq!(hash(raw) == hash(replaced), extra == want);
        prop_assert!(with_vanity(&[], format, vanity).is_err());
    }

    /// Whatever still decodes after a change has the changed bytes as its only encoding.
    #[test]
    fn there_is_one_encoding_only(
        (format, extra) in any_format().prop_flat_map(|f| (Just(f), any_extra(f))),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut raw = extra.encode(format).to_vec();
        let at = at.index(raw.len());
        raw[at] = byte;
        if let Ok(other) = ExtraData::decode(&raw, format) {
            prop_assert_eq!(other.encode(format), Bytes::from(raw));
        }
    }

    #[test]
    fn noise_never_panics(raw in prop::collection::vec(any::<u8>(), 0..300), format in any_format()) {
        if let Ok(extra) = ExtraData::decode(&raw, format) {
            prop_assert_eq!(extra.encode(format), Bytes::from(raw));
        }
    }
}
