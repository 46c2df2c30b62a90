//! The node: the loop that never waits, the threads and tasks around it, and the wiring.
//!
//! [`core::NodeCore`] is the whole node as a pure machine (events in, commands out); the simulator runs it as it
//! is. [`node::Node`] puts clocks, sockets, disks and threads around it:
//!
//! ```text
//!  p2p ─► deliver (verify) ─► mailbox ─► loop (NodeCore) ─► outbox ─► log, then p2p
//!                                          ▲    └─────────► chain thread ─► sync thread ─► heads
//!                                          └───── Built, Checked, Committed, Durable ┘
//!  rpc, p2p ─► door ─► pool ─► journal, gossip thread ─► p2p
//! ```
//!
//! Never here: rules of the chain, of agreement, of transactions. Those live on the floors below.

mod addresses;
pub mod chain_file;
mod chain_thread;
mod clock;
mod comeback;
mod config;
mod control;
pub mod core;
mod disk;
mod driver;
pub mod event;
mod extensions;
mod follower;
mod gate;
mod gossip;
mod halt;
pub mod identity;
pub mod ingest;
pub mod join;
mod journal;
mod mailbox;
mod manager;
pub mod meet;
mod node;
mod outbox;
mod parties;
mod plans;
pub mod rules;
mod services;
mod supervision;
mod telemetry;
mod upkeep;
mod wishes;

pub use config::Config;
pub use disk::DiskLimits;
pub use join::driver::{Outcome, join};
pub use manager::{EmbeddedConfig, ManagerConfig};
pub use node::{Node, NodeError};
pub use plans::{UnvotedBlocks, unvoted_blocks};
