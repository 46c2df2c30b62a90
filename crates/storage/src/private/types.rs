//! What goes into the store of the private state and comes out of it.

use super::{PrivateReader, PrivateWriter};
use crate::codec::FlatAccount;
use crate::{Head, PreparedState};
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use lonja_primitives::{PayloadHash, StateChanges};
use std::collections::BTreeMap;
use std::fmt;

/// The two ends of an open store.
pub struct PrivateStore {
    /// Writes; there is no second one.
    pub writer: PrivateWriter,
    /// Reads; clone it freely.
    pub reader: PrivateReader,
}

/// What the private execution of a transaction gave at this node.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PrivateReceipt {
    /// Whether it ran to its end and passed the checks of its privacy mode.
    pub success: bool,
    /// Gas that the execution took; the public receipt says 0.
    pub gas_used: u64,
    /// Logs, in order.
    pub logs: Vec<Log>,
    /// What it returned, or the data of its revert.
    pub output: Bytes,
    /// Why it failed, where that is not a revert.
    pub error: Option<String>,
    /// The contract it created.
    pub contract: Option<Address>,
    /// The signed private transaction (EIP-2718) that a marker transaction stood for.
    pub inner: Option<Bytes>,
}

/// Figures only: the rest is nobody's business.
impl fmt::Debug for PrivateReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateReceipt")
            .field("success", &self.success)
            .field("gas_used", &self.gas_used)
            .field("logs", &self.logs.len())
            .field("output_bytes", &self.output.len())
            .field("is_marker", &self.inner.is_some())
            .finish_non_exhaustive()
    }
}

/// Privacy metadata of a private contract, set when it came to this node, or when its parties became more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractRecord {
    /// The payload that created it, or the last one by which its state was shared with a new party.
    pub creation: PayloadHash,
    /// The privacy flag of that transaction, 0 to 3.
    pub flag: u8,
    /// Keys of the recipients without whom nothing may be sent to it; empty unless the flag says so.
    pub mandatory: Vec<[u8; 32]>,
    /// How it came to this node.
    pub origin: Origin,
}

/// How a private contract came to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A private transaction made it here.
    #[default]
    Transaction,
    /// The same, and it manages the extension of another contract: its creation was that of the known code.
    Management,
    /// The extension that this contract manages brought its state.
    Shared {
        /// The managing contract.
        by: Address,
    },
}

/// A private contract with all that it stores, as of one block.
#[derive(Clone, PartialEq, Eq)]
pub struct ContractState {
    /// The block.
    pub head: Head,
    /// The account and the root of its storage.
    pub flat: FlatAccount,
    /// Its code.
    pub code: Bytes,
    /// Values by slot#: the slots themselves are not stored.
    pub slots: BTreeMap<B256, U256>,
}

/// Figures only, as for receipts.
impl fmt::Debug for ContractState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContractState")
            .field("block", &self.head.number)
            .field("code_bytes", &self.code.len())
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}

/// What became of a private transaction at this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its payload was there, and was executed.
    Executed,
    /// Its payload was not for this node.
    NotOurs,
    /// Its payload was ours once, or what it gave was, and was erased.
    Erased,
    /// No transaction of its own: another one named its payload, which was there and was read.
    Read,
}

/// What a block does to the private state, for [`PrivateWriter::commit`].
#[derive(Clone, Copy)]
pub struct PrivateBlock<'a> {
    /// The block's number.
    pub number: u64,
    /// Its hash on the chain.
    pub hash: B256,
    /// What its private transactions do to the private state.
    pub changes: &'a StateChanges,
    /// The same, prepared on the newest private state.
    pub prepared: &'a PreparedState,
    /// What the executed ones gave, by index in the block, ascending.
    pub receipts: &'a [(u32, PrivateReceipt)],
    /// Privacy metadata set or removed.
    pub contracts: &'a [(Address, Option<ContractRecord>)],
    /// The payloads of all private transactions of the block, by index, ascending: payload, index, and what became of
    /// it. A marker names two, both under its index: what carries its private transaction, and that transaction's own.
    /// Payloads that a transaction names in what it says are under its index too.
    pub seen: &'a [(PayloadHash, u32, Fate)],
}

impl PrivateBlock<'_> {
    /// Whether nothing private is in it.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.receipts.is_empty()
            && self.contracts.is_empty()
            && self.seen.is_empty()
    }
}
