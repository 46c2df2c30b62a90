use super::*;

fn refused(rule: &str, reason: &str) -> Value {
    json!({ "allowed": false, "rule": rule, "reason": reason, "contract": "0x9999", "block": 12, "node": "0xabcd" })
}

fn allowed() -> Value {
    json!({ "allowed": true, "rule": null, "reason": "it is", "contract": "0x9999", "block": 12 })
}

fn text(said: &Said) -> String {
    format!("{}\n{}", said.sentences.join("\n"), said.next.join("\n"))
}

#[test]
fn a_node_is_told_about_with_rule_contract_block_and_a_next_step() {
    let member = |status: &str| json!({ "id": "0x77", "identity": "LEI 1", "status": status, "permitted": status == "active" });
    let node = |status: &str| json!({ "key": "0x55", "status": status, "roles": ["regular"], "member": "0x77", "expires": 0 });
    let told = |status: &str, owner: &str| {
        text(&told_of_node(&refused("nodes", "it is so"), Some(&node(status)), Some(&member(owner)), true))
    };
    let first = told("deactivated", "active");
    assert!(
        first.contains("may not connect: it is so (rule nodes, contract 0x9999, in the block after 12)"),
        "{first}"
    );
    assert!(first.contains("The registry has it as deactivated, regular, of LEI 1."), "{first}");
    assert!(first.contains("node activate 0x55"), "{first}");
    assert!(told("suspended", "active").contains("node lift 0x55"));
    assert!(told("revoked", "active").contains("lonja key new"));
    assert!(told("active", "suspended").contains("member lift 0x77"));
    let unknown = text(&told_of_node(&refused("nodes", "unknown"), None, None, true));
    assert!(unknown.contains("node add enode://abcd@HOST:PORT"), "{unknown}");
    let foreign = text(&told_of_node(&refused("nodes", "no"), None, None, false));
    assert!(foreign.contains("whoever governs the contract 0x9999"), "{foreign}");
    let fine = text(&told_of_node(&allowed(), None, None, false));
    assert!(fine.contains("may connect (contract 0x9999, in the block after 12)"), "{fine}");
    let address =
        json!({ "allowed": false, "needsAddress": true, "contract": "0x1", "rule": "nodes", "block": 1 });
    assert!(text(&told_of_node(&address, None, None, false)).contains("enode://KEY@HOST:PORT"));
}

#[test]
fn an_account_is_told_about_by_what_it_may_do() {
    let address = Address::repeat_byte(1);
    let verdicts = [
        ("transfer", allowed()),
        ("call", refused("accounts", "no calls")),
        ("deploy", refused("accounts", "no")),
    ];
    let account = json!({ "status": "active", "frozen": false, "member": "0x77" });
    let member = json!({ "id": "0x77", "permitted": true, "status": "active" });
    let told = text(&told_of_account(address, &verdicts, Some(&account), Some(&member)));
    assert!(told.contains("may: transfer (contract 0x9999"), "{told}");
    assert!(told.contains("It may not: call, deploy: no calls (rule accounts"), "{told}");
    assert!(told.contains("account set 0x0101"), "{told}");
    let frozen = json!({ "frozen": true, "freeze": { "orderHash": "0x99" } });
    let told = text(&told_of_account(address, &verdicts[1..], Some(&frozen), Some(&member)));
    assert!(told.contains(&format!("{address} may not")) && told.contains("unfreeze"), "{told}");
    let told = text(&told_of_account(address, &verdicts[1..], None, None));
    assert!(told.contains("whoever governs the contract"), "{told}");
    let admin = json!({ "adminOf": "0x77", "frozen": false });
    assert!(text(&told_of_account(address, &verdicts[..1], Some(&admin), None)).contains("is an admin"));
}

#[test]
fn a_transaction_is_told_about_as_its_block_saw_it() {
    let sender = Address::repeat_byte(2);
    let mut verdict = allowed();
    verdict["minedIn"] = json!(13);
    verdict["hash"] = json!("0x1");
    let told = text(&told_of_transaction(&verdict, sender, None, None));
    assert!(told.contains("is permitted") && told.contains("It is in block 13."), "{told}");
    let mut over = refused("quotas", "the member has 5 gas left");
    over["gasAvailable"] = json!(5);
    over["gasPerBlock"] = json!(7);
    let told = text(&told_of_transaction(&over, sender, None, None));
    assert!(told.contains("5 gas left, and gets 7 more") && told.contains("lower gas limit"), "{told}");
    let told = text(&told_of_transaction(
        &refused("accounts", "no"),
        sender,
        Some(&json!({ "frozen": false })),
        None,
    ));
    assert!(told.contains("an admin of a member permits it"), "{told}");
}

#[tokio::test]
async fn what_is_asked_about_is_told_apart() {
    // Nobody answers there, and nobody needs to.
    let nobody = Endpoint::Ipc("/nowhere/at/all".into());
    let id = lonja_primitives::NodeKey::generate().node_id().to_string();
    assert!(matches!(find(&nobody, &id).await.unwrap(), Subject::Node(NodeName::Public(..))));
    assert!(matches!(find(&nobody, &format!("enode://{id}@a:1")).await.unwrap(), Subject::Node(_)));
    let address = Address::repeat_byte(3).to_string();
    assert!(matches!(find(&nobody, &address).await.unwrap(), Subject::Account(_)));
    let raw = format!("0xf8{}", "ab".repeat(100));
    assert!(matches!(find(&nobody, &raw).await.unwrap(), Subject::Transaction(_)));
    assert!(matches!(find(&nobody, "506700GE1G29325QX363").await.unwrap(), Subject::Member(_)));
    assert!(find(&nobody, "hello").await.unwrap_err().to_string().contains("is expected"));
    assert!(find(&nobody, &B256::ZERO.to_string()).await.is_err(), "a hash is asked for");
}
