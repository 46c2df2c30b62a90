//! Runs the public Ethereum tests (GeneralStateTests, BlockchainTests) through what the node itself runs blocks with:
//! `lonja-evm`'s executor, `lonja-storage`'s state and trie on a store in memory, and `lonja-chain`'s and
//! `lonja-consensus`'s block checks.
//!
//! The tests are of mainnet, whose blocks have what Istanbul blocks do not: proof of work and its rewards, uncles,
//! withdrawals, beacon roots. This crate supplies that from outside, as the *sealing rule of the tests* (`mainnet.rs`):
//! header rules in place of Istanbul's, and changes of the state before and after the transactions. What the node
//! refuses by design is skipped, each with its reason ([`Skip`]).
//!
//! [`transition`] makes one block of given transactions on a given state, as geth's `evm t8n` does.
//!
//! Chains of development tools come out of files by the same way ([`TestChain`]): Clique's, or without any seal.
//!
//! Never here: rules that a node needs. The node does not depend on this crate, only its command line does.

mod block;
mod block_test;
mod chain;
mod clique;
mod exception;
mod files;
mod fixture;
mod geth;
mod mainnet;
mod network;
mod receipts;
mod report;
mod run;
mod skip;
mod state_test;
mod system;
mod t8n;
mod test_chain;
mod uncles;
mod verdict;
mod world;

#[cfg(test)]
mod tests;

pub use report::{Failure, Summary};
pub use run::{Format, Progress, run};
pub use skip::Skip;
pub use t8n::{Transition, TransitionError, TransitionInput, TransitionTransactions, transition};
pub use test_chain::{TestChain, TestChainError, TestSeals};
