//! Contracts that get one more party: who takes what from whom, and who does not.

mod index;
mod refusals;
mod shares;

use super::*;
use crate::private::extension::contract::{Extension, Management, creation};
use crate::private::extension::shared::{self, Terms};
use crate::tests::network::{Network, key};
use alloy_primitives::{B512, TxKind, keccak256};
use alloy_sol_types::SolCall;
use lonja_evm::PrivateMessage;
use lonja_ptm::{Metadata, PrivacyMode, PrivatePayload, PublicKey};
use lonja_storage::codec::FlatAccount;
use lonja_storage::private::{ContractRecord, Origin, PrivateReceipt};
use std::collections::BTreeMap;

/// The parties: who made the contract, who has it too, and who gets it.
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
/// Accounts at the first and the last of them.
const CREATOR: u8 = 1;
const RECIPIENT: u8 = 3;

const MODES: [PrivacyMode; 4] = [
    PrivacyMode::Standard,
    PrivacyMode::PartyProtection,
    PrivacyMode::MandatoryRecipients,
    PrivacyMode::StateValidation,
];

fn party_key(party: usize) -> PublicKey {
    PublicKey([party as u8 + 1; 32])
}

/// Stores what it is given: slot and value, 32 bytes each.
const STORE_CODE: [u8; 8] = [0x60, 0x20, 0x35, 0x60, 0x00, 0x35, 0x55, 0x00];

fn init_code(code: &[u8]) -> Bytes {
    [&[0x60, code.len() as u8, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3], code].concat().into()
}

fn set(slot: u64, value: u64) -> Bytes {
    [U256::from(slot), U256::from(value)].map(|word| word.to_be_bytes::<32>()).concat().into()
}

/// A contract of A and B, and C.
pub(super) struct Scene {
    pub(super) chain: Network,
    pub(super) parties: Vec<Party>,
    mode: PrivacyMode,
    nonces: BTreeMap<u8, u64>,
    payloads: u8,
    /// The contract, and the payload that made it.
    pub(super) contract: Address,
    pub(super) created: PayloadHash,
    /// The management contract, and the payload that made it.
    management: Address,
    begun: PayloadHash,
}

impl Scene {
    /// The contract has some slots.
    pub(super) fn new(mode: PrivacyMode) -> Self {
        let chain = chain();
        let parties = (0..3).map(|_| Party::new(&chain)).collect();
        let nothing = PayloadHash(B512::ZERO);
        let mut scene = Self {
            chain,
            parties,
            mode,
            nonces: BTreeMap::new(),
            payloads: 0,
            contract: sender(CREATOR).create(0),
            created: nothing,
            management: Address::ZERO,
            begun: nothing,
        };
        scene.created = scene.send(CREATOR, None, init_code(&STORE_CODE), &[A, B], &[]);
        for slot in 1..=5 {
            scene.call(set(slot, slot + 10));
        }
        scene
    }

    /// As far as that the state may be shared.
    pub(super) fn accepted(mode: PrivacyMode) -> Self {
        let mut scene = Self::new(mode);
        scene.begin();
        scene.accept();
        scene
    }

    /// Deploys the management contract.
    fn begin(&mut self) {
        let parties = [A, B, C].map(party_key);
        let init = creation(self.contract, sender(RECIPIENT), &party_key(C), &parties);
        self.management = sender(CREATOR).create(self.nonce(CREATOR));
        self.begun = self.send(CREATOR, None, init, &[A, B, C], &[]);
        assert!(self.receipt(A).success, "{:?}", self.receipt(A).error);
    }

    /// The recipient's node consents, and it votes.
    fn accept(&mut self) {
        let consent = self.give(C, &[C], Bytes::copy_from_slice(self.management.as_slice()), None);
        self.vote(true, &consent.to_string());
    }

    fn vote(&mut self, vote: bool, consent: &str) {
        let call = Extension::doVoteCall { vote, nextuuid: consent.to_owned() };
        self.manage(RECIPIENT, call.abi_encode());
    }

