use crate::testing::{CONTRACT, Client, Refused, TestNode, key};
use crate::{Access, HttpConfig, IpcConfig, Namespace, RpcConfig, RpcLimits, start};
use alloy_primitives::{Address, hex};
use lonja_primitives::Signer;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const WRONG: &str = "could not decrypt key with given password";
const LOCKED: &str = "authentication needed: password or unlock";

fn request(from: Address) -> Value {
    json!({ "from": from, "to": CONTRACT, "gas": "0x186a0", "gasPrice": "0x0", "nonce": "0x0" })
}

/// A client, and an account of it with the password "secret".
async fn with_account(node: &TestNode) -> (Client, Address) {
    let client = node.client();
    let made = client.call("personal_newAccount", json!(["secret"])).await;
    let address = serde_json::from_value(made).unwrap();
    (client, address)
}

fn refusal(refused: &Refused) -> (i64, &str) {
    (refused.code, &refused.message)
}

#[tokio::test]
async fn an_account_from_its_making_to_its_first_transaction() {
    let mut node = TestNode::new();
    let (client, account) = with_account(&node).await;
    assert_eq!(client.call("personal_listAccounts", json!([])).await, json!([account]));
    assert_eq!(client.call("eth_accounts", json!([])).await, json!([account]));
    let send = json!([request(account)]);
    assert_eq!(refusal(&client.refused("eth_sendTransaction", send.clone()).await), (-32000, LOCKED));
    let wrong = client.refused("personal_unlockAccount", json!([account, "public", 60])).await;
    assert_eq!(refusal(&wrong), (-32000, WRONG));
    assert_eq!(client.call("personal_unlockAccount", json!([account, "secret", 60])).await, json!(true));
    let hash = client.call("eth_sendTransaction", send.clone()).await;
    assert_eq!(client.call("personal_lockAccount", json!([account])).await, json!(true));
    assert_eq!(client.call("personal_lockAccount", json!([account])).await, json!(false));
    assert_eq!(refusal(&client.refused("eth_sendTransaction", send).await), (-32000, LOCKED));
    node.mine();
    assert_eq!(client.call("eth_getTransactionReceipt", json!([hash])).await["from"], json!(account));
}

