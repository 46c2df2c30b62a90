//! Asks the permission contracts at a state: who may connect, who may transact, who validates, how much gas a member
//! has left.
//!
//! The contracts are named by the genesis file ([`Permissions`](lonja_primitives::spec::Permissions)) and speak a narrow
//! interface ([`interface`]) that Besu's and GoQuorum's deployed ones speak too. Every question is a call at one state
//! with a fixed allowance of gas, so every node that asks it there gets the same answer. A contract that is missing,
//! reverts, runs out of gas or answers what is no answer closes its door, and the [`Refusal`] says so.
//!
//! * [`Judge`] answers at one state, as one block sees it. A [`Memo`] keeps answers for as long as nothing changed that
//!   they depended on.
//! * [`PartyJudge`] answers who has to be a party of what is shared, and which nodes hold a party's key.
//! * [`Ledger`] keeps the gas that members have left while the transactions of one block are taken up.
//! * [`end_block`] and [`next_validators`] are the calls that a block itself makes when its transactions are done.
//! * [`registry`] makes the contracts of lonja's own registry part of a new network's block 0.
//!
//! Never here: sockets, threads, a cache with a life of its own (a memo belongs to a head), rules about members: those
//! are in the contracts.

mod block;
pub mod interface;
mod judge;
mod ledger;
mod memo;
mod parties;
mod question;
pub mod registry;
mod state;
mod verdict;

#[cfg(test)]
mod tests;

pub use block::{BlockEnd, end_block, next_validators};
pub use judge::{Judge, Memos};
pub use ledger::Ledger;
pub use lonja_evm::ExecuteError;
pub use memo::Memo;
pub use parties::PartyJudge;
pub use question::{ConnectionQuestion, OwnEnd, TransactionQuestion};
pub use state::MemoryState;
pub use verdict::{ConnectionVerdict, Refusal, Rule, Verdict};
