use super::*;
use crate::address::{Host, Transport};
use alloy_primitives::B512;

fn node(n: u8) -> NodeId {
    NodeId(B512::repeat_byte(n))
}

fn peers(list: &[(u8, u16)]) -> Peers {
    let address = |(n, port): &(u8, u16)| {
        let host = Host::Ip([127, 0, 0, 1].into());
        (node(*n), PeerAddress::new(node(*n), host, *port, Transport::TcpThenQuic))
    };
    Arc::new(list.iter().map(address).collect())
}

fn all(_: &NodeId) -> Need {
    Need::Dial
}

/// Those due under a gate that permits everybody, without room for known ones.
fn due(dialer: &mut Dialer, now: Instant, need: impl Fn(&NodeId) -> Need) -> Vec<PeerAddress> {
    dialer.due(now, &mut 0, need, |_| true)
}

#[test]
fn new_peers_are_due_at_once_and_once() {
    let (mut dialer, now) = (Dialer::new(0), Instant::now());
    dialer.sync(&peers(&[(1, 10), (2, 20)]), &peers(&[]), 0, now);
    assert_eq!(due(&mut dialer, now, |n| if *n == node(2) { Need::Connected } else { Need::Dial }).len(), 1);
    assert_eq!(due(&mut dialer, now, all).len(), 1);
    assert!(due(&mut dialer, now, all).is_empty());
    dialer.sync(&peers(&[(2, 20)]), &peers(&[]), 0, now);
    dialer.connected(&node(2));
    assert_eq!(due(&mut dialer, now, all)[0].port(), 20);
}

#[test]
fn pauses_grow_to_a_bound_and_start_over() {
    let (mut dialer, mut now) = (Dialer::new(0), Instant::now());
    dialer.sync(&peers(&[(1, 10)]), &peers(&[]), 0, now);
    let mut pauses = Vec::new();
    for failure in 1..12 {
        assert_eq!(due(&mut dialer, now, all).len(), 1);
        assert_eq!(dialer.failed(&node(1), now, 0.5), failure);
        let next = dialer.next(0, all).unwrap();
        pauses.push((next - now).as_millis());
        assert!(due(&mut dialer, next - Duration::from_millis(1), all).is_empty());
        now = next;
    }
    assert_eq!(pauses[..5], [200, 400, 800, 1600, 3200]);
    assert_eq!(pauses[5..], [4_000; 6]);
    dialer.ended(&node(1), Outcome::Lived(STEADY), now, 0.5);
    assert_eq!(dialer.next(0, all), Some(now + RETRY_FIRST));
}

#[test]
fn a_try_that_took_long_is_repeated_sooner() {
    let (mut dialer, mut now) = (Dialer::new(0), Instant::now());
    dialer.sync(&peers(&[(1, 10)]), &peers(&[]), 0, now);
    let mut wait_after = |took: Duration| {
        assert_eq!(due(&mut dialer, now, all).len(), 1);
        dialer.failed(&node(1), now + took, 0.5);
        let next = dialer.next(0, all).unwrap();
        let wait = next - now - took;
        now = next;
        wait
    };
    let longest = (0..8).map(|_| wait_after(Duration::ZERO)).max();
    assert_eq!(longest, Some(RETRY_MOST));
    assert_eq!(wait_after(RETRY_MOST / 4), RETRY_MOST * 3 / 4);
    assert_eq!(wait_after(RETRY_MOST * 4), RETRY_FIRST);
}

#[test]
fn how_it_ended_decides_the_pause() {
    let (mut dialer, now) = (Dialer::new(0), Instant::now());
    dialer.sync(&peers(&[(1, 10)]), &peers(&[]), 0, now);
    let mut after = |outcome| {
        dialer.ended(&node(1), outcome, now, 0.5);
        dialer.next(0, all).unwrap() - now
    };
    assert_eq!(after(Outcome::Failed), RETRY_FIRST);
    assert_eq!(after(Outcome::Lived(Duration::ZERO)), RETRY_FIRST * 2, "kicked out at once");
    assert_eq!(after(Outcome::Duplicate), RETRY_FIRST);
    assert_eq!(after(Outcome::Unwanted), RETRY_REFUSED);
    assert_eq!(after(Outcome::NotPermitted), RETRY_REFUSED);
    assert_eq!(after(Outcome::Failed), RETRY_FIRST * 4);
}

