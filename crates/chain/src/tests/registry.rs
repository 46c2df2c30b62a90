//! The registry's contracts in real blocks: gas of members, turns that passed, freezes.

use super::network::*;
use crate::{BlockError, SubmitError};
use alloy_primitives::{Address, B256, TxKind, U256, hex, keccak256};
use alloy_sol_types::SolCall;
use lonja_evm::BlockEnv;
use lonja_permissioning::registry::abi::{Quotas, Registry, VALIDATORS, Validators};
use lonja_permissioning::registry::genesis::seed;
use lonja_permissioning::registry::plan::Plan;
use lonja_permissioning::registry::reader::Reader;
use lonja_permissioning::{Refusal, Rule};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::{Block, StateView};
use lonja_txpool::Origin;
use serde_json::{Value, json};

/// Gas that comes back to a member with every block.
const RATE: u64 = 2_500_000;
/// A member's bucket.
const BUCKET: u64 = CAP_BLOCKS * RATE;
/// Blocks until an empty bucket is full.
const CAP_BLOCKS: u64 = 4;

/// Two members: the first has the validator and the senders 1 and 2, the second the sender 3.
fn network(quotas: bool) -> Network {
    let id = |key: &lonja_primitives::NodeKey| hex::encode(key.node_id().0);
    let member = |n: u8, nodes: Value, accounts: &[u8]| {
        let accounts: Vec<Value> = accounts.iter().map(|n| json!({ "address": sender(*n) })).collect();
        json!({ "taxId": format!("ESA0000000{n}"), "name": format!("Member {n}"), "admins": [sender(20 + n)],
                "nodes": nodes, "accounts": accounts })
    };
    let node = json!([{ "key": id(&validator(1)), "roles": ["regular", "validator"] }]);
    let rates = [RATE; 8];
    let plan = json!({
        "members": [member(0, node, &[1, 2]), member(1, json!([]), &[3])],
        "policy": { "quota": { "enabled": quotas, "capBlocks": CAP_BLOCKS, "rates": rates } },
    });
    let plan = Plan::from_json(&plan.to_string()).unwrap();
    let seeded = seed(&plan, 1337, 1_000).unwrap();
    let network = NewNetwork {
        alloc: seeded.alloc,
        permissions: seeded.permissions,
        validator_contract: Some(seeded.validator_contract),
        ..NewNetwork::default()
    };
    Network::of(network, |_| {})
}

fn member_of(network: &Network, account: Address) -> B256 {
    read(network, lonja_permissioning::registry::abi::REGISTRY, &Registry::memberOfCall { account })
}

fn read<C: SolCall>(network: &Network, contract: Address, call: &C) -> C::Return {
    let head = network.core.position().head.clone();
    let state = network.core.reader().state_at(head.number).unwrap();
    let rules = network.spec.rules_at(head.number + 1, head.timestamp);
    let env = BlockEnv { number: head.number + 1, timestamp: head.timestamp, ..BlockEnv::from_header(&head) };
    Reader::new(&rules, &env, &state as &dyn StateView).ask(contract, call).unwrap()
}

fn left(network: &Network, account: Address) -> u64 {
    let member = member_of(network, account);
    let answer = read(network, lonja_permissioning::registry::abi::QUOTAS, &Quotas::availableCall { member });
    u64::try_from(answer.gas).unwrap_or(u64::MAX)
}

/// A call that burns all its gas.
fn burner(key: u8, nonce: u64, gas: u64) -> Draft {
    draft(key, nonce).with(|tx| {
        (tx.to, tx.gas_limit) = (TxKind::Call(REFUSER), gas);
    })
}

#[test]
fn a_members_gas_is_counted_down_and_comes_back() {
    let mut network = network(true);
    assert_eq!(left(&network, sender(1)), BUCKET);
    network.submit(&[draft(1, 0)]);
    let committed = network.next_block();
    let used = committed.executed.receipts[0].cumulative_gas_used;
    assert_eq!(left(&network, sender(1)), BUCKET - used + RATE.min(used), "one block's gas came back");
    assert_eq!(
        left(&network, sender(2)),
        left(&network, sender(1)),
        "one bucket for all accounts of a member"
    );
    assert_eq!(left(&network, sender(3)), BUCKET, "another member's is its own");
    network.next_block();
    network.next_block();
    assert_eq!(left(&network, sender(1)), BUCKET);
}

#[test]
fn what_exceeds_the_bucket_is_refused_at_the_door_with_when_there_is_room() {
    let network = network(true);
    let over = burner(1, 0, BUCKET + 1);
    let error = network.core.door().submit(vec![over.raw()], Origin::Local).remove(0).unwrap_err();
    assert!(matches!(&error, SubmitError::NotPermitted(Refusal { rule: Rule::Quotas, .. })));
    assert_eq!(error.code(), -32005);
    assert!(error.to_string().contains("there is room in 1 blocks"), "{error}");
}

