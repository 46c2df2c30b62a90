//! What the registry keeps, as JSON: camelCase, numbers as numbers, ids as hex, what has a name with its number.

use crate::error::RpcError;
use crate::methods::permissions::Contracts;
use alloy_primitives::{Address, B256, U256, hex};
use lonja_permissioning::registry::abi::{
    Access, Account, Act, Freeze, IdScheme, Member, MemberKind, Node, ProposalKind, ProposalView, REGISTRY,
    Registry, Role, ValidatorState, VoteView, account_status, identity_words, member_status, node_status,
    proposal_state, text_of,
};
use serde_json::{Map, Value, json};

/// A member.
pub(super) fn member(contracts: &mut Contracts<'_>, id: B256, member: &Member) -> Result<Value, RpcError> {
    let permitted = contracts.read(REGISTRY, Registry::memberPermittedCall { memberId: id })?;
    Ok(json!({
        "id": id,
        "idScheme": IdScheme::from_number(member.idScheme).map(IdScheme::name),
        "idSchemeNumber": member.idScheme,
        "idValue": member.idValue,
        "idText": text_of(&member.idValue).filter(|_| member.idScheme != IdScheme::Did.number()),
        "identity": identity_words(member.idScheme, &member.idValue),
        "status": member_status(member.status),
        "statusNumber": member.status,
        "permitted": permitted,
        "kind": MemberKind::from_number(member.kind).map(MemberKind::name),
        "kindNumber": member.kind,
        "voting": member.voting,
        "sector": member.sector,
        "region": member.region,
        "controlGroup": member.controlGroup,
        "quotaClass": member.quotaClass,
        "admins": member.admins,
        "adminThreshold": member.adminThreshold,
        "adminVersion": member.adminVersion,
        "legalNameHash": member.legalNameHash,
        "didHash": member.didHash,
        "docsHash": member.docsHash,
        "joined": member.joined,
        "changed": member.changed,
        "noticeUntil": member.noticeUntil,
        "suspendedUntil": member.suspendedUntil,
        "lastEmergency": member.lastEmergency,
    }))
}

/// A node.
pub(super) fn node(contracts: &mut Contracts<'_>, key: B256, node: &Node) -> Result<Value, RpcError> {
    let permitted = contracts.read(REGISTRY, Registry::nodePermittedCall { nodeKey: key })?;
    let public_key = public_key(node);
    let endpoints = endpoints(node);
    Ok(json!({
        "key": key,
        "enode": endpoints.first().map(|endpoint| format!("enode://{public_key}@{endpoint}")),
        "publicKey": format!("0x{public_key}"),
        "member": node.memberId,
        "status": node_status(node.status),
        "statusNumber": node.status,
        "permitted": permitted,
        "roles": names(Role::ALL.iter().map(|role| (role.number(), role.name())), node.roles),
        "rolesNumber": node.roles,
        "validatorAddress": node.validatorAddress,
        "endpoints": endpoints,
        "hostRegion": node.hostRegion,
        "hostProvider": node.hostProvider,
        "softwareVersion": node.swVersion,
        "registered": node.registered,
        "changed": node.changed,
        "candidateSince": node.candidateSince,
        "expires": node.expires,
        "suspendedUntil": node.suspendedUntil,
        "lastEmergency": node.lastEmergency,
    }))
}

/// The 128 hex digits of a node's public key.
pub(crate) fn public_key(node: &Node) -> String {
    hex::encode([node.publicKeyHigh.as_slice(), node.publicKeyLow.as_slice()].concat())
}

/// Where a node is reached. The contracts take printable ASCII only; whatever else stood there would not be shown.
pub(crate) fn endpoints(node: &Node) -> Vec<String> {
    let text = std::str::from_utf8(&node.endpoints).unwrap_or_default();
    text.split(',').filter(|endpoint| !endpoint.is_empty()).map(str::to_owned).collect()
}

/// An account, as its entry has it.
pub(super) fn account(address: Address, account: &Account) -> Value {
    json!({
        "address": address,
        "status": account_status(account.status),
        "statusNumber": account.status,
        "member": Some(account.memberId).filter(|member| !member.is_zero()),
        "access": access_names(account.access),
        "accessNumber": account.access,
        "quotaClass": account.quotaClass,
        "expires": account.expires,
        "changed": account.changed,
    })
}

/// The names of access bits.
pub(super) fn access_names(bits: u16) -> Vec<&'static str> {
    names(Access::ALL.iter().map(|access| (access.number(), access.name())), bits)
}

