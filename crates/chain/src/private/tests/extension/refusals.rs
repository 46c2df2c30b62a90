//! States that are not taken, and what is no extension at all.

use super::*;
use crate::private::extension::contract::STATE_SHARED;
use alloy_sol_types::SolEvent;
use serde_json::Value;

/// The newest transaction failed at the new party with this reason, and left nothing there.
fn refused(scene: &Scene, why: &str) {
    let error = scene.error(C);
    assert!(error.starts_with("contract extension: ") && error.contains(why), "{error}, not {why}");
    assert!(scene.account(C).is_none() && scene.record(C).is_none());
    let head = scene.parties[C].follower.head().number;
    let reader = scene.parties[C].reader();
    assert_eq!(reader.root_at(head).unwrap(), reader.root_at(head - 1).unwrap());
}

/// Shares what becomes of the state's JSON.
fn share_changed(scene: &mut Scene, change: impl FnOnce(&mut Value, &str)) {
    let mut json: Value = serde_json::from_slice(&scene.state()).unwrap();
    let contract = format!("{:#x}", scene.contract);
    change(&mut json, &contract);
    scene.share_with(serde_json::to_vec(&json).unwrap().into(), &[A, B, C]);
}

#[test]
fn an_altered_state_is_refused() {
    type Change = fn(&mut Value, &str);
    let zero = format!("{:#066x}", 1);
    let other = zero.as_str();
    let cases: [(&str, Change); 10] = [
        ("about another state", |json, at| json[at]["state"]["balance"] = "0x1".into()),
        ("about another state", |json, at| json[at]["state"]["nonce"] = "0x9".into()),
        ("about another state", |json, at| json[at]["state"]["root"] = json["statement"]["leaf"].clone()),
        ("code hash is not that of the code", |json, at| json[at]["state"]["code"] = "0x600160005500".into()),
        ("has no code", |json, at| json[at]["state"]["code"] = "0x".into()),
        ("has no code", |json, at| json[at]["state"]["code"] = "0xef0100".into()),
        ("root is not that of the slots", |json, at| {
            let slots = json[at]["state"]["storage"].as_object_mut().unwrap();
            slots.values_mut().next().map(|value| *value = "0x5".into()).unwrap();
        }),
        ("root is not that of the slots", |json, at| {
            let slots = json[at]["state"]["storage"].as_object_mut().unwrap();
            let first = slots.keys().next().unwrap().clone();
            slots.remove(&first).unwrap();
        }),
        ("not the state of one contract", |json, at| {
            let other = json[at].clone();
            json["0x00000000000000000000000000000000000000aa"] = other;
        }),
        ("not the state of one contract", |json, _| drop(json.as_object_mut().unwrap().remove("statement"))),
    ];
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    for (why, change) in cases {
        share_changed(&mut scene, change);
        refused(&scene, why);
        assert!(!scene.receipt(A).success && !scene.receipt(B).success);
    }
    share_changed(&mut scene, |json, at| {
        json[at]["state"]["storage"][other] = "0x0".into();
    });
    refused(&scene, "root is not that of the slots");
    for nonsense in [&b""[..], b"{}", b"[]", &[0xff; 50]] {
        scene.share_with(Bytes::copy_from_slice(nonsense), &[A, B, C]);
        refused(&scene, "not the state of one contract");
    }
    scene.share();
    assert!(scene.is_shared(), "the true one is taken after all that");
}

#[test]
fn a_statement_about_something_else_is_refused() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    let state = scene.parties[A].reader().contract_state(&scene.contract, 100).unwrap().unwrap();
    let signed =
        |terms: &Terms, state: &_| shared::encode(state, terms, key(77).node_id(), &key(77)).unwrap();
    let terms = scene.terms();
    let elsewhere = Address::repeat_byte(0xaa);
    let cases = [
        ("another network", signed(&Terms { genesis: Default::default(), ..terms }, &state)),
        ("another contract", signed(&Terms { contract: elsewhere, ..terms }, &state)),
        ("another extension", signed(&Terms { management: elsewhere, ..terms }, &state)),
        ("not signed by its node", shared::encode(&state, &terms, key(78).node_id(), &key(77)).unwrap()),
    ];
    for (why, state) in cases {
        scene.share_with(state, &[A, B, C]);
        refused(&scene, why);
    }
    let mut late = state.clone();
    late.head.number = scene.parties[A].follower.head().number + 1;
    let late = signed(&terms, &late);
    scene.share_with(late, &[A, B, C]);
    refused(&scene, "a block to come");
}

