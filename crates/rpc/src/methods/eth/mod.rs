//! `eth_`: the chain as every Ethereum tool asks for it, a file per kind of question.

mod blocks;
mod call_request;
mod calls;
mod chain;
mod fees;
mod filters;
mod state;
mod subscribe;
mod transactions;

use crate::register::Table;

pub(crate) use call_request::{BlockOverrideArgs, RequestArgs, StateOverrideArgs};
pub(crate) use calls::{
    call_refusal, call_time_out, check_permitted, estimate, estimate_shared, request_of, with_context,
};
pub(crate) use fees::suggested_price;
pub(crate) use state::{Slot, prove};
pub(crate) use transactions::{refusal, submit_batch};

pub(crate) fn register(table: &mut Table) {
    chain::register(table);
    blocks::register(table);
    state::register(table);
    transactions::register(table);
    calls::register(table);
    fees::register(table);
    filters::register(table);
    subscribe::register(table);
}

#[cfg(test)]
mod tests;
