//! What members vote on.

use super::contracts::{MemberInput, MemberRecord, PolicyValues};
use super::words::Scope;
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{SolType, sol};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A subject, and the hash of a reason, statement or attestation.
type SubjectAndHash = sol! { (bytes32, bytes32) };
type Subject = sol! { (bytes32,) };
type Candidate = sol! { (bytes32, bool, bytes32) };
type Admins = sol! { (bytes32, address[], uint8) };
type Keys = sol! { (address[],) };
type Statement = sol! { (bytes32, uint64, string) };
type Released = sol! { (address,) };
type Supervisor = sol! { (uint8, bytes32, bytes32) };
type Admission = (MemberInput,);
type Values = (sol! { uint64 }, PolicyValues);
type Record = (sol! { bytes32 }, MemberRecord);

/// Kinds of proposals, by their numbers in the contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum ProposalKind {
    /// A new member.
    AdmitMember = 1,
    /// A member's nodes and accounts rest.
    SuspendMember = 2,
    /// The end of that.
    LiftMember = 3,
    /// A member leaves for good.
    ExpelMember = 4,
    /// A node's key is out of use for good.
    RevokeNode = 5,
    /// A node becomes a validator candidate, or stops being one.
    Candidacy = 6,
    /// New values of the policy.
    Policy = 7,
    /// A member's record: kind, vote, sector, region, group, documents.
    MemberRecord = 8,
    /// New admins for a member that lost its keys.
    ReplaceAdmins = 9,
    /// The keys of the council.
    Council = 10,
    /// An emergency suspension goes on.
    Ratify = 11,
    /// A validator may come back after the fourth strike.
    ReadmitValidator = 12,
    /// A statement of the network.
    Statement = 13,
    /// A node rests.
    SuspendNode = 14,
    /// The end of that.
    LiftNode = 15,
    /// An account is free for another member.
    ReleaseAccount = 16,
    /// A key has to be a party of what some send.
    AddSupervisor = 17,
    /// The end of that.
    RemoveSupervisor = 18,
    /// A party's key is free for another member.
    ReleaseParty = 19,
}

/// No kind of proposal has this name or number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0} is no kind of proposal; they are: {names}", names = ProposalKind::names())]
pub struct UnknownKind(String);

/// Why the bytes of a proposal were refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// The number is no kind.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// The bytes are not what the kind takes.
    #[error("the payload is not one of kind {0}: {1}")]
    Payload(ProposalKind, String),
}

impl ProposalKind {
    /// All kinds, by number.
    pub const ALL: [Self; 19] = [
        Self::AdmitMember,
        Self::SuspendMember,
        Self::LiftMember,
        Self::ExpelMember,
        Self::RevokeNode,
        Self::Candidacy,
        Self::Policy,
        Self::MemberRecord,
        Self::ReplaceAdmins,
        Self::Council,
        Self::Ratify,
        Self::ReadmitValidator,
        Self::Statement,
        Self::SuspendNode,
        Self::LiftNode,
        Self::ReleaseAccount,
        Self::AddSupervisor,
        Self::RemoveSupervisor,
        Self::ReleaseParty,
    ];

    /// The number in the contracts.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The kind with this number.
    pub fn from_number(number: u16) -> Result<Self, UnknownKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.number() == number);
        found.ok_or_else(|| UnknownKind(number.to_string()))
    }

    /// The name that people read and write.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdmitMember => "admit-member",
            Self::SuspendMember => "suspend-member",
            Self::LiftMember => "lift-member",
            Self::ExpelMember => "expel-member",
            Self::RevokeNode => "revoke-node",
            Self::Candidacy => "candidacy",
            Self::Policy => "policy",
            Self::MemberRecord => "member-record",
            Self::ReplaceAdmins => "replace-admins",
            Self::Council => "council",
            Self::Ratify => "ratify",
            Self::ReadmitValidator => "readmit-validator",
            Self::Statement => "statement",
            Self::SuspendNode => "suspend-node",
            Self::LiftNode => "lift-node",
            Self::ReleaseAccount => "release-account",
            Self::AddSupervisor => "add-supervisor",
            Self::RemoveSupervisor => "remove-supervisor",
            Self::ReleaseParty => "release-party",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for ProposalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProposalKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// A proposal with everything it says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Proposal {
    AdmitMember(MemberInput),
    SuspendMember { member: B256, reason: B256 },
    LiftMember { member: B256, reason: B256 },
    ExpelMember { member: B256, statement: B256 },
    RevokeNode { node: B256, statement: B256 },
    Candidacy { node: B256, candidate: bool, attestation: B256 },
    Policy { revision: u64, values: Box<PolicyValues> },
    MemberRecord { member: B256, record: MemberRecord },
    ReplaceAdmins { member: B256, admins: Vec<Address>, threshold: u8 },
    Council { keys: Vec<Address> },
    Ratify { subject: B256 },
    ReadmitValidator { node: B256 },
    Statement { document: B256, deadline: u64, title: String },
    SuspendNode { node: B256, reason: B256 },
    LiftNode { node: B256, reason: B256 },
    ReleaseAccount { account: Address },
    AddSupervisor { scope: Scope, key: B256 },
    RemoveSupervisor { scope: Scope, key: B256 },
    ReleaseParty { party: B256 },
}

