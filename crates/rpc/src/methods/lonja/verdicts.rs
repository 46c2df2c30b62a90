//! Who may connect and what may be in a block, by the contracts that decide it; on every network that has some.

use super::params::{NodeName, Tail};
use super::views::{number, public_key};
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::eth::RequestArgs;
use crate::methods::permissions::{Standpoint, fault, own_end};
use crate::params::Args;
use crate::register::Table;
use alloy_primitives::{Address, B256, Bytes, U256};
use jsonrpsee::types::Params;
use lonja_permissioning::interface::Quotas;
use lonja_permissioning::registry::abi::{REGISTRY, Registry};
use lonja_permissioning::{
    ConnectionQuestion, ConnectionVerdict, Ledger, Refusal, TransactionQuestion, Verdict,
};
use lonja_primitives::{NodeId, RecoveredTransaction};
use serde_json::{Value, json};

pub(super) fn register(table: &mut Table) {
    table.heavy("lonja_connectionPermitted", connection_permitted);
    table.heavy("lonja_transactionPermitted", transaction_permitted);
}

/// Whether a node may connect in the block after the one that is meant. A contract that looks at addresses is given the one
/// of the `enode://`; without one the answer may be that it is needed.
fn connection_permitted(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let name = NodeName::parse(&args.required::<String>(0, "node")?)?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 1)?.block)?;
    let (node, at) = public(name, &standpoint)?;
    connection(context, &standpoint, node, at.as_ref().map(|(host, port)| (host.as_str(), *port)))
}

/// A node's public key, from the registry where it was named in another way.
fn public(name: NodeName, standpoint: &Standpoint) -> Result<(NodeId, Option<(String, u16)>), RpcError> {
    if let NodeName::Public { node, at } = name {
        return Ok((node, at));
    }
    let mut contracts = standpoint.registry()?;
    let key = name.key(&mut contracts)?;
    let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?;
    let unknown = |_| RpcError::Refused(format!("the registry has no node {key}"));
    Ok((NodeId::from_hex(&public_key(&node)).map_err(unknown)?, None))
}

/// The verdict on a connection, with the rule, the contract and the block.
pub(crate) fn connection(
    context: &Context,
    standpoint: &Standpoint,
    node: NodeId,
    at: Option<(&str, u16)>,
) -> Result<Value, RpcError> {
    let verdict =
        standpoint.judge().connection(&ConnectionQuestion { node, at }, &own_end(context)).map_err(fault)?;
    let contract = standpoint.permissions.nodes.map(|rule| rule.contract);
    let mut answer = match verdict {
        ConnectionVerdict::Allowed => said(&Ok(()), contract),
        ConnectionVerdict::Refused(refusal) => said(&Err(refusal), contract),
        ConnectionVerdict::NeedsAddress => json!({
            "allowed": false,
            "rule": "nodes",
            "reason": "the contract looks at the node's address: ask with enode://KEY@HOST:PORT",
            "contract": contract,
            "needsAddress": true,
        }),
    };
    answer["block"] = json!(standpoint.number);
    answer["node"] = json!(format!("0x{node}"));
    Ok(answer)
}

/// A verdict as JSON. Without a contract everything is allowed, by no rule.
fn said(verdict: &Verdict, contract: Option<Address>) -> Value {
    match verdict {
        Ok(()) => json!({
            "allowed": true,
            "rule": null,
            "reason": if contract.is_some() { "the contract allows it" } else { "no contract decides about it" },
            "contract": contract,
        }),
        Err(Refusal { rule, reason }) => {
            json!({ "allowed": false, "rule": rule.name(), "reason": reason, "contract": contract })
        }
    }
}

/// A transaction to be judged: signed, or described.
struct Subject {
    sender: Address,
    target: Option<Address>,
    value: U256,
    gas_price: u128,
    /// `None`: it was not said, so no quota is looked at.
    gas_limit: Option<u64>,
    payload: Bytes,
    /// Hash, of one that is signed.
    hash: Option<B256>,
    /// The block it is in.
    mined: Option<u64>,
}

impl Subject {
    /// A transaction object, a signed transaction, or the hash of one that the pool or the chain has.
    fn read(context: &Context, value: Value) -> Result<Self, RpcError> {
        let wrong = |reason: &str| RpcError::InvalidArgument {
            index: 0,
            name: "transaction",
            reason: reason.to_owned(),
        };
        let Value::String(text) = value else { return Self::described(context, value) };
        let hash: Option<B256> =
            text.strip_prefix("0x").filter(|digits| digits.len() == 64).and_then(|_| text.parse().ok());
        if let Some(hash) = hash {
            return Self::known(context, hash);
        }
        let raw: Bytes = text
            .parse()
            .map_err(|_| wrong("a transaction object, a signed transaction in hex, or a hash is expected"))?;
        let tx = RecoveredTransaction::recover(raw, context.node.spec.chain_id);
        Ok(Self::signed(&tx.map_err(|error| wrong(&error.to_string()))?, None))
    }

