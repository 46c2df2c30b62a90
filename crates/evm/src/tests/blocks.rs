//! Blocks: transfers, failures, selfdestruct, roots, and what is refused.

use super::world::*;
use crate::{BlockEnv, BlockExecutor, ExecuteError, TxInvalid};
use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bloom, Bytes, KECCAK256_EMPTY, U256, bytes, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use lonja_primitives::{Account, Fork, Header, Signer, StateError};
use revm::bytecode::opcode::*;
use std::sync::atomic::Ordering;

const BOB: Address = Address::repeat_byte(0xb0);
const CONTRACT: Address = Address::repeat_byte(0xc0);

#[test]
fn an_empty_block_changes_nothing() {
    let output = World::default().block(rules(Fork::Osaka), &[]);
    assert!(output.changes.is_empty());
    assert_eq!(output.receipts_root, EMPTY_ROOT_HASH);
    assert_eq!((output.gas_used, output.logs_bloom), (0, Bloom::ZERO));
}

#[test]
fn transfers_move_value_and_count_the_nonce() {
    let alice = key(1);
    for fork in [Fork::Frontier, Fork::SpuriousDragon, Fork::Istanbul, Fork::London, Fork::Osaka] {
        let mut world = World::default().with_balance(alice.address(), 100);
        let txs: Vec<_> = (0..3).map(|nonce| signed(&alice, transfer(nonce, BOB, 10))).collect();
        let output = world.block(rules(fork), &txs);
        assert_eq!(world.balance(alice.address()), U256::from(70), "{fork:?}");
        assert_eq!(world.balance(BOB), U256::from(30));
        assert_eq!(world.nonce(alice.address()), 3);
        assert_eq!(output.gas_used, 63_000);
        let cumulative: Vec<_> = output.receipts.iter().map(|receipt| receipt.cumulative_gas_used).collect();
        assert_eq!(cumulative, [21_000, 42_000, 63_000]);
        assert!(output.receipts.iter().all(|receipt| receipt.success && receipt.logs.is_empty()));
    }
}

/// The roots of the block agree with ones put together by hand.
#[test]
fn state_and_receipts_have_the_expected_roots() {
    let alice = key(1);
    let code = [vec![CALLVALUE], push(7), vec![SSTORE], args(&[0, 0, 0xbeef]), vec![LOG1, STOP]].concat();
    let mut world = World::default()
        .with_balance(alice.address(), 100)
        .with_code(CONTRACT, code.clone())
        .with_slot(CONTRACT, 1, 1);
    let call = TxEip1559 { to: CONTRACT.into(), value: U256::from(5), ..eip1559(1) };
    let output =
        world.block(rules(Fork::Prague), &[signed(&alice, transfer(0, BOB, 10)), signed(&alice, call)]);

    let account = |nonce, balance, code_hash| Account { nonce, balance: U256::from(balance), code_hash };
    let expected = World {
        accounts: [
            (alice.address(), account(2, 85, KECCAK256_EMPTY)),
            (BOB, account(0, 10, KECCAK256_EMPTY)),
            (CONTRACT, account(1, 5, keccak256(&code))),
        ]
        .into(),
        storage: [((CONTRACT, U256::from(1)), U256::from(1)), ((CONTRACT, U256::from(7)), U256::from(5))]
            .into(),
        ..World::default()
    };
    assert_eq!(world.root(), expected.root());

    let topic = B256::from(U256::from(0xbeef));
    let log = alloy_primitives::Log::new_unchecked(CONTRACT, vec![topic], Bytes::new());
    let receipt = |cumulative_gas_used, logs: Vec<_>| {
        let inner = alloy_consensus::Receipt { status: true.into(), cumulative_gas_used, logs };
        inner.with_bloom()
    };
    let encoded =
        |envelope: alloy_consensus::ReceiptEnvelope| alloy_eips::Encodable2718::encoded_2718(&envelope);
    // 21,000 + CALLVALUE 2 + PUSH 3 + cold SSTORE 22,100 + 3 PUSH 9 + LOG1 750
    let total = 42_000 + 2 + 3 + 22_100 + 9 + 750;
    let encodings = [
        encoded(alloy_consensus::ReceiptEnvelope::Legacy(receipt(21_000, vec![]))),
        encoded(alloy_consensus::ReceiptEnvelope::Eip1559(receipt(total, vec![log.clone()]))),
    ];
    let root = alloy_trie::root::ordered_trie_root_with_encoder(&encodings, |raw, out| {
        alloy_rlp::BufMut::put_slice(out, raw)
    });
    assert_eq!(output.receipts_root, root);
    assert_eq!(output.gas_used, total);
    assert_eq!(output.logs_bloom, alloy_primitives::logs_bloom([&log]));
}

