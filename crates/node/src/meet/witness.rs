//! Proof that a node may connect, made from a state and judged without one.

use crate::join::words::{Ends, WITNESS_ACCOUNTS_MAX, WITNESS_NODES_MAX, WITNESS_SLOTS_MAX, Witness};
use lonja_chain::judge_connection;
use lonja_permissioning::{ConnectionQuestion, ConnectionVerdict, OwnEnd};
use lonja_primitives::{ChainSpec, NodeId, SealedHeader};
use lonja_storage::{ProofLimits, Reader, Recorder, StoreError, WitnessState};
use std::time::{Duration, Instant};

/// Accounts and slots that may change while a proof is made.
const CHANGES_MAX: usize = 50_000;
/// And how long that may take, all in all.
const TIME: Duration = Duration::from_secs(2);

/// Whether the asking node may connect to `peer`, asked as that node asks itself.
fn ask(
    spec: &ChainSpec,
    block: &SealedHeader,
    state: &dyn lonja_primitives::StateView,
    peer: NodeId,
    asker: NodeId,
    ends: &Ends,
) -> Result<ConnectionVerdict, String> {
    let question = ConnectionQuestion { node: peer, at: Some((&ends.host, ends.port)) };
    let own = OwnEnd { node: asker, ip: ends.own_ip, port: ends.own_port };
    judge_connection(spec, block, state, &question, &own).map_err(|error| error.to_string())
}

/// Proof by our newest block that `peer`, which is this node, may connect to the node that asks. `None` where it may not, or
/// where the contracts look at more than fits.
///
/// # Errors
/// Our own state cannot be read.
pub fn make(
    reader: &Reader,
    spec: &ChainSpec,
    peer: NodeId,
    asker: NodeId,
    ends: &Ends,
) -> Result<Option<Witness>, StoreError> {
    let number = reader.head().number;
    let Some(block) = reader.header(number)? else { return Ok(None) };
    let state = reader.state_at(number)?;
    let recorder = Recorder::new(&state);
    let verdict = ask(spec, &block, &recorder, peer, asker, ends).map_err(StoreError::Unavailable)?;
    let looked = recorder.looked();
    let slots: usize = looked.accounts.values().map(|slots| slots.len()).sum();
    let fits = looked.accounts.len() <= WITNESS_ACCOUNTS_MAX && slots <= WITNESS_SLOTS_MAX;
    if verdict != ConnectionVerdict::Allowed || looked.block_hash || !fits {
        return Ok(None);
    }
    let limits = ProofLimits { changes: CHANGES_MAX, until: Instant::now() + TIME };
    let nodes = reader.witness(number, &looked.accounts, &limits)?;
    let codes = looked.codes.into_values().collect();
    Ok((nodes.len() <= WITNESS_NODES_MAX).then_some(Witness { number, nodes, codes }))
}

/// Judges a proof by `peer` against the trusted header of its block.
///
/// # Errors
/// Says why it proves nothing.
pub fn judge(
    spec: &ChainSpec,
    block: &SealedHeader,
    witness: Witness,
    peer: NodeId,
    asker: NodeId,
    ends: &Ends,
) -> Result<(), String> {
    let Witness { number, nodes, codes } = witness;
    if block.number != number {
        return Err(format!("block {} where the proof is of block {number}", block.number));
    }
    let state = WitnessState::new(block.state_root, nodes, codes);
    match ask(spec, block, &state, peer, asker, ends)? {
        ConnectionVerdict::Allowed => Ok(()),
        ConnectionVerdict::Refused(refusal) => Err(format!("by its own proof it may not connect: {refusal}")),
        ConnectionVerdict::NeedsAddress => Err("by its own proof it may not connect".to_owned()),
    }
}
