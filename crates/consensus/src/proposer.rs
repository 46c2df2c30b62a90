//! Whose turn it is to propose.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use crate::ValidatorSet;
use crate::header::{self, HeaderError};
use alloy_primitives::Address;
use lonja_primitives::spec::{ClientRules, ConsensusParams, ProposerPolicy};
use lonja_primitives::{ChainSpec, HeaderFormat, SealedHeader};

#[cfg(test)]
mod tests;

/// The one validator that may propose in `round` of a height.
///
/// `params` and `validators` are those of the height, `last_author` is what [`last_author`] says of the block
/// before: its builder, `None` at genesis. Both clients agree except after a change of the set that removed
/// the last author: GoQuorum goes on as if that had been the first validator, Besu with the next higher
/// address.
pub fn proposer(
    params: &ConsensusParams,
    validators: &ValidatorSet,
    last_author: Option<Address>,
    round: u32,
) -> Address {
    let order = turn_order(params, validators);
    let turn =
        first_turn(params, &order, last_author).saturating_add(round as usize).checked_rem(order.len());
    turn.and_then(|turn| order.get(turn)).copied().expect("a validator set is never empty")
}

/// Those whose turn it was before the author's, from that of round 0 on, in the order of their turns: who let a height
/// pass, as far as hashed data tells. The same on every node, whatever round the block was sealed in.
///
/// `params` and `validators` are those of the block's height, `last_author` is what [`last_author`] says of the block
/// before, `author` built the block. At most all other validators: whoever failed more than a full turn is not told
/// apart from one who failed once. A block that was prepared and then proposed again by others is its builder's.
pub fn skipped(
    params: &ConsensusParams,
    validators: &ValidatorSet,
    last_author: Option<Address>,
    author: Address,
) -> Vec<Address> {
    let order = turn_order(params, validators);
    let first = first_turn(params, &order, last_author);
    if !order.contains(&author) {
        return Vec::new();
    }
    let turns = order.iter().cycle().skip(first).take(order.len());
    turns.take_while(|address| **address != author).copied().collect()
}

/// Where in the order of turns round 0 stands; not reduced to the number of validators.
fn first_turn(params: &ConsensusParams, order: &[Address], last_author: Option<Address>) -> usize {
    let step = match params.proposer_policy {
        ProposerPolicy::RoundRobin => 1,
        ProposerPolicy::Sticky => 0,
    };
    match (last_author, params.rules) {
        (None, _) => 0,
        (Some(last), rules) => match order.iter().position(|address| *address == last) {
            Some(index) => index.saturating_add(step),
            None if rules == ClientRules::GoQuorum => step,
            None => order.iter().position(|address| *address > last).unwrap_or(0),
        },
    }
}

/// The block builder after whom the turns of the next height go on; `None` when they start anew after genesis.
///
/// Under Besu's rules that is the coinbase whatever the format, so that turns start at the lowest address after
/// the last IBFT 1.0 block of a migrated chain; under GoQuorum's the author.
pub fn last_author(spec: &ChainSpec, head: &SealedHeader) -> Result<Option<Address>, HeaderError> {
    match spec.consensus_at(head.number).rules {
        ClientRules::Besu => Ok(Some(head.beneficiary)),
        ClientRules::GoQuorum if head.number == 0 => Ok(None),
        ClientRules::GoQuorum => header::author(head, spec.format_at(head.number)).map(Some),
    }
}

/// The validators in the order of their turns: ascending bytes, and ascending EIP-55 text for IBFT 1.0 as
/// GoQuorum runs it (where mixed case matters: digits, then upper case, then lower case).
fn turn_order(params: &ConsensusParams, validators: &ValidatorSet) -> Vec<Address> {
    let mut order = validators.as_slice().to_vec();
    if params.format == HeaderFormat::Ibft1 && params.rules == ClientRules::GoQuorum {
        order.sort_by_cached_key(|address| address.to_checksum(None));
    }
    order
}
