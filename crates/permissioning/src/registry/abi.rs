//! The registry's contracts as the node and its tools speak to them: addresses, functions, structs, proposals, errors.
//!
//! The Solidity sources are in `genesis/contracts`, with what every function means.

mod contracts;
mod errors;
mod proposal;
mod words;

#[cfg(test)]
mod tests;

pub use contracts::*;
pub use errors::{Failures, explain_revert, proposal_state};
pub use proposal::{PayloadError, Proposal, ProposalKind, UnknownKind};
pub use words::{
    Access, IdScheme, MemberKind, Role, Scope, access_names, account_status, identity_words, member_status,
    node_status, role_names, text_of,
};

use alloy_primitives::{Address, address};

/// Who may connect.
pub const NODE_RULES: Address = address!("0000000000000000000000000000000000009999");
/// Who may transact.
pub const ACCOUNT_RULES: Address = address!("0000000000000000000000000000000000008888");
/// Members, nodes, accounts.
pub const REGISTRY: Address = address!("0000000000000000000000000000000000007001");
/// Proposals and votes.
pub const GOVERNANCE: Address = address!("0000000000000000000000000000000000007002");
/// The set of validators, its service level and selection.
pub const VALIDATORS: Address = address!("0000000000000000000000000000000000007003");
/// Gas per member.
pub const QUOTAS: Address = address!("0000000000000000000000000000000000007004");
/// Freezes and emergency suspensions.
pub const SUPERVISION: Address = address!("0000000000000000000000000000000000007005");
/// The values that votes change.
pub const POLICY: Address = address!("0000000000000000000000000000000000007006");
/// Proof of double signing.
pub const EVIDENCE: Address = address!("0000000000000000000000000000000000007007");
/// Supervisors' keys, and the nodes that hold parties' keys.
pub const PARTIES: Address = address!("0000000000000000000000000000000000007008");

/// The place in the list of thresholds for acts against supervisors and auditors.
pub const SUPERVISION_THRESHOLD: usize = 0;
/// Classes of quotas, from 0.
pub const QUOTA_CLASSES: usize = 8;
/// Most admins of a member.
pub const ADMINS_MAX: usize = 16;
/// Most keys of the council.
pub const COUNCIL_MAX: usize = 16;
/// Most validators.
pub const VALIDATORS_MAX: usize = 31;
/// Most bytes of a node's endpoints.
pub const ENDPOINTS_BYTES_MAX: usize = 256;
