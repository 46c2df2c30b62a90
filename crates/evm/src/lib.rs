//! Executes: a block, a call. The only crate of lonja that knows revm, and no type of revm leaves it.
//!
//! State comes in as a [`StateView`](lonja_primitives::StateView) and goes out as
//! [`StateChanges`](lonja_primitives::StateChanges); how it is kept is somebody else's business.
//!
//! * [`BlockExecutor`] runs the transactions of a block one after the other, whether the block is being built or
//!   checked, and gives receipts, roots and changes.
//! * [`Inquiry`] asks contracts questions and notes what each answer depended on.
//! * [`call`], [`estimate_gas`] and [`create_access_list`] run a message that nobody signed and keep nothing.
//! * [`execute_private`] runs the payload of a private transaction on the private state over the public one.
//! * [`BlockReplay`] executes a block of the chain once more and tells of its transactions what [`Tracing`] asks for;
//!   [`trace_call`] and [`trace_private`] tell it of messages and payloads.
//! * [`intrinsic_gas`] judges a transaction by the rules that need no state.
//!
//! Failures are of three kinds that are never mixed: a transaction that may not be in the block ([`TxInvalid`]), a
//! transaction that runs and fails (an ordinary outcome with a receipt), and a state that cannot be read
//! ([`StateError`](lonja_primitives::StateError): our own disk is broken, nothing is said about the transaction).
//!
//! Rules in short: what a block carries beyond its transactions (withdrawals, beacon roots, requests) does not exist
//! here, and no block calls a contract unless its rules say so ([`BlockExecutor::system_call`]); the blob base fee is that of an empty blob market; from Shanghai on `PREVRANDAO` is the
//! header's mix hash, before it `DIFFICULTY` is the header's difficulty; the receiver of fees named by the rules is
//! what `COINBASE` answers.
//!
//! Never here: disk, async, threads, clocks, the fetching of payloads.

mod access_list;
mod block;
mod call;
mod env;
mod estimate;
mod inquiry;
mod invalid;
mod machine;
mod occupied;
mod overlay;
mod overrides;
mod private;
mod reading;
mod revert;
mod trace;
mod transaction;
mod watch;

#[cfg(test)]
mod tests;

pub use access_list::create_access_list;
pub use block::{BlockExecutor, ExecuteError, ExecutionOutput, SYSTEM_CALLER, SystemOutcome};
pub use call::{CallContext, CallError, CallOutcome, CallRequest, call};
pub use env::BlockEnv;
pub use estimate::estimate_gas;
pub use inquiry::{Answer, InputRead, Inquiry, Looked, Said};
pub use invalid::TxInvalid;
pub use overrides::{AccountOverride, BlockOverrides, Overrides, StateOverrides};
pub use private::{DualView, LayeredView, PrivateMessage, PrivateOutcome, execute_private, trace_private};
pub use revert::revert_reason;
pub use trace::{BlockReplay, TraceError, Tracing, trace_call};
pub use transaction::{intrinsic_gas, transaction_gas_cap};
