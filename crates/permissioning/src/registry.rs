//! lonja's own registry: the contracts in `genesis/contracts`, as they stand in a new network from block 0 on.
//!
//! * [`abi`] has their addresses, functions, structs, proposals and errors.
//! * [`plan`] reads what an operator writes about the first members.
//! * [`genesis`] turns a plan into accounts of block 0, by running the contracts' own seeding.
//! * [`comeback`] says what a suspended validator does next.
//! * [`reader`] asks the contracts at a state, with typed answers.
//!
//! Never here: a rule about members. Whether something may be is for the contracts to say.

pub mod abi;
pub mod comeback;
pub mod genesis;
pub mod plan;
pub mod reader;

#[cfg(test)]
pub(crate) mod testing;
