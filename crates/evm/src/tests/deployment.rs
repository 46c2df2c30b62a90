//! Contracts come into being; limits on sizes and on gas.

use super::world::*;
use crate::{TxInvalid, intrinsic_gas, transaction_gas_cap};
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, U256, keccak256};
use lonja_primitives::{BlockRules, Fork, Signer};
use revm::bytecode::opcode::*;

const BOB: Address = Address::repeat_byte(0xb0);

#[test]
fn a_contract_is_created_and_called() {
    let alice = key(1);
    let code = [args(&[0, 7]), vec![SSTORE]].concat();
    let mut world = World::default().with_balance(alice.address(), 3);
    let tx = TxLegacy { value: U256::from(3), ..create(0, deploys(&code)) };
    let address = alice.address().create(0);
    let output = world.block(rules(Fork::Osaka), &[signed(&alice, tx), signed(&alice, send(1, address))]);
    assert!(output.receipts.iter().all(|receipt| receipt.success));
    assert_eq!(output.changes.codes, [(keccak256(&code), Bytes::from(code.clone()))].into());
    let account = world.accounts[&address];
    assert_eq!((account.nonce, account.balance), (1, U256::from(3)));
    assert_eq!(account.code_hash, keccak256(&code));
    assert_eq!(world.slot(address, 0), U256::from(7));
    assert!(!output.changes.accounts[&address].storage_wiped);
}

#[test]
fn an_address_with_a_balance_can_become_a_contract() {
    let alice = key(1);
    let address = alice.address().create(0);
    let mut world = World::default().with_balance(address, 11);
    world.block(rules(Fork::Osaka), &[signed(&alice, create(0, deploys(&[STOP])))]);
    assert_eq!(world.code_of(address), Bytes::from(vec![STOP]));
    assert_eq!(world.balance(address), U256::from(11));
}

#[test]
fn nothing_is_created_over_a_contract() {
    let alice = key(1);
    let address = alice.address().create(0);
    let mut world = World::default().with_code(address, vec![STOP, STOP]).with_slot(address, 1, 1);
    let output = world.block(rules(Fork::Osaka), &[signed(&alice, create(0, deploys(&[STOP])))]);
    assert!(!output.receipts[0].success);
    assert_eq!(output.gas_used, PLENTY);
    assert_eq!(world.code_of(address), Bytes::from(vec![STOP, STOP]));
    assert_eq!(world.slot(address, 1), U256::from(1));
}

/// Deploys `size` bytes of code and says whether that worked.
fn deploys_size(rules: BlockRules, size: u64) -> bool {
    let alice = key(1);
    let init_code = [args(&[0, size]), vec![RETURN]].concat();
    let tx = TxLegacy { gas_limit: 16_000_000, ..create(0, init_code) };
    let mut world = World::default();
    let output = world.block(rules, &[signed(&alice, tx)]);
    let deployed = world.code_of(alice.address().create(0)).len() as u64;
    assert_eq!(output.receipts[0].success, deployed == size);
    output.receipts[0].success
}

#[test]
fn code_may_be_as_long_as_the_rules_say() {
    for fork in [Fork::SpuriousDragon, Fork::London, Fork::Osaka] {
        assert!(deploys_size(rules(fork), 24_576));
        assert!(!deploys_size(rules(fork), 24_577), "{fork:?}");
        let mut larger = rules(fork);
        larger.limits.code_size = 65_536;
        assert!(deploys_size(larger, 65_536));
        assert!(!deploys_size(larger, 65_537));
        let mut smaller = rules(fork);
        smaller.limits.code_size = 100;
        assert!(!deploys_size(smaller, 101));
    }
    assert!(deploys_size(rules(Fork::Homestead), 60_000), "EIP-170 came with Spurious Dragon");
}

#[test]
fn code_may_not_begin_with_ef_from_london_on() {
    let alice = key(1);
    let init_code = [push(0xef), push(0), vec![MSTORE8], args(&[0, 1]), vec![RETURN]].concat();
    for (fork, works) in [(Fork::Berlin, true), (Fork::London, false)] {
        let mut world = World::default();
        let output = world.block(rules(fork), &[signed(&alice, create(0, init_code.clone()))]);
        assert_eq!(output.receipts[0].success, works);
    }
}

#[test]
fn init_code_is_limited_from_shanghai_on() {
    let alice = key(1);
    let tx = |size| {
        let tx = TxLegacy { gas_limit: 5_000_000, ..create(0, vec![0; size]) };
        signed(&alice, tx)
    };
    let world = World::default();
    let invalid = world.refusal(rules(Fork::Shanghai), &tx(49_153));
    assert_eq!(invalid, TxInvalid::InitCodeTooLarge { size: 49_153, limit: 49_152 });
    assert_eq!(invalid.to_string(), "max initcode size exceeded: code size 49153 limit 49152");
    assert_eq!(intrinsic_gas(&rules(Fork::Shanghai), &tx(49_153)), Err(invalid));
    for (rules, size) in [(rules(Fork::Shanghai), 49_152), (rules(Fork::London), 49_153)] {
        let mut world = World::default();
        let output = world.block(rules, &[tx(size)]);
        assert!(output.receipts[0].success);
        assert_eq!(world.accounts[&alice.address().create(0)].code_hash, KECCAK256_EMPTY);
    }
    let mut wider = rules(Fork::Osaka);
    wider.limits.init_code_size = 60_000;
    assert!(World::default().block(wider, &[tx(60_000)]).receipts[0].success);
}

