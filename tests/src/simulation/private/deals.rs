//! Members who deal with each other: they make private contracts and write into them, with and without markers.

use super::judge::{Judge, Secret, marked};
use crate::simulation::report::Outcome;
use crate::simulation::schedule::{Happening, Life};
use crate::simulation::world::{Break, World};
use alloy_consensus::{SignableTransaction, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex, keccak256};
use lonja_chain::private::{execution_root_text, marker};
use lonja_evm::PrivateMessage;
use lonja_primitives::spec::MARKER_PRECOMPILE;
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{NodeKey, PayloadHash, Signer, StateView, Transaction};
use lonja_ptm::{Metadata, PrivacyMode, PtmError, PublicKey, SendRequest, Sent};
use lonja_storage::private::{Fate, PrivateReader};
use std::collections::{BTreeMap, BTreeSet};

/// Stores the secret that stands in it in slot 0, and gives the code of [`CODE`]: `PUSH16 secret PUSH0 SSTORE`, then copy and
/// return. The secret comes between the two halves.
const INIT: [&[u8]; 2] = [&hex!("6f"), &hex!("5f55601e80601c5f395ff3")];
/// Called with slot, value and another slot: `slot = slot * 3 + value`, so that order and number of calls show; then the
/// value itself into the other slot, and into a log.
const CODE: [u8; 30] = hex!("6020355f355460030201 5f3555 602035604035 55 6020355f5260205fa000");
/// Where nonces of transactions in markers begin, as those that nodes draw.
const DRAWN_FROM: u64 = 1 << 52;
const GAS: u64 = 400_000;
/// About what a transaction costs whose payload is elsewhere.
const SHELL_GAS: u64 = 60_000;

/// Deals that are open or done, and the judge of them.
#[derive(Default)]
pub struct Deals {
    /// Who looks.
    pub judge: Judge,
    /// Sends under way, by number.
    open: BTreeMap<u64, Deal>,
    /// Deals whose sends succeeded, in that order.
    pub done: Vec<Deal>,
    /// Contracts whose payloads were sent.
    contracts: Vec<Contract>,
    /// How many sends failed, by the words of the error.
    pub refused: BTreeMap<&'static str, u64>,
    next: u64,
}

/// A private contract.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Where it stands.
    pub address: Address,
    /// Its parties, by node.
    pub parties: BTreeSet<usize>,
    /// How it is protected.
    mode: PrivacyMode,
    mandatory: Vec<PublicKey>,
    /// The payload that made it.
    creation: PayloadHash,
}

impl Contract {
    /// Whether its transaction came into a block and ran here. Where it did not, another one may have taken its nonce, and
    /// its address.
    pub(super) fn is_made(&self, reader: &PrivateReader) -> bool {
        let seen = reader.seen(&self.creation).unwrap_or_default();
        seen.iter().any(|(_, _, fate)| *fate == Fate::Executed)
    }
}

/// How far a deal is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Its payload is being sent.
    Payload,
    /// Its marker's payload is being sent.
    Marker,
    /// Everything was sent, and a transaction given to the node.
    Sent,
}

/// One private transaction on its way.
#[derive(Clone, Debug)]
pub struct Deal {
    /// The node that sends.
    pub by: usize,
    life: Life,
    /// Who may have it, the sender included, by node.
    pub parties: BTreeSet<usize>,
    /// Where it stands.
    pub stage: Stage,
    /// The contract that is called; `None` for one that is made.
    to: Option<Address>,
    mode: PrivacyMode,
    mandatory: Vec<PublicKey>,
    /// Of one that goes into a marker; the others are counted when they are signed.
    nonce: Option<u64>,
    /// What was sent.
    pub payload: Bytes,
    /// Names of its payload, and of its marker's.
    sent: Vec<PayloadHash>,
}

/// What a deal is about.
struct Terms {
    to: Option<Address>,
    parties: BTreeSet<usize>,
    mode: PrivacyMode,
    mandatory: Vec<PublicKey>,
    affected: Vec<PayloadHash>,
}

impl Deal {
    /// The names of all that was sent for it.
    pub fn hashes(&self) -> impl Iterator<Item = PayloadHash> {
        self.sent.iter().copied()
    }
}

