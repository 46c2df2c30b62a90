//! Rows and keys of the private state's own tables. Forms stand in [`crate::private`].

use super::{ContractRecord, Fate, Origin, PrivateReceipt};
use crate::StoreError;
use crate::codec::{Cursor, put_log, put_sized, put_varint, read_logs};
use alloy_primitives::{Address, B256, B512, Bloom, Bytes, Log};
use lonja_primitives::PayloadHash;

const HAS_BLOOM: u8 = 1;

const SUCCESS: u8 = 1;
const HAS_ERROR: u8 = 2;
const HAS_CONTRACT: u8 = 4;
const HAS_INNER: u8 = 8;

const ORIGIN_TRANSACTION: u8 = 0;
const ORIGIN_MANAGEMENT: u8 = 1;
const ORIGIN_SHARED: u8 = 2;

/// Bytes the shortest entry of a block's payload hashes takes.
const LEAST_SEEN_BYTES: usize = 1 + PayloadHash::LENGTH;

/// What a block did, and what has to be found again when it is undone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockRow {
    /// Root of the private state after it.
    pub(super) root: B256,
    /// The block's hash on the chain.
    pub(super) hash: B256,
    /// Of the logs of its private receipts; none without logs.
    pub(super) bloom: Option<Bloom>,
    /// Index and payload of its private transactions.
    pub(super) seen: Vec<(u32, PayloadHash)>,
    /// Contracts whose metadata it set or removed.
    pub(super) contracts: Vec<Address>,
    /// Codes that it brought.
    pub(super) codes: Vec<B256>,
}

impl BlockRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.bloom.is_some()) * HAS_BLOOM];
        out.extend_from_slice(self.root.as_slice());
        out.extend_from_slice(self.hash.as_slice());
        if let Some(bloom) = &self.bloom {
            out.extend_from_slice(bloom.as_slice());
        }
        put_varint(self.seen.len() as u64, &mut out);
        for (index, payload) in &self.seen {
            put_varint(u64::from(*index), &mut out);
            out.extend_from_slice(payload.as_slice());
        }
        put_varint(self.contracts.len() as u64, &mut out);
        self.contracts.iter().for_each(|address| out.extend_from_slice(address.as_slice()));
        put_varint(self.codes.len() as u64, &mut out);
        self.codes.iter().for_each(|hash| out.extend_from_slice(hash.as_slice()));
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(&mut Cursor(bytes)).ok_or_else(|| malformed("private block"))
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let flags = cursor.byte()?;
        let (root, hash) = (B256::new(cursor.array()?), B256::new(cursor.array()?));
        let bloom = match flags {
            0 => None,
            HAS_BLOOM => Some(Bloom::new(cursor.array()?)),
            _ => return None,
        };
        let mut row = Self { root, hash, bloom, ..Self::default() };
        for _ in 0..cursor.count(LEAST_SEEN_BYTES)? {
            let index = u32::try_from(cursor.varint()?).ok()?;
            row.seen.push((index, PayloadHash(B512::new(cursor.array()?))));
        }
        for _ in 0..cursor.count(Address::len_bytes())? {
            row.contracts.push(Address::new(cursor.array()?));
        }
        for _ in 0..cursor.count(B256::len_bytes())? {
            row.codes.push(B256::new(cursor.array()?));
        }
        cursor.is_empty().then_some(row)
    }
}

impl PrivateReceipt {
    pub(super) fn encode(&self) -> Vec<u8> {
        let flag = |is_set: bool, flag: u8| u8::from(is_set) * flag;
        let mut out = vec![
            flag(self.success, SUCCESS)
                | flag(self.error.is_some(), HAS_ERROR)
                | flag(self.contract.is_some(), HAS_CONTRACT)
                | flag(self.inner.is_some(), HAS_INNER),
        ];
        put_varint(self.gas_used, &mut out);
        put_varint(self.logs.len() as u64, &mut out);
        self.logs.iter().for_each(|log| put_log(log, &mut out));
        put_sized(&self.output, &mut out);
        if let Some(error) = &self.error {
            put_sized(error.as_bytes(), &mut out);
        }
        if let Some(contract) = &self.contract {
            out.extend_from_slice(contract.as_slice());
        }
        if let Some(inner) = &self.inner {
            put_sized(inner, &mut out);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(&mut Cursor(bytes)).ok_or_else(|| malformed("private receipt"))
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let flags = cursor.byte()?;
        if flags >= HAS_INNER * 2 {
            return None;
        }
        let has = |flag: u8| flags & flag != 0;
        let mut receipt = Self { success: has(SUCCESS), gas_used: cursor.varint()?, ..Self::default() };
        receipt.logs = read_logs(cursor)?;
        receipt.output = Bytes::copy_from_slice(cursor.sized()?);
        if has(HAS_ERROR) {
            receipt.error = Some(String::from_utf8(cursor.sized()?.to_vec()).ok()?);
        }
        if has(HAS_CONTRACT) {
            receipt.contract = Some(Address::new(cursor.array()?));
        }
        if has(HAS_INNER) {
            receipt.inner = Some(Bytes::copy_from_slice(cursor.sized()?));
        }
        cursor.is_empty().then_some(receipt)
    }
}

impl ContractRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.creation.as_slice().to_vec();
        out.push(self.flag);
        put_varint(self.mandatory.len() as u64, &mut out);
        self.mandatory.iter().for_each(|key| out.extend_from_slice(key));
        match &self.origin {
            Origin::Transaction => out.push(ORIGIN_TRANSACTION),
            Origin::Management => out.push(ORIGIN_MANAGEMENT),
            Origin::Shared { by } => {
                out.push(ORIGIN_SHARED);
                out.extend_from_slice(by.as_slice());
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(&mut Cursor(bytes)).ok_or_else(|| malformed("private contract"))
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let creation = PayloadHash(B512::new(cursor.array()?));
        let flag = cursor.byte()?;
        let mut mandatory = Vec::new();
        for _ in 0..cursor.count(32)? {
            mandatory.push(cursor.array()?);
        }
        let origin = match cursor.byte()? {
            ORIGIN_TRANSACTION => Origin::Transaction,
            ORIGIN_MANAGEMENT => Origin::Management,
            ORIGIN_SHARED => Origin::Shared { by: Address::new(cursor.array()?) },
            _ => return None,
        };
        cursor.is_empty().then_some(Self { creation, flag, mandatory, origin })
    }
}

impl Fate {
    pub(super) fn encode(self) -> [u8; 1] {
        match self {
            Self::Executed => [0],
            Self::NotOurs => [1],
            Self::Erased => [2],
            Self::Read => [3],
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match bytes {
            [0] => Ok(Self::Executed),
            [1] => Ok(Self::NotOurs),
            [2] => Ok(Self::Erased),
            [3] => Ok(Self::Read),
            _ => Err(malformed("fate of a private transaction")),
        }
    }
}

/// The bloom over all logs; none without logs.
pub(super) fn bloom_of<'a>(logs: impl Iterator<Item = &'a Log>) -> Option<Bloom> {
    let bloom = alloy_primitives::logs_bloom(logs);
    (!bloom.is_zero()).then_some(bloom)
}

/// Key of a receipt.
pub(super) fn receipt_key(number: u64, index: u32) -> [u8; 12] {
    let mut key = [0; 12];
    let (left, right) = key.split_at_mut(8);
    left.copy_from_slice(&number.to_be_bytes());
    right.copy_from_slice(&index.to_be_bytes());
    key
}

/// Block and index in the key of a receipt, or at the end of a key of [`crate::Table::Seen`].
pub(super) fn place_of(key: &[u8]) -> Option<(u64, u32)> {
    let (number, index) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), u32::from_be_bytes(index.try_into().ok()?)))
}

