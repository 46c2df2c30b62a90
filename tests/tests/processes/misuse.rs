//! Mistakes of operators: each is refused, and the refusal names what is wrong.

use lonja_tests::harness::{Network, Plan, lonja, run, run_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A refusal at the start is a matter of a second.
const REFUSAL_MOST: Duration = Duration::from_secs(60);

#[test]
fn a_second_process_on_one_data_directory_is_refused() {
    let mut network = Network::start(Plan::new(1, 0));
    let second = run_for(lonja(network.member(0).arguments(&[])), REFUSAL_MOST);
    let said = second.failure();
    assert!(said.contains("in use by another process"), "{said}");
    network.wait_for_more(0, 3);
    network.stop(0);
    network.assert_calm(&[0]);
}

#[test]
fn a_taken_port_is_named() {
    let mut network = Network::start(Plan::new(1, 0));
    let newcomer = network.add("newcomer", None);
    for (flag, port) in [
        ("--p2p-port", network.member(0).p2p_port),
        ("--http-port", network.member(0).rpc.port),
        ("--metrics-port", network.member(0).health.port),
    ] {
        let mut arguments = network.member(newcomer).arguments(&[]);
        let place = arguments.iter().position(|word| word == flag).expect("the flag is there");
        arguments[place + 1] = port.to_string();
        let said = run_for(lonja(arguments), REFUSAL_MOST).failure();
        assert!(said.contains(&port.to_string()), "{flag}: {said}");
    }
}

#[test]
fn a_node_of_another_network_is_refused_by_both_sides() {
    let mut network = Network::start(Plan::new(1, 0));
    let other = network.path().join("other.json");
    let address = network.member(0).address().to_string();
    let out = other.display().to_string();
    run(["genesis", "new", "--validator", &address, "--chain-id", "1338", "--out", &out]).success();
    let stranger = network.add("stranger", Some(&other));
    network.start_all(&[stranger]);
    for n in [0, stranger] {
        network.member(n).wait_for_log(&["no session with peer", "genesis 0x", "here", "there"]);
    }
    network.wait_for_more(0, 3);
    assert_eq!(network.head(stranger), Some(0));
    network.stop(stranger);
    network.assert_calm(&[0, stranger]);
}

#[test]
fn another_genesis_in_the_data_directory_is_refused() {
    let mut network = Network::start(Plan::new(1, 0));
    network.wait_for_block(0, 2);
    network.stop(0);
    let folder = network.member(0).folder.display().to_string();
    let installed = network.member(0).folder.join("genesis.json");
    let text = fs::read_to_string(&installed).expect("the genesis was installed");

    let flipped = text.replacen("\"timestamp\": 0", "\"timestamp\": 1", 1);
    assert_ne!(flipped, text, "the file has a timestamp: {text}");
    fs::write(&installed, &flipped).expect("it can be written");
    let said = run_for(lonja(["node", "--data-dir", &folder]), REFUSAL_MOST).failure();
    assert!(said.contains("holds the chain of genesis 0x"), "{said}");

    fs::write(&installed, "{").expect("it can be written");
    let said = run_for(lonja(["node", "--data-dir", &folder]), REFUSAL_MOST).failure();
    assert!(said.contains("genesis.json"), "{said}");

    fs::write(&installed, text).expect("it can be written");
    let other = network.path().join("other.json");
    fs::write(&other, flipped).expect("it can be written");
    let other = other.display().to_string();
    let said = run_for(lonja(["node", "--data-dir", &folder, "--genesis", &other]), REFUSAL_MOST).failure();
    assert!(said.contains("belongs to another network"), "{said}");

    network.start_all(&[0]);
    network.wait_for_more(0, 2);
}

#[test]
fn sigterm_and_ctrl_c_stop_a_node_well() {
    let mut network = Network::start(Plan::new(1, 1));
    network.wait_for_more(0, 2);
    network.all().into_iter().for_each(|n| network.stop(n));
    for n in network.all() {
        assert!(network.member(n).log().contains("stopping"));
        assert!(!network.member(n).folder.join("lonja.ipc").exists(), "its socket is left");
    }
    network.start_all(&[0, 1]);
    network.wait_for_more(0, 2);
    network.all().into_iter().for_each(|n| network.interrupt(n));
    network.assert_calm(&network.all());
}

#[test]
fn what_is_mistyped_is_named() {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let folder = folder.path();
    let said = run(["node", "--p2p-prot", "1"]).failure();
    assert!(said.contains("--p2p-prot") && said.contains("--p2p-port"), "{said}");

    let data = folder.display().to_string();
    fs::write(folder.join("lonja.toml"), "p2p-prot = 1\n").expect("it can be written");
    let said = run(["node", "--data-dir", &data]).failure();
    assert!(said.contains("p2p-prot") && said.contains("lonja.toml"), "{said}");
    fs::write(folder.join("lonja.toml"), "p2p-port = 70000\n").expect("it can be written");
    let said = run(["config", "show", "--data-dir", &data]).failure();
    assert!(said.contains("p2p-port"), "{said}");
    fs::remove_file(folder.join("lonja.toml")).expect("it can be removed");

    let mut command = lonja(["node", "--data-dir", &data]);
    command.env("LONJA_P2P_PROT", "1");
    let said = run_for(command, REFUSAL_MOST).failure();
    assert!(said.contains("LONJA_P2P_PROT"), "{said}");
    let mut command = lonja(["node", "--data-dir", &data]);
    command.env("LONJA_P2P_PORT", "many");
    let said = run_for(command, REFUSAL_MOST).failure();
    assert!(said.contains("many"), "{said}");

    let said = run(["node", "--data-dir", &data]).failure();
    assert!(said.contains("no genesis file") && said.contains("lonja devnet"), "{said}");
    let genesis = folder.join("genesis.json").display().to_string();
    run(["genesis", "new", "--make-validators", "1", "--out", &genesis]).success();
    for flag in ["--http-api", "--peer", "--allow-node"] {
        let said = run(["node", "--data-dir", &data, flag, "nonsense"]).failure();
        assert!(said.contains(flag) && said.contains("nonsense"), "{said}");
    }
    let typo = folder.join("typo.key");
    let said = run(["node", "--data-dir", &data, "--node-key", &typo.display().to_string()]).failure();
    assert!(said.contains("typo.key") && said.contains("lonja key new") && !typo.exists(), "{said}");
    let said = run(["status", "--data-dir", &data]).failure();
    assert!(said.contains("no node answers"), "{said}");
}

#[test]
fn a_key_is_private_and_never_overwritten() {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, genesis, data) = (path("a/node.key"), path("genesis.json"), path("data"));
    run(["key", "new", &file]).success();
    let before = fs::read_to_string(&file).expect("the key was written");
    let said = run(["key", "new", &file]).failure();
    assert!(said.contains("never overwritten"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("the key is there"), before);

    run(["genesis", "new", "--make-validators", "1", "--out", &genesis]).success();
    run(["init", "--genesis", &genesis, "--data-dir", &data]).success();
    for file in [&file, &path("validator-1/node.key"), &path("data/node.key")] {
        let mode = fs::metadata(file).expect("the key is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}
