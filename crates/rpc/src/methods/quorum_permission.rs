//! `quorumPermission_`: the registry in the shapes of GoQuorum's enhanced permissioning, for tools made for it.
//!
//! Members are its organisations, all of them master organisations; an account's access is its role, and admins have the
//! role `ADMIN`. Statuses are the nearest of GoQuorum's:
//!
//! | here | there |
//! |---|---|
//! | member active | 2 approved |
//! | member suspended (by vote or emergency), expelled, withdrawn | 4 suspended |
//! | node active | 2 approved |
//! | node deactivated, expired, or of a member that is not permitted | 3 deactivated |
//! | node suspended, revoked | 4 blacklisted |
//! | account permitted | 2 active |
//! | account expired, or of a member that is not permitted | 3 inactive |
//! | account frozen | 4 suspended |
//!
//! What changes anything is refused: the network governs itself on chain.

use super::lonja::{NodeName, connection, endpoints, public_key, transaction_permitted};
use super::permissions::{Contracts, Standpoint};
use crate::context::Context;
use crate::error::RpcError;
use crate::params::{Args, BlockSelector};
use crate::register::Table;
use alloy_primitives::{Address, B256, U256};
use jsonrpsee::types::Params;
use lonja_permissioning::registry::abi::{Account, IdScheme, Member, Node, REGISTRY, Registry, text_of};
use lonja_permissioning::registry::plan::member_id;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Entries of one list: these methods know no pages. A network with more is asked by `lonja_list…`.
const LIST_MAX: u64 = 2_000;

/// The role of admins.
const ADMIN: &str = "ADMIN";

const BY_VOTE: &str =
    "governed on chain: use lonja permission member …, which proposes it to the members' vote";
const BY_OWNER: &str =
    "governed on chain: use lonja permission node … or account … with a key of the member's admins";
const NO_ROLES: &str =
    "governed on chain: use lonja permission account set ADDRESS --access …; there are no other roles";
const NO_SUBS: &str =
    "governed on chain: use lonja permission member admit FILE; members have no organisations below them";

/// What changes the permissions in GoQuorum, and what does it here.
const MUTATORS: [(&str, &str); 18] = [
    ("quorumPermission_addOrg", BY_VOTE),
    ("quorumPermission_approveOrg", BY_VOTE),
    ("quorumPermission_addSubOrg", NO_SUBS),
    ("quorumPermission_updateOrgStatus", BY_VOTE),
    ("quorumPermission_approveOrgStatus", BY_VOTE),
    ("quorumPermission_addNode", BY_OWNER),
    ("quorumPermission_updateNodeStatus", BY_OWNER),
    ("quorumPermission_recoverBlackListedNode", BY_VOTE),
    ("quorumPermission_approveBlackListedNodeRecovery", BY_VOTE),
    ("quorumPermission_assignAdminRole", BY_VOTE),
    ("quorumPermission_approveAdminRole", BY_VOTE),
    ("quorumPermission_addNewRole", NO_ROLES),
    ("quorumPermission_removeRole", NO_ROLES),
    ("quorumPermission_addAccountToOrg", BY_OWNER),
    ("quorumPermission_changeAccountRole", BY_OWNER),
    ("quorumPermission_updateAccountStatus", BY_OWNER),
    ("quorumPermission_recoverBlackListedAccount", BY_OWNER),
    ("quorumPermission_approveBlackListedAccountRecovery", BY_OWNER),
];

pub(crate) fn register(table: &mut Table) {
    table.heavy("quorumPermission_orgList", |context, params| list(context, params, orgs));
    table.heavy("quorumPermission_nodeList", |context, params| list(context, params, nodes));
    table.heavy("quorumPermission_acctList", |context, params| list(context, params, accounts));
    table.heavy("quorumPermission_roleList", |context, params| list(context, params, roles));
    table.heavy("quorumPermission_getOrgDetails", org_details);
    table.heavy("quorumPermission_connectionAllowed", connection_allowed);
    table.heavy("quorumPermission_transactionAllowed", transaction_allowed);
    for (name, instead) in MUTATORS {
        table.refused(name, instead);
    }
}