#[test]
fn a_block_takes_what_the_bucket_holds_and_the_rest_waits_for_nobody_else() {
    let mut network = network(true);
    let limit = BUCKET / 2;
    network
        .submit(&[draft(1, 0).with(|tx| tx.gas_limit = limit), draft(1, 1).with(|tx| tx.gas_limit = limit)]);
    network.submit(&[draft(2, 0).with(|tx| tx.gas_limit = BUCKET), draft(3, 0)]);
    let first = network.next_block();
    let hash = |draft: Draft| draft.recovered().hash();
    let waits = hash(draft(2, 0).with(|tx| tx.gas_limit = BUCKET));
    assert_eq!(first.included.len(), 3);
    assert!(!first.included.contains(&waits), "its gas limit is more than is left");
    assert!(network.pool.lock().contains(&waits), "it is not dropped");
    (0..CAP_BLOCKS).for_each(|_| drop(network.next_block()));
    assert!(!network.pool.lock().contains(&waits), "with time there is room");
}

#[test]
fn a_block_in_which_a_member_uses_more_than_it_has_is_refused() {
    let mut network = network(true);
    let mut other = network.other_node();
    let mut block: Block = network.build();
    let forced = [draft(1, 0).with(|tx| tx.gas_limit = BUCKET), draft(2, 0).with(|tx| tx.gas_limit = BUCKET)];
    block.transactions = forced.iter().map(Draft::raw).collect();
    block.header.transactions_root = Block::transactions_root(&block.transactions);
    let Err(BlockError::Invalid(reason)) = other.core.check(&block) else { panic!("it was taken") };
    assert!(reason.contains("transaction 1") && reason.contains("rule quotas"), "{reason}");
}

#[test]
fn without_quotas_nothing_is_metered() {
    let mut network = network(false);
    assert_eq!(left(&network, sender(1)), u64::MAX);
    network.submit(&[draft(1, 0)]);
    assert_eq!(network.next_block().included.len(), 1);
}

#[test]
fn the_registry_counts_who_built_each_block() {
    let mut network = network(false);
    (0..3).for_each(|_| drop(network.next_block()));
    let node = keccak256(validator(1).node_id().0);
    let state = read(&network, VALIDATORS, &Validators::getValidatorCall { nodeKey: node });
    assert_eq!((state.proposed, state.missed), (3, 0));
    let set = read(&network, VALIDATORS, &Validators::getValidatorsCall {});
    assert_eq!(set, [validator_address(1)]);
}

#[test]
fn strangers_and_admins_are_told_apart() {
    let network = network(false);
    let refused = |draft: Draft| network.core.door().submit(vec![draft.raw()], Origin::Local).remove(0);
    let error = refused(draft(9, 0)).unwrap_err().to_string();
    assert!(error.contains("account unknown") && error.contains("rule accounts"), "{error}");
    // An admin has no entry of its own here, and may call the registry all the same, and nothing else.
    assert!(refused(draft(20, 0)).is_err());
    let act = draft(20, 0).with(|tx| {
        tx.to = TxKind::Call(lonja_permissioning::registry::abi::REGISTRY);
        let call = Registry::setAccountCall { account: sender(9), access: 7, quotaClass: 0, expires: 0 };
        tx.input = call.abi_encode().into();
        tx.gas_limit = 500_000;
        tx.value = U256::ZERO;
    });
    assert!(refused(act).is_ok());
}

/// Two headers as the consensus machine would have them sealed, at one height and in one round.
#[test]
fn two_seals_for_one_slot_are_proved_with_the_headers_that_validators_seal() {
    use lonja_permissioning::registry::abi::{EVIDENCE, Evidence};
    use lonja_primitives::{ExtraData, Header, HeaderFormat, Signer, commit_digest};
    let mut network = network(false);
    let header = network.build().header;
    let sealed = |header: &Header, round: u32| {
        let mut extra = ExtraData::decode(&header.extra_data, HeaderFormat::Qbft).unwrap();
        (extra.round, extra.seals) = (round, Vec::new());
        let header = Header { extra_data: extra.encode(HeaderFormat::Qbft), ..header.clone() };
        let seal = validator(1).sign(commit_digest(&header, HeaderFormat::Qbft).unwrap());
        (alloy_rlp::encode(&header), seal.0.to_vec())
    };
    let other = Header { timestamp: header.timestamp + 1, ..header.clone() };
    network.next_block();
    let accuse = |nonce: u64, (one, seal_one): (Vec<u8>, Vec<u8>), (two, seal_two): (Vec<u8>, Vec<u8>)| {
        let call = Evidence::submitEquivocationCall {
            headerA: one.into(),
            sealA: seal_one.into(),
            headerB: two.into(),
            sealB: seal_two.into(),
        };
        draft(1, nonce).with(|tx| {
            (tx.to, tx.gas_limit, tx.input) = (TxKind::Call(EVIDENCE), 2_000_000, call.abi_encode().into());
        })
    };
    let node = keccak256(validator(1).node_id().0);
    let strikes = |network: &Network| {
        read(network, VALIDATORS, &Validators::getValidatorCall { nodeKey: node }).strikes
    };
    network.submit(&[
        accuse(0, sealed(&header, 0), sealed(&header, 0)),
        accuse(1, sealed(&header, 0), sealed(&other, 1)),
    ]);
    let committed = network.next_block();
    assert!(committed.executed.receipts.iter().all(|receipt| !receipt.success), "one block, or two rounds");
    assert_eq!(strikes(&network), 0);
    network.submit(&[accuse(2, sealed(&header, 0), sealed(&other, 0))]);
    assert!(network.next_block().executed.receipts[0].success);
    assert_eq!(strikes(&network), 4);
}
