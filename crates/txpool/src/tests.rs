//! Behaviour of the pool, case by case. Also makes the transactions for the tests against the model.

use crate::config::footprint_bytes;
use crate::{Inserted, Origin, PoolConfig, PoolError, ReadyCursor, SenderState, TxPool, WaitReason};
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip4844, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use lonja_primitives::{NodeKey, RecoveredTransaction, Signer};

/// A transaction with 21,000 gas, signed by the key with this number.
pub(crate) struct Draft {
    pub(crate) key: u8,
    pub(crate) nonce: u64,
    pub(crate) value: u64,
    pub(crate) price: u128,
    pub(crate) data_bytes: usize,
}

impl Draft {
    pub(crate) fn sign(&self) -> RecoveredTransaction {
        let key = NodeKey::from_bytes(B256::with_last_byte(self.key).as_ref()).unwrap();
        let tx = TxLegacy {
            chain_id: Some(1337),
            nonce: self.nonce,
            gas_price: self.price,
            gas_limit: 21_000,
            to: TxKind::Call(Address::repeat_byte(0xaa)),
            value: U256::from(self.value),
            input: Bytes::from(vec![7; self.data_bytes]),
        };
        let signature = key.sign(tx.signature_hash()).0;
        let signature = Signature::from_bytes_and_parity(&signature[..64], signature[64] == 1);
        let envelope = EthereumTxEnvelope::<TxEip4844>::Legacy(tx.into_signed(signature));
        RecoveredTransaction::recover(envelope.encoded_2718().into(), 1337).unwrap()
    }
}

fn tx(key: u8, nonce: u64) -> RecoveredTransaction {
    paying(key, nonce, 0, 0)
}

fn paying(key: u8, nonce: u64, value: u64, price: u128) -> RecoveredTransaction {
    Draft { key, nonce, value, price, data_bytes: 0 }.sign()
}

fn at(nonce: u64) -> SenderState {
    with(nonce, 0)
}

fn with(nonce: u64, balance: u64) -> SenderState {
    SenderState { nonce, balance: U256::from(balance) }
}

fn pool() -> TxPool {
    TxPool::new(PoolConfig::default())
}

fn take(pool: &mut TxPool, tx: &RecoveredTransaction, state: SenderState) -> Inserted {
    pool.insert(tx.clone(), state, Origin::Gossip, 0).unwrap()
}

fn ready_hashes(pool: &TxPool) -> Vec<B256> {
    pool.ready(u64::MAX, usize::MAX).iter().map(RecoveredTransaction::hash).collect()
}

fn hashes(transactions: &[RecoveredTransaction]) -> Vec<B256> {
    transactions.iter().map(RecoveredTransaction::hash).collect()
}

#[test]
fn a_gap_closes_and_all_behind_it_become_ready() {
    let mut pool = pool();
    let all = [tx(1, 5), tx(1, 6), tx(1, 7)];
    assert_eq!(take(&mut pool, &all[2], at(5)), Inserted::default());
    assert!(!take(&mut pool, &all[1], at(5)).ready);
    assert_eq!(pool.pending_nonce(&all[0].sender()), Some(5));
    assert!(!pool.has_ready());
    let reasons: Vec<_> = pool.content_of(&all[0].sender()).iter().map(|waiting| waiting.reason).collect();
    assert_eq!(reasons, [WaitReason::NonceGap { expected: 5 }; 2]);
    let inserted = take(&mut pool, &all[0], at(5));
    assert!(inserted.ready);
    assert_eq!(inserted.promoted, 3);
    assert_eq!(ready_hashes(&pool), hashes(&all));
    assert_eq!(pool.pending_nonce(&all[0].sender()), Some(8));
    assert_eq!(pool.status().pending, 3);
}

#[test]
fn who_came_first_goes_first_whatever_is_paid() {
    let mut pool = pool();
    let (a0, b0, c0, a1) = (tx(1, 0), paying(2, 0, 0, 1000), tx(3, 0), paying(1, 1, 0, 9));
    for tx in [&a1, &b0, &a0, &c0] {
        take(&mut pool, tx, at(0));
    }
    // The first sender's second transaction came first of all, but has to wait for its first.
    assert_eq!(ready_hashes(&pool), hashes(&[b0, a0, a1, c0]));
}