#[test]
fn a_revert_costs_gas_and_a_nonce_and_nothing_else() {
    let alice = key(1);
    let code = [args(&[1, 1]), vec![SSTORE], args(&[0, 0]), vec![LOG0], args(&[0, 0]), vec![REVERT]].concat();
    let mut world = World::default().with_balance(alice.address(), 50).with_code(CONTRACT, code);
    let call = TxLegacy { value: U256::from(5), ..send(0, CONTRACT) };
    let output = world.block(rules(Fork::Osaka), &[signed(&alice, call)]);
    assert!(!output.receipts[0].success);
    assert!(output.receipts[0].logs.is_empty());
    assert!(output.gas_used > 21_000 && output.gas_used < PLENTY);
    assert_eq!(world.balance(alice.address()), U256::from(50));
    assert_eq!(world.nonce(alice.address()), 1);
    assert_eq!(output.changes.accounts.keys().copied().collect::<Vec<_>>(), [alice.address()]);
}

#[test]
fn running_out_of_gas_uses_all_of_it() {
    let alice = key(1);
    let endless = [vec![JUMPDEST], push(0), vec![JUMP]].concat();
    let mut world = World::default().with_code(CONTRACT, endless);
    let output = world.block(rules(Fork::Osaka), &[signed(&alice, send(0, CONTRACT))]);
    assert!(!output.receipts[0].success);
    assert_eq!(output.gas_used, PLENTY);
    assert_eq!(world.nonce(alice.address()), 1);
}

#[test]
fn what_one_transaction_writes_the_next_reads() {
    let alice = key(1);
    let counter = [push(0), vec![SLOAD], push(1), vec![ADD], push(0), vec![SSTORE]].concat();
    let mut world = World::default().with_code(CONTRACT, counter).with_slot(CONTRACT, 0, 40);
    let txs: Vec<_> = (0..2).map(|nonce| signed(&alice, send(nonce, CONTRACT))).collect();
    let output = world.block(rules(Fork::Osaka), &txs);
    assert_eq!(world.slot(CONTRACT, 0), U256::from(42));
    assert_eq!(output.changes.accounts[&CONTRACT].storage, [(U256::ZERO, U256::from(42))].into());
    assert!(output.changes.codes.is_empty());
}

/// A slot that is set and set back is not a change, and the sender's account is read once for the whole block.
#[test]
fn the_delta_holds_differences_only() {
    let alice = key(1);
    let store_input = [push(0), vec![CALLDATALOAD], push(0), vec![SSTORE]].concat();
    let mut world = World::default().with_code(CONTRACT, store_input).with_slot(CONTRACT, 0, 7);
    let tx =
        |nonce, value: u64| TxLegacy { input: B256::from(U256::from(value)).into(), ..send(nonce, CONTRACT) };
    let txs: Vec<_> = [9, 7].iter().enumerate().map(|(n, v)| signed(&alice, tx(n as u64, *v))).collect();
    let output = world.block(rules(Fork::Osaka), &txs);
    assert_eq!(output.changes.accounts.keys().copied().collect::<Vec<_>>(), [alice.address()]);
    // Alice, the contract, its code, its slot, the coinbase.
    assert_eq!(world.reads.load(Ordering::Relaxed), 5);
}

#[test]
fn an_empty_account_that_is_touched_disappears_from_spurious_dragon_on() {
    let alice = key(1);
    let world = || {
        let mut world = World::default();
        world.accounts.insert(BOB, Account::default());
        world
    };
    let tx = [signed(&alice, transfer(0, BOB, 0))];
    let mut old = world();
    old.block(rules(Fork::TangerineWhistle), &tx);
    assert!(old.accounts.contains_key(&BOB));
    // The coinbase was touched with a fee of nothing.
    assert_eq!(old.accounts.get(&PROPOSER), Some(&Account::default()));
    let mut new = world();
    new.block(rules(Fork::SpuriousDragon), &tx);
    assert!(!new.accounts.contains_key(&BOB) && !new.accounts.contains_key(&PROPOSER));
}

