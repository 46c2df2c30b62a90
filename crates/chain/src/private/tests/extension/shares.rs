//! States that are taken.

use super::*;
use crate::private::extension::NOT_OURS;

#[test]
fn a_new_party_gets_the_contract_as_the_others_have_it() {
    for mode in MODES {
        let mut scene = Scene::accepted(mode);
        assert_eq!(scene.account(C), None);
        let shared = scene.share();
        assert!(scene.is_shared(), "{mode:?}: {:?} {:?}", scene.receipt(A).error, scene.receipt(C).error);
        assert_eq!([1, 5].map(|slot| scene.slot(C, slot)), [11, 15]);
        let code = scene.parties[C].state().code(&keccak256(STORE_CODE)).unwrap();
        assert_eq!(code.as_ref(), STORE_CODE);
        let mandatory = if mode == PrivacyMode::MandatoryRecipients { vec![[9; 32]] } else { Vec::new() };
        let record = ContractRecord {
            creation: shared,
            flag: mode.flag(),
            mandatory,
            origin: Origin::Shared { by: scene.management },
        };
        assert_eq!(scene.record(C), Some(record.clone()));
        let known = ContractRecord { origin: Origin::Transaction, ..record };
        let known = (mode != PrivacyMode::Standard).then_some(known);
        assert_eq!([scene.record(A), scene.record(B)], [known.clone(), known]);
        assert_eq!(scene.managed(C).shared, shared.to_string());
        assert_eq!(scene.managed(C), scene.managed(A));
        scene.check_replay();
    }
}

#[test]
fn from_then_on_the_contract_moves_on_at_all_parties() {
    for mode in MODES {
        let mut scene = Scene::accepted(mode);
        let shared = scene.share();
        let to = Some(scene.contract);
        scene.send(CREATOR, to, set(1, 99), &[A, B, C], &[shared]);
        assert!(scene.is_shared(), "{mode:?}: {:?}", scene.receipt(C).error);
        assert_eq!(scene.slot(C, 1), 99);
        scene.send(RECIPIENT, to, set(7, 1), &[A, B, C], &[shared]);
        assert!(scene.is_shared(), "{mode:?}: {:?}", scene.receipt(A).error);
        // Who still goes by the old parties does nothing, where that is checked.
        scene.call(set(2, 100));
        assert_eq!(scene.receipt(A).success, mode == PrivacyMode::Standard);
        scene.check_replay();
    }
}

#[test]
fn a_contract_that_moved_on_is_shared_again() {
    for mode in MODES {
        let mut scene = Scene::accepted(mode);
        let (early, block) = (scene.state(), scene.parties[A].follower.head().number);
        scene.call(set(1, 77));
        scene.call(set(9, 9));
        scene.share_with(early, &[A, B, C]);
        for party in [A, B] {
            let error = scene.error(party);
            assert_eq!(
                error,
                format!("contract extension: the shared state is not ours as of block {block}")
            );
            assert!(error.starts_with(NOT_OURS));
            assert_eq!(scene.managed(party).shared, "", "nothing happened there");
        }
        // The new party cannot know, and has what it was given.
        assert!(scene.receipt(C).success);
        assert_eq!([1, 9].map(|slot| scene.slot(C, slot)), [11, 0]);
        let shared = scene.share();
        assert!(scene.is_shared(), "{mode:?}: {:?}", scene.receipt(A).error);
        assert_eq!([1, 9].map(|slot| scene.slot(C, slot)), [77, 9]);
        assert_eq!(scene.record(C).unwrap().creation, shared);
        assert_eq!(scene.managed(A), scene.managed(C));
        scene.check_replay();
    }
}

#[test]
fn later_transactions_of_the_block_see_it() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    let state = scene.state();
    let shared = scene.give(A, &[A, B, C], state, None);
    let call = Extension::setSharedStateHashCall { hash: shared.to_string() };
    let (management, contract) = (scene.management, scene.contract);
    let everybody = &[A, B, C];
    let (_, first) = scene.draft(CREATOR, Some(management), call.abi_encode().into(), everybody, &[]);
    let (_, second) = scene.draft(CREATOR, Some(contract), set(1, 0), everybody, &[]);
    let (_, third) = scene.draft(CREATOR, Some(contract), set(6, 60), everybody, &[]);
    scene.chain.submit(&[first, second, third]);
    scene.next_block();
    assert!(scene.is_shared());
    assert_eq!([1, 2, 6].map(|slot| scene.slot(C, slot)), [0, 12, 60]);
    scene.check_replay();
}

#[test]
fn the_block_waits_for_a_state_that_cannot_be_had() {
    let mut scene = Scene::accepted(PrivacyMode::PartyProtection);
    let state = scene.state();
    let shared = PayloadHash(B512::repeat_byte(200));
    let metadata = scene.metadata(&[]);
    let away = (shared, Lookup::Unavailable("no answer".to_owned()));
    scene.parties[C].unavailable(&away, "no answer");
    let before = scene.parties[C].follower.head().number;
    scene.payloads = 199;
    scene.give(A, &[A, B], state.clone(), Some(metadata.clone()));
    let call = Extension::setSharedStateHashCall { hash: shared.to_string() };
    let (to, begun) = (scene.management, scene.begun);
    let (_, draft) = scene.draft(CREATOR, Some(to), call.abi_encode().into(), &[A, B, C], &[begun]);
    scene.chain.submit(&[draft]);
    scene.chain.next_block();
    [A, B].into_iter().for_each(|party| scene.parties[party].catch_up());
    let waiting = Waiting { number: before + 1, payload: shared, reason: "no answer".to_owned() };
    assert_eq!(scene.parties[C].advance(), Advance::Waiting(waiting));
    assert_eq!(scene.parties[C].follower.head().number, before);
    scene.payloads = 199;
    scene.give(A, &[C], state, Some(metadata));
    scene.parties[C].catch_up();
    assert!(scene.is_shared());
}