#[test]
fn a_state_sent_by_another_party_is_refused() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    let state = scene.state();
    let hash = scene.give(B, &[A, B, C], state, None);
    scene.name(&hash);
    refused(&scene, "by another party than the one who began");
}

#[test]
fn a_state_under_another_flag_is_refused() {
    let mut scene = Scene::accepted(PrivacyMode::PartyProtection);
    let state = scene.state();
    let hash = scene.give(A, &[A, B, C], state, None);
    scene.name(&hash);
    refused(&scene, "with another privacy flag");
    // Validation of the state, with the root of another.
    let mut scene = Scene::accepted(PrivacyMode::StateValidation);
    let (state, mut metadata) = (scene.state(), scene.metadata(&[]));
    metadata.exec_hash = execution_root_text(Default::default()).into_bytes().into();
    let hash = scene.give(A, &[A, B, C], state, Some(metadata));
    scene.name(&hash);
    refused(&scene, "another root than its own");
}

#[test]
fn only_who_made_a_protected_contract_extends_it() {
    let mut scene = Scene::new(PrivacyMode::PartyProtection);
    // As if B had made it: then what A begins counts for nothing at the parties.
    let (created, mode) = (scene.created, scene.mode);
    for party in [A, B] {
        let metadata = Metadata { mode, ..Metadata::default() };
        let payload = PrivatePayload {
            payload: init_code(&STORE_CODE),
            metadata,
            managed_parties: vec![party_key(party)],
            sender: party_key(B),
        };
        scene.parties[party].has(&(created, Lookup::Found(payload)));
    }
    scene.begin();
    scene.accept();
    scene.share();
    for party in [A, B] {
        assert!(scene.error(party).contains("only the party that made the contract"));
        assert_eq!(scene.record(party).unwrap().creation, created);
    }
}

#[test]
fn an_extension_with_another_flag_than_the_contract_s_counts_for_nothing() {
    let mut scene = Scene::new(PrivacyMode::PartyProtection);
    scene.mode = PrivacyMode::Standard;
    scene.begin();
    scene.accept();
    scene.share();
    assert!(scene.error(A).contains("the contract has another privacy flag"));
    assert_eq!(scene.record(A).unwrap().creation, scene.created);
}

#[test]
fn other_mandatory_recipients_are_refused() {
    let mut scene = Scene::accepted(PrivacyMode::MandatoryRecipients);
    let (state, mut metadata) = (scene.state(), scene.metadata(&[]));
    metadata.mandatory = vec![PublicKey([8; 32])];
    let hash = scene.give(A, &[A, B, C], state, Some(metadata));
    scene.name(&hash);
    assert!(scene.error(A).contains("other mandatory recipients"));
    assert_eq!(scene.record(A).unwrap().creation, scene.created);
}

#[test]
fn without_its_own_consent_nothing_comes_to_a_node() {
    let mut scene = Scene::new(PrivacyMode::Standard);
    scene.begin();
    let management = Bytes::copy_from_slice(scene.management.as_slice());
    let elsewhere = scene.give(C, &[C], Bytes::copy_from_slice(scene.contract.as_slice()), None);
    let by_another = scene.give(A, &[A, C], management, None);
    let unknown = PayloadHash(B512::repeat_byte(0xfe));
    scene.vote(true, "");
    for consent in [
        String::new(),
        "nonsense".to_owned(),
        unknown.to_string(),
        elsewhere.to_string(),
        by_another.to_string(),
    ] {
        let call = Extension::setUuidCall { nextuuid: consent.clone() };
        scene.manage(RECIPIENT, call.abi_encode());
        assert_eq!(scene.managed(C).consent, consent);
        scene.share();
        refused(&scene, "has not consented");
        assert!(scene.receipt(A).success, "the others cannot know");
    }
}

#[test]
fn a_public_contract_is_never_covered() {
    let mut scene = Scene::new(PrivacyMode::Standard);
    // A says that a public contract were a private one of its own.
    scene.contract = COUNTER;
    scene.begin();
    scene.accept();
    let mut state = scene.parties[A].reader().contract_state(&sender(CREATOR).create(0), 9).unwrap().unwrap();
    state.head = scene.parties[A].follower.head();
    let state = shared::encode(&state, &scene.terms(), key(77).node_id(), &key(77)).unwrap();
    scene.share_with(state, &[A, B, C]);
    refused(&scene, "another account at the contract's address");
}

