//! Privacy flags 1 to 3: what parties may do with whose contracts.

use super::*;
use alloy_primitives::TxKind;
use lonja_evm::PrivateMessage;
use lonja_ptm::{Metadata, PrivacyMode, PublicKey};

fn metadata(mode: PrivacyMode, affected: &[PayloadHash]) -> Metadata {
    let mandatory =
        if mode == PrivacyMode::MandatoryRecipients { vec![PublicKey([9; 32])] } else { Vec::new() };
    Metadata { mode, affected: affected.to_vec(), mandatory, ..Metadata::default() }
}

fn message(key: u8, nonce: u64, to: Option<Address>, bytes: &Bytes) -> PrivateMessage {
    PrivateMessage {
        sender: sender(key),
        nonce,
        kind: to.map_or(TxKind::Create, TxKind::Call),
        payload: bytes.clone(),
        gas_limit: 100_000,
        shell_gas: 60_000,
    }
}

/// What the receipt says of a call to a contract made with the first mode, sent with the second.
fn calling(made: PrivacyMode, sent: PrivacyMode, name_it: bool) -> Result<(), String> {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let contract = sender(1).create(0);
    let init = counter_init();
    let mut first = metadata(made, &[]);
    if made == PrivacyMode::StateValidation {
        first.exec_hash = root_of(&a, &chain, message(1, 0, None, &init));
    }
    let create = with_metadata(1, init, first);
    a.has(&create);
    chain.submit(&[private(1, 0, None, &create)]);
    chain.next_block();
    a.catch_up();
    assert!(a.reader().receipt(1, 0).unwrap().unwrap().success);
    let bytes = Bytes::from_static(b"x");
    let mut second = metadata(sent, if name_it { std::slice::from_ref(&create.0) } else { &[] });
    if sent == PrivacyMode::StateValidation && made == sent {
        second.exec_hash = root_of(&a, &chain, message(1, 1, Some(contract), &bytes));
    } else if sent == PrivacyMode::StateValidation {
        second.exec_hash = Bytes::from_static(b"AAAA");
    }
    let call = with_metadata(2, bytes, second);
    a.has(&call);
    chain.submit(&[private(1, 1, Some(contract), &call)]);
    chain.next_block();
    let before = a.root();
    a.catch_up();
    let receipt = a.reader().receipt(2, 0).unwrap().unwrap();
    assert_eq!(receipt.success, a.root() != before);
    receipt.error.map_or(Ok(()), Err)
}

fn root_of(party: &Party, chain: &crate::tests::network::Network, message: PrivateMessage) -> Bytes {
    let (_, root) = party.follower.simulate_root(&chain.spec, &chain.core.reader(), &message).unwrap();
    Bytes::from(execution_root_text(root).into_bytes())
}

#[test]
fn contracts_take_transactions_of_their_own_mode_alone() {
    let modes = [
        PrivacyMode::Standard,
        PrivacyMode::PartyProtection,
        PrivacyMode::MandatoryRecipients,
        PrivacyMode::StateValidation,
    ];
    for made in modes {
        for sent in modes {
            let outcome = calling(made, sent, true);
            assert_eq!(outcome.is_ok(), made == sent, "{made:?} {sent:?}: {outcome:?}");
            if let Err(error) = outcome {
                assert!(error.starts_with("verification of contract interaction differs"), "{error}");
            }
        }
    }
}

#[test]
fn protected_contracts_must_be_named_by_the_sender() {
    assert_eq!(calling(PrivacyMode::Standard, PrivacyMode::Standard, false), Ok(()));
    for mode in [PrivacyMode::PartyProtection, PrivacyMode::MandatoryRecipients, PrivacyMode::StateValidation]
    {
        let error = calling(mode, mode, false).unwrap_err();
        assert!(error.contains("not among those that the sender named"), "{error}");
    }
}

#[test]
fn another_outcome_than_the_sender_s_counts_for_nothing() {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let wrong = Metadata {
        exec_hash: Bytes::from(execution_root_text(Default::default()).into_bytes()),
        ..metadata(PrivacyMode::StateValidation, &[])
    };
    let empty = metadata(PrivacyMode::StateValidation, &[]);
    let (wrong, empty) = (with_metadata(1, counter_init(), wrong), with_metadata(2, counter_init(), empty));
    a.has(&wrong);
    a.has(&empty);
    chain.submit(&[private(1, 0, None, &wrong), private(1, 1, None, &empty)]);
    chain.next_block();
    a.catch_up();
    let error = |index| a.reader().receipt(1, index).unwrap().unwrap().error.unwrap();
    assert!(error(0).contains("another state of the contracts"));
    assert_eq!(error(1), "privacy metadata has empty MR for stateValidation flag");
    assert!(a.state().account(&sender(1).create(0)).unwrap().is_none());
    assert!(a.reader().contract(&sender(1).create(0), 1).unwrap().is_none());
}

#[test]
fn flags_count_only_where_the_network_has_enhancements() {
    let mut chain = chain();
    let spec = std::sync::Arc::make_mut(&mut chain.spec);
    spec.privacy[0].1.enhancements = false;
    let mut a = Party::new(&chain);
    let create = with_metadata(1, counter_init(), metadata(PrivacyMode::PartyProtection, &[]));
    a.has(&create);
    chain.submit(&[private(1, 0, None, &create)]);
    chain.next_block();
    a.catch_up();
    let receipt = a.reader().receipt(1, 0).unwrap().unwrap();
    assert!(!receipt.success && receipt.error.unwrap().contains("no privacy enhancements"));
}

#[test]
fn a_simulation_names_what_is_affected_and_refuses_what_would_fail() {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let mode = PrivacyMode::PartyProtection;
    let create = with_metadata(1, counter_init(), metadata(mode, &[]));
    let plain = payload(2, counter_init());
    [&create, &plain].into_iter().for_each(|payload| a.has(payload));
    chain.submit(&[private(1, 0, None, &create), private(1, 1, None, &plain)]);
    chain.next_block();
    a.catch_up();
    let (protected, open) = (sender(1).create(0), sender(1).create(1));
    let bytes = Bytes::from_static(b"x");
    let (reader, public) = (a.reader(), chain.core.reader());
    let run = |mode, to| simulate(&chain.spec, &public, &reader, mode, &message(1, 2, Some(to), &bytes));
    assert_eq!(run(mode, protected).unwrap().affected, [create.0]);
    assert_eq!(run(PrivacyMode::Standard, open).unwrap().affected, []);
    assert_eq!(run(PrivacyMode::Standard, protected).unwrap_err(), SimulationError::FlagDiffers);
    assert_eq!(run(PrivacyMode::StateValidation, protected).unwrap_err(), SimulationError::FlagDiffers);
    assert_eq!(run(mode, open).unwrap_err(), SimulationError::NoMetadata(open));
    assert_eq!(run(mode, sender(30)).unwrap_err(), SimulationError::NoContract);
    let metadata = reader.contract(&protected, 1).unwrap().unwrap();
    assert_eq!((metadata.creation, metadata.flag), (create.0, 1));
}
