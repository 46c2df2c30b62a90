//! JSON-RPC, one file per namespace; health and metrics endpoints.
//!
//! What a client sends takes one road, whatever the transport:
//!
//! ```text
//! HTTP ─┐                                      ┌─ inline: answers from memory
//! WS  ──┼─ limits ─ method table of the  ──────┼─ read lane: point reads of the store
//! IPC ──┘           transport                  ├─ heavy lane: calls, estimates, log searches
//! IPC ──┘           transport                  ├─ lane of traces: one at a time
//!                                              └─ submitter: raw transactions, in batches to the door
//! ```
//!
//! Everything that may take time runs on blocking threads behind a bounded queue; a full queue is an explicit
//! answer (`-32005`, "too busy, try again"), never a longer wait. So that clients cannot slow down block
//! production, nothing here holds a lock that the writer needs for longer than a look-up in the pool.
//!
//! Never here: writing state, keys, the rules of the chain. Orders to the node (votes, peers) go through
//! [`NodeControl`], and those that change anything are offered on IPC only, unless asked for.

mod blocks;
pub mod config;
pub mod context;
pub mod control;
mod error;
mod feed;
mod filters;
mod health;
mod logs;
mod methods;
mod params;
pub mod privacy;
mod register;
mod server;
mod submit;
mod transport;
mod view;
mod workers;

#[cfg(test)]
mod testing;

pub use config::{Access, HttpConfig, IpcConfig, Namespace, RpcConfig, RpcLimits};
pub use context::RpcContext;
pub use control::{
    ConsensusStatus, ControlError, Health, HealthCheck, NodeControl, NodeInfo, PeerEntry, RefusedPeer,
    SyncStatus,
};
pub use error::StartError;
pub use methods::quorum_extension::{ExtensionSender, parties_of};
pub use privacy::RpcPrivacy;
pub use server::{HealthHandle, RpcHandle, serve_health, start};
