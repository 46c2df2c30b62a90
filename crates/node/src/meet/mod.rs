//! How a node with an old state finds peers.
//!
//! A node goes by its own newest block. One that starts from block 0, or after months, may find that this permits none of
//! the peers it is configured with: they were admitted later. So it asks them for proof. A peer names a later block and
//! sends what the permission contracts look at in its state ([`witness`]); the node trusts the block through the
//! validators that sealed it, asks the contracts the same question on what was sent, and so lets a peer in for exactly
//! the reason for which it would if it had that block already ([`machine`]). It asks from a network service of its own
//! ([`newcomer`]), which dials those peers alone, answers nothing, and believes nothing.

pub mod machine;
pub mod newcomer;
#[cfg(test)]
pub(crate) mod tests;
pub mod witness;
