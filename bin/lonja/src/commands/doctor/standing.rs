//! Checks of a node's standing in its network: the same block 0, permitted, registered where it is reached, in service as a
//! validator.

use super::Check;
use crate::client::Endpoint;
use eyre::Result;
use lonja_p2p::{Host, PeerAddress};
use lonja_primitives::Genesis;
use serde_json::{Value, json};
use std::net::IpAddr;

type Read = Option<Result<(String, Genesis)>>;

/// The genesis file that was given, the one of the data directory, and the running node's must name one network.
pub fn genesis(given: Read, installed: Read, status: Option<&Value>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut hashes = Vec::new();
    for (what, read) in [("--genesis", &given), ("the data directory", &installed)] {
        match read {
            None => {}
            Some(Err(error)) => checks.push(Check::fail("genesis", format!("{error:#}"))),
            Some(Ok((_, genesis))) => hashes.push((what, genesis.hash().to_string())),
        }
    }
    if let Some(hash) = status.and_then(|status| status["genesisHash"].as_str()) {
        hashes.push(("the node", hash.to_owned()));
    }
    if let (Some(Ok((_, given))), Some(Ok((_, installed)))) = (&given, &installed)
        && given.hash() == installed.hash()
    {
        checks.extend(rules(installed, given));
    }
    match hashes.split_first() {
        None if checks.is_empty() => {
            checks.push(Check::fail(
                "genesis",
                "there is no genesis file: lonja init --genesis FILE, or name it with --genesis",
            ));
        }
        None => {}
        Some(((_, first), others)) => match others.iter().find(|(_, hash)| hash != first) {
            None => checks.push(Check::ok("genesis", format!("one network: {first}"))),
            Some(_) => {
                let all: Vec<String> = hashes.iter().map(|(what, hash)| format!("{what} {hash}")).collect();
                let text = format!(
                    "different networks: {}; use the data directory and file that belong together",
                    all.join(", ")
                );
                checks.push(Check::fail("genesis", text));
            }
        },
    }
    checks
}

/// The same block 0, and perhaps other rules later on.
fn rules(installed: &Genesis, given: &Genesis) -> Option<Check> {
    let changes = installed.spec.changes(&given.spec);
    if changes.is_empty() {
        return None;
    }
    let text: Vec<String> = changes.iter().take(3).map(ToString::to_string).collect();
    Some(Check::warn(
        "rules",
        format!(
            "--genesis has rules that the data directory's file has not: {}; take them over: lonja init",
            text.join("; ")
        ),
    ))
}

/// What the network's contracts say of this node.
pub async fn checks(endpoint: &Endpoint, status: &Value) -> Vec<Check> {
    let mut checks = vec![permission(status)];
    let Some(own) = status["enode"].as_str().and_then(|enode| enode.parse::<PeerAddress>().ok()) else {
        return checks;
    };
    // Networks without a registry have nothing to add.
    let Ok(node) = endpoint.call("lonja_getNode", json!([own.node_id().to_string()])).await else {
        return checks;
    };
    checks.extend(registered(&node, &own));
    if let Ok(sla) = endpoint.call("lonja_getSla", json!([own.node_id().to_string()])).await {
        let head = status["head"]["number"].as_u64().unwrap_or(0);
        checks.extend(service(&sla, head));
    }
    checks
}

fn permission(status: &Value) -> Check {
    let own = &status["permission"]["ownNode"];
    if status["permission"].is_null() {
        return Check::ok("permission", "this network has no contracts that permit");
    }
    let reason = own["reason"].as_str().unwrap_or("?");
    match &own["allowed"] {
        Value::Bool(true) => Check::ok("permission", "the contracts permit this node at its head"),
        Value::Bool(false) => Check::fail(
            "permission",
            format!(
                "the contracts do not permit this node: {reason}; what to do: lonja permission why {}",
                status["enode"].as_str().unwrap_or("enode://…")
            ),
        ),
        _ => Check::warn(
            "permission",
            format!("it depends on this node's address, as others see it: {reason}"),
        ),
    }
}

