//! A node joins a running network by a state instead of all its blocks, and fetches those afterwards.

use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use lonja_tests::harness::{Network, Plan, Wallet, wait_until};
use serde_json::{Value, json};

/// Chains below this height are executed whole.
const HEIGHT: u64 = 270;
/// Creates a contract that stores its caller's first word under itself and logs it.
const STORE: [u8; 26] = hex!("600f80600b6000396000f360003580805560005260206000a000");

/// Blocks as fast as they come, some with a contract's storage in them.
fn network() -> (Network, Wallet, Address) {
    let plan = Plan { block_period_ms: 20, request_timeout_ms: 2_000, ..Plan::new(4, 1) };
    let network = Network::start(plan);
    let mut wallet = Wallet::funded();
    let contract = wallet.next_contract();
    let mut all = vec![wallet.call(TxKind::Create, Bytes::from_static(&STORE))];
    for word in 1..200u64 {
        all.push(wallet.call(TxKind::Call(contract), U256::from(word).to_be_bytes::<32>().into()));
        all.push(wallet.transfer(Address::repeat_byte(word as u8), word));
    }
    let rpc = network.member(4).rpc;
    let hashes: Vec<_> = all.iter().map(|tx| tx.hash).collect();
    for chunk in all.chunks(50) {
        let params: Vec<Value> = chunk.iter().map(|tx| json!([tx.text()])).collect();
        let answers = rpc.batch("eth_sendRawTransaction", &params).expect("it answers");
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    network.assert_mined(4, &hashes);
    network.wait_for_block(4, HEIGHT);
    (network, wallet, contract)
}

/// What two nodes answer about the same thing.
#[track_caller]
fn assert_same(network: &Network, nodes: [usize; 2], method: &str, params: &Value) {
    let [one, other] = nodes.map(|n| {
        let mut answer = network.member(n).rpc.get(method, params.clone());
        // A block has a quorum of seals, and who has it from whom may have others, or one more or less.
        if let Some(block) = answer.as_object_mut() {
            block.remove("size");
            block.remove("istanbulExtraData");
        }
        answer
    });
    assert_eq!(one, other, "{method} {params}");
}

#[test]
fn a_node_joins_by_a_state() {
    let (mut network, wallet, contract) = network();
    let joined = network.add("joins", None);
    network.member_mut(joined).flags = vec!["--sync".into(), "snapshot".into()];
    network.launch(joined);
    network.await_answers(&[joined]);
    let line = network.member(joined).wait_for_log(&["the node goes on from it"]);
    network.wait_for_more(joined, 5);

    let oldest = network.member(joined).rpc.get("eth_blockNumber", json!([]));
    for (method, params) in [
        ("eth_getBalance", json!([Address::repeat_byte(7), oldest])),
        ("eth_getTransactionCount", json!([wallet.address(), oldest])),
        ("eth_getCode", json!([contract, oldest])),
        ("eth_getStorageAt", json!([contract, "0x77", oldest])),
        ("eth_getProof", json!([contract, ["0x77", "0x0"], oldest])),
        ("eth_getBlockByNumber", json!([oldest, true])),
    ] {
        assert_same(&network, [4, joined], method, &params);
    }
    // The first block's state is not there and will not be; its blocks come, all of them.
    let refused = network.member(joined).rpc.call("eth_getBalance", json!([contract, "0x1"]));
    assert!(refused.is_err(), "{refused:?} {line}");
    network.member(joined).wait_for_log(&["all blocks before the fetched state are here"]);
    network.assert_same_chain(&[4, joined]);
    let logs = json!([{ "address": contract, "fromBlock": "0x0", "toBlock": oldest }]);
    assert_same(&network, [4, joined], "eth_getLogs", &logs);
    assert_eq!(network.member(joined).rpc.get("eth_getLogs", logs).as_array().map(Vec::len), Some(199));

    // It is an ordinary node from now on, also one that others join from.
    network.kill9(&[joined]);
    network.start_all(&[joined]);
    network.wait_for_more(joined, 3);
    network.stop(joined);
    network.member(joined).command(&["db", "verify"]);
    network.start_all(&[joined]);
    (0..4).for_each(|n| network.member_mut(n).listed = false);
    network.member_mut(4).listed = false;
    let second = network.add("joins-from-it", None);
    let head = network.head(joined).expect("it answers");
    let hash = network.member(joined).rpc.hashes(head, head)[0].expect("a hash");
    let checkpoint = format!("{head}:{hash}");
    network.member_mut(second).flags =
        ["--sync", "snapshot", "--checkpoint", &checkpoint].map(String::from).to_vec();
    network.launch(second);
    network.await_answers(&[second]);
    network.member(second).wait_for_log(&["the node goes on from it"]);
    network.wait_for_more(second, 2);
    network.assert_calm(&[joined, second]);
}

#[test]
fn a_short_chain_is_executed_and_a_wrong_checkpoint_is_told() {
    let mut network = Network::start(Plan::new(1, 0));
    network.wait_for_block(0, 3);
    let joined = network.add("joins", None);
    network.member_mut(joined).flags = vec!["--sync".into(), "snapshot".into()];
    network.launch(joined);
    network.await_answers(&[joined]);
    network.member(joined).wait_for_log(&["the chain is short"]);
    network.wait_for_more(joined, 2);
    network.assert_same_chain(&[0, joined]);

    let lost = network.add("lost", None);
    let checkpoint = format!("2:{}", alloy_primitives::B256::repeat_byte(1));
    network.member_mut(lost).flags =
        ["--sync", "snapshot", "--checkpoint", &checkpoint].map(String::from).to_vec();
    network.launch(lost);
    wait_until("it is alive and says why it is not ready", || {
        let health = network.member(lost).health;
        health.page("/readiness").is_ok_and(|(code, text)| code == 503 && text.contains("looking for a peer"))
    });
}