impl Proposal {
    /// Its kind.
    pub fn kind(&self) -> ProposalKind {
        match self {
            Self::AdmitMember(_) => ProposalKind::AdmitMember,
            Self::SuspendMember { .. } => ProposalKind::SuspendMember,
            Self::LiftMember { .. } => ProposalKind::LiftMember,
            Self::ExpelMember { .. } => ProposalKind::ExpelMember,
            Self::RevokeNode { .. } => ProposalKind::RevokeNode,
            Self::Candidacy { .. } => ProposalKind::Candidacy,
            Self::Policy { .. } => ProposalKind::Policy,
            Self::MemberRecord { .. } => ProposalKind::MemberRecord,
            Self::ReplaceAdmins { .. } => ProposalKind::ReplaceAdmins,
            Self::Council { .. } => ProposalKind::Council,
            Self::Ratify { .. } => ProposalKind::Ratify,
            Self::ReadmitValidator { .. } => ProposalKind::ReadmitValidator,
            Self::Statement { .. } => ProposalKind::Statement,
            Self::SuspendNode { .. } => ProposalKind::SuspendNode,
            Self::LiftNode { .. } => ProposalKind::LiftNode,
            Self::ReleaseAccount { .. } => ProposalKind::ReleaseAccount,
            Self::AddSupervisor { .. } => ProposalKind::AddSupervisor,
            Self::RemoveSupervisor { .. } => ProposalKind::RemoveSupervisor,
            Self::ReleaseParty { .. } => ProposalKind::ReleaseParty,
        }
    }

    /// The payload that `propose` and `execute` take.
    pub fn payload(&self) -> Bytes {
        match self {
            Self::AdmitMember(input) => Admission::abi_encode_params(&(input.clone(),)),
            Self::SuspendMember { member: subject, reason: hash }
            | Self::LiftMember { member: subject, reason: hash }
            | Self::ExpelMember { member: subject, statement: hash }
            | Self::RevokeNode { node: subject, statement: hash }
            | Self::SuspendNode { node: subject, reason: hash }
            | Self::LiftNode { node: subject, reason: hash } => {
                SubjectAndHash::abi_encode_params(&(*subject, *hash))
            }
            Self::Candidacy { node, candidate, attestation } => {
                Candidate::abi_encode_params(&(*node, *candidate, *attestation))
            }
            Self::Policy { revision, values } => {
                Values::abi_encode_params(&(*revision, values.as_ref().clone()))
            }
            Self::MemberRecord { member, record } => Record::abi_encode_params(&(*member, record.clone())),
            Self::ReplaceAdmins { member, admins, threshold } => {
                Admins::abi_encode_params(&(*member, admins.clone(), *threshold))
            }
            Self::Council { keys } => Keys::abi_encode_params(&(keys.clone(),)),
            Self::Ratify { subject }
            | Self::ReadmitValidator { node: subject }
            | Self::ReleaseParty { party: subject } => Subject::abi_encode_params(&(*subject,)),
            Self::Statement { document, deadline, title } => {
                Statement::abi_encode_params(&(*document, *deadline, title.clone()))
            }
            Self::ReleaseAccount { account } => Released::abi_encode_params(&(*account,)),
            Self::AddSupervisor { scope, key } | Self::RemoveSupervisor { scope, key } => {
                let (number, subject) = scope.words();
                Supervisor::abi_encode_params(&(number, subject, *key))
            }
        }
        .into()
    }