#[test]
fn a_state_that_comes_late_leads_back_to_where_it_was_named() {
    let mut scene = Scene::accepted(PrivacyMode::PartyProtection);
    let state = scene.state();
    let shared = scene.share_with(state.clone(), &[A, B]);
    let number = scene.parties[C].follower.head().number;
    assert!(scene.receipt(C).success && scene.account(C).is_none());
    assert_eq!(scene.parties[C].reader().seen(&shared).unwrap(), [(number, 0, Fate::NotOurs)]);
    let to = scene.contract;
    scene.send(CREATOR, Some(to), set(1, 50), &[A, B, C], &[shared]);
    assert!(!scene.receipt(C).success || scene.account(C).is_none());
    scene.payloads = shared.0[0] - 1;
    let metadata = scene.metadata(&[]);
    scene.give(A, &[C], state, Some(metadata));
    assert_eq!(scene.parties[C].follower.arrived(&shared).unwrap(), Arrived::LedBack(number - 1));
    scene.parties[C].catch_up();
    assert!(scene.is_shared());
    assert_eq!(scene.slot(C, 1), 50);
    assert_eq!(scene.parties[C].reader().seen(&shared).unwrap(), [(number, 0, Fate::Read)]);
}

#[test]
fn a_consent_that_comes_late_counts_too() {
    let mut scene = Scene::new(PrivacyMode::Standard);
    scene.begin();
    let consent = PayloadHash(B512::repeat_byte(200));
    scene.vote(true, &consent.to_string());
    scene.share();
    assert!(scene.error(C).contains("has not consented"));
    let management = scene.management;
    scene.payloads = 199;
    scene.give(C, &[C], Bytes::copy_from_slice(management.as_slice()), None);
    assert!(matches!(scene.parties[C].follower.arrived(&consent).unwrap(), Arrived::LedBack(_)));
    scene.parties[C].catch_up();
    assert!(scene.is_shared());
}

#[test]
fn an_erased_state_is_gone_with_the_contract() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    let before = scene.parties[C].follower.head().number;
    let shared = scene.share();
    scene.parties[C].erased(&(shared, Lookup::Erased));
    assert_eq!(scene.parties[C].follower.erased(&shared).unwrap(), Arrived::LedBack(before));
    scene.parties[C].catch_up();
    assert_eq!((scene.account(C), scene.record(C)), (None, None));
    let seen = scene.parties[C].reader().seen(&shared).unwrap();
    assert_eq!(seen, [(before + 1, 0, Fate::Erased)]);
}

#[test]
fn who_is_no_new_party_gets_nothing() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    // B has the extension, but neither the contract nor the key that it is for.
    let created = scene.created;
    scene.parties[B].forgets(&created);
    scene.parties[B].follower.reset().unwrap();
    scene.share();
    assert!(scene.receipt(B).success && scene.account(B).is_none() && scene.record(B).is_none());
    assert_eq!(scene.account(C), scene.account(A));
}

#[test]
fn another_extension_by_a_party_of_an_open_contract_finds_the_same_state() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    scene.share();
    let (first, origin) = (scene.management, scene.record(C).unwrap());
    // To C again: it has the contract by the first one, and compares.
    scene.begin();
    scene.accept();
    scene.share();
    assert!(scene.is_shared());
    assert_eq!(scene.record(C).unwrap(), origin);
    let stale = scene.state();
    let to = scene.contract;
    scene.send(CREATOR, Some(to), set(1, 1), &[A, B, C], &[]);
    scene.share_with(stale, &[A, B, C]);
    assert!(scene.error(C).contains("is not ours as of block"));
    assert_eq!(scene.slot(C, 1), 1);
    // The first one still may give it a later state.
    scene.management = first;
    scene.share();
    assert!(scene.is_shared());
}

#[test]
fn a_payload_that_was_only_named_still_runs_in_a_marker() {
    let mut scene = Scene::accepted(PrivacyMode::Standard);
    let to = scene.contract;
    let (inner, draft) = scene.draft(CREATOR, Some(to), set(3, 33), &[A, B], &[]);
    scene.nonces.insert(CREATOR, draft.tx.nonce);
    let carried = marker::encode(&draft.transaction()).unwrap();
    // Somebody names the payload of a transaction that is still to come.
    scene.name(&inner);
    assert!(scene.error(A).contains("not the state of one contract"));
    let outer = scene.give(A, &[A, B], carried, None);
    scene.chain.submit(&[marker_draft(7, 0, &(outer, Lookup::NotOurs))]);
    scene.next_block();
    assert_eq!([A, B].map(|party| scene.slot(party, 3)), [33, 33]);
    scene.check_replay();
}
