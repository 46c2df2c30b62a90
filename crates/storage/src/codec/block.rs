//! Headers, bodies, receipts and where a transaction stands.

use super::cursor::{Cursor, put_sized, put_varint};
use super::malformed;
use crate::StoreError;
use alloy_primitives::{Address, B256, Bytes, Log, LogData};
use alloy_rlp::{Decodable, Encodable};
use lonja_primitives::{Header, Receipt, SealedHeader};

/// Bytes the shortest receipt takes: type, gas used, number of logs.
const LEAST_RECEIPT_BYTES: usize = 3;
/// Bytes the shortest log takes: address, number of topics, length of data.
const LEAST_LOG_BYTES: usize = 22;

/// The stored form of a header.
pub fn encode_header(header: &Header, hash: &B256) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + header.length());
    out.extend_from_slice(hash.as_slice());
    header.encode(&mut out);
    out
}

/// Reads the stored form of a header.
pub fn decode_header(bytes: &[u8]) -> Result<SealedHeader, StoreError> {
    let (hash, mut rest) = bytes.split_first_chunk::<32>().ok_or_else(|| malformed("header"))?;
    match Header::decode(&mut rest) {
        Ok(header) if rest.is_empty() => Ok(SealedHeader::new_unchecked(header, B256::new(*hash))),
        _ => Err(malformed("header")),
    }
}

/// The stored form of a body.
pub fn encode_body(transactions: &[Bytes], senders: &[Address]) -> Vec<u8> {
    let raw_bytes: usize = transactions.iter().map(|raw| raw.len() + 3).sum();
    let mut out = Vec::with_capacity(raw_bytes + senders.len() * 20 + 5);
    put_varint(transactions.len() as u64, &mut out);
    for raw in transactions {
        put_sized(raw, &mut out);
    }
    for sender in senders {
        out.extend_from_slice(sender.as_slice());
    }
    out
}

/// Reads the stored form of a body: transactions and as many senders.
pub fn decode_body(bytes: &[u8]) -> Result<(Vec<Bytes>, Vec<Address>), StoreError> {
    read_body(&mut Cursor(bytes)).ok_or_else(|| malformed("block body"))
}

fn read_body(cursor: &mut Cursor<'_>) -> Option<(Vec<Bytes>, Vec<Address>)> {
    let count = cursor.count(1)?;
    let mut transactions = Vec::with_capacity(count);
    for _ in 0..count {
        transactions.push(Bytes::copy_from_slice(cursor.sized()?));
    }
    let mut senders = Vec::with_capacity(count);
    for _ in 0..count {
        senders.push(Address::new(cursor.array()?));
    }
    cursor.is_empty().then_some((transactions, senders))
}

/// The stored form of a block's receipts. Types are below 128 (EIP-2718).
pub fn encode_receipts(receipts: &[Receipt]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + receipts.len() * 8);
    put_varint(receipts.len() as u64, &mut out);
    let mut gas_before = 0;
    for receipt in receipts {
        out.push(receipt.tx_type << 1 | u8::from(receipt.success));
        put_varint(receipt.cumulative_gas_used.wrapping_sub(gas_before), &mut out);
        gas_before = receipt.cumulative_gas_used;
        put_varint(receipt.logs.len() as u64, &mut out);
        for log in &receipt.logs {
            put_log(log, &mut out);
        }
    }
    out
}

/// Address, topics, data.
pub(crate) fn put_log(log: &Log, out: &mut Vec<u8>) {
    out.extend_from_slice(log.address.as_slice());
    out.push(log.data.topics().len() as u8);
    for topic in log.data.topics() {
        out.extend_from_slice(topic.as_slice());
    }
    put_sized(&log.data.data, out);
}

/// Reads the stored form of a block's receipts.
pub fn decode_receipts(bytes: &[u8]) -> Result<Vec<Receipt>, StoreError> {
    read_receipts(&mut Cursor(bytes)).ok_or_else(|| malformed("list of receipts"))
}

fn read_receipts(cursor: &mut Cursor<'_>) -> Option<Vec<Receipt>> {
    let count = cursor.count(LEAST_RECEIPT_BYTES)?;
    let mut receipts = Vec::with_capacity(count);
    let mut cumulative_gas_used = 0u64;
    for _ in 0..count {
        let kind = cursor.byte()?;
        cumulative_gas_used = cumulative_gas_used.wrapping_add(cursor.varint()?);
        let logs = read_logs(cursor)?;
        receipts.push(Receipt { tx_type: kind >> 1, success: kind & 1 == 1, cumulative_gas_used, logs });
    }
    cursor.is_empty().then_some(receipts)
}

