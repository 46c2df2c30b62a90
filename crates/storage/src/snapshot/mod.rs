//! The whole state after one block, handed from node to node in parts, each with a proof.
//!
//! ```text
//!   giver:  Reader::pin ─► Pinned ─► part(id) ─► Part ─► bytes
//!   taker:  bytes ─► Part ─► check(root) ─► CheckedPart ─► StateImport::put ... finish ─► an ordinary store
//! ```
//!
//! A part is all accounts whose hashed address begins with some nibbles, or all slots of an account likewise. One
//! that is too large for an answer is asked for in sixteen smaller ones. Small storages travel with their account.
//! The taker trusts nothing but the state root: a part is checked before anything of it is written.

mod backfill;
mod import;
mod part;
mod pin;

pub use backfill::{BackfillBlock, BackfillWriter};
pub use import::{ImportedBlock, StateImport, has_blocks};
pub use part::{CheckedAccount, CheckedPart, Part, PartId, WholeAccount};
pub use pin::Pinned;
