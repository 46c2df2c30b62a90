//! Transactions that wait to be included: in order, within bounds, each with the reason why it waits.
//!
//! [`TxPool`] is a plain struct. Whoever calls it brings what it has to know: the nonce and balance of a
//! sender, the time, and after each block what changed. A sender's transactions stand in nonce order; the
//! first ones, contiguous from the sender's nonce and payable together, are *ready*; the others are *queued*
//! until a gap closes or a balance rises. Where gas is free no price orders transactions: the one that came
//! first goes first.
//!
//! Never here: reading state, checking signatures or the rules of a fork, async, locks, a clock.

mod config;
mod content;
mod error;
mod pool;
mod ready;
mod recent;
mod sender;
mod waiting;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use config::PoolConfig;
pub use content::{PoolStatus, SenderContent, WaitReason, Waiting};
pub use error::PoolError;
pub use pool::{Inserted, Origin, TxPool};
pub use ready::ReadyCursor;
pub use sender::SenderState;
