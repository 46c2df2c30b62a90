//! Keeps and hands out private payloads.
//!
//! A private transaction carries on the chain only the hash of a ciphertext. The ciphertext, the key to it sealed once for
//! each recipient, and what protects contracts travel beside the chain in an *envelope* ([`EncodedPayload`]), between
//! private-transaction managers. Formats and rules are Tessera's, byte for byte, so that both kinds of manager stand in one
//! network.
//!
//! * [`PrivateTransactionManager`] is what a node asks, whether the manager is part of it or a process elsewhere.
//! * [`EncodedPayload`] is made, opened, stripped for one recipient and merged with another copy, with the keys of a
//!   [`Keyring`]; [`RawTransaction`] is a payload stored before anybody knows who gets it.
//! * [`codec`] has the two encodings of envelopes; [`PartyInfo`] and [`groups`] what managers tell each other besides.
//! * [`key_file`] reads and writes keys.
//! * [`PtmError`] says why a manager refused, with the HTTP status that goes with it.
//!
//! Never here: the EVM, blocks, the meaning of a payload. Payloads, keys and passwords never stand in an error, a log line
//! or a `Debug` output.

mod arrivals;
mod base64;
pub mod codec;
mod courier;
pub mod crypto;
mod directory;
mod embedded;
mod envelope;
mod error;
pub mod groups;
pub mod key_file;
mod keyring;
pub mod limits;
mod manager;
mod party_info;
pub mod path;
mod proof;
mod records;
mod rules;
mod statement;
mod store;
mod surroundings;
pub mod tessera;
#[cfg(test)]
mod testing;
mod types;
mod url;
pub mod wire;

pub use arrivals::{Arrival, Arrivals};
pub use codec::negotiation::PeerVersions;
pub use codec::{Codec, CodecError};
pub use courier::{Courier, CourierError, NoCourier, UrlCourier};
pub use crypto::{CryptoError, KeyPair, SealingKey};
pub use directory::Route;
pub use embedded::{
    AcceptErase, EmbeddedManager, ErasureAnswer, MAX_SENT_BYTES, MAX_SENT_RECIPIENTS, NetworkRules,
    OutboxRecipient, OutboxStatus, Parts, Reading, RecoveryOutcome, RecoveryStatus, Settings,
};
pub use envelope::{
    Addressing, AffectedTransaction, EncodedPayload, EnvelopeError, Nonce, RawTransaction, RecipientBox,
    SecurityHash, recipients_of_send, recipients_of_signed,
};
pub use error::PtmError;
pub use groups::{GroupKind, PrivacyGroup};
pub use keyring::{Keyring, KeyringError, MAX_KEYS};
pub use lonja_primitives::PayloadHash;
pub use manager::PrivateTransactionManager;
pub use party_info::PartyInfo;
pub use records::{Binding, Erasure, ErasureKind};
pub use statement::{Evidence, Standing, Statement, StatementError};
pub use surroundings::{Machine, Surroundings};
pub use types::{
    Lookup, Metadata, PrivacyMode, PrivatePayload, PublicKey, PublicKeyError, RawPayload, SendRequest,
    SendSigned, Sent,
};
pub use url::{PeerUrl, UrlError};
