//! Permission contracts: at the door, in building, in checking, and for the next validators.

use super::network::*;
use crate::{BlockError, SubmitError};
use alloy_primitives::{Address, TxKind, U256, address, hex, keccak256};
use lonja_consensus::commitment;
use lonja_permissioning::{ConnectionVerdict, Rule};
use lonja_primitives::genesis::{GenesisAccount, NewNetwork};
use lonja_primitives::spec::{ConnectionForm, NodeRule, Permissions};
use lonja_primitives::{Block, ExtraData, HeaderFormat, NodeId};
use lonja_txpool::Origin;
use std::collections::BTreeMap;

/// The contract of lists of the tests, which anybody permitted may change.
const LISTS: Address = address!("0000000000000000000000000000000000008888");
const CODE: &str = include_str!("../../../../tests/contracts/Lists.hex");
/// The sender that is permitted from the beginning.
const KEEPER: u8 = 1;

/// A network whose contract permits the keeper, and names the first validator.
fn network(permissions: Permissions, contract: bool) -> Network {
    let listed = U256::from_be_bytes(
        keccak256(
            [sender(KEEPER).into_word().as_slice(), U256::from(1).to_be_bytes::<32>().as_slice()].concat(),
        )
        .0,
    );
    let first = U256::from_be_bytes(keccak256(U256::from(2).to_be_bytes::<32>()).0);
    let validator = U256::from_be_bytes(validator_address(1).into_word().0);
    let storage =
        BTreeMap::from([(listed, U256::from(1)), (U256::from(2), U256::from(1)), (first, validator)]);
    let code = hex::decode(CODE.trim()).unwrap().into();
    let account = GenesisAccount { code, storage, ..GenesisAccount::default() };
    let new = NewNetwork { alloc: [(LISTS, account)].into(), ..NewNetwork::default() };
    Network::of(new, |spec| {
        spec.permissions = vec![(0, permissions)];
        spec.consensus[0].1.validator_contract = contract.then_some(LISTS);
    })
}

fn accounts_only() -> Permissions {
    Permissions { accounts: Some(LISTS), ..Permissions::default() }
}

/// A call of the contract: selector and words.
fn call(key: u8, nonce: u64, signature: &str, words: &[U256]) -> Draft {
    let mut input = keccak256(signature)[..4].to_vec();
    words.iter().for_each(|word| input.extend_from_slice(&word.to_be_bytes::<32>()));
    draft(key, nonce).with(|tx| {
        tx.to = TxKind::Call(LISTS);
        tx.input = input.into();
        tx.gas_limit = 500_000;
    })
}

fn set_account(nonce: u64, account: Address, allowed: bool) -> Draft {
    let words = [U256::from_be_bytes(account.into_word().0), U256::from(u8::from(allowed))];
    call(KEEPER, nonce, "setAccount(address,bool)", &words)
}

fn set_validators(nonce: u64, list: &[u8]) -> Draft {
    let mut words = vec![U256::from(32), U256::from(list.len())];
    words.extend(list.iter().map(|n| U256::from_be_bytes(validator_address(*n).into_word().0)));
    call(KEEPER, nonce, "setValidators(address[])", &words)
}

fn submit_one(network: &Network, draft: &Draft) -> Result<(), SubmitError> {
    network.core.door().submit(vec![draft.raw()], Origin::Local).remove(0).map(drop)
}

/// The block with another body, as somebody would propose it who does not go by the rules.
fn with_body(mut block: Block, drafts: &[Draft]) -> Block {
    block.transactions = drafts.iter().map(Draft::raw).collect();
    block.header.transactions_root = Block::transactions_root(&block.transactions);
    block
}

#[test]
fn who_is_not_permitted_is_refused_at_the_door_with_code_and_rule() {
    let mut network = network(accounts_only(), false);
    let stranger = draft(2, 0);
    let error = submit_one(&network, &stranger).unwrap_err();
    assert_eq!(error.code(), -32007);
    assert!(error.to_string().contains("not authorized"), "{error}");
    assert!(error.to_string().contains("rule accounts"), "{error}");
    assert!(matches!(error, SubmitError::NotPermitted(refusal) if refusal.rule == Rule::Accounts));
    network.submit(&[set_account(0, sender(2), true)]);
    assert!(submit_one(&network, &stranger).is_err(), "not before the vote is in a block");
    network.next_block();
    network.submit(&[stranger]);
    assert_eq!(network.next_block().included.len(), 1);
}

#[test]
fn a_block_with_a_transaction_that_is_not_permitted_is_refused_by_everybody_and_the_network_goes_on() {
    let mut network = network(accounts_only(), false);
    let mut other = network.other_node();
    let honest = network.build();
    let forced = with_body(honest.clone(), &[draft(2, 0)]);
    let Err(BlockError::Invalid(reason)) = other.core.check(&forced) else { panic!("it was taken") };
    assert!(reason.contains("transaction 0") && reason.contains("not permitted"), "{reason}");
    other.core.check(&honest).unwrap();
    other.commit(honest.clone());
    network.commit(honest);
    assert_eq!(network.core.position().head.hash(), other.core.position().head.hash());
}

#[test]
fn a_permission_given_in_a_block_counts_from_the_next_one_on() {
    let mut network = network(accounts_only(), false);
    let mut other = network.other_node();
    let both = [set_account(0, sender(2), true), draft(2, 0)];
    let forced = with_body(network.build(), &both);
    let Err(BlockError::Invalid(reason)) = other.core.check(&forced) else { panic!("it was taken") };
    assert!(reason.contains("transaction 1"), "{reason}");
}

