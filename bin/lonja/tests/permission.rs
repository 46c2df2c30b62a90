//! `lonja permission` and `lonja doctor` without any node: what is signed and printed, and how they end.

use lonja_primitives::{NodeKey, RecoveredTransaction, Signer};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn lonja(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lonja"));
    command.args(arguments).current_dir(folder).env("LONJA_DATA_DIR", folder.join("data")).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

fn key(folder: &Path) -> NodeKey {
    let made = lonja(folder, &["key", "new", "admin.key"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    NodeKey::from_hex(&std::fs::read_to_string(folder.join("admin.key")).unwrap()).unwrap()
}

#[test]
fn what_is_signed_offline_is_a_transaction_of_the_admin() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path());
    let arguments = [
        "permission",
        "proposal",
        "vote",
        "7",
        "--for",
        "--key",
        "admin.key",
        "--offline",
        "--nonce",
        "3",
        "--chain-id",
        "99",
    ];
    let signed = lonja(folder.path(), &arguments);
    assert!(signed.status.success(), "{}", text(&signed.stderr));
    let tx = RecoveredTransaction::recover(text(&signed.stdout).trim().parse().unwrap(), 99).unwrap();
    assert_eq!((tx.sender(), tx.nonce()), (admin.address(), 3));
    // The same call for another wallet.
    let printed = lonja(folder.path(), &["permission", "proposal", "vote", "7", "--for", "--print"]);
    let call: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(call["to"], "0x0000000000000000000000000000000000007002");
    assert!(text(&signed.stdout).contains(call["data"].as_str().unwrap().trim_start_matches("0x")));
}

#[test]
fn a_key_may_come_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let admin = key(folder.path());
    let arguments = [
        "permission",
        "member",
        "suspend",
        "506700GE1G29325QX363",
        "--key-env",
        "ADMIN",
        "--offline",
        "--nonce",
        "0",
        "--chain-id",
        "1",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_lonja"));
    let hex = std::fs::read_to_string(folder.path().join("admin.key")).unwrap();
    let signed = command.args(arguments).env("ADMIN", hex).output().unwrap();
    assert!(signed.status.success(), "{}", text(&signed.stderr));
    let tx = RecoveredTransaction::recover(text(&signed.stdout).trim().parse().unwrap(), 1).unwrap();
    assert_eq!(tx.sender(), admin.address());
}

#[test]
fn without_a_node_or_a_key_the_end_is_an_error_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let id = format!("0x{}", "11".repeat(32));
    for (arguments, said) in [
        (vec!["permission", "member", "list"], "no node answers"),
        (vec!["permission", "why", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"], "no node answers"),
        (vec!["permission", "member", "suspend", &id], "who signs?"),
        (vec!["permission", "member", "show", "Uno"], "is named by"),
        (vec!["permission", "member", "leave", "--key", "none"], "--yes"),
        (vec!["permission", "node", "revoke", &id, "--key", "none"], "--yes"),
        (vec!["permission", "member", "admit", "none.json", "--print"], "cannot read"),
        (
            vec!["permission", "proposal", "execute", "1", "--offline", "--nonce", "1", "--chain-id", "1"],
            "--payload",
        ),
        (vec!["permission", "send", "0xzz"], "no signed transaction"),
        (vec!["validator", "simulate"], "no node answers"),
    ] {
        let output = lonja(folder.path(), &arguments);
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_doctor_of_a_stopped_node_looks_at_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = lonja(folder.path(), &["doctor", "--data-dir", "data", "--json"]);
    assert!(!output.status.success());
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let level =
        |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| check["level"].clone());
    assert_eq!(level("data directory"), Some("FAIL".into()), "{checks:?}");
    assert_eq!(level("node"), Some("FAIL".into()));
    let genesis = ["genesis", "new", "--out", "network.json", "--make-validators", "1"];
    let made = lonja(folder.path(), &genesis);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let init = lonja(folder.path(), &["init", "--genesis", "network.json", "--data-dir", "data"]);
    assert!(init.status.success(), "{}", text(&init.stderr));
    let output =
        lonja(folder.path(), &["doctor", "--data-dir", "data", "--genesis", "network.json", "--json"]);
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let level =
        |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| check["level"].clone());
    assert_eq!((level("genesis"), level("key")), (Some("OK".into()), Some("OK".into())), "{checks:?}");
    assert_eq!(level("node"), Some("FAIL".into()));
}