    /// What a payload of this kind says.
    ///
    /// # Errors
    /// The number is no kind, or the bytes are not exactly what [`Self::payload`] would write.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Self, PayloadError> {
        let kind = ProposalKind::from_number(kind)?;
        let refused = |reason: String| PayloadError::Payload(kind, reason);
        let proposal = Self::decode_as(kind, payload).map_err(|error| refused(error.to_string()))?;
        // The contract overlooks what stands behind the last word or between words; whoever votes should not.
        if *proposal.payload() != *payload {
            return Err(refused("it has more or other bytes than it needs".into()));
        }
        Ok(proposal)
    }

    fn decode_as(kind: ProposalKind, payload: &[u8]) -> alloy_sol_types::Result<Self> {
        let subject_and_hash = || SubjectAndHash::abi_decode_params_validate(payload);
        let subject = || Subject::abi_decode_params_validate(payload).map(|(subject,)| subject);
        let supervisor = || {
            let (number, subject, key) = Supervisor::abi_decode_params_validate(payload)?;
            let scope = Scope::from_words(number, &subject);
            scope.map(|scope| (scope, key)).ok_or_else(|| alloy_sol_types::Error::custom("no such scope"))
        };
        Ok(match kind {
            ProposalKind::AdmitMember => Self::AdmitMember(Admission::abi_decode_params_validate(payload)?.0),
            ProposalKind::SuspendMember => {
                let (member, reason) = subject_and_hash()?;
                Self::SuspendMember { member, reason }
            }
            ProposalKind::LiftMember => {
                let (member, reason) = subject_and_hash()?;
                Self::LiftMember { member, reason }
            }
            ProposalKind::ExpelMember => {
                let (member, statement) = subject_and_hash()?;
                Self::ExpelMember { member, statement }
            }
            ProposalKind::RevokeNode => {
                let (node, statement) = subject_and_hash()?;
                Self::RevokeNode { node, statement }
            }
            ProposalKind::Candidacy => {
                let (node, candidate, attestation) = Candidate::abi_decode_params_validate(payload)?;
                Self::Candidacy { node, candidate, attestation }
            }
            ProposalKind::Policy => {
                let (revision, values) = Values::abi_decode_params_validate(payload)?;
                Self::Policy { revision, values: Box::new(values) }
            }
            ProposalKind::MemberRecord => {
                let (member, record) = Record::abi_decode_params_validate(payload)?;
                Self::MemberRecord { member, record }
            }
            ProposalKind::ReplaceAdmins => {
                let (member, admins, threshold) = Admins::abi_decode_params_validate(payload)?;
                Self::ReplaceAdmins { member, admins, threshold }
            }
            ProposalKind::Council => Self::Council { keys: Keys::abi_decode_params_validate(payload)?.0 },
            ProposalKind::Ratify => Self::Ratify { subject: subject()? },
            ProposalKind::ReadmitValidator => Self::ReadmitValidator { node: subject()? },
            ProposalKind::Statement => {
                let (document, deadline, title) = Statement::abi_decode_params_validate(payload)?;
                Self::Statement { document, deadline, title }
            }
            ProposalKind::SuspendNode => {
                let (node, reason) = subject_and_hash()?;
                Self::SuspendNode { node, reason }
            }
            ProposalKind::LiftNode => {
                let (node, reason) = subject_and_hash()?;
                Self::LiftNode { node, reason }
            }
            ProposalKind::ReleaseAccount => {
                Self::ReleaseAccount { account: Released::abi_decode_params_validate(payload)?.0 }
            }
            ProposalKind::AddSupervisor => {
                let (scope, key) = supervisor()?;
                Self::AddSupervisor { scope, key }
            }
            ProposalKind::RemoveSupervisor => {
                let (scope, key) = supervisor()?;
                Self::RemoveSupervisor { scope, key }
            }
            ProposalKind::ReleaseParty => Self::ReleaseParty { party: subject()? },
        })
    }
}