#[test]
fn selfdestruct_removes_an_old_contract_before_cancun_only() {
    let alice = key(1);
    let code = [push_address(BOB), vec![SELFDESTRUCT]].concat();
    let world = || {
        let world = World::default().with_balance(CONTRACT, 9).with_code(CONTRACT, code.clone());
        world.with_slot(CONTRACT, 3, 3)
    };
    let tx = [signed(&alice, send(0, CONTRACT))];
    for fork in [Fork::Frontier, Fork::Byzantium, Fork::London, Fork::Shanghai] {
        let mut world = world();
        let output = world.block(rules(fork), &tx);
        let change = &output.changes.accounts[&CONTRACT];
        assert!(change.storage_wiped && change.account.is_none(), "{fork:?}");
        assert_eq!(world.balance(BOB), U256::from(9));
        assert_eq!(world.slot(CONTRACT, 3), U256::ZERO);
    }
    for fork in [Fork::Cancun, Fork::Osaka] {
        let mut world = world();
        world.block(rules(fork), &tx);
        assert_eq!(world.balance(BOB), U256::from(9));
        assert_eq!(world.balance(CONTRACT), U256::ZERO);
        assert_eq!(world.code_of(CONTRACT), Bytes::from(code.clone()), "{fork:?}");
        assert_eq!(world.slot(CONTRACT, 3), U256::from(3));
    }
}

/// A contract that is destroyed, then made again at the same address by CREATE2, in one block: the new one has an
/// empty storage, and the delta says that the old storage is gone.
#[test]
fn a_contract_made_again_in_the_same_block_begins_empty() {
    let alice = key(1);
    // Destroys itself when called with data, else writes slot 5 and returns slot 3 in slot 6.
    let body = [
        vec![CALLDATASIZE],
        push(16),
        vec![JUMPI],
        args(&[5, 5]),
        vec![SSTORE],
        push(3),
        vec![SLOAD],
        push(6),
        vec![SSTORE, STOP, JUMPDEST],
        push(0),
        vec![SELFDESTRUCT],
    ]
    .concat();
    assert_eq!(body[16], JUMPDEST);
    let init_code = deploys(&body);
    let copy = [args(&[0, 0]), vec![CALLDATASIZE, SWAP2, SWAP1, CALLDATACOPY]].concat();
    let factory = [copy, push(0), vec![CALLDATASIZE], args(&[0, 0]), vec![CREATE2]].concat();
    let child = CONTRACT.create2_from_code(B256::ZERO, &init_code);
    let mut world = World::default().with_code(CONTRACT, factory).with_code(child, body.clone());
    world = world.with_slot(child, 3, 33);
    let make = TxLegacy { input: init_code.into(), ..send(1, CONTRACT) };
    let kill = TxLegacy { input: bytes!("01"), ..send(0, child) };
    let output = world.block(
        rules(Fork::Shanghai),
        &[signed(&alice, kill), signed(&alice, make), signed(&alice, send(2, child))],
    );
    assert!(output.receipts.iter().all(|receipt| receipt.success));
    let change = &output.changes.accounts[&child];
    assert!(change.storage_wiped);
    assert_eq!(change.storage, [(U256::from(5), U256::from(5))].into());
    assert_eq!(world.code_of(child), Bytes::from(body));
    assert_eq!(world.slot(child, 3), U256::ZERO);
}

#[test]
fn a_contract_that_dies_in_the_transaction_that_made_it_leaves_nothing() {
    let alice = key(1);
    let init_code = [args(&[1, 1]), vec![SSTORE], push_address(BOB), vec![SELFDESTRUCT]].concat();
    for fork in [Fork::London, Fork::Osaka] {
        let mut world = World::default().with_balance(alice.address(), 4);
        let tx = TxLegacy { value: U256::from(4), ..create(0, init_code.clone()) };
        let output = world.block(rules(fork), &[signed(&alice, tx)]);
        assert!(output.receipts[0].success);
        let child = alice.address().create(0);
        assert!(!output.changes.accounts.contains_key(&child), "{fork:?}");
        assert_eq!(world.balance(BOB), U256::from(4));
    }
}

