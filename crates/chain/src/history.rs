//! Reading the chain back: blocks with what belongs to them, single outcomes, and logs.

mod block;
mod logs;

pub use block::{HistoryBlock, Outcome, block, contract_address, outcome};
pub use logs::{FoundLog, LogFilter, LogsError, logs};
