//! What a proposal says, in words.

use super::outcome::printable;
use alloy_primitives::B256;
use lonja_permissioning::registry::abi::{MemberKind, MemberRecord, PolicyValues, Proposal, identity_words};
use lonja_permissioning::registry::plan::PolicyPlan;
use lonja_ptm::PublicKey;
use serde_json::{Value, json};

/// Names and values, for people.
pub fn lines(proposal: &Proposal, current: Option<&PolicyValues>) -> Vec<(&'static str, String)> {
    match proposal {
        Proposal::AdmitMember(input) => {
            let mut lines = vec![
                ("member", identity_words(input.idScheme, &input.idValue)),
                ("admins", input.admins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
                ("must agree", input.adminThreshold.to_string()),
            ];
            lines.extend(record(&input.record));
            lines
        }
        Proposal::SuspendMember { member, reason } | Proposal::LiftMember { member, reason } => {
            vec![("member", member.to_string()), ("reason hash", some(reason))]
        }
        Proposal::ExpelMember { member, statement } => {
            vec![("member", member.to_string()), ("statement hash", some(statement))]
        }
        Proposal::RevokeNode { node, statement } => {
            vec![("node", node.to_string()), ("statement hash", some(statement))]
        }
        Proposal::SuspendNode { node, reason } | Proposal::LiftNode { node, reason } => {
            vec![("node", node.to_string()), ("reason hash", some(reason))]
        }
        Proposal::Candidacy { node, candidate, attestation } => vec![
            ("node", node.to_string()),
            ("candidate", if *candidate { "yes" } else { "no longer" }.to_owned()),
            ("attestation hash", some(attestation)),
        ],
        Proposal::Policy { revision, values } => policy(*revision, values, current),
        Proposal::MemberRecord { member, record: new } => {
            let mut lines = vec![("member", member.to_string())];
            lines.extend(record(new));
            lines
        }
        Proposal::ReplaceAdmins { member, admins, threshold } => vec![
            ("member", member.to_string()),
            ("admins", admins.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            ("must agree", threshold.to_string()),
        ],
        Proposal::Council { keys } => {
            vec![("council", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
        }
        Proposal::Ratify { subject } => vec![("suspended", subject.to_string())],
        Proposal::ReadmitValidator { node } => vec![("node", node.to_string())],
        Proposal::Statement { document, deadline, title } => vec![
            ("title", printable(title)),
            ("document hash", document.to_string()),
            ("deadline", if *deadline == 0 { String::new() } else { deadline.to_string() }),
        ],
        Proposal::ReleaseAccount { account } => vec![("account", account.to_string())],
        Proposal::AddSupervisor { scope, key } => {
            vec![("supervisor", party(key)), ("takes part in what is sent by", scope.to_string())]
        }
        Proposal::RemoveSupervisor { scope, key } => {
            vec![("supervisor", party(key)), ("no longer takes part in what is sent by", scope.to_string())]
        }
        Proposal::ReleaseParty { party: key } => vec![("party", party(key))],
    }
}

fn party(key: &B256) -> String {
    PublicKey(key.0).to_string()
}

fn record(record: &MemberRecord) -> Vec<(&'static str, String)> {
    vec![
        ("kind", MemberKind::from_number(record.kind).map_or("?", MemberKind::name).to_owned()),
        ("has a vote", if record.voting { "yes" } else { "no" }.to_owned()),
        ("quota class", record.quotaClass.to_string()),
        ("sector", record.sector.to_string()),
        ("region", record.region.to_string()),
        ("control group", record.controlGroup.to_string()),
        ("name hash", record.legalNameHash.to_string()),
        ("DID hash", some(&record.didHash)),
        ("documents hash", some(&record.docsHash)),
    ]
}

fn some(hash: &B256) -> String {
    if hash.is_zero() { String::new() } else { hash.to_string() }
}

/// What differs from the policy of now, or all of it where that is not known.
fn policy(
    revision: u64,
    values: &PolicyValues,
    current: Option<&PolicyValues>,
) -> Vec<(&'static str, String)> {
    let mut lines = vec![("made for revision", revision.to_string())];
    let new = flat(values);
    let old = current.map(flat).unwrap_or_default();
    for (place, (name, value)) in new.iter().enumerate() {
        match old.get(place) {
            Some((_, before)) if before == value => {}
            Some((_, before)) => lines.push(("changes", format!("{name}: {before} → {value}"))),
            None => lines.push(("sets", format!("{name}: {value}"))),
        }
    }
    lines
}

/// Every value with its path, always in the same order.
pub fn flat(values: &PolicyValues) -> Vec<(String, Value)> {
    let tree = json!(PolicyPlan::of(values));
    let mut all = Vec::new();
    flatten("", &tree, &mut all);
    all
}

fn flatten(path: &str, value: &Value, all: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, all);
            }
        }
        other => all.push((path.to_owned(), other.clone())),
    }
}

