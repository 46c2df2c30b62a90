//! What the contracts reported of a transaction, in words.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEventInterface;
use lonja_permissioning::registry::abi::{GOVERNANCE, PARTIES, POLICY, REGISTRY, SUPERVISION, VALIDATORS};
use lonja_permissioning::registry::abi::{
    Governance::GovernanceEvents, Parties::PartiesEvents, Policy::PolicyEvents, ProposalKind,
    Registry::RegistryEvents, Scope, Supervision::SupervisionEvents, Validators::ValidatorsEvents,
    access_names, member_status, node_status, role_names,
};
use lonja_ptm::PublicKey;
use serde::Deserialize;
use serde_json::{Value, json};

/// Something that a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A proposal came to be.
    Proposed { id: U256, kind: u16 },
    /// One admin of several agreed to an act.
    Confirmed { call: B256, have: U256, need: U256 },
    /// A proposal was carried out.
    Executed { id: U256, kind: u16 },
    /// Anything else.
    Other(String),
}

#[derive(Deserialize)]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// The reports of the registry's contracts among the logs of a receipt, in order.
pub fn read(logs: &Value) -> Vec<Happened> {
    let logs: Vec<Log> = serde_json::from_value(logs.clone()).unwrap_or_default();
    logs.iter().filter_map(one).collect()
}

fn one(log: &Log) -> Option<Happened> {
    let (topics, data) = (log.topics.as_slice(), log.data.as_ref());
    match log.address {
        REGISTRY => registry(RegistryEvents::decode_raw_log(topics, data).ok()?),
        GOVERNANCE => Some(governance(GovernanceEvents::decode_raw_log(topics, data).ok()?)),
        VALIDATORS => validators(ValidatorsEvents::decode_raw_log(topics, data).ok()?),
        SUPERVISION => Some(supervision(SupervisionEvents::decode_raw_log(topics, data).ok()?)),
        PARTIES => Some(parties(PartiesEvents::decode_raw_log(topics, data).ok()?)),
        POLICY => policy(PolicyEvents::decode_raw_log(topics, data).ok()?),
        _ => None,
    }
}

fn other(text: String) -> Happened {
    Happened::Other(text)
}

fn registry(event: RegistryEvents) -> Option<Happened> {
    use RegistryEvents as E;
    Some(match event {
        E::MemberChanged(e) => other(format!("member {} is {}", e.id, member_status(e.status))),
        E::NodeChanged(e) => {
            let roles = role_names(e.roles);
            other(format!("node {} is {}, roles: {roles}", e.nodeKey, node_status(e.status)))
        }
        E::EndpointsChanged(e) => {
            let text = String::from_utf8_lossy(&e.endpoints);
            other(format!("node {} is reached at {}", e.nodeKey, printable(&text)))
        }
        E::AccountChanged(e) if e.status == 0 => other(format!("account {} is removed", e.account)),
        E::AccountChanged(e) => {
            other(format!("account {} may: {} (member {})", e.account, access_names(e.access), e.memberId))
        }
        E::AdminsChanged(e) => other(format!(
            "{} of {} admins must agree to what member {} does",
            e.threshold,
            e.admins.len(),
            e.id
        )),
        E::RecordChanged(e) => other(format!("the record of member {} is changed", e.id)),
        E::CouncilChanged(e) => other(format!("the council has {} keys", e.keys.len())),
        E::Confirmed(e) => Happened::Confirmed { call: e.callHash, have: e.have, need: e.need },
        E::ConfirmationWithdrawn(e) => {
            other(format!("{} takes its confirmation of call {} back", e.admin, e.callHash))
        }
        E::Frozen(e) => {
            other(format!("{} is frozen until block {} by order {}", e.subject, e.until, e.orderHash))
        }
        E::Unfrozen(e) => other(format!("{} is frozen no longer", e.subject)),
        E::EmergencySuspended(e) => {
            other(format!("{} is suspended until block {}, unless ratified before", e.subject, e.until))
        }
        E::ElectorateChanged(e) => other(format!("{} control groups have a vote", e.groups)),
    })
}

