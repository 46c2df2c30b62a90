//! The identities of a network's rules, for the handshake between nodes.

use super::{
    ChainSpec, ClientRules, ConnectionForm, ConsensusParams, DigestRule, Fork, ForkStart, Limits, MarkerRule,
    NodeRule, Permissions, Privacy, ProposerPolicy, QuorumRule,
};
use crate::HeaderFormat;
use alloy_primitives::{Address, B256, U256, keccak256};
use thiserror::Error;

/// First bytes of what is hashed. Raised with every change of the encoding below.
const ENCODING: &[u8] = b"lonja rules 1";

/// The identities of a network's rules: for each block from which something is different, a hash over all rules up to
/// there. So two nodes can tell whether they agree on the blocks made so far, without having to agree yet on what is to
/// come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleIds {
    first: B256,
    /// Blocks above 0, ascending.
    later: Vec<(u64, B256)>,
}

/// What a node says of its rules where its head stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesNow {
    /// The hash over all rules up to the head.
    pub id: B256,
    /// The next block from which something is different.
    pub next_change: Option<u64>,
}

/// Rules differ for blocks that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RulesDiffer {
    /// Up to the other node's head they are none of ours.
    #[error("chain rules differ: {ours} here, {theirs} there")]
    Unknown {
        /// The hash over our rules up to our head.
        ours: B256,
        /// What the other node says.
        theirs: B256,
    },
    /// One of the two has this block, and the other has other rules for it.
    #[error("chain rules differ from block {0} on")]
    From(u64),
}

impl RuleIds {
    /// Where the head stands at this number.
    pub fn at(&self, head: u64) -> RulesNow {
        let passed = self.later.partition_point(|(from, _)| *from <= head);
        let id =
            passed.checked_sub(1).and_then(|last| self.later.get(last)).map_or(self.first, |(_, id)| *id);
        RulesNow { id, next_change: self.later.get(passed).map(|(from, _)| *from) }
    }

    /// The hash over all rules, those to come included.
    pub fn last(&self) -> B256 {
        self.later.last().map_or(self.first, |(_, id)| *id)
    }

    /// Compares with what another node says. `Ok` names the block from which the two plan different rules, if they
    /// do: neither has it yet.
    ///
    /// # Errors
    /// The rules differ for blocks that one of the two has. Such nodes cannot follow one chain.
    pub fn compare(&self, head: u64, theirs: RulesNow, their_head: u64) -> Result<Option<u64>, RulesDiffer> {
        let known = std::iter::once(self.first).chain(self.later.iter().map(|(_, id)| *id));
        let Some(agreed) = known.into_iter().position(|id| id == theirs.id) else {
            return Err(RulesDiffer::Unknown { ours: self.at(head).id, theirs: theirs.id });
        };
        let next = self.later.get(agreed).map(|(from, _)| *from);
        if next == theirs.next_change {
            return Ok(None);
        }
        let differ = next.unwrap_or(u64::MAX).min(theirs.next_change.unwrap_or(u64::MAX));
        if differ <= head.max(their_head) { Err(RulesDiffer::From(differ)) } else { Ok(Some(differ)) }
    }
}

impl ChainSpec {
    /// The identities of these rules on the chain with this block 0. Entries that change nothing do not count.
    /// Forks that begin at a time count from block 0 on.
    pub fn rule_ids(&self, genesis_hash: B256) -> RuleIds {
        let Self { chain_id, free_gas, forks, consensus: _, limits: _, permissions: _, privacy: _ } = self;
        let mut out = Encoding(ENCODING.to_vec());
        out.0.extend_from_slice(genesis_hash.as_slice());
        out.number(*chain_id);
        out.flag(*free_gas);
        let by_time: Vec<(Fork, u64)> = forks.iter().filter_map(begins_at_time).collect();
        out.length(by_time.len());
        for (fork, time) in by_time {
            out.text(fork.name());
            out.number(time);
        }
        let (rules, mut standing) = self.encoded_from(0);
        out.0.extend_from_slice(&rules);
        let first = keccak256(out.0);
        let mut ids = RuleIds { first, later: Vec::new() };
        for block in self.change_blocks().into_iter().skip(1) {
            let (rules, goes_on) = self.encoded_from(block);
            if rules != standing {
                let mut out = Encoding(ids.last().to_vec());
                out.number(block);
                out.0.extend_from_slice(&rules);
                ids.later.push((block, keccak256(out.0)));
            }
            standing = goes_on;
        }
        ids
    }

