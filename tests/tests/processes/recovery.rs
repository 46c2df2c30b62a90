//! What members do when payloads were lost, and when payloads have to go.

use alloy_primitives::{B256, U256};
use lonja_tests::harness::party::{self, Party, files_with};
use lonja_tests::harness::{Network, Plan, run, wait_until};
use serde_json::{Value, json};
use std::fs;

fn secret(number: u8) -> B256 {
    alloy_primitives::keccak256([b"to be lost".as_slice(), &[number]].concat())
}

fn stored(number: u8) -> Option<U256> {
    Some(U256::from_be_bytes(secret(number).0))
}

/// Kills a node, takes folders out of its data directory, and starts it again.
fn rob(network: &mut Network, party: &Party, folders: &[&str]) {
    network.kill9(&[party.number]);
    for folder in folders {
        fs::remove_dir_all(party.folder.join(folder)).expect("it was there");
    }
    network.launch(party.number);
    network.await_answers(&[party.number]);
}

/// Waits until the private states of two parties are those of the same block, and compares them.
#[track_caller]
fn assert_same_private_state(one: &Party, other: &Party) {
    let head = |party: &Party| {
        let status = party.rpc.get("lonja_status", json!([]));
        status["private"]["head"]["number"].as_u64().expect("it has a private head")
    };
    let number = head(one);
    wait_until("the other is as far", || head(other) >= number);
    assert_eq!(one.root(number), other.root(number));
}

/// `lonja private …` at a party.
fn private(party: &Party, words: &[&str]) -> lonja_tests::harness::Finished {
    let folder = party.folder.display().to_string();
    run([&["private"], words, &["--data-dir", &folder]].concat())
}

/// The number behind a word in a report.
fn number(report: &str, word: &str) -> u64 {
    let line = report.lines().find(|line| line.trim_start().starts_with(word));
    let last = line.and_then(|line| line.split_whitespace().last());
    last.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {word:?} in {report}"))
}

#[test]
fn a_lost_payload_store_comes_back_from_the_other_parties() {
    let (mut network, parties) = party::start(Plan::new(4, 3));
    let [a, b, c] = &parties[..] else { panic!("three parties") };
    let vault = a.vault(&[b], json!({}));
    let own = b.vault(&[a], json!({}));
    let with_c = c.vault(&[b], json!({}));
    a.receipt(a.send(Some(vault), secret(1).as_slice(), &[b], json!({})));
    b.receipt(b.send(Some(own), secret(2).as_slice(), &[a], json!({})));
    c.receipt(c.send(Some(with_c), secret(3).as_slice(), &[b], json!({})));
    let values = |party: &Party| [vault, own, with_c].map(|contract| party.look(contract));
    wait_until("it has them all", || values(b) == [stored(1), stored(2), stored(3)]);
    let head = network.head(b.number).expect("it answers");
    wait_until("it is as far", || {
        b.rpc.call("debug_privateStateRoot", json!([format!("{head:#x}")])).is_ok()
    });
    let root = b.root(head);

    // The payloads alone are lost: what came of them stands, and the node says what to do.
    rob(&mut network, b, &["ptm/db"]);
    network.member(b.number).wait_for_log(&["lonja private recover"]);
    assert_eq!(values(b), [stored(1), stored(2), stored(3)]);
    party::meet(&parties);
    let report = private(b, &["recover"]).success();
    // Each transaction is in a marker: two payloads for each of the six.
    assert_eq!(
        (number(&report, "payloads recovered"), number(&report, "still missing")),
        (12, 0),
        "{report}"
    );
    assert_eq!(b.root(head), root);

    // The private state too: it is made again from what comes back, and what one of the parties has comes when it is there.
    network.kill9(&[c.number]);
    rob(&mut network, b, &["ptm/db", "private"]);
    wait_until("it knows the one that is there", || {
        b.client("/partyinfo/keys").is_some_and(|known| known.contains(&a.key()))
    });
    wait_until("it has passed everything", || {
        let status = b.rpc.get("lonja_status", json!([]));
        status["private"]["head"]["number"].as_u64() >= Some(head)
    });
    assert_eq!(values(b), [None; 3]);
    // The one that is away may be known by what the other tells: then it is named, and the command says that it lacks something.
    let report: Value = serde_json::from_str(&private(b, &["recover", "--json"]).stdout).expect("it is JSON");
    assert_eq!((&report["recovered"], &report["running"]), (&json!(8), &json!(false)), "{report}");
    wait_until("what came back was executed", || values(b) == [stored(1), stored(2), None]);
    assert_eq!(b.root(head), a.root(head), "both have the same contracts now");
    network.launch(c.number);
    network.await_answers(&[c.number]);
    party::meet(&parties);
    let report = private(b, &["recover"]).success();
    assert_eq!((number(&report, "payloads recovered"), number(&report, "here already")), (4, 0), "{report}");
    wait_until("all is executed", || values(b) == [stored(1), stored(2), stored(3)]);
    assert_eq!(b.root(head), root, "the private state is that of before");
    let report = private(b, &["recover", "--afresh"]).success();
    assert_eq!((number(&report, "payloads recovered"), number(&report, "refused")), (0, 0), "{report}");

    // Both go on dealing.
    b.receipt(b.send(Some(vault), secret(4).as_slice(), &[a], json!({})));
    wait_until("the other has it", || a.look(vault) == stored(4));
    let all = network.all();
    network.assert_running(&all);
    network.assert_same_chain(&all);
    network.assert_calm(&all);
}

