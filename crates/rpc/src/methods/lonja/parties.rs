//! Who has to be a party of what is shared, and which nodes hold parties' keys.

use super::members::count;
use super::params::{NodeName, Page, Tail};
use super::views;
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::permissions::{Contracts, Standpoint};
use crate::params::Args;
use crate::register::Table;
use alloy_primitives::{Address, B256, U256};
use jsonrpsee::types::Params;
use lonja_permissioning::interface::PartyRules;
use lonja_permissioning::registry::abi::{PARTIES, Parties, REGISTRY, Registry, Scope, SupervisorRule};
use lonja_ptm::PublicKey;
use serde_json::{Value, json};

pub(super) fn register(table: &mut Table) {
    table.heavy("lonja_getSupervisors", supervisors);
    table.heavy("lonja_getRequiredParties", required);
    table.heavy("lonja_getPartyBinding", binding);
    table.heavy("lonja_listPartyBindings", bindings);
}

/// The contract that names parties in the block after this state.
fn contract(standpoint: &Standpoint) -> Result<Address, RpcError> {
    standpoint.parties.ok_or_else(|| {
        RpcError::NotEnabled(
            "on this network no contract names parties: privacy.parties of its genesis".into(),
        )
    })
}

/// lonja's own contract, which tells more than nodes need.
fn own(standpoint: &Standpoint) -> Result<Contracts<'_>, RpcError> {
    match contract(standpoint)? {
        PARTIES => Ok(standpoint.contracts()),
        other => Err(RpcError::NotEnabled(format!(
            "this network has another contract of parties than lonja's: its privacy.parties is {other}, not {PARTIES}"
        ))),
    }
}

fn text(key: B256) -> String {
    PublicKey(key.0).to_string()
}

fn texts(keys: impl IntoIterator<Item = B256>) -> Vec<String> {
    keys.into_iter().map(text).collect()
}

/// Every rule.
fn supervisors(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 1)?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 0)?.block)?;
    let rules = own(&standpoint)?.read(PARTIES, Parties::supervisorsCall {})?;
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    Ok(json!({ "block": standpoint.number, "contract": PARTIES, "rules": rules }))
}

fn rule(rule: &SupervisorRule) -> Value {
    let mut entry = json!({ "key": text(rule.key) });
    match Scope::from_words(rule.scope, &rule.subject) {
        Some(Scope::Everybody) => entry["scope"] = json!("everybody"),
        Some(Scope::Sector(sector)) => {
            entry["scope"] = json!("sector");
            entry["sector"] = json!(sector);
        }
        Some(Scope::Member(id)) => {
            entry["scope"] = json!("member");
            entry["member"] = json!(id);
        }
        None => entry["scope"] = Value::Null,
    }
    entry
}

/// The keys that must be parties of what an account sends.
fn required(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let account: Address = args.required(0, "account")?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 1)?.block)?;
    let contract = contract(&standpoint)?;
    let keys = standpoint.contracts().read(contract, PartyRules::requiredPartiesCall { account })?;
    Ok(json!({ "block": standpoint.number, "account": account, "keys": texts(keys) }))
}

/// Which member has bound a key, and to which of its nodes; or which keys are bound to a node.
fn binding(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let name: String = args.required(0, "party")?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 1)?.block)?;
    let mut contracts = own(&standpoint)?;
    let Ok(party) = name.parse::<PublicKey>() else {
        let node = NodeName::parse(&name)?.key(&mut contracts)?;
        let keys = contracts.read(PARTIES, Parties::partiesOfCall { nodeKey: node })?;
        return Ok(json!({ "block": standpoint.number, "node": node, "parties": texts(keys) }));
    };
    let word = B256::from(party.0);
    let member = contracts.read(PARTIES, Parties::memberOfPartyCall { party: word })?;
    if member.is_zero() {
        return Ok(Value::Null);
    }
    let nodes = contracts.read(PARTIES, Parties::nodesOfCall { party: word })?;
    let node = |key: &B256| {
        let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: *key })?;
        Ok(json!({ "key": key, "publicKey": views::public_key(&node) }))
    };
    let nodes = nodes.iter().map(node).collect::<Result<Vec<Value>, RpcError>>()?;
    Ok(json!({ "block": standpoint.number, "party": party, "member": member, "nodes": nodes }))
}

/// The nodes of the registry with the keys that are bound to them; nodes without any are left out. `next` is the place in the
/// list of nodes from which to go on.
fn bindings(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let page = Page::of(&args, 0)?;
    let standpoint = Standpoint::at(context, Tail::of(&args, 2)?.block)?;
    let mut contracts = own(&standpoint)?;
    let total = count(contracts.read(REGISTRY, Registry::nodeCountCall {})?);
    let (places, next) = page.places(total);
    let mut bindings = Vec::new();
    for place in places {
        let key = contracts.read(REGISTRY, Registry::nodeAtCall { index: U256::from(place) })?;
        let parties = contracts.read(PARTIES, Parties::partiesOfCall { nodeKey: key })?;
        if parties.is_empty() {
            continue;
        }
        let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?;
        bindings.push(json!({
            "node": key,
            "publicKey": views::public_key(&node),
            "member": node.memberId,
            "parties": texts(parties),
        }));
    }
    Ok(json!({ "block": standpoint.number, "bindings": bindings, "next": next }))
}
