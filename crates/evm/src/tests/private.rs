//! Private transactions: their shell in the public pass, and their payload on two states.

use super::world::*;
use crate::{
    BlockExecutor, CallContext, CallOutcome, CallRequest, DualView, ExecuteError, LayeredView, Overrides,
    PrivateMessage, PrivateOutcome, TxInvalid, call, execute_private,
};
use alloy_consensus::{TxLegacy, transaction::SignerRecoverable};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use lonja_primitives::spec::{MARKER_PRECOMPILE, MarkerRule, Privacy};
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{BlockRules, Fork, NodeKey, RecoveredTransaction, Signer, StateView};
use revm::bytecode::opcode::*;
use std::time::Duration;

const PUBLIC: Address = Address::repeat_byte(0xaa);
const PRIVATE: Address = Address::repeat_byte(0xbb);
const OTHER: Address = Address::repeat_byte(0xbc);
/// 64 bytes that are not zero: 21,000 + 64 · 16, and under EIP-7623 21,000 + 64 · 40.
const SHELL_GAS: u64 = 22_024;
const SHELL_GAS_PRAGUE: u64 = 23_560;

fn with_privacy(fork: Fork) -> BlockRules {
    let privacy = Privacy {
        transactions: true,
        enhancements: true,
        markers: Some(MarkerRule::AnySigner),
        parties: None,
    };
    BlockRules { privacy, ..rules(fork) }
}

fn private_tx(key: &NodeKey, tx: TxLegacy) -> RecoveredTransaction {
    let raw = sign_private(TxLegacy { chain_id: None, ..tx }, key).encoded_2718();
    let tx = RecoveredTransaction::recover(raw.into(), CHAIN).unwrap();
    assert!(tx.is_private() && tx.sender() == key.address());
    tx
}

fn shell(nonce: u64, to: impl Into<TxKind>) -> TxLegacy {
    TxLegacy {
        to: to.into(),
        input: Bytes::from(vec![7; 64]),
        gas_limit: 100_000,
        nonce,
        ..TxLegacy::default()
    }
}

#[test]
fn a_shell_takes_nonce_and_intrinsic_gas_and_nothing_else() {
    // Init code costs 2 for each word from Shanghai on (EIP-3860), and its length counts here though it is no code.
    let cases = [
        (Fork::Berlin, TxKind::Call(PUBLIC), SHELL_GAS),
        (Fork::Osaka, TxKind::Call(PUBLIC), SHELL_GAS_PRAGUE),
        (Fork::Berlin, TxKind::Create, 54_024),
        (Fork::Osaka, TxKind::Create, 54_028),
    ];
    for (fork, to, gas) in cases {
        let code = [args(&[1, 1]), vec![SSTORE]].concat();
        let world = World::default().with_code(PUBLIC, code);
        let mut executor = BlockExecutor::new(with_privacy(fork), env(fork), &world);
        executor.execute(&signed(&key(1), transfer(0, OTHER, 0))).unwrap();
        executor.tell_changes();
        executor.execute(&private_tx(&key(1), shell(1, to))).unwrap();
        let told = executor.take_told();
        executor.execute(&signed(&key(1), transfer(2, OTHER, 0))).unwrap();
        assert_eq!(executor.gas_taken(), 42_000 + gas);
        let output = executor.finish().unwrap();
        assert_eq!(output.gas_used, 42_000, "the header does not count it");
        let cumulative: Vec<u64> =
            output.receipts.iter().map(|receipt| receipt.cumulative_gas_used).collect();
        assert_eq!(cumulative, [21_000, 21_000, 42_000]);
        assert!(output.receipts.iter().all(|receipt| receipt.success && receipt.logs.is_empty()));
        let changed: Vec<_> = output.changes.accounts.iter().collect();
        assert_eq!(changed.len(), 1, "the sender alone: {changed:?}");
        assert_eq!(output.changes.accounts[&key(1).address()].account.unwrap().nonce, 3);
        assert_eq!(told.accounts[&key(1).address()].account.unwrap().nonce, 2);
    }
}

