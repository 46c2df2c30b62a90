//! The permission contracts as the next block sees them, after any block whose state is here.

use crate::context::Context;
use crate::error::RpcError;
use crate::params::BlockSelector;
use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall;
use lonja_evm::{BlockEnv, ExecuteError, Inquiry, Said};
use lonja_permissioning::interface::END_BLOCK_GAS;
use lonja_permissioning::registry::abi::{VALIDATORS, explain_revert};
use lonja_permissioning::{Judge, OwnEnd};
use lonja_primitives::BlockRules;
use lonja_primitives::spec::Permissions;
use lonja_storage::StateAt;
use std::net::SocketAddr;
use std::time::SystemTime;

/// Gas for one read of the registry: the dearest of them chooses validators as the end of a block does.
const READ_GAS: u64 = END_BLOCK_GAS;

/// The state after a block, and what is known of the block that is judged by it.
pub(crate) struct Standpoint {
    /// The block whose state it is.
    pub(crate) number: u64,
    /// The contracts that decide about the block after it.
    pub(crate) permissions: Permissions,
    /// The contract that names parties then.
    pub(crate) parties: Option<Address>,
    rules: BlockRules,
    env: BlockEnv,
    state: StateAt,
}

impl Standpoint {
    /// After the block that is meant.
    pub(crate) fn at(context: &Context, selector: BlockSelector) -> Result<Self, RpcError> {
        Self::after(context, context.known_height(selector)?)
    }

    /// After a block that is known. The one after it is what it is where it is there already, and what it must be as far as
    /// that is certain where it is not: who will build it is not.
    pub(crate) fn after(context: &Context, number: u64) -> Result<Self, RpcError> {
        let (spec, next) = (&context.node.spec, number.saturating_add(1));
        let state = context.state(number)?;
        let env = if number < context.head().number {
            let header = context.header(next)?;
            BlockEnv::from_header(&header)
        } else {
            let parent = context.header(number)?;
            BlockEnv {
                number: next,
                timestamp: parent.timestamp.max(now_s()),
                gas_limit: spec.limits_at(next).gas_limit.unwrap_or(parent.gas_limit),
                beneficiary: Address::ZERO,
                ..BlockEnv::from_header(&parent)
            }
        };
        let rules = spec.rules_at(next, env.timestamp);
        let (permissions, parties) = (*spec.permissions_at(next), rules.privacy.parties);
        Ok(Self { number, permissions, parties, rules, env, state })
    }

    /// Answers the questions of the rules.
    pub(crate) fn judge(&self) -> Judge<'_> {
        Judge::new(self.permissions, self.rules, self.env.clone(), &self.state)
    }

    /// Reads lonja's registry.
    pub(crate) fn registry(&self) -> Result<Contracts<'_>, RpcError> {
        match self.permissions.system {
            Some(VALIDATORS) => Ok(self.contracts()),
            Some(other) => Err(RpcError::NotEnabled(format!(
                "this network has another registry than lonja's: its permissions.system is {other}, not {VALIDATORS}"
            ))),
            None => Err(RpcError::NotEnabled(
                "this network has no registry: its genesis names no permissions.system".to_owned(),
            )),
        }
    }

    /// Reads any contract.
    pub(crate) fn contracts(&self) -> Contracts<'_> {
        Contracts { inquiry: Inquiry::new(&self.rules, &self.env, &self.state) }
    }
}

/// Reads contracts at one state.
pub(crate) struct Contracts<'a> {
    inquiry: Inquiry<'a>,
}

impl Contracts<'_> {
    /// What a function answers.
    pub(crate) fn read<C: SolCall>(&mut self, contract: Address, call: C) -> Result<C::Return, RpcError> {
        let answer = self.inquiry.ask(contract, Bytes::from(call.abi_encode()), READ_GAS).map_err(fault)?;
        let name = C::SIGNATURE.split('(').next().unwrap_or_default();
        let output = match answer.said {
            Said::Returned(output) => output,
            Said::Reverted(output) => {
                let words = explain_revert(&output).unwrap_or_else(|| "it reverted".to_owned());
                return Err(RpcError::Refused(format!("{name}: {words}")));
            }
            Said::Failed(reason) => return Err(RpcError::Refused(format!("{name} of {contract}: {reason}"))),
            Said::NoContract => {
                return Err(RpcError::NotEnabled(format!("there is no contract at {contract}")));
            }
        };
        C::abi_decode_returns(&output).map_err(|_| {
            RpcError::Refused(format!(
                "{name} of {contract} answered {} bytes that are no answer",
                output.len()
            ))
        })
    }
}

/// A question that our own state could not answer.
pub(crate) fn fault(error: ExecuteError) -> RpcError {
    match error {
        ExecuteError::State(error) => error.into(),
        other => RpcError::Internal(other.to_string()),
    }
}

/// This node, for contracts that look at both ends of a connection.
pub(crate) fn own_end(context: &Context) -> OwnEnd {
    let info = context.node.control.node_info();
    let listen: Option<SocketAddr> = info.listen.as_deref().and_then(|address| address.parse().ok());
    OwnEnd {
        node: info.node_id,
        ip: listen.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()),
        port: listen.map_or(0, |address| address.port()),
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
