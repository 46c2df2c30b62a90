//! `lonja_`: the node as its operator sees it, and the network's permissions: members, nodes, accounts, votes, validators.
//!
//! Everything about permissions takes a block as its last parameter (the newest without one) and is read by running the
//! contracts on the state after that block, as the block after it would.

mod members;
mod params;
mod parties;
mod proof;
mod status;
mod validation;
mod verdicts;
mod views;
mod votes;

#[cfg(test)]
pub(crate) mod tests;

use crate::register::Table;

pub(crate) use params::NodeName;
pub(crate) use verdicts::{connection, transaction_permitted};
pub(crate) use views::{endpoints, public_key};

pub(crate) fn register(table: &mut Table) {
    status::register(table);
    verdicts::register(table);
    members::register(table);
    votes::register(table);
    parties::register(table);
    validation::register(table);
}