#[test]
fn a_shell_pays_for_its_intrinsic_gas_where_gas_costs() {
    let rules = BlockRules { free_gas: false, ..with_privacy(Fork::Berlin) };
    let world = World::default().with_balance(key(1).address(), 1_000_000_000);
    let tx = TxLegacy { gas_price: 3, ..shell(0, PUBLIC) };
    let mut world_after = World { accounts: world.accounts.clone(), ..World::default() };
    world_after.block(rules, &[private_tx(&key(1), tx)]);
    assert_eq!(world_after.balance(key(1).address()), U256::from(1_000_000_000 - 3 * SHELL_GAS));
    assert_eq!(world_after.balance(PROPOSER), U256::from(3 * SHELL_GAS));
}

#[test]
fn shells_are_judged_like_other_transactions() {
    let world = World::default();
    let allowed = with_privacy(Fork::Osaka);
    let refused = |rules, tx| world.refusal(rules, &private_tx(&key(1), tx));
    let no_rules = refused(rules(Fork::Osaka), shell(0, PUBLIC));
    assert_eq!(no_rules, TxInvalid::PrivateNotEnabled { chain_id: CHAIN });
    let value = TxLegacy { value: U256::ONE, ..shell(0, PUBLIC) };
    assert_eq!(refused(allowed, value), TxInvalid::PrivateValue);
    assert!(matches!(refused(allowed, shell(1, PUBLIC)), TxInvalid::NonceTooHigh { .. }));
    let short = TxLegacy { gas_limit: SHELL_GAS - 1, ..shell(0, PUBLIC) };
    assert!(matches!(refused(allowed, short), TxInvalid::IntrinsicGas { .. }));
    let mut executor = BlockExecutor::new(allowed, env(Fork::Osaka), &world);
    for nonce in 0..1_270 {
        let tx = TxLegacy { gas_limit: 23_560, ..shell(nonce, PUBLIC) };
        executor.execute(&private_tx(&key(1), tx)).unwrap();
    }
    let full = executor.execute(&private_tx(&key(1), shell(1_270, PUBLIC)));
    assert!(matches!(full, Err(ExecuteError::Invalid(TxInvalid::BlockGasExceeded { .. }))), "{full:?}");
}

fn run(private: &World, public: &World, message: &PrivateMessage) -> PrivateOutcome {
    let rules = with_privacy(Fork::Osaka);
    let state = DualView { private, public };
    execute_private(&rules, &env(Fork::Osaka), &state, message).unwrap()
}

fn to(target: Address) -> PrivateMessage {
    PrivateMessage {
        sender: key(1).address(),
        nonce: 4,
        kind: TxKind::Call(target),
        payload: Bytes::new(),
        gas_limit: 1_000_000,
        shell_gas: SHELL_GAS_PRAGUE,
    }
}

fn public_world() -> World {
    let mut world = World::default().with_balance(key(1).address(), 5);
    world.accounts.get_mut(&key(1).address()).unwrap().nonce = 5;
    world
}

/// Stores 7 in slot 1.
fn writes() -> Vec<u8> {
    [args(&[1, 7]), vec![SSTORE]].concat()
}

/// Calls, and stores in slot 0 whether that succeeded, plus one.
fn calls_and_notes(opcode: u8, target: Address) -> Vec<u8> {
    [call_of(opcode, target, 200_000, 0), push(1), vec![ADD], push(0), vec![SSTORE]].concat()
}

