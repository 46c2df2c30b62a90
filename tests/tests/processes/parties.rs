//! Members who deal in private: four validators, three members, whose nodes are stopped, robbed of their payloads, and
//! looked into.

use alloy_primitives::{B256, Bytes, U256};
use lonja_tests::harness::party::{self, Party, files_with};
use lonja_tests::harness::{Network, Plan, wait_until};
use serde_json::json;

/// A word that stands nowhere by chance.
fn secret(number: u8) -> B256 {
    alloy_primitives::keccak256([b"planted".as_slice(), &[number]].concat())
}

fn plan() -> Plan {
    Plan::new(4, 3)
}

/// Waits until a party has executed as far as the first of them, and compares roots.
#[track_caller]
fn assert_same_private_state(one: &Party, other: &Party) {
    let head = |party: &Party| {
        let status = party.rpc.get("lonja_status", json!([]));
        status["private"]["head"]["number"].as_u64().unwrap_or_else(|| panic!("no private head: {status}"))
    };
    let number = head(one);
    wait_until("the other is as far", || head(other) >= number);
    assert_eq!(one.root(number), other.root(number));
}

/// Nothing of these words stands in the data directory or the log of any of these.
#[track_caller]
fn assert_nowhere(network: &Network, members: &[usize], words: &[B256]) {
    for n in members {
        let member = network.member(*n);
        for word in words {
            assert_eq!(
                files_with(&member.folder, word.as_slice()),
                [] as [std::path::PathBuf; 0],
                "{}",
                member.name
            );
            let text = format!("{word:x}");
            assert!(!member.log().contains(&text), "{} logs a secret", member.name);
        }
    }
}

