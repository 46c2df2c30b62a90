//! Gas that is free, and gas that is not.

use super::world::*;
use crate::{TxInvalid, intrinsic_gas};
use alloy_consensus::{TxEip1559, TxEip7702, TxLegacy};
use alloy_primitives::{Address, U256};
use lonja_primitives::{BlockRules, Fork, Signer};
use revm::bytecode::opcode::*;

const BOB: Address = Address::repeat_byte(0xb0);
const CONTRACT: Address = Address::repeat_byte(0xc0);

/// Stores the gas price in slot 0.
fn gas_price_code() -> Vec<u8> {
    [vec![GASPRICE], push(1), vec![ADD], push(0), vec![SSTORE]].concat()
}

#[test]
fn free_gas_charges_nothing_whatever_is_offered() {
    let alice = key(1);
    let offers = [(0, 0), (1_000_000_000, 0), (3_000_000_000, 2_000_000_000), (u128::MAX, u128::MAX)];
    for (max_fee_per_gas, max_priority_fee_per_gas) in offers {
        let mut world = World::default().with_code(CONTRACT, gas_price_code());
        let tx = TxEip1559 { to: CONTRACT.into(), max_fee_per_gas, max_priority_fee_per_gas, ..eip1559(0) };
        let tx = signed(&alice, tx);
        assert!(intrinsic_gas(&rules(Fork::Osaka), &tx).is_ok());
        let output = world.block(rules(Fork::Osaka), &[tx]);
        assert!(output.receipts[0].success);
        assert_eq!(world.slot(CONTRACT, 0), U256::from(1), "GASPRICE is 0");
        assert_eq!(world.balance(alice.address()), U256::ZERO);
        assert_eq!(world.nonce(alice.address()), 1);
        assert!(!world.accounts.contains_key(&PROPOSER));
    }
    let mut world = World::default();
    let legacy = TxLegacy { gas_price: 20_000_000_000, ..transfer(0, BOB, 0) };
    world.block(rules(Fork::Istanbul), &[signed(&alice, legacy)]);
    assert_eq!(world.nonce(alice.address()), 1);
}

/// EIP-1559 calls it invalid whatever gas costs, and other clients would not replay a block with it.
#[test]
fn a_tip_above_the_highest_fee_is_refused_with_free_gas_too() {
    let alice = key(1);
    let address = alice.address();
    let world = World::default();
    let offer = TxEip1559 {
        to: BOB.into(),
        max_fee_per_gas: 1,
        max_priority_fee_per_gas: 9,
        gas_limit: 21_000,
        ..eip1559(0)
    };
    let set_code = TxEip7702 {
        authorization_list: vec![authorize(&key(2), CONTRACT, 0)],
        max_fee_per_gas: 1,
        max_priority_fee_per_gas: 9,
        ..eip7702(0)
    };
    for tx in [signed(&alice, offer), signed(&alice, set_code)] {
        let invalid = world.refusal(rules(Fork::Osaka), &tx);
        assert_eq!(invalid, TxInvalid::TipAboveFee { address, tip: 9, fee: 1 });
        assert_eq!(intrinsic_gas(&rules(Fork::Osaka), &tx), Err(invalid));
    }
}

#[test]
fn free_gas_still_wants_the_value() {
    let alice = key(1);
    let address = alice.address();
    let world = World::default().with_balance(address, 5);
    let tx = TxEip1559 { to: BOB.into(), value: U256::from(6), max_fee_per_gas: 7, ..eip1559(0) };
    let invalid = world.refusal(rules(Fork::Osaka), &signed(&alice, tx));
    let (have, want) = (U256::from(5), U256::from(6));
    assert_eq!(invalid, TxInvalid::InsufficientFunds { address, have, want });
    let text = format!("insufficient funds for gas * price + value: address {address} have 5 want 6");
    assert_eq!(invalid.to_string(), text);
}