/// Key of what became of a private transaction.
pub(super) fn seen_key(payload: &PayloadHash, number: u64, index: u32) -> Vec<u8> {
    [payload.as_slice(), &receipt_key(number, index)].concat()
}

/// Key of a contract's metadata as of a block.
pub(super) fn contract_key(address: &Address, number: u64) -> Vec<u8> {
    [address.as_slice(), &number.to_be_bytes()].concat()
}

fn malformed(what: &str) -> StoreError {
    StoreError::damaged(format!("a stored {what} does not decode"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::tests::{payload, receipt, record};
    use proptest::prelude::*;

    fn refuses_every_cut<T: std::fmt::Debug>(bytes: &[u8], decode: fn(&[u8]) -> Result<T, StoreError>) {
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(&[bytes, &[0]].concat()).is_err());
    }

    #[test]
    fn blocks() {
        let bloom = bloom_of([crate::private::tests::log(1)].iter());
        assert!(bloom.is_some() && bloom_of([].iter()).is_none());
        let row = BlockRow {
            root: B256::repeat_byte(1),
            hash: B256::repeat_byte(2),
            bloom,
            seen: vec![(0, payload(1)), (300, payload(2))],
            contracts: vec![Address::repeat_byte(3)],
            codes: vec![B256::repeat_byte(4), B256::repeat_byte(5)],
        };
        for row in [row, BlockRow::default()] {
            let bytes = row.encode();
            assert_eq!(BlockRow::decode(&bytes), Ok(row));
            refuses_every_cut(&bytes, BlockRow::decode);
            let unknown = [&[bytes[0] | 2], &bytes[1..]].concat();
            assert!(BlockRow::decode(&unknown).is_err());
        }
    }

    #[test]
    fn receipts() {
        for number in 0..=120 {
            let receipt = receipt(number, usize::from(number % 3));
            let bytes = receipt.encode();
            assert_eq!(PrivateReceipt::decode(&bytes), Ok(receipt));
            refuses_every_cut(&bytes, PrivateReceipt::decode);
            let unknown = [&[bytes[0] | 16], &bytes[1..]].concat();
            assert!(PrivateReceipt::decode(&unknown).is_err());
        }
        let no_text = [&[HAS_ERROR][..], &[0, 0, 0, 1, 0xff]].concat();
        assert!(PrivateReceipt::decode(&no_text).is_err());
    }

    #[test]
    fn contracts_and_fates() {
        for number in 0..6 {
            let bytes = record(number).encode();
            assert_eq!(ContractRecord::decode(&bytes), Ok(record(number)));
            refuses_every_cut(&bytes, ContractRecord::decode);
        }
        let unknown = [&record(0).encode()[..65], &[0, 3]].concat();
        assert!(ContractRecord::decode(&unknown).is_err());
        for fate in [Fate::Executed, Fate::NotOurs, Fate::Erased, Fate::Read] {
            assert_eq!(Fate::decode(&fate.encode()), Ok(fate));
        }
        assert!(Fate::decode(&[4]).is_err() && Fate::decode(&[]).is_err() && Fate::decode(&[0, 0]).is_err());
    }

    #[test]
    fn keys_sort_as_numbers_and_name_their_place() {
        assert!(receipt_key(1, u32::MAX) < receipt_key(2, 0));
        assert!(seen_key(&payload(1), 255, 1) < seen_key(&payload(1), 256, 0));
        assert_eq!(place_of(&receipt_key(7, 9)), Some((7, 9)));
        assert_eq!((place_of(&[0; 11]), place_of(&[0; 13])), (None, None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (BlockRow::decode(&bytes), PrivateReceipt::decode(&bytes), ContractRecord::decode(&bytes));
            let _ = (Fate::decode(&bytes), place_of(&bytes));
        }
    }
}