#[test]
fn transaction_types_begin_with_their_forks() {
    let alice = key(1);
    let code = [push(1), vec![SLOAD, STOP]].concat();
    let world = World::default().with_code(CONTRACT, code);
    let access_list =
        AccessList(vec![AccessListItem { address: CONTRACT, storage_keys: vec![B256::from(U256::ONE)] }]);
    let list = TxEip2930 { to: CONTRACT.into(), access_list: access_list.clone(), ..eip2930(0) };
    let fee_market = TxEip1559 { to: CONTRACT.into(), access_list, ..eip1559(0) };
    let set_code =
        TxEip7702 { to: CONTRACT, authorization_list: vec![authorize(&key(2), CONTRACT, 0)], ..eip7702(0) };
    let cases = [
        (1, signed(&alice, list), Fork::Istanbul, Fork::Berlin),
        (2, signed(&alice, fee_market), Fork::Berlin, Fork::London),
        (4, signed(&alice, set_code), Fork::Cancun, Fork::Prague),
    ];
    for (tx_type, tx, before, first) in cases {
        let invalid = world.refusal(rules(before), &tx);
        assert_eq!(invalid, TxInvalid::TypeNotSupported { tx_type, fork: before });
        assert_eq!(crate::intrinsic_gas(&rules(before), &tx), Err(invalid));
        let mut world =
            World { accounts: world.accounts.clone(), codes: world.codes.clone(), ..World::default() };
        let output = world.block(rules(first), std::slice::from_ref(&tx));
        assert_eq!(output.receipts[0].tx_type, tx_type);
        assert!(output.receipts[0].success);
        if tx_type < 4 {
            // 21,000 + address 2,400 + slot 1,900 + PUSH 3 + warm SLOAD 100.
            assert_eq!(output.gas_used, 25_403);
        }
    }
}

#[test]
fn a_set_code_transaction_delegates_and_the_delegation_can_be_used_and_cleared() {
    let (alice, bob) = (key(1), key(2));
    let code = [args(&[1, 42]), vec![SSTORE]].concat();
    let mut world = World::default().with_code(CONTRACT, code);
    let set = |nonce, target, bob_nonce| TxEip7702 {
        to: bob.address(),
        authorization_list: vec![authorize(&bob, target, bob_nonce)],
        ..eip7702(nonce)
    };
    let rules = rules(Fork::Prague);
    world.block(rules, &[signed(&alice, set(0, CONTRACT, 0))]);
    assert_eq!(world.code_of(bob.address()), Bytes::from([&[0xef, 1, 0], CONTRACT.as_slice()].concat()));
    assert_eq!(world.slot(bob.address(), 1), U256::from(42));
    assert_eq!(world.nonce(bob.address()), 1);
    // An account that delegates may still send (EIP-3607 as changed by EIP-7702).
    world.block(rules, &[signed(&bob, transfer(1, Address::ZERO, 0))]);
    world.block(rules, &[signed(&alice, set(1, Address::ZERO, 2))]);
    assert_eq!(world.accounts[&bob.address()].code_hash, KECCAK256_EMPTY);
    assert_eq!(world.slot(bob.address(), 1), U256::from(42));
    let empty = signed(&alice, TxEip7702 { to: BOB, ..eip7702(2) });
    assert_eq!(world.refusal(rules, &empty), TxInvalid::EmptyAuthorizationList);
}

#[test]
fn nonces_must_be_exact() {
    let alice = key(1);
    let address = alice.address();
    let mut world = World::default().with_balance(address, 10);
    let rules = rules(Fork::Osaka);
    world.block(rules, &[signed(&alice, transfer(0, BOB, 1))]);
    let low = world.refusal(rules, &signed(&alice, transfer(0, BOB, 1)));
    assert_eq!(low, TxInvalid::NonceTooLow { address, tx: 0, state: 1 });
    assert_eq!(low.to_string(), format!("nonce too low: address {address}, tx: 0 state: 1"));
    let high = world.refusal(rules, &signed(&alice, transfer(5, BOB, 1)));
    assert_eq!(high, TxInvalid::NonceTooHigh { address, tx: 5, state: 1 });
    let max = world.refusal(rules, &signed(&alice, transfer(u64::MAX, BOB, 1)));
    assert_eq!(max, TxInvalid::NonceMax { address });
}