/// What a list looks at: everything, or one member.
type Lister = fn(&mut Contracts<'_>, Option<B256>) -> Result<Vec<Value>, RpcError>;

fn list(context: &Context, params: &Params<'_>, lister: Lister) -> Result<Vec<Value>, RpcError> {
    Args::new(params, 0)?;
    let standpoint = Standpoint::at(context, BlockSelector::Latest)?;
    lister(&mut standpoint.registry()?, None)
}

fn org_details(context: &Context, params: &Params<'_>) -> Result<Value, RpcError> {
    let org: String = Args::new(params, 1)?.required(0, "orgId")?;
    let standpoint = Standpoint::at(context, BlockSelector::Latest)?;
    let mut contracts = standpoint.registry()?;
    let id = find_org(&mut contracts, &org)?;
    Ok(json!({
        "nodeList": nodes(&mut contracts, Some(id))?,
        "roleList": roles(&mut contracts, Some(id))?,
        "acctList": accounts(&mut contracts, Some(id))?,
        "subOrgList": [],
    }))
}

/// The member with this id, by its text or in hex.
fn find_org(contracts: &mut Contracts<'_>, org: &str) -> Result<B256, RpcError> {
    let mut ids: Vec<B256> = org.parse().into_iter().collect();
    if (1..=32).contains(&org.len()) {
        let schemes = IdScheme::ALL.iter().filter(|scheme| **scheme != IdScheme::Did);
        ids.extend(schemes.map(|scheme| member_id(*scheme, B256::right_padding_from(org.as_bytes()))));
    }
    for id in ids {
        if contracts.read(REGISTRY, Registry::getMemberCall { memberId: id })?.status != 0 {
            return Ok(id);
        }
    }
    Err(RpcError::Refused("Org does not exist".to_owned()))
}

/// What GoQuorum's tools show a member as.
fn org_id(id: B256, member: &Member) -> String {
    let text = text_of(&member.idValue).filter(|_| member.idScheme != IdScheme::Did.number());
    text.map_or_else(|| id.to_string(), str::to_owned)
}

fn bounded(total: U256, instead: &str) -> Result<u64, RpcError> {
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    match total > LIST_MAX {
        true => Err(RpcError::Limit(format!(
            "{total} entries, at most {LIST_MAX} go into this list: use {instead}"
        ))),
        false => Ok(total),
    }
}

fn members(contracts: &mut Contracts<'_>, only: Option<B256>) -> Result<Vec<(B256, Member)>, RpcError> {
    let ids = match only {
        Some(id) => vec![id],
        None => {
            let total =
                bounded(contracts.read(REGISTRY, Registry::memberCountCall {})?, "lonja_listMembers")?;
            let at = |place| contracts.read(REGISTRY, Registry::memberAtCall { index: U256::from(place) });
            (0..total).map(at).collect::<Result<_, _>>()?
        }
    };
    let read = |id| Ok((id, contracts.read(REGISTRY, Registry::getMemberCall { memberId: id })?));
    ids.into_iter().map(read).collect()
}

fn orgs(contracts: &mut Contracts<'_>, only: Option<B256>) -> Result<Vec<Value>, RpcError> {
    let mut list = Vec::new();
    for (id, member) in members(contracts, only)? {
        let permitted = contracts.read(REGISTRY, Registry::memberPermittedCall { memberId: id })?;
        let name = org_id(id, &member);
        list.push(json!({
            "orgId": name,
            "fullOrgId": name,
            "parentOrgId": "",
            "ultimateParent": name,
            "level": 1,
            "subOrgList": [],
            "status": org_status(member.status, permitted),
        }));
    }
    Ok(list)
}

fn org_status(status: u8, permitted: bool) -> u8 {
    match (status, permitted) {
        (0 | 1, _) => status,
        (2, true) => 2,
        _ => 4,
    }
}

fn nodes(contracts: &mut Contracts<'_>, only: Option<B256>) -> Result<Vec<Value>, RpcError> {
    let mut list = Vec::new();
    for (id, member) in members(contracts, only)? {
        let name = org_id(id, &member);
        for key in contracts.read(REGISTRY, Registry::nodesOfCall { memberId: id })? {
            if list.len() as u64 >= LIST_MAX {
                return Err(RpcError::Limit("too many nodes for one list: use lonja_listNodes".to_owned()));
            }
            let node = contracts.read(REGISTRY, Registry::getNodeCall { nodeKey: key })?;
            let permitted = contracts.read(REGISTRY, Registry::nodePermittedCall { nodeKey: key })?;
            list.push(json!({
                "orgId": name,
                "url": url(&node),
                "status": node_status(node.status, permitted),
            }));
        }
    }
    Ok(list)
}

/// An `enode://` address; one without a known place has the place that GoQuorum writes for none.
pub(super) fn url(node: &Node) -> String {
    let place = endpoints(node).into_iter().next().unwrap_or_else(|| "0.0.0.0:0".to_owned());
    format!("enode://{}@{place}", public_key(node))
}

fn node_status(status: u8, permitted: bool) -> u8 {
    match (status, permitted) {
        (0 | 1, _) => status,
        (2, true) => 2,
        (2 | 3, _) => 3,
        _ => 4,
    }
}

/// The accounts and admins of all members, or of one.
fn accounts(contracts: &mut Contracts<'_>, only: Option<B256>) -> Result<Vec<Value>, RpcError> {
    let mut list = Vec::new();
    for (id, member) in members(contracts, only)? {
        let name = org_id(id, &member);
        let permitted = contracts.read(REGISTRY, Registry::memberPermittedCall { memberId: id })?;
        for admin in &member.admins {
            list.push(json!({
                "orgId": name,
                "roleId": ADMIN,
                "acctId": admin,
                "isOrgAdmin": true,
                "status": if permitted { 2 } else { 3 },
            }));
        }
    }
    for (address, account) in every_account(contracts)? {
        if only.is_some_and(|id| id != account.memberId) {
            continue;
        }
        let member = contracts.read(REGISTRY, Registry::getMemberCall { memberId: account.memberId })?;
        list.push(json!({
            "orgId": org_id(account.memberId, &member),
            "roleId": role_name(account.access),
            "acctId": address,
            "isOrgAdmin": member.admins.contains(&address),
            "status": account_status(contracts, address)?,
        }));
    }
    Ok(list)
}

/// All entries of accounts, or the refusal that there are too many.
pub(super) fn every_account(contracts: &mut Contracts<'_>) -> Result<Vec<(Address, Account)>, RpcError> {
    let total = bounded(contracts.read(REGISTRY, Registry::accountCountCall {})?, "lonja_listAccounts")?;
    let read = |place| {
        let address = contracts.read(REGISTRY, Registry::accountAtCall { index: U256::from(place) })?;
        Ok((address, contracts.read(REGISTRY, Registry::getAccountCall { account: address })?))
    };
    (0..total).map(read).collect()
}

fn account_status(contracts: &mut Contracts<'_>, address: Address) -> Result<u8, RpcError> {
    if contracts.read(REGISTRY, Registry::isFrozenCall { subject: address })? {
        return Ok(4);
    }
    let word = contracts.read(REGISTRY, Registry::senderWordCall { sender: address })?;
    Ok(if word.bit(16) { 2 } else { 3 })
}

/// Roles in use: the admins', and one for each set of accesses that some account has.
fn roles(contracts: &mut Contracts<'_>, only: Option<B256>) -> Result<Vec<Value>, RpcError> {
    let mut list = Vec::new();
    let accounts = every_account(contracts)?;
    for (id, member) in members(contracts, only)? {
        let name = org_id(id, &member);
        let mut role = |role: String, voter: bool, admin: bool, access: u8| {
            list.push(json!({
                "orgId": name,
                "roleId": role,
                "isVoter": voter,
                "isAdmin": admin,
                "access": access,
                "active": true,
            }));
        };
        role(ADMIN.to_owned(), member.voting, true, 3);
        let own = accounts.iter().filter(|(_, account)| account.memberId == id);
        let used: BTreeSet<u16> = own.map(|(_, account)| account.access & 7).collect();
        used.into_iter().for_each(|access| role(role_name(access), false, false, access_type(access)));
    }
    Ok(list)
}

/// GoQuorum's access type for a set of accesses (transfer 1, call 2, deploy 4).
fn access_type(access: u16) -> u8 {
    match access & 7 {
        0 => 0,
        1 => 1,
        2 => 4,
        3 => 5,
        4 => 2,
        5 => 6,
        6 => 7,
        _ => 3,
    }
}

fn role_name(access: u16) -> String {
    let names =
        ["READONLY", "TRANSFER", "CALL", "TRANSFERCALL", "DEPLOY", "TRANSFERDEPLOY", "CALLDEPLOY", "FULL"];
    names.get(usize::from(access & 7)).copied().unwrap_or_default().to_owned()
}

/// `enodeId, ip, port, raftPort`; the first may be a whole `enode://` address too.
fn connection_allowed(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    let args = Args::new(params, 4)?;
    let name = NodeName::parse(&args.required::<String>(0, "enodeId")?)?;
    let NodeName::Public { node, at } = name else {
        return Err(RpcError::InvalidParams(
            "the public key of the node (128 hex digits) is expected".to_owned(),
        ));
    };
    let ip: Option<String> = args.optional(1, "ip")?;
    let port: Option<u16> = args.optional(2, "port")?;
    let given = ip.filter(|ip| !ip.is_empty() && ip.len() <= 253).map(|ip| (ip, port.unwrap_or(0)));
    let at = given.or(at);
    let standpoint = Standpoint::at(context, BlockSelector::Latest)?;
    let verdict = connection(context, &standpoint, node, at.as_ref().map(|(ip, port)| (ip.as_str(), *port)))?;
    Ok(verdict["allowed"] == true)
}

fn transaction_allowed(context: &Context, params: &Params<'_>) -> Result<bool, RpcError> {
    Ok(transaction_permitted(context, params)?["allowed"] == true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_the_nearest() {
        let org = |status, permitted| org_status(status, permitted);
        assert_eq!(
            [org(2, true), org(2, false), org(3, false), org(4, false), org(5, false)],
            [2, 4, 4, 4, 4]
        );
        let node = |status, permitted| node_status(status, permitted);
        assert_eq!(
            [node(2, true), node(2, false), node(3, false), node(4, false), node(5, false)],
            [2, 3, 3, 4, 4]
        );
    }

    #[test]
    fn access_types_are_goquorums() {
        let types: Vec<u8> = (0..8).map(access_type).collect();
        assert_eq!(types, [0, 1, 4, 5, 2, 6, 7, 3]);
        assert_eq!(
            (role_name(7), role_name(15), role_name(0)),
            ("FULL".into(), "FULL".into(), "READONLY".into())
        );
    }
}