fn governance(event: GovernanceEvents) -> Happened {
    use GovernanceEvents as E;
    match event {
        E::ProposalCreated(e) => Happened::Proposed { id: e.id, kind: e.kind },
        E::ProposalVoted(e) => {
            let word = if e.support { "for" } else { "against" };
            other(format!("the group of member {} votes {word} proposal {}", e.memberId, e.id))
        }
        E::VoteWithdrawn(e) => other(format!("the vote on proposal {} is taken back", e.id)),
        E::ProposalExecuted(e) => Happened::Executed { id: e.id, kind: e.kind },
        E::ProposalRejected(e) => other(format!("proposal {} is rejected", e.id)),
        E::ProposalExpired(e) => other(format!("proposal {} is expired", e.id)),
        E::ProposalCancelled(e) => other(format!("proposal {} is cancelled", e.id)),
        E::Stated(e) => other(format!("stated: {} (document {})", printable(&e.title), e.documentHash)),
    }
}

fn validators(event: ValidatorsEvents) -> Option<Happened> {
    use ValidatorsEvents as E;
    Some(match event {
        E::Heartbeat(e) => other(format!("heartbeat {} of node {} counts", e.count, e.nodeKey)),
        E::SlaReincorporated(e) => other(format!("node {} may validate again", e.nodeKey)),
        E::ValidatorSetChanged(e) => other(format!("the validators change with block {}", e.effective)),
        E::Readmitted(e) => other(format!("node {} may be chosen as a validator again", e.nodeKey)),
        E::SlaSuspended(e) => {
            other(format!("node {} is suspended as a validator until block {}", e.nodeKey, e.jailedUntil))
        }
        E::SlaWarning(_) | E::Struck(_) => return None,
    })
}

fn supervision(event: SupervisionEvents) -> Happened {
    use SupervisionEvents as E;
    match event {
        E::FreezeRequested(e) => {
            let missing = if e.supervisor { "a key of the council" } else { "a supervisor" };
            other(format!("a freeze of {} is asked for; {missing} may have to say the same", e.subject))
        }
        E::EmergencyRequested(e) => other(format!(
            "an emergency suspension of {} is asked for, by {} control groups so far (3 do it, or a supervisor and a key of \
             the council)",
            e.subject, e.groups
        )),
    }
}

fn parties(event: PartiesEvents) -> Happened {
    use PartiesEvents as E;
    let key = |word: B256| PublicKey(word.0);
    let scope = |number, subject| {
        Scope::from_words(number, &subject).map_or_else(|| "?".to_owned(), |scope| scope.to_string())
    };
    match event {
        E::SupervisorAdded(e) => {
            other(format!("{} takes part in what is sent by {}", key(e.key), scope(e.scope, e.subject)))
        }
        E::SupervisorRemoved(e) => {
            let whom = scope(e.scope, e.subject);
            other(format!("{} need not take part any more in what is sent by {whom}", key(e.key)))
        }
        E::PartyBound(e) => other(format!("{} is bound to node {}", key(e.party), e.nodeKey)),
        E::PartyUnbound(e) => other(format!("{} is bound to node {} no longer", key(e.party), e.nodeKey)),
    }
}

fn policy(event: PolicyEvents) -> Option<Happened> {
    let PolicyEvents::PolicyChanged(e) = event;
    Some(other(format!("policy revision {} is in force from block {} on", e.revision, e.effective)))
}

fn kind(number: u16) -> String {
    ProposalKind::from_number(number).map_or_else(|_| format!("kind {number}"), |kind| kind.name().to_owned())
}

/// Whatever members wrote goes onto a terminal: one line, no control characters, not endless.
pub fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

/// One line for each.
pub fn lines(happened: &[Happened]) -> Vec<String> {
    happened.iter().map(line).collect()
}

fn line(happened: &Happened) -> String {
    match happened {
        Happened::Proposed { id, kind: number } => format!("proposal {id} ({}) is open", kind(*number)),
        Happened::Executed { id, kind: number } => format!("proposal {id} ({}) is executed", kind(*number)),
        Happened::Confirmed { have, need, .. } => format!("{have} of {need} admins of the member agree"),
        Happened::Other(text) => text.clone(),
    }
}

