//! The second pass: private transactions, executed by their parties, in order, after the public chain.
//!
//! ```text
//!  published blocks ─▶ private transactions in it ─▶ payloads: found │ not ours │ erased │ unavailable
//!                                                          │              │                   │
//!                                   executed on both states ▼              ▼                   ▼
//!                                          private receipts, state   nothing happens   the private head waits
//! ```
//!
//! [`PrivateFollower`] owns the private state and is driven by one thread. The public chain never waits for it. It never
//! guesses: a payload that cannot be had now makes it wait, and one that comes late leads it back to the first block that
//! needs it ([`PrivateFollower::arrived`]).
//!
//! What it does with a block depends on the public chain and on the payloads alone, so that parties to the same
//! transactions have the same private state, and replaying gives it again.

mod block;
mod checks;
pub mod extension;
mod follow;
mod inside;
pub mod marker;
mod payloads;
mod replay;
mod run;
mod simulate;
mod status;

#[cfg(test)]
mod tests;

pub use follow::{Advance, Arrived, PrivateFollower, Waiting};
pub use payloads::Ask;
pub use replay::{LookUp, Replay, ReplayError};
pub use simulate::{Simulation, SimulationError, execution_root_text, simulate};
pub use status::{PrivateStatus, PrivateWait};
