use super::*;
use crate::testing::{CONTRACT, revert_with_reason};
use futures::future::join_all;
use lonja_ptm::PrivacyMode;

#[tokio::test]
async fn only_the_hash_stands_on_the_chain() {
    for field in ["data", "input"] {
        let (mut node, client) = party();
        let payload = write_word(0xab);
        let mut request = message(Some(CONTRACT), &[]);
        request.as_object_mut().unwrap().remove("data");
        let request = with(request, json!({ field: hex::encode_prefixed(&payload), "gas": "0x186a0" }));
        let hash = client.call("eth_sendTransaction", json!([request])).await;
        let tx = transaction(&client, &hash).await;
        assert!(tx["v"] == "0x25" || tx["v"] == "0x26", "{tx}");
        assert_eq!((&tx["from"], &tx["type"]), (&json!(key(2).address()), &json!("0x0")));
        assert!(tx.get("chainId").is_none(), "{tx}");
        let sent = node.manager().sent();
        assert_eq!((sent[0].payload.as_ref(), &sent[0].to), (payload.as_slice(), &vec![THEIRS]));
        let found = client.call("eth_getQuorumPayload", json!([tx["input"]])).await;
        assert_eq!(found, json!(hex::encode_prefixed(&payload)));
        node.mine();
        let raw = client.call("eth_getRawTransactionByHash", json!([hash])).await;
        assert!(!raw.as_str().unwrap().contains(&hex::encode(&payload[1..])), "{raw}");
    }
}

#[tokio::test]
async fn a_contract_is_made_and_called() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    assert_eq!(contract, key(2).address().create(0));
    assert_eq!(slot(&client, contract).await, word(0));
    // The gas is estimated on the private state.
    let hash = client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(7))])).await;
    node.mine_and_follow();
    assert_eq!(receipt(&client, &hash).await["status"], "0x1");
    assert_eq!(slot(&client, contract).await, word(7));
    assert_eq!(client.call("eth_getTransactionCount", json!([key(2).address()])).await, "0x2");
}

#[tokio::test]
async fn an_empty_list_shares_with_nobody_else() {
    let (node, client) = party();
    let request = with(message(None, &init_code()), json!({ "privateFor": [], "privateFrom": OURS }));
    client.call("eth_sendTransaction", json!([request])).await;
    let sent = node.manager().sent();
    assert!(sent[0].to.is_empty() && sent[0].from == Some(OURS));
}

#[tokio::test]
async fn many_at_once_have_a_nonce_each() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    let send = |n: u8| {
        let (client, request) = (client.clone(), message(Some(contract), &write_word(n)));
        let request = with(request, json!({ "gas": "0x186a0" }));
        async move { client.call("eth_sendTransaction", json!([request])).await }
    };
    let hashes = join_all((1..=20).map(send)).await;
    node.mine_and_follow();
    let mut nonces = Vec::new();
    for hash in &hashes {
        assert_eq!(receipt(&client, hash).await["status"], "0x1");
        nonces.push(transaction(&client, hash).await["nonce"].as_str().unwrap().to_owned());
    }
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 20);
}

#[tokio::test]
async fn who_cannot_sign_shares_nothing() {
    let (node, client) = party();
    node.node.accounts.import(&key(3), &"three".into()).unwrap();
    let from = |n: u8| with(message(None, &init_code()), json!({ "from": key(n).address() }));
    for (request, text) in
        [(from(3), "authentication needed: password or unlock"), (from(4), "unknown account")]
    {
        let refused = client.refused("eth_sendTransaction", json!([request])).await;
        assert!(refused.message.contains(text), "{refused:?}");
    }
    let refused = client.refused("personal_sendTransaction", json!([from(3), "wrong"])).await;
    assert!(refused.message.contains("password"), "{refused:?}");
    assert!(node.manager().sent().is_empty());
    client.call("personal_sendTransaction", json!([from(3), "three"])).await;
    assert_eq!(node.manager().sent().len(), 1);
}

#[tokio::test]
async fn a_standard_message_that_fails_now_may_be_sent() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    let failing = message(Some(contract), &revert_with_reason());
    let refused = client.refused("eth_sendTransaction", json!([failing])).await;
    assert_eq!((refused.code, refused.message.as_str()), (3, "execution reverted: no"), "no gas to find out");
    let hash = client.call("eth_sendTransaction", json!([with(failing, json!({ "gas": "0x186a0" }))])).await;
    node.mine_and_follow();
    let receipt = receipt(&client, &hash).await;
    assert_eq!((&receipt["status"], &receipt["error"]), (&json!("0x0"), &json!("execution reverted: no")));
    assert!(receipt["revertReason"].as_str().unwrap().starts_with("0x08c379a0"), "{receipt}");
}

