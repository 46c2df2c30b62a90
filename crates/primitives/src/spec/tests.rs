use super::*;
use crate::Genesis;
use crate::genesis::NewNetwork;
use alloy_primitives::B256;

fn spec() -> ChainSpec {
    let network =
        NewNetwork { chain_id: 7, validators: vec![Address::repeat_byte(1)], ..NewNetwork::default() };
    Genesis::from_json(&network.to_json()).unwrap().spec
}

#[test]
fn forks_have_distinct_names_in_order() {
    for fork in Fork::ALL {
        assert_eq!(Fork::from_name(fork.name()), Some(fork));
    }
    assert!(Fork::ALL.is_sorted());
    assert_eq!(Fork::ALL.last(), Some(&Fork::LATEST));
    assert_eq!(Fork::from_name("paris"), None);
}

#[test]
fn rules_hold_from_their_height_and_time() {
    let mut spec = spec();
    spec.forks = vec![
        (Fork::Berlin, ForkStart::Block(0)),
        (Fork::London, ForkStart::Block(10)),
        (Fork::Shanghai, ForkStart::Time(500)),
    ];
    let mut later = spec.consensus[0].1.clone();
    later.block_reward = U256::from(3);
    spec.consensus.push((20, later));
    let mut limits = spec.limits[0].1;
    limits.code_size = 1;
    spec.limits.push((30, limits));
    assert_eq!(spec.fork_at(9, 0), Fork::Berlin);
    assert_eq!(spec.fork_at(10, 499), Fork::London);
    assert_eq!(spec.fork_at(10, 500), Fork::Shanghai);
    assert_eq!(spec.rules_at(19, 0).block_reward, U256::ZERO);
    assert_eq!(spec.rules_at(20, 0).block_reward, U256::from(3));
    assert_ne!(spec.rules_at(29, 0).limits.code_size, 1);
    assert_eq!(spec.rules_at(u64::MAX, 0).limits.code_size, 1);
}

/// Changes of a spec, each of which makes another network of it.
#[test]
fn every_rule_moves_the_fork_id() {
    type Change = fn(&mut ChainSpec);
    let changes: [Change; 24] = [
        |spec| spec.chain_id += 1,
        |spec| spec.free_gas = !spec.free_gas,
        |spec| spec.forks.truncate(3),
        |spec| spec.forks[3].1 = ForkStart::Block(1),
        |spec| spec.forks[3].1 = ForkStart::Time(0),
        |spec| spec.consensus[0].1.format = HeaderFormat::Ibft2,
        |spec| spec.consensus[0].1.block_period_ms += 1,
        |spec| spec.consensus[0].1.empty_block_period_ms += 1,
        |spec| spec.consensus[0].1.request_timeout_ms += 1,
        |spec| spec.consensus[0].1.max_request_timeout_ms += 1,
        |spec| spec.consensus[0].1.epoch_length += 1,
        |spec| spec.consensus[0].1.proposer_policy = ProposerPolicy::Sticky,
        |spec| spec.consensus[0].1.quorum = QuorumRule::TwoFPlusOne,
        |spec| spec.consensus[0].1.digest = DigestRule::GoQuorum,
        |spec| spec.consensus[0].1.rules = ClientRules::GoQuorum,
        |spec| spec.consensus[0].1.validators = Some(vec![]),
        |spec| spec.consensus[0].1.validators = Some(vec![Address::ZERO]),
        |spec| spec.consensus[0].1.beneficiary = Some(Address::ZERO),
        |spec| spec.consensus[0].1.block_reward = U256::from(1),
        |spec| spec.consensus.push((9, spec.consensus[0].1.clone())),
        |spec| spec.limits[0].1.code_size += 1,
        |spec| spec.limits[0].1.init_code_size += 1,
        |spec| spec.limits[0].1.block_size += 1,
        |spec| spec.limits[0].1.gas_limit = None,
    ];
    let hash = B256::repeat_byte(1);
    let mut seen = std::collections::BTreeSet::from([spec().fork_id(hash), spec().fork_id(B256::ZERO)]);
    assert_eq!(seen.len(), 2);
    for (index, change) in changes.iter().enumerate() {
        let mut other = spec();
        change(&mut other);
        assert!(seen.insert(other.fork_id(hash)), "change {index} does not move the fork id");
    }
    let mut other = spec();
    other.limits[0].1.transaction_size += 1;
    assert!(seen.insert(other.fork_id(hash)));
    assert_eq!(spec().fork_id(hash), spec().fork_id(hash));
}
