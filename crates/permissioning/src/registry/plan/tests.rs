use super::*;
use crate::registry::abi::{ProposalKind, Role};
use serde_json::{Value, json};

fn example() -> Value {
    serde_json::from_str(&without_comments(EXAMPLE)).unwrap()
}

/// Reads the example after a change.
fn changed(change: impl Fn(&mut Value)) -> Result<Plan, PlanError> {
    let mut plan = example();
    change(&mut plan);
    Plan::from_json(&plan.to_string())
}

fn refusal(change: impl Fn(&mut Value)) -> String {
    changed(change).unwrap_err().to_string()
}

#[test]
fn the_example_is_a_plan_and_says_the_defaults() {
    let plan = Plan::from_json(EXAMPLE).unwrap();
    assert_eq!(plan.members.len(), 5);
    let defaults = default_policy(4, 1000);
    assert_eq!(plan.policy, PolicyPlan::of(&defaults), "the example's policy is not the default");
    assert_eq!(plan.policy_values(1000), defaults);
    let without = changed(|plan| plan["policy"] = json!({})).unwrap();
    assert_eq!(without.policy_values(1000), defaults);
    assert_eq!(plan.warnings(1000), Vec::<String>::new());
}

#[test]
fn what_a_plan_leaves_out_has_a_default() {
    let plan = Plan::from_json(EXAMPLE).unwrap();
    let port = &plan.members[1];
    assert_eq!(port.input.adminThreshold, 1);
    assert_eq!(port.input.record.controlGroup, port.id);
    let node = &port.nodes[0];
    assert_eq!(node.input.endpoints.as_ref(), b"puerto.example:30303", "from the enode address");
    assert_eq!(node.input.hostRegion, 8, "its member's region");
    assert!(node.validates && node.validator() == node.node.address());
    assert_eq!(port.accounts[0].access, 7);
    let university = &plan.members[2];
    assert_eq!(university.nodes[0].input.endpoints.as_ref(), b"10.0.0.3:30303,[2001:db8::3]:30303");
    let supervisor = &plan.members[4];
    assert_eq!(supervisor.nodes[0].input.roles, 24);
    assert!(!supervisor.nodes[0].validates);
    let bank = &plan.members[0].input.record;
    assert_eq!(bank.controlGroup, alloy_primitives::keccak256("Banco Uno Group"));
    assert_eq!(bank.legalNameHash, alloy_primitives::keccak256("Banco Uno"));
}

#[test]
fn an_unknown_field_is_named_with_its_path() {
    let said = refusal(|plan| plan["members"][0]["nodes"][0]["rolez"] = json!([]));
    assert!(said.starts_with("members[0].nodes[0]") && said.contains("rolez"), "{said}");
    let said = refusal(|plan| plan["policy"]["sla"]["windwo"] = json!(1));
    assert!(said.starts_with("policy.sla") && said.contains("windwo"), "{said}");
    let said = refusal(|plan| plan["policy"]["votes"]["thresholds"]["admit"] = json!(1));
    assert!(said.starts_with("policy.votes.thresholds") && said.contains("admit-member"), "{said}");
    let said = refusal(|plan| plan["councel"] = json!([]));
    assert!(said.contains("councel"), "{said}");
    let said = Plan::from_json("{\"members\": [], \"members\": []}").unwrap_err().to_string();
    assert!(said.contains("duplicate"), "{said}");
    let said = Plan::from_json("{\"members\": []} {}").unwrap_err().to_string();
    assert!(said.starts_with("the file") && said.contains("trailing"), "{said}");
}