/// Whether the registry has this node where it says it is.
fn registered(node: &Value, own: &PeerAddress) -> Option<Check> {
    if node.is_null() {
        return None;
    }
    let endpoints: Vec<&str> =
        node["endpoints"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if endpoints.is_empty() {
        let text = "the registry has no address of this node, so others find it by their own lists only: lonja permission node \
                    endpoints";
        return Some(Check::warn("registered address", text));
    }
    let here = format!("{}:{}", own.host(), own.port());
    // A node that is not told its address knows its port only.
    let knows_host = !matches!(own.host(), Host::Ip(ip) if ip.is_loopback() || ip.is_unspecified());
    let port = format!(":{}", own.port());
    let fits = |endpoint: &&&str| if knows_host { **endpoint == here } else { endpoint.ends_with(&port) };
    Some(match endpoints.iter().find(fits) {
        Some(endpoint) if !knows_host && is_loopback(endpoint) => {
            Check::ok("registered address", format!("{endpoint}, which others reach on this machine only"))
        }
        Some(endpoint) => Check::ok("registered address", (*endpoint).to_owned()),
        None => Check::warn(
            "registered address",
            format!(
                "the registry has {}, this node says {here}: correct one of them (lonja permission node endpoints)",
                endpoints.join(", ")
            ),
        ),
    })
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A validator's service, and the way back into it.
fn service(sla: &Value, head: u64) -> Option<Check> {
    if sla["candidate"] != true && sla["seated"] != true {
        return None;
    }
    let key = sla["node"].as_str().unwrap_or("KEY");
    let name = "validator";
    let number = |field: &str| sla[field].as_u64().unwrap_or(0);
    Some(match (&sla["barred"], &sla["suspended"], &sla["seated"]) {
        (Value::Bool(true), _, _) => Check::fail(
            name,
            format!(
                "barred after {} strikes: members vote on its return: lonja permission node readmit {key}",
                sla["strikes"]
            ),
        ),
        (_, Value::Bool(true), _) => {
            let (until, have, need) = (
                number("jailedUntil"),
                number("heartbeats"),
                sla["policy"]["heartbeats"].as_u64().unwrap_or(0),
            );
            let first = match until > head {
                true => format!("wait for block {until}, {} away", until.saturating_sub(head)),
                false => "its time is over".to_owned(),
            };
            Check::fail(
                name,
                format!(
                    "suspended for missed turns; to come back: {first}, show that it follows ({have} of {need} heartbeats: lonja \
                     permission node heartbeat {key}), then lonja permission node reincorporate {key}"
                ),
            )
        }
        (_, _, Value::Bool(true)) if sla["warned"] == true || number("consecutiveMissed") > 0 => Check::warn(
            name,
            format!(
                "in service, with {} turns missed in this window and {} in a row (suspended after {}): look at the peers, the \
                 clock and the machine's load",
                sla["missed"], sla["consecutiveMissed"], sla["policy"]["consecutiveMisses"]
            ),
        ),
        (_, _, Value::Bool(true)) => Check::ok(name, format!("in service since block {}", sla["seatSince"])),
        _ => Check::ok(name, "a candidate without a seat; lonja validator simulate tells why"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use lonja_primitives::NodeKey;
    use lonja_primitives::genesis::NewNetwork;

    fn network(chain_id: u64) -> (String, Genesis) {
        let network = NewNetwork {
            chain_id,
            validators: vec![alloy_primitives::Address::repeat_byte(1)],
            ..NewNetwork::default()
        };
        let text = network.to_json();
        let genesis = Genesis::from_json(&text).unwrap();
        (text, genesis)
    }

    #[test]
    fn all_must_be_of_one_network() {
        // Two networks whose first blocks differ.
        let (text, one) = network(1);
        let other = text.replace(
            "0x0101010101010101010101010101010101010101",
            "0x0202020202020202020202020202020202020202",
        );
        let other = Genesis::from_json(&other).unwrap();
        assert_ne!(one.hash(), other.hash());
        let status = json!({ "genesisHash": one.hash() });
        let level = |given: Read, installed: Read, status: Option<&Value>| {
            genesis(given, installed, status).iter().map(|check| check.level).collect::<Vec<_>>()
        };
        let read = |genesis: &Genesis| Some(Ok((String::new(), genesis.clone())));
        assert_eq!(level(read(&one), read(&one), Some(&status)), [Level::Ok]);
        assert_eq!(level(read(&other), read(&one), Some(&status)), [Level::Fail]);
        assert_eq!(level(None, read(&other), Some(&status)), [Level::Fail]);
        assert_eq!(level(None, None, None), [Level::Fail]);
        assert_eq!(level(None, None, Some(&status)), [Level::Ok]);
        assert_eq!(level(Some(Err(eyre::eyre!("no file"))), None, None), [Level::Fail]);
    }

    #[test]
    fn the_permission_of_the_own_node_is_told() {
        let status = |own: Value| json!({ "permission": { "ownNode": own }, "enode": "enode://ab@h:1" });
        assert_eq!(permission(&json!({ "permission": null })).level, Level::Ok);
        assert_eq!(permission(&status(json!({ "allowed": true }))).level, Level::Ok);
        assert_eq!(permission(&status(json!({ "allowed": null, "reason": "address" }))).level, Level::Warn);
        let check = permission(&status(json!({ "allowed": false, "reason": "node revoked" })));
        assert!(check.level == Level::Fail && check.text.contains("node revoked"), "{check:?}");
        assert!(check.text.contains("why enode://ab@h:1"), "{check:?}");
    }

    #[test]
    fn the_registered_address_is_compared_as_far_as_it_is_known() {
        let id = NodeKey::generate().node_id();
        let own = |place: &str| format!("enode://{id}@{place}").parse::<PeerAddress>().unwrap();
        let node = |endpoints: &[&str]| json!({ "endpoints": endpoints });
        let level =
            |endpoints: &[&str], place: &str| registered(&node(endpoints), &own(place)).unwrap().level;
        assert_eq!(level(&["10.0.0.1:30303"], "10.0.0.1:30303"), Level::Ok);
        assert_eq!(level(&["10.0.0.1:30303"], "10.0.0.2:30303"), Level::Warn);
        assert_eq!(level(&["10.0.0.1:30303"], "127.0.0.1:30303"), Level::Ok);
        assert_eq!(level(&["10.0.0.1:30303"], "127.0.0.1:30304"), Level::Warn);
        assert_eq!(level(&[], "10.0.0.1:30303"), Level::Warn);
        assert_eq!(registered(&Value::Null, &own("10.0.0.1:1")), None);
    }

    #[test]
    fn a_suspended_validator_learns_the_way_back() {
        let sla = |fields: Value| {
            let mut sla = json!({
                "node": "0x55", "candidate": true, "seated": false, "suspended": false, "barred": false, "warned": false,
                "missed": 3, "consecutiveMissed": 0, "strikes": 1, "seatSince": 4, "jailedUntil": 90, "heartbeats": 1,
                "policy": { "heartbeats": 2, "consecutiveMisses": 5 },
            });
            sla.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            sla
        };
        let check = service(&sla(json!({ "suspended": true })), 80).unwrap();
        assert!(check.level == Level::Fail && check.text.contains("block 90, 10 away"), "{check:?}");
        assert!(
            check.text.contains("1 of 2 heartbeats") && check.text.contains("reincorporate 0x55"),
            "{check:?}"
        );
        assert!(service(&sla(json!({ "suspended": true })), 95).unwrap().text.contains("its time is over"));
        assert!(service(&sla(json!({ "barred": true })), 1).unwrap().text.contains("readmit"));
        assert_eq!(service(&sla(json!({ "seated": true })), 1).unwrap().level, Level::Ok);
        assert_eq!(
            service(&sla(json!({ "seated": true, "consecutiveMissed": 2 })), 1).unwrap().level,
            Level::Warn
        );
        assert_eq!(service(&sla(json!({})), 1).unwrap().level, Level::Ok);
        assert_eq!(service(&sla(json!({ "candidate": false })), 1), None);
    }
}
