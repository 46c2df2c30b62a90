//! One block: header, body, receipts, and the ways to find it.

use super::Audit;
use crate::codec::{decode_body, decode_header, decode_location, decode_receipts};
use crate::{StoreError, Table};
use alloy_primitives::{Bytes, keccak256};
use lonja_primitives::receipt::{receipts_bloom, receipts_root};
use lonja_primitives::{Block, Receipt, RecoveredTransaction, SealedHeader};

impl Audit {
    /// The number of its transactions.
    pub(super) fn look_at_block(&self, number: u64) -> Result<u64, StoreError> {
        if number > 0 && number < self.floor {
            return Ok(0);
        }
        let header = self.header(number)?;
        let (transactions, senders) = decode_body(&self.block_row(Table::Bodies, number)?)?;
        let receipts = decode_receipts(&self.block_row(Table::Receipts, number)?)?;
        self.look_at_header(number, &header)?;
        same(number, "transactions root", Block::transactions_root(&transactions), header.transactions_root)?;
        look_at_receipts(number, &header, &receipts, transactions.len())?;
        same(number, "number of senders", senders.len(), transactions.len())?;
        for ((raw, sender), index) in transactions.iter().zip(senders).zip(0u32..) {
            self.look_at_transaction(number, index, raw)?;
            let recovered = RecoveredTransaction::recover(raw.clone(), self.spec.chain_id)
                .map_err(|error| wrong(number, &format!("transaction {index}: {error}")))?;
            same(number, &format!("sender of transaction {index}"), sender, recovered.sender())?;
        }
        Ok(transactions.len() as u64)
    }

    fn look_at_header(&self, number: u64, header: &SealedHeader) -> Result<(), StoreError> {
        same(number, "number in its header", header.number, number)?;
        let format = self.spec.format_at(number);
        let sealed = SealedHeader::seal(header.header().clone(), format)
            .map_err(|error| wrong(number, &error.to_string()))?;
        same(number, "hash", header.hash(), sealed.hash())?;
        // What is below a fetched state may be missing.
        if let Some(below) = number.checked_sub(1).filter(|_| number != self.floor) {
            same(number, "parent hash", header.parent_hash, self.header(below)?.hash())?;
        }
        let found = self.kv.get(Table::Numbers, header.hash().as_slice())?;
        same(number, "number by its hash", found, Some(number.to_be_bytes().to_vec()))
    }

    fn look_at_transaction(&self, number: u64, index: u32, raw: &Bytes) -> Result<(), StoreError> {
        let location = self.kv.get(Table::Transactions, keccak256(raw).as_slice())?;
        let location = location.map(|bytes| decode_location(&bytes)).transpose()?;
        same(number, &format!("place of transaction {index}"), location, Some((number, index)))
    }

    fn header(&self, number: u64) -> Result<SealedHeader, StoreError> {
        decode_header(&self.block_row(Table::Headers, number)?)
    }

    fn block_row(&self, table: Table, number: u64) -> Result<Vec<u8>, StoreError> {
        let row = self.kv.get(table, &number.to_be_bytes())?;
        row.ok_or_else(|| wrong(number, &format!("it is missing in table {}", table.name())))
    }
}

fn look_at_receipts(
    number: u64,
    header: &SealedHeader,
    receipts: &[Receipt],
    transactions: usize,
) -> Result<(), StoreError> {
    same(number, "number of receipts", receipts.len(), transactions)?;
    same(number, "receipts root", receipts_root(receipts), header.receipts_root)?;
    same(number, "logs bloom", receipts_bloom(receipts), header.logs_bloom)?;
    let gas_used = receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used);
    same(number, "gas used", gas_used, header.gas_used)
}

fn same<T: PartialEq + std::fmt::Debug>(
    number: u64,
    what: &str,
    stored: T,
    should_be: T,
) -> Result<(), StoreError> {
    match stored == should_be {
        true => Ok(()),
        false => Err(wrong(number, &format!("{what} is {stored:?}, but should be {should_be:?}"))),
    }
}

fn wrong(number: u64, what: &str) -> StoreError {
    StoreError::damaged(format!("block {number}: {what}"))
}
