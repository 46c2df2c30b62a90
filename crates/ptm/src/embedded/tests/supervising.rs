//! Parties that the network requires, and the records that their reading leaves.

use super::world::{NETWORK, Net, key, node, request, settings};
use crate::*;
use lonja_storage::Table;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SUPERVISOR: u8 = 4;

fn network(add_required: bool) -> (Arc<Net>, Arc<AtomicBool>) {
    let net = Net::empty();
    net.add(1, &[1], Settings { add_required, ..settings() });
    net.add(2, &[2], settings());
    let supervisors = vec![key(SUPERVISOR)];
    net.add(SUPERVISOR, &[SUPERVISOR, 5], Settings { supervisors, ..settings() });
    net.connect();
    let known = Arc::new(AtomicBool::new(true));
    let answer = known.clone();
    net.manager(1).set_required_parties(Arc::new(move |from: &PublicKey| {
        assert_eq!(*from, key(1));
        match answer.load(Ordering::SeqCst) {
            true => Ok(vec![key(SUPERVISOR)]),
            false => Err("the contract does not answer".into()),
        }
    }));
    (net, known)
}

#[test]
fn required_parties_are_added_or_missed() {
    let (net, known) = network(true);
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    assert!(net.is_durable(SUPERVISOR, &sent.hash));
    assert_eq!(net.wait(net.manager(1).participants(sent.hash)).unwrap(), [key(2), key(1), key(SUPERVISOR)]);
    let named = net.send(request(1, &[SUPERVISOR, 2], b"payload")).unwrap();
    assert_eq!(net.wait(net.manager(1).participants(named.hash)).unwrap().len(), 3);
    let unsupervised = net.send(request(2, &[1], b"payload")).unwrap();
    assert!(!net.has(SUPERVISOR, &unsupervised.hash));
    known.store(false, Ordering::SeqCst);
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
    let (net, known) = network(true);
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
    known.store(true, Ordering::SeqCst);
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