#[test]
fn wrong_values_are_refused_with_their_place() {
    type Change = fn(&mut Value);
    let cases: [(&str, &str, Change); 17] = [
        ("members[0].lei", "mistyped", |p| p["members"][0]["lei"] = json!("9598000BANCOUNO00046")),
        ("members[0].lei", "exactly one", |p| p["members"][0]["taxId"] = json!("ESA1")),
        ("members[1].lei", "exactly one", |p| {
            p["members"][1].as_object_mut().unwrap().remove("taxId");
        }),
        ("members[0].kind", "public-body", |p| p["members"][0]["kind"] = json!("bank")),
        ("members[0].sector", "u16", |p| p["members"][0]["sector"] = json!(70_000)),
        ("members[0].admins", "different", |p| p["members"][0]["admins"] = json!([])),
        ("members[0].threshold", "admins, 2", |p| p["members"][0]["threshold"] = json!(3)),
        ("members[0].threshold", "how many", |p| {
            p["members"][0].as_object_mut().unwrap().remove("threshold");
        }),
        ("members[0].group", "64 hex digits", |p| p["members"][0]["group"] = json!("0x12")),
        ("members[0].quotaClass", "0 to 7", |p| p["members"][0]["quotaClass"] = json!(8)),
        ("members[0].nodes[0].key", "curve", |p| p["members"][0]["nodes"][0]["key"] = json!("ff".repeat(64))),
        ("members[0].nodes[0].roles", "archive", |p| p["members"][0]["nodes"][0]["roles"] = json!(["miner"])),
        ("members[0].nodes[0].roles", "supervisor or auditor", |p| {
            p["members"][0]["nodes"][0]["roles"] = json!(["supervisor"]);
        }),
        ("members[0].nodes[0].validates", "role validator", |p| {
            p["members"][0]["nodes"][0]["roles"] = json!(["regular"]);
        }),
        ("members[0].nodes[0].endpoints", "HOST:PORT", |p| {
            p["members"][0]["nodes"][0]["endpoints"] = json!(["10.0.0.1"]);
        }),
        ("members[0].accounts[0].access", "at least one", |p| {
            p["members"][0]["accounts"][0]["access"] = json!([]);
        }),
        ("council", "different", |p| {
            let key = p["council"][0].clone();
            p["council"].as_array_mut().unwrap().push(key);
        }),
    ];
    for (place, words, change) in cases {
        let said = refusal(change);
        assert!(said.starts_with(place) && said.contains(words), "{place}, {words}: {said}");
    }
}

#[test]
fn endpoints_are_hosts_and_ports() {
    let with = |endpoints: &[&str]| {
        changed(|plan| plan["members"][0]["nodes"][0]["endpoints"] = json!(endpoints)).is_ok()
    };
    assert!(with(&[]) && with(&["a-b.example:1", "10.0.0.1:65535", "[::1]:30303"]));
    for wrong in ["a:0", "a:65536", ":1", "a b:1", "a,b:1", "::1:30303", "[10.0.0.1]:1", "a:"] {
        assert!(!with(&[wrong]), "{wrong}");
    }
    let long = "x".repeat(100) + ":30303";
    assert!(with(&[&long, &long]) && !with(&[&long, &long, &long]));
}

#[test]
fn the_first_validators_are_counted_and_can_be_told_apart() {
    let said = refusal(|plan| {
        let members = plan["members"].as_array_mut().unwrap();
        members.iter_mut().for_each(|member| member["nodes"] = json!([]));
    });
    assert!(said.contains("no node validates"), "{said}");
    let plan = changed(|plan| plan["members"][0]["nodes"][0]["validates"] = json!(false)).unwrap();
    assert_eq!(plan.first_validators().count(), 3);
    assert!(plan.first_validators().all(|(_, node)| node.input.roles & Role::Validator.number() != 0));
}

#[test]
fn a_network_that_could_not_vote_is_refused() {
    let said = refusal(|plan| {
        let members = plan["members"].as_array_mut().unwrap();
        members.iter_mut().for_each(|member| member["voting"] = json!(false));
    });
    assert!(said.contains("have a vote"), "{said}");
    let said = refusal(|plan| plan["policy"]["votes"]["minElectorate"] = json!(5));
    assert!(said.contains("at least 5"), "{said}");
}

