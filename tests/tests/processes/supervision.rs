//! A network that votes on who sees what is private, and members who say on chain where their keys are: on real processes, with
//! no restart.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall;
use lonja_permissioning::registry::abi::{PARTIES, Parties, Proposal, REGISTRY, Registry, Scope};
use lonja_ptm::PublicKey;
use lonja_tests::harness::party::{self, Party, files_with};
use lonja_tests::harness::{Network, Organisations, Plan, node_key, run, wait_until};
use serde_json::{Value, json};

/// Four validators and four members, one of each for every organisation: the first of sector 60, the second of 61, the
/// supervisor, and one that wants to name supervisors itself.
fn start() -> (Network, Vec<Party>, Organisations) {
    let plan = Plan::new(4, 4);
    let (mut network, parties) = party::prepare(plan);
    let owned: Vec<Vec<usize>> = (0..4).map(|n| vec![n, n + 4]).collect();
    let policy = json!({ "votes": { "votingLength": 600, "executionLength": 600 } });
    let mut registry = Organisations::prepare(&network, plan, &owned, policy);
    party::allow_private(&network, json!({ "parties": PARTIES }));
    network.member_mut(parties[3].number).flags.push("--ptm-add-supervisors=false".into());
    network.start_whole();
    party::meet(&parties);
    for (n, party) in parties.iter().enumerate() {
        let entry = Registry::setAccountCall { account: party.account, access: 7, quotaClass: 0, expires: 0 };
        registry.act(&network, n, REGISTRY, &entry);
    }
    (network, parties, registry)
}

fn word(key: &str) -> B256 {
    B256::from(key.parse::<PublicKey>().expect("a key").0)
}

/// A word that stands nowhere by chance.
fn secret(number: u8) -> B256 {
    alloy_primitives::keccak256([b"supervised".as_slice(), &[number]].concat())
}

/// Every member's node is as far as this block.
fn wait_for_all(network: &Network, parties: &[Party], block: u64) {
    parties.iter().for_each(|party| network.wait_for_block(party.number, block));
}

/// Whether a party knows of a private transaction, once everything of its block is executed there.
fn knows(of: &Party, sender: &Party, hash: B256) -> bool {
    let receipt = sender.receipt(hash);
    let block = receipt["blockNumber"].as_str().unwrap_or_default().to_owned();
    let block = u64::from_str_radix(block.trim_start_matches("0x"), 16).expect("a height");
    wait_until("it has executed the block", || {
        let status = of.rpc.get("lonja_status", json!([]));
        status["private"]["head"]["number"].as_u64().is_some_and(|head| head >= block)
    });
    of.rpc.call("eth_getPrivateTransactionReceipt", json!([hash])).is_ok()
}