    /// A transaction of A or C to the management contract.
    fn manage(&mut self, account: u8, call: Vec<u8>) -> PayloadHash {
        let (to, begun) = (self.management, self.begun);
        self.send(account, Some(to), call.into(), &[A, B, C], &[begun])
    }

    /// A transaction of A and B to the contract, as before it was extended.
    fn call(&mut self, bytes: Bytes) -> PayloadHash {
        let (to, created) = (self.contract, self.created);
        self.send(CREATOR, Some(to), bytes, &[A, B], &[created])
    }

    fn terms(&self) -> Terms {
        let genesis = self.chain.genesis.header.hash();
        Terms { genesis, contract: self.contract, management: self.management }
    }

    /// The contract's state as A has it now.
    fn state(&self) -> Bytes {
        let state = self.parties[A].reader().contract_state(&self.contract, 100).unwrap().unwrap();
        shared::encode(&state, &self.terms(), key(77).node_id(), &key(77)).unwrap()
    }

    /// Hands a state to these, and names it on the chain.
    fn share_with(&mut self, state: Bytes, to: &[usize]) -> PayloadHash {
        let root = shared::decode(&state).map(|state| state.root).unwrap_or_default();
        let mut metadata = self.metadata(&[]);
        if self.mode == PrivacyMode::StateValidation {
            metadata.exec_hash = execution_root_text(root).into_bytes().into();
        }
        let hash = self.give(A, to, state, Some(metadata));
        self.name(&hash);
        hash
    }

    fn share(&mut self) -> PayloadHash {
        let state = self.state();
        self.share_with(state, &[A, B, C])
    }

    fn name(&mut self, hash: &PayloadHash) -> PayloadHash {
        let call = Extension::setSharedStateHashCall { hash: hash.to_string() };
        self.manage(CREATOR, call.abi_encode())
    }

    /// A transaction of A and B to the contract that names these as what it affects, for a block with others.
    pub(super) fn draft_call(&mut self, bytes: Bytes, affected: &[PayloadHash]) -> PrivateDraft {
        let to = self.contract;
        self.draft(CREATOR, Some(to), bytes, &[A, B], affected).1
    }

    /// The same of all three.
    pub(super) fn draft_call_with_newcomer(
        &mut self,
        bytes: Bytes,
        affected: &[PayloadHash],
    ) -> PrivateDraft {
        let to = self.contract;
        self.draft(CREATOR, Some(to), bytes, &[A, B, C], affected).1
    }

    /// As [`Scene::share`], for a block with others; and the name of the state.
    pub(super) fn draft_share(&mut self) -> (PrivateDraft, PayloadHash) {
        let (state, metadata) = (self.state(), self.metadata(&[]));
        let hash = self.give(A, &[A, B, C], state, Some(metadata));
        let call = Extension::setSharedStateHashCall { hash: hash.to_string() }.abi_encode();
        let (to, begun) = (self.management, self.begun);
        (self.draft(CREATOR, Some(to), call.into(), &[A, B, C], &[begun]).1, hash)
    }

    fn metadata(&self, affected: &[PayloadHash]) -> Metadata {
        let mandatory = match self.mode {
            PrivacyMode::MandatoryRecipients => vec![PublicKey([9; 32])],
            _ => Vec::new(),
        };
        let affected = if self.mode == PrivacyMode::Standard { Vec::new() } else { affected.to_vec() };
        Metadata { mode: self.mode, affected, mandatory, ..Metadata::default() }
    }

    /// Hands a payload to some parties; without metadata it is a plain one.
    fn give(&mut self, from: usize, to: &[usize], payload: Bytes, metadata: Option<Metadata>) -> PayloadHash {
        self.payloads += 1;
        let hash = PayloadHash(B512::repeat_byte(self.payloads));
        for party in to {
            let payload = PrivatePayload {
                payload: payload.clone(),
                metadata: metadata.clone().unwrap_or_default(),
                managed_parties: vec![party_key(*party)],
                sender: party_key(from),
            };
            self.parties[*party].has(&(hash, Lookup::Found(payload)));
        }
        hash
    }

