//! Over a real small chain with the registry's contracts, in which anybody may pass for the vote.

use super::*;
use crate::join::tests::{core, key, next_block};
use alloy_consensus::{SignableTransaction, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Bytes, TxKind, U256, hex, keccak256};
use lonja_chain::ChainCore;
use lonja_permissioning::registry::abi::{GOVERNANCE, PARTIES};
use lonja_permissioning::registry::genesis::artifacts;
use lonja_primitives::genesis::{GenesisAccount, NewNetwork};
use lonja_primitives::spec::Privacy;
use lonja_primitives::{Genesis, Signer};
use lonja_storage::MemoryKv;
use lonja_txpool::Origin;

const SUPERVISOR: PublicKey = PublicKey([0xa1; 32]);
const OTHER: PublicKey = PublicKey([0xa2; 32]);

struct World {
    genesis: Genesis,
    core: ChainCore,
    rules: Arc<Supervision>,
    sent: u64,
}

impl World {
    fn new(parties: Address) -> Self {
        let account = |code: Bytes| GenesisAccount { nonce: 1, code, ..GenesisAccount::default() };
        let mut alloc: std::collections::BTreeMap<_, _> =
            artifacts().into_iter().map(|one| (one.address, account(one.runtime))).collect();
        // Hands on to 0x7008 what it is told: CALLDATACOPY, CALL, and REVERT where that fails.
        let code = hex!("365f5f375f5f365f5f6170085af16014575f5ffd5b00");
        alloc.insert(GOVERNANCE, account(Bytes::copy_from_slice(&code)));
        let network = NewNetwork {
            validators: (1..=4).map(|number| key(number).address()).collect(),
            privacy: Privacy { parties: Some(parties), ..Privacy::OF_NEW_NETWORKS },
            alloc,
            ..NewNetwork::default()
        };
        let genesis = Genesis::from_json(&network.to_json()).unwrap();
        let core = core(Arc::new(MemoryKv::new()), &genesis);
        let own = key(101).node_id();
        let rules = Supervision::new(Arc::new(genesis.spec.clone()), core.reader(), own).unwrap();
        Self { genesis, core, rules, sent: 0 }
    }

    /// A block with a decision about everybody.
    fn decide(&mut self, function: &str, supervisor: PublicKey) {
        let selector = &keccak256(format!("{function}(uint8,bytes32,bytes32)"))[..4];
        let everybody = U256::from(1).to_be_bytes::<32>();
        let transaction = TxLegacy {
            nonce: self.sent,
            gas_limit: 1_000_000,
            to: TxKind::Call(GOVERNANCE),
            input: [selector, &everybody, &[0; 32], &supervisor.0].concat().into(),
            ..TxLegacy::default()
        };
        let signature = key(50).sign(transaction.signature_hash());
        let signature = alloy_primitives::Signature::from_raw_array(&signature.0).unwrap();
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        let taken = self.core.door().submit(vec![raw.into()], Origin::Local);
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
        self.sent += 1;
        next_block(&mut self.core, &self.genesis, None);
        let receipts = self.core.reader().receipts(self.core.reader().head().number).unwrap().unwrap();
        assert!(receipts.iter().all(|receipt| receipt.success), "{receipts:?}");
    }
}

#[test]
fn what_the_chain_says_holds_from_the_next_block_on() {
    let mut world = World::new(PARTIES);
    let rules = world.rules.clone();
    let account = Some(Address::repeat_byte(5));
    for _ in 0..2 {
        assert_eq!((rules.required(account), rules.required(None)), (Ok(vec![]), Ok(vec![])));
        assert_eq!((rules.is_supervisor(&SUPERVISOR), rules.holders(&OTHER)), (Ok(false), Ok(None)));
    }
    world.decide("addSupervisor", SUPERVISOR);
    for _ in 0..2 {
        assert_eq!(rules.required(account), Ok(vec![SUPERVISOR]), "once, though the node owes it too");
        assert_eq!(rules.required(None), Ok(vec![SUPERVISOR]));
        assert_eq!((rules.is_supervisor(&SUPERVISOR), rules.is_supervisor(&OTHER)), (Ok(true), Ok(false)));
    }
    world.decide("addSupervisor", OTHER);
    assert_eq!(rules.required(account), Ok(vec![SUPERVISOR, OTHER]));
    world.decide("removeSupervisor", SUPERVISOR);
    assert_eq!(rules.required(account), Ok(vec![OTHER]));
    assert_eq!(rules.is_supervisor(&SUPERVISOR), Ok(false));
}

#[test]
fn a_contract_that_is_not_there_closes() {
    let world = World::new(Address::repeat_byte(0x11));
    let rules = &world.rules;
    let reasons = [
        rules.required(None).unwrap_err(),
        rules.is_supervisor(&OTHER).unwrap_err(),
        rules.holders(&OTHER).unwrap_err(),
    ];
    assert!(reasons.iter().all(|reason| reason.contains("no contract")), "{reasons:?}");
}

#[test]
fn networks_without_a_contract_ask_nobody() {
    let world = World::new(PARTIES);
    let own = key(101).node_id();
    let mut spec = world.genesis.spec.clone();
    spec.privacy = vec![(0, Privacy::OF_NEW_NETWORKS)];
    assert!(Supervision::new(Arc::new(spec.clone()), world.core.reader(), own).is_none());
    // From block 5 on, which is not yet.
    let missing = Privacy { parties: Some(Address::repeat_byte(0x11)), ..Privacy::OF_NEW_NETWORKS };
    spec.privacy.push((5, missing));
    let rules = Supervision::new(Arc::new(spec), world.core.reader(), own).unwrap();
    assert_eq!((rules.required(None), rules.holders(&OTHER)), (Ok(vec![]), Ok(None)));
}

#[test]
fn answers_are_bounded() {
    let world = World::new(PARTIES);
    for number in 0..ANSWERS_MAX as u64 + 10 {
        let account = Address::from_word(B256::from(U256::from(number)));
        assert_eq!(world.rules.required(Some(account)), Ok(vec![]));
    }
    assert!(world.rules.known.lock().required.len() <= ANSWERS_MAX);
}
