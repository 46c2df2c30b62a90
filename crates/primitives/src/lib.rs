//! The words of the chain: what every other crate of lonja talks about.
//!
//! Headers, blocks, transactions, receipts, keys and signatures, the chain spec and the genesis file, and the
//! two narrow traits that join crates which must not know each other: [`StateView`] (read a state) and
//! [`Signer`] (sign a digest).
//!
//! Never here: I/O, async, policy. Everything is a value, or a pure function of values.

pub mod block;
pub mod extra;
pub mod genesis;
pub mod header;
pub mod keys;
pub mod payload_hash;
pub mod receipt;
pub mod spec;
pub mod state;
pub mod transaction;

pub use block::{Block, CertifiedBlock, RecoveredBlock};
pub use extra::{CommitSeal, ExtraData, ExtraError, HeaderFormat, Vote, VoteKind, block_hash, commit_digest};
pub use genesis::{Genesis, GenesisError};
pub use header::{Header, SealedHeader};
pub use keys::{NodeId, NodeKey, Signature, SignatureError, Signer};
pub use payload_hash::{PayloadHash, PayloadHashError};
pub use receipt::Receipt;
pub use spec::{BlockRules, ChainSpec, Fork};
pub use state::{Account, AccountChange, StateChanges, StateError, StateView};
pub use transaction::{RecoveredTransaction, Transaction, TransactionError};