/// What people do next.
pub fn next_steps(happened: &[Happened]) -> Vec<String> {
    happened
        .iter()
        .filter_map(|one| match one {
            Happened::Proposed { id, .. } => Some(format!(
                "next: members vote with  lonja permission proposal vote {id} --for --key FILE\n      how it stands:     lonja \
                 permission proposal show {id}\n      when it passed:    lonja permission proposal execute {id} --key FILE"
            )),
            Happened::Confirmed { call, have, need } if have < need => Some(format!(
                "next: {} more of the member's admins send the same with  lonja permission confirmation give {call} --key FILE",
                need.saturating_sub(*have)
            )),
            Happened::Executed { kind: number, .. } if *number == ProposalKind::AdmitMember.number() => Some(
                "next: the new member's admins add what is theirs:\n        lonja permission node add FILE --key FILE\n        lonja \
                 permission account add FILE --key FILE"
                    .to_owned(),
            ),
            _ => None,
        })
        .collect()
}

/// For machines: the transaction, and what it did.
pub fn json(hash: B256, block: u128, receipt: &Value, happened: &[Happened]) -> Value {
    let mut value = json!({
        "hash": hash,
        "block": u64::try_from(block).unwrap_or(u64::MAX),
        "gasUsed": super::act::quantity(&receipt["gasUsed"]).ok().and_then(|gas| u64::try_from(gas).ok()),
        "happened": lines(happened),
    });
    for one in happened {
        match one {
            Happened::Proposed { id, .. } => {
                value["proposal"] = json!(u64::try_from(*id).unwrap_or(u64::MAX))
            }
            Happened::Confirmed { call, have, need } => {
                let number = |value: &U256| u64::try_from(*value).unwrap_or(u64::MAX);
                value["confirmation"] = json!({ "call": call, "have": number(have), "need": number(need) });
            }
            Happened::Executed { .. } | Happened::Other(_) => {}
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::SolEvent;
    use lonja_permissioning::registry::abi::{Governance, Registry};

    fn log(address: Address, event: &impl SolEvent) -> Value {
        let data = event.encode_log_data();
        json!({ "address": address, "topics": data.topics(), "data": data.data, "logIndex": "0x0" })
    }

    #[test]
    fn events_are_told_in_order_and_lead_on() {
        let id = B256::repeat_byte(1);
        let created = Governance::ProposalCreated {
            id: U256::from(7),
            kind: 2,
            proposer: id,
            subject: id,
            payload: Bytes::from(vec![1]),
        };
        let voted = Governance::ProposalVoted { id: U256::from(7), group: id, memberId: id, support: true };
        let happened = read(&json!([log(GOVERNANCE, &created), log(GOVERNANCE, &voted)]));
        assert_eq!(happened[0], Happened::Proposed { id: U256::from(7), kind: 2 });
        let lines = lines(&happened);
        assert_eq!(lines[0], "proposal 7 (suspend-member) is open");
        assert!(lines[1].contains("votes for proposal 7"));
        assert!(next_steps(&happened)[0].contains("proposal vote 7 --for"));
        let told = json(B256::ZERO, 12, &json!({ "gasUsed": "0x10" }), &happened);
        assert_eq!(
            (&told["proposal"], &told["block"], &told["gasUsed"]),
            (&json!(7), &json!(12), &json!(16))
        );
    }

    #[test]
    fn a_confirmation_says_how_many_are_missing() {
        let confirmed = |have: u64| Registry::Confirmed {
            memberId: B256::ZERO,
            callHash: B256::repeat_byte(4),
            admin: Address::ZERO,
            target: REGISTRY,
            have: U256::from(have),
            need: U256::from(2),
        };
        let first = read(&json!([log(REGISTRY, &confirmed(1))]));
        assert_eq!(lines(&first), ["1 of 2 admins of the member agree"]);
        assert!(next_steps(&first)[0].contains("1 more"));
        let second = read(&json!([log(REGISTRY, &confirmed(2))]));
        assert!(next_steps(&second).is_empty());
    }

    #[test]
    fn what_is_not_of_the_registry_is_passed_over() {
        let changed = Registry::MemberChanged { id: B256::ZERO, status: 3 };
        assert_eq!(
            lines(&read(&json!([log(REGISTRY, &changed)])))[0],
            format!("member {} is suspended", B256::ZERO)
        );
        assert!(read(&json!([log(Address::ZERO, &changed)])).is_empty());
        assert!(read(&json!([{ "address": REGISTRY, "topics": [B256::ZERO], "data": "0x" }])).is_empty());
        assert!(read(&json!("nothing")).is_empty());
        assert_eq!(printable("a\n\u{1b}b"), "ab");
    }
}
