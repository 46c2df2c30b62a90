//! The methods of other clients, answered from the registry.

use super::*;

#[tokio::test]
async fn goquorums_lists_are_answered_from_the_registry() {
    let mut node = node();
    suspend_tres(&mut node);
    let client = node.client();
    let orgs = client.call("quorumPermission_orgList", json!([])).await;
    let first = json!({
        "orgId": "506700GE1G29325QX363", "fullOrgId": "506700GE1G29325QX363", "parentOrgId": "",
        "ultimateParent": "506700GE1G29325QX363", "level": 1, "subOrgList": [], "status": 2,
    });
    assert_eq!(orgs[0], first);
    assert_eq!((&orgs[2]["orgId"], &orgs[2]["status"]), (&json!(tres()), &json!(4)));
    let nodes = client.call("quorumPermission_nodeList", json!([])).await;
    let (one, two) = (key(1).node_id(), key(2).node_id());
    assert_eq!(
        nodes[0],
        json!({ "orgId": "506700GE1G29325QX363", "url": format!("enode://{one}@10.0.0.1:30303"), "status": 2 })
    );
    assert_eq!(nodes[1]["url"], format!("enode://{two}@0.0.0.0:0"));
    let accounts = client.call("quorumPermission_acctList", json!([])).await;
    let of = |n: u8| {
        let address = json!(key(n).address());
        accounts.as_array().unwrap().iter().find(|account| account["acctId"] == address).unwrap().clone()
    };
    assert_eq!((&of(11)["roleId"], &of(11)["isOrgAdmin"]), (&json!("ADMIN"), &json!(true)));
    assert_eq!((&of(21)["roleId"], &of(21)["status"]), (&json!("FULL"), &json!(2)));
    assert_eq!((&of(13)["status"], &of(22)["roleId"]), (&json!(3), &json!("TRANSFER")));
    let roles = client.call("quorumPermission_roleList", json!([])).await;
    assert!(roles.as_array().unwrap().iter().any(|role| role["roleId"] == "FULL" && role["access"] == 3));
    let details = client.call("quorumPermission_getOrgDetails", json!(["ESA12345674"])).await;
    assert_eq!((details["nodeList"].as_array().unwrap().len(), &details["subOrgList"]), (1, &json!([])));
    assert_eq!(details["acctList"].as_array().unwrap().len(), 2);
    assert_eq!(
        client.call("quorumPermission_getOrgDetails", json!([uno()])).await["nodeList"],
        json!([nodes[0]])
    );
    let refused = client.refused("quorumPermission_getOrgDetails", json!(["NOBODY"])).await;
    assert_eq!((refused.code, refused.message.as_str()), (-32000, "Org does not exist"));
    assert_eq!(code(&client, "quorumPermission_orgList", json!([1])).await, -32602);
}

#[tokio::test]
async fn goquorums_questions_have_yes_and_no() {
    let client = node().client();
    let asked = |params: Value| client.call("quorumPermission_connectionAllowed", params);
    let id = key(1).node_id().to_string();
    assert_eq!(asked(json!([id, "10.0.0.1", 30303, 0])).await, true);
    assert_eq!(asked(json!([format!("enode://{id}@10.0.0.1:30303")])).await, true);
    assert_eq!(asked(json!([key(9).node_id().to_string(), "10.0.0.1", 30303])).await, false);
    let tx = json!([{ "from": key(22).address(), "to": Address::repeat_byte(3), "value": "0x1" }]);
    assert_eq!(client.call("quorumPermission_transactionAllowed", tx).await, true);
    let tx = json!([{ "from": key(22).address(), "data": "0x60" }]);
    assert_eq!(client.call("quorumPermission_transactionAllowed", tx).await, false);
    assert_eq!(code(&client, "quorumPermission_connectionAllowed", json!([node_key(1)])).await, -32602);
    assert_eq!(code(&client, "quorumPermission_connectionAllowed", json!([id, "a", "b"])).await, -32602);
}

#[tokio::test]
async fn what_changes_permissions_elsewhere_is_refused_with_the_way_to_do_it() {
    let client = node().client();
    let mutators: Vec<&str> = client
        .methods()
        .into_iter()
        .filter(|name| name.starts_with("quorumPermission_") || name.starts_with("perm_"))
        .collect();
    let reading = ["List", "getOrgDetails", "Allowed", "getNodesAllowlist", "getAccountsAllowlist"];
    let mut refused = 0;
    for name in mutators.iter().filter(|name| !reading.iter().any(|end| name.ends_with(end))) {
        let answer = client.refused(name, json!(["ORG", 1, {}])).await;
        assert_eq!(answer.code, -32604, "{name}");
        assert!(answer.message.contains("use lonja permission"), "{name}: {}", answer.message);
        refused += 1;
    }
    assert_eq!(refused, 23);
}

#[tokio::test]
async fn besus_allowlists_are_what_the_registry_permits() {
    let mut node = node();
    let nodes = node.client().call("perm_getNodesAllowlist", json!([])).await;
    assert_eq!(nodes.as_array().unwrap().len(), 2);
    assert_eq!(nodes[0], format!("enode://{}@10.0.0.1:30303", key(1).node_id()));
    let accounts = node.client().call("perm_getAccountsAllowlist", json!([])).await;
    assert_eq!(accounts, json!([key(21).address(), key(22).address(), key(23).address()]));
    use lonja_permissioning::registry::abi::{REGISTRY, Registry};
    let call = Registry::setOwnNodeStatusCall { nodeKey: node_key(2), status: 3 };
    act(&mut node, &key(12), 0, REGISTRY, &call);
    assert_eq!(node.client().call("perm_getNodesAllowlist", json!([])).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn votes_on_validators_are_refused_where_a_contract_chooses() {
    let client = node().client();
    for method in ["istanbul_propose", "qbft_proposeValidatorVote"] {
        let refused = client.refused(method, json!([Address::repeat_byte(1), true])).await;
        assert_eq!(refused.code, -32604);
        assert!(refused.message.contains("chooses the validators"), "{}", refused.message);
    }
    assert_eq!(client.call("istanbul_getValidators", json!([])).await, json!([key(1).address()]));
    let status = client.call("lonja_status", json!([])).await;
    assert!(status["validatorContract"].is_string());
}
