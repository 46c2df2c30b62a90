//! Checks of a running node's peers: how many there are, who refuses whom, who is not to be reached.

use super::{Check, duration};
use crate::client::Endpoint;
use lonja_p2p::PeerAddress;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::net::TcpStream;

/// A host that lives answers within this.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Missing peers that are tried, and refusals that are shown.
const SHOWN: usize = 8;
/// A refusal longer ago than this may be settled.
const RECENT_S: u64 = 600;

/// All of them. `is_here`: whether the node is on this machine, so that its peers can be tried from where it is.
pub async fn checks(endpoint: &Endpoint, status: &Value, is_here: bool) -> Vec<Check> {
    let mut checks = vec![count(status)];
    checks.extend(refused_by(status));
    // Offered to the operator only; a public port does not tell who meets whom.
    let Ok(told) = endpoint.call("admin_refusals", json!([])).await else { return checks };
    checks.extend(refusals(&told["refused"]));
    if is_here {
        checks.extend(missing(&told["staticPeers"], &told["refusedBy"]).await);
    }
    checks
}

fn refusing(status: &Value) -> &[Value] {
    status["permission"]["peersRefusingUs"].as_array().map_or(&[][..], Vec::as_slice)
}

fn count(status: &Value) -> Check {
    let peers = status["peers"].as_u64().unwrap_or(0);
    let consensus = &status["consensus"];
    let alone = consensus["isValidator"] == true
        && consensus["validators"].as_array().is_some_and(|all| all.len() == 1);
    match peers {
        0 if alone => Check::ok("peers", "none, and none are needed: this node is the only validator"),
        0 if !refusing(status).is_empty() => {
            Check::fail("peers", "none: those that were tried do not permit this node")
        }
        0 => Check::fail("peers", "none: give some with --peer enode://…@HOST:PORT, and see the lines below"),
        1 => Check::warn("peers", "1 connected: when that one goes, this node stands still"),
        many => Check::ok("peers", format!("{many} connected")),
    }
}

fn refused_by(status: &Value) -> Option<Check> {
    let by = refusing(status);
    if by.is_empty() {
        return None;
    }
    let names: Vec<String> = by.iter().take(SHOWN).map(|id| short(id.as_str().unwrap_or("?"))).collect();
    let text = format!("{} peers do not permit this node: {}", by.len(), names.join(", "));
    let enode = status["enode"].as_str().unwrap_or("enode://…");
    Some(match (status["permission"]["ownNode"]["allowed"] == false, status["peers"] == 0) {
        (true, _) => Check::fail("refused by", format!("{text}; see the line about the permission")),
        (false, true) => Check::fail(
            "refused by",
            format!(
                "{text}; it was permitted at its block {}, newer ones that it does not get may say otherwise. Ask another node: \
                 lonja permission why {enode} --rpc URL",
                status["head"]["number"]
            ),
        ),
        (false, false) => Check::warn(
            "refused by",
            format!(
                "{text}; by the contracts at this node's head it is permitted: they may be behind, or keep a list of their own"
            ),
        ),
    })
}

/// What this node refused lately, told apart by what is to be done.
fn refusals(refused: &Value) -> Vec<Check> {
    let mut kinds: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for one in refused.as_array().into_iter().flatten() {
        let ago = one["secondsAgo"].as_u64().unwrap_or(0);
        if ago > RECENT_S || one["connected"] == true {
            continue;
        }
        let reason = one["reason"].as_str().unwrap_or("?");
        let peer = one["id"].as_str().map(short).unwrap_or_default();
        let line =
            format!("{peer} at {}: {reason} ({} ago)", one["address"].as_str().unwrap_or("?"), duration(ago));
        kinds.entry(kind(reason)).or_default().push(line);
    }
    let shown = |lines: &[String]| lines.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let check = |(kind, lines): (&'static str, Vec<String>)| match kind {
        "rules" => Check::warn(
            "other rules",
            format!("{}: compare genesis files and versions (lonja genesis explain)", shown(&lines)),
        ),
        _ => Check::warn("refused", format!("{}: lonja permission why enode://… tells more", shown(&lines))),
    };
    kinds.into_iter().map(check).collect()
}

fn kind(reason: &str) -> &'static str {
    let about_rules = ["genesis ", "chain id ", "rules", "protocol version"];
    if about_rules.iter().any(|word| reason.contains(word)) { "rules" } else { "permission" }
}

