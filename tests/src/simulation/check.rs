//! The promises, checked at every step, by a judge that knows everything and shares nothing with the nodes but
//! the formats.
//!
//! | promise | looked at when |
//! |---|---|
//! | one block per height | a block is written, a process starts, the world ends |
//! | every block is sealed by a quorum of the validators that follow from block 0 | a block is new to the world |
//! | one PROPOSAL, PREPARE, COMMIT, ROUND-CHANGE per height and round and honest key | a message leaves, crashes or not |
//! | no vote below a round that was asked to be left | a message leaves |
//! | a ROUND-CHANGE shows the highest block committed to | a message leaves |
//! | a block that may have a quorum of seals keeps every honest vote of later rounds | a message leaves |
//! | height and round never go back in one process | the core has handled an event |
//! | a published block is never lost, a written one only by a power cut | a process starts |
//! | the state has the root of its header | a process starts, the world ends |
//! | no money appears or goes | the world ends |
//! | no honest node takes another for an offender, none halts | always |

mod chain;
mod tally;
mod votes;

pub use chain::Chain;
pub use tally::Tally;
pub use votes::Votes;

use lonja_primitives::spec::DigestRule;
use lonja_primitives::{ChainSpec, Genesis};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The judge.
pub struct Checks {
    /// What was decided.
    pub chain: Chain,
    /// What was signed.
    pub votes: Votes,
}

impl Checks {
    /// For a network in which these addresses are faulty.
    pub fn new(
        spec: Arc<ChainSpec>,
        genesis: &Genesis,
        digest: DigestRule,
        faulty: BTreeSet<alloy_primitives::Address>,
    ) -> Self {
        Self { chain: Chain::new(spec, genesis), votes: Votes::new(digest, faulty) }
    }
}
