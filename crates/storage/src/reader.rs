//! Reading blocks and states beside the writer, without a lock in common with it (a proof alone looks into
//! what the writer holds of the trie, a branch at a time).

use crate::codec::{decode_body, decode_header, decode_location, decode_receipts, decode_slot};
use crate::state::{Progress, StateAt};
use crate::tables::{account_key, slot_hash};
use crate::trie::{TrieStore, prove};
use crate::{Kv, StoreError, Table};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use lonja_primitives::{Account, Block, Receipt, SealedHeader};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a proof is begun anew because a block was written meanwhile, and the pause before: together
/// longer than a block takes from its write to its publication.
const PROOF_ATTEMPTS: u32 = 200;
const PROOF_PAUSE: Duration = Duration::from_millis(5);

/// The newest block that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// Reads what is published. Cheap to clone, good for any thread; blocks above the head are not seen.
#[derive(Clone)]
pub struct Reader {
    kv: Arc<dyn Kv>,
    pub(crate) tries: Arc<TrieStore>,
    progress: Arc<Progress>,
    genesis_hash: B256,
}

/// What `eth_getProof` answers (EIP-1186), at one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The block it proves the state of.
    pub number: u64,
    /// The account's address.
    pub address: Address,
    /// The account; `None` when the proof shows that there is none.
    pub account: Option<Account>,
    /// Root of its storage trie; the empty root without an account.
    pub storage_root: B256,
    /// Nodes from the state root to the account.
    pub proof: Vec<Bytes>,
    /// The slots asked for, in that order.
    pub storage: Vec<SlotProof>,
}

/// One slot of an [`AccountProof`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot.
    pub slot: U256,
    /// Its value.
    pub value: U256,
    /// Nodes from the storage root to the slot.
    pub proof: Vec<Bytes>,
}

impl Reader {
    pub(crate) fn new(
        kv: Arc<dyn Kv>,
        tries: TrieStore,
        progress: Arc<Progress>,
        genesis_hash: B256,
    ) -> Self {
        Self { kv, tries: Arc::new(tries), progress, genesis_hash }
    }

    /// The newest durable block.
    pub fn head(&self) -> Head {
        **self.progress.head.load()
    }

    /// Hash of block 0, which names the network.
    pub fn genesis_hash(&self) -> B256 {
        self.genesis_hash
    }

    /// The header of a block.
    pub fn header(&self, number: u64) -> Result<Option<SealedHeader>, StoreError> {
        self.row(Table::Headers, number)?.map(|bytes| decode_header(&bytes)).transpose()
    }

    /// The number of the block with this hash.
    pub fn number_of(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        let Some(bytes) = self.kv.get(Table::Numbers, hash.as_slice())? else { return Ok(None) };
        let number = u64::from_be_bytes(bytes.try_into().map_err(|_| StoreError::damaged("a block number"))?);
        Ok(Some(number).filter(|number| *number <= self.head().number))
    }

    /// A block.
    pub fn block(&self, number: u64) -> Result<Option<Block>, StoreError> {
        let Some(header) = self.header(number)? else { return Ok(None) };
        let (transactions, _) = self.body(number)?;
        Ok(Some(Block { header: header.into_header(), transactions }))
    }

    /// The receipts of a block.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<Receipt>>, StoreError> {
        self.row(Table::Receipts, number)?.map(|bytes| decode_receipts(&bytes)).transpose()
    }

    /// The senders of a block's transactions.
    pub fn senders(&self, number: u64) -> Result<Option<Vec<Address>>, StoreError> {
        if number > self.head().number {
            return Ok(None);
        }
        self.body(number).map(|(_, senders)| Some(senders))
    }

    /// Block and index of a transaction.
    pub fn transaction_location(&self, hash: &B256) -> Result<Option<(u64, u32)>, StoreError> {
        let Some(bytes) = self.kv.get(Table::Transactions, hash.as_slice())? else { return Ok(None) };
        let location = decode_location(&bytes)?;
        Ok(Some(location).filter(|(number, _)| *number <= self.head().number))
    }

    /// The vote snapshot after a block; `None` when none was stored at or below it, and above the head.
    pub fn votes(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if number > self.head().number {
            return Ok(None);
        }
        Ok(self.kv.last_at(Table::Votes, &number.to_be_bytes())?.map(|(_, votes)| votes))
    }

    /// The oldest block whose state can be read.
    pub fn oldest_state(&self) -> u64 {
        self.progress.horizon.load(Ordering::SeqCst)
    }

    /// The state after a block. It stays readable until the block's history is dropped, and says so then.
    pub fn state_at(&self, number: u64) -> Result<StateAt, StoreError> {
        if number > self.head().number || number < self.oldest_state() {
            return Err(StoreError::NotAvailable(number));
        }
        Ok(StateAt::new(self.kv.clone(), self.progress.clone(), None, number))
    }

    /// Proofs of an account and some of its slots against the state root of the head, which stands in the
    /// answer. Past blocks have none: the trie is kept for the newest state only.
    pub fn proof(&self, address: &Address, slots: &[U256]) -> Result<AccountProof, StoreError> {
        for attempt in 0..PROOF_ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(PROOF_PAUSE);
            }
            let head = self.head();
            if self.progress.written.load(Ordering::SeqCst) != head.number {
                continue;
            }
            let proof = self.proof_of_newest(head, address, slots);
            // Nothing was begun since the head was complete: every read was of the head's state.
            if self.progress.begun.load(Ordering::SeqCst) == head.number {
                return proof;
            }
        }
        Err(StoreError::NotAvailable(self.head().number))
    }

    fn proof_of_newest(
        &self,
        head: Head,
        address: &Address,
        slots: &[U256],
    ) -> Result<AccountProof, StoreError> {
        let key = account_key(address);
        let (root, proof) = prove(&self.tries.accounts(), &key)?;
        let expected = self.header(head.number)?.map(|header| header.state_root);
        if expected != Some(root) {
            return Err(StoreError::damaged(format!(
                "the state trie has root {root}, the header of block {} says {expected:?}",
                head.number
            )));
        }
        let state = StateAt::new(self.kv.clone(), self.progress.clone(), None, head.number);
        let account = state.flat_account(address)?;
        let storage = slots.iter().map(|slot| self.slot_proof(&key, slot)).collect::<Result<_, _>>()?;
        Ok(AccountProof {
            number: head.number,
            address: *address,
            account: account.map(|flat| flat.account),
            storage_root: account.map_or(EMPTY_ROOT_HASH, |flat| flat.storage_root),
            proof,
            storage,
        })
    }

    fn slot_proof(&self, account: &B256, slot: &U256) -> Result<SlotProof, StoreError> {
        let hash = slot_hash(slot);
        let (_, proof) = prove(&self.tries.storage(*account), &hash)?;
        let stored = self.kv.get(Table::Slots, &crate::tables::slot_key(account, &hash))?;
        Ok(SlotProof { slot: *slot, value: decode_slot(&stored.unwrap_or_default())?, proof })
    }

    fn row(&self, table: Table, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if number > self.head().number {
            return Ok(None);
        }
        let row = self.kv.get(table, &number.to_be_bytes())?;
        match row {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(StoreError::damaged(format!("block {number} is missing in table {}", table.name()))),
        }
    }

    fn body(&self, number: u64) -> Result<(Vec<Bytes>, Vec<Address>), StoreError> {
        decode_body(&self.row(Table::Bodies, number)?.unwrap_or_default())
    }
}
