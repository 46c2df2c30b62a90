use super::*;
use alloy_primitives::B512;
use lonja_primitives::Signature;
use proptest::prelude::*;

const GENESIS: B256 = B256::repeat_byte(7);

fn node(number: u64) -> NodeId {
    NodeId(B512::left_padding_from(&number.to_be_bytes()))
}

fn key(number: u64) -> PublicKey {
    PublicKey(B256::left_padding_from(&number.to_be_bytes()).0)
}

fn binding(of_key: u64, of_node: u64, sequence_ms: u64) -> Binding {
    let (key, node, signature) = (key(of_key), node(of_node), Signature([0; 65]));
    Binding { key, node, sequence_ms, genesis: GENESIS, signature }
}

fn directory() -> Directory {
    Directory::new(node(0), GENESIS)
}

fn holders(directory: &Directory, of_key: u64) -> Vec<NodeId> {
    directory.holders(&key(of_key)).into_iter().map(|(node, _)| node).collect()
}

#[test]
fn the_proven_stand_first_then_the_direct_then_the_newest() {
    let mut directory = directory();
    for (source, of_node, sequence) in [(9, 1, 50), (9, 2, 60), (3, 3, 10), (4, 4, 20), (9, 5, 55)] {
        assert_eq!(directory.judge(&node(source), &binding(1, of_node, sequence)), Judged::New);
        directory.learn(node(source), binding(1, of_node, sequence));
    }
    assert_eq!(holders(&directory, 1), [4, 3, 2, 5, 1].map(node));
    assert_eq!(directory.settle(&key(1), &node(1), true), Some(binding(1, 1, 50)));
    assert_eq!(directory.settle(&key(1), &node(1), true), None, "nothing new");
    assert_eq!(directory.settle(&key(1), &node(4), false), Some(binding(1, 4, 20)));
    assert_eq!(holders(&directory, 1), [1, 3, 2, 5].map(node), "the refuted is not asked");
    assert_eq!(directory.settle(&key(2), &node(1), true), None);
    assert_eq!(directory.standing(&key(1), &node(1)), Some(Standing::Proven));
    assert_eq!(directory.standing(&key(1), &node(4)), Some(Standing::Refuted));
    assert_eq!(directory.standing(&key(1), &node(8)), None);
    let known = directory.bindings();
    assert_eq!(known[0], binding(1, 1, 50));
    assert_eq!(known.len(), 4);
    assert_eq!(directory.keys_of(&node(3)), [(key(1), Standing::Direct)]);
}

#[test]
fn old_words_and_other_networks_are_passed_over() {
    let mut directory = directory();
    let judge = |directory: &Directory, binding: Binding| directory.judge(&node(9), &binding);
    directory.learn(node(9), binding(1, 1, 50));
    assert_eq!(judge(&directory, binding(1, 1, 50)), Judged::Known);
    assert_eq!(judge(&directory, binding(1, 1, 49)), Judged::Known);
    assert_eq!(judge(&directory, binding(1, 1, 51)), Judged::New);
    assert_eq!(judge(&directory, binding(1, 0, 51)), Judged::Ignored("own"));
    let foreign = Binding { genesis: B256::ZERO, ..binding(1, 2, 50) };
    assert_eq!(judge(&directory, foreign.clone()), Judged::Ignored("network"));
    // From the node itself it weighs more.
    assert_eq!(directory.judge(&node(1), &binding(1, 1, 50)), Judged::New);
    directory.learn(node(1), binding(1, 1, 50));
    assert_eq!(directory.standing(&key(1), &node(1)), Some(Standing::Direct));
    // A refuted claim stays so until the node says it anew.
    directory.settle(&key(1), &node(1), false);
    assert_eq!(directory.judge(&node(1), &binding(1, 1, 50)), Judged::Known);
    assert!(holders(&directory, 1).is_empty() && directory.keys().is_empty());
    directory.learn(node(1), binding(1, 1, 51));
    assert_eq!(holders(&directory, 1), [node(1)]);
    // A proof outlives a restart of the node, and of ourselves.
    directory.settle(&key(1), &node(1), true);
    directory.learn(node(9), binding(1, 1, 52));
    assert_eq!(directory.standing(&key(1), &node(1)), Some(Standing::Proven));
    directory.restore(binding(2, 2, 1));
    directory.restore(foreign);
    directory.restore(binding(3, 0, 1));
    assert_eq!(directory.standing(&key(2), &node(2)), Some(Standing::Proven));
    assert_eq!(directory.keys(), [key(1), key(2)].into());
}

