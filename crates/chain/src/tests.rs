//! A real chain over a store in memory, sealed by validators whose keys the tests hold.

mod audit;
mod blocks;
mod building;
mod checks;
mod doors;
pub(crate) mod network;
mod nonces;
mod permissions;
mod reading;
mod registry;
