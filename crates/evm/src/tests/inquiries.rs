//! Questions, and what their answers depend on.

use super::world::*;
use crate::{Answer, Inquiry, Said};
use alloy_primitives::{Address, Bytes, U256};
use lonja_primitives::Fork;
use revm::bytecode::opcode::*;

const CONTRACT: Address = Address::repeat_byte(0xc0);
const OTHER: Address = Address::repeat_byte(0xc1);
const GAS: u64 = 100_000;

fn ask_in(world: &World, input: &[u8]) -> Answer {
    let rules = rules(Fork::Osaka);
    let mut inquiry = Inquiry::new(&rules, &env(rules.fork), world);
    inquiry.ask(CONTRACT, Bytes::copy_from_slice(input), GAS).unwrap()
}

fn ask(code: &[u8], input: &[u8]) -> Answer {
    ask_in(&World::default().with_code(CONTRACT, code.to_vec()), input)
}

/// Answers the word of the input at this place.
fn word_at(offset: u64) -> Vec<u8> {
    [push(offset), vec![CALLDATALOAD], return_word()].concat()
}

#[test]
fn an_answer_covers_every_question_with_the_bytes_that_were_read() {
    let asked = [1; 100];
    let answer = ask(&word_at(4), &asked);
    assert_eq!(answer.said, Said::Returned(Bytes::copy_from_slice(&[1; 32])));
    assert!(!answer.block && answer.accounts.contains_key(&CONTRACT));
    assert_eq!(answer.read.end(), 36);
    let mut other = asked;
    other[3] = 9;
    other[36] = 9;
    assert!(answer.read.covers(&asked, &other));
    assert!(answer.read.covers(&asked, &other[..40]), "the length was not looked at");
    for place in [4, 20, 35] {
        let mut other = asked;
        other[place] = 9;
        assert!(!answer.read.covers(&asked, &other), "byte {place}");
    }
}

#[test]
fn what_ends_early_was_looked_at_for_its_length() {
    let asked = [1; 20];
    let answer = ask(&word_at(0), &asked);
    assert!(answer.read.covers(&asked, &asked));
    assert!(!answer.read.covers(&asked, &[1; 21]));
    assert!(!answer.read.covers(&asked, &[1; 32]));
    let size = ask(&[vec![CALLDATASIZE], return_word()].concat(), &asked);
    assert!(size.read.covers(&asked, &[2; 20]) && !size.read.covers(&asked, &[1; 21]));
    let far = [push(u64::MAX), vec![CALLDATALOAD], return_word()].concat();
    let far = ask(&far, &asked);
    assert!(far.read.covers(&asked, &asked) && !far.read.covers(&asked, &[1; 21]));
}

#[test]
fn slots_that_were_read_are_named() {
    let code = [push(5), vec![SLOAD], push(7), vec![SLOAD, ADD], return_word()].concat();
    let world = World::default().with_code(CONTRACT, code).with_slot(CONTRACT, 5, 40);
    let answer = ask_in(&world, &[]);
    assert_eq!(answer.accounts[&CONTRACT].slots, [U256::from(5), U256::from(7)].into());
    assert_eq!(answer.said, Said::Returned(U256::from(40).to_be_bytes_vec().into()));
}

#[test]
fn copied_bytes_count_as_read() {
    let copy = [push(8), push(4), push(0), vec![CALLDATACOPY], push(0), vec![MLOAD], return_word()].concat();
    let asked = [1; 100];
    let answer = ask(&copy, &asked);
    let mut other = asked;
    (other[3], other[12]) = (9, 9);
    assert!(answer.read.covers(&asked, &other));
    other[11] = 9;
    assert!(!answer.read.covers(&asked, &other));
}

#[test]
fn code_that_looks_at_the_block_says_so() {
    for opcode in [NUMBER, TIMESTAMP, COINBASE, DIFFICULTY, GASLIMIT, BASEFEE] {
        assert!(ask(&[vec![opcode], return_word()].concat(), &[]).block, "{opcode:#x}");
    }
    assert!(ask(&[push(1), vec![BLOCKHASH], return_word()].concat(), &[]).block);
    for opcode in [CHAINID, ADDRESS, CALLER, ORIGIN, CODESIZE, CALLVALUE, SELFBALANCE] {
        assert!(!ask(&[vec![opcode], return_word()].concat(), &[]).block, "{opcode:#x}");
    }
}

/// The other contract reads its own input, which is memory of the first and no part of the question.
#[test]
fn what_another_contract_reads_of_its_input_is_not_the_question() {
    let call = [
        push(32),
        push(0),
        push(64),
        push(0),
        vec![PUSH20],
        OTHER.to_vec(),
        push(50_000),
        vec![STATICCALL, POP],
        push(0),
        vec![CALLDATALOAD],
        return_word(),
    ]
    .concat();
    let world =
        World::default().with_code(CONTRACT, call).with_code(OTHER, word_at(32)).with_slot(OTHER, 1, 1);
    let asked = [1; 96];
    let answer = ask_in(&world, &asked);
    assert!(answer.accounts.contains_key(&OTHER));
    let mut other = asked;
    other[70] = 9;
    assert!(answer.read.covers(&asked, &other));
    other[0] = 9;
    assert!(!answer.read.covers(&asked, &other), "read after the inner call");
}

#[test]
fn there_are_four_ways_to_give_no_answer_and_none_leaves_a_trace() {
    assert_eq!(ask(&[], &[]).said, Said::NoContract);
    assert_eq!(ask(&[push(0), push(0), vec![REVERT]].concat(), &[]).said, Said::Reverted(Bytes::new()));
    assert_eq!(ask(&[JUMPDEST, PUSH0, JUMP], &[]).said, Said::Failed("out of gas".into()));
    let world = World::default().with_code(CONTRACT, [push(7), push(0), vec![SSTORE]].concat());
    let rules = rules(Fork::Osaka);
    let mut inquiry = Inquiry::new(&rules, &env(rules.fork), &world);
    for _ in 0..2 {
        let answer = inquiry.ask(CONTRACT, Bytes::new(), GAS).unwrap();
        assert_eq!(answer.said, Said::Returned(Bytes::new()));
        assert!(answer.gas_used > 20_000, "the slot was empty again");
    }
    assert_eq!(world.slot(CONTRACT, 0), U256::ZERO);
}