#[test]
fn a_creation_takes_its_address_from_the_public_nonce_and_stays_private() {
    let message = PrivateMessage { kind: TxKind::Create, payload: deploys(&writes()).into(), ..to(PRIVATE) };
    let (private, public) = (World::default(), public_world());
    let outcome = run(&private, &public, &message);
    assert!(outcome.success, "{:?}", outcome.halt);
    let contract = key(1).address().create(4);
    assert_eq!(outcome.contract, Some(contract));
    assert_eq!(outcome.changes.accounts.keys().collect::<Vec<_>>(), [&contract]);
    assert_eq!(outcome.created.into_iter().collect::<Vec<_>>(), [contract]);
    assert!(outcome.called.is_empty());
    let mut after = World::default();
    after.apply(&outcome.changes);
    assert_eq!(after.code_of(contract), Bytes::from(writes()));
    let call = run(&after, &public, &to(contract));
    after.apply(&call.changes);
    assert_eq!((after.slot(contract, 1), after.nonce(contract)), (U256::from(7), 1));
    assert_eq!(call.called.into_iter().collect::<Vec<_>>(), [contract]);
}

#[test]
fn what_the_payload_has_left_is_the_gas_limit_without_the_shell() {
    let burns = [vec![GAS], push(0), vec![SSTORE]].concat();
    let private = World::default().with_code(PRIVATE, burns);
    let outcome = run(&private, &public_world(), &to(PRIVATE));
    let mut after = World::default();
    after.apply(&outcome.changes);
    assert_eq!(after.slot(PRIVATE, 0), U256::from(1_000_000 - SHELL_GAS_PRAGUE - 2));
    let little = PrivateMessage { gas_limit: SHELL_GAS_PRAGUE + 3_000, ..to(PRIVATE) };
    let outcome = run(&private, &public_world(), &little);
    assert_eq!(outcome.halt.as_deref(), Some("out of gas"));
    assert!(!outcome.success && outcome.changes.is_empty());
}

#[test]
fn private_code_reads_public_contracts_and_cannot_change_them() {
    let reads =
        [call_of(STATICCALL, PUBLIC, 100_000, 0), vec![POP], vec![RETURNDATASIZE], push(0), vec![SSTORE]]
            .concat();
    let answers = [push(1), vec![SLOAD], return_word()].concat();
    let public = public_world().with_code(PUBLIC, answers).with_slot(PUBLIC, 1, 9);
    for opcode in [CALL, STATICCALL] {
        let mut private = World::default().with_code(PRIVATE, calls_and_notes(opcode, PUBLIC));
        let outcome = run(&private, &public, &to(PRIVATE));
        assert!(outcome.called.contains(&PUBLIC));
        private.apply(&outcome.changes);
        assert_eq!(private.slot(PRIVATE, 0), U256::from(2), "reading public code works");
    }
    let mut private = World::default().with_code(PRIVATE, reads);
    let outcome = run(&private, &public, &to(PRIVATE));
    private.apply(&outcome.changes);
    assert_eq!(private.slot(PRIVATE, 0), U256::from(32));

    let public = public_world().with_code(PUBLIC, writes());
    for opcode in [CALL, CALLCODE, DELEGATECALL] {
        let mut private = World::default().with_code(PRIVATE, calls_and_notes(opcode, PUBLIC));
        let outcome = run(&private, &public, &to(PRIVATE));
        private.apply(&outcome.changes);
        assert_eq!(private.slot(PRIVATE, 0), U256::ONE, "public code that writes fails");
        assert_eq!(private.slot(PRIVATE, 1), U256::ZERO);
        assert_eq!(outcome.changes.accounts.keys().collect::<Vec<_>>(), [&PRIVATE]);
    }
    let outcome = run(&World::default(), &public, &to(PUBLIC));
    assert_eq!(outcome.halt.as_deref(), Some("write protection"), "as a whole message too");
    assert!(outcome.changes.is_empty());
}