/// After a refused transaction the executor goes on as if it had not been there.
#[test]
fn a_refused_transaction_leaves_no_trace_between_two_good_ones() {
    let alice = key(1);
    let world = World::default().with_balance(alice.address(), 10);
    let run = |with_bad: bool| {
        let mut executor = BlockExecutor::new(rules(Fork::Osaka), env(Fork::Osaka), &world);
        executor.execute(&signed(&alice, transfer(0, BOB, 1))).unwrap();
        if with_bad {
            assert!(executor.execute(&signed(&alice, transfer(3, BOB, 1))).is_err());
            assert!(executor.execute(&signed(&alice, transfer(1, BOB, 100))).is_err());
            assert!(executor.execute(&signed(&key(2), transfer(0, BOB, 1))).is_err());
        }
        executor.execute(&signed(&alice, transfer(1, BOB, 1))).unwrap();
        assert_eq!(executor.gas_taken(), 42_000);
        executor.finish().unwrap()
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn contracts_do_not_send() {
    let alice = key(1);
    let world = World::default().with_code(alice.address(), vec![STOP]);
    let invalid = world.refusal(rules(Fork::Osaka), &signed(&alice, transfer(1, BOB, 0)));
    assert_eq!(invalid, TxInvalid::SenderHasCode { address: alice.address() });
}

#[test]
fn the_block_has_only_so_much_gas() {
    let alice = key(1);
    let world = World::default();
    let env = BlockEnv { gas_limit: 50_000, ..env(Fork::Osaka) };
    let mut executor = BlockExecutor::new(rules(Fork::Osaka), env, &world);
    let tx = |nonce, gas_limit| signed(&alice, TxLegacy { gas_limit, ..transfer(nonce, BOB, 0) });
    executor.execute(&tx(0, 50_000)).unwrap();
    let refused = executor.execute(&tx(1, 29_001)).unwrap_err();
    assert_eq!(refused, TxInvalid::BlockGasExceeded { left: 29_000, tx: 29_001 }.into());
    assert_eq!(refused.to_string(), "gas limit reached");
    executor.execute(&tx(1, 29_000)).unwrap();
    assert_eq!(executor.gas_taken(), 42_000);
}

#[test]
fn a_state_that_cannot_be_read_is_never_the_transaction_s_fault() {
    let alice = key(1);
    let read_slot = [push_address(BOB), vec![SLOAD, STOP]].concat();
    let nested = [call_of(CALL, CONTRACT, 100_000, 0), vec![STOP]].concat();
    let outer = Address::repeat_byte(0xc1);
    let mut world = World::default().with_code(CONTRACT, read_slot).with_code(outer, nested);
    world.broken = Some(BOB);
    let failure = ExecuteError::State(StateError::Store("broken on purpose".into()));
    for to in [BOB, CONTRACT, outer] {
        let mut executor = BlockExecutor::new(rules(Fork::Osaka), env(Fork::Osaka), &world);
        assert_eq!(executor.execute(&signed(&alice, send(0, to))), Err(failure.clone()));
        assert!(executor.finish().unwrap().changes.is_empty());
    }
    world.broken = Some(alice.address());
    let mut executor = BlockExecutor::new(rules(Fork::Osaka), env(Fork::Osaka), &world);
    assert_eq!(executor.execute(&signed(&alice, send(0, BOB))), Err(failure));
    // Code that the store has lost is damage too.
    world.broken = None;
    world.codes.clear();
    let mut executor = BlockExecutor::new(rules(Fork::Osaka), env(Fork::Osaka), &world);
    assert!(matches!(executor.execute(&signed(&alice, send(0, CONTRACT))), Err(ExecuteError::State(_))));
}

#[test]
fn the_environment_comes_from_the_header() {
    let header = Header {
        number: 7,
        timestamp: 8,
        beneficiary: BOB,
        gas_limit: 9,
        base_fee_per_gas: Some(0),
        mix_hash: B256::repeat_byte(3),
        difficulty: U256::ONE,
        ..Header::default()
    };
    let expected = BlockEnv {
        number: 7,
        timestamp: 8,
        beneficiary: BOB,
        gas_limit: 9,
        base_fee: Some(0),
        prevrandao: B256::repeat_byte(3),
        difficulty: U256::ONE,
    };
    assert_eq!(BlockEnv::from_header(&header), expected);
}
