//! Keeps and hands out private payloads.
//!
//! A private transaction carries on the chain only the hash of a ciphertext. The ciphertext, the key to it sealed once for
//! each recipient, and what protects contracts travel beside the chain in an *envelope* ([`EncodedPayload`]), between
//! private-transaction managers. Formats and rules are Tessera's, byte for byte, so that both kinds of manager stand in one
//! network.
//!
//! * [`PrivateTransactionManager`] is what a node asks, whether the manager is part of it or a process elsewhere.
//! * [`PtmError`] says why a manager refused, with the HTTP status that goes with it.
//!
//! Never here: the EVM, blocks, the meaning of a payload. Payloads, keys and passwords never stand in an error, a log line
//! or a `Debug` output.

mod base64;
mod envelope;
mod error;
mod manager;
mod types;

pub use envelope::{EncodedPayload, Nonce, RecipientBox, SecurityHash};
pub use error::PtmError;
pub use lonja_primitives::PayloadHash;
pub use manager::PrivateTransactionManager;
pub use types::{
    Lookup, Metadata, PrivacyMode, PrivatePayload, PublicKey, PublicKeyError, RawPayload, SendRequest,
    SendSigned, Sent,
};