#[tokio::test]
async fn a_protected_message_that_fails_is_not_sent() {
    let (mut node, client) = party();
    let protected = contract(&mut node, &client, 1).await;
    let failing = json!({ "privacyFlag": 1, "gas": "0x186a0" });
    let failing = with(message(Some(protected), &revert_with_reason()), failing);
    let refused = client.refused("eth_sendTransaction", json!([failing])).await;
    assert_eq!((refused.code, refused.message.as_str()), (3, "execution reverted: no"));
    assert!(refused.data.is_some());
    assert_eq!(node.manager().sent().len(), 1, "the creation alone");
}

#[tokio::test]
async fn the_parties_are_told_what_it_concerns() {
    let (mut node, client) = party();
    for (flag, mode) in [
        (1, PrivacyMode::PartyProtection),
        (2, PrivacyMode::MandatoryRecipients),
        (3, PrivacyMode::StateValidation),
    ] {
        let contract = contract(&mut node, &client, flag).await;
        let mut call = with(message(Some(contract), &write_word(flag)), json!({ "privacyFlag": flag }));
        if flag == 2 {
            call = with(call, json!({ "mandatoryFor": [THEIRS] }));
        }
        let hash = client.call("eth_sendTransaction", json!([call])).await;
        node.mine_and_follow();
        assert_eq!(receipt(&client, &hash).await["status"], "0x1");
        assert_eq!(slot(&client, contract).await, word(flag));
        let [.., creation, call] = &node.manager().sent()[..] else { panic!("two were sent") };
        assert_eq!((creation.metadata.mode, call.metadata.mode), (mode, mode));
        let metadata = client.call("eth_getContractPrivacyMetadata", json!([contract])).await;
        assert_eq!(metadata["privacyFlag"], flag);
        assert_eq!(json!(call.metadata.affected), json!([metadata["creationTxHash"]]));
        assert!(creation.metadata.affected.is_empty());
        assert_eq!(call.metadata.exec_hash.len(), if flag == 3 { 44 } else { 0 });
        assert_eq!(call.metadata.mandatory, if flag == 2 { vec![THEIRS] } else { Vec::new() });
    }
}

#[tokio::test]
async fn protection_is_not_mixed() {
    let (mut node, client) = party();
    let (plain, protected) = (contract(&mut node, &client, 0).await, contract(&mut node, &client, 1).await);
    let call = |to, flag: u8| {
        with(message(Some(to), &write_word(1)), json!({ "privacyFlag": flag, "gas": "0x186a0" }))
    };
    for (request, text) in [
        (call(protected, 0), "sent privacy flag doesn't match all affected contract flags"),
        (call(protected, 3), "sent privacy flag doesn't match all affected contract flags"),
        (call(plain, 1), "PrivacyMetadata not found"),
        (call(CONTRACT, 1), "contract not found. cannot transact"),
    ] {
        let refused = client.refused("eth_sendTransaction", json!([request])).await;
        assert!(refused.message.contains(text), "{request}: {refused:?}");
    }
    assert_eq!(node.manager().sent().len(), 2);
}

#[tokio::test]
async fn several_with_compared_states_keep_their_places() {
    let (mut node, client) = party();
    let request = with(message(None, &init_code()), json!({ "privacyFlag": 3 }));
    let sends = (0..3).map(|_| client.call("eth_sendTransaction", json!([request])));
    let hashes = join_all(sends).await;
    node.mine_and_follow();
    for hash in &hashes {
        assert_eq!(receipt(&client, hash).await["status"], "0x1");
    }
}

#[tokio::test]
async fn nobody_need_wait_and_nobody_is_called_back() {
    let (node, client) = party();
    let request = message(None, &init_code());
    let answer = client.call("eth_sendTransactionAsync", json!([request])).await;
    assert_eq!(answer, word(0));
    while node.node.pool.lock().status().pending == 0 {
        tokio::task::yield_now().await;
    }
    let called_back = with(request, json!({ "callbackUrl": "http://127.0.0.1:1/" }));
    let refused = client.refused("eth_sendTransactionAsync", json!([called_back])).await;
    assert!(refused.message.contains("callbackUrl is not supported"), "{refused:?}");
    let public = json!({ "from": key(2).address(), "to": CONTRACT, "gas": "0x186a0" });
    assert_eq!(client.call("eth_sendTransactionAsync", json!([public])).await, word(0));
    while node.node.pool.lock().status().pending < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn so_many_and_not_one_more_go_unattended() {
    let (_node, client) = party();
    let held: Vec<_> = std::iter::from_fn(|| client.context.private.unattended().ok()).collect();
    assert_eq!(held.len(), 100);
    let request = message(None, &init_code());
    let refused = client.refused("eth_sendTransactionAsync", json!([request])).await;
    assert_eq!(refused.message, "too many concurrent requests");
    drop(held);
    client.call("eth_sendTransactionAsync", json!([request])).await;
}

#[tokio::test]
async fn too_many_on_their_way_are_refused() {
    let (node, client) = party();
    let held: Vec<_> = std::iter::from_fn(|| client.context.private.distribute().ok()).collect();
    let refused = client.refused("eth_sendTransaction", json!([message(None, &init_code())])).await;
    assert_eq!(refused.code, -32005);
    assert!(node.manager().sent().is_empty());
    drop(held);
}