    fn nonce(&self, account: u8) -> u64 {
        self.nonces.get(&account).copied().unwrap_or_default()
    }

    /// A private transaction of an account at A, or of the recipient at C, to some parties, in a block of its own.
    fn send(
        &mut self,
        account: u8,
        to: Option<Address>,
        bytes: Bytes,
        parties: &[usize],
        affected: &[PayloadHash],
    ) -> PayloadHash {
        let (hash, draft) = self.draft(account, to, bytes, parties, affected);
        self.chain.submit(&[draft]);
        self.next_block();
        hash
    }

    fn draft(
        &mut self,
        account: u8,
        to: Option<Address>,
        bytes: Bytes,
        parties: &[usize],
        affected: &[PayloadHash],
    ) -> (PayloadHash, PrivateDraft) {
        let nonce = self.nonce(account);
        self.nonces.insert(account, nonce + 1);
        let mut metadata = self.metadata(affected);
        if self.mode == PrivacyMode::StateValidation {
            let message = PrivateMessage {
                sender: sender(account),
                nonce,
                kind: to.map_or(TxKind::Create, TxKind::Call),
                payload: bytes.clone(),
                gas_limit: GAS,
                shell_gas: 60_000,
            };
            let (spec, public) = (self.chain.spec.clone(), self.chain.core.reader());
            let (_, root) = self.parties[A].follower.simulate_root(&spec, &public, &message).unwrap();
            metadata.exec_hash = execution_root_text(root).into_bytes().into();
        }
        let from = if account == RECIPIENT { C } else { A };
        let hash = self.give(from, parties, bytes, Some(metadata));
        let draft = private(account, nonce, to, &(hash, Lookup::NotOurs)).with(|tx| tx.gas_limit = GAS);
        (hash, draft)
    }

    pub(super) fn next_block(&mut self) {
        self.chain.next_block();
        self.parties.iter_mut().for_each(Party::catch_up);
    }

    /// What the only transaction of the newest block gave at a party.
    fn receipt(&self, party: usize) -> PrivateReceipt {
        let head = self.parties[party].follower.head().number;
        self.parties[party].reader().receipt(head, 0).unwrap().unwrap()
    }

    /// Why it failed.
    fn error(&self, party: usize) -> String {
        let receipt = self.receipt(party);
        assert!(!receipt.success && receipt.logs.is_empty());
        receipt.error.unwrap_or_default()
    }

    /// The contract as a party has it.
    fn account(&self, party: usize) -> Option<FlatAccount> {
        self.parties[party].state().flat_account(&self.contract).unwrap()
    }

    fn slot(&self, party: usize, slot: u64) -> u64 {
        self.parties[party].state().storage(&self.contract, &U256::from(slot)).unwrap().to()
    }

    fn record(&self, party: usize) -> Option<ContractRecord> {
        let party = &self.parties[party];
        party.reader().contract(&self.contract, party.follower.head().number).unwrap()
    }

    fn managed(&self, party: usize) -> Management {
        Management::read(&self.parties[party].state(), &self.management).unwrap().unwrap()
    }

    /// The newest share was taken by everybody.
    fn is_shared(&self) -> bool {
        (0..3).all(|party| self.receipt(party).success && self.account(party) == self.account(A))
            && self.account(A).is_some()
    }

    /// Every party comes to the same states again, from the beginning and after a restart.
    fn check_replay(&mut self) {
        for party in &mut self.parties {
            let head = party.follower.head().number;
            let roots = |party: &Party| -> Vec<_> {
                (0..=head).map(|number| party.reader().root_at(number).unwrap()).collect()
            };
            let before = roots(party);
            party.follower.reset().unwrap();
            party.catch_up();
            assert_eq!(roots(party), before);
            let again = party.reopen(&self.chain);
            assert_eq!(again.root(), party.root());
        }
    }
}

/// Enough for everything here.
const GAS: u64 = 3_000_000;