#[test]
fn every_opcode_that_changes_something_is_refused_in_public_code() {
    let mutating: [Vec<u8>; 6] = [
        writes(),
        [args(&[1, 7]), vec![TSTORE]].concat(),
        [args(&[0, 0]), vec![LOG0]].concat(),
        [args(&[0, 0, 0]), vec![CREATE]].concat(),
        [args(&[0, 0, 0, 0]), vec![CREATE2]].concat(),
        [push(0), vec![SELFDESTRUCT]].concat(),
    ];
    for code in mutating {
        let public = public_world().with_code(PUBLIC, code.clone());
        let outcome = run(&World::default(), &public, &to(PUBLIC));
        assert!(!outcome.success && outcome.changes.is_empty(), "{code:02x?}");
    }
}

#[test]
fn private_code_entered_from_public_code_is_read_only_too() {
    let public = public_world().with_code(PUBLIC, [call_of(CALL, OTHER, 100_000, 0), return_word()].concat());
    let mut private =
        World::default().with_code(PRIVATE, calls_and_notes(CALL, PUBLIC)).with_code(OTHER, writes());
    let outcome = run(&private, &public, &to(PRIVATE));
    private.apply(&outcome.changes);
    assert_eq!(private.slot(OTHER, 1), U256::ZERO);
    assert_eq!(private.slot(PRIVATE, 0), U256::from(2), "public code itself went on");
}

#[test]
fn private_contracts_call_and_create_each_other() {
    let creates = [args(&[0, 0, 0]), vec![CREATE], push(2), vec![SSTORE]].concat();
    let mut private = World::default()
        .with_code(PRIVATE, [calls_and_notes(CALL, OTHER), creates].concat())
        .with_code(OTHER, writes());
    let outcome = run(&private, &public_world(), &to(PRIVATE));
    private.apply(&outcome.changes);
    assert_eq!((private.slot(OTHER, 1), private.slot(PRIVATE, 0)), (U256::from(7), U256::from(2)));
    let child = PRIVATE.create(1);
    assert_eq!(private.slot(PRIVATE, 2), U256::from_be_bytes(child.into_word().0));
    assert_eq!((private.nonce(PRIVATE), private.nonce(child)), (2, 1));
    assert!(outcome.created.contains(&child) && !outcome.created.contains(&PRIVATE));
}

#[test]
fn public_accounts_that_are_only_touched_do_not_become_private() {
    let balance = [push_address(PUBLIC), vec![BALANCE], push(3), vec![SSTORE]].concat();
    let mut private = World::default().with_code(PRIVATE, [calls_and_notes(CALL, PUBLIC), balance].concat());
    let public = public_world().with_balance(PUBLIC, 12);
    let outcome = run(&private, &public, &to(PRIVATE));
    assert_eq!(outcome.changes.accounts.keys().collect::<Vec<_>>(), [&PRIVATE]);
    private.apply(&outcome.changes);
    assert_eq!(private.slot(PRIVATE, 3), U256::from(12), "public balances can be read");
}

#[test]
fn a_sender_that_no_state_knows_does_not_become_private() {
    let message = PrivateMessage { kind: TxKind::Create, payload: deploys(&writes()).into(), ..to(PRIVATE) };
    let outcome = run(&World::default(), &World::default(), &message);
    let contract = key(1).address().create(4);
    assert_eq!(outcome.changes.accounts.keys().collect::<Vec<_>>(), [&contract]);
    let private = World::default().with_code(PRIVATE, writes());
    let outcome = run(&private, &World::default(), &to(PRIVATE));
    assert_eq!(outcome.changes.accounts.keys().collect::<Vec<_>>(), [&PRIVATE]);
}

#[test]
fn logs_and_reverts_are_told() {
    let logs = [args(&[0, 0, 5]), vec![LOG1]].concat();
    let private = World::default().with_code(PRIVATE, logs.clone());
    let outcome = run(&private, &public_world(), &to(PRIVATE));
    assert_eq!((outcome.logs.len(), outcome.logs[0].address), (1, PRIVATE));
    let reverts = [logs, push(9), push(0), vec![MSTORE], args(&[0, 32]), vec![REVERT]].concat();
    let private = World::default().with_code(PRIVATE, reverts);
    let outcome = run(&private, &public_world(), &to(PRIVATE));
    assert!(!outcome.success && outcome.logs.is_empty() && outcome.changes.is_empty());
    assert_eq!(outcome.output, Bytes::from(U256::from(9).to_be_bytes::<32>()));
}

