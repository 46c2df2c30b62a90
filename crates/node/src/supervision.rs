//! What the network's contract says of parties' keys, read on this node's own newest durable state: who has to be a party, and
//! which nodes hold a key.
//!
//! Nothing of it is a rule of a block's validity. Answers are remembered until the next block; what is no answer closes.

use alloy_primitives::{Address, B256};
use lonja_evm::BlockEnv;
use lonja_permissioning::PartyJudge;
use lonja_primitives::{ChainSpec, NodeId};
use lonja_ptm::{NetworkRules, PublicKey};
use lonja_storage::{Reader, StoreError};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Answers of each kind that are remembered at one block: the accounts and keys of a busy second.
const ANSWERS_MAX: usize = 4_096;

/// Why there is no answer, where that is our own doing.
const NO_STATE: &str = "the newest state of this node cannot be read";

/// Asks the contract that the genesis file names, if it names one at the next block.
pub(crate) struct Supervision {
    public: Reader,
    spec: Arc<ChainSpec>,
    own: NodeId,
    known: Mutex<Known>,
}

/// What was answered at one block.
#[derive(Default)]
struct Known {
    head: u64,
    required: HashMap<Option<Address>, Vec<PublicKey>>,
    supervisors: HashMap<PublicKey, bool>,
    holders: HashMap<PublicKey, Option<Vec<NodeId>>>,
}

/// One of the lists in [`Known`].
type Answers<Q, A> = fn(&mut Known) -> &mut HashMap<Q, A>;

impl Supervision {
    /// `None` where the network never has such a contract.
    pub fn new(spec: Arc<ChainSpec>, public: Reader, own: NodeId) -> Option<Arc<Self>> {
        let named = spec.privacy.iter().any(|(_, privacy)| privacy.parties.is_some());
        named.then(|| Arc::new(Self { public, spec, own, known: Mutex::default() }))
    }

    /// Says in the log which of our keys the chain binds to other nodes: what is sent to them goes there.
    pub fn warn_of_strangers(&self, keys: &[PublicKey]) {
        for key in keys {
            match self.holders(key) {
                Ok(Some(nodes)) if !nodes.contains(&self.own) => {
                    tracing::warn!(%key, "the network binds this key to other nodes: nothing for it arrives here");
                }
                Ok(_) => {}
                Err(reason) => tracing::warn!(%key, reason, "where the network binds this key is not known"),
            }
        }
    }

    /// What was answered at this block, or is answered now; `none` where the network has no such contract now.
    fn ask<Q: Hash + Eq, A: Clone>(
        &self,
        answers: Answers<Q, A>,
        question: Q,
        none: A,
        ask: impl FnOnce(&mut PartyJudge<'_>) -> Result<A, String>,
    ) -> Result<A, String> {
        let head = self.public.head().number;
        let next = head.saturating_add(1);
        if self.spec.privacy_at(next).parties.is_none() {
            return Ok(none);
        }
        if let Some(answer) = answers(self.known.lock().at(head)).get(&question) {
            return Ok(answer.clone());
        }
        let answer = self.ask_at(head, ask)?;
        let mut known = self.known.lock();
        if known.head == head {
            let answers = answers(&mut known);
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
            answers.insert(question, answer.clone());
        }
        Ok(answer)
    }

    fn ask_at<A>(
        &self,
        head: u64,
        ask: impl FnOnce(&mut PartyJudge<'_>) -> Result<A, String>,
    ) -> Result<A, String> {
        let closed = |error: StoreError| format!("{NO_STATE}: {error}");
        let header = self.public.header(head).map_err(closed)?.ok_or(NO_STATE)?;
        let state = self.public.state_at(head).map_err(closed)?;
        let number = head.saturating_add(1);
        // The next block, as far as it is known: who will build it is not.
        let env = BlockEnv { number, beneficiary: Address::ZERO, ..BlockEnv::from_header(&header) };
        let rules = self.spec.rules_at(number, header.timestamp);
        let contract = rules.privacy.parties.ok_or("no contract names parties")?;
        ask(&mut PartyJudge::new(contract, &rules, &env, &state))
    }
}

impl Known {
    /// The answers of this block; those of another are forgotten.
    fn at(&mut self, head: u64) -> &mut Self {
        if self.head != head {
            *self = Self { head, ..Self::default() };
        }
        self
    }
}

fn key(word: B256) -> PublicKey {
    PublicKey(word.0)
}

impl NetworkRules for Supervision {
    /// What the account's member owes, and what this node's member owes: who lends its node does not undo its own duties.
    /// Who is not known to be anybody falls under the rules for everybody.
    fn required(&self, account: Option<Address>) -> Result<Vec<PublicKey>, String> {
        let ask = |judge: &mut PartyJudge<'_>| {
            let mut keys = judge.required(account.unwrap_or_default())?;
            for key in judge.required_of(&self.own)? {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
            Ok(keys.into_iter().map(key).collect())
        };
        self.ask(|known| &mut known.required, account, Vec::new(), ask)
    }

    fn is_supervisor(&self, key: &PublicKey) -> Result<bool, String> {
        let word = B256::from(key.0);
        self.ask(|known| &mut known.supervisors, *key, false, |judge| judge.is_supervisor(word))
    }

    fn holders(&self, key: &PublicKey) -> Result<Option<Vec<NodeId>>, String> {
        let word = B256::from(key.0);
        self.ask(|known| &mut known.holders, *key, None, |judge| judge.holders(word))
    }
}

#[cfg(test)]
mod tests;
