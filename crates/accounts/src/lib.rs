//! Accounts that a node holds for its users: keys in password-protected files, and those that are unlocked.
//!
//! ```text
//!  keystore/UTC--…--ADDRESS ──▶ key_file (Web3 Secret Storage, version 3) ──password──▶ key ─┐
//!                                                                                            ▼
//!  who wants a signature ───────────────────────────────────────────────▶ Accounts: address, digest → signature
//! ```
//!
//! A key leaves this crate only as a signature. A file is opened when its password is given, and its key is kept in
//! memory only after [`Accounts::unlock`]; [`Accounts::sign`] takes a digest and asks nothing about it.
//!
//! Never here: transactions, chains, the network, who may ask for a signature. No password and no key shows in an
//! error or in `Debug` output, and the memory of both is wiped when it is given back.

mod accounts;
mod error;
mod kdf;
mod key_file;
mod keystore;
mod name;
mod password;

pub use accounts::Accounts;
pub use error::AccountError;
pub use kdf::Strength;
pub use key_file::{decrypt, encrypt};
pub use keystore::{KeyFile, Listing};
pub use password::Password;
