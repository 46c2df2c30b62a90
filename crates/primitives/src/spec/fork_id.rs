//! The identity of a network's rules.

use super::{
    ChainSpec, ClientRules, ConsensusParams, DigestRule, ForkStart, Limits, ProposerPolicy, QuorumRule,
};
use crate::HeaderFormat;
use alloy_primitives::{Address, B256, U256, keccak256};

/// First bytes of what is hashed. Raised with every change of the encoding below.
const ENCODING: &[u8] = b"lonja rules 1";

impl ChainSpec {
    /// keccak-256 over the genesis hash and every rule that all nodes of the network must share, future
    /// transitions included. Nodes with different values would part ways sooner or later and do not connect.
    pub fn fork_id(&self, genesis_hash: B256) -> B256 {
        let Self { chain_id, free_gas, forks, consensus, limits } = self;
        let mut out = Encoding(ENCODING.to_vec());
        out.0.extend_from_slice(genesis_hash.as_slice());
        out.number(*chain_id);
        out.flag(*free_gas);
        out.length(forks.len());
        for (fork, start) in forks {
            out.text(fork.name());
            match *start {
                ForkStart::Block(block) => out.tagged(0, block),
                ForkStart::Time(time) => out.tagged(1, time),
            }
        }
        out.length(consensus.len());
        for (from, params) in consensus {
            out.number(*from);
            out.consensus(params);
        }
        out.length(limits.len());
        for (from, limits) in limits {
            out.number(*from);
            out.limits(limits);
        }
        keccak256(out.0)
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

    fn tagged(&mut self, tag: u8, number: u64) {
        self.byte(tag);
        self.number(number);
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

    fn limits(&mut self, limits: &Limits) {
        let Limits { code_size, init_code_size, transaction_size, block_size, gas_limit } = limits;
        for size in [code_size, init_code_size, transaction_size, block_size] {
            self.length(*size);
        }
        self.flag(gas_limit.is_some());
        self.number(gas_limit.unwrap_or(0));
    }
}
