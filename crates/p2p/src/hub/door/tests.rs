use super::*;
use crate::{
    config::{NetworkId, P2pConfig},
    gate::{PeerRule, PeerVerdict, Place},
    session::Link,
    stop::Stop,
};
use alloy_primitives::{Address, B256};
use libp2p::swarm::ConnectionId;
use lonja_primitives::{Genesis, NodeKey, genesis::NewNetwork};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        OnceLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counters by name and labels.
#[derive(Default)]
struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counters {
    fn value(&self, name: &str) -> u64 {
        self.0.lock().get(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: String = key.labels().map(|l| format!(" {}={}", l.key(), l.value())).collect();
        let mut counters = self.0.lock();
        Counter::from_arc(counters.entry(format!("{}{labels}", key.name())).or_default().clone())
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Allows everybody, counts, and changes the gate of a hub while it is asked for the first time.
#[derive(Debug, Default)]
struct Rule {
    asked: AtomicU64,
    hub: OnceLock<Weak<Hub>>,
}

impl PeerRule for Rule {
    fn judge(&self, _: &NodeId, _: Option<(&str, u16)>) -> PeerVerdict {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(hub) = self.hub.get().and_then(Weak::upgrade) {
            hub.set_gate(PeerGate::Only([].into()));
        }
        PeerVerdict::Allowed
    }
}

fn hub() -> Arc<Hub> {
    let validators = vec![Address::repeat_byte(1)];
    let genesis = Genesis::from_json(&NewNetwork { validators, ..NewNetwork::default() }.to_json()).unwrap();
    let rules = genesis.spec.rule_ids(B256::ZERO);
    let network = NetworkId { genesis_hash: B256::ZERO, chain_id: 1, rules };
    Arc::new(Hub::new(&P2pConfig::new(NodeKey::generate(), network, (0, B256::ZERO))))
}

/// A session on a connection that came in, and what the gate said of it then.
fn session(hub: &Hub, pass: Pass) -> Arc<Session> {
    let link = Link {
        connection: ConnectionId::new_unchecked(1),
        inbound: true,
        remote: "127.0.0.1:5".into(),
        ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        local: None,
        transport: "tcp",
        hearing: Arc::default(),
        data_version: crate::wire::StreamVersion::Two,
        pass,
    };
    let peer = NodeKey::generate().node_id();
    Arc::new(Session::new(hub, peer, link, hub.status(), Arc::new(Stop::new())))
}

fn admitted(hub: &Hub) -> Arc<Session> {
    let session = session(hub, hub.gate().pass(&NodeKey::generate().node_id(), None).unwrap());
    assert!(hub.admit(&session, Instant::now()).is_ok());
    session
}

#[test]
fn what_the_gate_said_holds_until_the_next_one() {
    let (hub, rule) = (hub(), Arc::new(Rule::default()));
    hub.set_gate(PeerGate::Ask(rule.clone()));
    let asked = || rule.asked.load(Ordering::Relaxed);
    let node = NodeKey::generate().node_id();
    let mut pass = hub.receive(&node).unwrap();
    assert_eq!(asked(), 1);
    assert!(hub.renew(&node, &mut pass).is_ok());
    assert!(hub.admit(&session(&hub, pass.clone()), Instant::now()).is_ok());
    assert_eq!(asked(), 1);

    hub.set_gate(PeerGate::Ask(rule.clone()));
    assert_eq!(asked(), 2, "about the session");
    assert!(hub.admit(&session(&hub, pass.clone()), Instant::now()).is_ok());
    assert_eq!(asked(), 3, "about one that was let in by the last gate");
    assert!(hub.renew(&node, &mut pass).is_ok());
    assert!(hub.renew(&node, &mut pass).is_ok());
    assert_eq!(asked(), 4);
    hub.set_gate(PeerGate::Only([].into()));
    assert!(matches!(hub.renew(&node, &mut pass), Err(Refusal::NotPermitted(_))));
}

#[test]
fn who_needs_an_address_is_judged_by_it_in_the_end() {
    let hub = hub();
    let later = Pass { gate: 0, allowed: false, at: None };
    let seen = session(&hub, later.clone());
    assert_eq!(seen.at, Some(Place::seen(IpAddr::V4(Ipv4Addr::LOCALHOST), hub.status().listen_port)));
    let dialed = Place::from(&format!("enode://{}@two.example:7", seen.peer).parse().unwrap());
    let known = session(&hub, Pass { at: Some(dialed.clone()), ..later.clone() });
    assert_eq!(known.at, Some(dialed));
    assert!(hub.admit(&seen, Instant::now()).is_ok());
    hub.set_gate(PeerGate::Only([].into()));
    let (node, mut pass) = (NodeKey::generate().node_id(), later.clone());
    assert!(hub.renew(&node, &mut pass).is_err(), "the next gate may know it by its key");
    let ending = hub.admit(&session(&hub, later), Instant::now()).unwrap_err();
    assert!(ending.by_gate && ending.text.contains("not on the list"), "{}", ending.text);
}

#[test]
fn nobody_slips_in_while_the_gate_changes() {
    let (hub, rule) = (hub(), Arc::new(Rule::default()));
    hub.set_gate(PeerGate::Ask(rule.clone()));
    rule.hub.set(Arc::downgrade(&hub)).unwrap();
    // The rule is asked, allows, and is no longer the gate by then.
    let ending =
        hub.admit(&session(&hub, Pass { gate: 1, allowed: false, at: None }), Instant::now()).unwrap_err();
    assert!(ending.by_gate);
    assert!(hub.sessions().is_empty());
    assert_eq!(rule.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn what_a_gate_does_is_counted_and_remembered() {
    let counters = Counters::default();
    metrics::with_local_recorder(&counters, || {
        let hub = hub();
        let (one, two) = (admitted(&hub), admitted(&hub));
        hub.set_gate(PeerGate::Only([one.peer].into()));
        assert_eq!(counters.value("lonja_p2p_gate_dropped_total"), 1);
        assert!(two.stop.is_stopped() && !one.stop.is_stopped());
        hub.set_gate(PeerGate::Only([].into()));
        hub.set_gate(PeerGate::Only([].into()));
        assert_eq!(counters.value("lonja_p2p_gate_dropped_total"), 2, "each session once");
        let refused: Vec<_> = hub.refusals.recent().iter().map(|refused| refused.peer).collect();
        assert_eq!(refused, [one.peer, two.peer]);

        let refusal = hub.receive(&one.peer).unwrap_err();
        hub.refusals.inbound(Some(&one.peer), "127.0.0.1:5", &refusal.to_string(), refusal.label());
        let refused = counters.value("lonja_p2p_refused_connections_total reason=not_permitted");
        assert_eq!(refused, 1);
    });
}