#[test]
fn a_block_takes_what_fits_and_passes_over_what_does_not() {
    let mut pool = pool();
    let big = Draft { key: 1, nonce: 0, value: 0, price: 0, data_bytes: 5000 }.sign();
    for tx in [&big, &tx(1, 1), &tx(2, 0), &tx(3, 0), &tx(4, 0)] {
        take(&mut pool, tx, at(0));
    }
    let small = tx(2, 0).raw().len();
    assert_eq!(hashes(&pool.ready(u64::MAX, 4000)), hashes(&[tx(2, 0), tx(3, 0), tx(4, 0)]));
    assert_eq!(hashes(&pool.ready(u64::MAX, 2 * small)), hashes(&[tx(2, 0), tx(3, 0)]));
    assert_eq!(hashes(&pool.ready(42_000, usize::MAX)), hashes(&[big, tx(1, 1)]));
    assert!(pool.ready(20_999, usize::MAX).is_empty());
}

#[test]
fn a_cursor_goes_on_where_it_stopped_and_sees_what_changed() {
    let mut pool = pool();
    let order = [tx(1, 0), tx(2, 0), tx(1, 1), tx(3, 0), tx(2, 1)];
    order.iter().for_each(|tx| drop(take(&mut pool, tx, at(0))));
    let mut cursor = ReadyCursor::default();
    assert_eq!(hashes(&pool.next_ready(&mut cursor, 2)), hashes(&order[..2]));
    pool.remove_invalid(&order[2].hash(), "broken", 0).unwrap();
    let late = tx(4, 0);
    take(&mut pool, &late, at(0));
    cursor.pass_over(order[1].sender());
    assert_eq!(hashes(&pool.next_ready(&mut cursor, 9)), hashes(&[order[3].clone(), late]));
    assert!(pool.next_ready(&mut cursor, 9).is_empty());
    assert_eq!(pool.dropped_reason(&order[2].hash()), Some("broken"));
}

#[test]
fn refusals_name_what_is_wrong() {
    let mut pool = pool();
    let known = tx(1, 3);
    take(&mut pool, &known, at(3));
    let mut refuse =
        |tx: RecoveredTransaction, state| pool.insert(tx, state, Origin::Local, 0).unwrap_err().to_string();
    assert_eq!(refuse(known, at(3)), "already known");
    assert_eq!(refuse(tx(1, 2), at(3)), "nonce too low: next nonce 3, tx nonce 2");
    assert_eq!(refuse(tx(1, u64::MAX), at(3)), "nonce has max value");
    assert_eq!(
        refuse(paying(2, 0, 9, 0), with(0, 4)),
        "insufficient funds for gas * price + value: balance 4, tx cost 9, overshot 5"
    );
    assert!(refuse(paying(1, 3, 1, 0), with(3, 5)).starts_with("replacement transaction underpriced"));
    assert_eq!(pool.status().pending, 1);
}

#[test]
fn a_replacement_pays_a_tenth_more_and_keeps_its_place() {
    let mut pool = pool();
    let (old, other) = (paying(1, 0, 0, 100), tx(2, 0));
    take(&mut pool, &old, at(0));
    take(&mut pool, &other, at(0));
    let too_low = pool.insert(paying(1, 0, 0, 109), at(0), Origin::Gossip, 0);
    assert_eq!(too_low, Err(PoolError::ReplacementUnderpriced { offered: 109, required: 110 }));
    let new = paying(1, 0, 0, 110);
    assert_eq!(take(&mut pool, &new, at(0)).replaced, Some(old.hash()));
    assert_eq!(ready_hashes(&pool), hashes(&[new.clone(), other]));
    assert!(!pool.contains(&old.hash()));
    let reason = format!("replaced by {}", new.hash());
    assert_eq!(pool.dropped_reason(&old.hash()), Some(reason.as_str()));
    assert_eq!(pool.dropped_reason(&new.hash()), None);
    // From no price to any price is more, from no price to no price is not.
    take(&mut pool, &tx(3, 0), at(0));
    assert!(pool.insert(paying(3, 0, 1, 0), with(0, 9), Origin::Gossip, 0).is_err());
    assert!(pool.insert(paying(3, 0, 1, 1), with(0, 9), Origin::Gossip, 0).is_ok());
    assert_eq!(pool.status().bytes, ready_bytes(&pool));
}