/// The limit holds for the opcodes too.
#[test]
fn create_in_code_keeps_the_limits() {
    let alice = key(1);
    let contract = Address::repeat_byte(0xc0);
    let result = |limit, length: u64| {
        let code = [args(&[0, 0, length]), vec![CREATE], push(0), vec![SSTORE]].concat();
        let mut world = World::default().with_code(contract, code);
        let mut rules = rules(Fork::Osaka);
        rules.limits.init_code_size = limit;
        let output = world.block(rules, &[signed(&alice, send(0, contract))]);
        output.receipts[0].success && !world.slot(contract, 0).is_zero()
    };
    assert!(result(1_000, 1_000));
    assert!(!result(1_000, 1_001));
    assert!(result(1_001, 1_001));
}

#[test]
fn transactions_may_be_as_long_as_the_rules_say() {
    let alice = key(1);
    let tx = TxLegacy { input: vec![1; 5_000].into(), ..send(0, BOB) };
    let tx = signed(&alice, tx);
    let size = tx.raw().len();
    let mut exact = rules(Fork::Osaka);
    exact.limits.transaction_size = size;
    assert!(intrinsic_gas(&exact, &tx).is_ok());
    assert!(World::default().block(exact, std::slice::from_ref(&tx)).receipts[0].success);
    exact.limits.transaction_size = size - 1;
    let invalid = TxInvalid::TooLarge { size, limit: size - 1 };
    assert_eq!(intrinsic_gas(&exact, &tx), Err(invalid.clone()));
    assert_eq!(World::default().refusal(exact, &tx), invalid);
}

#[test]
fn intrinsic_gas_depends_on_the_fork() {
    let alice = key(1);
    let data =
        |gas_limit| TxLegacy { input: [vec![0; 10], vec![1; 20]].concat().into(), gas_limit, ..send(0, BOB) };
    let make = |gas_limit| TxLegacy { gas_limit, ..create(0, vec![0; 64]) };
    let expected = [
        // 10 zero bytes at 4; 20 others at 68, then 16 (EIP-2028); floor of 90 tokens at 10 (EIP-7623).
        (Fork::Frontier, 21_000 + 40 + 1_360, 21_000 + 256),
        (Fork::Homestead, 21_000 + 40 + 1_360, 53_000 + 256),
        (Fork::Istanbul, 21_000 + 40 + 320, 53_000 + 256),
        // Two words of init code at 2 (EIP-3860).
        (Fork::Shanghai, 21_000 + 40 + 320, 53_000 + 256 + 4),
        (Fork::Osaka, 21_000 + 900, 53_000 + 256 + 4),
    ];
    for (fork, call, creation) in expected {
        let rules = rules(fork);
        assert_eq!(intrinsic_gas(&rules, &signed(&alice, data(PLENTY))), Ok(call), "{fork:?}");
        assert_eq!(intrinsic_gas(&rules, &signed(&alice, make(PLENTY))), Ok(creation), "{fork:?}");
        let short = signed(&alice, data(call - 1));
        let (have, want) = (call - 1, call);
        let invalid = match fork {
            Fork::Osaka => TxInvalid::FloorDataGas { have, want },
            _ => TxInvalid::IntrinsicGas { have, want },
        };
        assert_eq!(intrinsic_gas(&rules, &short), Err(invalid.clone()));
        assert_eq!(World::default().refusal(rules, &short), invalid);
    }
    let invalid = intrinsic_gas(&rules(Fork::Osaka), &signed(&alice, make(1_000))).unwrap_err();
    assert_eq!(invalid.to_string(), "intrinsic gas too low: have 1000, want 53260");
}

#[test]
fn one_transaction_may_not_ask_for_more_than_the_cap_from_osaka_on() {
    let alice = key(1);
    let cap = 1 << 24;
    let tx = |gas_limit| signed(&alice, TxLegacy { gas_limit, ..transfer(0, BOB, 0) });
    assert_eq!(transaction_gas_cap(&rules(Fork::Prague)), None);
    assert_eq!(transaction_gas_cap(&rules(Fork::Osaka)), Some(cap));
    let invalid = World::default().refusal(rules(Fork::Osaka), &tx(cap + 1));
    assert_eq!(invalid, TxInvalid::GasLimitTooHigh { cap, tx: cap + 1 });
    assert_eq!(intrinsic_gas(&rules(Fork::Osaka), &tx(cap + 1)), Err(invalid));
    let mut large_contracts = rules(Fork::Osaka);
    large_contracts.limits.code_size = 131_072;
    for (rules, gas) in
        [(rules(Fork::Osaka), cap), (rules(Fork::Prague), cap + 1), (large_contracts, cap + 1)]
    {
        assert!(World::default().block(rules, &[tx(gas)]).receipts[0].success);
    }
}
