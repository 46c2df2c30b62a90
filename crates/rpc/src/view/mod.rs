//! The JSON that clients get: the shapes of geth, which every library is tested against.

mod block;
mod log;
mod receipt;
mod transaction;

pub(crate) use block::{BlockView, HeaderView, TransactionsView};
pub(crate) use log::LogView;
pub(crate) use receipt::ReceiptView;
pub(crate) use transaction::{Place, TransactionView};
