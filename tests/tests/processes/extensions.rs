//! A private contract gets one more party: on real nodes, with one of them killed in the middle.

use alloy_primitives::{Address, U256};
use lonja_tests::harness::party::{self, Party};
use lonja_tests::harness::{Plan, wait_for, wait_until};
use serde_json::{Value, json};

fn word(number: u8) -> [u8; 32] {
    alloy_primitives::keccak256([b"extended".as_slice(), &[number]].concat()).0
}

fn value(number: u8) -> Option<U256> {
    Some(U256::from_be_bytes(word(number)))
}

/// Begins an extension by its first party; the contract that manages it.
#[track_caller]
fn extend(from: &Party, vault: Address, to: &Party) -> Address {
    let txa = json!({ "from": from.account });
    let hash = from.rpc.get("quorumExtension_extendContract", json!([vault, to.key(), to.account, txa]));
    let receipt = from.receipt(serde_json::from_value(hash).expect("a hash"));
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    serde_json::from_value(receipt["contractAddress"].clone()).expect("an address")
}

/// Votes by the new party's account, once its node knows of it.
#[track_caller]
fn approve(party: &Party, management: Address, vote: bool) {
    wait_until("the new party hears of it", || {
        let list = party.rpc.get("quorumExtension_activeExtensionContracts", json!([]));
        list.as_array()
            .is_some_and(|list| list.iter().any(|one| one["managementContractAddress"] == json!(management)))
    });
    let txa = json!({ "from": party.account });
    let hash = party.rpc.get("quorumExtension_approveExtension", json!([management, vote, txa]));
    assert_eq!(party.receipt(serde_json::from_value(hash).expect("a hash"))["status"], "0x1");
}

fn wait_until_done(parties: &[&Party], management: Address) {
    for party in parties {
        wait_until("the extension is done", || {
            party.rpc.get("quorumExtension_getExtensionStatus", json!([management])) == "DONE"
        });
    }
}

/// A contract's storage as a party has it, without what is in flight.
#[track_caller]
fn storage_root(party: &Party, vault: Address) -> Value {
    wait_for("the storage root", || party.rpc.call("eth_storageRoot", json!([vault])).ok())
}

#[test]
fn a_new_party_gets_the_contract_and_takes_part_from_then_on() {
    for flag in 0..=3 {
        let (mut network, parties) = party::start(Plan::new(4, 3));
        let [a, b, c] = &parties[..] else { panic!("three parties") };
        let terms = match flag {
            2 => json!({ "privacyFlag": 2, "mandatoryFor": [b.key()] }),
            _ => json!({ "privacyFlag": flag }),
        };
        let vault = a.vault(&[b], terms.clone());
        for number in 1..=3 {
            let sent = a.send(Some(vault), &word(number), &[b], terms.clone());
            assert_eq!(a.receipt(sent)["status"], "0x1");
        }
        assert_eq!(c.look(vault), None);
        if flag > 0 {
            let txa = json!({ "from": b.account });
            let params = json!([vault, c.key(), c.account, txa]);
            let refused =
                b.rpc.call("quorumExtension_extendContract", params).expect_err("it did not make it");
            assert!(refused.contains("operation not allowed"), "{refused}");
        }
        let management = extend(a, vault, c);
        approve(c, management, true);
        wait_until_done(&[a, c], management);
        wait_until("the new party has it", || c.look(vault) == value(3));
        assert_eq!(storage_root(c, vault), storage_root(a, vault));
        // Nobody is left out of a protected contract.
        if flag > 0 {
            wait_until_done(&[b], management);
            for party in [b, c] {
                let of = |party: &Party| party.rpc.get("eth_getContractPrivacyMetadata", json!([vault]));
                wait_until("the parties name it alike", || of(party) == of(a));
            }
        }

        let write = |from: &Party, with: &[&Party], number: u8| {
            let sent = from.send(Some(vault), &word(number), with, terms.clone());
            for party in [a, b, c] {
                assert_eq!(party.receipt(sent)["status"], "0x1", "flag {flag}, party {}", party.number);
                assert_eq!(party.look(vault), value(number));
            }
        };
        write(a, &[b, c], 4);
        write(c, &[a, b], 5);
        write(b, &[a, c], 6);
        let all = network.all();
        network.assert_running(&all);
        network.assert_same_chain(&all);
        network.assert_calm(&all);
    }
}

#[test]
fn whoever_is_killed_goes_on_and_the_new_party_makes_its_state_again() {
    let (mut network, parties) = party::start(Plan::new(4, 3));
    let [a, b, c] = &parties[..] else { panic!("three parties") };
    let flag = json!({ "privacyFlag": 1 });
    let vault = a.vault(&[b], flag.clone());
    assert_eq!(a.receipt(a.send(Some(vault), &word(1), &[b], flag.clone()))["status"], "0x1");
    let management = extend(a, vault, c);
    approve(c, management, true);
    // Somewhere between the vote and the end.
    network.kill9(&[a.number]);
    network.launch(a.number);
    network.await_answers(&[a.number]);
    wait_until_done(&[a, b, c], management);
    assert_eq!(c.look(vault), value(1));
    a.receipt(a.send(Some(vault), &word(2), &[b, c], flag));
    wait_until("it moved on everywhere", || c.look(vault) == value(2));

    // From the chain and the payloads alone.
    let root = storage_root(c, vault);
    network.stop(c.number);
    std::fs::remove_dir_all(c.folder.join("private")).expect("it is there");
    network.launch(c.number);
    network.await_answers(&[c.number]);
    wait_until("it is made again", || c.look(vault) == value(2));
    assert_eq!(storage_root(c, vault), root);

    // A no ends it, and nothing comes of it.
    let other = a.vault(&[b], json!({}));
    let management = extend(a, other, c);
    approve(c, management, false);
    wait_until_done(&[a, c], management);
    assert_eq!(c.look(other), None);
    network.assert_same_chain(&network.all());
}
