use super::*;
use alloy_primitives::U64;

fn hash(n: u8) -> B256 {
    B256::repeat_byte(n)
}

fn signed(n: u8) -> Signed {
    Signed { hash: hash(n), request: format!("{{{n}}}").into() }
}

fn block(hashes: &[B256]) -> BlockView {
    let (gas_used, size) = (U64::from(21_000), U64::from(600));
    BlockView { gas_used, size, transactions: hashes.to_vec() }
}

/// Four accounts with one transaction each: their numbers are 0 to 3, as are the bytes of their hashes.
fn four() -> (Ledger, impl Fn(u64) -> Instant) {
    let mut ledger = Ledger::new((0..4).map(|n| vec![signed(n)]).collect(), 100);
    let start = Instant::now();
    ledger.begin(start);
    (ledger, move |seconds| start + Duration::from_secs(seconds))
}

#[test]
fn every_transaction_is_counted_once() {
    let (mut ledger, at) = four();
    ledger.offering(&[0, 1, 2, 3], at(1));
    assert_eq!(ledger.outstanding(), 4);
    ledger.accepted(0);
    ledger.accepted(1);
    ledger.refused(2, "(-32000) nonce too low: next 17, got 0xab12");
    ledger.offering(&[2], at(2));
    ledger.refused(2, "(-32000) nonce too low: next 3, got 0x9");
    ledger.block(&block(&[hash(0), hash(3), hash(9)]), at(4));
    ledger.refused(3, "too late");
    assert_eq!(ledger.outstanding(), 1);
    let reasons = [("(-32000) nonce too low: next #, got #", 2), ("too late", 1)];
    assert_eq!(ledger.reasons(), &reasons.map(|(text, count)| (text.into(), count)).into());
    assert_eq!((ledger.answers().offers, ledger.answers().refusals), (5, 3));
    let tally = ledger.tally(at(0), at(2));
    assert_eq!((tally.lost, tally.unanswered), (1, 0));
    assert_eq!(tally.latencies, vec![Duration::from_secs(3); 2]);
    assert!(ledger.tally(at(2), at(9)).latencies.is_empty());
    assert_eq!((ledger.blocks()[0].transactions, ledger.blocks()[0].ours), (3, 2));
    assert_eq!(ledger.lost().collect::<Vec<_>>(), [hash(1)]);
    assert_eq!(ledger.last_hash(), Some(hash(9)));
    assert_eq!((ledger.seconds()[1].offers, ledger.seconds()[2].offers), (4, 1));
}

#[test]
fn an_answer_after_the_block_changes_nothing() {
    let (mut ledger, at) = four();
    ledger.offering(&[0, 1], at(0));
    ledger.block(&block(&[hash(0)]), at(1));
    ledger.accepted(0);
    ledger.refused(0, "already known");
    assert_eq!((ledger.outstanding(), ledger.finalised().len()), (1, 1));
    assert_eq!(ledger.take(0), None, "it is not offered again");
    assert!(ledger.request(&[0]).is_empty(), "it is forgotten");
    ledger.block(&block(&[hash(0)]), at(2));
    assert_eq!(ledger.finalised().len(), 1, "and not counted twice");
    assert_eq!(ledger.tally(at(0), at(9)).unanswered, 1);
}

#[test]
fn what_a_node_refused_and_a_block_holds_is_finalised() {
    let (mut ledger, at) = four();
    ledger.offering(&[1], at(0));
    ledger.refused(1, "no answer: timed out");
    assert_eq!(ledger.outstanding(), 0);
    ledger.block(&block(&[hash(1)]), at(3));
    assert_eq!((ledger.outstanding(), ledger.tally(at(0), at(1)).latencies.len()), (0, 1));
}

#[test]
fn numbers_belong_to_accounts_and_nonces() {
    let (mut ledger, at) = four();
    assert_eq!(ledger.order(2), Some(1..13));
    ledger.stock(2, vec![signed(6)]);
    assert_eq!((ledger.take(2), ledger.take(2), ledger.take(2)), (Some(2), Some(6), None));
    assert_eq!(ledger.place(6), (2, 1));
    assert_eq!(ledger.request(&[2, 6]), "[{2},{6}]");
    ledger.offering(&[2, 6], at(0));
    ledger.refused(2, "full");
    ledger.accepted(6);
    assert_eq!(ledger.holes(), [2]);
    assert_eq!(ledger.take(2), Some(2));
}

#[test]
fn reasons_differ_by_words_and_code() {
    assert_eq!(plain("txpool is full"), "txpool is full");
    assert_eq!(plain("block 12 of 0xdeadbeef"), "block # of #");
    let error = RpcError { code: -32005, message: "limit of 10 reached".into() };
    assert_eq!(plain(&reason(&error)), "(-32005) limit of # reached");
    assert_eq!(plain("(maybe) 7"), "(maybe) #");
    assert_eq!(plain("no answer: HTTP 429 slow down for 7 s"), "no answer: HTTP 429 slow down for # s");
    let (mut ledger, _) = four();
    let letters = |n: u32| char::from_u32('a' as u32 + n).unwrap();
    (0..25).for_each(|n| ledger.refused(0, &letters(n).to_string()));
    assert_eq!(ledger.reasons().len(), REASONS_MAX + 1);
    assert_eq!(ledger.reasons()["other reasons"], 5);
}