impl Deals {
    /// With a judge who has all keys.
    pub(in crate::simulation) fn of(judge: Judge) -> Self {
        Self { judge, ..Self::default() }
    }

    /// Contracts whose payloads were sent. Not all of their transactions came into a block.
    pub fn contracts(&self) -> &[Contract] {
        &self.contracts
    }

    /// A node has lost its payloads: what it told nobody is gone for good. Returns what others have of the rest.
    pub(super) fn forget_secrets_of(&mut self, node: usize) -> Vec<PayloadHash> {
        let shared = |parties: &BTreeSet<usize>| parties.len() > 1 || !parties.contains(&node);
        self.done.retain(|deal| shared(&deal.parties));
        self.contracts.retain(|contract| shared(&contract.parties));
        let theirs = self.done.iter().filter(|deal| deal.parties.contains(&node));
        theirs.flat_map(Deal::hashes).collect()
    }

    /// Whether sends are under way.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }
}

impl World {
    /// The next deal comes after a pause.
    pub(in crate::simulation) fn expect_deal(&mut self) {
        let mean_us = self.plan.dealings.map_or(0, |dealings| dealings.pause_us);
        if mean_us > 0 {
            let pause_us = self.dice.between(mean_us / 4, mean_us * 2);
            self.after(pause_us, Happening::Deal);
        }
    }

    /// Somebody who is up makes a deal.
    pub(in crate::simulation) fn deal(&mut self) -> Outcome {
        self.expect_deal();
        let dealers = self.dealers();
        let by = self.dice.pick(&dealers);
        self.deal_by(by, None)
    }

    /// The nodes of members who deal.
    pub fn dealers(&self) -> Vec<usize> {
        let deals = |node: &usize| self.nodes[*node].party.as_ref().is_some_and(|party| party.deals);
        (0..self.nodes.len()).filter(deals).collect()
    }

    /// A member makes a deal with these nodes, or with whom the dice say: a contract is made or called.
    pub fn deal_by(&mut self, by: usize, with: Option<&[usize]>) -> Outcome {
        let Some(head) = self.member(by).map(|member| member.follower.head().number) else { return Ok(()) };
        let Terms { to, parties, mode, mandatory, affected } = self.draw_terms(by, head, with);
        let secret = self.plant(&parties);
        let payload = match to {
            Some(_) => call_of(&secret, self.dice.below(3), 8 + self.dice.below(4)),
            None => [INIT[0], &secret, INIT[1], &CODE].concat().into(),
        };
        let validated = mode == PrivacyMode::StateValidation;
        let marked = validated || self.dice.chance(40);
        let nonce = marked.then(|| DRAWN_FROM | self.dice.below(DRAWN_FROM));
        let (stage, sent, life) = (Stage::Payload, Vec::new(), self.life_of(by));
        let deal = Deal { by, life, parties, stage, to, mode, mandatory, nonce, payload, sent };
        let exec_hash = if validated { self.root_of(&deal) } else { Some(Bytes::new()) };
        if let Some(exec_hash) = exec_hash {
            let mandatory = deal.mandatory.clone();
            self.send_for(deal, Metadata { mode, affected, exec_hash, mandatory, group: None });
        }
        Ok(())
    }

    /// A contract that this member may call, or one that is to be made.
    fn draw_terms(&mut self, by: usize, head: u64, with: Option<&[usize]>) -> Terms {
        let callable = if with.is_some() { Vec::new() } else { self.contracts_at(by, head) };
        if !callable.is_empty() && self.dice.chance(65) {
            let Contract { address, parties, mode, mandatory, creation } =
                callable[self.dice.index(callable.len())].clone();
            let affected = if mode == PrivacyMode::Standard { Vec::new() } else { vec![creation] };
            return Terms { to: Some(address), parties, mode, mandatory, affected };
        }
        let parties = match with {
            Some(with) => with.iter().copied().chain([by]).collect(),
            None => self.draw_parties(by),
        };
        let (mode, mandatory) = self.draw_protection(&parties);
        Terms { to: None, parties, mode, mandatory, affected: Vec::new() }
    }

