//! Calls: outcomes, overrides, limits, access lists.

use super::world::*;
use crate::*;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, U256, bytes, hex};
use lonja_primitives::{Fork, Signer, StateError};
use revm::bytecode::opcode::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const BOB: Address = Address::repeat_byte(0xb0);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const OTHER: Address = Address::repeat_byte(0xc1);

fn context<'a>(
    world: &'a World,
    env: &'a BlockEnv,
    time_left: &'a (dyn Fn() -> Duration + Sync),
) -> CallContext<'a> {
    CallContext {
        rules: rules(Fork::Osaka),
        env,
        state: world,
        private: None,
        gas_cap: 50_000_000,
        time_left,
    }
}

fn run(world: &World, request: &CallRequest, overrides: &Overrides) -> Result<CallOutcome, CallError> {
    let env = env(Fork::Osaka);
    call(&context(world, &env, &|| Duration::MAX), request, overrides)
}

fn to(address: Address) -> CallRequest {
    CallRequest { to: Some(address), ..CallRequest::default() }
}

fn word(outcome: CallOutcome) -> U256 {
    match outcome {
        CallOutcome::Success { output, .. } => U256::from_be_slice(&output),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_from_nobody_with_everything_left_out_works() {
    let world = World::default().with_code(CONTRACT, [vec![CALLER], return_word()].concat());
    let outcome = run(&world, &to(CONTRACT), &Overrides::default()).unwrap();
    assert_eq!(word(outcome), U256::ZERO);
    let outcome = run(&World::default(), &CallRequest::default(), &Overrides::default()).unwrap();
    assert!(matches!(outcome, CallOutcome::Success { gas_used: 53_000, .. }));
}

#[test]
fn contracts_may_be_named_as_sender() {
    let world = World::default().with_code(CONTRACT, vec![STOP]).with_code(OTHER, vec![STOP]);
    let request = CallRequest { from: Some(OTHER), nonce: Some(77), ..to(CONTRACT) };
    assert!(matches!(run(&world, &request, &Overrides::default()), Ok(CallOutcome::Success { .. })));
}

#[test]
fn value_needs_a_balance_and_prices_do_not_when_gas_is_free() {
    let world = World::default();
    let request = CallRequest { from: Some(BOB), value: U256::from(1), ..to(CONTRACT) };
    let (have, want) = (U256::ZERO, U256::from(1));
    let error = run(&world, &request, &Overrides::default()).unwrap_err();
    assert_eq!(error, TxInvalid::InsufficientFunds { address: BOB, have, want }.into());
    let request = CallRequest {
        from: Some(BOB),
        max_fee_per_gas: Some(1_000_000_000),
        max_priority_fee_per_gas: Some(2),
        ..to(CONTRACT)
    };
    assert!(run(&world, &request, &Overrides::default()).is_ok());
    let env = env(Fork::Osaka);
    let paid = CallContext { rules: paid(Fork::Osaka), ..context(&world, &env, &|| Duration::MAX) };
    assert!(matches!(
        call(&paid, &request, &Overrides::default()),
        Err(CallError::Invalid(TxInvalid::InsufficientFunds { .. }))
    ));
    // Without a price a call is free on every network.
    assert!(call(&paid, &to(CONTRACT), &Overrides::default()).is_ok());
}

#[test]
fn contradictions_are_refused() {
    let world = World::default();
    let request = CallRequest { gas_price: Some(1), max_fee_per_gas: Some(1), ..to(BOB) };
    assert!(matches!(run(&world, &request, &Overrides::default()), Err(CallError::BadRequest(_))));
    let request =
        CallRequest { authorization_list: vec![authorize(&key(1), BOB, 0)], ..CallRequest::default() };
    let error = run(&world, &request, &Overrides::default()).unwrap_err();
    assert_eq!(error, TxInvalid::AuthorizationListOnCreate.into());
    let both =
        AccountOverride { state: Some([].into()), state_diff: Some([].into()), ..AccountOverride::default() };
    let overrides = Overrides { state: [(BOB, both)].into(), ..Overrides::default() };
    assert!(
        matches!(run(&world, &to(BOB), &overrides), Err(CallError::BadRequest(text)) if text.contains("stateDiff"))
    );
    let request = CallRequest { gas: Some(20_999), ..to(BOB) };
    let error = run(&world, &request, &Overrides::default()).unwrap_err();
    assert_eq!(error.to_string(), "intrinsic gas too low: have 20999, want 21000");
}

#[test]
fn gas_is_what_was_asked_for_up_to_the_cap() {
    let world = World::default().with_code(CONTRACT, [vec![GAS], return_word()].concat());
    let env = env(Fork::Osaka);
    let gas = |asked, gas_cap| {
        let context = CallContext { gas_cap, ..context(&world, &env, &|| Duration::MAX) };
        let request = CallRequest { gas: asked, ..to(CONTRACT) };
        word(call(&context, &request, &Overrides::default()).unwrap()) + U256::from(21_002)
    };
    assert_eq!(gas(None, 50_000_000), U256::from(50_000_000));
    assert_eq!(gas(Some(100_000), 50_000_000), U256::from(100_000));
    assert_eq!(gas(Some(90_000_000), 50_000_000), U256::from(50_000_000));
    assert_eq!(gas(None, 0), U256::from(u64::MAX / 2));
    assert_eq!(gas(Some(90_000_000), 0), U256::from(90_000_000), "the cap of EIP-7825 is not for calls");
}

#[test]
fn reverts_carry_their_data_and_halts_their_reason() {
    let code = [push(0xabcd), push(0), vec![MSTORE], args(&[30, 2]), vec![REVERT]].concat();
    let world = World::default().with_code(CONTRACT, code).with_code(OTHER, vec![INVALID]);
    let outcome = run(&world, &to(CONTRACT), &Overrides::default()).unwrap();
    assert!(
        matches!(outcome, CallOutcome::Revert { output, gas_used } if output == bytes!("abcd") && gas_used < 22_000)
    );
    let request = CallRequest { gas: Some(30_000), ..to(OTHER) };
    let outcome = run(&world, &request, &Overrides::default()).unwrap();
    let reason = "invalid opcode: INVALID".to_owned();
    assert_eq!(outcome, CallOutcome::Halt { reason, gas_used: 30_000 });
}

#[test]
fn logs_come_back_and_nothing_is_kept() {
    let code = [args(&[0, 1]), vec![SSTORE], args(&[0, 0, 9]), vec![LOG1]].concat();
    let world = World::default().with_code(CONTRACT, code);
    let outcome = run(&world, &to(CONTRACT), &Overrides::default()).unwrap();
    assert!(
        matches!(outcome, CallOutcome::Success { logs, .. } if logs.len() == 1 && logs[0].address == CONTRACT)
    );
    assert_eq!(world.slot(CONTRACT, 0), U256::ZERO);
}

#[test]
fn accounts_can_be_overridden() {
    let read = |slot: u64| [push(slot), vec![SLOAD], return_word()].concat();
    let world =
        World::default().with_code(CONTRACT, read(1)).with_slot(CONTRACT, 1, 11).with_slot(CONTRACT, 2, 22);
    let with = |change: AccountOverride| {
        let overrides = Overrides { state: [(CONTRACT, change)].into(), ..Overrides::default() };
        word(run(&world, &to(CONTRACT), &overrides).unwrap())
    };
    let code = |code: Vec<u8>| Some(Bytes::from(code));
    let one = |slot: u64, value: u64| Some([(U256::from(slot), U256::from(value))].into());
    assert_eq!(with(AccountOverride::default()), U256::from(11));
    assert_eq!(with(AccountOverride { code: code(read(2)), ..Default::default() }), U256::from(22));
    assert_eq!(with(AccountOverride { state_diff: one(1, 5), ..Default::default() }), U256::from(5));
    let diff = AccountOverride { code: code(read(2)), state_diff: one(1, 5), ..Default::default() };
    assert_eq!(with(diff), U256::from(22), "other slots stay");
    let whole = AccountOverride { code: code(read(2)), state: one(1, 5), ..Default::default() };
    assert_eq!(with(whole), U256::ZERO, "other slots are gone");
    let balance = AccountOverride {
        code: code([vec![SELFBALANCE], return_word()].concat()),
        balance: Some(U256::from(99)),
        ..Default::default()
    };
    assert_eq!(with(balance), U256::from(99));
    // Code at an address that is not there at all, value from an overridden balance, address by an overridden nonce.
    let rich = AccountOverride { balance: Some(U256::from(7)), nonce: Some(9), ..Default::default() };
    let init_code = [vec![ADDRESS], return_word()].concat();
    let request = CallRequest {
        from: Some(BOB),
        value: U256::from(7),
        data: init_code.into(),
        ..CallRequest::default()
    };
    let overrides = Overrides { state: [(BOB, rich)].into(), ..Overrides::default() };
    let outcome = run(&world, &request, &overrides).unwrap();
    assert_eq!(word(outcome), U256::from_be_slice(BOB.create(9).as_slice()));
}

#[test]
fn the_block_can_be_overridden() {
    let ask = |code: Vec<u8>, block: BlockOverrides| {
        let world = World::default().with_code(CONTRACT, [code, return_word()].concat());
        let overrides = Overrides { block, ..Overrides::default() };
        word(run(&world, &to(CONTRACT), &overrides).unwrap())
    };
    let none = BlockOverrides::default();
    assert_eq!(ask(vec![NUMBER], BlockOverrides { number: Some(5), ..none.clone() }), U256::from(5));
    assert_eq!(ask(vec![TIMESTAMP], BlockOverrides { timestamp: Some(6), ..none.clone() }), U256::from(6));
    assert_eq!(ask(vec![GASLIMIT], BlockOverrides { gas_limit: Some(7), ..none.clone() }), U256::from(7));
    assert_eq!(ask(vec![BASEFEE], BlockOverrides { base_fee: Some(8), ..none.clone() }), U256::from(8));
    let beneficiary = BlockOverrides { beneficiary: Some(BOB), ..none.clone() };
    assert_eq!(ask(vec![COINBASE], beneficiary), U256::from_be_slice(BOB.as_slice()));
    let random = B256::repeat_byte(5);
    let prevrandao = BlockOverrides { prevrandao: Some(random), ..none.clone() };
    assert_eq!(ask(vec![DIFFICULTY], prevrandao), U256::from_be_bytes(random.0));
    let hashes = BlockOverrides { block_hashes: [(299, random)].into(), ..none };
    assert_eq!(ask([push(299), vec![BLOCKHASH]].concat(), hashes), U256::from_be_bytes(random.0));
}

#[test]
fn endless_code_stops_when_asked() {
    let loop_back = [vec![JUMPDEST], push(0), vec![JUMP]].concat();
    let conditional = [vec![JUMPDEST], args(&[0, 1]), vec![JUMPI]].concat();
    let recursion =
        [call_of(CALL, CONTRACT, u64::MAX, 0), vec![POP], call_of(CALL, CONTRACT, u64::MAX, 0)].concat();
    let env = env(Fork::Osaka);
    for code in [loop_back, conditional, recursion] {
        let world = World::default().with_code(CONTRACT, code);
        let asked = AtomicUsize::new(0);
        let time_left = || Duration::from_secs(u64::from(asked.fetch_add(1, Ordering::Relaxed) < 20));
        let context = CallContext { gas_cap: 0, ..context(&world, &env, &time_left) };
        assert_eq!(call(&context, &to(CONTRACT), &Overrides::default()), Err(CallError::Stopped));
        assert_eq!(estimate_gas(&context, &to(CONTRACT), &Overrides::default()), Err(CallError::Stopped));
        assert_eq!(create_access_list(&context, &to(CONTRACT)), Err(CallError::Stopped));
        assert!(asked.load(Ordering::Relaxed) < 30);
    }
}

/// Input of the compression function of BLAKE2b (EIP-152): its price is its number of rounds.
fn blake2(rounds: u32) -> Bytes {
    let mut input = vec![0; 213];
    input[..4].copy_from_slice(&rounds.to_be_bytes());
    input.into()
}

/// Copies the call data and calls the precompiled contract with the given last byte and all gas.
fn forwards_to(precompile: u8) -> Vec<u8> {
    [
        vec![CALLDATASIZE],
        args(&[0, 0]),
        vec![CALLDATACOPY],
        args(&[u64::from(precompile), 0, 213, 0, 0x40]),
        vec![GAS, STATICCALL],
        return_word(),
    ]
    .concat()
}

#[test]
fn a_precompile_that_would_not_end_in_time_is_not_begun() {
    let world = World::default().with_code(CONTRACT, forwards_to(9));
    let env = env(Fork::Osaka);
    let limited = |time_left| CallContext { gas_cap: 1_000_000_000, ..context(&world, &env, time_left) };
    for target in [Address::with_last_byte(9), CONTRACT] {
        // Time for 1,000,000 gas.
        let short = limited(&|| Duration::from_millis(50));
        let request = |rounds| CallRequest { data: blake2(rounds), ..to(target) };
        let run = |request| call(&short, &request, &Overrides::default());
        assert_eq!(run(request(u32::MAX)), Err(CallError::PrecompileTooLong));
        assert_eq!(run(request(1_000_001)), Err(CallError::PrecompileTooLong));
        let long = request(0x1000_0000);
        assert_eq!(estimate_gas(&short, &long, &Overrides::default()), Err(CallError::PrecompileTooLong));
        assert_eq!(create_access_list(&short, &long), Err(CallError::PrecompileTooLong));
        // What fits ends as it would with all the time there is: output, gas, failures.
        let free = limited(&|| Duration::MAX);
        let bad = CallRequest { data: vec![0; 212].into(), ..to(target) };
        for request in [request(1_000_000), request(3), request(0), bad] {
            let expected = call(&free, &request, &Overrides::default());
            assert!(expected.is_ok(), "{expected:?}");
            assert_eq!(run(request), expected);
        }
    }
}

#[test]
fn a_tip_above_the_highest_fee_is_refused_as_it_is_in_a_transaction() {
    let request = CallRequest {
        from: Some(BOB),
        max_fee_per_gas: Some(1),
        max_priority_fee_per_gas: Some(2),
        ..to(CONTRACT)
    };
    let error = run(&World::default(), &request, &Overrides::default()).unwrap_err();
    assert_eq!(error, TxInvalid::TipAboveFee { address: BOB, tip: 2, fee: 1 }.into());
}

#[test]
fn a_broken_state_is_reported_as_such() {
    let mut world = World::default().with_code(CONTRACT, [push_address(BOB), vec![BALANCE, STOP]].concat());
    world.broken = Some(BOB);
    let broken = CallError::State(StateError::Store("broken on purpose".into()));
    assert_eq!(run(&world, &to(CONTRACT), &Overrides::default()), Err(broken.clone()));
    let request = CallRequest { from: Some(BOB), ..to(CONTRACT) };
    assert_eq!(run(&world, &request, &Overrides::default()), Err(broken));
}

#[test]
fn a_call_can_set_delegations() {
    let bob = key(2);
    let world = World::default().with_code(CONTRACT, [vec![ADDRESS], return_word()].concat());
    let request = CallRequest { authorization_list: vec![authorize(&bob, CONTRACT, 0)], ..to(bob.address()) };
    let outcome = run(&world, &request, &Overrides::default()).unwrap();
    assert_eq!(word(outcome), U256::from_be_slice(bob.address().as_slice()));
}

#[test]
fn an_access_list_names_what_is_read() {
    let inner = [args(&[3, 3]), vec![SSTORE]].concat();
    let outer = [
        push(1),
        vec![SLOAD, POP],
        push_address(BOB),
        vec![BALANCE, POP],
        call_of(CALL, OTHER, 50_000, 0),
        vec![POP],
        call_of(STATICCALL, Address::with_last_byte(4), 50_000, 0),
    ]
    .concat();
    let world = World::default().with_code(CONTRACT, outer).with_code(OTHER, inner);
    let env = env(Fork::Osaka);
    let (list, gas_used, error) =
        create_access_list(&context(&world, &env, &|| Duration::MAX), &to(CONTRACT)).unwrap();
    let item = |address, slots: &[u64]| AccessListItem {
        address,
        storage_keys: slots.iter().map(|slot| B256::from(U256::from(*slot))).collect(),
    };
    let expected = AccessList(vec![item(BOB, &[]), item(CONTRACT, &[1]), item(OTHER, &[3])]);
    assert_eq!((list.clone(), error), (expected, None));
    let request = CallRequest { access_list: Some(list), ..to(CONTRACT) };
    let outcome = run(&world, &request, &Overrides::default()).unwrap();
    assert!(matches!(outcome, CallOutcome::Success { gas_used: used, .. } if used == gas_used));
}

#[test]
fn the_access_list_of_a_failing_call_says_why() {
    let code = [push(1), vec![SLOAD, POP], args(&[0, 0]), vec![REVERT]].concat();
    let world = World::default().with_code(CONTRACT, code);
    let env = env(Fork::Osaka);
    let (list, _, error) =
        create_access_list(&context(&world, &env, &|| Duration::MAX), &to(CONTRACT)).unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(error.as_deref(), Some("execution reverted"));
}

#[test]
fn reasons_of_reverts_are_read_and_nonsense_is_not() {
    let error = hex!(
        "08c379a0"
        "0000000000000000000000000000000000000000000000000000000000000020"
        "0000000000000000000000000000000000000000000000000000000000000005"
        "68656c6c6f000000000000000000000000000000000000000000000000000000"
    );
    assert_eq!(revert_reason(&error).as_deref(), Some("hello"));
    for cut in 0..error.len() - 27 {
        assert_eq!(revert_reason(&error[..cut]), None);
    }
    let mut far = error;
    far[4..36].fill(0xff);
    assert_eq!(revert_reason(&far), None);
    let mut long = error;
    long[36..68].fill(0xff);
    assert_eq!(revert_reason(&long), None);
    let panic = |code: u64| [&hex!("4e487b71")[..], &U256::from(code).to_be_bytes::<32>()].concat();
    assert_eq!(revert_reason(&panic(0x11)).as_deref(), Some("arithmetic underflow or overflow"));
    assert_eq!(revert_reason(&panic(0x1234)).as_deref(), Some("unknown panic code: 0x1234"));
    assert_eq!(revert_reason(&hex!("deadbeef")), None);
    assert_eq!(revert_reason(&[]), None);
    assert_eq!(CallError::Reverted(error.into()).to_string(), "execution reverted: hello");
}
