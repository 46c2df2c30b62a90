use super::*;
use crate::testing::{bytes, keys, text, vectors};
use proptest::prelude::*;
use serde_json::Value;

fn seed(vector: &Value) -> Option<Bytes> {
    (!vector["seed"].is_null()).then(|| bytes(vector, "seed"))
}

#[test]
fn ids_are_tesseras() {
    for vector in vectors!("privacy_group.json") {
        let id = text(&vector, "id");
        let members = keys(&vector, "members");
        let seed = seed(&vector);
        assert_eq!(
            group_id(&members, seed.as_ref().map(AsRef::as_ref)),
            bytes(&vector, "privacyGroupId"),
            "{id}"
        );
        assert_eq!(lookup_id(&members), bytes(&vector, "lookupId"), "{id}");
        let distinct = each_once(members.iter().copied());
        let body = 33 * distinct.len() + seed.as_ref().map_or(0, |seed| seed.len() + 1);
        assert_eq!(header(SHORT_LIST, LONG_LIST, body), bytes(&vector, "rlpHeaderHex").as_ref(), "{id}");
        let hashes: Vec<_> = members.iter().map(|key| i64::from(java_hash(&key.0))).collect();
        let expected: Vec<_> =
            vector["memberJavaHashes"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
        assert_eq!(hashes, expected, "{id}");
        let kind = if seed.is_some() { GroupKind::Pantheon } else { GroupKind::Legacy };
        let group = group(kind, members, seed.unwrap_or_default());
        assert_eq!(
            (group.id(), group.lookup_id()),
            (bytes(&vector, "privacyGroupId"), bytes(&vector, "lookupId"))
        );
    }
}

fn group(kind: GroupKind, members: Vec<PublicKey>, seed: Bytes) -> PrivacyGroup {
    PrivacyGroup { name: "name".into(), description: "text".into(), members, seed, kind, deleted: false }
}

#[test]
fn long_headers_are_not_rlp() {
    let list = |length| hex::encode(header(SHORT_LIST, LONG_LIST, length));
    let cases =
        [(0, "c0"), (55, "f7"), (56, "f838"), (255, "f8ff"), (256, "f7"), (257, "f90101"), (285, "f91d01")];
    for (length, expected) in cases.into_iter().chain([(0x1_0001, "f801"), (0x1_0101, "fa010101")]) {
        assert_eq!(list(length), expected, "{length}");
    }
    let string = |bytes: &[u8]| {
        let mut out = Vec::new();
        put_string(&mut out, bytes);
        hex::encode(&out[..out.len() - bytes.len()])
    };
    assert_eq!(string(&[1]), "");
    assert_eq!(string(&[0x80]), "81");
    assert_eq!(string(&[]), "80");
    assert_eq!(string(&[1; 56]), "b838");
    assert_eq!(string(&[1; 300]), "b92c01");
}

#[test]
fn an_empty_seed_is_not_none() {
    let members = [PublicKey([1; 32]), PublicKey([2; 32])];
    assert_ne!(group_id(&members, None), group_id(&members, Some(&[])));
    let legacy = group(GroupKind::Legacy, members.to_vec(), Bytes::new());
    let pantheon = group(GroupKind::Pantheon, members.to_vec(), Bytes::new());
    assert_ne!(legacy.id(), pantheon.id());
    assert_eq!(legacy.lookup_id(), pantheon.lookup_id());
}

#[test]
fn as_tessera_writes_them() {
    for vector in vectors!("privacy_group_encoding.json") {
        let group = PrivacyGroup {
            name: text(&vector, "name").into(),
            description: text(&vector, "description").into(),
            members: keys(&vector, "members"),
            seed: bytes(&vector, "seed"),
            kind: GroupKind::from_name(text(&vector, "type")).unwrap(),
            deleted: text(&vector, "state") == "DELETED",
        };
        let encoded = bytes(&vector, "encodedHex");
        assert_eq!(group.encode(), encoded);
        assert_eq!(group.id(), bytes(&vector, "privacyGroupId"));
        for end in 0..encoded.len() {
            assert!(PrivacyGroup::decode(&encoded.slice(..end)).is_err(), "{end}");
        }
        assert_eq!(group.check(), Ok(()));
        assert_eq!(PrivacyGroup::decode(&encoded), Ok(group));
    }
}

fn reason(name: &[u8], member: &[u8], kind: &[u8], state: &[u8]) -> String {
    let mut out = Vec::new();
    put_field(&mut out, name);
    put_field(&mut out, b"");
    put_array(&mut out, &[member]);
    put_field(&mut out, b"");
    put_field(&mut out, kind);
    put_field(&mut out, state);
    PrivacyGroup::decode(&out.into()).err().map_or_else(String::new, |error| error.to_string())
}

#[test]
fn nonsense_is_refused() {
    assert_eq!(reason(b"n", &[1; 32], b"LEGACY", b"DELETED"), "");
    assert_eq!(reason(b"n", &[1; 31], b"LEGACY", b"ACTIVE"), "a member's key has 31 bytes, 32 are expected");
    assert_eq!(
        reason(b"n", &[1; 32], b"legacy", b"ACTIVE"),
        "the group's type is not LEGACY, PANTHEON or RESIDENT"
    );
    assert_eq!(reason(b"n", &[1; 32], b"LEGACY", b""), "the group's state is not ACTIVE or DELETED");
    assert_eq!(reason(&[0xff], &[1; 32], b"LEGACY", b"ACTIVE"), "the group's name is not UTF-8 text");
    let long = vec![b'a'; MAX_GROUP_TEXT_BYTES + 1];
    assert_eq!(
        reason(&long, &[1; 32], b"LEGACY", b"ACTIVE"),
        "the group's name: 4097 is more than the 4096 allowed"
    );
    let mut group = group(GroupKind::Pantheon, vec![], long.into());
    assert!(group.check().is_err());
    group.seed = Bytes::new();
    group.members = vec![PublicKey([1; 32]); MAX_RECIPIENTS + 1];
    assert!(group.check().is_err());
}

proptest! {
    #[test]
    fn order_and_repetition_do_not_matter(seeds in proptest::collection::vec(any::<u8>(), 1..12)) {
        let members: Vec<_> = seeds.iter().map(|seed| PublicKey([*seed; 32])).collect();
        let mut others: Vec<_> = members.iter().rev().copied().collect();
        others.push(members[0]);
        prop_assert_eq!(group_id(&members, Some(&[7])), group_id(&others, Some(&[7])));
        others.push(PublicKey([0xee; 31].iter().copied().chain([1]).collect::<Vec<_>>().try_into().unwrap()));
        prop_assert_ne!(group_id(&members, Some(&[7])), group_id(&others, Some(&[7])));
    }

    #[test]
    fn what_is_written_is_read(
        name in "\\PC{0,20}", description in "\\PC{0,20}",
        seed in proptest::collection::vec(any::<u8>(), 0..40),
        members in proptest::collection::vec(any::<[u8; 32]>(), 0..5),
        kind in 0..3usize, deleted in any::<bool>(),
    ) {
        let kind = [GroupKind::Legacy, GroupKind::Pantheon, GroupKind::Resident][kind];
        let members = members.into_iter().map(PublicKey).collect();
        let group = PrivacyGroup { name, description, members, seed: seed.into(), kind, deleted };
        prop_assert_eq!(PrivacyGroup::decode(&group.encode().into()), Ok(group));
    }

    #[test]
    fn no_bytes_are_a_trap(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), with in any::<u8>(),
    ) {
        let _ = PrivacyGroup::decode(&bytes.into());
        let members = vec![PublicKey([1; 32])];
        let mut almost = group(GroupKind::Legacy, members, Bytes::from_static(b"seed")).encode();
        let at = at.index(almost.len());
        almost[at] = with;
        let _ = PrivacyGroup::decode(&almost.into());
    }
}