    /// How a new contract is protected, and who has to take part in everything where that is said.
    fn draw_protection(&mut self, parties: &BTreeSet<usize>) -> (PrivacyMode, Vec<PublicKey>) {
        let mode = PrivacyMode::from_flag(self.dice.pick(&[0, 0, 0, 1, 1, 2, 3])).unwrap_or_default();
        let parties: Vec<usize> = parties.iter().copied().collect();
        let one = self.dice.pick(&parties);
        let key = self.nodes[one].party.as_ref().map(|party| party.key);
        (mode, key.filter(|_| mode == PrivacyMode::MandatoryRecipients).into_iter().collect())
    }

    /// The root that a deal's sender comes to, in the words that go with it; `None` where it cannot be executed now.
    fn root_of(&self, deal: &Deal) -> Option<Bytes> {
        let process = self.nodes[deal.by].process.as_ref()?;
        let message = PrivateMessage {
            sender: self.account_of(deal.by)?.1,
            nonce: deal.nonce?,
            kind: deal.to.map_or(TxKind::Create, TxKind::Call),
            payload: deal.payload.clone(),
            gas_limit: GAS,
            shell_gas: SHELL_GAS,
        };
        let follower = &process.member.as_ref()?.follower;
        let (_, root) = follower.simulate_root(&self.spec, &process.reader, &message).ok()?;
        Some(execution_root_text(root).into_bytes().into())
    }

    fn life_of(&self, node: usize) -> Life {
        self.nodes[node].process.as_ref().map_or(0, |process| process.life)
    }

    /// Contracts that this member is a party of, and sees.
    fn contracts_at(&self, node: usize, head: u64) -> Vec<Contract> {
        let Some(member) = self.member(node) else { return Vec::new() };
        let reader = member.follower.reader();
        let Ok(state) = reader.state_at(head) else { return Vec::new() };
        let stands = |contract: &&Contract| {
            let account = state.account(&contract.address).ok().flatten();
            contract.parties.contains(&node) && account.is_some() && contract.is_made(&reader)
        };
        self.deals.contracts.iter().filter(stands).cloned().collect()
    }

    fn draw_parties(&mut self, by: usize) -> BTreeSet<usize> {
        let mut parties: BTreeSet<usize> = BTreeSet::from([by]);
        for other in self.dealers() {
            if self.dice.chance(50) {
                parties.insert(other);
            }
        }
        parties
    }

    /// A secret that no other payload has.
    fn plant(&mut self, parties: &BTreeSet<usize>) -> Secret {
        let number = self.deals.next;
        let digest = keccak256(format!("secret {number} of world {}", self.plan.seed));
        let secret = marked(*digest.first_chunk().expect("a hash has 32 bytes"));
        self.deals.next += 1;
        self.deals.judge.plant(secret, parties.clone());
        secret
    }

    /// Hands the payload that is next to the manager of the deal's node.
    fn send_for(&mut self, deal: Deal, metadata: Metadata) {
        let key = |node: &usize| self.nodes[*node].party.as_ref().map(|party| party.key);
        let mut to: Vec<_> = deal.parties.iter().filter(|node| **node != deal.by).filter_map(key).collect();
        if self.options.broken == Some(Break::StrangerTold) {
            to.extend(self.strangers().iter().filter_map(key));
        }
        let number = self.deals.next;
        self.deals.next += 1;
        let by = deal.by;
        self.trace(|| format!("n{by} sends payload {number} for {:?}: {:?}", deal.parties, deal.stage));
        let request = SendRequest { payload: deal.payload.clone(), from: None, to, metadata };
        if let Some(member) = self.member(by) {
            member.send(number, request);
            self.deals.open.insert(number, deal);
            self.rouse_manager(by);
        }
    }

    /// The nodes of members who deal with nobody.
    fn strangers(&self) -> Vec<usize> {
        let idle = |node: &usize| self.nodes[*node].party.as_ref().is_some_and(|party| !party.deals);
        (0..self.nodes.len()).filter(idle).collect()
    }

