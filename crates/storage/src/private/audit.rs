//! Looks at all that is stored of the private state, and compares what says the same thing twice.

use super::PrivateReceipt;
use super::codec::{BlockRow, bloom_of, contract_key, seen_key};
use super::open::{check_identity, check_newest, read_pointer};
use super::reader::receipts_of;
use super::{ContractRecord, Fate};
use crate::audit::{Position, StateLook};
use crate::open::{exactly, missing, read_trie};
use crate::tables::{META_HEAD, META_PRIVATE_FORMAT, META_REWIND};
use crate::trie::TrieStore;
use crate::{Head, Kv, KvRead, StoreError, Table};
use alloy_primitives::{B256, keccak256};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Accounts and slots compared in one piece: their accounts are held in memory meanwhile.
const ROWS_PER_SLICE: u64 = 8_192;

/// What was looked at in a store of the private state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateAudit {
    /// The newest block whose private transactions are executed.
    pub head: Head,
    /// Rows read, of all tables.
    pub rows: u64,
    /// Blocks with something private.
    pub blocks: u64,
    /// Private receipts.
    pub receipts: u64,
    /// Accounts of the newest private state.
    pub accounts: u64,
    /// Their storage slots.
    pub slots: u64,
}

/// Compares everything in a store of the private state that nobody writes meanwhile: rows with their checksums, blocks
/// with their receipts and the ways to find them, the state with its root, codes with their hashes. Writes nothing.
/// Errors: those of [`super::open_private`]; `Damaged` names the first thing found wrong; `Busy` while the state is
/// being led back, which the next start goes on with.
pub fn verify_private(kv: Arc<dyn Kv>, genesis_hash: B256) -> Result<PrivateAudit, StoreError> {
    let version = kv.get(Table::Meta, META_PRIVATE_FORMAT)?;
    check_identity(&*kv, &version.ok_or_else(|| missing("the format version"))?, genesis_hash)?;
    if read_pointer(&*kv, META_REWIND)?.is_some() {
        return Err(StoreError::Busy("the private state is being led back to an earlier block".to_owned()));
    }
    let head = read_pointer(&*kv, META_HEAD)?.ok_or_else(|| missing("the pointer to the newest block"))?;
    let root = check_newest(&*kv, &head)?;
    let tries = TrieStore::new(kv.clone());
    read_trie(&*kv, &tries, head.number, root)?;
    let mut audit = PrivateAudit { head, rows: 0, blocks: 0, receipts: 0, accounts: 0, slots: 0 };
    for table in Table::PRIVATE {
        audit.rows += count_rows(&*kv, table)?;
    }
    look_at_blocks(&*kv, &mut audit)?;
    let look = StateLook { kv: &*kv, tries: &tries };
    let mut at = Some(Position::default());
    while let Some(from) = at {
        let slice = look.slice(&from, None, ROWS_PER_SLICE)?;
        audit.accounts += slice.accounts;
        audit.slots += slice.slots;
        at = slice.next;
    }
    Ok(audit)
}

fn count_rows(kv: &dyn KvRead, table: Table) -> Result<u64, StoreError> {
    let mut rows = 0;
    kv.scan(table, &[], &mut |_, _| {
        rows += 1;
        true
    })?;
    Ok(rows)
}

/// Each block leads to its rows, and no row is there that no block leads to.
fn look_at_blocks(kv: &dyn KvRead, audit: &mut PrivateAudit) -> Result<(), StoreError> {
    let mut found = Rows::default();
    let mut result = Ok(());
    kv.scan(Table::PrivateBlocks, &[], &mut |key, row| {
        audit.blocks += 1;
        result = look_at_block(kv, key, row, &mut found);
        result.is_ok()
    })?;
    result?;
    audit.receipts = found.receipts;
    let tables = [
        (Table::PrivateReceipts, found.receipts),
        (Table::Seen, found.seen),
        (Table::Contracts, found.contracts),
        (Table::Codes, found.codes),
    ];
    for (table, expected) in tables {
        let rows = count_rows(kv, table)?;
        if rows != expected {
            let name = table.name();
            let text = format!("table {name} has {rows} rows, but the private blocks name {expected}");
            return Err(StoreError::damaged(text));
        }
    }
    Ok(())
}

/// Rows that blocks lead to.
#[derive(Default)]
struct Rows {
    receipts: u64,
    seen: u64,
    contracts: u64,
    codes: u64,
}

fn look_at_block(kv: &dyn KvRead, key: &[u8], row: &[u8], found: &mut Rows) -> Result<(), StoreError> {
    let number = u64::from_be_bytes(exactly(key, "number of a private block")?);
    let row = BlockRow::decode(row)?;
    let differs = |what: &str| Err(StoreError::damaged(format!("private block {number}: {what}")));
    let receipts: Vec<(u32, PrivateReceipt)> = receipts_of(kv, number)?;
    if row.bloom != bloom_of(receipts.iter().flat_map(|(_, receipt)| &receipt.logs)) {
        return differs("its bloom filter is not that of its logs");
    }
    found.receipts += receipts.len() as u64;
    let seen: BTreeSet<_> =
        row.seen.iter().map(|(index, payload)| seen_key(payload, number, *index)).collect();
    for key in &seen {
        match kv.get(Table::Seen, key)? {
            Some(fate) => Fate::decode(&fate).map(drop)?,
            None => return differs("what became of a transaction is missing"),
        }
    }
    found.seen += seen.len() as u64;
    let contracts: BTreeSet<_> = row.contracts.iter().map(|address| contract_key(address, number)).collect();
    for key in &contracts {
        match kv.get(Table::Contracts, key)? {
            Some(record) if record.is_empty() => {}
            Some(record) => ContractRecord::decode(&record).map(drop)?,
            None => return differs("the metadata of a contract is missing"),
        }
    }
    found.contracts += contracts.len() as u64;
    for hash in &row.codes {
        if kv.get(Table::Codes, hash.as_slice())?.map(keccak256) != Some(*hash) {
            return differs("a code is missing, or has another hash");
        }
    }
    found.codes += row.codes.len() as u64;
    Ok(())
}
