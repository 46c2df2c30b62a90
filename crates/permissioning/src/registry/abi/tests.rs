use super::*;
use crate::registry::genesis::artifacts;
use crate::registry::plan::{EXAMPLE, Plan};
use crate::registry::testing::World;
use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::{SolEvent, SolStruct};
use lonja_evm::CallOutcome;
use serde_json::Value;
use std::collections::BTreeMap;

/// Functions that the node and its tools leave to the contracts among each other, or to tools of other clients.
const UNUSED: &[(&str, &[&str])] = &[
    ("NodeRules", &["enodePermitted", "getSize", "getByIndex", "getContractAddress", "getContractVersion"]),
    (
        "AccountRules",
        &[
            "accountPermitted",
            "getAccounts",
            "getSize",
            "getByIndex",
            "getContractAddress",
            "getContractVersion",
        ],
    ),
    (
        "Registry",
        &[
            "admit",
            "clearFreeze",
            "confirm",
            "memberFacts",
            "ratify",
            "releaseAccount",
            "replaceAdmins",
            "seatsPermitted",
            "setCandidate",
            "setCouncil",
            "setFreeze",
            "setMemberRecord",
            "setMemberStatus",
            "setNodeStatus",
            "suspendUntil",
        ],
    ),
    ("Validators", &["noteLoss", "readmit", "strike"]),
    ("Policy", &["quotaOf", "replace", "settle"]),
    ("Parties", &["addSupervisor", "releaseParty", "removeSupervisor"]),
];

/// Selectors and signatures as the compiler wrote them, by the kind of entry.
fn compiled(abi: &Value, kind: &str) -> BTreeMap<String, String> {
    let entries = abi.as_array().unwrap().iter().filter(|entry| entry["type"] == kind);
    entries.map(|entry| (signature(entry), entry["name"].as_str().unwrap().to_owned())).collect()
}

fn signature(entry: &Value) -> String {
    let types: Vec<String> = entry["inputs"].as_array().unwrap().iter().map(type_of).collect();
    format!("{}({})", entry["name"].as_str().unwrap(), types.join(","))
}

fn type_of(input: &Value) -> String {
    let name = input["type"].as_str().unwrap();
    let Some(suffix) = name.strip_prefix("tuple") else { return name.to_owned() };
    let parts: Vec<String> = input["components"].as_array().unwrap().iter().map(type_of).collect();
    format!("({}){suffix}", parts.join(","))
}

/// Name and address of a contract, its functions' selectors and signatures, its events' topics.
type Known = (&'static str, Address, &'static [[u8; 4]], &'static [&'static str], &'static [[u8; 32]]);

fn known() -> Vec<Known> {
    macro_rules! known {
        ($($name:ident $calls:ident $address:ident $events:expr),+ $(,)?) => {
            vec![$((
                stringify!($name),
                $address,
                $name::$calls::SELECTORS,
                $name::$calls::SIGNATURES,
                $events,
            )),+]
        };
    }
    known![
        NodeRules NodeRulesCalls NODE_RULES &[],
        AccountRules AccountRulesCalls ACCOUNT_RULES &[],
        Registry RegistryCalls REGISTRY Registry::RegistryEvents::SELECTORS,
        Governance GovernanceCalls GOVERNANCE Governance::GovernanceEvents::SELECTORS,
        Validators ValidatorsCalls VALIDATORS Validators::ValidatorsEvents::SELECTORS,
        Quotas QuotasCalls QUOTAS &[],
        Supervision SupervisionCalls SUPERVISION Supervision::SupervisionEvents::SELECTORS,
        Policy PolicyCalls POLICY Policy::PolicyEvents::SELECTORS,
        Evidence EvidenceCalls EVIDENCE Evidence::EvidenceEvents::SELECTORS,
        Parties PartiesCalls PARTIES Parties::PartiesEvents::SELECTORS,
    ]
}

#[test]
fn every_function_and_event_is_the_contracts() {
    let artifacts = artifacts();
    assert_eq!(artifacts.len(), known().len());
    for (name, address, selectors, signatures, topics) in known() {
        let artifact = artifacts.iter().find(|artifact| artifact.contract == name).unwrap();
        assert_eq!(artifact.address, address, "{name}");
        let mut functions = compiled(&artifact.abi, "function");
        for (selector, signature) in selectors.iter().zip(signatures) {
            assert_eq!(keccak256(signature)[..4], *selector, "{signature}");
            assert!(functions.remove(*signature).is_some(), "{name} has no function {signature}");
        }
        let unused =
            UNUSED.iter().find(|(contract, _)| *contract == name).map_or(&[][..], |(_, names)| names);
        let left: Vec<&str> = functions.values().map(String::as_str).collect();
        let mut expected = unused.to_vec();
        expected.sort_unstable();
        let mut left = left;
        left.sort_unstable();
        assert_eq!(left, expected, "functions of {name} that are neither known nor listed as unused");
        let mut events: Vec<[u8; 32]> =
            compiled(&artifact.abi, "event").keys().map(|one| keccak256(one).0).collect();
        let mut topics = topics.to_vec();
        events.sort_unstable();
        topics.sort_unstable();
        assert_eq!(events, topics, "events of {name}");
    }
}