fn ready_bytes(pool: &TxPool) -> usize {
    pool.ready(u64::MAX, usize::MAX).iter().map(footprint_bytes).sum()
}

#[test]
fn funds_count_for_all_of_a_sender_together_and_a_richer_sender_goes_on() {
    let mut pool = pool();
    let all = [paying(1, 0, 6, 0), paying(1, 1, 6, 0), paying(1, 2, 0, 0)];
    let sender = all[0].sender();
    all.iter().for_each(|tx| drop(take(&mut pool, tx, with(0, 10))));
    assert_eq!(ready_hashes(&pool), hashes(&all[..1]));
    let reasons: Vec<_> = pool.content_of(&sender).iter().map(|waiting| waiting.reason).collect();
    let poor = WaitReason::InsufficientFunds { needs: U256::from(12), has: U256::from(10) };
    assert_eq!(reasons, [WaitReason::Ready, poor, WaitReason::Behind { nonce: 1 }]);
    assert_eq!(pool.pending_nonce(&sender), Some(3));
    // Somebody sends it money: nothing of its own is in the block.
    pool.on_block(&[], &[(sender, with(0, 12))], 0);
    assert_eq!(ready_hashes(&pool), hashes(&all));
    pool.on_block(&[], &[(sender, with(0, 5))], 0);
    assert!(!pool.has_ready());
    assert_eq!(pool.status().queued, 3);
}

#[test]
fn where_gas_is_not_free_the_fee_counts_too() {
    let mut pool = pool();
    pool.set_free_gas(false);
    let tx = paying(1, 0, 1, 2);
    let poor = pool.insert(tx.clone(), with(0, 42_000), Origin::Local, 0).unwrap_err();
    assert_eq!(poor, PoolError::InsufficientFunds { needs: U256::from(42_001), has: U256::from(42_000) });
    assert!(pool.insert(tx, with(0, 42_001), Origin::Local, 0).unwrap().ready);
}

#[test]
fn a_block_drops_what_it_included_and_what_it_made_stale() {
    let mut pool = pool();
    let all = [tx(1, 0), tx(1, 1), tx(1, 3), tx(2, 0)];
    all.iter().for_each(|tx| drop(take(&mut pool, tx, at(0))));
    // Nonces 1 and 2 were used by transactions that never came by here.
    pool.on_block(&[all[0].hash()], &[(all[0].sender(), at(3))], 0);
    assert_eq!(ready_hashes(&pool), hashes(&all[2..]));
    assert!(pool.recently_included(&all[0].hash()));
    assert!(!pool.contains(&all[1].hash()));
    let reason = "nonce 1 was used by another transaction: the sender's next is 3";
    assert_eq!(pool.dropped_reason(&all[1].hash()), Some(reason));
    assert_eq!(pool.dropped_reason(&all[0].hash()), None, "it is in a block");
    // A block that names no senders still takes its own transactions out.
    pool.on_block(&[all[2].hash(), all[3].hash()], &[], 0);
    assert_eq!(pool.status(), Default::default());
    assert!(pool.senders().is_empty());
    assert_eq!((2..4).find_map(|index| pool.dropped_reason(&all[index].hash())), None);
}

/// A door may know of a block before the pool does, and cannot say whose nonce it was.
#[test]
fn a_newer_reading_of_the_state_drops_what_is_used_up() {
    let mut pool = pool();
    let old = tx(1, 4);
    take(&mut pool, &old, at(4));
    take(&mut pool, &tx(1, 6), at(6));
    assert_eq!(pool.dropped_reason(&old.hash()), Some("nonce 4 is used up: the sender's next is 6"));
}

#[test]
fn an_old_reading_of_the_state_changes_nothing() {
    let mut pool = pool();
    take(&mut pool, &tx(1, 4), at(4));
    let stale = pool.insert(tx(1, 3), at(2), Origin::Gossip, 0);
    assert_eq!(stale, Err(PoolError::NonceTooLow { next: 4, got: 3 }));
    assert!(take(&mut pool, &tx(1, 5), at(2)).ready);
    pool.on_block(&[], &[(tx(1, 0).sender(), at(1))], 0);
    assert_eq!(pool.status().pending, 2);
}

