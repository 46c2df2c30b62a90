//! The single writer: builds, checks and commits blocks; the door for transactions; the reading of history.
//!
//! ```text
//!  raw transactions ──▶ Door ──▶ pool ──▶ build ─┐
//!                                                ├─▶ executed once, remembered by block hash ──▶ commit ──▶ publish
//!  proposals of others ───────────────▶ check ───┘                                                 │
//!          ▲                                                                                       ▼
//!          └──────────────────────────────── new head: pool, door, position ◀───────────────────────
//! ```
//!
//! * [`ChainCore`] owns the state and is driven by one thread. It takes nothing into the chain but a
//!   [`CertifiedBlock`](lonja_primitives::CertifiedBlock), and halts when execution disagrees with one.
//! * [`Publisher`] makes commits durable and shows them to readers, on whatever thread the node likes.
//! * [`Door`] takes transactions in from any thread, in batches.
//! * [`PeerJudge`] says which nodes may connect; [`judge_connection`] says it of another state than the newest.
//! * [`private::PrivateFollower`] executes private transactions, in a pass of its own behind the public chain.
//! * [`history`] reads blocks, receipts and logs back.
//!
//! Never here: sockets, timers, threads of its own, the rules of agreement. What is asked is answered
//! synchronously.

mod clock;
mod core;
mod door;
mod error;
mod executed;
pub mod history;
mod peers;
pub mod private;
mod publisher;
mod recover;
mod shared;
mod telemetry;

#[cfg(test)]
mod tests;

pub use crate::core::{ChainCore, Committed, check_output, check_state};
pub use door::{Door, Listener, SubmitError};
pub use error::{BlockError, ChainError};
pub use executed::ExecutedBlock;
pub use peers::{PeerJudge, judge_connection};
pub use publisher::Publisher;