/// What functions answer is not in their selectors.
#[test]
fn answers_have_the_contracts_types() {
    let sources = include_str!("contracts.rs");
    for artifact in artifacts() {
        let entries = artifact.abi.as_array().unwrap();
        for entry in entries.iter().filter(|entry| entry["type"] == "function") {
            let name = entry["name"].as_str().unwrap();
            let interface = sources.split(&format!("interface {} {{", artifact.contract)).nth(1).unwrap();
            let interface = interface.split("\n    }").next().unwrap();
            let Some(function) = interface.split(&format!("function {name}(")).nth(1) else { continue };
            let function = function.split(';').next().unwrap();
            let written = function.split("returns (").nth(1).map(|list| list.trim_end_matches(')'));
            let written: Vec<&str> = written.map_or(Vec::new(), |list| {
                list.split(", ").map(|one| one.split(' ').next().unwrap()).collect()
            });
            let outputs = entry["outputs"].as_array().unwrap().iter();
            let answers: Vec<String> = outputs
                .map(|output| match output["internalType"].as_str().unwrap().strip_prefix("struct ") {
                    Some(name) => name.to_owned(),
                    None => output["type"].as_str().unwrap().to_owned(),
                })
                .collect();
            assert_eq!(written, answers, "{name} of {}", artifact.contract);
        }
    }
}

/// The structs within these parameters, each with its fields as EIP-712 writes them.
fn structs(parameters: &Value, found: &mut BTreeMap<String, String>) {
    for parameter in parameters.as_array().unwrap() {
        let Some(name) = struct_name(parameter) else { continue };
        let fields = parameter["components"].as_array().unwrap().iter().map(|field| {
            let type_name = struct_name(field).unwrap_or_else(|| type_of(field));
            format!("{type_name} {}", field["name"].as_str().unwrap())
        });
        let fields: Vec<String> = fields.collect();
        found.insert(name.clone(), format!("{name}({})", fields.join(",")));
        structs(&parameter["components"], found);
    }
}

fn struct_name(parameter: &Value) -> Option<String> {
    let name = parameter["internalType"].as_str()?.strip_prefix("struct ")?;
    Some(name.trim_end_matches("[]").to_owned())
}

/// Selectors do not tell two fields of one type apart.
#[test]
fn structs_have_the_contracts_fields_in_their_order() {
    let mut compiled = BTreeMap::new();
    for entry in artifacts().iter().flat_map(|artifact| artifact.abi.as_array().unwrap()) {
        for list in ["inputs", "outputs"] {
            if entry[list].is_array() {
                structs(&entry[list], &mut compiled);
            }
        }
    }
    macro_rules! fields {
        ($($name:ident)+) => { BTreeMap::from([$((stringify!($name).to_owned(), $name::eip712_root_type().into_owned())),+]) };
    }
    let known = fields![
        Member Node Account MemberInput MemberRecord NodeInput Freeze SelectionPolicy SlaPolicy VotePolicy LimitPolicy
        QuotaPolicy PolicyValues ProposalView VoteView ValidatorState Act SupervisorRule
    ];
    assert_eq!(known, compiled);
}

#[test]
fn every_error_has_words() {
    let mut seen = 0;
    for artifact in artifacts() {
        for signature in compiled(&artifact.abi, "error").keys() {
            let mut output = keccak256(signature)[..4].to_vec();
            let arguments = signature.split(['(', ')']).nth(1).unwrap();
            match arguments {
                "string" => {
                    output.extend(U256::from(32).to_be_bytes::<32>());
                    output.extend(U256::from(1).to_be_bytes::<32>());
                    output.extend(B256::right_padding_from(b"n"));
                }
                _ => output.resize(4 + 32 * arguments.split(',').filter(|one| !one.is_empty()).count(), 0),
            }
            let words = explain_revert(&output);
            assert!(words.is_some_and(|words| words.len() > 10), "{signature} of {}", artifact.contract);
            seen += 1;
        }
    }
    assert!(seen > 30);
    let sources = include_str!("../../../../../genesis/contracts/src/Errors.sol");
    for line in sources.lines().filter_map(|line| line.strip_prefix("error ")) {
        let name = line.split('(').next().unwrap();
        let known =
            Failures::FailuresErrors::SIGNATURES.iter().any(|one| one.starts_with(&format!("{name}(")));
        assert!(known, "the error {name} is not known");
    }
    assert_eq!(explain_revert(&[1, 2, 3, 4]), None);
    assert_eq!(explain_revert(&[]), None);
}

