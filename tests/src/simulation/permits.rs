//! Permissions in the world: a contract says who may connect and transact, people change it, and every node goes by its
//! own newest block.
//!
//! The contract is one of plain lists with the interface of Besu's, so that a change is one transaction. What is looked
//! at: all nodes judge all nodes alike at every height; nothing leaves for whom the sender's newest block forbids; and
//! the network goes on.

use super::report::{Outcome, Violation};
use super::schedule::Happening;
use super::traffic::signed;
use super::world::World;
use alloy_primitives::{Address, Bytes, U256, address, hex, keccak256};
use lonja_chain::PeerJudge;
use lonja_node::event::Event;
use lonja_permissioning::ConnectionVerdict;
use lonja_primitives::genesis::GenesisAccount;
use lonja_primitives::spec::{ConnectionForm, NodeRule, Permissions};
use lonja_primitives::{ChainSpec, NodeId, NodeKey, Signer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the lists stand.
pub const LISTS: Address = address!("0000000000000000000000000000000000009999");
const CODE: &str = include_str!("../../contracts/Lists.hex");
/// Where every node listens: the contract does not look at it.
const ADDRESS: Option<(&str, u16)> = Some(("10.0.0.1", 30_303));

/// The rules of a network whose contracts nobody asks.
pub(super) fn without_rules(spec: &ChainSpec) -> Arc<ChainSpec> {
    Arc::new(ChainSpec { permissions: vec![(0, Permissions::default())], ..spec.clone() })
}

/// What all nodes said at a height.
#[derive(Debug, Default)]
pub struct Permits {
    verdicts: BTreeMap<u64, Vec<bool>>,
    /// Whom the contract lists, by the changes submitted so far.
    wanted: Vec<bool>,
    /// Sessions that a block ended.
    pub revoked_sessions: u64,
}

impl Permits {
    /// How often a node was let in or shut out by a block.
    pub fn applied(&self) -> u64 {
        let pairs = self.verdicts.values().zip(self.verdicts.values().skip(1));
        let differing =
            |(one, next): (&Vec<bool>, &Vec<bool>)| one.iter().zip(next).filter(|(a, b)| a != b).count();
        pairs.map(differing).sum::<usize>() as u64
    }
}

/// The rules of a world with permissions, and the contract as block 0 has it.
pub(super) fn genesis_part(nodes: &[NodeId], senders: &[Address]) -> (Permissions, GenesisAccount) {
    let word = |slot: u64| U256::from(slot).to_be_bytes::<32>();
    let mapped = |key: [u8; 32], slot| U256::from_be_bytes(keccak256([key, word(slot)].concat()).0);
    let mut storage = BTreeMap::new();
    for node in nodes {
        storage.insert(mapped(keccak256(node.0).0, 0), U256::from(1));
    }
    for sender in senders {
        storage.insert(mapped(sender.into_word().0, 1), U256::from(1));
    }
    let code = hex::decode(CODE.trim()).expect("the file holds hex").into();
    let account = GenesisAccount { code, storage, ..GenesisAccount::default() };
    let nodes = Some(NodeRule { contract: LISTS, form: ConnectionForm::Words });
    (Permissions { nodes, accounts: Some(LISTS), ..Permissions::default() }, account)
}

fn set_key(node: &NodeId, allowed: bool) -> Bytes {
    let selector = &keccak256("setKey(bytes32,bytes32,bool)")[..4];
    let allowed = U256::from(u8::from(allowed)).to_be_bytes::<32>();
    [selector, node.0.as_slice(), &allowed].concat().into()
}

/// A call that lists an account, or takes it off.
pub fn set_account(account: Address, allowed: bool) -> Bytes {
    let selector = &keccak256("setAccount(address,bool)")[..4];
    let allowed = U256::from(u8::from(allowed)).to_be_bytes::<32>();
    [selector, account.into_word().as_slice(), &allowed].concat().into()
}

fn allows(judge: &PeerJudge, node: NodeId) -> Outcome<bool> {
    match judge.judge(node, ADDRESS) {
        Ok(verdict) => Ok(verdict == ConnectionVerdict::Allowed),
        Err(error) => Err(Violation::new(format!("a node cannot judge: {error}"))),
    }
}

impl World {
    /// Whether a node, by its own newest block, lets another in.
    pub(super) fn lets_in(&self, node: usize, other: usize) -> Outcome<bool> {
        match &self.nodes[node].process {
            Some(process) => allows(&process.judge, self.nodes[other].id),
            None => Ok(false),
        }
    }

    /// After a block: sessions end that it forbids, before anything else happens, and those are dialed that may be.
    pub(super) fn new_gate(&mut self, node: usize) -> Outcome {
        for other in 0..self.nodes.len() {
            if !self.network.are_linked(&self.nodes, node, other) {
                continue;
            }
            let allowed = self.lets_in(node, other)?;
            let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
            let session = process.peers.get(&other).copied();
            match session {
                Some(session) if !allowed => {
                    process.peers.remove(&other);
                    self.permits.revoked_sessions += 1;
                    self.trace(|| format!("n{node} drops n{other}: not permitted any more"));
                    self.tell(node, Event::PeerDown(self.nodes[other].id));
                    if self.network.session(node, other) == Some(session) {
                        self.network.end_session(node, other);
                        let delay_us = self.dice.magnitude(100, 50_000);
                        self.lose_session(other, node, session, delay_us);
                    }
                }
                None if allowed => self.dial_later(node, other),
                _ => {}
            }
        }
        Ok(())
    }

    /// All nodes must judge all nodes alike at this height.
    pub(super) fn check_verdicts(&mut self, node: usize, height: u64) -> Outcome {
        if self.plan.permits && !self.nodes[node].lawless {
            let count = self.nodes.len();
            let verdicts =
                (0..count).map(|other| self.lets_in(node, other)).collect::<Outcome<Vec<bool>>>()?;
            let known = self.permits.verdicts.entry(height).or_insert_with(|| verdicts.clone());
            if *known != verdicts {
                let what =
                    format!("node {node} judges otherwise at block {height}: {verdicts:?}, not {known:?}");
                return self.violation(what);
            }
        }
        Ok(())
    }

    // --- for stories ---

    /// Whether the newest block of a node lists another.
    pub fn is_listed(&self, by: usize, node: usize) -> bool {
        self.lets_in(by, node).unwrap_or(false)
    }

    /// Somebody brings a change of the list to a node that is up.
    pub fn set_listed(&mut self, at: usize, node: usize, listed: bool) -> Outcome {
        self.permits.wanted.resize(self.nodes.len(), true);
        self.permits.wanted[node] = listed;
        let call = set_key(&self.nodes[node].id, listed);
        self.call_lists(at, call)
    }

    /// The first sender calls the contract, by a node of the caller's choice.
    pub fn call_lists(&mut self, at: usize, call: Bytes) -> Outcome {
        let key = self.senders[0].clone();
        let Some(nonce) = self.nonce_at(at, &key.address()) else { return Ok(()) };
        self.trace(|| format!("n{at} is given a change of the lists"));
        self.take_transactions(at, None, vec![signed(&key, nonce, LISTS, U256::ZERO, call)])
    }

    /// A transaction of a key that no world knows.
    pub fn submit_as(&mut self, at: usize, key: &NodeKey) -> Outcome {
        let raw = signed(key, 0, LISTS, U256::ZERO, Bytes::new());
        self.take_transactions(at, None, vec![raw])
    }

    /// Changes the lists so many times, at most `away` nodes of those behind the first `safe` being off them at once,
    /// while whatever the plan says goes wrong.
    pub fn permission_storm(&mut self, changes: u64, safe: usize, away: usize) -> Outcome {
        self.permits.wanted = vec![true; self.nodes.len()];
        self.stormy = true;
        self.network.weather = self.plan.storm;
        self.after(1, Happening::Chaos);
        while self.permits.applied() < changes {
            let off: Vec<usize> =
                (safe..self.nodes.len()).filter(|node| !self.permits.wanted[*node]).collect();
            let node = match off.len() >= away || (!off.is_empty() && self.dice.chance(40)) {
                true => self.dice.pick(&off),
                false => safe + self.dice.index(self.nodes.len() - safe),
            };
            // Only a node that is connected can bring a change into a block.
            let at = self.dice.index(safe);
            self.set_listed(at, node, !self.permits.wanted[node])?;
            let pause_us = self.dice.magnitude(1_000, self.plan.rules.period_ms * 1_500);
            self.run_for(pause_us)?;
        }
        Ok(())
    }

    /// Everybody is listed again, the links work, and all nodes get to the head: nobody was restarted.
    pub fn let_everybody_in(&mut self) -> Outcome {
        self.stormy = false;
        self.schedule.cancel(|happening| matches!(happening, Happening::Chaos));
        self.network.weather = self.plan.calm;
        self.partition += 1;
        self.heal();
        for node in 0..self.nodes.len() {
            // A change that was lost on the way, or came in out of order, is made again.
            for _ in 0..20 {
                if self.is_listed(0, node) {
                    break;
                }
                self.set_listed(0, node, true)?;
                self.run_for(self.plan.rules.period_ms * 3_000)?;
            }
        }
        self.run_for(self.plan.rules.timeout_ms * 20_000)?;
        let top = self.top();
        let late: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].published + 2 < top).collect();
        match late.is_empty() {
            true => Ok(()),
            false => self
                .violation(format!("nodes {late:?} do not get to block {top} after they were let in again")),
        }
    }
}