#[tokio::test]
async fn a_password_is_good_for_one_signature() {
    let mut node = TestNode::new();
    let (client, account) = with_account(&node).await;
    let hash = client.call("personal_sendTransaction", json!([request(account), "secret"])).await;
    let signed = client.call("personal_signTransaction", json!([request(account), "secret"])).await;
    assert_eq!(signed["tx"]["hash"], hash, "signatures are deterministic");
    let signature = client.call("personal_sign", json!(["0x68656c6c6f", account, "secret"])).await;
    let recovered = client.call("personal_ecRecover", json!(["0x68656c6c6f", signature])).await;
    assert_eq!(recovered, json!(account));
    assert_ne!(client.call("personal_ecRecover", json!(["0x68", signature])).await, json!(account));
    for (method, params) in [
        ("personal_sendTransaction", json!([request(account), "public"])),
        ("personal_signTransaction", json!([request(account), "public"])),
        ("personal_sign", json!(["0x", account, "public"])),
    ] {
        assert_eq!(refusal(&client.refused(method, params).await), (-32000, WRONG), "{method}");
    }
    for (method, params) in [
        ("personal_sendTransaction", json!([request(CONTRACT), "secret"])),
        ("personal_signTransaction", json!([request(CONTRACT), "secret"])),
        ("personal_sign", json!(["0x", CONTRACT, "secret"])),
        ("personal_unlockAccount", json!([CONTRACT, "secret"])),
    ] {
        let refused = client.refused(method, params).await;
        assert!(refused.code == -32000 && refused.message.starts_with("unknown account"), "{refused:?}");
    }
    assert_eq!(refusal(&client.refused("eth_sign", json!([account, "0x"])).await), (-32000, LOCKED));
    node.mine();
    assert_eq!(client.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
}

#[tokio::test]
async fn a_raw_key_is_taken_once() {
    let client = TestNode::new().client();
    let (own, address) = (hex::encode(key(5).to_bytes()), key(5).address());
    assert_eq!(client.call("personal_importRawKey", json!([own, "five"])).await, json!(address));
    let again = client.refused("personal_importRawKey", json!([format!("0x{own}"), "five"])).await;
    assert_eq!(refusal(&again), (-32000, "account already exists"));
    for bad in ["", "0x12", &"0".repeat(64), &"f".repeat(64), &format!("{own}00")] {
        let refused = client.refused("personal_importRawKey", json!([bad, "five"])).await;
        assert!(refused.code == -32602 && refused.message.contains("not a secp256k1 private key"), "{bad}");
    }
}

/// A secret in the wrong place or of the wrong form is not repeated to anybody.
#[tokio::test]
async fn secrets_stand_in_no_refusal() {
    let node = TestNode::new();
    let (client, account) = with_account(&node).await;
    for (method, params) in [
        ("personal_newAccount", json!([424_242])),
        ("personal_newAccount", json!([["424242"]])),
        ("personal_newAccount", json!([{ "password": "424242" }])),
        ("personal_newAccount", json!([null])),
        ("personal_importRawKey", json!([424_242, "x"])),
        ("personal_importRawKey", json!(["424242zz", "x"])),
        ("personal_unlockAccount", json!([account, 424_242, 1])),
        ("personal_unlockAccount", json!([account, "424242", 1])),
        ("personal_sign", json!(["0x", account, { "424242": 1 }])),
        ("personal_sendTransaction", json!([request(account), [424_242]])),
    ] {
        let refused = client.refused(method, params.clone()).await;
        assert!(!refused.message.contains("424242") && refused.data.is_none(), "{params}: {refused:?}");
    }
}

#[tokio::test]
async fn a_signature_in_another_form_is_refused() {
    let client = TestNode::new().client();
    for (signature, said) in [
        (hex::encode_prefixed([0; 64]), "65 bytes"),
        (hex::encode_prefixed([0; 65]), "V is not 27 or 28"),
        (hex::encode_prefixed([&[0; 64][..], &[27]].concat()), "recovered"),
    ] {
        let refused = client.refused("personal_ecRecover", json!(["0x00", signature])).await;
        assert!(refused.code == -32602 && refused.message.contains(said), "{refused:?}");
    }
}

#[tokio::test]
async fn an_account_without_an_end_stays_unlocked() {
    let node = TestNode::new();
    let (client, account) = with_account(&node).await;
    client.call("personal_unlockAccount", json!([account, "secret", 0])).await;
    client.call("personal_unlockAccount", json!([account, "secret"])).await;
    assert_eq!(node.node.accounts.unlocked(), [account]);
    // A number of any form, and as long as anybody likes.
    for seconds in [json!("0x3c"), json!("60"), json!(u64::MAX)] {
        let params = json!([account, "secret", seconds]);
        assert_eq!(client.call("personal_unlockAccount", params).await, json!(true));
    }
    assert_eq!(client.refused("personal_unlockAccount", json!([account, "secret", -1])).await.code, -32602);
}

#[tokio::test]
async fn strangers_are_offered_none_of_it() {
    let node = TestNode::new();
    let public = node.client_with(Access::public(), RpcLimits::default());
    let names = node.client().methods();
    let personal: Vec<_> = names.into_iter().filter(|name| name.starts_with("personal_")).collect();
    assert_eq!(personal.len(), 9);
    for name in personal {
        assert_eq!(public.refused(name, json!([])).await.code, -32601, "{name}");
    }
}

async fn over_ipc(path: &std::path::Path, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.to_string().as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_unlocked_where_others_could_use_it() {
    let node = TestNode::new();
    let account = node.node.accounts.create(&"secret".into()).unwrap().address;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lonja.ipc");
    let open = HttpConfig { address: "0.0.0.0:0".parse().unwrap(), access: Access::public() };
    let config = RpcConfig {
        http: Some(open),
        ws: None,
        health: None,
        ipc: Some(IpcConfig { path: path.clone(), access: Access::full() }),
        ..RpcConfig::default()
    };
    let unlock = || over_ipc(&path, "personal_unlockAccount", json!([account, "secret", 1]));
    let rpc = start(config.clone(), node.node.clone()).await.unwrap();
    let refused = unlock().await["error"]["message"].as_str().unwrap().to_owned();
    assert!(refused.starts_with("account unlock with HTTP access is forbidden"), "{refused}");
    assert!(node.node.accounts.unlocked().is_empty());
    rpc.stop().await;

    // Nor does a node start that way with an account that is unlocked already.
    node.node.accounts.unlock(account, &"secret".into(), None).unwrap();
    let said = start(config.clone(), node.node.clone()).await.unwrap_err().to_string();
    assert!(said.contains("0.0.0.0") && said.contains("forbidden"), "{said}");
    node.node.accounts.lock(account);

    let config = RpcConfig { allow_insecure_unlock: true, ..config };
    let rpc = start(config, node.node.clone()).await.unwrap();
    assert_eq!(unlock().await["result"], json!(true));
    // Its time over, the key is wiped without anybody asking.
    while format!("{:?}", node.node.accounts).contains(&hex::encode(account)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    rpc.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_do_not_travel_over_http() {
    let node = TestNode::new();
    let mut config = RpcConfig { ws: None, health: None, ..RpcConfig::default() };
    config.http.as_mut().unwrap().access.namespaces.insert(Namespace::Personal);
    let said = start(config, node.node.clone()).await.unwrap_err().to_string();
    assert!(said.contains("personal") && said.contains("IPC only"), "{said}");
}
