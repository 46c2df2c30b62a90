//! The door: what it refuses in which words, and that nothing slips between two heads.

use super::network::*;
use crate::recover::block_transactions;
use crate::{ChainCore, SubmitError};
use alloy_eips::Encodable2718;
use alloy_primitives::{B256, Bytes, keccak256};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{CertifiedBlock, RecoveredTransaction, TransactionError};
use lonja_txpool::{Origin, PoolError};
use parking_lot::Mutex;
use std::sync::Arc;

fn answer(network: &Network, raw: Bytes) -> Result<B256, SubmitError> {
    network.core.door().submit(vec![raw], Origin::Local).remove(0)
}

#[test]
fn refusals_say_why_in_words_that_tools_know() {
    let mut network = Network::of(NewNetwork { gas_limit: Some(5_000_000), ..Default::default() }, |spec| {
        spec.limits[0].1.transaction_size = 2_000;
    });
    network.submit(&[draft(1, 0)]);
    network.next_block();
    network.submit(&[draft(1, 1)]);
    let cases = [
        (draft(1, 0), "nonce too low", "nonce_too_low"),
        (draft(1, 1), "already known", "already_known"),
        (
            draft(1, 1).with(|tx| tx.gas_limit += 1),
            "replacement transaction underpriced",
            "replacement_underpriced",
        ),
        (draft(2, 0).with(|tx| tx.gas_limit = 21_000 - 1), "intrinsic gas too low", "rules"),
        (draft(2, 0).with(|tx| tx.gas_limit = 5_000_001), "exceeds block gas limit", "gas_limit"),
        (draft(2, 0).with(|tx| tx.input = vec![0; 2_000].into()), "oversized data", "rules"),
        (
            transfer(2, 0, sender(1), START_BALANCE + 1),
            "insufficient funds for gas * price + value",
            "insufficient_funds",
        ),
        (transfer(99, 0, sender(1), 1), "insufficient funds for gas * price + value", "insufficient_funds"),
        (
            draft(2, 0).with(|tx| tx.chain_id = Some(2)),
            "the transaction is signed for chain id 2",
            "wrong_chain",
        ),
    ];
    for (draft, words, name) in cases {
        let error = answer(&network, draft.raw()).unwrap_err();
        assert!(error.to_string().starts_with(words), "{error}");
        assert_eq!((error.name(), error.code()), (name, -32_000));
    }
    let forms: [(&[u8], &str); 4] =
        [(&[], "malformed"), (&[0xc0], "malformed"), (&[3, 0xc0], "type"), (&[5], "type")];
    for (raw, name) in forms {
        let error = answer(&network, Bytes::copy_from_slice(raw)).unwrap_err();
        assert!(matches!(error, SubmitError::Invalid(_)) && error.name() == name, "{error}");
    }
    assert_eq!(network.pool.lock().status().pending, 1);
}

/// A draft in private form; its data is what it is.
fn private(draft: &Draft) -> Bytes {
    sign_private(draft.tx.clone(), &key(draft.key)).encoded_2718().into()
}

fn with_private_transactions() -> Network {
    Network::of(NewNetwork { privacy: Privacy::OF_NEW_NETWORKS, ..Default::default() }, |_| {})
}

#[test]
fn a_private_transaction_is_taken_where_the_network_has_them() {
    let mut network = with_private_transactions();
    let named = |nonce| draft(1, nonce).with(|tx| tx.input = vec![7; 64].into());
    let call = private(&named(0));
    let creation = private(&named(1).with(|tx| tx.to = alloy_primitives::TxKind::Create));
    for raw in [&call, &creation] {
        assert_eq!(answer(&network, raw.clone()), Ok(keccak256(raw)));
    }
    assert_eq!(network.next_block().included.len(), 2);
    let public = Network::new();
    let error = answer(&public, call).unwrap_err();
    assert_eq!((error.name(), error.code()), ("rules", -32_000));
    assert!(error.to_string().contains("no private transactions"), "{error}");
}

