//! What a node states about a payload, and how others see that it is true.

use super::supervising::{Rules, rule};
use super::world::{NETWORK, Net, key, node, request, settings};
use crate::*;
use alloy_primitives::{B256, Bytes};

fn state(net: &Net, name: u8, hash: PayloadHash, disclose: bool) -> Statement {
    let statement = net.wait(net.manager(name).statement(hash, disclose)).unwrap();
    let json = serde_json::to_string(&statement).unwrap();
    assert_eq!(serde_json::from_str::<Statement>(&json).unwrap(), statement, "{json}");
    statement
}

#[test]
fn statements_say_what_is_here_and_hold_without_the_node() {
    let net = Net::of(&[1, 2, 3]);
    let hash = net.send(request(1, &[2], b"payload")).unwrap().hash;
    let sent = state(&net, 1, hash, false);
    assert_eq!((sent.standing, sent.sender, sent.node), (Standing::Held, Some(key(1)), node(1)));
    assert_eq!(sent.recipients, [key(2), key(1)]);
    assert_eq!((sent.opened_by.as_slice(), sent.genesis), ([key(1)].as_slice(), NETWORK));
    assert_eq!(sent.check(), Ok(None), "nothing is disclosed");
    let received = state(&net, 2, hash, true);
    assert_eq!((received.opened_by.as_slice(), received.sender), ([key(2)].as_slice(), Some(key(1))));
    assert_eq!(received.check(), Ok(Some(Bytes::from_static(b"payload"))));
    let stranger = state(&net, 3, hash, true);
    assert_eq!((stranger.standing, stranger.evidence.is_none()), (Standing::Absent, true));
    assert_eq!(stranger.check(), Ok(None));
    net.wait(net.manager(2).erase_by_order(hash, B256::repeat_byte(9))).unwrap();
    let erased = state(&net, 2, hash, true);
    assert_eq!((erased.standing, erased.order), (Standing::Erased, Some(B256::repeat_byte(9))));
    assert_eq!(erased.check(), Ok(None));
}

#[test]
fn what_was_changed_in_a_statement_shows() {
    let net = Net::of(&[1, 2]);
    let hash = net.send(request(1, &[2], b"payload")).unwrap().hash;
    let other = net.send(request(1, &[2], b"another")).unwrap().hash;
    let right = state(&net, 2, hash, true);
    let changes: [&dyn Fn(&mut Statement); 9] = [
        &|statement| statement.payload = other,
        &|statement| statement.genesis = B256::ZERO,
        &|statement| statement.standing = Standing::Absent,
        &|statement| statement.sender = Some(key(2)),
        &|statement| statement.recipients.push(key(3)),
        &|statement| statement.opened_by.clear(),
        &|statement| statement.order = Some(B256::repeat_byte(1)),
        &|statement| statement.time_ms += 1,
        &|statement| statement.node = node(1),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut changed = right.clone();
        change(&mut changed);
        assert_eq!(changed.check(), Err(StatementError::NotSigned), "{number}");
    }
    let with = |change: &dyn Fn(&mut Evidence)| {
        let mut changed = right.clone();
        change(changed.evidence.as_mut().unwrap());
        changed.check()
    };
    let foreign = state(&net, 2, other, true).evidence.unwrap();
    assert_eq!(
        with(&|evidence| evidence.cipher_text = foreign.cipher_text.clone()),
        Err(StatementError::OtherCipherText)
    );
    assert_eq!(with(&|evidence| evidence.master_key = foreign.master_key), Err(StatementError::DoesNotOpen));
    assert_eq!(
        with(&|evidence| evidence.nonce = Bytes::from_static(b"short")),
        Err(StatementError::DoesNotOpen)
    );
    let text = format!("{right:?}");
    let secret = right.evidence.as_ref().unwrap().master_key.unwrap();
    assert!(text.contains("is_disclosed: true") && !text.contains(&alloy_primitives::hex::encode(secret)));
}

#[test]
fn what_a_supervisor_discloses_leaves_a_record() {
    let net = Net::empty();
    net.add(1, &[1], settings());
    net.add(2, &[2], settings());
    net.connect();
    rule(&net, 2, Rules { supervisors: vec![key(2)], ..Rules::default() });
    let hash = net.send(request(1, &[2], b"payload")).unwrap().hash;
    state(&net, 2, hash, false);
    assert_eq!(net.manager(2).readings(0, 9), Ok(vec![]));
    state(&net, 2, hash, true);
    assert_eq!(net.manager(2).readings(0, 9).unwrap().len(), 1);
}
