//! What an operator should know of a network's rules for the blocks to come.

use lonja_primitives::spec::ForkStart;
use lonja_primitives::{ChainSpec, HeaderFormat};

/// `Berlin at block 80`: what begins next after this height and timestamp, for as much as is planned.
pub fn next_fork(spec: &ChainSpec, number: u64, timestamp: u64) -> Option<String> {
    let to_come = |start: &ForkStart| match *start {
        ForkStart::Block(block) => block > number,
        ForkStart::Time(time) => time > timestamp,
    };
    let (_, start) = spec.forks.iter().find(|(_, start)| to_come(start))?;
    // Of those that begin together the newest names them all.
    let (fork, _) = spec.forks.iter().rfind(|(_, other)| other == start)?;
    Some(match start {
        ForkStart::Block(block) => format!("{fork:?} at block {block}"),
        ForkStart::Time(time) => format!("{fork:?} at time {time}"),
    })
}

/// Blocks in a format that lonja verifies but does not vote on: history of other clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnvotedBlocks {
    /// Their format, an older one than QBFT.
    pub format: HeaderFormat,
    /// The first of them.
    pub first: u64,
    /// The last of them; `None` when no end is planned.
    pub last: Option<u64>,
}

impl UnvotedBlocks {
    /// Whether a height is among them.
    pub fn contains(&self, number: u64) -> bool {
        number >= self.first && self.last.is_none_or(|last| number <= last)
    }
}

impl std::fmt::Display for UnvotedBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.last {
            Some(last) => write!(f, "blocks {} to {last}", self.first)?,
            None => write!(f, "blocks from {} on", self.first)?,
        }
        let format = match self.format {
            HeaderFormat::Ibft1 => "IBFT 1.0",
            HeaderFormat::Ibft2 => "IBFT 2.0",
            HeaderFormat::Qbft => "QBFT",
        };
        write!(f, " (in {format} format)")
    }
}

/// The heights of a network at which lonja does not vote, in order.
pub fn unvoted_blocks(spec: &ChainSpec) -> Vec<UnvotedBlocks> {
    let mut list: Vec<UnvotedBlocks> = Vec::new();
    let ends = spec.consensus.iter().skip(1).map(|(from, _)| Some(from.saturating_sub(1))).chain([None]);
    for ((from, params), last) in spec.consensus.iter().zip(ends) {
        match list.last_mut() {
            _ if params.format == HeaderFormat::Qbft => {}
            Some(before) if before.format == params.format && before.contains(from.saturating_sub(1)) => {
                before.last = last;
            }
            _ => list.push(UnvotedBlocks { format: params.format, first: *from, last }),
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::Genesis;
    use lonja_primitives::genesis::NewNetwork;
    use lonja_primitives::spec::{ConsensusParams, Fork};

    fn spec() -> ChainSpec {
        let network = NewNetwork {
            validators: vec![alloy_primitives::Address::repeat_byte(1)],
            ..NewNetwork::default()
        };
        Genesis::from_json(&network.to_json()).unwrap().spec
    }

    #[test]
    fn the_next_fork_is_the_newest_of_those_that_begin_together() {
        let mut spec = spec();
        assert_eq!(next_fork(&spec, 1, 0), None);
        spec.forks = vec![
            (Fork::Istanbul, ForkStart::Block(0)),
            (Fork::Berlin, ForkStart::Block(80)),
            (Fork::London, ForkStart::Block(80)),
            (Fork::Shanghai, ForkStart::Time(5_000)),
        ];
        assert_eq!(next_fork(&spec, 79, 100).as_deref(), Some("London at block 80"));
        assert_eq!(next_fork(&spec, 80, 100).as_deref(), Some("Shanghai at time 5000"));
        assert_eq!(next_fork(&spec, 81, 5_000), None);
    }

    #[test]
    fn older_formats_are_named_with_their_blocks() {
        let mut spec = spec();
        assert_eq!(unvoted_blocks(&spec), []);
        let qbft = spec.consensus[0].1.clone();
        let of = |format| ConsensusParams { format, ..qbft.clone() };
        spec.consensus = vec![
            (0, of(HeaderFormat::Ibft1)),
            (50, of(HeaderFormat::Ibft1)),
            (100, of(HeaderFormat::Ibft2)),
            (120, qbft.clone()),
        ];
        let told: Vec<String> = unvoted_blocks(&spec).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["blocks 0 to 99 (in IBFT 1.0 format)", "blocks 100 to 119 (in IBFT 2.0 format)"]);
        spec.consensus.truncate(1);
        let told: Vec<String> = unvoted_blocks(&spec).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["blocks from 0 on (in IBFT 1.0 format)"]);
    }
}
