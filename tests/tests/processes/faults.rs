//! A hostile or broken surrounding: garbage on the ports, torn files, a full disk.

use lonja_tests::harness::{Network, Plan, lonja, run_for, wait_until};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Bytes of a stranger's attempt.
const GARBAGE_BYTES: usize = 40_000;
/// Strangers for each port.
const STRANGERS: usize = 8;
const MIB: u64 = 1 << 20;

fn garbage() -> Vec<u8> {
    (0..GARBAGE_BYTES).map(|_| rand::random()).collect()
}

/// Writes until the other side has enough of it; that it hangs up is fine.
fn pour(mut stream: impl Write, bytes: &[u8]) {
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(path).expect("the node has this file");
    file.write_all(bytes).expect("the file can be written");
}

#[test]
fn garbage_on_every_port_does_no_harm() {
    let network = Network::start(Plan::new(1, 1));
    for member in [network.member(0), network.member(1)] {
        let ports = [member.p2p_port, member.rpc.port, member.health.port];
        for _ in 0..STRANGERS {
            for port in ports {
                pour(TcpStream::connect(("127.0.0.1", port)).expect("somebody listens"), &garbage());
            }
            pour(UnixStream::connect(member.folder.join("lonja.ipc")).expect("a socket"), &garbage());
            let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
            for datagram in garbage().chunks(1_200) {
                let _ = udp.send_to(datagram, ("127.0.0.1", member.p2p_port));
            }
        }
        let half_request = b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n{\"jsonrpc\":";
        pour(TcpStream::connect(("127.0.0.1", member.rpc.port)).expect("somebody listens"), half_request);
    }
    network.wait_for_more(0, 5);
    network.assert_same_chain(&[0, 1]);
    for n in network.all() {
        let member = network.member(n);
        wait_until("it is ready", || member.health.page("/readiness").is_ok_and(|(code, _)| code == 200));
        assert_eq!(member.health.page("/liveness").expect("it answers").0, 200);
        assert!(member.command(&["status"]).contains("head"));
    }
    network.assert_calm(&network.all());
}

#[test]
fn torn_ends_of_the_logs_are_cut_off() {
    let mut network = Network::start(Plan::new(1, 0));
    network.kill9(&[0]);
    // A record of which the last write did not reach the disk whole.
    append(&network.member(0).folder.join("consensus.log"), &[0, 0, 0, 200, 1, 2, 3]);
    append(&network.member(0).folder.join("transactions.journal"), &[0, 0, 1, 0, 9, 9]);
    network.start_all(&[0]);
    network.member(0).wait_for_log(&["WARN", "torn end"]);
    network.wait_for_more(0, 3);
    network.stop(0);
    network.assert_calm(&[0]);
}

/// Starts the validator of a network of one with a limit on free space, and gives its readiness.
fn with_limit(network: &mut Network, mib: u64, texts: &[&str]) -> Value {
    network.member_mut(0).flags = vec!["--min-free-disk-mib".into(), mib.to_string()];
    network.start_all(&[0]);
    network.member(0).wait_for_log(texts);
    let answer = || network.member(0).health.page("/readiness").ok();
    wait_until("it says that it is not ready", || answer().is_some_and(|(code, _)| code == 503));
    let (_, body) = answer().expect("it answers");
    serde_json::from_str(&body).expect("a list of checks")
}

#[test]
fn a_disk_without_room_stops_voting_and_then_writing_but_not_reading() {
    let mut network = Network::start(Plan::new(1, 1));
    network.wait_for_block(0, 5);
    let free_mib = lonja_storage::free_bytes(network.path()).expect("the disk can be asked") / MIB;

    for (limit_mib, word) in [(free_mib * 2, "stops voting"), (free_mib * 16, "writes no more blocks")] {
        network.stop(0);
        let readiness = with_limit(&mut network, limit_mib, &["ERROR", word]);
        let checks = readiness["checks"].as_array().expect("a list").clone();
        let disk = checks.iter().find(|check| check["name"] == "disk").expect("one is about the disk");
        assert_eq!(disk["ok"], false);
        assert!(disk["reason"].as_str().is_some_and(|reason| reason.contains("disk")), "{disk}");
        assert_eq!(network.member(0).health.page("/liveness").expect("it answers").0, 200);

        let head = network.head(0).expect("it answers");
        thread::sleep(Duration::from_secs(1));
        assert_eq!(network.head(0), Some(head), "its only validator does not vote");
        let block = network.member(0).rpc.get("eth_getBlockByNumber", json!(["0x5", true]));
        assert_eq!(block["number"], "0x5");
    }

    network.stop(0);
    network.member_mut(0).flags.clear();
    network.start_all(&[0]);
    network.wait_for_more(0, 3);
    network.assert_same_chain(&[0, 1]);
}

#[test]
fn a_damaged_database_is_named_and_not_served() {
    let mut network = Network::start(Plan::new(1, 0));
    network.wait_for_block(0, 3);
    network.stop(0);
    let tables = fs::read_dir(network.member(0).folder.join("db")).expect("there is a database");
    let current = tables.filter_map(Result::ok).find(|entry| entry.file_name() == "CURRENT");
    fs::write(current.expect("RocksDB has this file").path(), "nonsense\n").expect("it can be written");
    let end = run_for(lonja(network.member(0).arguments(&[])), Duration::from_secs(20));
    let said = end.failure();
    assert!(said.contains("error:"), "{said}");
}
