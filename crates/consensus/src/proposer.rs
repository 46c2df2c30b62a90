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
    let step = match params.proposer_policy {
        ProposerPolicy::RoundRobin => 1,
        ProposerPolicy::Sticky => 0,
    };
    let start = match (last_author, params.rules) {
        (None, _) => 0,
        (Some(last), rules) => match order.iter().position(|address| *address == last) {
            Some(index) => index.saturating_add(step),
            None if rules == ClientRules::GoQuorum => step,
            None => order.iter().position(|address| *address > last).unwrap_or(0),
        },
    };
    let turn = start.saturating_add(round as usize).checked_rem(order.len());
    turn.and_then(|turn| order.get(turn)).copied().expect("a validator set is never empty")
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