fn proposals() -> Vec<Proposal> {
    let plan = Plan::from_json(EXAMPLE).unwrap();
    let member = plan.members[0].clone();
    let (subject, hash) = (B256::repeat_byte(0x51), B256::repeat_byte(0x4a));
    let keys = vec![Address::repeat_byte(1), Address::repeat_byte(2)];
    vec![
        Proposal::AdmitMember(member.input.clone()),
        Proposal::SuspendMember { member: subject, reason: hash },
        Proposal::LiftMember { member: subject, reason: hash },
        Proposal::ExpelMember { member: subject, statement: hash },
        Proposal::RevokeNode { node: subject, statement: hash },
        Proposal::Candidacy { node: subject, candidate: true, attestation: hash },
        Proposal::Policy { revision: 1, values: Box::new(plan.policy_values(1000)) },
        Proposal::MemberRecord { member: subject, record: member.input.record },
        Proposal::ReplaceAdmins { member: subject, admins: keys.clone(), threshold: 2 },
        Proposal::Council { keys },
        Proposal::Ratify { subject },
        Proposal::ReadmitValidator { node: subject },
        Proposal::Statement { document: subject, deadline: 77, title: "Acta número uno".into() },
        Proposal::SuspendNode { node: subject, reason: hash },
        Proposal::LiftNode { node: subject, reason: hash },
        Proposal::ReleaseAccount { account: Address::repeat_byte(3) },
        Proposal::AddSupervisor { scope: Scope::Everybody, key: subject },
        Proposal::RemoveSupervisor { scope: Scope::Sector(7), key: subject },
        Proposal::ReleaseParty { party: subject },
    ]
}

#[test]
fn the_contract_takes_every_kind_of_proposal_and_finds_its_subject() {
    let world = World::new();
    let admin = world.plan.members[2].input.admins[0];
    for (proposal, kind) in proposals().into_iter().zip(ProposalKind::ALL) {
        assert_eq!(proposal.kind(), kind);
        let payload = proposal.payload();
        let call = Governance::proposeCall { kind: kind.number(), payload: payload.clone() };
        let CallOutcome::Success { logs, .. } = world.call(admin, GOVERNANCE, &call) else {
            panic!("{kind} is refused")
        };
        let created = logs.iter().find_map(|log| Governance::ProposalCreated::decode_log(log).ok()).unwrap();
        assert_eq!((created.id, created.kind, &created.payload), (U256::from(1), kind.number(), &payload));
        assert_eq!(created.proposer, world.plan.members[2].id);
        let subject = match kind {
            ProposalKind::AdmitMember => world.plan.members[0].id,
            ProposalKind::Policy | ProposalKind::Council => B256::ZERO,
            ProposalKind::ReleaseAccount => Address::repeat_byte(3).into_word(),
            _ => B256::repeat_byte(0x51),
        };
        assert_eq!(created.subject, subject, "{kind}");
        let short =
            Governance::proposeCall { kind: kind.number(), payload: payload.slice(..payload.len() - 32) };
        assert!(!matches!(world.call(admin, GOVERNANCE, &short), CallOutcome::Success { .. }), "{kind}");
    }
}

#[test]
fn payloads_are_read_as_they_are_written() {
    for proposal in proposals() {
        let (kind, payload) = (proposal.kind(), proposal.payload());
        assert_eq!(Proposal::decode(kind.number(), &payload), Ok(proposal));
        let cut = Proposal::decode(kind.number(), &payload[..payload.len() - 1]);
        assert!(matches!(cut, Err(PayloadError::Payload(at, _)) if at == kind), "{kind}");
        let longer = [&payload[..], &[0; 32]].concat();
        assert!(Proposal::decode(kind.number(), &longer).is_err(), "{kind}");
    }
    let unknown = Proposal::decode(20, &[]).unwrap_err().to_string();
    assert!(unknown.starts_with("20 is no kind") && unknown.contains("admit-member"), "{unknown}");
}

#[test]
fn kinds_have_names_and_numbers() {
    for (place, kind) in ProposalKind::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(kind.number()), place + 1);
        assert_eq!(ProposalKind::from_number(kind.number()), Ok(kind));
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    assert!(ProposalKind::from_number(0).is_err());
    assert!("admit".parse::<ProposalKind>().is_err());
    for kind in MemberKind::ALL {
        assert_eq!(MemberKind::from_number(kind.number()), Some(*kind));
        assert_eq!(kind.name().parse(), Ok(*kind));
    }
    assert_eq!(MemberKind::from_number(7), None);
    assert_eq!(role_names(3), "regular, validator");
    assert_eq!(access_names(0), "nothing");
    assert!("miner".parse::<Role>().unwrap_err().contains("archive"));
}

#[test]
fn ids_are_told_in_their_scheme() {
    let lei = B256::right_padding_from(b"9598000BANCOUNO00045");
    assert_eq!(identity_words(1, &lei), "LEI 9598000BANCOUNO00045");
    assert_eq!(identity_words(4, &lei), format!("DID hash {lei}"), "a hash is never text");
    assert_eq!(identity_words(2, &B256::repeat_byte(1)), format!("tax id {}", B256::repeat_byte(1)));
    assert_eq!(text_of(&B256::ZERO), None);
    let mut gap = lei;
    gap[25] = b'x';
    assert_eq!(text_of(&gap), None);
}
