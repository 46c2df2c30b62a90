use super::*;
use alloy_primitives::U256;

#[tokio::test]
async fn members_are_read_with_names_and_numbers() {
    let node = node();
    let client = node.client();
    let list = client.call("lonja_listMembers", json!([])).await;
    assert_eq!((&list["total"], &list["next"], &list["block"]), (&json!(3), &Value::Null, &json!(0)));
    assert_eq!(list["members"].as_array().unwrap().len(), 3);
    let page = client.call("lonja_listMembers", json!([1, 1])).await;
    assert_eq!(page["next"], 2);
    assert_eq!(page["members"][0]["idText"], "ESA12345674");
    let one = client.call("lonja_getMember", json!([uno()])).await;
    assert_eq!((&one["status"], &one["statusNumber"]), (&json!("active"), &json!(2)));
    assert_eq!(
        (&one["kind"], &one["idScheme"], &one["sector"]),
        (&json!("ordinary"), &json!("lei"), &json!(64))
    );
    assert_eq!(one["identity"], "LEI 506700GE1G29325QX363");
    assert_eq!((&one["permitted"], &one["mayVote"]), (&json!(true), &json!(true)));
    assert_eq!(one["admins"], json!([key(11).address()]));
    assert_eq!(one["nodes"], json!([node_key(1)]));
    assert_eq!(one["legalNameHash"], json!(keccak256("Uno")));
    // By an admin, and by an account.
    for n in [11, 22] {
        assert_eq!(client.call("lonja_getMember", json!([key(n).address()])).await, one);
    }
    assert_eq!(client.call("lonja_getMember", json!([B256::repeat_byte(9)])).await, Value::Null);
    let did = client.call("lonja_getMember", json!([tres()])).await;
    assert_eq!((&did["idText"], &did["idScheme"]), (&Value::Null, &json!("did")));
}

#[tokio::test]
async fn nodes_are_found_by_each_of_their_names_and_by_filters() {
    let node = node();
    let client = node.client();
    let id = key(1).node_id();
    let by_key = client.call("lonja_getNode", json!([node_key(1)])).await;
    assert_eq!(by_key["endpoints"], json!(["10.0.0.1:30303", "node.example:1"]));
    assert_eq!(by_key["enode"], format!("enode://{id}@10.0.0.1:30303"));
    assert_eq!(by_key["roles"], json!(["regular", "validator"]));
    assert_eq!((&by_key["status"], &by_key["permitted"]), (&json!("active"), &json!(true)));
    assert_eq!(by_key["validatorAddress"], json!(key(1).address()));
    for name in [id.to_string(), format!("enode://{id}@1.2.3.4:5"), key(1).address().to_string()] {
        assert_eq!(client.call("lonja_getNode", json!([name])).await, by_key);
    }
    assert_eq!(client.call("lonja_getNode", json!([key(9).node_id().to_string()])).await, Value::Null);
    assert_eq!(client.call("lonja_getNode", json!([Address::ZERO])).await, Value::Null);
    let found = |filter: Value| {
        let client = client.clone();
        async move {
            let list = client.call("lonja_listNodes", json!([filter])).await;
            list["nodes"].as_array().unwrap().iter().map(|node| node["key"].clone()).collect::<Vec<_>>()
        }
    };
    assert_eq!(found(Value::Null).await.len(), 2);
    assert_eq!(found(json!({ "role": "validator" })).await, [json!(node_key(1))]);
    assert_eq!(found(json!({ "member": uno() })).await, [json!(node_key(1))]);
    assert_eq!(found(json!({ "member": key(12).address(), "status": "active" })).await, [json!(node_key(2))]);
    assert!(found(json!({ "status": "revoked" })).await.is_empty());
    let page = client.call("lonja_listNodes", json!([{ "limit": 1 }])).await;
    assert_eq!((page["nodes"].as_array().unwrap().len(), &page["next"]), (1, &json!(1)));
    assert_eq!(code(&client, "lonja_listNodes", json!([{ "role": "king" }])).await, -32602);
    assert_eq!(code(&client, "lonja_listNodes", json!([{ "state": "active" }])).await, -32602);
}