    fn described(context: &Context, value: Value) -> Result<Self, RpcError> {
        let args: RequestArgs = serde_json::from_value(value).map_err(|error| RpcError::InvalidArgument {
            index: 0,
            name: "transaction",
            reason: error.to_string().chars().take(400).collect(),
        })?;
        let request = args.into_request(context.node.spec.chain_id)?;
        let sender = request.from.ok_or_else(|| {
            RpcError::InvalidParams(
                "the transaction object has no `from`: permissions are the sender's".to_owned(),
            )
        })?;
        Ok(Self {
            sender,
            target: request.to,
            value: request.value,
            gas_price: request.gas_price.unwrap_or(0),
            gas_limit: request.gas,
            payload: request.data,
            hash: None,
            mined: None,
        })
    }

    fn known(context: &Context, hash: B256) -> Result<Self, RpcError> {
        let waiting = context.node.pool.lock().get(&hash);
        if let Some((number, index)) = context.node.reader.transaction_location(&hash)? {
            let block = context.block(number)?;
            let raw = block.transactions.get(index as usize).cloned().unwrap_or_default();
            let tx = RecoveredTransaction::recover(raw, context.node.spec.chain_id);
            let tx = tx.map_err(|error| RpcError::Internal(format!("transaction {hash}: {error}")))?;
            return Ok(Self::signed(&tx, Some(number)));
        }
        let unknown =
            || RpcError::Refused(format!("transaction {hash} is neither in the pool nor in a block here"));
        waiting.map(|tx| Self::signed(&tx, None)).ok_or_else(unknown)
    }

    fn signed(tx: &RecoveredTransaction, mined: Option<u64>) -> Self {
        let question = TransactionQuestion::of(tx);
        Self {
            sender: question.sender,
            target: question.target,
            value: question.value,
            gas_price: question.gas_price,
            gas_limit: Some(question.gas_limit),
            payload: question.payload.to_vec().into(),
            hash: Some(tx.hash()),
            mined,
        }
    }

    fn question(&self) -> TransactionQuestion<'_> {
        TransactionQuestion {
            sender: self.sender,
            target: self.target,
            value: self.value,
            gas_price: self.gas_price,
            gas_limit: self.gas_limit.unwrap_or(0),
            payload: &self.payload,
        }
    }
}

/// Whether a transaction may be in the block after the one that is meant; one that is in a block is judged as that block's
/// builder had to, unless another block is named.
pub(crate) fn transaction_permitted(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let subject = Subject::read(context, args.required(0, "transaction")?)?;
    let named = args.optional::<Value>(1, "block")?.is_some();
    let standpoint = match subject.mined.filter(|_| !named) {
        Some(number) => Standpoint::after(context, number.saturating_sub(1))?,
        None => Standpoint::at(context, Tail::of(&args, 1)?.block)?,
    };
    let mut answer = judged(&standpoint, &subject)?;
    answer["block"] = json!(standpoint.number);
    answer["sender"] = json!(subject.sender);
    if let Some(hash) = subject.hash {
        answer["hash"] = json!(hash);
        answer["waiting"] = json!(subject.mined.is_none() && context.node.pool.lock().get(&hash).is_some());
    }
    if let Some(number) = subject.mined {
        answer["minedIn"] = json!(number);
    }
    Ok(answer)
}

fn judged(standpoint: &Standpoint, subject: &Subject) -> Result<Value, RpcError> {
    let (question, permissions) = (subject.question(), &standpoint.permissions);
    let mut judge = standpoint.judge();
    let verdict = match judge.transaction(&question).map_err(fault)? {
        Ok(()) => Ok(()),
        Err(refusal) => Err(judge.transaction_in_words(&question, refusal).map_err(fault)?),
    };
    let metered = subject.gas_limit.filter(|_| permissions.quotas.is_some() && verdict.is_ok());
    let room = match metered {
        Some(gas) => Ledger::default().admit(&mut judge, subject.sender, gas).map_err(fault)?,
        None => Ok(()),
    };
    let mut answer = match (verdict, room) {
        (Ok(()), Err(refusal)) => said(&Err(refusal), permissions.quotas),
        (verdict, _) => said(&verdict, permissions.accounts),
    };
    if let Some(quotas) = permissions.quotas {
        add_quota(&mut answer, standpoint, quotas, subject.sender)?;
    }
    Ok(answer)
}

/// The sender's member and what it has left, where anybody counts it. A contract that does not say is no reason to say
/// nothing about the rest.
fn add_quota(
    answer: &mut Value,
    standpoint: &Standpoint,
    quotas: Address,
    account: Address,
) -> Result<(), RpcError> {
    let mut contracts = standpoint.contracts();
    let member = match contracts.read(quotas, Quotas::memberOfCall { account }) {
        Ok(member) => member,
        Err(error @ RpcError::Internal(_)) => return Err(error),
        Err(_) => return Ok(()),
    };
    if member.is_zero() {
        return Ok(());
    }
    answer["member"] = json!(member);
    match contracts.read(quotas, Quotas::availableCall { member }) {
        Ok(left) if left.gas == U256::MAX => {}
        Ok(left) => {
            answer["gasAvailable"] = number(left.gas);
            answer["gasPerBlock"] = number(left.gasPerBlock);
        }
        Err(error @ RpcError::Internal(_)) => return Err(error),
        Err(_) => {}
    }
    Ok(())
}
