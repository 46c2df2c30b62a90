//! Permission contracts with Besu's interface at Besu's addresses, enforced on real processes.

use alloy_primitives::{Address, Bytes, TxKind, U256, address, hex, keccak256};
use alloy_sol_types::{SolCall, SolValue, sol};
use lonja_primitives::genesis::{GenesisAccount, NewNetwork};
use lonja_primitives::spec::{ConnectionForm, NodeRule, Permissions};
use lonja_tests::harness::{Network, Plan, Wallet, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

/// Besu's addresses for the rules of nodes and accounts.
const NODES: Address = address!("0000000000000000000000000000000000009999");
const ACCOUNTS: Address = address!("0000000000000000000000000000000000008888");
const CODE: &str = include_str!("../../contracts/Lists.hex");

sol! {
    function setNode(string enodeId, string host, uint16 port, bool allowed) external;
    function setAccount(address account, bool allowed) external;
}

/// A slot of a mapping.
fn mapped(key: [u8; 32], slot: u64) -> U256 {
    U256::from_be_bytes(keccak256([key, U256::from(slot).to_be_bytes()].concat()).0)
}

fn enode_id(network: &Network, n: usize) -> String {
    hex::encode(network.member(n).key.node_id().0)
}

/// As the contract keys a node: by key, host and port.
fn node_slot(network: &Network, n: usize) -> U256 {
    let member = network.member(n);
    let entry = (enode_id(network, n), member.host.to_string(), member.p2p_port).abi_encode_params();
    mapped(keccak256(entry).0, 0)
}

fn contract(storage: BTreeMap<U256, U256>) -> GenesisAccount {
    let code = hex::decode(CODE.trim()).expect("the file holds hex").into();
    GenesisAccount { code, storage, ..GenesisAccount::default() }
}

/// Makes the network's genesis one with permissions: these nodes are listed, and the funded account.
pub(super) fn permit(network: &Network, plan: Plan, listed: &[usize]) {
    let yes = U256::from(1);
    let nodes = listed.iter().map(|n| (node_slot(network, *n), yes)).collect();
    let keeper = mapped(Wallet::funded().address().into_word().0, 1);
    let validators = listed.iter().take(plan.validators).map(|n| network.member(*n).address()).collect();
    let text = NewNetwork {
        validators,
        alloc: [(NODES, contract(nodes)), (ACCOUNTS, contract([(keeper, yes)].into()))].into(),
        block_period_ms: Some(plan.block_period_ms),
        request_timeout_ms: Some(plan.request_timeout_ms),
        permissions: Permissions {
            nodes: Some(NodeRule { contract: NODES, form: ConnectionForm::Strings }),
            accounts: Some(ACCOUNTS),
            ..Permissions::default()
        },
        ..NewNetwork::default()
    };
    fs::write(network.path().join("genesis.json"), text.to_json()).expect("the genesis can be written");
}

pub(super) fn peers(network: &Network, n: usize) -> u64 {
    let count = network.member(n).rpc.get("net_peerCount", json!([]));
    u64::from_str_radix(count.as_str().unwrap_or("0x0").trim_start_matches("0x"), 16).expect("a quantity")
}

fn send(network: &Network, n: usize, wallet: &mut Wallet, to: Address, call: Vec<u8>) {
    let signed = wallet.call(TxKind::Call(to), Bytes::from(call));
    network.member(n).rpc.get("eth_sendRawTransaction", json!([signed.text()]));
    network.assert_mined(n, &[signed.hash]);
}

pub(super) fn set_node(network: &Network, keeper: &mut Wallet, n: usize, allowed: bool) {
    let member = network.member(n);
    let entry = setNodeCall {
        enodeId: enode_id(network, n),
        host: member.host.to_string(),
        port: member.p2p_port,
        allowed,
    };
    send(network, 0, keeper, NODES, entry.abi_encode());
}

#[test]
fn contracts_with_besus_interface_say_who_connects_and_who_transacts() {
    let plan = Plan::new(4, 1);
    let mut network = Network::prepare(plan);
    permit(&network, plan, &[0, 1, 2, 3, 4]);
    // All others have the outsider among their peers, and it has them.
    let outsider = network.add("outsider", None);
    let members = [0, 1, 2, 3, 4];
    network.start_all(&network.all());
    network.wait_for_block(4, 5);
    assert_eq!((peers(&network, outsider), network.head(outsider)), (0, Some(0)), "an outsider connects");
    network.member(outsider).wait_for_log(&["does not permit this node"]);

    let mut keeper = Wallet::funded();
    let mut stranger = Wallet::empty();
    let refused =
        network.member(4).rpc.call("eth_sendRawTransaction", json!([stranger.transfer(NODES, 0).text()]));
    let refused = refused.expect_err("a stranger's transaction is refused");
    assert!(refused.contains("-32007") && refused.contains("not authorized"), "{refused}");

    set_node(&network, &mut keeper, outsider, true);
    wait_until("the node that was let in follows the chain", || {
        network.head(outsider).is_some_and(|head| head >= 5) && peers(&network, outsider) == 5
    });
    let account = stranger.address();
    send(&network, 0, &mut keeper, ACCOUNTS, setAccountCall { account, allowed: true }.abi_encode());
    stranger.again();
    network.assert_same_chain(&[0, 1, 2, 3, 4, outsider]);
    let signed = stranger.transfer(NODES, 0);
    network.member(outsider).rpc.get("eth_sendRawTransaction", json!([signed.text()]));
    network.assert_mined(0, &[signed.hash]);

    set_node(&network, &mut keeper, outsider, false);
    wait_until("everybody has dropped the node", || members.iter().all(|n| peers(&network, *n) == 4));
    network.wait_for_more(0, 2);
    let stands = network.head(outsider).expect("it answers");
    network.wait_for_more(0, 10);
    assert_eq!(network.head(outsider), Some(stands), "the revoked node hears of later blocks");
    let said: Value = network.member(0).rpc.get("lonja_status", json!([]));
    assert_eq!(said["ready"], true, "{said}");
    network.assert_same_chain(&members);
    network.assert_calm(&network.all());
}