/// Peers to keep that are not there, each tried from here; not those that are known to refuse this node.
async fn missing(peers: &Value, refused_by: &Value) -> Vec<Check> {
    let all = peers.as_array().map_or(&[][..], Vec::as_slice);
    let refuses = |enode: &str| {
        let ids = refused_by.as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.into_iter().any(|id| enode.contains(id))
    };
    let gone: Vec<&str> = all
        .iter()
        .filter(|peer| peer["connected"] != true)
        .filter_map(|peer| peer["enode"].as_str())
        .collect();
    let unknown: Vec<&str> = gone.iter().copied().filter(|enode| !refuses(enode)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    if gone.is_empty() {
        return vec![Check::ok("static peers", format!("all {} are connected", all.len()))];
    }
    let mut checks = Vec::new();
    let refusing = gone.len().saturating_sub(unknown.len());
    if refusing > 0 {
        checks.push(Check::warn("static peers", format!("{refusing} of {} refuse this node", all.len())));
    }
    for enode in unknown.iter().take(SHOWN) {
        checks.push(Check::warn("static peers", tried(enode).await));
    }
    if unknown.len() > SHOWN {
        let more = unknown.len().saturating_sub(SHOWN);
        checks.push(Check::warn("static peers", format!("{more} more are not connected")));
    }
    checks
}

async fn tried(enode: &str) -> String {
    let address: PeerAddress = match enode.parse() {
        Ok(address) => address,
        Err(error) => return format!("{enode}: {error}"),
    };
    let place = format!("{}:{}", address.host(), address.port());
    let who = short(&address.node_id().to_string());
    match tokio::time::timeout(CONNECT_TIME, TcpStream::connect(&place)).await {
        Ok(Ok(_)) => format!(
            "{who} at {place} is not connected, and something listens there: it may refuse this node, be another node, or be \
             of another network (look into both logs)"
        ),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            format!("{who} at {place}: nothing listens there; start that node, or correct the port")
        }
        // Names that are not known have no kind of their own.
        Ok(Err(error)) => format!(
            "{who} at {place} cannot be reached: {error}; correct the address, or its name in the DNS"
        ),
        Err(_) => format!(
            "{who} at {place} did not answer within {} s: a firewall may stand between, or its machine is down",
            CONNECT_TIME.as_secs()
        ),
    }
}

/// The first digits of a node id.
fn short(id: &str) -> String {
    let digits: String = id.trim_start_matches("0x").chars().take(8).collect();
    format!("{digits}…")
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use lonja_primitives::NodeKey;

    #[test]
    fn the_number_of_peers_is_judged_by_the_network() {
        let status = |peers: u64, validators: usize, own: bool| json!({ "peers": peers, "consensus": { "isValidator": own, "validators": vec!["0x1"; validators] } });
        let level = |status: Value| count(&status).level;
        assert_eq!(level(status(0, 1, true)), Level::Ok);
        assert_eq!(level(status(0, 4, true)), Level::Fail);
        assert_eq!(level(status(0, 1, false)), Level::Fail);
        assert_eq!([level(status(1, 4, true)), level(status(3, 4, true))], [Level::Warn, Level::Ok]);
    }

    #[test]
    fn who_refuses_this_node_is_told() {
        let status = |allowed: bool, by: Vec<&str>| json!({ "permission": { "ownNode": { "allowed": allowed }, "peersRefusingUs": by } });
        assert_eq!(refused_by(&status(true, vec![])), None);
        assert_eq!(refused_by(&json!({ "permission": null })), None);
        let check = refused_by(&status(true, vec!["abcdef0123456789"])).unwrap();
        assert!(check.level == Level::Warn && check.text.contains("abcdef01…"), "{check:?}");
        assert_eq!(refused_by(&status(false, vec!["ab"])).unwrap().level, Level::Fail);
        let mut alone = status(true, vec!["ab"]);
        (alone["peers"], alone["head"], alone["consensus"]) = (json!(0), json!({ "number": 7 }), json!({}));
        let check = refused_by(&alone).unwrap();
        assert!(check.level == Level::Fail && check.text.contains("permitted at its block 7"), "{check:?}");
        assert!(count(&alone).text.contains("do not permit this node"));
    }

    #[test]
    fn refusals_are_told_apart() {
        let one = |reason: &str, ago: u64| json!({ "id": "ab".repeat(64), "address": "10.0.0.1:1", "reason": reason, "inbound": true, "secondsAgo": ago });
        let mut met = one("node unknown", 1);
        (met["connected"], met["address"]) = (json!(true), json!("10.0.0.2:2"));
        let checks = refusals(&json!([
            one("node unknown", 5),
            one("genesis 0x1 here, 0x2 there", 6),
            one("node revoked", 9_999),
            met,
        ]));
        assert_eq!(checks.len(), 2, "{checks:?}");
        let text = |name: &str| checks.iter().find(|check| check.name == name).unwrap().text.clone();
        assert!(text("other rules").contains("genesis 0x1") && text("refused").contains("node unknown"));
        assert!(!text("refused").contains("revoked") && !text("refused").contains("10.0.0.2"));
        assert!(refusals(&Value::Null).is_empty());
    }

    #[tokio::test]
    async fn missing_peers_are_tried() {
        let id = NodeKey::generate().node_id();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let enode = |host: &str| format!("enode://{id}@{host}:{port}");
        assert!(tried(&enode("127.0.0.1")).await.contains("something listens"));
        drop(listener);
        assert!(tried(&enode("127.0.0.1")).await.contains("nothing listens"));
        assert!(tried(&enode("no-such-host.invalid")).await.contains("cannot be reached"));
        let all = json!([{ "enode": enode("127.0.0.1"), "connected": true }]);
        assert_eq!(missing(&all, &Value::Null).await[0].level, Level::Ok);
        let gone = json!([{ "enode": enode("127.0.0.1"), "connected": false }]);
        assert_eq!(missing(&gone, &Value::Null).await[0].level, Level::Warn);
        let refusing = missing(&gone, &json!([id.to_string()])).await;
        assert!(refusing[0].text.contains("1 of 1 refuse this node"), "{refusing:?}");
        assert!(missing(&json!([]), &Value::Null).await.is_empty());
    }
}