#[test]
fn nobody_shares_before_the_vote_and_after_the_end() {
    let mut scene = Scene::new(PrivacyMode::Standard);
    scene.begin();
    scene.share();
    assert_eq!(scene.error(C), "execution reverted: not all have accepted");
    assert!(scene.account(C).is_none());
    scene.accept();
    scene.manage(CREATOR, Extension::finishCall {}.abi_encode());
    scene.share();
    assert_eq!(scene.error(C), "execution reverted: the extension is finished");
    assert!(scene.account(C).is_none());
}

/// The event alone says nothing.
#[test]
fn another_contract_that_emits_the_event_does_nothing() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    let state = scene.state();
    let shared = scene.give(A, &[A, B, C], state, None);
    let event = Extension::StateShared {
        toExtend: scene.contract,
        tesserahash: shared.to_string(),
        uuid: scene.managed(C).consent,
    };
    // Logs its call data under the topic: CALLDATASIZE 0 0 CALLDATACOPY, PUSH32 topic, CALLDATASIZE 0 LOG1.
    let code =
        [&[0x36, 0x5f, 0x5f, 0x37, 0x7f][..], STATE_SHARED.as_slice(), &[0x36, 0x5f, 0xa1, 0x00]].concat();
    let liar = sender(CREATOR).create(scene.nonce(CREATOR));
    scene.send(CREATOR, None, init_code(&code), &[A, B, C], &[]);
    scene.send(CREATOR, Some(liar), event.encode_data().into(), &[A, B, C], &[]);
    let receipt = scene.receipt(C);
    assert!(receipt.success);
    assert_eq!(receipt.logs[0].data.topics(), [STATE_SHARED], "anybody may say so");
    assert!(scene.account(C).is_none());
    let seen = scene.parties[C].reader().seen(&shared).unwrap();
    assert_eq!(seen, [], "nobody even looked");
}

/// The code alone says nothing either: whoever deploys it otherwise chooses what it stores.
#[test]
fn a_contract_with_the_known_code_that_was_made_otherwise_does_nothing() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    // The same code, and every slot of the true one, but without anybody's vote.
    let (head, true_one) = (scene.parties[C].reader(), scene.management);
    let known = head.contract_state(&true_one, 100).unwrap().unwrap();
    let mut init = Vec::new();
    for slot in 0u64..8 {
        let value = scene.parties[C].state().storage(&true_one, &U256::from(slot)).unwrap();
        init.extend([&[0x7f][..], &value.to_be_bytes::<32>(), &[0x60, slot as u8, 0x55]].concat());
    }
    for text in [3u64, 5] {
        let base: U256 = keccak256(U256::from(text).to_be_bytes::<32>()).into();
        for word in 0u64..4 {
            let slot = base + U256::from(word);
            let value = scene.parties[C].state().storage(&true_one, &slot).unwrap();
            let [value, slot] = [value, slot].map(|word| word.to_be_bytes::<32>());
            init.extend([&[0x7f][..], &value, &[0x7f], &slot, &[0x55]].concat());
        }
    }
    let length = known.code.len() as u16;
    let offset = init.len() as u16 + 14;
    init.extend([0x61, (length >> 8) as u8, length as u8, 0x61, (offset >> 8) as u8, offset as u8]);
    init.extend([0x5f, 0x39, 0x61, (length >> 8) as u8, length as u8, 0x5f, 0xf3, 0x00]);
    init.extend_from_slice(&known.code);
    scene.management = sender(CREATOR).create(scene.nonce(CREATOR));
    scene.begun = scene.send(CREATOR, None, init.into(), &[A, B, C], &[]);
    assert!(scene.receipt(C).success, "{:?}", scene.receipt(C).error);
    let forged = scene.managed(C);
    assert_eq!(forged, Management::read(&scene.parties[C].state(), &true_one).unwrap().unwrap());
    scene.share();
    assert!(scene.receipt(C).success && !scene.managed(C).shared.is_empty());
    assert!(scene.account(C).is_none() && scene.record(C).is_none());
}
