//! What contracts see of the block, and which precompiles answer under which fork.

use super::world::*;
use crate::{BlockEnv, CallContext, CallOutcome, CallRequest, Overrides, call};
use alloy_primitives::{Address, B256, Bytes, U256, b256, bytes, hex};
use lonja_primitives::{BlockRules, Fork};
use revm::bytecode::opcode::*;

const CONTRACT: Address = Address::repeat_byte(0xc0);

fn outcome(world: &World, rules: BlockRules, env: &BlockEnv, to: Address, data: Bytes) -> CallOutcome {
    let context = CallContext {
        rules,
        env,
        state: world,
        private: None,
        gas_cap: 10_000_000,
        time_left: &|| std::time::Duration::MAX,
    };
    let request = CallRequest { to: Some(to), data, ..CallRequest::default() };
    call(&context, &request, &Overrides::default()).unwrap()
}

/// The word that this code leaves on the stack; `None` when it fails.
fn answer(fork: Fork, code: Vec<u8>) -> Option<U256> {
    let mut world = World::default().with_code(CONTRACT, [code, return_word()].concat());
    world.hashes = (0..300).map(|number| (number, B256::from(U256::from(number + 1_000)))).collect();
    match outcome(&world, rules(fork), &env(fork), CONTRACT, Bytes::new()) {
        CallOutcome::Success { output, .. } => Some(U256::from_be_slice(&output)),
        _ => None,
    }
}

#[test]
fn the_block_is_visible() {
    for fork in [Fork::Istanbul, Fork::London, Fork::Osaka] {
        assert_eq!(answer(fork, vec![NUMBER]), Some(U256::from(300)));
        assert_eq!(answer(fork, vec![TIMESTAMP]), Some(U256::from(1_700_000_000)));
        assert_eq!(answer(fork, vec![COINBASE]), Some(PROPOSER.into_word().into()));
        assert_eq!(answer(fork, vec![GASLIMIT]), Some(U256::from(30_000_000)));
        assert_eq!(answer(fork, vec![CHAINID]), Some(U256::from(CHAIN)));
        assert_eq!(answer(fork, vec![GASPRICE]), Some(U256::ZERO));
    }
    assert_eq!(answer(Fork::Byzantium, vec![CHAINID]), None);
    assert_eq!(answer(Fork::Berlin, vec![BASEFEE]), None);
    assert_eq!(answer(Fork::London, vec![BASEFEE]), Some(U256::ZERO));
    assert_eq!(answer(Fork::London, vec![DIFFICULTY]), Some(U256::ONE));
    assert_eq!(answer(Fork::Shanghai, vec![DIFFICULTY]), Some(B256::repeat_byte(0x77).into()));
    assert_eq!(answer(Fork::Shanghai, vec![BLOBBASEFEE]), None);
    for fork in [Fork::Cancun, Fork::Prague, Fork::Osaka] {
        assert_eq!(answer(fork, vec![BLOBBASEFEE]), Some(U256::ONE));
    }
    assert_eq!(answer(Fork::Cancun, [push(1), vec![CLZ]].concat()), None);
    assert_eq!(answer(Fork::Osaka, [push(1), vec![CLZ]].concat()), Some(U256::from(255)));
    assert_eq!(answer(Fork::London, vec![PUSH0]), None);
    assert_eq!(answer(Fork::Shanghai, vec![PUSH0]), Some(U256::ZERO));
}

#[test]
fn the_last_256_hashes_are_visible() {
    let hash = |number: u64| answer(Fork::Osaka, [push(number), vec![BLOCKHASH]].concat()).unwrap();
    assert_eq!(hash(299), U256::from(1_299));
    assert_eq!(hash(44), U256::from(1_044));
    assert_eq!(hash(43), U256::ZERO);
    assert_eq!(hash(300), U256::ZERO);
    assert_eq!(hash(400), U256::ZERO);
}

#[test]
fn a_named_receiver_of_fees_is_the_coinbase() {
    let treasury = Address::repeat_byte(0x7e);
    let world = World::default().with_code(CONTRACT, [vec![COINBASE], return_word()].concat());
    let rules = BlockRules { beneficiary: Some(treasury), ..rules(Fork::Osaka) };
    let outcome = outcome(&world, rules, &env(Fork::Osaka), CONTRACT, Bytes::new());
    assert!(
        matches!(outcome, CallOutcome::Success { output, .. } if *output == *treasury.into_word().as_slice())
    );
}

fn precompile(fork: Fork, number: u16, data: impl Into<Bytes>) -> Vec<u8> {
    let address = Address::from_word(B256::from(U256::from(number)));
    match outcome(&World::default(), rules(fork), &env(fork), address, data.into()) {
        CallOutcome::Success { output, .. } => output.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// A signature of the key 3 over a digest of sevens, recovered by the contract at address 1.
#[test]
fn ecrecover_is_there_from_the_beginning() {
    use lonja_primitives::Signer;
    let digest = B256::repeat_byte(7);
    let signature = key(3).sign(digest).0;
    let v = B256::from(U256::from(27 + signature[64]));
    let data = [digest.as_slice(), v.as_slice(), &signature[..64]].concat();
    for fork in [Fork::Frontier, Fork::London, Fork::Osaka] {
        assert_eq!(precompile(fork, 1, data.clone()), key(3).address().into_word().as_slice());
    }
    assert_eq!(precompile(Fork::Osaka, 1, vec![0; 128]), Vec::<u8>::new());
}

#[test]
fn hashes_and_copies_answer() {
    let sha256 = b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(precompile(Fork::Osaka, 2, Bytes::new()), sha256.as_slice());
    assert_eq!(precompile(Fork::Osaka, 4, bytes!("010203")), [1, 2, 3]);
}

/// The sum of two points at infinity: the contract answers 128 zero bytes, an empty account answers nothing.
#[test]
fn bls_is_there_from_prague_on() {
    let zeros = vec![0u8; 256];
    assert_eq!(precompile(Fork::Cancun, 0x0b, zeros.clone()), Vec::<u8>::new());
    assert_eq!(precompile(Fork::Prague, 0x0b, zeros.clone()), vec![0u8; 128]);
    assert_eq!(precompile(Fork::Osaka, 0x0b, zeros), vec![0u8; 128]);
}

/// A vector of EIP-7951: a valid signature answers 1, a wrong one nothing.
#[test]
fn p256_is_there_from_osaka_on() {
    let valid = hex!(
        "bb5a52f42f9c9261ed4361f59422a1e30036e7c32b270c8807a419feca605023"
        "2ba3a8be6b94d5ec80a6d9d1190a436effe50d85a1eee859b8cc6af9bd5c2e18"
        "4cd60b855d442f5b3c7b11eb6c4e0ae7525fe710fab9aa7c77a67f79e6fadd76"
        "2927b10512bae3eddcfe467828128bad2903269919f7086069c8c4df6c732838"
        "c7787964eaac00e5921fb1498a60f4606766b3d9685001558d1a974e7341513e"
    );
    assert_eq!(precompile(Fork::Prague, 0x100, valid), Vec::<u8>::new());
    assert_eq!(precompile(Fork::Osaka, 0x100, valid), B256::from(U256::ONE).as_slice());
    let mut wrong = valid;
    wrong[40] ^= 1;
    assert_eq!(precompile(Fork::Osaka, 0x100, wrong), Vec::<u8>::new());
}