/// For machines.
pub fn json(proposal: &Proposal) -> Value {
    match proposal {
        Proposal::Policy { revision, values } => {
            json!({ "revision": revision, "policy": PolicyPlan::of(values) })
        }
        other => {
            let fields = lines(other, None).into_iter().filter(|(_, value)| !value.is_empty());
            Value::Object(fields.map(|(name, value)| (camel(name), json!(value))).collect())
        }
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split(' ');
    let mut camel = words.next().unwrap_or_default().to_lowercase();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;
    use lonja_permissioning::registry::abi::Scope;
    use lonja_permissioning::registry::plan::default_policy;

    #[test]
    fn a_policy_is_told_by_what_it_changes() {
        let old = default_policy(4, 1_000);
        let mut new = old.clone();
        new.selection.capSector = 2;
        new.quota.enabled = true;
        let lines = lines(&Proposal::Policy { revision: 3, values: Box::new(new) }, Some(&old));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.contains(&("changes", "selection.capSector: 1 → 2".into())), "{lines:?}");
        assert!(lines.contains(&("changes", "quota.enabled: false → true".into())));
    }

    #[test]
    fn every_kind_says_something() {
        let id = B256::repeat_byte(1);
        let proposals = [
            Proposal::SuspendMember { member: id, reason: B256::ZERO },
            Proposal::LiftMember { member: id, reason: id },
            Proposal::ExpelMember { member: id, statement: id },
            Proposal::RevokeNode { node: id, statement: id },
            Proposal::Candidacy { node: id, candidate: true, attestation: B256::ZERO },
            Proposal::MemberRecord {
                member: id,
                record: MemberRecord { kind: 1, ..MemberRecord::default() },
            },
            Proposal::ReplaceAdmins { member: id, admins: vec![Address::ZERO], threshold: 1 },
            Proposal::Council { keys: vec![Address::ZERO] },
            Proposal::Ratify { subject: id },
            Proposal::ReadmitValidator { node: id },
            Proposal::Statement { document: id, deadline: 0, title: "New\nversion".into() },
            Proposal::SuspendNode { node: id, reason: id },
            Proposal::LiftNode { node: id, reason: id },
            Proposal::ReleaseAccount { account: Address::ZERO },
            Proposal::AddSupervisor { scope: Scope::Everybody, key: id },
            Proposal::RemoveSupervisor { scope: Scope::Member(id), key: id },
            Proposal::ReleaseParty { party: id },
            Proposal::Policy { revision: 1, values: Box::new(default_policy(4, 1_000)) },
        ];
        for proposal in proposals {
            assert!(lines(&proposal, None).iter().any(|(_, value)| !value.is_empty()), "{proposal:?}");
            assert!(json(&proposal).as_object().is_some_and(|fields| !fields.is_empty()), "{proposal:?}");
        }
        assert_eq!(camel("made for revision"), "madeForRevision");
    }
}