#[test]
fn a_layered_view_is_the_state_after_the_delta() {
    let mut world = World::default().with_code(PUBLIC, writes()).with_slot(PUBLIC, 2, 2);
    let base = World {
        accounts: world.accounts.clone(),
        storage: world.storage.clone(),
        codes: world.codes.clone(),
        ..World::default()
    };
    let txs = [signed(&key(1), send(0, PUBLIC)), signed(&key(1), create(1, deploys(&writes())))];
    let rules = with_privacy(Fork::Osaka);
    let mut executor = BlockExecutor::new(rules, env(Fork::Osaka), &base);
    executor.tell_changes();
    txs.iter().for_each(|tx| executor.execute(tx).unwrap());
    let told = executor.take_told();
    world.apply(&executor.finish().unwrap().changes);
    let view = LayeredView { base: &base, changes: &told };
    for address in [PUBLIC, key(1).address(), key(1).address().create(1), OTHER] {
        assert_eq!(view.account(&address).unwrap(), world.account(&address).unwrap());
        assert_eq!(view.has_storage(&address).unwrap(), world.has_storage(&address).unwrap());
        for slot in 0..4 {
            let slot = U256::from(slot);
            assert_eq!(view.storage(&address, &slot).unwrap(), world.storage(&address, &slot).unwrap());
        }
    }
    let code = world.accounts[&key(1).address().create(1)].code_hash;
    assert_eq!(view.code(&code).unwrap(), Bytes::from(writes()));
}

#[test]
fn calls_on_both_states_are_guarded_like_transactions() {
    let public = public_world().with_code(PUBLIC, writes());
    let private = World::default().with_code(
        PRIVATE,
        calls_and_notes(CALL, PUBLIC)
            .into_iter()
            .chain([push(0), vec![SLOAD], return_word()].concat())
            .collect(),
    );
    let state = DualView { private: &private, public: &public };
    let block = env(Fork::Osaka);
    let context = CallContext {
        rules: with_privacy(Fork::Osaka),
        env: &block,
        state: &state,
        private: Some(&private),
        gas_cap: 1_000_000,
        time_left: &|| Duration::MAX,
    };
    let request = CallRequest { to: Some(PRIVATE), ..CallRequest::default() };
    let CallOutcome::Success { output, .. } = call(&context, &request, &Overrides::default()).unwrap() else {
        panic!("it fails")
    };
    assert_eq!(U256::from_be_slice(&output), U256::ONE, "the write of public code failed");
}

#[test]
fn calls_to_the_marker_precompile_are_warm_where_there_are_markers() {
    let code = [vec![GAS], call_of(CALL, MARKER_PRECOMPILE, 0, 0), vec![POP, GAS, SWAP1, SUB], return_word()]
        .concat();
    let cost = |rules: BlockRules| {
        let world = World::default().with_code(PUBLIC, code.clone());
        let block = env(Fork::Osaka);
        let context = CallContext {
            rules,
            env: &block,
            state: &world,
            private: None,
            gas_cap: 1_000_000,
            time_left: &|| Duration::MAX,
        };
        let request = CallRequest { to: Some(PUBLIC), ..CallRequest::default() };
        match call(&context, &request, &Overrides::default()).unwrap() {
            CallOutcome::Success { output, .. } => U256::from_be_slice(&output).to::<u64>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(cost(rules(Fork::Osaka)) - cost(with_privacy(Fork::Osaka)), 2_500);
}

#[test]
fn the_signer_of_a_private_transaction_is_not_that_of_its_chain_1_reading() {
    let tx = private_tx(&key(1), shell(0, PUBLIC));
    assert_ne!(tx.tx().recover_signer().unwrap(), tx.sender());
}