    /// The rules from this block on; and once more as they hold after it, when a list of validators has had its
    /// effect.
    fn encoded_from(&self, block: u64) -> (Vec<u8>, Vec<u8>) {
        let encode = |params: &ConsensusParams| {
            let mut out = Encoding(Vec::new());
            out.text(self.fork_by_block(block).name());
            out.consensus(params);
            out.limits(self.limits_at(block));
            out.contracts(params.validator_contract, self.permissions_at(block));
            out.commitment(self.commits_from(block));
            out.privacy(self.privacy_at(block));
            out.0
        };
        let params = self.consensus_from(block);
        let after = ConsensusParams { validators: None, ..params.clone() };
        (encode(&params), encode(&after))
    }
}

fn begins_at_time((fork, start): &(Fork, ForkStart)) -> Option<(Fork, u64)> {
    match start {
        ForkStart::Time(time) => Some((*fork, *time)),
        ForkStart::Block(_) => None,
    }
}

/// Fixed lengths, and a length before everything that varies: two specs never give the same bytes. Structures
/// are taken apart by name, so that a new rule cannot be left out by accident.
struct Encoding(Vec<u8>);

impl Encoding {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    fn wide(&mut self, number: U256) {
        self.0.extend_from_slice(&number.to_be_bytes::<32>());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn addresses(&mut self, addresses: &[Address]) {
        self.length(addresses.len());
        for address in addresses {
            self.0.extend_from_slice(address.as_slice());
        }
    }

    fn consensus(&mut self, params: &ConsensusParams) {
        let ConsensusParams {
            format,
            block_period_ms,
            empty_block_period_ms,
            request_timeout_ms,
            max_request_timeout_ms,
            epoch_length,
            proposer_policy,
            quorum,
            digest,
            rules,
            validators,
            // Written behind the limits, where there is one.
            validator_contract: _,
            block_reward,
            beneficiary,
        } = params;
        self.byte(match format {
            HeaderFormat::Ibft1 => 1,
            HeaderFormat::Ibft2 => 2,
            HeaderFormat::Qbft => 3,
        });
        let numbers = [block_period_ms, empty_block_period_ms, request_timeout_ms, max_request_timeout_ms];
        for number in numbers {
            self.number(*number);
        }
        self.number(*epoch_length);
        self.flag(*proposer_policy == ProposerPolicy::Sticky);
        self.flag(*quorum == QuorumRule::TwoFPlusOne);
        self.flag(*digest == DigestRule::GoQuorum);
        self.flag(*rules == ClientRules::GoQuorum);
        self.flag(validators.is_some());
        self.addresses(validators.as_deref().unwrap_or_default());
        self.wide(*block_reward);
        self.addresses(beneficiary.as_slice());
    }

    /// Nothing where no contract decides anything, so that networks without keep the identity they had before there
    /// were such rules. What goes before has its length in it, and what is written here begins with a byte that says
    /// which.
    fn contracts(&mut self, validators: Option<Address>, permissions: &Permissions) {
        let Permissions { nodes, accounts, system, quotas } = permissions;
        if let Some(contract) = validators {
            self.byte(1);
            self.addresses(&[contract]);
        }
        if let Some(NodeRule { contract, form }) = nodes {
            self.byte(match form {
                ConnectionForm::Strings => 2,
                ConnectionForm::Words => 3,
            });
            self.addresses(&[*contract]);
        }
        for (mark, contract) in [(4, accounts), (5, system), (6, quotas)] {
            if let Some(contract) = contract {
                self.byte(mark);
                self.addresses(&[*contract]);
            }
        }
    }

    /// As with the contracts.
    fn commitment(&mut self, commits: bool) {
        if commits {
            self.byte(7);
        }
    }

    /// As with the contracts.
    fn privacy(&mut self, privacy: &Privacy) {
        let Privacy { transactions, enhancements, markers, parties } = privacy;
        if *transactions {
            self.byte(8);
        }
        if *enhancements {
            self.byte(9);
        }
        match markers {
            None => {}
            Some(MarkerRule::SameSigner) => self.byte(10),
            Some(MarkerRule::AnySigner) => self.byte(11),
        }
        if let Some(contract) = parties {
            self.byte(12);
            self.addresses(&[*contract]);
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits { code_size, init_code_size, transaction_size, block_size, gas_limit } = limits;
        for size in [code_size, init_code_size, transaction_size, block_size] {
            self.length(*size);
        }
        self.flag(gas_limit.is_some());
        self.number(gas_limit.unwrap_or(0));
    }
}