#[test]
fn what_is_missing_and_who_would_have_it_is_told() {
    let (mut network, parties) = party::start(Plan::new(4, 3));
    let [a, b, c] = &parties[..] else { panic!("three parties") };
    a.vault(&[b], json!({}));
    let with_c = c.vault(&[b], json!({}));
    wait_until("it has it", || b.look(with_c) == Some(U256::ZERO));
    // The private state says what was executed; the one that has the payload is known, and away.
    network.kill9(&[b.number]);
    fs::remove_dir_all(b.folder.join("ptm/db")).expect("it was there");
    network.launch(b.number);
    network.await_answers(&[b.number]);
    party::meet(&parties);
    network.kill9(&[c.number]);
    let refused = private(b, &["recover"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(number(&refused.stdout, "still missing"), 2, "{refused:?}");
    assert!(refused.stdout.contains(&c.key()) || refused.stdout.contains("not given"), "{refused:?}");
    assert!(refused.stderr.contains("may be at the nodes that gave nothing"), "{refused:?}");
}

#[test]
fn a_payload_is_erased_by_order_at_all_parties_and_the_chain_stays() {
    let (mut network, parties) = party::start(Plan::new(4, 3));
    let [a, b, c] = &parties[..] else { panic!("three parties") };
    let vault = a.vault(&[b], json!({}));
    let gone = a.send(Some(vault), secret(1).as_slice(), &[b], json!({}));
    assert_eq!(a.receipt(gone)["status"], "0x1");
    let kept = a.send(Some(vault), secret(2).as_slice(), &[b], json!({}));
    for party in [a, b] {
        party.receipt(kept);
        wait_until("it stores the second word", || party.look(vault) == stored(2));
        assert_ne!(files_with(&party.folder, secret(1).as_slice()), [] as [std::path::PathBuf; 0]);
    }
    let hash = gone.to_string();

    // Who is no party has nothing to erase, and a recipient's order is not taken by the others.
    let stranger = private(c, &["purge", &hash, "--order", &B256::repeat_byte(9).to_string()]);
    assert!(stranger.failure().contains("no party to it"));
    let proof = network.path().join("proof.json").display().to_string();
    private(b, &["prove", &hash, "--disclose", "--out", &proof]).success();

    let order = B256::repeat_byte(7).to_string();
    let report = private(a, &["purge", &hash, "--order", &order]).success();
    assert!(report.contains(&format!("{} erased it", b.key())) && report.contains(&order), "{report}");
    wait_until("the other has gone past it", || b.look(vault) == stored(2));
    // The other writes its files anew soon after.
    for party in [a, b] {
        wait_until("no byte of it is left", || files_with(&party.folder, secret(1).as_slice()).is_empty());
        let refused =
            party.rpc.call("eth_getPrivateTransactionReceipt", json!([gone])).expect_err("it is gone");
        assert!(refused.contains("not found for this participant"), "{refused}");
        assert!(!network.member(party.number).log().contains(&format!("{:x}", secret(1))));
        assert_ne!(files_with(&party.folder, secret(2).as_slice()), [] as [std::path::PathBuf; 0]);
    }
    assert_same_private_state(a, b);
    // Again it is done already; what was proven before is true, and now it says something else.
    private(a, &["purge", &hash, "--order", &order]).success();
    let checked = private(c, &["check-proof", &proof, "--show"]).success();
    assert!(checked.contains(&b.key()) && checked.contains(&format!("{:x}", secret(1))), "{checked}");
    let now = private(b, &["prove", &hash]).success();
    assert!(now.contains(r#""standing": "erased""#) && now.contains(&order), "{now}");

    // From block 0 on it comes to the same: at a party, whose state is made anew past the tombstone, and in public.
    rob(&mut network, a, &["private"]);
    wait_until("it has gone past it again", || a.look(vault) == stored(2));
    assert_same_private_state(a, b);
    rob(&mut network, c, &["db", "private"]);
    let all = network.all();
    network.assert_running(&all);
    network.assert_same_chain(&all);
    network.assert_calm(&all);
}