#[test]
fn private_dealings_stay_between_their_parties() {
    let (mut network, parties) = party::start(plan());
    let [a, b, c] = &parties[..] else { panic!("three parties") };
    let vault = a.vault(&[b], json!({}));
    let write = a.send(Some(vault), secret(1).as_slice(), &[b], json!({}));
    let (here, there) = (a.receipt(write), b.receipt(write));
    assert_eq!(here["status"], "0x1");
    for field in ["status", "logs", "logsBloom", "contractAddress", "blockHash", "to"] {
        assert_eq!(here[field], there[field], "{field}");
    }
    assert_eq!(here["logs"][0]["topics"], json!([secret(1)]));
    let word = U256::from_be_bytes(secret(1).0);
    assert_eq!((a.look(vault), b.look(vault), c.look(vault)), (Some(word), Some(word), None));
    assert_eq!(c.rpc.get("eth_getCode", json!([vault, "latest"])), "0x");

    // What the third sees: 64 bytes.
    wait_until("the third has the block", || {
        !c.rpc.get("eth_getTransactionByHash", json!([write])).is_null()
    });
    let seen = c.rpc.get("eth_getTransactionByHash", json!([write]));
    let input: Bytes = serde_json::from_value(seen["input"].clone()).expect("bytes");
    assert_eq!(input.len(), 64, "{seen}");
    assert_eq!(c.rpc.get("eth_getQuorumPayload", json!([input])), "0x");
    let refused = c.rpc.call("eth_getPrivateTransactionReceipt", json!([write])).expect_err("it is no party");
    assert!(refused.contains("not found for this participant"), "{refused}");

    // Logs are found by parties alone, by bloom and by topic.
    let filter = json!([{ "fromBlock": "0x0", "toBlock": "latest", "topics": [secret(1)] }]);
    for party in [a, b] {
        let logs = party.rpc.get("eth_getLogs", filter.clone());
        assert_eq!(logs.as_array().map(Vec::len), Some(1), "{logs}");
    }
    assert_eq!(c.rpc.get("eth_getLogs", filter), json!([]));

    // Past states, by both; other parties' answers go on from there.
    let before =
        U256::from_str_radix(here["blockNumber"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let at = |party: &Party, number: U256| {
        party.rpc.get("eth_getStorageAt", json!([vault, "0x0", format!("{number:#x}")]))
    };
    assert_eq!(at(a, before), json!(secret(1)));
    assert_eq!(at(a, before - U256::ONE), json!(B256::ZERO));
    assert_eq!(at(b, before - U256::ONE), json!(B256::ZERO));
    b.receipt(b.send(Some(vault), secret(2).as_slice(), &[a], json!({})));
    assert_same_private_state(b, a);
    let all = network.all();
    network.assert_running(&all);
    network.assert_same_chain(&all);
    network.assert_calm(&all);
    let strangers = [0, 1, 2, 3, c.number];
    assert_nowhere(&network, &strangers, &[secret(1), secret(2)]);
}

#[test]
fn a_party_that_is_away_is_named_and_its_payload_can_wait_for_it() {
    let (mut network, mut parties) = party::prepare(plan());
    network.member_mut(parties[2].number).flags.push("--ptm-outbox".into());
    network.start_whole();
    party::meet(&parties);
    let [a, b, c] = &mut parties[..] else { panic!("three parties") };
    let vault = a.vault(&[b], json!({}));
    let shared = c.vault(&[b], json!({}));
    let key = b.key();

    network.kill9(&[b.number]);
    let write = || a.try_send(Some(vault), secret(1).as_slice(), &[b], json!({}));
    let error = write().expect_err("a recipient is away");
    assert!(error.contains(&key), "{error}");
    // With an outbox it is taken, and executed here at once.
    let waiting = c.send(Some(shared), secret(2).as_slice(), &[b], json!({}));
    c.receipt(waiting);
    assert_eq!(c.look(shared), Some(U256::from_be_bytes(secret(2).0)));

    network.launch(b.number);
    network.await_answers(&[b.number]);
    wait_until("it is back", || write().is_ok());
    wait_until("what waited was delivered", || b.look(shared) == Some(U256::from_be_bytes(secret(2).0)));
    assert_eq!(b.receipt(waiting)["status"], "0x1");
    wait_until("and what was sent then", || b.look(vault) == Some(U256::from_be_bytes(secret(1).0)));
    network.assert_same_chain(&network.all());
}

#[test]
fn protected_contracts_keep_others_out() {
    let (network, parties) = party::start(plan());
    let [a, b, c] = &parties[..] else { panic!("three parties") };
    let flag = |flag: u64| json!({ "privacyFlag": flag });
    // Party protection: a third cannot write, not even where it knows the address.
    let vault = a.vault(&[b], flag(1));
    let mismatch = a.try_send(Some(vault), secret(1).as_slice(), &[b], json!({})).expect_err("another flag");
    assert!(mismatch.contains("privacy flag"), "{mismatch}");
    let stranger = c.try_send(Some(vault), secret(2).as_slice(), &[a], flag(1)).expect_err("no party");
    assert!(stranger.contains("contract not found"), "{stranger}");
    let sneaky = c.send(Some(vault), secret(3).as_slice(), &[a], json!({}));
    assert_eq!(a.receipt(sneaky)["status"], "0x0", "a plain private transaction to it fails at its parties");
    assert_eq!(a.receipt(a.send(Some(vault), secret(4).as_slice(), &[b], flag(1)))["status"], "0x1");

    // Mandatory recipients: who is named must be there.
    let mandatory = json!({ "privacyFlag": 2, "mandatoryFor": [c.key()] });
    let watched = a.vault(&[b, c], mandatory.clone());
    let error =
        a.try_send(Some(watched), secret(5).as_slice(), &[b], mandatory.clone()).expect_err("one is missing");
    assert!(error.contains("403") || error.to_lowercase().contains("mandatory"), "{error}");
    let all = a.receipt(a.send(Some(watched), secret(6).as_slice(), &[b, c], mandatory));
    assert_eq!(all["status"], "0x1");
    let without = a.try_send(None, &party::vault_code(), &[b], flag(2)).expect_err("nobody is named");
    assert!(without.contains("missing mandatory recipients data"), "{without}");

    // Validation of the private state: the same parties, the same outcome.
    let validated = a.vault(&[b], flag(3));
    let others =
        a.try_send(Some(validated), secret(7).as_slice(), &[b, c], flag(3)).expect_err("other parties");
    assert!(others.contains("Recipients mismatched"), "{others}");
    let hash = a.send(Some(validated), secret(8).as_slice(), &[b], flag(3));
    assert_eq!(
        (a.receipt(hash)["status"].clone(), b.receipt(hash)["status"].clone()),
        (json!("0x1"), json!("0x1"))
    );
    let metadata = b.rpc.get("eth_getContractPrivacyMetadata", json!([validated]));
    assert_eq!(metadata["privacyFlag"], 3, "{metadata}");
    assert_same_private_state(a, b);
    network.assert_same_chain(&network.all());
}
