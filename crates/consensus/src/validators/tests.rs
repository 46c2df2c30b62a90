use super::*;
use crate::testing::{cases, number, vectors};

fn address(n: u8) -> Address {
    Address::with_last_byte(n)
}

#[test]
fn a_set_is_sorted_and_refuses_what_is_none() {
    let set = ValidatorSet::new(vec![address(3), address(1), address(2)]).unwrap();
    assert_eq!(set.as_slice(), [address(1), address(2), address(3)]);
    assert_eq!(set.index_of(&address(3)), Some(2));
    assert!(set.contains(&address(2)) && !set.contains(&address(4)));
    assert_eq!(ValidatorSet::new(vec![]), Err(ValidatorSetError::Empty));
    assert_eq!(ValidatorSet::new(vec![address(1), Address::ZERO]), Err(ValidatorSetError::Zero));
    let twice = vec![address(2), address(1), address(2)];
    assert_eq!(ValidatorSet::new(twice), Err(ValidatorSetError::Duplicate(address(2))));
}

#[test]
fn members_come_and_go_one_at_a_time() {
    let set = ValidatorSet::new(vec![address(1), address(3)]).unwrap();
    assert_eq!(set.with(address(2)).unwrap().as_slice(), [address(1), address(2), address(3)]);
    assert_eq!(set.with(address(3)), None);
    assert_eq!(set.with(Address::ZERO), None);
    let one = set.without(&address(1)).unwrap();
    assert_eq!(one.as_slice(), [address(3)]);
    assert_eq!(one.without(&address(3)), None);
    assert_eq!(set.without(&address(2)), None);
}

#[test]
fn quorum_vectors() {
    let file = vectors!("quorum");
    for case in cases(&file) {
        let n = number(&case["n"]) as usize;
        let (ceil, old) = (quorum(n, QuorumRule::CeilTwoThirds), quorum(n, QuorumRule::TwoFPlusOne));
        assert_eq!(max_faulty(n) as u64, number(&case["f"]), "{case}");
        assert_eq!(ceil as u64, number(&case["ceil_2n_3"]), "{case}");
        assert_eq!(old as u64, number(&case["two_f_plus_1"]), "{case}");
        for (quorum, field) in
            [(ceil, "two_quorums_of_ceil_share_honest"), (old, "two_quorums_of_2f1_share_honest")]
        {
            assert_eq!(2 * quorum > n + max_faulty(n), case[field].as_bool().unwrap(), "{case}");
        }
    }
    for case in file["seal_count_cases"].as_array().unwrap() {
        let enough =
            number(&case["seals"]) as usize >= quorum(number(&case["n"]) as usize, QuorumRule::CeilTwoThirds);
        assert_eq!(enough, case["expect"].as_bool().unwrap(), "{case}");
    }
}

#[test]
fn a_quorum_of_new_networks_can_be_reached_and_overlaps_for_every_size() {
    for n in 1..500 {
        let quorum = quorum(n, QuorumRule::CeilTwoThirds);
        assert!(quorum <= n - max_faulty(n));
        assert!(2 * quorum > n + max_faulty(n));
    }
}