#[test]
fn paid_gas_goes_to_the_proposer_or_to_whom_the_rules_name() {
    let alice = key(1);
    let treasury = Address::repeat_byte(0x7e);
    let named = BlockRules { beneficiary: Some(treasury), ..paid(Fork::Osaka) };
    for (rules, receiver) in [(paid(Fork::Osaka), PROPOSER), (named, treasury)] {
        let mut world = World::default().with_balance(alice.address(), 10_000_000);
        let plain = TxLegacy { gas_price: 7, ..transfer(0, BOB, 0) };
        // The base fee is 0: of an offer of 50 at most, the tip of 2 is the price.
        let tip = TxEip1559 {
            to: CONTRACT.into(),
            max_fee_per_gas: 50,
            max_priority_fee_per_gas: 2,
            gas_limit: 100_000,
            ..eip1559(1)
        };
        world = world.with_code(CONTRACT, gas_price_code());
        let output = world.block(rules, &[signed(&alice, plain), signed(&alice, tip)]);
        let fees = 21_000 * 7 + (output.gas_used - 21_000) * 2;
        assert_eq!(world.balance(receiver), U256::from(fees));
        assert_eq!(world.balance(alice.address()), U256::from(10_000_000 - fees));
        assert_eq!(world.slot(CONTRACT, 0), U256::from(3), "GASPRICE is the tip");
    }
}

#[test]
fn paid_gas_must_be_covered_at_the_highest_price() {
    let alice = key(1);
    let address = alice.address();
    let world = World::default().with_balance(address, 21_000 * 50);
    let offer = |value, tip| TxEip1559 {
        to: BOB.into(),
        value: U256::from(value),
        max_fee_per_gas: 50,
        max_priority_fee_per_gas: tip,
        gas_limit: 21_000,
        ..eip1559(0)
    };
    let invalid = world.refusal(paid(Fork::London), &signed(&alice, offer(1, 1)));
    let (have, want) = (U256::from(1_050_000), U256::from(1_050_001));
    assert_eq!(invalid, TxInvalid::InsufficientFunds { address, have, want });
    let above = signed(&alice, offer(0, 51));
    let invalid = world.refusal(paid(Fork::London), &above);
    assert_eq!(invalid, TxInvalid::TipAboveFee { address, tip: 51, fee: 50 });
    assert_eq!(intrinsic_gas(&paid(Fork::London), &above), Err(invalid));
    let endless = TxLegacy { gas_price: u128::MAX, gas_limit: PLENTY, ..transfer(0, BOB, 0) };
    assert_eq!(
        world.refusal(paid(Fork::London), &signed(&alice, endless)),
        TxInvalid::CostOverflow { address }
    );
}

/// Blocks of other clients may carry a base fee; with free gas it charges nothing either.
#[test]
fn a_foreign_base_fee_counts_only_where_gas_is_paid() {
    let alice = key(1);
    let address = alice.address();
    let env = crate::BlockEnv { base_fee: Some(10), ..env(Fork::London) };
    let offer = |fee| TxEip1559 {
        to: BOB.into(),
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: fee.min(1),
        gas_limit: 21_000,
        ..eip1559(0)
    };
    let mut world = World::default();
    world.block_in(rules(Fork::London), env.clone(), &[signed(&alice, offer(0))]);
    let mut world = World::default().with_balance(address, 1_000_000);
    let mut executor = crate::BlockExecutor::new(paid(Fork::London), env.clone(), &world);
    let refused = executor.execute(&signed(&alice, offer(9))).unwrap_err();
    assert_eq!(refused, TxInvalid::FeeBelowBaseFee { address, fee: 9 }.into());
    drop(executor);
    world.block_in(paid(Fork::London), env, &[signed(&alice, offer(20))]);
    assert_eq!(world.balance(PROPOSER), U256::from(21_000));
    assert_eq!(world.balance(address), U256::from(1_000_000 - 11 * 21_000));
}

#[test]
fn the_block_reward_is_paid_once_a_block() {
    let treasury = Address::repeat_byte(0x7e);
    let base = BlockRules { block_reward: U256::from(5), ..rules(Fork::Osaka) };
    let mut world = World::default();
    world.block(base, &[]);
    world.block(base, &[signed(&key(1), transfer(0, BOB, 0))]);
    assert_eq!(world.balance(PROPOSER), U256::from(10));
    world.block(BlockRules { beneficiary: Some(treasury), ..base }, &[]);
    assert_eq!(world.balance(PROPOSER), U256::from(10));
    assert_eq!(world.balance(treasury), U256::from(5));
}
