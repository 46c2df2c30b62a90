//! Asks the registry's contracts at a state, with typed answers.

use crate::interface::VALIDATORS_GAS;
use crate::judge::returned;
use crate::registry::abi::{self, Account, Member, Node, PolicyValues, Registry, explain_revert};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use lonja_evm::{BlockEnv, Inquiry, Said};
use lonja_primitives::{BlockRules, StateView};

/// Asks at one state. Nothing is changed.
pub struct Reader<'a> {
    inquiry: Inquiry<'a>,
}

impl<'a> Reader<'a> {
    /// Questions under these rules, as if in this block, at this state.
    pub fn new(rules: &BlockRules, env: &BlockEnv, state: &'a dyn StateView) -> Self {
        Self { inquiry: Inquiry::new(rules, env, state) }
    }

    /// One call. It may use as much gas as the question for the validators.
    ///
    /// # Errors
    /// Says in words why there is no answer: the contract is missing or refuses, or our state cannot be read.
    pub fn ask<C: SolCall>(&mut self, contract: Address, call: &C) -> Result<C::Return, String> {
        let input = Bytes::from(call.abi_encode());
        let answer = self.inquiry.ask(contract, input, VALIDATORS_GAS).map_err(|error| error.to_string())?;
        if let Said::Reverted(output) = &answer.said
            && let Some(words) = explain_revert(output)
        {
            return Err(words);
        }
        let output = returned(&answer.said, contract)?;
        C::abi_decode_returns(output).map_err(|error| format!("{} of {contract}: {error}", C::SIGNATURE))
    }

    /// How many members there are, of any status.
    pub fn member_count(&mut self) -> Result<usize, String> {
        self.ask(abi::REGISTRY, &Registry::memberCountCall {}).map(count)
    }

    /// A member by its place in the list, with its id.
    pub fn member_at(&mut self, index: usize) -> Result<(B256, Member), String> {
        let id = self.ask(abi::REGISTRY, &Registry::memberAtCall { index: U256::from(index) })?;
        Ok((id, self.member(id)?))
    }

    /// A member by its id; of status 0 where there is none.
    pub fn member(&mut self, id: B256) -> Result<Member, String> {
        self.ask(abi::REGISTRY, &Registry::getMemberCall { memberId: id })
    }

    /// How many nodes there are, of any status.
    pub fn node_count(&mut self) -> Result<usize, String> {
        self.ask(abi::REGISTRY, &Registry::nodeCountCall {}).map(count)
    }

    /// A node by its place in the list, with the key of its entry.
    pub fn node_at(&mut self, index: usize) -> Result<(B256, Node), String> {
        let key = self.ask(abi::REGISTRY, &Registry::nodeAtCall { index: U256::from(index) })?;
        Ok((key, self.node(key)?))
    }

    /// A node by the hash of its public key; of status 0 where there is none.
    pub fn node(&mut self, key: B256) -> Result<Node, String> {
        self.ask(abi::REGISTRY, &Registry::getNodeCall { nodeKey: key })
    }

    /// How many accounts there are.
    pub fn account_count(&mut self) -> Result<usize, String> {
        self.ask(abi::REGISTRY, &Registry::accountCountCall {}).map(count)
    }

    /// An account by its place in the list.
    pub fn account_at(&mut self, index: usize) -> Result<(Address, Account), String> {
        let address = self.ask(abi::REGISTRY, &Registry::accountAtCall { index: U256::from(index) })?;
        Ok((address, self.ask(abi::REGISTRY, &Registry::getAccountCall { account: address })?))
    }

    /// The policy in force.
    pub fn policy(&mut self) -> Result<PolicyValues, String> {
        self.ask(abi::POLICY, &abi::Policy::policyCall {})
    }

    /// The validators of the next block, and the entries of their nodes.
    pub fn validators(&mut self) -> Result<Vec<(Address, B256)>, String> {
        let addresses = self.ask(abi::VALIDATORS, &abi::Validators::getValidatorsCall {})?;
        let seats = self.ask(abi::VALIDATORS, &abi::Validators::seatsCall {})?;
        Ok(addresses.into_iter().zip(seats).collect())
    }
}

/// A contract's count; more than fits is as good as no end.
fn count(number: U256) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
