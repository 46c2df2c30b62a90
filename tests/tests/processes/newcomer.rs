//! How nodes find each other: by proof where a node starts from block 0 and knows one peer, which was admitted later; and by
//! the addresses in the registry.

use super::permissions::{peers, permit, set_node};
use lonja_tests::harness::{Network, Organisations, Plan, Wallet, wait_until};
use serde_json::json;

#[test]
fn a_newcomer_meets_a_peer_that_block_0_does_not_know_and_an_outsider_does_not() {
    let plan = Plan::new(1, 1);
    let mut network = Network::prepare(plan);
    permit(&network, plan, &[0, 1]);
    network.start_whole();
    let mut keeper = Wallet::funded();

    // One node comes later; the regular one that was there from the beginning goes.
    let later = network.add("later", None);
    set_node(&network, &mut keeper, later, true);
    set_node(&network, &mut keeper, 1, false);
    network.start_all(&[later]);
    network.wait_for_more(later, 2);
    network.kill9(&[1]);

    // The newcomer and the outsider know nobody else than the one that came later.
    let newcomer = network.add("newcomer", None);
    set_node(&network, &mut keeper, newcomer, true);
    (0..2).for_each(|n| network.member_mut(n).listed = false);
    network.member_mut(newcomer).listed = false;
    let outsider = network.add("outsider", None);
    network.member_mut(outsider).listed = false;
    // One more outsider would rather join by a state.
    let hasty = network.add("hasty", None);
    network.member_mut(hasty).flags = vec!["--sync".into(), "snapshot".into()];
    network.member_mut(hasty).listed = false;
    network.launch(hasty);
    network.start_all(&[newcomer, outsider]);
    network.member(newcomer).wait_for_log(&["its peers", "asked for proof"]);
    network.member(newcomer).wait_for_log(&["the state after that block permits the peer"]);
    network.wait_for_more(0, 2);
    network.assert_same_chain(&[0, later, newcomer]);
    assert_eq!(peers(&network, newcomer), 1, "our own list has one peer, and the contract permits it now");
    network.member(outsider).wait_for_log(&["no peer could show", "it does not permit this node"]);
    assert_eq!((peers(&network, outsider), network.head(outsider)), (0, Some(0)), "an outsider connects");

    wait_until("it says why no state comes", || {
        let page = network.member(hasty).health.page("/readiness");
        page.is_ok_and(|(code, text)| {
            code == 503 && text.contains("it has to be admitted to the network first")
        })
    });

    // By a vote, and without a restart.
    set_node(&network, &mut keeper, outsider, true);
    wait_until("the node that was let in follows the chain", || {
        network.head(outsider) >= network.head(newcomer)
    });
    network.assert_same_chain(&[0, outsider]);
    let log = network.member(later).log();
    assert!(!log.contains("asked for proof"), "block 0 permits one of its peers");
    network.assert_calm(&network.all());
}

#[test]
fn nodes_that_know_one_peer_learn_the_others_from_the_registry() {
    let plan = Plan::new(4, 1);
    let mut network = Network::prepare(plan);
    let owned = [vec![0, 4], vec![1], vec![2], vec![3]];
    Organisations::prepare(&network, plan, &owned, json!({}));
    (0..4).for_each(|n| network.member_mut(n).listed = false);
    network.start_all(&network.all());
    for n in network.all() {
        wait_until("everybody is connected with everybody", || peers(&network, n) == 4);
        let member = network.member(n);
        member.wait_for_log(&["addresses of nodes read from the registry", "known=4"]);
        assert!(!member.log().contains("asked for proof"), "{} begins with its network", member.name);
    }
    network.wait_for_block(4, 3);
    network.assert_same_chain(&network.all());
    network.assert_calm(&network.all());
}
