//! Accounts and slots of the flat state, and their leaves in the trie.

use super::cursor::{Cursor, put_varint};
use super::malformed;
use crate::StoreError;
use alloy_primitives::{B256, KECCAK256_EMPTY, U256};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use lonja_primitives::Account;

const HAS_CODE: u8 = 1;
const HAS_STORAGE: u8 = 2;

/// An account with the root of its storage trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlatAccount {
    /// The account.
    pub account: Account,
    /// Root of its storage trie; the empty root without storage.
    pub storage_root: B256,
}

impl FlatAccount {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let has_code = self.account.code_hash != KECCAK256_EMPTY;
        let has_storage = self.storage_root != EMPTY_ROOT_HASH;
        let mut out = Vec::with_capacity(16);
        out.push((u8::from(has_code) * HAS_CODE) | (u8::from(has_storage) * HAS_STORAGE));
        put_varint(self.account.nonce, &mut out);
        let balance = self.account.balance.to_be_bytes_trimmed_vec();
        out.push(balance.len() as u8);
        out.extend_from_slice(&balance);
        if has_code {
            out.extend_from_slice(self.account.code_hash.as_slice());
        }
        if has_storage {
            out.extend_from_slice(self.storage_root.as_slice());
        }
        out
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::read(&mut Cursor(bytes)).ok_or_else(|| malformed("account"))
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let flags = cursor.byte()?;
        let nonce = cursor.varint()?;
        let length = cursor.byte()?;
        let balance = U256::try_from_be_slice(cursor.take(usize::from(length))?)?;
        let mut hash = |flag, otherwise| match flags & flag {
            0 => Some(otherwise),
            _ => cursor.array().map(B256::new),
        };
        let code_hash = hash(HAS_CODE, KECCAK256_EMPTY)?;
        let storage_root = hash(HAS_STORAGE, EMPTY_ROOT_HASH)?;
        let known = flags & !(HAS_CODE | HAS_STORAGE) == 0 && cursor.is_empty();
        known.then_some(Self { account: Account { nonce, balance, code_hash }, storage_root })
    }

    /// The leaf of the account trie: `rlp([nonce, balance, storageRoot, codeHash])` (yellow paper, 4.1).
    pub fn leaf(&self) -> Vec<u8> {
        alloy_rlp::encode(TrieAccount {
            nonce: self.account.nonce,
            balance: self.account.balance,
            storage_root: self.storage_root,
            code_hash: self.account.code_hash,
        })
    }
}

/// The stored form of a slot; empty for zero, which is never stored.
pub fn encode_slot(value: &U256) -> Vec<u8> {
    value.to_be_bytes_trimmed_vec()
}

/// Reads the stored form of a slot.
pub fn decode_slot(bytes: &[u8]) -> Result<U256, StoreError> {
    U256::try_from_be_slice(bytes).ok_or_else(|| malformed("slot"))
}

/// The leaf of a storage trie for a stored slot: the RLP of the number.
pub(crate) fn slot_leaf(stored: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(stored.len() + 1);
    stored.encode(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(account: FlatAccount, length: usize) {
        let bytes = account.encode();
        assert_eq!(bytes.len(), length);
        assert_eq!(FlatAccount::decode(&bytes), Ok(account));
        for cut in 0..bytes.len() {
            assert!(FlatAccount::decode(&bytes[..cut]).is_err());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(FlatAccount::decode(&longer).is_err());
        let mut unknown = bytes;
        unknown[0] |= 4;
        assert!(FlatAccount::decode(&unknown).is_err());
    }

    #[test]
    fn accounts_round_trip_and_refuse() {
        let plain = Account::default();
        check(FlatAccount { account: plain, storage_root: EMPTY_ROOT_HASH }, 3);
        let rich = Account { nonce: 300, balance: U256::MAX, code_hash: B256::repeat_byte(1) };
        check(FlatAccount { account: rich, storage_root: EMPTY_ROOT_HASH }, 68);
        check(FlatAccount { account: rich, storage_root: B256::repeat_byte(2) }, 100);
    }

    #[test]
    fn slots_longer_than_a_word_are_damage() {
        assert!(decode_slot(&[1; 33]).is_err());
        assert_eq!(decode_slot(&encode_slot(&U256::MAX)), Ok(U256::MAX));
        assert_eq!(decode_slot(&[]), Ok(U256::ZERO));
    }

    proptest! {
        #[test]
        fn slot_leaves_are_the_rlp_of_the_number(limbs: [u64; 4]) {
            let value = U256::from_limbs(limbs);
            prop_assert_eq!(slot_leaf(&encode_slot(&value)), alloy_rlp::encode(value));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(account) = FlatAccount::decode(&bytes) {
                prop_assert!(account.encode().len() <= bytes.len());
            }
        }
    }
}
