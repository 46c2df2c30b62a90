//! A part of the state: what travels, and how it is checked.

use crate::codec::{FlatAccount, encode_slot, slot_leaf};
use crate::trie::{NodeChange, build, check_part};
use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, U256};
use alloy_rlp::{Decodable, Encodable, Header, RlpDecodable, RlpEncodable};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use lonja_primitives::Account;
use rayon::prelude::*;
use std::borrow::Cow;

/// The deepest part that may be asked for, nibbles. Of four thousand million evenly spread keys each such part holds one.
const DEEPEST: usize = 8;

/// Names a part of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartId {
    /// The hashed address of the account whose slots it is of; `None` for accounts.
    pub owner: Option<B256>,
    /// How the keys in it begin.
    pub prefix: Nibbles,
}

impl PartId {
    /// All accounts, or all slots of one.
    pub fn whole(owner: Option<B256>) -> Self {
        Self { owner, prefix: Nibbles::new() }
    }

    /// The sixteen parts it falls into; `None` where it is as small as a part may be.
    pub fn split(&self) -> Option<Vec<Self>> {
        let child = |nibble| {
            let mut prefix = self.prefix;
            prefix.push(nibble);
            Self { owner: self.owner, prefix }
        };
        (self.prefix.len() < DEEPEST).then(|| (0..16).map(child).collect())
    }

    /// The share of all keys that it covers.
    pub fn share(&self) -> f64 {
        16f64.powi(-i32::try_from(self.prefix.len()).unwrap_or(i32::MAX))
    }
}

impl Encodable for PartId {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        PartIdBody::from(self).encode(out);
    }

    fn length(&self) -> usize {
        PartIdBody::from(self).length()
    }
}

impl Decodable for PartId {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let PartIdBody { owner, prefix } = PartIdBody::decode(buf)?;
        let owner = optional(&owner)?;
        if prefix.len() > DEEPEST || prefix.iter().any(|nibble| *nibble > 0xf) {
            return Err(alloy_rlp::Error::Custom("no such part of a state"));
        }
        Ok(Self { owner, prefix: Nibbles::from_nibbles(&prefix) })
    }
}

#[derive(RlpEncodable, RlpDecodable)]
struct PartIdBody {
    owner: Bytes,
    /// A nibble a byte.
    prefix: Bytes,
}

impl From<&PartId> for PartIdBody {
    fn from(id: &PartId) -> Self {
        let owner = id.owner.map_or(Bytes::new(), |owner| Bytes::copy_from_slice(owner.as_slice()));
        Self { owner, prefix: id.prefix.iter().collect::<Vec<u8>>().into() }
    }
}

/// An account of a part, with its slots where they travel with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeAccount {
    /// keccak-256 of its address.
    pub key: B256,
    /// The account.
    pub flat: FlatAccount,
    /// All its slots by hashed number, sorted; `None` where they have to be asked for.
    pub slots: Option<Vec<(B256, U256)>>,
}

/// What a giver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Too much for one answer: ask for the sixteen parts of it.
    Split,
    /// Accounts, sorted by key.
    Accounts {
        /// The nodes above.
        proof: Vec<Bytes>,
        /// Those in the part.
        accounts: Vec<WholeAccount>,
    },
    /// Slots of one account, sorted by key.
    Slots {
        /// The nodes above.
        proof: Vec<Bytes>,
        /// Those in the part, none of them zero.
        slots: Vec<(B256, U256)>,
    },
}

/// A part whose content is proved, ready to be written.
#[derive(Debug)]
pub enum CheckedPart {
    /// There was too much: nothing is proved.
    Split,
    /// Accounts.
    Accounts(Vec<CheckedAccount>),
    /// Slots; with the branches of the storage trie when the part is all of it.
    Slots(Vec<(B256, U256)>, Option<Vec<NodeChange>>),
}

/// A proved account.
#[derive(Debug)]
pub struct CheckedAccount {
    /// The account, and its slots as far as they came with it.
    pub account: WholeAccount,
    /// The branches of its storage trie when its slots came with it.
    pub branches: Vec<NodeChange>,
}

impl Part {
    /// Checks that this is the part `id` of the trie with this root. The reason is for the peer it came from.
    pub fn check(self, id: &PartId, root: &B256) -> Result<CheckedPart, &'static str> {
        match (self, id.owner) {
            (Self::Split, _) => Ok(CheckedPart::Split),
            (Self::Accounts { proof, accounts }, None) => {
                let leaves: Vec<_> =
                    accounts.iter().map(|account| (account.key, Cow::Owned(account.flat.leaf()))).collect();
                check_part(root, &id.prefix, &proof, &leaves)?;
                let checked: Result<Vec<_>, _> = accounts.into_par_iter().map(check_storage).collect();
                checked.map(CheckedPart::Accounts)
            }
            (Self::Slots { proof, slots }, Some(_)) => {
                let leaves = slot_leaves(&slots)?;
                check_part(root, &id.prefix, &proof, &leaves)?;
                let branches = id.prefix.is_empty().then(|| build(&leaves).1);
                Ok(CheckedPart::Slots(slots, branches))
            }
            _ => Err("slots where accounts were asked for, or the other way round"),
        }
    }
}