/// A count and that many logs.
pub(crate) fn read_logs(cursor: &mut Cursor<'_>) -> Option<Vec<Log>> {
    let count = cursor.count(LEAST_LOG_BYTES)?;
    let mut logs = Vec::with_capacity(count);
    for _ in 0..count {
        logs.push(read_log(cursor)?);
    }
    Some(logs)
}

fn read_log(cursor: &mut Cursor<'_>) -> Option<Log> {
    let address = Address::new(cursor.array()?);
    let topic_count = cursor.byte()?;
    let mut topics = Vec::with_capacity(4);
    for _ in 0..topic_count {
        topics.push(B256::new(cursor.array()?));
    }
    let data = LogData::new(topics, Bytes::copy_from_slice(cursor.sized()?))?;
    Some(Log { address, data })
}

/// The stored form of a transaction's place: block number and index.
pub fn encode_location(number: u64, index: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    put_varint(number, &mut out);
    put_varint(u64::from(index), &mut out);
    out
}

/// Reads the stored form of a transaction's place.
pub fn decode_location(bytes: &[u8]) -> Result<(u64, u32), StoreError> {
    let mut cursor = Cursor(bytes);
    let number = cursor.varint();
    let index = cursor.varint().and_then(|index| u32::try_from(index).ok());
    match (number, index, cursor.is_empty()) {
        (Some(number), Some(index), true) => Ok((number, index)),
        _ => Err(malformed("place of a transaction")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::bytes;
    use proptest::prelude::*;

    fn refuses_every_cut<T: std::fmt::Debug>(bytes: &[u8], decode: fn(&[u8]) -> Result<T, StoreError>) {
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [bytes, &[0]].concat();
        assert!(decode(&longer).is_err());
    }

    #[test]
    fn headers() {
        let header =
            Header { number: 7, extra_data: bytes!("0102"), base_fee_per_gas: Some(0), ..Header::default() };
        let hash = B256::repeat_byte(3);
        let bytes = encode_header(&header, &hash);
        assert_eq!(decode_header(&bytes), Ok(SealedHeader::new_unchecked(header, hash)));
        refuses_every_cut(&bytes, decode_header);
    }

    #[test]
    fn bodies() {
        let transactions = vec![bytes!("c0"), bytes!("02c3010203")];
        let senders = vec![Address::repeat_byte(1), Address::repeat_byte(2)];
        let bytes = encode_body(&transactions, &senders);
        assert_eq!(decode_body(&bytes), Ok((transactions, senders)));
        refuses_every_cut(&bytes, decode_body);
        assert_eq!(decode_body(&encode_body(&[], &[])), Ok((vec![], vec![])));
    }

    fn receipt(tx_type: u8, success: bool, cumulative_gas_used: u64, topics: usize) -> Receipt {
        let data = LogData::new_unchecked(vec![B256::repeat_byte(5); topics], bytes!("aabb"));
        let log = Log { address: Address::repeat_byte(4), data };
        Receipt { tx_type, success, cumulative_gas_used, logs: vec![log; topics] }
    }

    #[test]
    fn receipts() {
        let receipts =
            vec![receipt(0, true, 21_000, 0), receipt(2, false, 90_000, 4), receipt(4, true, 90_001, 1)];
        let bytes = encode_receipts(&receipts);
        assert_eq!(decode_receipts(&bytes), Ok(receipts));
        refuses_every_cut(&bytes, decode_receipts);
        let five_topics = [&[1, 1, 0, 1][..], &[4; 20], &[5], &[5; 160], &[0]].concat();
        assert!(decode_receipts(&five_topics).is_err());
    }

    #[test]
    fn a_plain_transfer_takes_five_bytes_of_receipt() {
        assert_eq!(encode_receipts(&[receipt(2, true, 21_000, 0)]).len(), 1 + 5);
    }

    #[test]
    fn locations() {
        let bytes = encode_location(u64::MAX, u32::MAX);
        assert_eq!(decode_location(&bytes), Ok((u64::MAX, u32::MAX)));
        refuses_every_cut(&bytes, decode_location);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (decode_header(&bytes), decode_body(&bytes), decode_receipts(&bytes), decode_location(&bytes));
        }
    }
}
