//! Sends while messages are lost and nodes lose power.

use super::world::{Fault, Net, key, settings};
use crate::*;
use proptest::prelude::*;
use std::sync::Arc;

const PARTIES: [u8; 3] = [2, 3, 4];
const STRANGER: u8 = 5;

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Cut),
        1 => Just(Fault::LoseRequest),
        1 => Just(Fault::LoseAnswer),
        1 => Just(Fault::Twice),
        1 => (1..30u64).prop_map(Fault::Delay),
        1 => Just(Fault::KillAskedBefore),
        1 => Just(Fault::KillAskedAfter),
        1 => Just(Fault::KillAskerBefore),
        1 => Just(Fault::KillAskerAfter),
    ]
}

fn network(outbox: bool) -> Arc<Net> {
    let net = Net::empty();
    net.add(1, &[1], Settings { outbox, ..settings() });
    for name in PARTIES {
        net.add(name, &[name], settings());
    }
    net.add(STRANGER, &[STRANGER], settings());
    net.connect();
    net
}

fn restart(net: &Arc<Net>) {
    for name in [1, 2, 3, 4, STRANGER] {
        if net.change(name, |member| member.manager.is_none()) {
            net.start(name);
        }
    }
    net.connect();
}

/// A payload sent by name, so that the same one can be sent again.
fn signed(hash: PayloadHash) -> SendSigned {
    SendSigned { hash, to: PARTIES.map(key).to_vec(), metadata: Metadata::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_sent_is_everywhere_and_what_was_not_can_be_sent_again(
        plans in proptest::collection::vec(proptest::collection::vec(fault(), 0..12), 1..4),
        outbox in any::<bool>(),
    ) {
        let net = network(outbox);
        let mut hashes = Vec::new();
        for plan in plans {
            let payload = vec![hashes.len() as u8; 40];
            let hash = net.wait(net.manager(1).store_raw(payload.into(), None)).unwrap();
            hashes.push(hash);
            let manager = net.manager(1);
            net.plan(plan);
            let result = net.wait(manager.send_signed(signed(hash)));
            drop(manager);
            net.calm();
            let alive = net.change(1, |member| member.manager.is_some());
            if result.is_ok() && alive {
                let waiting = net.manager(1).outbox_status();
                prop_assert!(outbox || waiting.waiting == 0);
                for name in PARTIES {
                    let waits = waiting.recipients.iter().any(|waits| waits.recipient == key(name));
                    prop_assert!(waits || net.is_durable(name, &hash), "{} lacks what was sent", name);
                }
                prop_assert!(net.is_durable(1, &hash));
            }
            restart(&net);
            // Sent or not, now it can be.
            let again = net.wait(net.manager(1).send_signed(signed(hash)));
            prop_assert!(again.is_ok(), "{:?} after {:?}", again, result);
        }
        for hash in &hashes {
            for name in [1, 2, 3, 4] {
                prop_assert!(net.is_durable(name, hash), "{} lacks what was sent", name);
                prop_assert!(matches!(net.lookup(name, *hash), Lookup::Found(_)));
            }
            prop_assert!(!net.has(STRANGER, hash));
        }
        net.wait_until("nothing waits", || net.manager(1).outbox_status().waiting == 0);
    }

    /// The name of a payload sent anew is known to nobody when its send fails: nobody keeps anything of it who can be told.
    #[test]
    fn failed_sends_leave_nothing_behind(plan in proptest::collection::vec(fault(), 1..8)) {
        let net = network(false);
        // Power cuts leave copies that nobody asks for: they are another matter.
        let kills = [Fault::KillAskedBefore, Fault::KillAskedAfter, Fault::KillAskerBefore, Fault::KillAskerAfter];
        let plan: Vec<Fault> = plan.into_iter().filter(|fault| !kills.contains(fault)).collect();
        net.plan(plan);
        let result = net.send(super::world::request(1, &PARTIES, b"payload"));
        let count = |name: u8| net.change(name, |member| member.kv.len(lonja_storage::Table::Envelopes));
        match result {
            Ok(_) => prop_assert_eq!([1, 2, 3, 4, STRANGER].map(count), [1, 1, 1, 1, 0]),
            Err(_) => net.wait_until("all let go", || [1, 2, 3, 4, STRANGER].map(count) == [0; 5]),
        }
    }
}
