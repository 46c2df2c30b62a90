//! The numbers of the contracts in words.

use alloy_primitives::{B256, U256};

/// What a bit or number of the contracts is called, each with its name in plan files.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident, $number:ty, $what:literal: $($(#[$one:meta])* $variant:ident = $value:literal $name:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$one])* $variant),+ }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The number in the contracts.
            pub const fn number(self) -> $number {
                match self { $(Self::$variant => $value),+ }
            }

            /// The name that people read and write.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The one with this number.
            pub fn from_number(number: $number) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.number() == number)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let names = [$($name),+].join(", ");
                let found = Self::ALL.iter().copied().find(|one| one.name() == text);
                found.ok_or_else(|| format!("{text:?} is no {}; there are: {names}", $what))
            }
        }
    };
}

names! {
    /// What a member is.
    MemberKind, u8, "kind of member":
    /// A company.
    Ordinary = 1 "ordinary",
    /// A public body.
    PublicBody = 2 "public-body",
    /// A university or research centre.
    Research = 3 "research",
    /// May freeze accounts; outside the reach of ordinary votes.
    Supervisor = 4 "supervisor",
    /// Reads everything; outside the reach of ordinary votes.
    Auditor = 5 "auditor",
    /// An association.
    Association = 6 "association",
}

names! {
    /// By what a member is known.
    IdScheme, u8, "id scheme":
    /// Legal Entity Identifier, ISO 17442.
    Lei = 1 "lei",
    /// Tax id of a legal person.
    TaxId = 2 "taxId",
    /// European Unique Identifier of companies.
    Euid = 3 "euid",
    /// The hash of a decentralised identifier.
    Did = 4 "did",
}

names! {
    /// What a node is for; a bit each.
    Role, u16, "role of a node":
    /// Follows the chain and serves clients.
    Regular = 1 "regular",
    /// May be chosen as a validator.
    Validator = 2 "validator",
    /// Others find the network by it.
    Boot = 4 "boot",
    /// Belongs to a supervisor or auditor.
    Supervisor = 8 "supervisor",
    /// Keeps all history.
    Archive = 16 "archive",
    /// Reads only.
    Observer = 32 "observer",
}

names! {
    /// What an account may do; a bit each.
    Access, u16, "access of an account":
    /// Send value, or nothing at all, to an address.
    Transfer = 1 "transfer",
    /// Call contracts.
    Call = 2 "call",
    /// Create contracts.
    Deploy = 4 "deploy",
    /// A label for the member's own tools.
    Governance = 8 "governance",
}

/// Whom a supervisor's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Whoever sends, of whatever member or none.
    Everybody,
    /// The members of a sector.
    Sector(u16),
    /// One member.
    Member(B256),
}

impl Scope {
    /// The number and the subject in the contracts.
    pub fn words(&self) -> (u8, B256) {
        match self {
            Self::Everybody => (1, B256::ZERO),
            Self::Sector(sector) => (2, B256::from(U256::from(*sector))),
            Self::Member(id) => (3, *id),
        }
    }

    /// The one with this number and subject.
    pub fn from_words(number: u8, subject: &B256) -> Option<Self> {
        match number {
            1 => subject.is_zero().then_some(Self::Everybody),
            2 => u16::try_from(U256::from_be_bytes(subject.0)).ok().map(Self::Sector),
            3 => Some(Self::Member(*subject)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everybody => f.write_str("everybody"),
            Self::Sector(sector) => write!(f, "sector {sector}"),
            Self::Member(id) => write!(f, "member {id}"),
        }
    }
}

/// The names of the roles in a bitmap, with commas between.
pub fn role_names(bits: u16) -> String {
    named(bits, Role::ALL.iter().map(|role| (role.number(), role.name())))
}

/// The names of the access bits in a bitmap, with commas between.
pub fn access_names(bits: u16) -> String {
    named(bits, Access::ALL.iter().map(|access| (access.number(), access.name())))
}

fn named(bits: u16, all: impl Iterator<Item = (u16, &'static str)>) -> String {
    let names: Vec<&str> = all.filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// The status of a member in a word.
pub fn member_status(status: u8) -> &'static str {
    match status {
        0 => "unknown",
        1 => "proposed",
        2 => "active",
        3 => "suspended",
        4 => "expelled",
        5 => "withdrawn",
        _ => "of a status that this version does not know",
    }
}

/// The status of a node in a word.
pub fn node_status(status: u8) -> &'static str {
    match status {
        0 => "unknown",
        1 => "proposed",
        2 => "active",
        3 => "deactivated",
        4 => "suspended",
        5 => "revoked",
        _ => "of a status that this version does not know",
    }
}

/// The status of an account in a word.
pub fn account_status(status: u8) -> &'static str {
    match status {
        0 => "unknown",
        2 => "active",
        _ => "of a status that this version does not know",
    }
}

/// The text in a left-aligned word, if it is printable ASCII.
pub fn text_of(word: &B256) -> Option<&str> {
    let length = word.iter().position(|byte| *byte == 0).unwrap_or(32);
    let (text, rest) = word.split_at(length);
    let printable = !text.is_empty() && text.iter().all(|byte| (0x21..=0x7e).contains(byte));
    (printable && rest.iter().all(|byte| *byte == 0)).then(|| std::str::from_utf8(text).ok()).flatten()
}

/// A member's id in the words of its scheme, for instance `LEI 5493001KJTIIGC8Y1R12`.
pub fn identity_words(scheme: u8, value: &B256) -> String {
    let label = match IdScheme::from_number(scheme) {
        Some(IdScheme::Lei) => "LEI",
        Some(IdScheme::TaxId) => "tax id",
        Some(IdScheme::Euid) => "EUID",
        Some(IdScheme::Did) => "DID hash",
        None => "id",
    };
    match text_of(value).filter(|_| scheme != IdScheme::Did.number()) {
        Some(text) => format!("{label} {text}"),
        None => format!("{label} {value}"),
    }
}
