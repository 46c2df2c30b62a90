//! Parties that the network requires, and the records that their reading leaves.

use super::world::{NETWORK, Net, key, node, request, settings};
use crate::*;
use alloy_primitives::Address;
use lonja_primitives::NodeId;
use lonja_storage::Table;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

const SUPERVISOR: u8 = 4;

/// What a network says, as a test has it.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) required: Vec<PublicKey>,
    pub(super) supervisors: Vec<PublicKey>,
    pub(super) holders: HashMap<PublicKey, Vec<NodeId>>,
    pub(super) silent: bool,
}

pub(super) struct Told(Mutex<Rules>);

impl Told {
    fn change(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.0.lock());
    }

    fn ask<T>(&self, read: impl FnOnce(&Rules) -> T) -> Result<T, String> {
        let rules = self.0.lock();
        if rules.silent { Err("the contract does not answer".into()) } else { Ok(read(&rules)) }
    }
}

impl NetworkRules for Told {
    fn required(&self, account: Option<Address>) -> Result<Vec<PublicKey>, String> {
        assert_eq!(account, None, "who knows the account has asked before");
        self.ask(|rules| rules.required.clone())
    }

    fn is_supervisor(&self, key: &PublicKey) -> Result<bool, String> {
        self.ask(|rules| rules.supervisors.contains(key))
    }

    fn holders(&self, key: &PublicKey) -> Result<Option<Vec<NodeId>>, String> {
        self.ask(|rules| rules.holders.get(key).cloned())
    }
}

/// From now on this member's network says this; the test may change it.
pub(super) fn rule(net: &Net, name: u8, rules: Rules) -> Arc<Told> {
    let told = Arc::new(Told(Mutex::new(rules)));
    net.manager(name).set_network_rules(told.clone());
    told
}

fn supervise(net: &Net) {
    rule(net, SUPERVISOR, Rules { supervisors: vec![key(SUPERVISOR)], ..Rules::default() });
}

fn network(add_required: bool) -> (Arc<Net>, Arc<Told>) {
    let net = Net::empty();
    net.add(1, &[1], Settings { add_required, ..settings() });
    net.add(2, &[2], settings());
    net.add(SUPERVISOR, &[SUPERVISOR, 5], settings());
    net.connect();
    supervise(&net);
    let told = rule(&net, 1, Rules { required: vec![key(SUPERVISOR)], ..Rules::default() });
    (net, told)
}

#[test]
fn required_parties_are_added_or_missed() {
    let (net, told) = network(true);
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    assert!(net.is_durable(SUPERVISOR, &sent.hash));
    assert_eq!(net.wait(net.manager(1).participants(sent.hash)).unwrap(), [key(2), key(1), key(SUPERVISOR)]);
    let named = net.send(request(1, &[SUPERVISOR, 2], b"payload")).unwrap();
    assert_eq!(net.wait(net.manager(1).participants(named.hash)).unwrap().len(), 3);
    let unsupervised = net.send(request(2, &[1], b"payload")).unwrap();
    assert!(!net.has(SUPERVISOR, &unsupervised.hash));
    told.change(|rules| rules.silent = true);
    let refused = net.send(request(1, &[2, SUPERVISOR], b"payload")).unwrap_err();
    assert!(refused.status() == 403 && refused.to_string().contains("does not answer"), "{refused}");

    let (net, _) = network(false);
    let refused = net.send(request(1, &[2], b"payload")).unwrap_err();
    let text = format!("{} is a party of what {} sends", key(SUPERVISOR), key(1));
    assert!(refused.status() == 403 && refused.to_string().contains(&text), "{refused}");
    assert!(net.send(request(1, &[2, SUPERVISOR], b"payload")).is_ok());
}