#[test]
fn one_who_loses_the_permission_is_dropped_and_holds_nobody_up() {
    let mut network = network(accounts_only(), false);
    network.submit(&[set_account(0, sender(2), true), set_account(1, sender(3), true)]);
    network.next_block();
    network.submit(&[set_account(2, sender(2), false)]);
    let revoking = network.build();
    network.submit(&[draft(2, 0), draft(3, 0)]);
    network.commit(revoking);
    let next = network.next_block();
    assert_eq!(next.included, [draft(3, 0).recovered().hash()]);
    assert!(!network.pool.lock().contains(&draft(2, 0).recovered().hash()), "dropped");
}

#[test]
fn what_waits_is_dropped_where_it_is_not_permitted_any_more() {
    let mut network = network(accounts_only(), false);
    network.submit(&[set_account(0, sender(2), true), set_account(1, sender(3), true)]);
    network.next_block();
    let door = network.core.door();
    assert_eq!(door.drop_not_permitted(), 0, "nothing waits");
    let (gone, stays) = (draft(2, 5), draft(3, 5));
    network.submit(&[gone.clone(), stays.clone()]);
    network.next_block();
    assert_eq!(door.drop_not_permitted(), 0, "nothing changed");
    network.submit(&[set_account(2, sender(2), false)]);
    network.next_block();
    assert_eq!(door.drop_not_permitted(), 1);
    let pool = network.pool.lock();
    assert!(!pool.contains(&gone.recovered().hash()) && pool.contains(&stays.recovered().hash()));
    assert!(pool.dropped_reason(&gone.recovered().hash()).is_some_and(|why| why.contains("rule accounts")));
}

#[test]
fn a_missing_contract_closes_the_network_for_transactions_and_not_for_blocks() {
    let nowhere = Permissions { accounts: Some(Address::repeat_byte(0x99)), ..Permissions::default() };
    let mut network = network(nowhere, false);
    let error = submit_one(&network, &draft(KEEPER, 0)).unwrap_err();
    assert!(error.to_string().contains("there is no contract"), "{error}");
    assert!(network.next_block().included.is_empty());
}

#[test]
fn the_contract_names_the_next_validators_and_headers_commit_to_them() {
    let mut network = network(accounts_only(), true);
    let mut other = network.other_node();
    network.submit(&[set_validators(0, &[2, 1])]);
    let block = network.build();
    let extra = ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).unwrap();
    let mut next = vec![validator_address(1), validator_address(2)];
    next.sort_unstable();
    assert_eq!(extra.vanity.as_ref(), commitment(&next).as_slice());
    assert_eq!(extra.validators, [validator_address(1)], "the block's own validators");
    other.core.check(&block).unwrap();
    let committed = network.commit(block.clone());
    assert_eq!(committed.position.votes.validators().as_slice(), next);
    let sealed = other.seal(block, 0, &[1]);
    other.core.commit(&sealed).unwrap();
    assert_eq!(other.core.position().votes.validators().as_slice(), next);
    other.core.sync_and_publish().unwrap();
    assert_eq!(other.reopen().core.position().votes.validators().as_slice(), next, "after a restart");
}

#[test]
fn a_header_that_commits_to_other_validators_is_refused() {
    let mut network = network(accounts_only(), true);
    let mut other = network.other_node();
    let mut block = network.build();
    let mut extra = ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).unwrap();
    extra.vanity = commitment(&[validator_address(2)]).to_vec().into();
    block.header.extra_data = extra.encode(HeaderFormat::Qbft);
    let Err(BlockError::Invalid(reason)) = other.core.check(&block) else { panic!("it was taken") };
    assert!(reason.contains("validators"), "{reason}");
}

#[test]
fn validators_stay_where_the_contract_names_no_set() {
    let mut network = network(accounts_only(), true);
    network.submit(&[set_validators(0, &[])]);
    let committed = network.next_block();
    assert_eq!(committed.position.votes.validators().as_slice(), [validator_address(1)]);
    network.submit(&[set_validators(1, &[2, 2])]);
    let committed = network.next_block();
    assert_eq!(committed.position.votes.validators().as_slice(), [validator_address(1)]);
}

#[test]
fn a_judge_of_peers_follows_the_chain_and_says_when_answers_may_differ() {
    let nodes = Some(NodeRule { contract: LISTS, form: ConnectionForm::Words });
    let mut network = network(Permissions { nodes, ..accounts_only() }, false);
    let own = lonja_permissioning::OwnEnd { node: key(9).node_id(), ip: None, port: 0 };
    let judge = network.core.peer_judge(own);
    let peer: NodeId = key(7).node_id();
    assert!(matches!(judge.judge(peer, Some(("127.0.0.1", 1))), Ok(ConnectionVerdict::Refused(_))));
    assert!(!network.next_block().connections_differ, "an empty block");
    let words = |range| U256::from_be_slice(&peer.0[range]);
    let set = call(KEEPER, 0, "setKey(bytes32,bytes32,bool)", &[words(0..32), words(32..64), U256::from(1)]);
    network.submit(&[set]);
    assert!(network.next_block().connections_differ);
    assert_eq!(judge.judge(peer, Some(("127.0.0.1", 1))).unwrap(), ConnectionVerdict::Allowed);
}
