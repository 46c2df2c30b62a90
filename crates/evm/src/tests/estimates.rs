//! Estimates do, and are not far from what is needed.

use super::world::*;
use crate::*;
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, Bytes, U256, bytes};
use lonja_primitives::{BlockRules, Fork, Signer};
use revm::bytecode::opcode::*;
use std::time::Duration;

const BOB: Address = Address::repeat_byte(0xb0);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const OTHER: Address = Address::repeat_byte(0xc1);

fn estimate(world: &World, rules: BlockRules, request: &CallRequest) -> Result<u64, CallError> {
    let env = env(rules.fork);
    let context = CallContext {
        rules,
        env: &env,
        state: world,
        private: None,
        gas_cap: 50_000_000,
        time_left: &|| Duration::MAX,
    };
    estimate_gas(&context, request, &Overrides::default())
}

fn to(address: Address) -> CallRequest {
    CallRequest { to: Some(address), ..CallRequest::default() }
}

/// The estimate makes the transaction succeed, and `short` gas less than it makes it fail.
fn check(world: World, to: Address, data: Bytes, spare_per_cent: u64) {
    let alice = key(1);
    let request = CallRequest { from: Some(alice.address()), to: Some(to), data, ..CallRequest::default() };
    let gas = estimate(&world, rules(Fork::Osaka), &request).unwrap();
    let succeeds = |gas_limit| {
        let tx = TxLegacy { gas_limit, input: request.data.clone(), ..send(0, to) };
        let mut executor = BlockExecutor::new(rules(Fork::Osaka), env(Fork::Osaka), &world);
        executor.execute(&signed(&alice, tx)).is_ok() && executor.finish().unwrap().receipts[0].success
    };
    assert!(succeeds(gas), "{gas} is too little");
    assert!(!succeeds(gas - gas * spare_per_cent / 100 - 1), "{gas} is far too much");
}

#[test]
fn a_transfer_costs_21000() {
    let world = World::default().with_balance(BOB, 10);
    let request = CallRequest { from: Some(BOB), value: U256::from(3), ..to(OTHER) };
    assert_eq!(estimate(&world, rules(Fork::Osaka), &request), Ok(21_000));
    // Too little gas asked for, a price, and an account that is not there: all the same.
    let request = CallRequest { gas: Some(5), gas_price: Some(1_000), ..to(OTHER) };
    assert_eq!(estimate(&world, rules(Fork::Osaka), &request), Ok(21_000));
}

#[test]
fn estimates_do() {
    let store = [args(&[0, 7]), vec![SSTORE]].concat();
    check(World::default().with_code(CONTRACT, store.clone()), CONTRACT, Bytes::new(), 0);
    // Clearing a slot refunds gas that must be there first.
    let clear = [args(&[0, 0]), vec![SSTORE]].concat();
    check(World::default().with_code(CONTRACT, clear).with_slot(CONTRACT, 0, 1), CONTRACT, Bytes::new(), 0);
    // A call keeps back a 64th; the outer fails when the inner does.
    let call = call_of(CALL, OTHER, u64::MAX, 0);
    let at = call.len() as u64 + 8;
    let outer = [call, push(at), vec![JUMPI], args(&[0, 0]), vec![REVERT, JUMPDEST]].concat();
    assert_eq!(outer[at as usize], JUMPDEST);
    check(World::default().with_code(CONTRACT, outer).with_code(OTHER, store), CONTRACT, Bytes::new(), 2);
    // The floor of EIP-7623.
    check(World::default(), BOB, vec![1; 1_000].into(), 0);
}

/// A contract that wants far more gas than it uses.
#[test]
fn a_contract_that_looks_at_its_gas_gets_enough() {
    let code = [vec![GAS], push(1_000_000), vec![LT], push(10), vec![JUMPI, INVALID, JUMPDEST]].concat();
    assert_eq!(code[10], JUMPDEST);
    let world = World::default().with_code(CONTRACT, code);
    let gas = estimate(&world, rules(Fork::Osaka), &to(CONTRACT)).unwrap();
    assert!((1_021_000..1_037_000).contains(&gas), "{gas}");
}

#[test]
fn a_revert_is_reported_with_its_data() {
    let code = [push(0xabcd), push(0), vec![MSTORE], args(&[30, 2]), vec![REVERT]].concat();
    let world = World::default().with_code(CONTRACT, code).with_code(OTHER, vec![INVALID]);
    assert_eq!(estimate(&world, rules(Fork::Osaka), &to(CONTRACT)), Err(CallError::Reverted(bytes!("abcd"))));
    let failed = CallError::Failed("invalid opcode: INVALID".into());
    assert_eq!(estimate(&world, rules(Fork::Osaka), &to(OTHER)), Err(failed));
}

#[test]
fn endless_code_exceeds_every_allowance() {
    let world = World::default().with_code(CONTRACT, [vec![JUMPDEST], push(0), vec![JUMP]].concat());
    let allowance = |fork, gas| {
        let request = CallRequest { gas, ..to(CONTRACT) };
        estimate(&world, rules(fork), &request).unwrap_err().to_string()
    };
    assert_eq!(allowance(Fork::Prague, None), "gas required exceeds allowance (30000000)");
    assert_eq!(allowance(Fork::Prague, Some(40_000)), "gas required exceeds allowance (40000)");
    assert_eq!(allowance(Fork::Prague, Some(60_000_000)), "gas required exceeds allowance (50000000)");
    assert_eq!(allowance(Fork::Osaka, None), "gas required exceeds allowance (16777216)");
}

#[test]
fn where_gas_is_paid_the_balance_is_the_allowance() {
    let store = [args(&[0, 7]), vec![SSTORE]].concat();
    let world = World::default().with_balance(BOB, 300_000).with_code(CONTRACT, store);
    let request = |price| CallRequest { from: Some(BOB), gas_price: Some(price), ..to(CONTRACT) };
    let paid = paid(Fork::Osaka);
    let gas = estimate(&world, paid, &request(1)).unwrap();
    assert_eq!(estimate(&world, paid, &request(10)).unwrap_err(), CallError::GasAllowance(30_000));
    assert!(gas > 40_000 && gas < 50_000);
    let poor = CallRequest { value: U256::from(300_001), ..request(1) };
    let error = estimate(&world, paid, &poor).unwrap_err();
    assert!(error.to_string().starts_with("insufficient funds"));
    // Free gas: neither price nor balance matter.
    assert_eq!(
        estimate(&World::default().with_code(CONTRACT, vec![STOP]), rules(Fork::Osaka), &request(1 << 90)),
        Ok(21_000)
    );
}