#[test]
fn crowded_classes_and_few_validators_are_pointed_out() {
    let plan = changed(|plan| {
        plan["members"][3]["group"] = json!("Banco Uno Group");
        plan["members"][3]["sector"] = json!(64);
        plan["members"][2]["nodes"][0]["validates"] = json!(false);
    });
    let warnings = plan.unwrap().warnings(1000).join("\n");
    for part in ["3 validators", "one group", "one sector"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    assert!(!warnings.contains("region"), "{warnings}");
}

#[test]
fn the_default_policy_fits_the_number_of_validators_and_the_period() {
    for (validators, n, minimum, cap) in
        [(1, 1, 1, 1), (3, 1, 1, 1), (4, 4, 3, 1), (9, 7, 4, 2), (40, 31, 4, 10)]
    {
        let policy = default_policy(validators, 1000).selection;
        assert_eq!((policy.n, policy.nMin, policy.capSector, policy.capGroup), (n, minimum, cap, 1));
        assert!(policy.rotation <= (n - 1) / 3);
    }
    let fast = default_policy(4, 100);
    assert_eq!(fast.selection.epochLength, 864_000);
    assert_eq!(fast.votes.votingLength, 12_096_000);
    assert_eq!(fast.sla.consecutiveMisses, 20, "turns, not time");
    for slow in [0, 60_000, u64::MAX] {
        let slow = default_policy(4, slow);
        assert!(slow.selection.freezeLength < slow.selection.epochLength && slow.sla.heartbeatInterval > 0);
    }
}

#[test]
fn two_thirds_are_reachable_as_such() {
    let votes = default_policy(4, 1000).votes;
    let needed = |electorate: u32| (electorate * u32::from(votes.thresholds[7])).div_ceil(10_000);
    for electorate in 1..=512 {
        assert_eq!(needed(electorate), (electorate * 2).div_ceil(3), "{electorate}");
    }
    assert_eq!(Threshold::Kind(ProposalKind::Policy).place(), 7);
    assert_eq!(votes.strictKinds & (1 << 7), 0);
    assert_eq!(votes.strictKinds, 0xf94e, "every kind with a half, as the contracts' README has it");
}

#[test]
fn a_policy_lies_over_another_field_by_field() {
    let plan = changed(|plan| {
        plan["policy"] = json!({
            "selection": { "epochLength": 20, "freezeLength": 2 },
            "votes": { "thresholds": { "policy": 9000 }, "strictKinds": ["policy"] },
        });
    });
    let values = plan.unwrap().policy_values(1000);
    assert_eq!((values.selection.epochLength, values.selection.n), (20, 4));
    assert_eq!((values.votes.thresholds[7], values.votes.thresholds[4]), (9_000, 6_666));
    assert_eq!(values.votes.strictKinds, 1 << 7);
    assert_eq!(PolicyPlan::of(&values).over(default_policy(1, 1)), values);
}

#[test]
fn comments_are_no_part_of_a_plan() {
    let text = "{ \"a\": \"//b\\\"//\", // c \"d\"\n \"e\": 1 } // f";
    let value: Value = serde_json::from_str(&without_comments(text)).unwrap();
    assert_eq!(value, json!({ "a": "//b\"//", "e": 1 }));
    assert_eq!(without_comments(text).len(), text.len());
}

#[test]
fn one_member_stands_alone_too() {
    let member = example()["members"][0].to_string();
    let alone = MemberPlan::from_json(&member).unwrap();
    assert_eq!(alone, Plan::from_json(EXAMPLE).unwrap().members[0]);
    let said = MemberPlan::from_json(&member.replace("\"sector\"", "\"sectro\"")).unwrap_err().to_string();
    assert!(said.contains("sectro"), "{said}");
    let said = MemberPlan::from_json(&member.replace("00045", "00054")).unwrap_err().to_string();
    assert!(said.starts_with("lei: "), "{said}");
}