#[test]
fn who_may_connect_again_is_tried_at_once() {
    let (mut dialer, now) = (Dialer::new(0), Instant::now());
    dialer.sync(&peers(&[(1, 10)]), &peers(&[]), 0, now);
    dialer.ended(&node(1), Outcome::Unwanted, now, 0.5);
    assert!(due(&mut dialer, now, all).is_empty());
    assert!(due(&mut dialer, now, |_| Need::Forbidden).is_empty());
    assert_eq!(due(&mut dialer, now, all).len(), 1);
}

#[test]
fn a_new_address_is_tried_at_once() {
    let (mut dialer, now) = (Dialer::new(0), Instant::now());
    dialer.sync(&peers(&[(1, 10)]), &peers(&[]), 0, now);
    due(&mut dialer, now, all);
    dialer.failed(&node(1), now, 1.0);
    dialer.sync(&peers(&[(1, 10)]), &peers(&[]), 0, now);
    assert!(due(&mut dialer, now, all).is_empty());
    dialer.sync(&peers(&[(1, 11)]), &peers(&[]), 0, now);
    assert_eq!(due(&mut dialer, now, all)[0].port(), 11);
}

#[test]
fn who_hangs_up_is_tried_slower_and_slower() {
    let (mut dialer, mut now) = (Dialer::new(0), Instant::now());
    let (list, none) = (peers(&[(1, 10)]), peers(&[]));
    dialer.sync(&list, &none, 0, now);
    let mut waits = Vec::new();
    for n in 1..12 {
        assert_eq!(due(&mut dialer, now, all).len(), 1);
        dialer.connected(&node(1));
        assert_eq!(dialer.ended(&node(1), Outcome::HungUp, now, 0.5), n);
        let next = dialer.next(0, all).unwrap();
        waits.push((next - now).as_millis());
        now = next;
    }
    assert_eq!(waits[..9], [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200]);
    assert_eq!(waits[9..], [60_000; 2]);
    dialer.ended(&node(1), Outcome::HungUp, now, 0.5);
    assert!(due(&mut dialer, now, all).is_empty());
    dialer.sync(&list, &none, 1, now);
    assert!(due(&mut dialer, now, all).is_empty(), "a gate that changes often is no reason to dial often");
    now += RETRY_MOST;
    assert_eq!(due(&mut dialer, now, all).len(), 1, "what changed here may have changed there");
    assert_eq!(dialer.ended(&node(1), Outcome::Lived(STEADY), now, 0.5), 0);
}

#[test]
fn the_gate_is_asked_once_about_who_is_due() {
    let (mut dialer, now) = (Dialer::new(0), Instant::now());
    let (list, none) = (peers(&[(1, 10), (2, 20), (3, 30)]), peers(&[]));
    dialer.sync(&list, &none, 7, now);
    let mut asked = Vec::new();
    let need = |n: &NodeId| if *n == node(3) { Need::Connected } else { Need::Dial };
    let mut ask = |dialer: &mut Dialer, now, permitted: &[u8]| -> Vec<u16> {
        let judge = |address: &PeerAddress| {
            asked.push(address.port());
            permitted.iter().any(|n| node(*n) == address.node_id())
        };
        dialer.due(now, &mut 0, need, judge).iter().map(PeerAddress::port).collect()
    };
    assert_eq!(ask(&mut dialer, now, &[1]), [10]);
    dialer.failed(&node(1), now, 0.5);
    let later = now + RETRY_MOST;
    assert_eq!(ask(&mut dialer, later, &[1, 2]), [10], "what the gate said holds");
    assert_eq!(dialer.next(0, need), None, "nobody else will be due");
    dialer.failed(&node(1), later, 0.5);
    dialer.sync(&list, &none, 8, later);
    assert_eq!(ask(&mut dialer, later, &[1, 2]), [20], "at once; the other one waits for its time");
    dialer.sync(&peers(&[(1, 10), (2, 21), (3, 30)]), &none, 8, later);
    dialer.connected(&node(2));
    assert_eq!(ask(&mut dialer, later, &[]), [] as [u16; 0], "a new address is a new question");
    assert_eq!(asked, [10, 20, 20, 21]);
}