fn names(all: impl Iterator<Item = (u16, &'static str)>, bits: u16) -> Vec<&'static str> {
    all.filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name).collect()
}

/// A supervisor's order.
pub(super) fn freeze(subject: Address, freeze: &Freeze, in_force: bool) -> Value {
    json!({
        "subject": subject,
        "orderHash": freeze.orderHash,
        "supervisor": freeze.supervisor,
        "since": freeze.since,
        "until": freeze.until,
        "inForce": in_force,
    })
}

/// A proposal.
pub(super) fn proposal(view: &ProposalView) -> Map<String, Value> {
    let value = json!({
        "id": number(view.id),
        "kind": kind_name(view.kind),
        "kindNumber": view.kind,
        "status": proposal_state(view.status),
        "statusNumber": view.status,
        "state": printable(&view.state),
        "proposer": view.proposer,
        "subject": view.subject,
        "payloadHash": view.payloadHash,
        "created": view.created,
        "votingEnds": view.votingEnds,
        "expires": view.expires,
        "votesFor": view.votesFor,
        "votesAgainst": view.votesAgainst,
        "electorate": view.electorate,
        "needed": view.needed,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A group's word on a proposal.
pub(super) fn vote(vote: &VoteView) -> Value {
    json!({
        "group": vote.group,
        "member": vote.memberId,
        "support": vote.support,
        "castAt": vote.castAt,
        "counts": vote.counts,
    })
}

/// A kind of proposal by its name.
pub(super) fn kind_name(number: u16) -> String {
    ProposalKind::from_number(number).map_or_else(|_| format!("kind {number}"), |kind| kind.name().to_owned())
}

/// What the chain keeps of a validator's service.
pub(super) fn validator(state: &ValidatorState) -> Value {
    json!({
        "seated": state.flags & 1 != 0,
        "suspended": state.flags & 2 != 0,
        "barred": state.flags & 4 != 0,
        "leaving": state.flags & 8 != 0,
        "warned": state.flags & 16 != 0,
        "flagsNumber": state.flags,
        "seatSince": state.seatSince,
        "window": number(U256::from(state.window)),
        "proposed": state.proposed,
        "missed": state.missed,
        "consecutiveMissed": state.consecutiveMissed,
        "score": state.score,
        "strikes": state.strikes,
        "lastStrike": state.lastStrike,
        "jailedUntil": state.jailedUntil,
        "heartbeats": state.heartbeats,
        "lastHeartbeat": state.lastHeartbeat,
    })
}

/// An entry of the journal of what the ends of blocks did. What came to a seat or left one is told with its address.
pub(super) fn act(index: u64, act: &Act) -> Value {
    let value = U256::from(act.value);
    let is_address = matches!(act.kind, 2 | 3 | 7);
    json!({
        "index": index,
        "block": act.blockNumber,
        "kind": act_name(act.kind),
        "kindNumber": act.kind,
        "subject": act.subject,
        "address": is_address.then(|| Address::from_word(value.into())),
        "value": (!is_address).then(|| number(value)),
    })
}

fn act_name(kind: u8) -> &'static str {
    match kind {
        1 => "suspended",
        2 => "removed",
        3 => "seated",
        4 => "held",
        5 => "kept-set",
        6 => "warned",
        7 => "rotated",
        _ => "of a kind that this version does not know",
    }
}

/// Why the selection treats a candidate as it does.
pub(super) fn selection_reason(reason: u8) -> &'static str {
    match reason {
        1 => "stays",
        2 => "comes",
        3 => "rotated out",
        4 => "removed by a cap",
        5 => "not permitted",
        6 => "suspended or barred",
        7 => "registered too late",
        8 => "no free seat",
        9 => "a cap stands against it",
        10 => "too many changes for one epoch",
        _ => "for a reason that this version does not know",
    }
}

/// A number as JSON has it; what is larger than its readers expect becomes a string of digits.
pub(super) fn number(value: U256) -> Value {
    match u64::try_from(value) {
        Ok(small) => small.into(),
        Err(_) => value.to_string().into(),
    }
}

/// Words of a contract go into answers and onto terminals: one line, not endless.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_numbers_have_names() {
        assert_eq!(access_names(7), ["transfer", "call", "deploy"]);
        assert!(access_names(0).is_empty());
        assert_eq!(kind_name(1), "admit-member");
        assert_eq!(kind_name(99), "kind 99");
        assert_eq!(number(U256::from(5)), json!(5));
        assert_eq!(number(U256::from(u64::MAX) + U256::from(1)), json!("18446744073709551616"));
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a[2Jb");
    }

    #[test]
    fn endpoints_are_a_list() {
        let node = |text: &str| Node { endpoints: text.as_bytes().to_vec().into(), ..Node::default() };
        assert_eq!(endpoints(&node("a:1,[::1]:2")), ["a:1", "[::1]:2"]);
        assert!(endpoints(&node("")).is_empty());
        assert_eq!(public_key(&node("")).len(), 128);
    }
}
