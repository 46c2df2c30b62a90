//! Extending a private contract to one more party.
//!
//! ```text
//!  creator's node                 management contract            recipient's node
//!  deploys it ──────────────────▶ creator: yes
//!                                 recipient: yes ◀────────────── consents, votes
//!  reads the contract, sends ───▶ hash of the state ───────────▶ takes the contract over
//!  its state to all parties             │
//!                                       └─▶ other parties compare it with what they have
//! ```
//!
//! The management contract ([`contract`]) is private itself and stands at all parties. What nodes do follows from the
//! chain and the payloads alone, as a part of the transaction that names the state ([`judge`]), so that replaying gives
//! the same again. Nothing of it rests on an event alone: the managing contract must have been made by the known code
//! (its storage is what that code wrote, then), the state ([`shared`]) must come from the party that began the extension,
//! carry its node's signature and fit its own root, the new party must have consented, and every other party must have
//! the very same state at that place in the chain.
//!
//! Who began it shares again where the contract moved on between the look at it and the block; the new party then takes
//! the later state in place of the earlier one.

pub mod contract;
pub mod index;
pub(super) mod judge;
pub mod shared;
mod view;

pub(super) use view::PrivateView;

/// How the reason begins, in the receipt of a transaction that named a state which a party has not: the contract moved on
/// before the block, or the parties differ.
pub const NOT_OURS: &str = "contract extension: the shared state is not ours";