#[test]
fn groups_and_validated_contracts_are_not_changed_behind_their_backs() {
    let (net, told) = network(true);
    let group = PrivacyGroup {
        name: "pair".into(),
        description: String::new(),
        members: vec![key(1), key(2)],
        seed: b"seed".into(),
        kind: GroupKind::Pantheon,
        deleted: false,
    };
    let id = group.id();
    net.wait(net.manager(1).put_group(group)).unwrap();
    let metadata = Metadata { group: Some(id), ..Metadata::default() };
    let refused = net.send(SendRequest { metadata, ..request(1, &[], b"payload") }).unwrap_err();
    assert!(refused.to_string().contains("is not in the privacy group"), "{refused}");

    let validated = |affected| Metadata {
        mode: PrivacyMode::StateValidation,
        affected,
        exec_hash: b"root".into(),
        ..Metadata::default()
    };
    // 2 is not supervised, and its contract has no supervisor.
    told.change(|rules| rules.silent = false);
    let created =
        net.send(SendRequest { metadata: validated(vec![]), ..request(2, &[1], b"x") }).unwrap().hash;
    let call = SendRequest { metadata: validated(vec![created]), ..request(1, &[2], b"x") };
    assert!(net.send(call).unwrap_err().to_string().starts_with("Recipients mismatched"));
}

#[test]
fn reading_leaves_a_chain_of_signed_records() {
    let (net, _) = network(true);
    let sent: Vec<_> = (0..3u8).map(|number| net.send(request(1, &[2], &[number])).unwrap().hash).collect();
    let supervisor = net.manager(SUPERVISOR);
    assert_eq!(supervisor.readings(0, 9), Ok(vec![]));
    for hash in &sent {
        assert!(matches!(net.lookup(SUPERVISOR, *hash), Lookup::Found(_)));
    }
    assert!(matches!(net.lookup(SUPERVISOR, sent[0]), Lookup::Found(_)), "at once again: the same reading");
    let readings = supervisor.readings(0, 9).unwrap();
    assert_eq!(readings.iter().map(|reading| reading.hash).collect::<Vec<_>>(), sent);
    assert_eq!(readings.iter().map(|reading| reading.number).collect::<Vec<_>>(), [1, 2, 3]);
    for reading in &readings {
        assert!(reading.is_signed(NETWORK) && !reading.is_signed(alloy_primitives::B256::ZERO));
        assert_eq!((reading.key, reading.node), (key(SUPERVISOR), node(SUPERVISOR)));
    }
    assert!(readings[1].follows(&readings[0]) && readings[2].follows(&readings[1]));
    assert!(!readings[2].follows(&readings[0]));
    let changed = Reading { time_ms: readings[0].time_ms + 1, ..readings[0].clone() };
    assert!(!changed.is_signed(NETWORK) && !readings[1].follows(&changed));
    assert_eq!(supervisor.readings(2, 1).unwrap(), readings[1..2]);
    // Durable, and the chain goes on.
    drop(supervisor);
    net.kill(SUPERVISOR);
    net.start(SUPERVISOR);
    supervise(&net);
    let supervisor = net.manager(SUPERVISOR);
    assert_eq!(supervisor.readings(0, 9).unwrap(), readings);
    assert!(matches!(net.lookup(SUPERVISOR, sent[0]), Lookup::Found(_)));
    let later = supervisor.readings(4, 9).unwrap();
    assert!(later[0].follows(&readings[2]));
}

#[test]
fn what_a_party_reads_for_itself_is_its_own_business() {
    let (net, _) = network(true);
    let own = net.send(request(SUPERVISOR, &[1], b"its own")).unwrap().hash;
    let as_party = net.send(request(2, &[5, SUPERVISOR], b"to another key of it")).unwrap().hash;
    for hash in [own, as_party] {
        assert!(matches!(net.lookup(SUPERVISOR, hash), Lookup::Found(_)));
    }
    assert_eq!(net.change(SUPERVISOR, |member| member.kv.len(Table::Readings)), 0);
    let only = net.send(request(2, &[SUPERVISOR], b"for supervision")).unwrap().hash;
    let manager = net.manager(SUPERVISOR);
    let envelope = manager.envelope(&only).unwrap().unwrap();
    net.wait(manager.decrypt(envelope)).unwrap();
    assert_eq!(manager.readings(0, 9).unwrap()[0].hash, only);
}

#[test]
fn what_cannot_be_found_out_is_recorded() {
    let (net, _) = network(true);
    rule(&net, 2, Rules { silent: true, ..Rules::default() });
    let sent = net.send(request(1, &[2], b"payload")).unwrap().hash;
    assert!(matches!(net.lookup(2, sent), Lookup::Found(_)));
    assert_eq!(net.manager(2).readings(0, 9).unwrap()[0].key, key(2), "one record too many, not one too few");
}

