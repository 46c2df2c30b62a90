//! Privacy groups: parties under one name.
//!
//! A group's id is the Keccak-256 hash of a list of its members. Tessera's way to write and order that list has two
//! peculiarities, both kept here, since every manager has to come to the same ids: members are ordered by a 32-bit hash of
//! Java's, and the header of a long list is not RLP.

use crate::PublicKey;
use crate::codec::{CodecError, Reader, put_array, put_field, within};
use crate::envelope::each_once;
use crate::limits::{MAX_GROUP_TEXT_BYTES, MAX_RECIPIENTS};
use alloy_primitives::{Bytes, hex, keccak256};

/// The seed with which groups are found by their members.
const LOOKUP_SEED: [u8; 20] = hex!("5375ba871e5c3d0f1d055b5da0ac02ea035bed38");

/// RLP's first byte of a short string, of a long one, and the same of lists.
const SHORT_STRING: u8 = 0x80;
const LONG_STRING: u8 = 0xb7;
const SHORT_LIST: u8 = 0xc0;
const LONG_LIST: u8 = 0xf7;
/// RLP's longest short body.
const SHORT_BYTES: usize = 55;

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// Made without being asked for, in old Besu networks.
    Legacy,
    /// Made by a user.
    Pantheon,
    /// The tenants of one manager who share a private state.
    Resident,
}

/// Parties under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivacyGroup {
    /// Name. The id of a [`GroupKind::Resident`] group is its bytes.
    pub name: String,
    /// For people.
    pub description: String,
    /// Who is in it.
    pub members: Vec<PublicKey>,
    /// Makes several groups of the same members possible.
    pub seed: Bytes,
    /// What it is for.
    pub kind: GroupKind,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl GroupKind {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Legacy => "LEGACY",
            Self::Pantheon => "PANTHEON",
            Self::Resident => "RESIDENT",
        }
    }

    /// The kind with this word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Legacy, Self::Pantheon, Self::Resident].into_iter().find(|kind| kind.name() == name)
    }
}

impl PrivacyGroup {
    /// The group's id: 32 bytes, or the name's bytes for a resident one.
    pub fn id(&self) -> Bytes {
        match self.kind {
            GroupKind::Legacy => group_id(&self.members, None),
            GroupKind::Pantheon => group_id(&self.members, Some(&self.seed)),
            GroupKind::Resident => Bytes::copy_from_slice(self.name.as_bytes()),
        }
    }

    /// What groups with exactly these members have in common.
    pub fn lookup_id(&self) -> Bytes {
        lookup_id(&self.members)
    }

    /// Reads a group. The id is not in it.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let mut reader = Reader::new(bytes);
        let name = reader.text(MAX_GROUP_TEXT_BYTES, "the group's name")?;
        let description = reader.text(MAX_GROUP_TEXT_BYTES, "the group's description")?;
        let what = "a member's key";
        let members = reader.array(MAX_RECIPIENTS, MAX_GROUP_TEXT_BYTES, what)?;
        let wrong = |got| CodecError::WrongLength { what, got, want: PublicKey::LENGTH };
        let member = |key: &Bytes| PublicKey::try_from(key.as_ref()).map_err(|_| wrong(key.len()));
        let members = members.iter().map(member).collect::<Result<_, _>>()?;
        let seed = reader.field(MAX_GROUP_TEXT_BYTES, "the group's seed")?;
        let what = "the group's type";
        let kind = GroupKind::from_name(&reader.text(MAX_GROUP_TEXT_BYTES, what)?);
        let kind = kind.ok_or(CodecError::WrongType { what, want: "LEGACY, PANTHEON or RESIDENT" })?;
        let what = "the group's state";
        let deleted = match reader.text(MAX_GROUP_TEXT_BYTES, what)?.as_str() {
            "ACTIVE" => false,
            "DELETED" => true,
            _ => return Err(CodecError::WrongType { what, want: "ACTIVE or DELETED" }),
        };
        Ok(Self { name, description, members, seed, kind, deleted })
    }

    /// Writes it. What [`check`](Self::check) refuses cannot be read back.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_field(&mut out, self.name.as_bytes());
        put_field(&mut out, self.description.as_bytes());
        let members: Vec<_> = self.members.iter().map(|key| key.0).collect();
        put_array(&mut out, &members);
        put_field(&mut out, &self.seed);
        put_field(&mut out, self.kind.name().as_bytes());
        put_field(&mut out, if self.deleted { b"DELETED" } else { b"ACTIVE" });
        out
    }

    /// Holds a group that a client wants against the limits.
    pub fn check(&self) -> Result<(), CodecError> {
        within(self.name.len(), MAX_GROUP_TEXT_BYTES, "the group's name")?;
        within(self.description.len(), MAX_GROUP_TEXT_BYTES, "the group's description")?;
        within(self.seed.len(), MAX_GROUP_TEXT_BYTES, "the group's seed")?;
        within(self.members.len(), MAX_RECIPIENTS, "the group's members")
    }
}

/// What groups with exactly these members have in common: 32 bytes.
pub fn lookup_id(members: &[PublicKey]) -> Bytes {
    group_id(members, Some(&LOOKUP_SEED))
}

/// Keccak-256 of the list of members and, where there is one (empty counts), the seed: 32 bytes.
pub fn group_id(members: &[PublicKey], seed: Option<&[u8]>) -> Bytes {
    let mut members = each_once(members.iter().copied());
    members.sort_by_key(|key| java_hash(&key.0));
    let mut body = Vec::new();
    for key in &members {
        put_string(&mut body, &key.0);
    }
    if let Some(seed) = seed {
        put_string(&mut body, seed);
    }
    let mut list = header(SHORT_LIST, LONG_LIST, body.len());
    list.append(&mut body);
    keccak256(&list).0.into()
}

/// The hash that Java's `Arrays.hashCode` gives for bytes; it orders the members.
fn java_hash(bytes: &[u8]) -> i32 {
    bytes.iter().fold(1i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte.cast_signed())))
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        [byte] if *byte < SHORT_STRING => out.push(*byte),
        _ => {
            out.append(&mut header(SHORT_STRING, LONG_STRING, bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}

/// The header of a string or list. Where RLP has the length of a long body in big-endian order without leading zeros, this
/// has its little-endian bytes up to the first zero: the same for lengths below 256, and nothing else.
fn header(short: u8, long: u8, length: usize) -> Vec<u8> {
    if length <= SHORT_BYTES {
        return vec![short.wrapping_add(length as u8)];
    }
    let length: Vec<u8> = (length as u32).to_le_bytes().into_iter().take_while(|byte| *byte != 0).collect();
    let mut out = vec![long.wrapping_add(length.len() as u8)];
    out.extend_from_slice(&length);
    out
}

#[cfg(test)]
mod tests;
