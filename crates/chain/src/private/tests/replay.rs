//! Blocks that are run once more, to look at what ran in them.

use super::extension::Scene;
use super::*;
use crate::private::{LookUp, Replay, ReplayError};
use crate::tests::network::Network;
use lonja_evm::{BlockEnv, BlockReplay, Tracing};
use lonja_primitives::{RecoveredTransaction, StateView};
use lonja_storage::StateAt;
use serde_json::{Value, json};
use std::time::Duration;

const PLENTY: &(dyn Fn() -> Duration + Sync) = &|| Duration::MAX;

fn calls() -> Tracing {
    Tracing::new(json!({ "tracer": "callTracer" }).as_object().unwrap(), 1 << 20).unwrap()
}

fn transactions(chain: &Network, number: u64) -> Vec<RecoveredTransaction> {
    let (_, raws, senders) = chain.core.reader().block_with_senders(number).unwrap().unwrap();
    let stored = |(raw, sender)| RecoveredTransaction::stored(raw, sender, chain.spec.chain_id).unwrap();
    raws.into_iter().zip(senders).map(stored).collect()
}

/// What is told of every transaction of a block that ran at a party, by places. `looks_up` may know less than the party did.
fn replayed(
    chain: &Network,
    party: &Party,
    number: u64,
    look_up: &mut LookUp<'_>,
) -> Result<Vec<(u32, Value)>, ReplayError> {
    let (reader, private) = (chain.core.reader(), party.reader());
    let header = reader.header(number).unwrap().unwrap();
    let public = reader.state_at(number - 1).unwrap();
    let before: StateAt = private.state_at(number - 1).unwrap();
    let rules = chain.spec.rules_at(number, header.timestamp);
    let mut first = BlockReplay::new(rules, BlockEnv::from_header(&header), &public, PLENTY);
    let mut second = Replay::new(&chain.spec, &header, &public, &before, &private)?;
    let mut told = Vec::new();
    for (index, tx) in (0u32..).zip(transactions(chain, number)) {
        first.pass(&tx).unwrap();
        let trace = second.run(index, &tx, first.changes(), look_up, PLENTY, Some(&calls()))?;
        assert_eq!(trace.is_some(), second.ran(index));
        told.extend(trace.map(|trace| (index, serde_json::from_str(trace.get()).unwrap())));
    }
    let after = private.state_at(number).unwrap();
    for (address, change) in &second.changes().accounts {
        assert_eq!(after.account(address).unwrap(), change.account, "{address}");
        for (slot, value) in &change.storage {
            assert_eq!(after.storage(address, slot).unwrap(), *value, "{address}");
        }
    }
    Ok(told)
}

#[test]
fn what_ran_is_told_and_what_did_not_run_is_not() {
    let mut chain = chain();
    let (mut a, mut c) = (Party::new(&chain), Party::new(&chain));
    let contract = sender(1).create(0);
    let payloads =
        [payload(1, counter_init()), payload(2, Bytes::from_static(b"x")), payload(3, Bytes::new())];
    payloads.iter().for_each(|payload| a.has(payload));
    let [create, call, again] = &payloads;
    let drafts = [
        private(1, 0, None, create),
        private(1, 1, Some(contract), call),
        draft(2, 0),
        private(1, 2, Some(contract), again),
    ];
    chain.submit(&drafts);
    let number = chain.next_block().number;
    [&mut a, &mut c].into_iter().for_each(Party::catch_up);
    let told = replayed(&chain, &a, number, &mut |hash| a.look_up(hash)).unwrap();
    assert_eq!(told.len(), 3);
    assert_eq!((&told[0].1["type"], &told[0].1["to"]), (&json!("CREATE"), &json!(contract)));
    assert_eq!((&told[1].1["input"], &told[1].1["to"]), (&json!("0x78"), &json!(contract)));
    for (index, trace) in &told {
        let receipt = a.reader().receipt(number, *index).unwrap().unwrap();
        assert_eq!(trace["gasUsed"], format!("{:#x}", receipt.gas_used));
    }
    assert!(replayed(&chain, &c, number, &mut |hash| c.look_up(hash)).unwrap().is_empty());
    a.unavailable(call, "no manager");
    let error = replayed(&chain, &a, number, &mut |hash| a.look_up(hash)).unwrap_err();
    assert_eq!(error, ReplayError::Unavailable("no manager".to_owned()));
    a.erased(call);
    let error = replayed(&chain, &a, number, &mut |hash| a.look_up(hash)).unwrap_err();
    assert_eq!(error, ReplayError::Gone(call.0));
}

#[test]
fn what_protection_refused_changes_nothing_afterwards() {
    let mut scene = Scene::new(lonja_ptm::PrivacyMode::PartyProtection);
    // A transaction that does not name the contract's creation is refused after it ran.
    let refused = scene.draft_call(set_first(7), &[]);
    let counted = scene.draft_call(set_first(8), &[scene.created]);
    scene.chain.submit(&[refused, counted]);
    scene.next_block();
    let party = &scene.parties[0];
    let number = party.follower.head().number;
    assert!(party.reader().receipt(number, 0).unwrap().unwrap().error.is_some());
    let told = replayed(&scene.chain, party, number, &mut |hash| party.look_up(hash)).unwrap();
    assert_eq!(told.len(), 2, "the run is told, the refusal stands in the receipt");
}

#[test]
fn a_contract_that_came_whole_is_there_for_what_follows_in_its_block() {
    let mut scene = Scene::accepted(lonja_ptm::PrivacyMode::Standard);
    let (share, state) = scene.draft_share();
    let call = scene.draft_call_with_newcomer(set_first(9), &[state]);
    scene.chain.submit(&[share, call]);
    scene.next_block();
    for party in [0, 2] {
        let party = &scene.parties[party];
        let number = party.follower.head().number;
        assert!(party.reader().receipt(number, 1).unwrap().unwrap().success);
        let told = replayed(&scene.chain, party, number, &mut |hash| party.look_up(hash)).unwrap();
        assert_eq!((told.len(), &told[1].1["to"]), (2, &json!(scene.contract)));
        assert!(told[1].1.get("error").is_none());
    }
}

/// Writes this into the first slot of the contract of a [`Scene`].
fn set_first(value: u64) -> Bytes {
    [U256::from(1), U256::from(value)].map(|word| word.to_be_bytes::<32>()).concat().into()
}