#[test]
fn reading_leaves_records_while_a_rule_stands() {
    let net = Net::of(&[1, 2]);
    let told = rule(&net, 2, Rules::default());
    let read = |payload: &[u8]| {
        let sent = net.send(request(1, &[2], payload)).unwrap().hash;
        assert!(matches!(net.lookup(2, sent), Lookup::Found(_)));
        net.manager(2).readings(0, 9).unwrap().len()
    };
    assert_eq!(read(b"before"), 0);
    told.change(|rules| rules.supervisors = vec![key(2)]);
    assert_eq!(read(b"meanwhile"), 1);
    told.change(|rules| rules.supervisors.clear());
    assert_eq!(read(b"afterwards"), 1);
}

/// 2 and 3 both have the key 9, and both say so.
fn claimed_twice() -> Arc<Net> {
    let net = Net::empty();
    net.add(1, &[1], settings());
    net.add(2, &[2, 9], settings());
    net.add(3, &[3, 9], settings());
    net.connect();
    net
}

#[test]
fn only_nodes_that_a_key_is_bound_to_get_anything() {
    for (bound, other) in [(2, 3), (3, 2)] {
        let net = claimed_twice();
        let holders = HashMap::from([(key(9), vec![node(bound)])]);
        let told = rule(&net, 1, Rules { holders, ..Rules::default() });
        for _ in 0..3 {
            let sent = net.send(request(1, &[9], b"payload")).unwrap();
            assert!(net.is_durable(bound, &sent.hash) && !net.has(other, &sent.hash));
        }
        // The key is moved by the chain alone.
        told.change(|rules| drop(rules.holders.insert(key(9), vec![node(other)])));
        let sent = net.send(request(1, &[9], b"payload")).unwrap();
        assert!(net.is_durable(other, &sent.hash) && !net.has(bound, &sent.hash));
        // Bound to nobody that is there: nobody's word is taken.
        told.change(|rules| drop(rules.holders.insert(key(9), vec![])));
        let refused = net.send(request(1, &[9], b"payload")).unwrap_err();
        assert_eq!(refused, PtmError::UnknownRecipient(key(9)));
        // Not bound any more: as nodes say themselves.
        told.change(|rules| rules.holders.clear());
        assert!(net.send(request(1, &[9], b"payload")).is_ok());
    }
}

#[test]
fn a_binding_of_a_key_that_is_not_there_gets_nothing() {
    let net = Net::of(&[1, 2, 3]);
    let holders = HashMap::from([(key(2), vec![node(3)])]);
    rule(&net, 1, Rules { holders, ..Rules::default() });
    let refused = net.send(request(1, &[2], b"payload")).unwrap_err();
    assert!(matches!(refused, PtmError::Unreachable { recipient, .. } if recipient == key(2)), "{refused}");
    assert_eq!(net.change(3, |member| member.kv.len(Table::Envelopes)), 0);
}

#[test]
fn what_concerns_a_bound_key_is_given_to_its_nodes_only() {
    let net = claimed_twice();
    let sent = net.send(request(1, &[9], b"payload")).unwrap().hash;
    let (has, lacks) = if net.has(2, &sent) { (2, 3) } else { (3, 2) };
    let holders = HashMap::from([(key(9), vec![node(has)])]);
    rule(&net, 1, Rules { holders, ..Rules::default() });
    let outcome = net.wait(net.manager(lacks).recover(true, &[])).unwrap();
    assert!(outcome.incomplete.iter().any(|(from, party, _)| (*from, *party) == (node(1), key(9))));
}

#[test]
fn where_a_key_is_must_be_known() {
    let net = Net::of(&[1, 2]);
    let told = rule(&net, 1, Rules { silent: true, ..Rules::default() });
    let refused = net.send(request(1, &[2], b"payload")).unwrap_err();
    assert!(refused.to_string().contains("does not answer"), "{refused}");
    told.change(|rules| rules.silent = false);
    assert!(net.send(request(1, &[2], b"payload")).is_ok());
}
