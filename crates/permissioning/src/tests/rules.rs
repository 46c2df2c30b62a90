use super::world::*;
use crate::{ConnectionQuestion, ConnectionVerdict, Rule, TransactionQuestion, Verdict};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use lonja_evm::BlockExecutor;
use lonja_primitives::spec::{ConnectionForm, NodeRule};
use lonja_primitives::{BlockRules, Fork};

fn question(sender: u8) -> TransactionQuestion<'static> {
    TransactionQuestion {
        sender: Address::repeat_byte(sender),
        target: Some(Address::repeat_byte(0xbb)),
        value: U256::ZERO,
        gas_price: 0,
        gas_limit: 21_000,
        payload: &[],
    }
}

fn transact(world: &World, sender: u8) -> Verdict {
    world.judge().transaction(&question(sender)).unwrap()
}

fn connect(world: &World, n: u8, at: Option<(&str, u16)>) -> ConnectionVerdict {
    world.judge().connection(&ConnectionQuestion { node: node(n), at }, &own()).unwrap()
}

fn set_account(account: u8, allowed: bool) -> setAccountCall {
    setAccountCall { account: Address::repeat_byte(account), allowed }
}

#[test]
fn a_listed_account_transacts_from_the_next_block_on_and_no_longer_than_it_is_listed() {
    let mut world = World::new();
    let refusal = transact(&world, 1).unwrap_err();
    assert_eq!(refusal.rule, Rule::Accounts);
    assert!(refusal.reason.contains("does not allow"), "{refusal}");
    world.block(set_account(1, true));
    assert_eq!(transact(&world, 1), Ok(()));
    assert_eq!(transact(&world, 1), Ok(()), "from the memo");
    assert!(transact(&world, 2).is_err());
    world.block(set_account(1, false));
    assert!(transact(&world, 1).is_err());
}

#[test]
fn an_answer_that_depends_on_the_height_is_asked_at_every_height() {
    let mut world = World::new();
    world.block(setUntilCall { account: Address::repeat_byte(1), number: U256::from(4) });
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        verdicts.push(transact(&world, 1).is_ok());
        world.block_to(Address::repeat_byte(0x77), Bytes::new());
    }
    assert_eq!(verdicts, [true, true, false], "blocks 2, 3 and 4");
}

#[test]
fn a_contract_that_is_missing_reverts_runs_out_of_gas_or_answers_nonsense_closes_the_door() {
    let cases: [(&str, &str); 6] = [
        ("", "there is no contract"),
        ("60006000fd", "reverted"),
        ("5b600056", "out of gas"),
        ("fe", "invalid opcode"),
        ("6000600052601f6000f3", "31 bytes that are no answer"),
        ("600260005260206000f3", "32 bytes that are no answer"),
    ];
    for (code, expected) in cases {
        let world = World::with_code(hex::decode(code).unwrap());
        let refusal = transact(&world, 1).unwrap_err();
        assert!(refusal.reason.contains(expected), "{code}: {refusal}");
        let ConnectionVerdict::Refused(refusal) = connect(&world, 1, Some(("10.0.0.1", 1))) else {
            panic!("{code} let a node in")
        };
        assert_eq!(refusal.rule, Rule::Nodes);
    }
}

#[test]
fn where_no_contract_is_named_everybody_may() {
    let mut world = World::with_code(Vec::new());
    world.permissions = Default::default();
    assert_eq!(transact(&world, 1), Ok(()));
    assert_eq!(connect(&world, 1, None), ConnectionVerdict::Allowed);
}

#[test]
fn a_contract_that_looks_at_addresses_is_asked_again_when_the_address_is_known() {
    let mut world = World::new();
    let enode = hex::encode(node(1).0);
    assert_eq!(connect(&world, 1, None), ConnectionVerdict::NeedsAddress);
    let entry = setNodeCall { enodeId: enode, host: "10.0.0.1".into(), port: 30303, allowed: true };
    assert!(!world.block(entry), "another slot than was looked at");
    assert_eq!(connect(&world, 1, Some(("10.0.0.1", 30303))), ConnectionVerdict::Allowed);
    assert!(matches!(connect(&world, 1, Some(("10.0.0.2", 30303))), ConnectionVerdict::Refused(_)));
    assert!(!world.block_to(Address::repeat_byte(0x77), Bytes::new()), "another contract");
}

#[test]
fn besus_first_interface_is_understood() {
    let mut world = World::new();
    world.permissions.nodes = Some(NodeRule { contract: LISTS, form: ConnectionForm::Words });
    let at = Some(("10.0.0.1", 30303));
    assert!(matches!(connect(&world, 1, at), ConnectionVerdict::Refused(_)));
    let key = B256::repeat_byte(1);
    world.block(setKeyCall { high: key, low: key, allowed: true });
    assert_eq!(connect(&world, 1, at), ConnectionVerdict::Allowed);
    assert!(matches!(connect(&world, 2, at), ConnectionVerdict::Refused(_)));
}

#[test]
fn the_next_validators_are_read_at_the_end_of_the_block() {
    let mut world = World::new();
    let list = vec![Address::repeat_byte(2), Address::repeat_byte(1)];
    world.block(setValidatorsCall { list: list.clone() });
    let mut executor = BlockExecutor::new(rules(), env(2), &world.state);
    assert_eq!(crate::next_validators(&mut executor, LISTS).unwrap(), Ok(list));
    let missing = crate::next_validators(&mut executor, Address::repeat_byte(0x55)).unwrap();
    assert!(missing.unwrap_err().contains("there is no contract"));
    assert!(executor.finish().unwrap().changes.is_empty(), "a question leaves nothing behind");
}

/// A fork may let code run that failed before it, at the same state.
#[test]
fn what_was_said_under_other_rules_is_asked_again() {
    // Answers 1 where PUSH0 is known (Shanghai), and is no code before.
    let mut world = World::with_code(hex::decode("60015f5260205ff3").unwrap());
    assert_eq!(transact(&world, 1), Ok(()));
    let before = BlockRules { fork: Fork::London, ..rules() };
    let old = |world: &World| {
        let judge = crate::Judge::new(world.permissions, before, env(world.number + 1), &world.state);
        judge.with_memos(&world.memos, world.number).transaction(&question(1)).unwrap()
    };
    assert!(old(&world).is_err(), "an answer of another fork");
    world.memos = crate::Memos::new(0, before);
    assert!(old(&world).is_err());
    assert_eq!(transact(&world, 1), Ok(()), "and the other way round");
}