#[test]
fn nobody_crowds_out_others() {
    let mut directory = directory();
    let liar = node(9_000_000);
    for number in 1..=50 {
        directory.learn(liar, binding(1, number, u64::MAX));
    }
    assert_eq!(holders(&directory, 1).len(), MAX_CLAIMS_PER_SOURCE_AND_KEY);
    for number in 0..2 * MAX_CLAIMS_PER_SOURCE as u64 {
        directory.learn(liar, binding(100 + number, number + 1, 5));
    }
    assert_eq!(directory.by_source[&liar], MAX_CLAIMS_PER_SOURCE);
    assert_eq!(directory.judge(&liar, &binding(7, 7, 7)), Judged::Ignored("room"));
    assert_eq!(directory.judge(&node(2), &binding(7, 7, 7)), Judged::New);

    // Many liars fill the claims of a key; who speaks for itself comes in, and who proved it stays.
    for number in 1..=20 {
        directory.learn(node(1_000_000 + number), binding(1, 2_000_000 + number, u64::MAX));
    }
    assert_eq!(holders(&directory, 1).len(), MAX_CLAIMS_PER_KEY);
    assert_eq!(directory.judge(&node(3_000_000), &binding(1, 5, 9)), Judged::Ignored("room"));
    directory.learn(node(5), binding(1, 5, 9));
    assert_eq!(holders(&directory, 1)[0], node(5));
    directory.settle(&key(1), &node(5), true);
    for number in 1..=50 {
        directory.learn(node(4_000_000 + number), binding(1, 4_000_000 + number, u64::MAX));
    }
    assert_eq!(holders(&directory, 1)[0], node(5));
    assert_eq!(holders(&directory, 1).len(), MAX_CLAIMS_PER_KEY);
}

#[test]
fn a_node_does_not_fill_the_memory_by_speaking_for_itself() {
    let mut directory = directory();
    for number in 0..2 * MAX_KEYS as u64 {
        directory.learn(node(1), binding(number, 1, 5));
        directory.settle(&key(number), &node(1), number % 2 == 0);
    }
    assert_eq!((directory.count, directory.by_node[&node(1)]), (MAX_KEYS, MAX_KEYS));
    assert_eq!(directory.judge(&node(1), &binding(9_000, 1, 5)), Judged::Ignored("room"));
    assert_eq!(directory.judge(&node(1), &binding(3, 1, 6)), Judged::New, "what is known may be said anew");
    assert_eq!(directory.judge(&node(2), &binding(9_000, 2, 5)), Judged::New);
}

#[test]
fn the_memory_is_bounded_and_better_claims_find_room() {
    let mut directory = directory();
    for number in 0..MAX_CLAIMS as u64 {
        directory.learn(node(10_000_000 + number / 1_000), binding(number, 1 + number, 5));
    }
    assert_eq!(directory.count, MAX_CLAIMS);
    assert_eq!(directory.judge(&node(3), &binding(20_000_000, 4, 5)), Judged::Ignored("room"));
    directory.learn(node(4), binding(20_000_000, 4, 5));
    assert_eq!(holders(&directory, 20_000_000), [node(4)]);
    assert_eq!(directory.count, MAX_CLAIMS);
    assert_eq!(directory.claims.values().map(Vec::len).sum::<usize>(), MAX_CLAIMS);
}

#[test]
fn urls_come_after_nodes_and_are_replaced_whole() {
    let mut directory = directory();
    let [first, second] = ["http://a/", "http://b/"].map(|url| url.parse::<PeerUrl>().unwrap());
    directory.learn_url(&first, [key(1), key(2)]);
    directory.learn_url(&second, [key(2)]);
    directory.learn(node(1), binding(2, 1, 5));
    let routes = |directory: &Directory, of_key: u64| -> Vec<Route> {
        directory.routes(&key(of_key)).into_iter().map(|(route, _)| route).collect()
    };
    assert_eq!(routes(&directory, 1), [Route::Url(first.clone())]);
    let both = [Route::Node(node(1)), Route::Url(first.clone()), Route::Url(second.clone())];
    assert_eq!(routes(&directory, 2), both);
    directory.learn_url(&first, [key(3)]);
    assert!(routes(&directory, 1).is_empty());
    assert_eq!(directory.keys(), [key(2), key(3)].into());
    directory.forget_url(&first);
    assert!(routes(&directory, 3).is_empty());
    directory.learn_url(&first, (0..2 * MAX_CLAIMS as u64).map(key));
    assert_eq!(directory.keys().len(), MAX_CLAIMS - 1);
}

proptest! {
    /// Whatever is learned and settled in whatever order, the counts are right and each key's claims are in order.
    #[test]
    fn counts_and_order_hold(steps in proptest::collection::vec((0..6u64, 1..9u64, 1..9u64, 0..4u64, 0..4u8), 0..200)) {
        let mut directory = directory();
        for (of_key, of_node, source, sequence, what) in steps {
            match what {
                0 => { directory.settle(&key(of_key), &node(of_node), true); }
                1 => { directory.settle(&key(of_key), &node(of_node), false); }
                _ => directory.learn(node(source), binding(of_key, of_node, sequence)),
            }
        }
        let all: Vec<&Claim> = directory.claims.values().flatten().collect();
        prop_assert_eq!(all.len(), directory.count);
        let unproven = all.iter().filter(|claim| claim.standing != Standing::Proven).count();
        prop_assert_eq!(directory.by_source.values().sum::<usize>(), unproven);
        for claims in directory.claims.values() {
            prop_assert!(!claims.is_empty());
            prop_assert!(claims.is_sorted_by(|left, right| left.rank() >= right.rank()));
            let nodes: BTreeSet<_> = claims.iter().map(|claim| claim.binding.node).collect();
            prop_assert_eq!(nodes.len(), claims.len());
        }
    }
}
