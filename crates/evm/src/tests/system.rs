//! Calls that a block makes itself, and accounts that no contract is created over.

use super::world::*;
use crate::{BlockExecutor, SYSTEM_CALLER};
use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256};
use lonja_primitives::{Fork, Signer};
use revm::bytecode::opcode::*;

const CONTRACT: Address = Address::repeat_byte(0xc0);
const SYSTEM_GAS: u64 = 100_000;

/// Stores the caller at slot 0 and the first word of the input at slot 1, and answers with the gas price.
fn keeper() -> Vec<u8> {
    [
        vec![CALLER],
        push(0),
        vec![SSTORE],
        push(0),
        vec![CALLDATALOAD],
        push(1),
        vec![SSTORE, GASPRICE],
        return_word(),
    ]
    .concat()
}

#[test]
fn a_block_calls_a_contract() {
    let alice = key(1);
    let mut world = World::default().with_code(CONTRACT, keeper());
    let rules = paid(Fork::Osaka);
    let mut executor = BlockExecutor::new(rules, env(rules.fork), &world);
    let input = Bytes::from(U256::from(77).to_be_bytes_vec());
    let outcome = executor.system_call(CONTRACT, input, SYSTEM_GAS).unwrap();
    assert!(outcome.success && outcome.output == U256::ZERO.to_be_bytes_vec());
    assert!(outcome.gas_used > 40_000 && outcome.gas_used < SYSTEM_GAS, "{}", outcome.gas_used);
    assert_eq!(executor.gas_taken(), 0);
    executor.execute(&signed(&alice, send(1, Address::repeat_byte(1)))).unwrap_err();
    let output = executor.finish().unwrap();
    assert!(output.receipts.is_empty());
    assert_eq!(output.changes.accounts.keys().collect::<Vec<_>>(), [&CONTRACT]);
    world.apply(&output.changes);
    assert_eq!(world.slot(CONTRACT, 0), U256::from_be_bytes(SYSTEM_CALLER.into_word().0));
    assert_eq!(world.slot(CONTRACT, 1), U256::from(77));
}

#[test]
fn calls_of_the_block_and_transactions_see_each_other() {
    let alice = key(1);
    let count = [push(0), vec![SLOAD], push(1), vec![ADD], push(0), vec![SSTORE]].concat();
    let mut world = World::default().with_code(CONTRACT, count).with_slot(CONTRACT, 0, 5);
    let rules = rules(Fork::Osaka);
    let mut executor = BlockExecutor::new(rules, env(rules.fork), &world);
    executor.system_call(CONTRACT, Bytes::new(), SYSTEM_GAS).unwrap();
    executor.execute(&signed(&alice, send(0, CONTRACT))).unwrap();
    executor.system_call(CONTRACT, Bytes::new(), SYSTEM_GAS).unwrap();
    let output = executor.finish().unwrap();
    assert!(output.receipts[0].success && output.receipts[0].cumulative_gas_used == output.gas_used);
    world.apply(&output.changes);
    assert_eq!(world.slot(CONTRACT, 0), U256::from(8));
}

#[test]
fn a_call_that_fails_changes_nothing_and_stops_nothing() {
    let endless = [vec![CALLER], push(0), vec![SSTORE, JUMPDEST], push(4), vec![JUMP]].concat();
    let reverts = [push(1), push(0), vec![SSTORE], args(&[0, 0]), vec![REVERT]].concat();
    for code in [endless, reverts, vec![INVALID]] {
        let world = World::default().with_code(CONTRACT, code);
        let rules = rules(Fork::Osaka);
        let mut executor = BlockExecutor::new(rules, env(rules.fork), &world);
        let outcome = executor.system_call(CONTRACT, Bytes::new(), SYSTEM_GAS).unwrap();
        assert!(!outcome.success && outcome.gas_used <= SYSTEM_GAS, "{outcome:?}");
        let missing = executor.system_call(Address::repeat_byte(9), Bytes::new(), SYSTEM_GAS).unwrap();
        assert!(missing.success && missing.output.is_empty());
        assert!(executor.finish().unwrap().changes.is_empty());
    }
}

#[test]
fn nothing_is_created_over_an_account_with_storage() {
    let alice = key(1);
    let address = alice.address().create(0);
    let mut world = World::default().with_balance(address, 1).with_slot(address, 1, 1);
    let output = world.block(rules(Fork::Osaka), &[signed(&alice, create(0, deploys(&[STOP])))]);
    assert!(!output.receipts[0].success && output.gas_used == PLENTY);
    assert_eq!(world.slot(address, 1), U256::from(1));
    assert_eq!(world.accounts[&address].code_hash, KECCAK256_EMPTY);
}

#[test]
fn an_account_with_storage_looks_like_one_without_code() {
    let alice = key(1);
    let (rich, poor) = (Address::repeat_byte(1), Address::repeat_byte(2));
    let ask = |address: Address, slot: u64| {
        [push_address(address), vec![EXTCODEHASH], push(slot), vec![SSTORE]].concat()
    };
    let code = [ask(rich, 0), ask(poor, 1)].concat();
    let mut world = World::default().with_code(CONTRACT, code).with_balance(rich, 7).with_balance(poor, 0);
    world = world.with_slot(rich, 1, 1).with_slot(poor, 1, 1).with_slot(CONTRACT, 1, 9);
    world.block(rules(Fork::Osaka), &[signed(&alice, send(0, CONTRACT))]);
    assert_eq!(world.slot(CONTRACT, 0), U256::from_be_bytes(KECCAK256_EMPTY.0));
    assert_eq!(world.slot(CONTRACT, 1), U256::ZERO);
    world.block(rules(Fork::Osaka), &[signed(&alice, transfer(1, rich, 0))]);
    assert_eq!((world.balance(rich), world.slot(rich, 1)), (U256::from(7), U256::from(1)));
}
