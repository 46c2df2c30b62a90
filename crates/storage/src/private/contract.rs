//! A private contract with all that it stores: what is handed to a party that joins later.

use super::open::read_pointer;
use super::{ContractState, PrivateReader};
use crate::codec::{FlatAccount, decode_slot};
use crate::tables::{META_HEAD, META_REWIND, account_key};
use crate::{KvRead, StoreError, Table};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use std::collections::BTreeMap;

impl PrivateReader {
    /// A contract as of the newest block, whatever is written meanwhile; `None` where there is no such account. No more
    /// than `most` slots and one are read: who gets as many knows that there may be more. Errors: `Busy` while the state
    /// is led back.
    pub fn contract_state(
        &self,
        address: &Address,
        most: usize,
    ) -> Result<Option<ContractState>, StoreError> {
        self.look_at_once(|kv| {
            let busy = || StoreError::Busy("the state is being led back to an earlier block".to_owned());
            if read_pointer(kv, META_REWIND)?.is_some() {
                return Err(busy());
            }
            let head = read_pointer(kv, META_HEAD)?.ok_or_else(busy)?;
            let key = account_key(address);
            let Some(account) = kv.get(Table::Accounts, key.as_slice())? else { return Ok(None) };
            let flat = FlatAccount::decode(&account)?;
            let code = code(kv, &flat.account.code_hash)?;
            Ok(Some(ContractState { head, flat, code, slots: slots(kv, &key, most)? }))
        })
    }
}

fn code(kv: &dyn KvRead, hash: &B256) -> Result<Bytes, StoreError> {
    if *hash == KECCAK256_EMPTY {
        return Ok(Bytes::new());
    }
    let code = kv.get(Table::Codes, hash.as_slice())?;
    code.map(Bytes::from).ok_or_else(|| StoreError::damaged(format!("the code {hash} is missing")))
}

fn slots(kv: &dyn KvRead, account: &B256, most: usize) -> Result<BTreeMap<B256, U256>, StoreError> {
    let mut slots = BTreeMap::new();
    let mut result = Ok(());
    kv.scan(Table::Slots, account.as_slice(), &mut |key, value| {
        let Some(slot) = key.strip_prefix(account.as_slice()) else { return false };
        match (B256::try_from(slot), decode_slot(value)) {
            (Ok(slot), Ok(value)) => drop(slots.insert(slot, value)),
            _ => result = Err(StoreError::damaged(format!("a slot of account {account} does not decode"))),
        }
        result.is_ok() && slots.len() <= most
    })?;
    result.map(|()| slots)
}
