//! The store of payloads of private transactions. The private-transaction manager makes its rows, writes them through
//! [`Kv`] and reads them; here they are bytes.
//!
//! | table | key → row |
//! |---|---|
//! | [`Table::Envelopes`] | payload hash (64) → envelope |
//! | [`Table::EnvelopesByKey`] | recipient's or sender's key (32) ++ sequence number (8) → payload hash |
//! | [`Table::RawPayloads`] | payload hash → a payload stored before it is sent |
//! | [`Table::Tombstones`] | payload hash → the signed record that it was erased |
//! | [`Table::Outbox`] | sequence number → what a recipient still has to get |
//! | [`Table::Groups`] | id → privacy group |
//! | [`Table::PtmMeta`] | name → facts about the store, its format and network among them |
//! | [`Table::Bindings`] | key → what it is bound to |
//! | [`Table::Readings`] | sequence number → who read what |
//!
//! Rows have from 500 bytes to some megabytes. A batch is written whole or not at all and survives a killed process;
//! [`Kv::sync`] makes it survive a power cut, and [`Kv::scrub`] removes the bytes of what was deleted from the files.
//! Nothing secret may stand in a key.

use crate::kv::rocks::{StoreOptions, open_rocks};
use crate::{Kv, StoreError, Table};
use std::path::Path;
use std::sync::Arc;

/// Opens or creates the store of payloads in `path` and takes its exclusive lock, with the tables of payloads whatever
/// tables the options name. Errors as those of [`open_rocks`].
pub fn open_payloads(path: &Path, options: &StoreOptions) -> Result<Arc<dyn Kv>, StoreError> {
    open_rocks(path, &StoreOptions { tables: &Table::PAYLOADS, ..*options })
}
