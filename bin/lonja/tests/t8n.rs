//! `lonja evm t8n`: its files, streams and exit codes.

use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const KEY: &str = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8";
const SENDER: &str = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b";
const OTHER: &str = "0x00000000000000000000000000000000000000aa";

fn input() -> Value {
    json!({
        "alloc": { SENDER: { "balance": "0xde0b6b3a7640000" } },
        "env": {
            "currentCoinbase": OTHER, "currentDifficulty": "0x20000", "currentGasLimit": "0x989680",
            "currentNumber": "0x1", "currentTimestamp": "0x3e8",
        },
        "txs": [{
            "nonce": "0x0", "gas": "0x5208", "gasPrice": "0x1", "to": OTHER, "value": "0x1", "input": "0x",
            "secretKey": KEY,
        }],
    })
}

fn t8n(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lonja"));
    command.current_dir(folder).args(["evm", "t8n"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A run that refuses its options does not read.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    child.wait_with_output().unwrap()
}

const STREAMS: [&str; 6] = [
    "--input.alloc=stdin",
    "--input.env=stdin",
    "--input.txs=stdin",
    "--output.alloc=stdout",
    "--output.result=stdout",
    "--output.body=stdout",
];

#[test]
fn streams_and_files_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let options = ["--state.fork", "Berlin", "--state.reward", "-1"];
    let streamed = t8n(at, &[&STREAMS[..], &options].concat(), &input().to_string());
    assert!(streamed.status.success(), "{}", String::from_utf8_lossy(&streamed.stderr));
    let streamed: Value = serde_json::from_slice(&streamed.stdout).unwrap();
    assert_eq!(streamed["alloc"][OTHER]["balance"], "0x5209");
    assert_eq!(streamed["result"]["gasUsed"], "0x5208");
    assert_eq!(std::fs::read_dir(at).unwrap().count(), 0, "nothing is written beside");

    let rewarded = t8n(at, &[&STREAMS[..], &options[..3], &["0x10"]].concat(), &input().to_string());
    let rewarded: Value = serde_json::from_slice(&rewarded.stdout).unwrap();
    assert_eq!(rewarded["alloc"][OTHER]["balance"], "0x5219");

    for (name, value) in input().as_object().unwrap() {
        std::fs::write(at.join(format!("{name}.json")), value.to_string()).unwrap();
    }
    let files = ["--output.basedir", "out/deep", "--output.body", "body.rlp", "--state.fork", "Berlin"];
    let ended = t8n(at, &[&files[..], &["--state.reward=-1"]].concat(), "");
    assert!(ended.status.success() && ended.stdout.is_empty());
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(at.join("out/deep").join(name)).unwrap()).unwrap()
    };
    let written =
        json!({ "alloc": read("alloc.json"), "result": read("result.json"), "body": read("body.rlp") });
    assert_eq!(written, streamed);

    let again = ["--input.txs", "out/deep/body.rlp", "--output.result", "stderr", "--output.alloc", ""];
    let ended = t8n(at, &[&again[..], &options].concat(), "");
    let told: Value = serde_json::from_slice(&ended.stderr).unwrap();
    assert_eq!(told, json!({ "result": streamed["result"] }));

    let mut signed = input();
    signed["txsRlp"] = streamed["body"].clone();
    let ended = t8n(at, &[&STREAMS[..], &options].concat(), &signed.to_string());
    assert_eq!(serde_json::from_slice::<Value>(&ended.stdout).unwrap(), streamed);
}

#[test]
fn exit_codes_tell_errors_apart() {
    let folder = tempfile::tempdir().unwrap();
    let text = input().to_string();
    let run = |more: &[&str], stdin: &str| {
        let ended = t8n(folder.path(), &[&STREAMS[..], more].concat(), stdin);
        assert!(ended.stdout.is_empty());
        (ended.status.code().unwrap(), String::from_utf8(ended.stderr).unwrap())
    };
    let mut broken = input();
    broken["txsRlp"] = json!("0xc301");
    for (more, stdin, code, word) in [
        (&["--state.fork=Atlantis"][..], text.as_str(), 3, "Atlantis"),
        (&["--state.fork=London"], &text, 3, "currentBaseFee"),
        (&["--state.fork=Berlin"], "{", 10, "standard input"),
        (&["--state.fork=Berlin"], "{}", 10, "alloc"),
        (&["--state.fork=Berlin"], &broken.to_string(), 12, "RLP"),
        (&["--state.reward=-2"], &text, 2, "state.reward"),
    ] {
        let (got, said) = run(more, stdin);
        assert!(got == code && said.contains(word), "{more:?}: {got} {said}");
    }
    let ended = t8n(folder.path(), &["--input.alloc", "none.json"], "");
    assert_eq!(ended.status.code(), Some(11), "{}", String::from_utf8_lossy(&ended.stderr));
}