#[test]
fn what_waits_too_long_goes_and_what_is_ready_stays() {
    let mut pool = TxPool::new(PoolConfig { lifetime_ms: 100, ..PoolConfig::default() });
    let gap = tx(1, 1);
    pool.insert(gap.clone(), at(0), Origin::Local, 50).unwrap();
    pool.insert(tx(2, 0), at(0), Origin::Gossip, 0).unwrap();
    pool.on_block(&[], &[], 149);
    assert_eq!(pool.status().queued, 1);
    pool.expire(150);
    assert_eq!((pool.status().queued, pool.status().pending), (0, 1));
    assert_eq!(pool.dropped_reason(&gap.hash()), Some("waited longer than 0 s"));
}

fn small_pool(max_transactions: usize) -> TxPool {
    TxPool::new(PoolConfig { max_transactions, ..PoolConfig::default() })
}

#[test]
fn queued_gossip_makes_way_and_nothing_else_does() {
    let mut pool = small_pool(3);
    let (oldest, local, newer) = (tx(1, 1), tx(2, 1), tx(3, 1));
    pool.insert(oldest.clone(), at(0), Origin::Gossip, 1).unwrap();
    pool.insert(local.clone(), at(0), Origin::Local, 0).unwrap();
    pool.insert(newer.clone(), at(0), Origin::Restored, 2).unwrap();
    let full = PoolError::Full { transactions: 3, bytes: pool.status().bytes };
    assert_eq!(pool.insert(tx(4, 1), at(0), Origin::Gossip, 3), Err(full.clone()));
    let inserted = pool.insert(tx(4, 0), at(0), Origin::Gossip, 3).unwrap();
    assert_eq!(inserted.evicted, [oldest.hash()]);
    let inserted = pool.insert(tx(5, 1), at(0), Origin::Local, 3).unwrap();
    assert_eq!(inserted.evicted, [newer.hash()]);
    let full = PoolError::Full { transactions: 3, bytes: pool.status().bytes };
    for origin in [Origin::Local, Origin::Gossip] {
        assert_eq!(pool.insert(tx(6, 0), at(0), origin, 3), Err(full.clone()));
    }
    assert!(pool.contains(&local.hash()));
}

#[test]
fn bounds_in_bytes_and_of_one_sender() {
    let one = footprint_bytes(&tx(1, 0));
    let mut by_bytes = TxPool::new(PoolConfig { max_bytes: 2 * one + 1, ..PoolConfig::default() });
    take(&mut by_bytes, &tx(1, 0), at(0));
    take(&mut by_bytes, &tx(2, 0), at(0));
    assert!(matches!(by_bytes.insert(tx(3, 0), at(0), Origin::Local, 0), Err(PoolError::Full { .. })));
    let limit = PoolConfig { max_per_sender: 2, max_bytes_per_sender: 3 * one, ..PoolConfig::default() };
    let mut by_sender = TxPool::new(limit);
    take(&mut by_sender, &tx(1, 0), at(0));
    let big = Draft { key: 1, nonce: 1, value: 0, price: 0, data_bytes: one }.sign();
    let refused = by_sender.insert(big, at(0), Origin::Local, 0);
    assert_eq!(refused, Err(PoolError::SenderLimit { transactions: 1, bytes: one }));
    take(&mut by_sender, &tx(1, 1), at(0));
    let refused = by_sender.insert(tx(1, 2), at(0), Origin::Local, 0);
    assert_eq!(refused, Err(PoolError::SenderLimit { transactions: 2, bytes: 2 * one }));
    take(&mut by_sender, &tx(2, 0), at(0));
}

#[test]
fn a_sender_that_lost_its_funds_keeps_its_transactions_over_a_restart() {
    let mut pool = pool();
    let tx = paying(1, 0, 5, 0);
    assert!(!pool.insert(tx.clone(), with(0, 1), Origin::Restored, 0).unwrap().ready);
    pool.on_block(&[], &[(tx.sender(), with(0, 5))], 0);
    assert_eq!(pool.all_raw(), [tx.raw().clone()]);
    assert!(pool.has_ready());
}