fn check_storage(account: WholeAccount) -> Result<CheckedAccount, &'static str> {
    let mut branches = Vec::new();
    if let Some(slots) = &account.slots {
        let leaves = slot_leaves(slots)?;
        let ascend = slots.windows(2).all(|pair| matches!(pair, [left, right] if left.0 < right.0));
        let (root, built) = build(&leaves);
        if !ascend || root != account.flat.storage_root {
            return Err("the slots of an account are not those that its storage root promises");
        }
        branches = built;
    }
    Ok(CheckedAccount { account, branches })
}

type Leaf = (B256, Cow<'static, [u8]>);

fn slot_leaves(slots: &[(B256, U256)]) -> Result<Vec<Leaf>, &'static str> {
    if slots.iter().any(|(_, value)| value.is_zero()) {
        return Err("a slot of value zero, which no storage trie has");
    }
    Ok(slots.iter().map(|(key, value)| (*key, Cow::Owned(slot_leaf(&encode_slot(value))))).collect())
}

#[derive(RlpEncodable, RlpDecodable)]
struct AccountBody {
    key: B256,
    nonce: u64,
    balance: U256,
    /// Empty for the empty root.
    storage_root: Bytes,
    /// Empty for no code.
    code_hash: Bytes,
    /// Whether `slots` are all there are.
    has_slots: bool,
    slots: Vec<SlotBody>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct SlotBody {
    key: B256,
    value: U256,
}

const SPLIT: u8 = 0;
const ACCOUNTS: u8 = 1;
const SLOTS: u8 = 2;

#[derive(RlpEncodable, RlpDecodable)]
struct AccountsBody {
    proof: Vec<Bytes>,
    accounts: Vec<AccountBody>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct SlotsBody {
    proof: Vec<Bytes>,
    slots: Vec<SlotBody>,
}

/// `[kind, body]`, where the body of a split part is an empty list.
impl Encodable for Part {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        let (kind, body) = match self {
            Self::Split => (SPLIT, vec![alloy_rlp::EMPTY_LIST_CODE]),
            Self::Accounts { proof, accounts } => {
                let accounts = accounts.iter().map(AccountBody::from).collect();
                (ACCOUNTS, alloy_rlp::encode(AccountsBody { proof: proof.clone(), accounts }))
            }
            Self::Slots { proof, slots } => {
                (SLOTS, alloy_rlp::encode(SlotsBody { proof: proof.clone(), slots: slot_bodies(slots) }))
            }
        };
        Header { list: true, payload_length: kind.length() + body.len() }.encode(out);
        kind.encode(out);
        out.put_slice(&body);
    }
}

impl Decodable for Part {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut list = Header::decode_bytes(buf, true)?;
        let part = match u8::decode(&mut list)? {
            SPLIT => Header::decode_bytes(&mut list, true).map(|_| Self::Split)?,
            ACCOUNTS => {
                let AccountsBody { proof, accounts } = AccountsBody::decode(&mut list)?;
                let accounts: alloy_rlp::Result<_> =
                    accounts.into_iter().map(WholeAccount::try_from).collect();
                Self::Accounts { proof, accounts: accounts? }
            }
            SLOTS => {
                let SlotsBody { proof, slots } = SlotsBody::decode(&mut list)?;
                Self::Slots { proof, slots: slots.into_iter().map(|slot| (slot.key, slot.value)).collect() }
            }
            _ => return Err(alloy_rlp::Error::Custom("no such kind of part")),
        };
        match list.is_empty() {
            true => Ok(part),
            false => Err(alloy_rlp::Error::UnexpectedLength),
        }
    }
}

impl From<&WholeAccount> for AccountBody {
    fn from(account: &WholeAccount) -> Self {
        let FlatAccount { account: inner, storage_root } = account.flat;
        let unless = |hash: B256, default: B256| match hash == default {
            true => Bytes::new(),
            false => Bytes::copy_from_slice(hash.as_slice()),
        };
        Self {
            key: account.key,
            nonce: inner.nonce,
            balance: inner.balance,
            storage_root: unless(storage_root, EMPTY_ROOT_HASH),
            code_hash: unless(inner.code_hash, KECCAK256_EMPTY),
            has_slots: account.slots.is_some(),
            slots: slot_bodies(account.slots.as_deref().unwrap_or_default()),
        }
    }
}

impl TryFrom<AccountBody> for WholeAccount {
    type Error = alloy_rlp::Error;

    fn try_from(body: AccountBody) -> alloy_rlp::Result<Self> {
        let code_hash = optional(&body.code_hash)?.unwrap_or(KECCAK256_EMPTY);
        let storage_root = optional(&body.storage_root)?.unwrap_or(EMPTY_ROOT_HASH);
        let account = Account { nonce: body.nonce, balance: body.balance, code_hash };
        let slots = body.slots.into_iter().map(|slot| (slot.key, slot.value)).collect();
        Ok(Self {
            key: body.key,
            flat: FlatAccount { account, storage_root },
            slots: body.has_slots.then_some(slots),
        })
    }
}

fn slot_bodies(slots: &[(B256, U256)]) -> Vec<SlotBody> {
    slots.iter().map(|(key, value)| SlotBody { key: *key, value: *value }).collect()
}

fn optional(bytes: &Bytes) -> alloy_rlp::Result<Option<B256>> {
    match bytes.len() {
        0 => Ok(None),
        _ => B256::try_from(&bytes[..]).map(Some).map_err(|_| alloy_rlp::Error::UnexpectedLength),
    }
}
