//! Members, their nodes, their accounts.

use super::params::{NodeName, PAGE_MAX, Page, Tail, member_id};
use super::{proof, views};
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::permissions::{Contracts, Standpoint};
use crate::params::{Args, Count};
use crate::register::Table;
use alloy_primitives::{Address, B256, U256};
use jsonrpsee::types::Params;
use lonja_permissioning::registry::abi::{REGISTRY, Registry, Role, node_status};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn register(table: &mut Table) {
    table.heavy("lonja_getMember", get_member);
    table.heavy("lonja_listMembers", list_members);
    table.heavy("lonja_getNode", get_node);
    table.heavy("lonja_listNodes", list_nodes);
    table.heavy("lonja_getAccountPermission", get_account);
    table.heavy("lonja_listAccounts", list_accounts);
}

/// Entries that one request looks at to find those that are asked for: a few thousand calls of some microseconds.
const LOOKED_AT_MAX: u64 = 2_000;

/// The registry after the block that is meant, and the block.
fn standpoint(context: &Context, args: &Args<'_>, index: usize) -> Result<(Standpoint, Tail), RpcError> {
    let tail = Tail::of(args, index)?;
    Ok((Standpoint::at(context, tail.block)?, tail))
}

fn with_proof(
    context: &Context,
    tail: Tail,
    number: u64,
    mut entry: Value,
    slots: impl FnOnce() -> Vec<U256>,
) -> Result<Value, RpcError> {
    entry["block"] = json!(number);
    if tail.proof {
        entry["proof"] = proof::registry_proof(context, number, &slots())?;
    }
    Ok(entry)
}

/// `null` where there is no such member.
fn get_member(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let name: String = args.required(0, "member")?;
    let (standpoint, tail) = standpoint(context, &args, 1)?;
    let mut contracts = standpoint.registry()?;
    let id = member_id(&name, &mut contracts)?;
    let member = contracts.read(REGISTRY, Registry::getMemberCall { memberId: id })?;
    if member.status == 0 {
        return Ok(Value::Null);
    }
    let mut entry = views::member(&mut contracts, id, &member)?;
    entry["nodes"] = json!(contracts.read(REGISTRY, Registry::nodesOfCall { memberId: id })?);
    let group = contracts.read(REGISTRY, Registry::votingGroupCall { memberId: id })?;
    entry["mayVote"] = json!(!group.is_zero());
    with_proof(context, tail, standpoint.number, entry, || proof::member_slots(id))
}

fn list_members(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let page = Page::of(&args, 0)?;
    let (standpoint, _) = standpoint(context, &args, 2)?;
    let mut contracts = standpoint.registry()?;
    let total = count(contracts.read(REGISTRY, Registry::memberCountCall {})?);
    let (places, next) = page.places(total);
    let mut members = Vec::new();
    for place in places {
        let id = contracts.read(REGISTRY, Registry::memberAtCall { index: U256::from(place) })?;
        let member = contracts.read(REGISTRY, Registry::getMemberCall { memberId: id })?;
        members.push(views::member(&mut contracts, id, &member)?);
    }
    Ok(json!({ "block": standpoint.number, "total": total, "members": members, "next": next }))
}

/// `null` where there is no such node.
fn get_node(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let name = NodeName::parse(&args.required::<String>(0, "node")?)?;
    let (standpoint, tail) = standpoint(context, &args, 1)?;
    let mut contracts = standpoint.registry()?;
    let key = name.key(&mut contracts)?;
    let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?;
    if node.status == 0 {
        return Ok(Value::Null);
    }
    let entry = views::node(&mut contracts, key, &node)?;
    with_proof(context, tail, standpoint.number, entry, || proof::node_slots(key, node.memberId))
}

/// Which nodes are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a filter object")]
struct NodeFilter {
    member: Option<String>,
    role: Option<String>,
    status: Option<String>,
    offset: Option<Count>,
    limit: Option<Count>,
}

/// A filter that has been understood.
struct Wanted {
    member: Option<B256>,
    role: Option<u16>,
    status: Option<String>,
}

impl Wanted {
    fn new(filter: &NodeFilter, contracts: &mut Contracts<'_>) -> Result<Self, RpcError> {
        let role = |name: &String| name.parse::<Role>().map(Role::number).map_err(RpcError::InvalidParams);
        if let Some(status) = &filter.status {
            let known = (1..=5).any(|number| node_status(number) == status);
            if !known {
                let words = (1..=5).map(node_status).collect::<Vec<_>>().join(", ");
                return Err(RpcError::InvalidParams(format!("the status of a node is one of {words}")));
            }
        }
        Ok(Self {
            member: filter.member.as_deref().map(|name| member_id(name, contracts)).transpose()?,
            role: filter.role.as_ref().map(role).transpose()?,
            status: filter.status.clone(),
        })
    }