#[tokio::test]
async fn accounts_say_what_an_address_may_do() {
    let node = node();
    let client = node.client();
    let full = client.call("lonja_getAccountPermission", json!([key(21).address()])).await;
    assert_eq!(full["access"], json!(["transfer", "call", "deploy"]));
    assert_eq!(
        (&full["permitted"], &full["status"], &full["member"]),
        (&json!(true), &json!("active"), &json!(uno()))
    );
    assert_eq!(
        (&full["frozen"], &full["freeze"], &full["adminOf"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    let admin = client.call("lonja_getAccountPermission", json!([key(11).address()])).await;
    assert_eq!((&admin["status"], &admin["permitted"]), (&json!("unknown"), &json!(false)));
    assert_eq!((&admin["adminOf"], &admin["mayGovern"]), (&json!(uno()), &json!(true)));
    let council = client.call("lonja_getAccountPermission", json!([key(14).address()])).await;
    assert_eq!((&council["council"], &council["adminOf"]), (&json!(true), &Value::Null));
    let nobody = client.call("lonja_getAccountPermission", json!([Address::repeat_byte(7)])).await;
    assert_eq!((&nobody["status"], &nobody["mayGovern"]), (&json!("unknown"), &json!(false)));
    let list = client.call("lonja_listAccounts", json!([0, 2])).await;
    assert_eq!((&list["total"], &list["next"]), (&json!(3), &json!(2)));
}

/// Entries with proofs: the root of a header, and words in which the entry is found again.
#[tokio::test]
async fn proofs_lead_to_the_header_and_hold_the_words() {
    let mut node = node();
    node.mine();
    let client = node.client();
    let header = client.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    for (method, name, words) in [
        ("lonja_getMember", json!(uno()), 8),
        ("lonja_getNode", json!(node_key(1)), 8),
        ("lonja_getAccountPermission", json!(key(21).address()), 3),
    ] {
        let entry = client.call(method, json!([name, { "proof": true }])).await;
        let proof = &entry["proof"];
        assert_eq!((&proof["stateRoot"], &proof["number"]), (&header["stateRoot"], &json!(1)), "{method}");
        let slots = proof["storageProof"].as_array().unwrap();
        assert_eq!(slots.len(), words);
        let value = |slot: &Value| slot["value"].as_str().unwrap().parse::<U256>().unwrap();
        assert_eq!(value(&slots[0]) & U256::from(255), U256::from(2), "{method}: the status");
        assert!(slots.iter().all(|slot| !slot["proof"].as_array().unwrap().is_empty()));
        // The same as eth_getProof gives.
        let keys: Vec<&Value> = slots.iter().map(|slot| &slot["key"]).collect();
        let direct = client.call("eth_getProof", json!([proof["address"], keys, "0x1"])).await;
        assert_eq!(
            (&direct["storageProof"], &direct["accountProof"]),
            (&proof["storageProof"], &proof["accountProof"])
        );
        let without = client.call(method, json!([name, "0x1"])).await;
        assert_eq!(without.get("proof"), None);
        let other = client.call(method, json!([name, "0x0", { "proof": true }])).await;
        assert_eq!(other["block"], 0);
    }
    // The second word of a node is its member, the word after its own is the status word of that.
    let entry = client.call("lonja_getNode", json!([node_key(1), { "proof": true }])).await;
    let slots = entry["proof"]["storageProof"].as_array().unwrap();
    assert_eq!(slots[1]["value"].as_str().unwrap().parse::<U256>().unwrap(), U256::from_be_bytes(uno().0));
}

#[tokio::test]
async fn proposals_go_from_open_to_executed_and_the_past_stays_readable() {
    let mut node = node();
    let none = node.client().call("lonja_getProposals", json!([])).await;
    assert_eq!((&none["total"], &none["proposals"], &none["next"]), (&json!(0), &json!([]), &Value::Null));
    suspend_tres(&mut node);
    let client = node.client();
    let open = client.call("lonja_getProposal", json!([1, "0x1"])).await;
    assert_eq!(
        (&open["kind"], &open["status"], &open["subject"]),
        (&json!("suspend-member"), &json!("open"), &json!(tres()))
    );
    assert_eq!((&open["votesFor"], &open["electorate"]), (&json!(1), &json!(3)));
    let passed = client.call("lonja_getProposal", json!(["0x1", "0x2"])).await;
    assert_eq!((&passed["status"], passed["votes"].as_array().unwrap().len()), (&json!("passed"), 2));
    let done = client.call("lonja_getProposals", json!(["executed"])).await;
    assert_eq!((&done["proposals"][0]["id"], &done["block"]), (&json!(1), &json!(3)));
    let filter = json!([{ "state": "open", "limit": 5 }]);
    assert_eq!(client.call("lonja_getProposals", filter).await["proposals"], json!([]));
    let member = client.call("lonja_getMember", json!([tres()])).await;
    assert_eq!((&member["status"], &member["mayVote"]), (&json!("suspended"), &json!(false)));
    assert_eq!(client.call("lonja_getMember", json!([tres(), "0x2"])).await["status"], "active");
    assert_eq!(client.call("lonja_getProposal", json!([2])).await, Value::Null);
    assert_eq!(client.call("lonja_getProposal", json!([0])).await, Value::Null);
    assert_eq!(code(&client, "lonja_getProposals", json!(["maybe"])).await, -32602);
    assert_eq!(code(&client, "lonja_getProposals", json!([{ "limit": 201 }])).await, -32602);
    assert_eq!(code(&client, "lonja_getProposal", json!([1, "0x9"])).await, -32000);
}

#[tokio::test]
async fn policy_validators_and_quotas_are_read() {
    let mut node = node();
    node.mine();
    let client = node.client();
    let policy = client.call("lonja_getPolicy", json!([])).await;
    assert_eq!(policy["policy"]["selection"]["epochLength"], 10);
    assert_eq!(policy["policy"]["votes"]["votingLength"], 50);
    assert_eq!(policy["next"], Value::Null);
    let set = client.call("lonja_getValidatorSet", json!([])).await;
    let seat = &set["validators"][0];
    assert_eq!((&seat["address"], &seat["node"]), (&json!(key(1).address()), &json!(node_key(1))));
    assert_eq!(
        (&seat["seated"], &seat["member"], &seat["permitted"]),
        (&json!(true), &json!(uno()), &json!(true))
    );
    assert_eq!(set["candidates"], json!([node_key(1)]));
    let sla = client.call("lonja_getSla", json!([key(1).address()])).await;
    assert_eq!((&sla["candidate"], &sla["suspended"]), (&json!(true), &json!(false)));
    assert!(sla["policy"]["window"].is_number());
    assert_eq!(client.call("lonja_getSla", json!([node_key(8)])).await, Value::Null);
    let chosen = client.call("lonja_simulateSelection", json!([])).await;
    assert_eq!((&chosen["chosen"], &chosen["candidates"][0]["reason"]), (&json!(1), &json!("stays")));
    let other = client.call("lonja_simulateSelection", json!([{ "capSector": 1 }, "0x0"])).await;
    assert_eq!(other["block"], 0);
    assert_eq!(code(&client, "lonja_simulateSelection", json!([{ "capSecotr": 1 }])).await, -32602);
    let acts = client.call("lonja_getActs", json!([])).await;
    assert_eq!(acts["total"].as_u64().unwrap() as usize, acts["acts"].as_array().unwrap().len());
    let first = &acts["acts"][0];
    assert_eq!(
        (&first["kind"], &first["address"], &first["value"]),
        (&json!("seated"), &json!(key(1).address()), &Value::Null)
    );
    let quota = client.call("lonja_getQuota", json!([uno()])).await;
    assert_eq!((&quota["limited"], &quota["member"]), (&json!(true), &json!(uno())));
    assert!(quota["gasAvailable"].as_u64().unwrap() > quota["gasPerBlock"].as_u64().unwrap());
    let account = client.call("lonja_getQuota", json!([key(22).address()])).await;
    assert_eq!(account, quota);
    let stranger = client.call("lonja_getQuota", json!([Address::repeat_byte(7)])).await;
    assert_eq!((&stranger["limited"], &stranger["member"]), (&json!(false), &Value::Null));
    let council = client.call("lonja_getCouncil", json!([])).await;
    assert_eq!((&council["keys"], &council["electorate"]), (&json!([key(14).address()]), &json!(3)));
}

#[tokio::test]
async fn freezes_are_listed() {
    use lonja_permissioning::registry::abi::{SUPERVISION, Supervision};
    let mut node = node();
    let subject = key(22).address();
    let call = Supervision::freezeCall { subject, orderHash: B256::repeat_byte(5), until: 0 };
    act(&mut node, &key(12), 0, SUPERVISION, &call);
    assert_eq!(node.client().call("lonja_getFreezes", json!([])).await["total"], 0);
    act(&mut node, &key(14), 0, SUPERVISION, &call);
    let client = node.client();
    let list = client.call("lonja_getFreezes", json!([])).await;
    assert_eq!((&list["total"], &list["emergencies"]), (&json!(1), &json!([])));
    assert_eq!(
        (&list["freezes"][0]["subject"], &list["freezes"][0]["inForce"]),
        (&json!(subject), &json!(true))
    );
    let account = client.call("lonja_getAccountPermission", json!([subject])).await;
    assert_eq!((&account["frozen"], &account["permitted"]), (&json!(true), &json!(false)));
    assert_eq!(account["freeze"]["orderHash"], json!(B256::repeat_byte(5)));
}

/// A network without a registry says so, and everything else still answers.
#[tokio::test]
async fn without_a_registry_the_answer_is_clear() {
    let client = TestNode::new().client();
    for (method, params) in [
        ("lonja_getMember", json!([uno()])),
        ("lonja_listMembers", json!([])),
        ("lonja_getNode", json!([node_key(1)])),
        ("lonja_listNodes", json!([])),
        ("lonja_getAccountPermission", json!([Address::ZERO])),
        ("lonja_listAccounts", json!([])),
        ("lonja_getProposals", json!([])),
        ("lonja_getProposal", json!([1])),
        ("lonja_getPolicy", json!([])),
        ("lonja_getValidatorSet", json!([])),
        ("lonja_simulateSelection", json!([])),
        ("lonja_getSla", json!([node_key(1)])),
        ("lonja_getActs", json!([])),
        ("lonja_getQuota", json!([uno()])),
        ("lonja_getCouncil", json!([])),
        ("lonja_getFreezes", json!([])),
        ("quorumPermission_orgList", json!([])),
        ("perm_getNodesAllowlist", json!([])),
        ("perm_getAccountsAllowlist", json!([])),
    ] {
        let refused = client.refused(method, params).await;
        assert_eq!(refused.code, -32604, "{method}: {}", refused.message);
        assert!(refused.message.contains("has no registry"), "{method}: {}", refused.message);
    }
}
