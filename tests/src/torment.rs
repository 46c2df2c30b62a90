//! What must not harm a node, done to it as often as one likes: processes killed at random instants ([`kill`]), single
//! bytes of its files flipped ([`flip`]).
//!
//! A broken promise is a panic that says which; the program `torment` adds the seed.

pub mod flip;
pub mod kill;
