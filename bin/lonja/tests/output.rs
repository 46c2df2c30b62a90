//! What becomes of a command when nobody reads what it prints, or when it cannot be written.

use std::fs::OpenOptions;
use std::process::{Command, Output, Stdio};

fn lonja(arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lonja"));
    command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command.spawn().unwrap().wait_with_output().unwrap()
}

/// The writing end of a pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_went_away_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (genesis, data, key) = (path("genesis.json"), path("data"), path("key"));
    for command in [
        &["genesis", "new", "--make-validators", "1", "--out", &genesis][..],
        &["genesis", "explain", &genesis],
        &["init", "--genesis", &genesis, "--data-dir", &data],
        &["key", "new", &key],
        &["key", "show", &data],
        &["config", "reference"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let ended = lonja(command, closed(), Stdio::piped());
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && !said.contains("panicked"), "{command:?}: {said}");
        assert!(!said.contains("error"), "{command:?}: {said}");
    }
    let ended = lonja(&["key", "show", &path("none")], closed(), closed());
    assert_eq!(ended.status.code(), Some(1), "an error stays one");
}

#[test]
fn a_full_disk_is_told() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = lonja(&["config", "reference"], full.into(), Stdio::piped());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("standard output"), "{said}");
}

#[test]
fn a_key_that_is_kept_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        let out = folder.path().join(name).display().to_string();
        let ended = lonja(
            &["genesis", "new", "--make-validators", "1", "--out", &out],
            Stdio::null(),
            Stdio::piped(),
        );
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    assert!(!make("one.json").contains("kept"));
    let said = make("two.json");
    assert!(said.contains("kept") && said.contains("validator-1/node.key"), "{said}");
}

/// A chain that another client began in an older format, to go on under QBFT from block 101.
#[test]
fn older_formats_are_pointed_out() {
    let vectors = include_str!("../../../tests/vectors/istanbul/genesis.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let case = vectors["cases"].as_array().unwrap().iter().find(|case| case["id"] == "ibft1-migration");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("genesis.json");
    std::fs::write(&file, case.unwrap()["genesis"].to_string()).unwrap();
    for command in ["check", "explain"] {
        let ended = lonja(&["genesis", command, &file.display().to_string()], Stdio::piped(), Stdio::piped());
        let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert!(ended.status.success() && said.contains("does not vote on"), "{command}: {said}");
        assert!(said.contains("blocks 0 to 100 (in IBFT 1.0 format)"), "{command}: {said}");
    }
}