#[test]
fn a_long_list_is_judged_in_pieces() {
    let (mut dialer, now) = (Dialer::new(0), Instant::now());
    let list: Vec<_> = (0..200).map(|n| (n, u16::from(n) + 1)).collect();
    for (wanted, known) in [(peers(&list), peers(&[])), (peers(&[]), peers(&list))] {
        dialer.sync(&wanted, &known, dialer.gate + 1, now);
        let (mut asked, mut turns) = (0, 0);
        while dialer.next(1, all) == Some(now) {
            turns += 1;
            let before = asked;
            let judge = |_: &PeerAddress| {
                asked += 1;
                false
            };
            assert!(dialer.due(now, &mut 1, all, judge).is_empty());
            assert!(asked - before <= JUDGED_AT_A_TIME);
        }
        assert_eq!((asked, turns), (200, 200usize.div_ceil(JUDGED_AT_A_TIME)));
    }
}

#[test]
fn known_peers_are_dialed_while_there_is_room() {
    let (mut dialer, now) = (Dialer::new(u64::from_be_bytes([3; 8])), Instant::now());
    let (wanted, known) = (peers(&[(1, 10)]), peers(&[(1, 11), (2, 20), (3, 30), (4, 40)]));
    dialer.sync(&wanted, &known, 0, now);
    let ports = |due: Vec<PeerAddress>| due.iter().map(PeerAddress::port).collect::<Vec<_>>();
    let mut room = 2;
    assert_eq!(ports(dialer.due(now, &mut room, all, |_| true)), [10, 30, 20], "the configured one first");
    assert_eq!(room, 0);
    assert_eq!(dialer.dialing_known().collect::<Vec<_>>(), [node(2), node(3)]);
    assert!(dialer.due(now, &mut 0, all, |_| true).is_empty());
    assert_eq!(dialer.next(0, all), None);
    assert_eq!(dialer.next(1, all), Some(now));
    // One that is no longer known is not dialed again, one that is configured now does not need room.
    dialer.sync(&peers(&[(1, 10), (4, 41)]), &peers(&[(3, 30)]), 0, now);
    assert_eq!(ports(dialer.due(now, &mut 0, all, |_| true)), [41]);
    for n in 1..=4 {
        dialer.failed(&node(n), now, 0.5);
    }
    let later = now + RETRY_FIRST;
    assert_eq!(ports(dialer.due(later, &mut 9, all, |_| true)), [10, 41, 30]);
}

#[test]
fn many_known_peers_are_tried_less_often() {
    let pause_among = |count: u16| {
        let (mut dialer, now) = (Dialer::new(0), Instant::now());
        let id = |n: u16| {
            let mut id = B512::ZERO;
            id[..2].copy_from_slice(&n.to_be_bytes());
            NodeId(id)
        };
        let host = || Host::Ip([127, 0, 0, 1].into());
        let address = |n| (id(n), PeerAddress::new(id(n), host(), 1, Transport::TcpThenQuic));
        let known = Arc::new((0..count).map(address).collect());
        dialer.sync(&peers(&[]), &known, 0, now);
        for _ in 0..20 {
            dialer.failed(&id(0), now, 0.5);
        }
        dialer.next(1, |node| if *node == id(0) { Need::Dial } else { Need::Connected }).unwrap() - now
    };
    assert_eq!(pause_among(3), RETRY_MOST);
    assert_eq!(pause_among(160), Duration::from_secs(10));
    assert_eq!(pause_among(4_000), RETRY_REFUSED);
}
