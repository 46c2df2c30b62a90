//! Genesis files with a registry, through the command line.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn lonja(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lonja")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Runs a command that must succeed, and gives what it said.
fn ok(arguments: &[&str]) -> String {
    let output = lonja(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[test]
fn the_example_becomes_a_genesis_file_that_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, file) = (path(folder.path(), "plan.json"), path(folder.path(), "genesis.json"));
    let example = lonja(&["genesis", "new", "--registry-example"]);
    assert!(example.status.success());
    std::fs::write(&plan, example.stdout).unwrap();
    let made = ok(&["genesis", "new", "--registry", &plan, "--chain-id", "77", "--out", &file]);
    assert!(made.contains("chain id 77") && !made.contains("warning"), "{made}");
    assert!(ok(&["genesis", "check", &file]).contains("fine"));
    let told = ok(&["genesis", "explain", &file]);
    for part in [
        "validators by",
        "0x0000000000000000000000000000000000009999",
        "5 members, 5 nodes, 3 accounts, 4 groups",
        "LEI 9598000BANCOUNO00045  ordinary, active",
        "1 of these admins: 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266, 0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "regular, validator, boot, active; of tax id ESA00000000",
        "at 10.0.0.3:30303,[2001:db8::3]:30303",
        "call; of EUID ESM28005.000000000",
        "4 seats, at least 3; chosen every 86400 blocks",
        "at least 66.66 %",
        "expel-member, revoke-node, policy, replace-admins, council, release-account, \
         add-supervisor, remove-supervisor, release-party",
        "no limit for members",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("note: not all contracts"), "{told}");
    let again = lonja(&["genesis", "new", "--registry", &plan, "--out", &file]);
    assert!(said(&again).contains("not overwritten"));
}

#[test]
fn changed_contracts_are_pointed_out() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, file) = (path(folder.path(), "plan.json"), path(folder.path(), "genesis.json"));
    std::fs::write(&plan, lonja(&["genesis", "new", "--registry-example"]).stdout).unwrap();
    ok(&["genesis", "new", "--registry", &plan, "--out", &file]);
    let mut genesis: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let quotas = &mut genesis["alloc"]["0x0000000000000000000000000000000000007004"]["code"];
    assert!(quotas.is_string());
    *quotas = "0x60006000fd".into();
    std::fs::write(&file, genesis.to_string()).unwrap();
    let told = ok(&["genesis", "explain", &file]);
    assert!(told.contains("not all contracts are those of this version"), "{told}");
    assert!(told.contains("Quotas at") && !told.contains("Registry at"), "{told}");
}

#[test]
fn a_plan_that_does_not_work_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, file) = (path(folder.path(), "plan.json"), path(folder.path(), "genesis.json"));
    let example = String::from_utf8(lonja(&["genesis", "new", "--registry-example"]).stdout).unwrap();
    let refused = |text: String| {
        std::fs::write(&plan, text).unwrap();
        let output = lonja(&["genesis", "new", "--registry", &plan, "--out", &file]);
        assert_eq!(output.status.code(), Some(1));
        assert!(!Path::new(&file).exists());
        said(&output)
    };
    let unknown = refused(example.replace("\"sector\": 52", "\"sektor\": 52"));
    assert!(unknown.contains("members[1]") && unknown.contains("sektor"), "{unknown}");
    let twice = refused(example.replace(
        "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65\"],",
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266\"],",
    ));
    assert!(
        twice.contains("plan.json: member \"Fábrica Cuatro\"") && twice.contains("an admin already"),
        "{twice}"
    );
    std::fs::write(&plan, &example).unwrap();
    let contract = "0x0000000000000000000000000000000000007001=5";
    let output = lonja(&["genesis", "new", "--registry", &plan, "--balance", contract, "--out", &file]);
    assert!(!output.status.success() && said(&output).contains("no balance"), "{}", said(&output));
}

#[test]
fn validators_come_from_the_plan_alone() {
    for other in
        [&["--validator", "0x00000000000000000000000000000000000000aa"][..], &["--make-validators", "1"]]
    {
        let arguments = [&["genesis", "new", "--registry", "plan.json"], other].concat();
        let output = lonja(&arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains("cannot be used with"), "{}", said(&output));
    }
    let output = lonja(&["devnet", "--registry", "--validators", "7"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn a_foreign_file_that_leaves_the_validators_to_a_contract_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "genesis.json");
    let contract = "0x00000000000000000000000000000000000000cc";
    // Answers a list of one: the address of twenty bytes 11.
    let code = format!("0x6020600052600160205273{}60405260606000f3", "11".repeat(20));
    let mut genesis = serde_json::json!({
        "config": {
            "chainId": 1337, "londonBlock": 0, "zeroBaseFee": true,
            "qbft": { "blockperiodseconds": 1, "validatorcontractaddress": contract },
        },
        "extraData": "0xe5a00000000000000000000000000000000000000000000000000000000000000000c0c080c0",
        "gasLimit": "0x1fffffffffffff", "difficulty": "0x1",
        "mixHash": "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365",
        "alloc": { contract: { "balance": "0x0", "code": code } },
    });
    std::fs::write(&file, genesis.to_string()).unwrap();
    let told = ok(&["genesis", "explain", &file]);
    assert!(told.contains(&format!("0x{}", "11".repeat(20))), "{told}");
    genesis["alloc"] = serde_json::json!({});
    std::fs::write(&file, genesis.to_string()).unwrap();
    let output = lonja(&["genesis", "check", &file]);
    assert!(
        !output.status.success() && said(&output).contains("the validators of block 1"),
        "{}",
        said(&output)
    );
}
