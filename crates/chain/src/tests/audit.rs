//! An audit finds every row that was altered behind the store's back.

use super::network::*;
use lonja_storage::{Audit, AuditProgress, Batch, Kv, KvRead, MemoryKv, Stage, StoreError, Table, Tuning};
use std::sync::Arc;

/// Creates an account without code whose slots 1 to 3 are set: enough for a trie with branches.
const THREE_SLOTS: [u8; 16] = alloy_primitives::hex!("60016001556002600255600360035500");

/// A chain with transfers, calls, a creation and a failure, whose trie nodes are all written.
fn chain() -> Network {
    let genesis = Network::new().genesis;
    let mut network = Network::open(genesis, MemoryKv::with_tuning(Tuning::default())).unwrap();
    for nonce in 0..4u8 {
        let mut drafts: Vec<Draft> =
            (1..10).map(|key| transfer(key, u64::from(nonce), sender(key + 10 + nonce), 5)).collect();
        drafts.push(draft(30, u64::from(nonce)));
        drafts.push(creation(31, u64::from(nonce)));
        drafts.push(draft(32, u64::from(nonce)).with(|tx| tx.to = REFUSER.into()));
        drafts.push(creation(33, u64::from(nonce)).with(|tx| {
            tx.input = THREE_SLOTS.into();
            tx.gas_limit = 200_000;
        }));
        network.submit(&drafts);
        assert_eq!(network.next_block().included.len(), drafts.len());
    }
    network
}

fn audit(network: &Network, kv: &MemoryKv) -> Result<AuditProgress, StoreError> {
    let audit = Audit::open(Arc::new(kv.clone()), (*network.spec).clone())?;
    let mut progress = AuditProgress::default();
    while audit.stage(&progress) != Stage::Done {
        audit.step(&mut progress)?;
    }
    Ok(progress)
}

fn rows(kv: &MemoryKv, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    kv.scan(table, &[], &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        true
    })
    .unwrap();
    rows
}

fn changed(kv: &MemoryKv, table: Table, key: &[u8], value: Option<Vec<u8>>) -> MemoryKv {
    let copy = kv.fork();
    let mut batch = Batch::default();
    match value {
        Some(value) => batch.put(table, key, value),
        None => batch.delete(table, key),
    }
    copy.write(batch).unwrap();
    copy
}

#[test]
fn a_sound_store_passes_and_is_counted() {
    let network = chain();
    let found = audit(&network, &network.kv).unwrap();
    assert_eq!((found.block, found.transactions), (5, 52));
    assert_eq!(found.accounts, network.kv.len(Table::Accounts) as u64);
    assert_eq!(found.slots, network.kv.len(Table::Slots) as u64);
    let all: usize = Table::CHAIN.iter().map(|table| network.kv.len(*table)).sum();
    assert_eq!(found.rows, all as u64);
}

#[test]
fn every_altered_or_missing_row_is_found() {
    // Rows that nothing else repeats: their blocks' checksums answer for them, which memory does not have.
    let alone = [Table::Meta, Table::Votes, Table::Touched, Table::AccountHistory, Table::SlotHistory];
    let network = chain();
    for table in Table::CHAIN.into_iter().filter(|table| !alone.contains(table)) {
        let rows = rows(&network.kv, table);
        assert!(!rows.is_empty(), "nothing to alter in {table:?}");
        for (key, value) in rows {
            for bit in [0, value.len() * 4, value.len() * 8 - 1] {
                let mut altered = value.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                let found = audit(&network, &changed(&network.kv, table, &key, Some(altered)));
                assert!(
                    matches!(found, Err(StoreError::Damaged(_))),
                    "bit {bit} of row {key:02x?} in {table:?}: {found:?}"
                );
            }
            let found = audit(&network, &changed(&network.kv, table, &key, None));
            assert!(matches!(found, Err(StoreError::Damaged(_))), "{table:?} {key:02x?}: {found:?}");
        }
    }
}

#[test]
fn an_account_or_slot_too_much_is_found() {
    let network = chain();
    let (_, account) = rows(&network.kv, Table::Accounts).swap_remove(0);
    let found = audit(&network, &changed(&network.kv, Table::Accounts, &[7; 32], Some(account)));
    assert!(found.unwrap_err().to_string().contains("07"));
    let (slot, _) = rows(&network.kv, Table::Slots).swap_remove(0);
    let key = [&slot[..32], &[9; 32]].concat();
    assert!(audit(&network, &changed(&network.kv, Table::Slots, &key, Some(vec![1]))).is_err());
    let nobody = [[9; 32], [9; 32]].concat();
    let found = audit(&network, &changed(&network.kv, Table::Slots, &nobody, Some(vec![1])));
    assert!(found.is_err(), "a slot of no account");
}
