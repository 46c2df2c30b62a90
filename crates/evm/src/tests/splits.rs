//! A block gives the same state as its transactions in blocks of their own.

use super::world::*;
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, U256};
use lonja_primitives::{Fork, RecoveredTransaction, Signer, StateChanges};
use proptest::prelude::*;
use revm::bytecode::opcode::*;

const FACTORY: Address = Address::repeat_byte(0xfa);
const BOB: Address = Address::repeat_byte(0xb0);

/// What a transaction does; the number picks one of two contracts.
#[derive(Clone, Debug)]
enum Action {
    Pay(u8, u64),
    Make(u8),
    Kill(u8),
    Store(u8, u8, u8),
    Revert(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0u8..2, 0u64..3).prop_map(|(contract, value)| Action::Pay(contract, value)),
        (0u8..2).prop_map(Action::Make),
        (0u8..2).prop_map(Action::Kill),
        (0u8..2, 0u8..3, 0u8..3).prop_map(|(contract, slot, value)| Action::Store(contract, slot, value)),
        (0u8..2).prop_map(Action::Revert),
    ]
}

/// Code that does nothing without data, destroys itself for one byte, reverts for two after a write, and stores
/// for two words. The tail makes two contracts of it.
fn contract(tail: u8) -> Vec<u8> {
    let dispatch =
        |size: u64, at: u64| [vec![CALLDATASIZE], push(size), vec![EQ], push(at), vec![JUMPI]].concat();
    let kill = [vec![JUMPDEST], push_address(BOB), vec![SELFDESTRUCT]].concat();
    let revert = [vec![JUMPDEST], args(&[1, 1]), vec![SSTORE], args(&[0, 0]), vec![REVERT]].concat();
    let store =
        [vec![JUMPDEST], push(32), vec![CALLDATALOAD], push(0), vec![CALLDATALOAD, SSTORE, STOP]].concat();
    let head = 3 * dispatch(1, 1).len() as u64 + 1;
    let revert_at = head + kill.len() as u64;
    let store_at = revert_at + revert.len() as u64;
    [
        dispatch(1, head),
        dispatch(2, revert_at),
        dispatch(64, store_at),
        vec![STOP],
        kill,
        revert,
        store,
        vec![tail],
    ]
    .concat()
}

fn init_code(which: u8) -> Vec<u8> {
    let body = contract(which);
    // Writes slot 2 before it returns the code.
    [args(&[2, 9]), vec![SSTORE], relocated(&body, 5)].concat()
}

/// [`deploys`], for code that stands behind `offset` other bytes.
fn relocated(code: &[u8], offset: u64) -> Vec<u8> {
    let length = code.len() as u64;
    let head =
        |from: u64| [args(&[0, from, length]), vec![CODECOPY], args(&[0, length]), vec![RETURN]].concat();
    let at = head(0).len() as u64 + offset;
    [head(at), code.to_vec()].concat()
}

fn child(which: u8) -> Address {
    FACTORY.create2_from_code(B256::ZERO, init_code(which))
}

fn transaction(nonce: u64, action: &Action) -> RecoveredTransaction {
    let to_child = |which: u8, data: Bytes| TxLegacy { input: data, ..send(nonce, child(which)) };
    let tx = match action {
        Action::Pay(which, value) => TxLegacy { value: U256::from(*value), ..to_child(*which, Bytes::new()) },
        Action::Make(which) => TxLegacy { input: init_code(*which).into(), ..send(nonce, FACTORY) },
        Action::Kill(which) => to_child(*which, vec![1].into()),
        Action::Revert(which) => to_child(*which, vec![1, 2].into()),
        Action::Store(which, slot, value) => {
            let word = |byte: u8| B256::with_last_byte(byte);
            to_child(*which, [word(*slot), word(*value)].concat().into())
        }
    };
    signed(&key(1), tx)
}

fn world() -> World {
    let copy = [args(&[0, 0]), vec![CALLDATASIZE, SWAP2, SWAP1, CALLDATACOPY]].concat();
    let factory = [copy, push(0), vec![CALLDATASIZE], args(&[0, 0]), vec![CREATE2]].concat();
    World::default()
        .with_balance(key(1).address(), 1_000)
        .with_code(FACTORY, factory)
        .with_code(child(0), contract(0))
        .with_slot(child(0), 1, 5)
}

#[test]
fn the_factory_makes_what_the_property_is_about() {
    let mut world = world();
    let actions =
        [Action::Make(1), Action::Store(1, 0, 7), Action::Revert(1), Action::Kill(0), Action::Make(0)];
    let txs: Vec<_> = actions.iter().zip(0..).map(|(action, nonce)| transaction(nonce, action)).collect();
    let output = world.block(rules(Fork::Shanghai), &txs);
    let succeeded: Vec<_> = output.receipts.iter().map(|receipt| receipt.success).collect();
    assert_eq!(succeeded, [true, true, false, true, true]);
    assert_eq!(world.code_of(child(1)), Bytes::from(contract(1)));
    assert_eq!([world.slot(child(1), 0), world.slot(child(1), 2)], [U256::from(7), U256::from(9)]);
    assert_eq!([world.slot(child(0), 1), world.slot(child(0), 2)], [U256::ZERO, U256::from(9)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_block_or_many(actions in proptest::collection::vec(action(), 1..12), cancun: bool) {
        let rules = rules(if cancun { Fork::Cancun } else { Fork::Shanghai });
        let txs: Vec<_> = actions.iter().zip(0..).map(|(action, nonce)| transaction(nonce, action)).collect();
        let mut together = world();
        let output = together.block(rules, &txs);
        let mut apart = world();
        let mut merged = StateChanges::default();
        for (tx, expected) in txs.iter().zip(&output.receipts) {
            let alone = apart.block(rules, std::slice::from_ref(tx));
            prop_assert_eq!(alone.receipts[0].success, expected.success);
            merged.merge(alone.changes);
        }
        prop_assert_eq!(&together.accounts, &apart.accounts);
        prop_assert_eq!(&together.storage, &apart.storage);
        let mut by_merge = world();
        by_merge.apply(&merged);
        prop_assert_eq!(&together.accounts, &by_merge.accounts);
        prop_assert_eq!(&together.storage, &by_merge.storage);
        prop_assert_eq!(together.root(), by_merge.root());
    }
}
