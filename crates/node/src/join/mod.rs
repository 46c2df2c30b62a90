//! Joining a network by a state instead of executing every block: what is asked ([`words`]), who answers ([`giver`]),
//! who asks ([`machine`], a pure machine like the others, with [`headers`], [`peers`] and [`state`] as its parts), and what runs it
//! before the node itself starts ([`driver`]). What is missing below the fetched state is fetched afterwards
//! ([`backfill`]).

pub mod backfill;
pub mod driver;
pub mod giver;
mod headers;
pub mod machine;
mod peers;
pub mod state;
#[cfg(test)]
pub(crate) mod tests;
pub mod words;
