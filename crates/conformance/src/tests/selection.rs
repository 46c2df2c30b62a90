use super::{read, vectors};
use crate::{Failure, Format, Progress, Skip, Summary, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Default)]
struct Failures(Vec<Failure>);

impl Progress for Failures {
    fn file_done(&mut self, done: usize, of: usize, summary: &Summary) {
        assert!(done <= of && summary.run == summary.passed + summary.failed);
    }

    fn failed(&mut self, failure: &Failure) {
        self.0.push(failure.clone());
    }
}

fn run_at(format: Format, path: &Path) -> (Summary, Vec<Failure>) {
    let mut failures = Failures::default();
    let summary = run(format, &[path.to_owned()], &mut failures).unwrap();
    (summary, failures.0)
}

#[test]
fn state_tests_pass() {
    let (summary, failures) = run_at(Format::State, &vectors("state"));
    assert_eq!(failures, []);
    assert!(summary.passed > 150, "{summary:?}");
    let skipped = [Skip::BlobTransaction, Skip::Constantinople].map(Skip::reason);
    assert!(summary.skipped_by_reason.keys().all(|reason| skipped.contains(reason)), "{summary:?}");
}

#[test]
fn block_tests_pass() {
    let (summary, failures) = run_at(Format::Block, &vectors("block"));
    assert_eq!(failures, []);
    assert!(summary.passed > 30, "{summary:?}");
}

/// Changes a test of the selection, runs it and gives what differs.
fn changed(format: Format, path: &str, change: impl Fn(&mut Value)) -> Vec<(String, String)> {
    let mut tests: BTreeMap<String, Value> = serde_json::from_str(&read(path)).unwrap();
    tests.values_mut().for_each(change);
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("changed.json");
    std::fs::write(&file, serde_json::to_vec(&tests).unwrap()).unwrap();
    let (summary, failures) = run_at(format, folder.path());
    assert_eq!(summary.failed, failures.len() as u64);
    failures.into_iter().map(|failure| (failure.what, failure.fork)).collect()
}

const ADD: &str = "state/constantinople/stExample/add11.json";
const TIP: &str = "state/cancun/stEIP1559/tipTooHigh.json";
const PREDEPLOY: &str = "block/tests/bcValidBlockTest/SimpleTx.json";
const UNCLE: &str = "block/tests/bcUncleHeaderValidity/incorrectUncleNumber0.json";

fn each_post(test: &mut Value, change: impl Fn(&mut Value)) {
    for posts in test["post"].as_object_mut().unwrap().values_mut() {
        posts.as_array_mut().unwrap().iter_mut().for_each(&change);
    }
}

fn all_are(found: &[(String, String)], what: &str) -> bool {
    !found.is_empty() && found.iter().all(|(found, _)| found == what)
}

#[test]
fn a_wrong_state_test_fails() {
    let zero = json!(format!("0x{}", "0".repeat(64)));
    let root = changed(Format::State, ADD, |test| each_post(test, |post| post["hash"] = zero.clone()));
    assert!(all_are(&root, "state root"), "{root:?}");
    let logs = changed(Format::State, ADD, |test| each_post(test, |post| post["logs"] = zero.clone()));
    assert!(all_are(&logs, "logs hash"), "{logs:?}");
    let expected = json!("TransactionException.NONCE_IS_MAX");
    let executed = changed(Format::State, ADD, |test| {
        each_post(test, |post| post["expectException"] = expected.clone())
    });
    assert!(all_are(&executed, "transaction"), "{executed:?}");
    let refusal = changed(Format::State, TIP, |test| {
        each_post(test, |post| post["expectException"] = expected.clone())
    });
    assert!(all_are(&refusal, "refusal"), "{refusal:?}");
    let refused = changed(Format::State, TIP, |test| {
        each_post(test, |post| drop(post.as_object_mut().unwrap().remove("expectException")));
    });
    assert!(all_are(&refused, "transaction"), "{refused:?}");
}

#[test]
fn a_wrong_block_test_fails() {
    let head = changed(Format::Block, PREDEPLOY, |test| {
        test["lastblockhash"] = test["genesisBlockHeader"]["hash"].clone();
    });
    assert!(all_are(&head, "last block"), "{head:?}");
    let valid = changed(Format::Block, PREDEPLOY, |test| {
        drop(test["blocks"][0].as_object_mut().unwrap().remove("blockHeader"));
    });
    assert!(all_are(&valid, "block"), "{valid:?}");
    let state = changed(Format::Block, PREDEPLOY, |test| test["pre"] = json!({}));
    assert!(all_are(&state, "block 0"), "{state:?}");
    let invalid = changed(Format::Block, UNCLE, |test| {
        let header = test["genesisBlockHeader"].clone();
        for block in test["blocks"].as_array_mut().unwrap() {
            block["blockHeader"] = header.clone();
        }
    });
    assert!(!invalid.is_empty(), "{invalid:?}");
}

#[test]
fn what_is_no_test_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), "no JSON").unwrap();
    std::fs::write(folder.path().join("b.json"), r#"{"x": {"other": 1}}"#).unwrap();
    std::fs::write(folder.path().join("c.txt"), "not looked at").unwrap();
    let (summary, failures) = run_at(Format::State, folder.path());
    assert_eq!((summary.files, summary.failed, summary.skipped), (2, 1, 1));
    assert!(failures[0].file.ends_with("a.json") && failures[0].what == "file");
    assert!(run(Format::State, &[folder.path().join("none")], &mut Failures::default()).is_err());
}

#[test]
fn every_reason_to_skip_is_in_the_list() {
    let list = read("SKIPPED.md");
    for skip in Skip::ALL {
        assert!(list.contains(&format!("| `{skip:?}` |")), "{skip:?} is missing");
    }
}
