//! The state part by part: which parts are wanted still, and what to write of those that came.

use super::words::CODES_MAX;
use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, U256};
use lonja_storage::snapshot::{CheckedAccount, CheckedPart, Part, PartId};
use lonja_storage::trie::NodeChange;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something wanted of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A part of the trie with this root.
    Part(PartId, B256),
    /// Codes.
    Codes(Vec<B256>),
}

/// Something to be written. Everything in it is proved.
#[derive(Debug)]
pub enum Write {
    /// Headers before the block of the state.
    Headers(Vec<lonja_primitives::SealedHeader>),
    /// Accounts, with the storages that came with them.
    Accounts(Vec<CheckedAccount>),
    /// Slots of an account.
    Slots(B256, Vec<(B256, U256)>, Option<Vec<NodeChange>>),
    /// All parts of this account's storage, which has this root, are written.
    StorageComplete(B256, B256),
    /// Codes.
    Codes(Vec<(B256, Bytes)>),
}

/// How much of the state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fetched {
    /// Share of the accounts, 0 to 1.
    pub share: f64,
    /// Accounts.
    pub accounts: u64,
    /// Slots.
    pub slots: u64,
    /// Codes.
    pub codes: u64,
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { share, accounts, slots, codes } = self;
        write!(f, "{:.1} % ({accounts} accounts, {slots} slots, {codes} codes)", share * 100.0)
    }
}

/// The parts of a storage that does not come in one.
#[derive(Debug)]
struct Storage {
    root: B256,
    /// Parts that have not come.
    missing: usize,
    is_split: bool,
}

/// What is wanted of one state. The order is the last first, so that few parts wait at a time.
#[derive(Debug)]
pub(super) struct StateFetch {
    wanted: Vec<Piece>,
    storages: BTreeMap<B256, Storage>,
    codes_wanted: Vec<B256>,
    codes_seen: BTreeSet<B256>,
    pub fetched: Fetched,
}

impl StateFetch {
    pub(super) fn new(state_root: B256) -> Self {
        Self {
            wanted: vec![Piece::Part(PartId::whole(None), state_root)],
            storages: BTreeMap::new(),
            codes_wanted: Vec::new(),
            codes_seen: BTreeSet::new(),
            fetched: Fetched::default(),
        }
    }

    /// The next piece to ask for; `None` when nothing is known to be wanted at the moment.
    pub(super) fn next(&mut self) -> Option<Piece> {
        if self.codes_wanted.len() < CODES_MAX
            && let Some(piece) = self.wanted.pop()
        {
            return Some(piece);
        }
        let count = self.codes_wanted.len().min(CODES_MAX);
        let codes = self.codes_wanted.split_off(self.codes_wanted.len() - count);
        (!codes.is_empty()).then_some(Piece::Codes(codes))
    }

    /// A piece that did not come is wanted still.
    pub(super) fn put_back(&mut self, piece: Piece) {
        match piece {
            Piece::Codes(codes) => self.codes_wanted.extend(codes),
            part => self.wanted.push(part),
        }
    }

    /// Takes an answer in: what is to be written, and the number of accounts and slots, or `None` of a part that is
    /// too large. An error is for the peer; the piece is to be put back.
    pub(super) fn take_part(
        &mut self,
        part: Part,
        id: &PartId,
        root: &B256,
    ) -> Result<(Vec<Write>, Option<usize>), String> {
        match part.check(id, root)? {
            CheckedPart::Split => {
                let parts = id.split().ok_or("too large, where no part can be")?;
                if let Some(storage) = id.owner.and_then(|owner| self.storages.get_mut(&owner)) {
                    storage.missing += parts.len() - 1;
                    storage.is_split = true;
                }
                self.wanted.extend(parts.into_iter().map(|part| Piece::Part(part, *root)));
                Ok((Vec::new(), None))
            }
            CheckedPart::Accounts(accounts) => {
                let leaves = self.accounts_came(&accounts);
                self.fetched.share += id.share();
                Ok((vec![Write::Accounts(accounts)], Some(leaves)))
            }
            CheckedPart::Slots(slots, branches) => {
                let leaves = slots.len();
                self.fetched.slots += leaves as u64;
                let owner = id.owner.unwrap_or_default();
                let mut writes = vec![Write::Slots(owner, slots, branches)];
                writes.extend(self.part_of_storage_came(&owner));
                Ok((writes, Some(leaves)))
            }
        }
    }

    fn accounts_came(&mut self, accounts: &[CheckedAccount]) -> usize {
        let mut leaves = accounts.len();
        self.fetched.accounts += accounts.len() as u64;
        for CheckedAccount { account, .. } in accounts {
            let code = account.flat.account.code_hash;
            if code != KECCAK256_EMPTY && self.codes_seen.insert(code) {
                self.codes_wanted.push(code);
            }
            match &account.slots {
                Some(slots) => {
                    leaves += slots.len();
                    self.fetched.slots += slots.len() as u64;
                }
                None => {
                    let root = account.flat.storage_root;
                    self.storages.insert(account.key, Storage { root, missing: 1, is_split: false });
                    self.wanted.push(Piece::Part(PartId::whole(Some(account.key)), root));
                }
            }
        }
        leaves
    }

    fn part_of_storage_came(&mut self, owner: &B256) -> Option<Write> {
        let storage = self.storages.get_mut(owner)?;
        storage.missing = storage.missing.saturating_sub(1);
        if storage.missing > 0 {
            return None;
        }
        let storage = self.storages.remove(owner)?;
        storage.is_split.then_some(Write::StorageComplete(*owner, storage.root))
    }

    /// Takes codes in, whose hashes are compared already. Those that did not fit the answer are wanted still.
    pub(super) fn take_codes(&mut self, asked: Vec<B256>, codes: Vec<(B256, Bytes)>) -> Write {
        self.fetched.codes += codes.len() as u64;
        self.codes_wanted.extend(asked.into_iter().skip(codes.len()));
        Write::Codes(codes)
    }
}