#[test]
fn a_private_transaction_names_a_payload_and_moves_no_value() {
    let network = with_private_transactions();
    let words = "ether value is not supported for private transactions";
    let named = draft(1, 0).with(|tx| tx.input = vec![7; 64].into());
    let error =
        answer(&network, private(&named.clone().with(|tx| tx.value = alloy_primitives::U256::from(1))));
    assert_eq!(error.unwrap_err().to_string(), words);
    for length in [0, 1, 32, 63, 65, 128] {
        let raw = private(&named.clone().with(|tx| tx.input = vec![7; length].into()));
        let error = answer(&network, raw).unwrap_err();
        assert!(error.to_string().starts_with(words), "{length}: {error}");
        assert_eq!((error.name(), error.code()), ("private_form", -32_000));
    }
    let public = named.with(|tx| tx.input = vec![7; 65].into());
    assert!(answer(&network, public.raw()).is_ok(), "what is public may have any data");
    assert_eq!(network.pool.lock().status().pending, 1);
}

#[test]
fn an_account_without_money_may_send_where_gas_is_free() {
    let mut network = Network::new();
    let offers = draft(99, 0).with(|tx| tx.gas_price = 1_000_000_000);
    assert_eq!(network.submit(std::slice::from_ref(&offers)), [offers.recovered().hash()]);
    assert_eq!(network.next_block().included.len(), 1);

    let paid = Network::of(NewNetwork { free_gas: Some(false), ..Default::default() }, |_| {});
    let error = answer(&paid, offers.raw()).unwrap_err();
    assert!(matches!(error, SubmitError::Pool(PoolError::InsufficientFunds { .. })));
    assert!(answer(&paid, draft(1, 0).with(|tx| tx.gas_price = 9).raw()).is_ok());
}

#[test]
fn answers_come_in_order_and_news_are_told_once() {
    let network = Network::new();
    let door = network.core.door();
    let heard: Arc<Mutex<Vec<(B256, Origin)>>> = Arc::default();
    let listener = heard.clone();
    door.set_listener(Box::new(move |transactions, origin| {
        listener.lock().extend(transactions.iter().map(|tx| (tx.hash(), origin)));
    }));
    let raws: Vec<Bytes> =
        [draft(1, 1), draft(1, 0), draft(1, 0), draft(2, 0)].iter().map(Draft::raw).collect();
    let hashes: Vec<B256> = raws.iter().map(keccak256).collect();
    let mut batch = raws.clone();
    batch.insert(1, Bytes::from_static(b"\xc0"));
    let answers = door.clone().submit(batch, Origin::Gossip);
    let known = || Err(SubmitError::Pool(PoolError::AlreadyKnown));
    assert!(matches!(answers[1], Err(SubmitError::Invalid(TransactionError::Malformed(_)))));
    let rest: Vec<_> = [0, 2, 3, 4].iter().map(|place: &usize| answers[*place].clone()).collect();
    assert_eq!(rest, [Ok(hashes[0]), Ok(hashes[1]), known(), Ok(hashes[3])]);
    assert_eq!(door.submit(raws, Origin::Local), [known(), known(), known(), known()]);
    let news = [hashes[0], hashes[1], hashes[3]].map(|hash| (hash, Origin::Gossip));
    assert_eq!(*heard.lock(), news);
}

#[test]
fn a_late_copy_of_an_included_transaction_is_known_to_peers_and_too_low_for_clients() {
    let mut network = Network::new();
    network.submit(&[draft(1, 0)]);
    network.next_block();
    let submit = |origin| network.core.door().submit(vec![draft(1, 0).raw()], origin).remove(0);
    assert_eq!(submit(Origin::Gossip), Err(SubmitError::Pool(PoolError::AlreadyKnown)));
    assert_eq!(submit(Origin::Local), Err(SubmitError::Pool(PoolError::NonceTooLow { next: 1, got: 0 })));
}