    /// A send came to its end.
    pub(super) fn payload_sent(
        &mut self,
        node: usize,
        number: u64,
        result: Result<Sent, PtmError>,
    ) -> Outcome {
        let Some(mut deal) = self.deals.open.remove(&number) else { return Ok(()) };
        let hash = match result {
            Ok(sent) => sent.hash,
            Err(error) => {
                self.trace(|| format!("n{node} did not send payload {number}: {error}"));
                *self.deals.refused.entry(kind_of(&error)).or_default() += 1;
                self.stats.sends_failed += 1;
                return Ok(());
            }
        };
        self.trace(|| format!("n{node} has sent payload {number}: {hash}"));
        self.stats.sends += 1;
        deal.sent.push(hash);
        self.deals.judge.know(hash, &deal.parties);
        self.expect_durable(&deal, hash)?;
        match deal.stage {
            Stage::Payload => self.sign(deal, hash),
            Stage::Marker => self.sign_marker(deal, hash),
            Stage::Sent => Ok(()),
        }
    }

    /// The private transaction, given to the node or put into a marker.
    fn sign(&mut self, mut deal: Deal, hash: PayloadHash) -> Outcome {
        let Some((key, account)) = self.account_of(deal.by) else { return Ok(()) };
        let Some(counted) = self.nonce_at(deal.by, &account) else { return Ok(()) };
        let nonce = deal.nonce.unwrap_or(counted);
        let kind = deal.to.map_or(TxKind::Create, TxKind::Call);
        let input = Bytes::copy_from_slice(hash.as_slice());
        let tx = TxLegacy { nonce, gas_limit: GAS, to: kind, input, ..TxLegacy::default() };
        let tx = sign_private(tx, &key);
        if deal.to.is_none() {
            let (address, parties) = (account.create(nonce), deal.parties.clone());
            let (mode, mandatory, creation) = (deal.mode, deal.mandatory.clone(), hash);
            self.deals.contracts.push(Contract { address, parties, mode, mandatory, creation });
        }
        if deal.nonce.is_none() {
            deal.stage = Stage::Sent;
            let by = deal.by;
            self.deals.done.push(deal);
            return self.take_transactions(by, None, vec![tx.encoded_2718().into()]);
        }
        deal.stage = Stage::Marker;
        let done = deal.clone();
        self.deals.done.push(done);
        deal.payload = marker::encode(&tx).expect("the transaction is private");
        self.send_for(deal, Metadata::default());
        Ok(())
    }

    /// A marker, signed by a key of its own.
    fn sign_marker(&mut self, mut deal: Deal, hash: PayloadHash) -> Outcome {
        let number = self.deals.next;
        let digest = keccak256(format!("marker {number} of world {}", self.plan.seed));
        let Ok(key) = NodeKey::from_bytes(&digest.0) else { return Ok(()) };
        let tx = TxLegacy {
            chain_id: Some(self.spec.chain_id),
            gas_limit: GAS,
            to: TxKind::Call(MARKER_PRECOMPILE),
            input: Bytes::copy_from_slice(hash.as_slice()),
            ..TxLegacy::default()
        };
        let signature = key.sign(tx.signature_hash()).0;
        let signature =
            alloy_primitives::Signature::from_bytes_and_parity(&signature[..64], signature[64] == 1);
        let raw = Transaction::from(tx.into_signed(signature)).encoded_2718();
        let by = deal.by;
        deal.stage = Stage::Sent;
        self.deals.done.push(deal);
        self.stats.markers += 1;
        self.take_transactions(by, None, vec![raw.into()])
    }

    fn account_of(&self, node: usize) -> Option<(NodeKey, Address)> {
        let party = self.nodes[node].party.as_ref()?;
        Some((party.account.clone(), party.address()))
    }

    /// Sends of a process that has ended come to nothing.
    pub(in crate::simulation) fn forget_deals(&mut self, life: Life) {
        self.deals.open.retain(|_, deal| deal.life != life);
    }
}

fn call_of(secret: &Secret, slot: u64, other: u64) -> Bytes {
    let word = |number: u64| U256::from(number).to_be_bytes::<32>();
    [word(1 + slot), U256::from_be_slice(secret).to_be_bytes::<32>(), word(other)].concat().into()
}

fn kind_of(error: &PtmError) -> &'static str {
    match error {
        PtmError::UnknownRecipient(_) => "unknown recipient",
        PtmError::Unreachable { .. } => "unreachable",
        PtmError::Refused { .. } => "refused",
        PtmError::Unavailable(_) => "unavailable",
        _ => "another",
    }
}