/// The records of readings at a node, checked by the command that shows them.
fn readings(party: &Party) -> Vec<Value> {
    let folder = party.folder.display().to_string();
    let text = run(["private", "readings", "--json", "--data-dir", &folder]).success();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a command of `lonja permission` prints, asked of a member's node.
fn permission(party: &Party, words: &[&str]) -> String {
    let folder = party.folder.display().to_string();
    run([&["permission"], words, &["--data-dir", &folder]].concat()).success()
}

fn write(from: &Party, vault: Address, number: u8, with: &[&Party]) -> B256 {
    from.send(Some(vault), secret(number).as_slice(), with, json!({}))
}

#[test]
fn a_vote_makes_a_supervisor_a_party_and_another_ends_it() {
    let (mut network, parties, mut registry) = start();
    let [a, b, supervisor, free] = &parties[..] else { panic!("four parties") };
    let (key, voters) = (supervisor.key(), [0, 1, 2]);
    let vault = a.vault(&[b], json!({}));
    assert!(!knows(supervisor, a, write(a, vault, 1, &[b])));
    assert_eq!(permission(a, &["supervisors", "list"]), "nobody has to take part\n");

    let member = registry.get(3).id;
    let scopes = [Scope::Sector(60), Scope::Member(member)];
    let mut block = 0;
    for scope in scopes {
        block = registry.pass(&network, &voters, &Proposal::AddSupervisor { scope, key: word(&key) });
    }
    wait_for_all(&network, &parties, block);
    let listed = permission(b, &["supervisors", "list"]);
    assert!(
        listed.contains(&format!("{key}  sector 60")) && listed.contains(&member.to_string()),
        "{listed}"
    );
    let of = permission(b, &["supervisors", "of", &a.account.to_string()]);
    assert_eq!(of.trim(), key);

    // Of whom the rule speaks, it is a party, by what its own node adds; of others it is not.
    let before = readings(supervisor).len();
    let seen = write(a, vault, 2, &[b]);
    assert!(knows(supervisor, a, seen));
    assert_eq!(b.receipt(seen)["status"], "0x1");
    let made = a.vault(&[b], json!({}));
    assert!(knows(supervisor, a, write(a, made, 3, &[b])));
    wait_until("the supervisor sees what they store", || {
        supervisor.look(made) == Some(U256::from_be_bytes(secret(3).0))
    });
    assert!(!knows(supervisor, b, write(b, vault, 4, &[a])));
    // Whoever wants to name it itself is told so, and nobody gets anything before it does.
    let missing = free.try_send(None, &party::vault_code(), &[b], json!({})).expect_err("it is not named");
    assert!(missing.contains(&key) && missing.contains("privateFor"), "{missing}");
    let named = free.send(None, &party::vault_code(), &[b, supervisor], json!({}));
    assert!(knows(supervisor, free, named));
    // Each reading left a record.
    let records = readings(supervisor);
    assert!(records.len() >= before + 4, "{before}, then {}", records.len());
    assert!(records.iter().all(|record| record["key"] == json!(key)), "{records:?}");
    assert_eq!(readings(b), [] as [Value; 0], "parties read what is theirs");

    for scope in scopes {
        block = registry.pass(&network, &voters, &Proposal::RemoveSupervisor { scope, key: word(&key) });
    }
    wait_for_all(&network, &parties, block);
    assert!(!knows(supervisor, a, write(a, vault, 5, &[b])));
    free.send(None, &party::vault_code(), &[b], json!({}));
    assert_eq!(readings(supervisor).len(), records.len());
    for number in [1, 4, 5] {
        let found = files_with(&supervisor.folder, secret(number).as_slice());
        assert_eq!(found, [] as [std::path::PathBuf; 0], "{number}");
    }
    let all = network.all();
    network.assert_running(&all);
    network.assert_same_chain(&all);
    network.assert_calm(&all);
}

#[test]
fn a_key_that_is_bound_on_chain_is_nowhere_else() {
    let (mut network, parties, mut registry) = start();
    let [a, b, _, other] = &parties[..] else { panic!("four parties") };
    let party = word(&b.key());
    let bind = |n: usize| Parties::bindPartyCall { nodeKey: node_key(&network, parties[n].number), party };
    let calls = [bind(1), bind(3)];
    let block = registry.act(&network, 1, PARTIES, &calls[0]);
    wait_for_all(&network, &parties, block);
    let listed = permission(a, &["party", "list"]);
    assert!(listed.contains(&b.key()), "{listed}");
    let vault = a.vault(&[b], json!({}));
    assert!(knows(b, a, write(a, vault, 1, &[b])));
    let taken = registry.try_act(&network, 3, PARTIES, calls[1].abi_encode().into());
    assert_eq!(taken["status"], "0x0", "the key is another member's: {taken}");

    // Somebody was there first: nothing is sent to whom does not hold the key, nor to whom the chain does not name.
    registry.act(&network, 1, PARTIES, &Parties::unbindPartyCall { nodeKey: calls[0].nodeKey, party });
    let block = registry.act(&network, 3, PARTIES, &calls[1]);
    wait_for_all(&network, &parties, block);
    let refused =
        a.try_send(Some(vault), secret(2).as_slice(), &[b], json!({})).expect_err("it is not there");
    assert!(refused.contains(&b.key()), "{refused}");
    for member in [b, other] {
        let found = files_with(&member.folder, secret(2).as_slice());
        assert_eq!(found, [] as [std::path::PathBuf; 0], "party {}", member.number);
    }
    let block = registry.pass(&network, &[0, 1, 2], &Proposal::ReleaseParty { party });
    wait_for_all(&network, &parties, block);
    wait_until("it is found by what nodes say of themselves", || {
        a.try_send(Some(vault), secret(3).as_slice(), &[b], json!({})).is_ok()
    });
    wait_until("it arrived", || b.look(vault) == Some(U256::from_be_bytes(secret(3).0)));
    let all = network.all();
    network.assert_running(&all);
    network.assert_same_chain(&all);
}