#[test]
fn a_contract_signs_nothing_and_a_delegated_account_does() {
    use lonja_primitives::genesis::GenesisAccount;
    let account = |code: Vec<u8>| GenesisAccount { code: code.into(), ..Default::default() };
    let delegation = [&[0xef, 0x01, 0x00], COUNTER.as_slice()].concat();
    let alloc = [(sender(101), account(vec![0])), (sender(102), account(delegation))];
    let file =
        NewNetwork { validators: vec![validator_address(1)], alloc: alloc.into(), ..Default::default() };
    let genesis = lonja_primitives::Genesis::from_json(&file.to_json()).unwrap();
    let network = Network::open(genesis, lonja_storage::MemoryKv::new()).unwrap();
    let error = answer(&network, draft(101, 0).raw()).unwrap_err();
    assert!(error.to_string().starts_with("sender not an eoa"), "{error}");
    assert!(answer(&network, draft(102, 0).raw()).is_ok());
}

#[test]
fn many_are_recovered_in_parallel_as_they_would_be_one_by_one() {
    let network = Network::new();
    let mut raws: Vec<Bytes> = (0..300u64).map(|n| draft((n % 30) as u8 + 1, n / 30).raw()).collect();
    for (place, index) in [(5, 0), (77, 20), (200, 33)] {
        let mut broken = raws[place].to_vec();
        broken[index] ^= 0x55;
        raws[place] = broken.into();
    }
    let alone: Vec<_> = raws.iter().map(|raw| RecoveredTransaction::recover(raw.clone(), 1337)).collect();
    let first_bad = alone.iter().position(Result::is_err).unwrap();
    let (index, error) = block_transactions(&raws, &network.pool, 1337).unwrap_err();
    assert_eq!((index, Some(&error)), (first_bad, alone[first_bad].as_ref().err()));
    let good: Vec<Bytes> =
        raws.iter().zip(&alone).filter(|(_, alone)| alone.is_ok()).map(|(raw, _)| raw.clone()).collect();
    // Some of them wait in the pool already, and are taken from there.
    network.core.door().submit(good.iter().step_by(3).cloned().collect(), Origin::Local);
    let together = block_transactions(&good, &network.pool, 1337).unwrap();
    let of = |txs: &[RecoveredTransaction]| txs.iter().map(|tx| (tx.hash(), tx.sender())).collect::<Vec<_>>();
    let alone: Vec<RecoveredTransaction> = alone.into_iter().flatten().collect();
    assert_eq!(of(&together), of(&alone));
    let answers = network.core.door().submit(good.clone(), Origin::Local);
    assert_eq!(answers.len(), good.len());
}

/// A head that changes while a batch is under way: the nonces read before are out of date when the batch is
/// inserted.
#[test]
fn a_block_between_reading_and_inserting_leaves_nobody_stuck() {
    type Slot = Arc<Mutex<Option<(ChainCore, CertifiedBlock)>>>;
    let network = Network::new();
    let (waiting, done): (Slot, Slot) = (Arc::default(), Arc::default());
    let Network { genesis, pool, spec, .. } = network;
    let opened = lonja_storage::open(Arc::new(lonja_storage::MemoryKv::new()), &genesis).unwrap();
    let core = ChainCore::open(opened, spec.clone(), pool.clone()).unwrap();
    let (from, to) = (waiting.clone(), done.clone());
    // The door asks for the time after it looked at the head: that is when the block comes.
    core.set_clock(Box::new(move || {
        let taken = from.lock().take();
        if let Some((mut core, block)) = taken {
            core.commit(&block).unwrap().unwrap();
            *to.lock() = Some((core, block));
        }
        0
    }));
    let door = core.door();
    door.submit(vec![draft(1, 0).raw()], Origin::Local).remove(0).unwrap();
    let mut network = Network { genesis, spec, kv: lonja_storage::MemoryKv::new(), pool, core };
    let block = network.build();
    let sealed = network.seal(block, 0, &[1]);
    let Network { pool, core, .. } = network;
    *waiting.lock() = Some((core, sealed));
    assert!(door.submit(vec![draft(1, 1).raw()], Origin::Local).remove(0).is_ok());
    assert!(done.lock().is_some(), "the block came in between");
    let status = pool.lock().status();
    assert_eq!((status.pending, status.queued), (1, 0));
}
