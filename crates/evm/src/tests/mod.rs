//! Tests on a state in memory, with transactions that are really signed.

mod blocks;
mod calls;
mod deployment;
mod estimates;
mod fees;
mod inquiries;
mod opcodes;
mod private;
mod splits;
mod system;
mod traces;
mod vectors;
mod world;