    fn takes(&self, node: &lonja_permissioning::registry::abi::Node) -> bool {
        self.member.is_none_or(|member| member == node.memberId)
            && self.role.is_none_or(|role| node.roles & role != 0)
            && self.status.as_deref().is_none_or(|status| node_status(node.status) == status)
    }
}

/// `next` is the place in the whole list from which to go on, also where the filter took few.
fn list_nodes(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 2)?;
    let filter: NodeFilter = args.optional(0, "filter")?.unwrap_or_default();
    let page = Page::new(filter.offset, filter.limit)?;
    let (standpoint, _) = standpoint(context, &args, 1)?;
    let mut contracts = standpoint.registry()?;
    let wanted = Wanted::new(&filter, &mut contracts)?;
    let total = count(contracts.read(REGISTRY, Registry::nodeCountCall {})?);
    let (mut nodes, mut place) = (Vec::new(), page.offset.min(total));
    let (end, stop) = (page.offset.saturating_add(LOOKED_AT_MAX).min(total), context.time_limit());
    while place < end && nodes.len() < page.limit && !stop() {
        let key = contracts.read(REGISTRY, Registry::nodeAtCall { index: U256::from(place) })?;
        let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?;
        if wanted.takes(&node) {
            nodes.push(views::node(&mut contracts, key, &node)?);
        }
        place = place.saturating_add(1);
    }
    let next = Some(place).filter(|place| *place < total);
    Ok(json!({ "block": standpoint.number, "total": total, "nodes": nodes, "next": next }))
}

/// What an address may do: by its entry, and as an admin, a key of the council, a validator. Every address has an answer.
fn get_account(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let address: Address = args.required(0, "address")?;
    let (standpoint, tail) = standpoint(context, &args, 1)?;
    let mut contracts = standpoint.registry()?;
    let account = contracts.read(REGISTRY, Registry::getAccountCall { account: address })?;
    let admin = contracts.read(REGISTRY, Registry::adminOfCall { admin: address })?;
    let word = contracts.read(REGISTRY, Registry::senderWordCall { sender: address })?;
    let freeze = contracts.read(REGISTRY, Registry::getFreezeCall { subject: address })?;
    let frozen = contracts.read(REGISTRY, Registry::isFrozenCall { subject: address })?;
    let member = contracts.read(REGISTRY, Registry::memberOfCall { account: address })?;
    let bit = |place: usize| word.bit(place);
    let mut entry = views::account(address, &account);
    entry["permitted"] = json!(bit(16) && !frozen);
    entry["permittedAccess"] = json!(views::access_names(word.as_limbs()[0] as u16 & 15));
    entry["countedTo"] = json!(some_word(member));
    entry["adminOf"] = json!(some_word(admin.memberId));
    entry["mayGovern"] = json!(bit(18));
    entry["mayAttest"] = json!(bit(19));
    entry["council"] = json!(contracts.read(REGISTRY, Registry::isCouncilCall { key: address })?);
    entry["validatorOf"] =
        json!(some_word(contracts.read(REGISTRY, Registry::nodeOfValidatorCall { validator: address })?));
    entry["frozen"] = json!(frozen);
    entry["freeze"] = match freeze.since {
        0 => Value::Null,
        _ => views::freeze(address, &freeze, frozen),
    };
    let slots = || proof::account_slots(address, account.memberId);
    with_proof(context, tail, standpoint.number, entry, slots)
}

fn some_word(word: B256) -> Option<B256> {
    Some(word).filter(|word| !word.is_zero())
}

fn list_accounts(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let args = Args::new(params, 3)?;
    let page = Page::of(&args, 0)?;
    let (standpoint, _) = standpoint(context, &args, 2)?;
    let mut contracts = standpoint.registry()?;
    let total = count(contracts.read(REGISTRY, Registry::accountCountCall {})?);
    let (places, next) = page.places(total);
    let mut accounts = Vec::with_capacity(PAGE_MAX.min(page.limit));
    for place in places {
        let address = contracts.read(REGISTRY, Registry::accountAtCall { index: U256::from(place) })?;
        let account = contracts.read(REGISTRY, Registry::getAccountCall { account: address })?;
        accounts.push(views::account(address, &account));
    }
    Ok(json!({ "block": standpoint.number, "total": total, "accounts": accounts, "next": next }))
}

/// A count of the contracts; what does not fit cannot be.
pub(super) fn count(number: U256) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
