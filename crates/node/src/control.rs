//! The node as the RPC sees it: answers from what the loop published last, orders put into its letter box.

use crate::event::{Event, Room};
use crate::halt::Halt;
use crate::mailbox::{Lane, Sender};
use crate::manager::Standing;
use crate::wishes::Wishes;
use alloy_primitives::Address;
use arc_swap::ArcSwap;
use lonja_consensus::machine::{Phase, Status};
use lonja_p2p::P2p;
use lonja_primitives::{NodeId, VoteKind};
use lonja_rpc::{
    ConsensusStatus, ControlError, Health, HealthCheck, NodeControl, NodeInfo, PeerEntry, RefusedPeer,
    SyncStatus,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far the loop's last sign of life may lie back: it wakes at least once a second.
const LOOP_SILENCE_MAX: Duration = Duration::from_secs(30);

/// A head older than this many block periods (and never less than [`HEAD_AGE_MIN`]) makes the node not ready.
const HEAD_AGE_PERIODS: u32 = 10;
/// The least head age that counts as standing still.
const HEAD_AGE_MIN: Duration = Duration::from_secs(15);

/// What the loop publishes after every event.
#[derive(Clone, Debug)]
pub struct Published {
    /// The agreement.
    pub consensus: Status,
    /// Durable head height.
    pub head: u64,
    /// When the head last moved.
    pub head_moved: Instant,
    /// The height that catch-up heads for, and where it began.
    pub syncing: Option<(u64, u64)>,
    /// Room on the disk.
    pub room: Room,
    /// When the loop last woke.
    pub alive: Instant,
    /// Longest time between blocks that is still ordinary.
    pub block_period: Duration,
}

/// Implements [`NodeControl`] for the running node.
pub struct Control {
    /// Who the node is.
    pub info: NodeInfo,
    /// Sessions.
    pub p2p: P2p,
    /// Orders go here.
    pub mailbox: Sender,
    /// What the loop said last.
    pub published: Arc<ArcSwap<Published>>,
    /// How it is with the second pass, if there is one.
    pub second: Option<Standing>,
    /// The operator's votes.
    pub wishes: Arc<Wishes>,
    /// Whether something is broken for good.
    pub halt: Halt,
}

impl NodeControl for Control {
    fn node_info(&self) -> NodeInfo {
        self.info.clone()
    }

    fn peers(&self) -> Vec<PeerEntry> {
        let entry = |peer: lonja_p2p::PeerInfo| PeerEntry {
            node_id: peer.node_id,
            address: peer.address,
            local_address: peer.local_address,
            inbound: peer.inbound,
            client: peer.client,
            head: peer.head,
        };
        self.p2p.peers().into_iter().map(entry).collect()
    }

    fn add_peer(&self, address: &str) -> Result<(), ControlError> {
        let parsed = address.parse().map_err(|error| ControlError::Invalid(format!("{address}: {error}")))?;
        self.p2p.add_peer(parsed).map_err(|error| ControlError::Invalid(error.to_string()))
    }

    fn remove_peer(&self, address: &str) -> Result<(), ControlError> {
        let parsed: lonja_p2p::PeerAddress =
            address.parse().map_err(|error| ControlError::Invalid(format!("{address}: {error}")))?;
        self.p2p.remove_peer(&parsed.node_id());
        Ok(())
    }

    fn propose(&self, validator: Address, add: bool) -> Result<(), ControlError> {
        if validator.is_zero() {
            return Err(ControlError::Invalid("the zero address cannot be a validator".into()));
        }
        let kind = if add { VoteKind::Add } else { VoteKind::Drop };
        self.wishes.propose(validator, kind)?;
        self.order(Event::Propose(validator, kind))
    }

    fn discard(&self, validator: Address) -> Result<(), ControlError> {
        self.wishes.discard(&validator)?;
        self.order(Event::Discard(validator))
    }

    fn candidates(&self) -> BTreeMap<Address, bool> {
        let published = self.published.load();
        let candidates = published.consensus.candidates.iter();
        candidates.map(|(address, kind)| (*address, *kind == VoteKind::Add)).collect()
    }

    fn consensus_status(&self) -> ConsensusStatus {
        let status = &self.published.load().consensus;
        ConsensusStatus {
            height: status.height,
            round: status.round,
            phase: phase_text(status.phase).into(),
            proposer: status.proposer,
            validators: status.validators.clone(),
            is_validator: status.is_validator,
        }
    }

    fn sync_status(&self) -> SyncStatus {
        let published = self.published.load();
        match published.syncing {
            Some((start, highest)) => SyncStatus::Syncing { start, highest },
            None => match self.stopped_below(&published) {
                Some(highest) => SyncStatus::Syncing { start: published.head, highest },
                None => SyncStatus::Synced,
            },
        }
    }

    fn static_peers(&self) -> Vec<(NodeId, String)> {
        let peers = self.p2p.static_peers().into_iter();
        peers.map(|address| (address.node_id(), address.to_string())).collect()
    }

    fn refusals(&self) -> Vec<RefusedPeer> {
        let entry = |refused: lonja_p2p::Refused| RefusedPeer {
            node_id: refused.peer,
            address: refused.address,
            reason: refused.reason,
            when: refused.when,
            inbound: refused.inbound,
        };
        self.p2p.refusals().into_iter().map(entry).collect()
    }

    fn refused_by(&self) -> Vec<NodeId> {
        self.p2p.unwanted_by()
    }

    fn health(&self) -> Health {
        let published = self.published.load();
        Health { liveness: self.liveness(&published), readiness: self.readiness(&published) }
    }
}

impl Control {
    fn order(&self, event: Event) -> Result<(), ControlError> {
        match self.mailbox.offer(Lane::Inner, event) {
            true => Ok(()),
            false => Err(ControlError::Unavailable("the node is busy; try again".into())),
        }
    }

    /// How many peers are connected, and the highest head that one of them told of.
    fn peer_heads(&self) -> (usize, u64) {
        let peers = self.p2p.peers();
        (peers.len(), peers.iter().map(|peer| peer.head.0).max().unwrap_or(0))
    }

    /// The peers' highest head, when we are below it and write nothing more.
    fn stopped_below(&self, published: &Published) -> Option<u64> {
        if published.room != Room::ReadOnly {
            return None;
        }
        Some(self.peer_heads().1).filter(|highest| *highest > published.head)
    }

    fn liveness(&self, published: &Published) -> Vec<HealthCheck> {
        let silence = published.alive.elapsed();
        let broken = self.halt.reason();
        vec![
            HealthCheck {
                name: "loop",
                ok: silence < LOOP_SILENCE_MAX,
                reason: format!("the node's loop last woke {:.1} s ago", silence.as_secs_f32()),
            },
            HealthCheck {
                name: "integrity",
                ok: broken.is_none(),
                reason: broken.unwrap_or_else(|| "nothing is broken".into()),
            },
        ]
    }

    fn readiness(&self, published: &Published) -> Vec<HealthCheck> {
        let (peers, highest) = self.peer_heads();
        let alone = published.consensus.validators.len() <= 1 && published.consensus.is_validator;
        let age = published.head_moved.elapsed();
        let oldest = (published.block_period * HEAD_AGE_PERIODS).max(HEAD_AGE_MIN);
        let rounds = published.consensus.round;
        let mut checks = vec![
            HealthCheck { name: "peers", ok: peers > 0 || alone, reason: format!("{peers} peers connected") },
            HealthCheck {
                name: "head",
                ok: age < oldest,
                reason: format!(
                    "block {} came {:.1} s ago (not ready after {} s); round {rounds} of block {}{}",
                    published.head,
                    age.as_secs_f32(),
                    oldest.as_secs(),
                    published.consensus.height,
                    match published.consensus.is_validator && published.consensus.phase == Phase::Observing {
                        true => ", whose format this validator does not vote on",
                        false => "",
                    }
                ),
            },
            sync_check(published, highest),
            HealthCheck {
                name: "disk",
                ok: published.room == Room::Enough,
                reason: room_text(published.room),
            },
        ];
        checks.extend(self.second.as_ref().map(|second| second.check(published.head)));
        checks
    }
}

/// Whether we are where the peers are, and if not, how far behind and why. A block or two below the highest peer
/// without catching up is how every new block begins.
fn sync_check(published: &Published, highest_peer: u64) -> HealthCheck {
    let head = published.head;
    let highest = highest_peer.max(published.syncing.map_or(0, |(_, highest)| highest));
    let behind = highest.saturating_sub(head);
    let stopped = published.room == Room::ReadOnly && behind > 0;
    let reason = match published.syncing {
        _ if stopped => format!(
            "at block {head}, {behind} behind the peers (block {highest}), and fetching none: no room on the disk"
        ),
        Some((_, target)) => format!("at block {head}, fetching up to {target}"),
        None if behind > 0 => format!("at block {head}, {behind} behind the highest peer (block {highest})"),
        None => "at the head, as far as the peers say".into(),
    };
    HealthCheck { name: "sync", ok: published.syncing.is_none() && !stopped, reason }
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Observing => "observing",
        Phase::WaitingForBlockTime => "waiting for the block time",
        Phase::WaitingForProposal => "waiting for a proposal",
        Phase::Checking => "checking the proposal",
        Phase::Preparing => "preparing",
        Phase::Committing => "committing",
        Phase::Decided => "decided",
    }
}

fn room_text(room: Room) -> String {
    match room {
        Room::Enough => "there is room on the disk".into(),
        Room::NoVoting => {
            "little room on the disk: not voting; free some, or lower --min-free-disk-mib".into()
        }
        Room::ReadOnly => "no room on the disk: writing nothing, serving reads; free some".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(head: u64, syncing: Option<(u64, u64)>, room: Room) -> Published {
        Published {
            consensus: Status {
                height: head + 1,
                round: 0,
                phase: Phase::Observing,
                proposer: Address::ZERO,
                validators: Vec::new(),
                is_validator: false,
                voting: true,
                candidates: Vec::new(),
                prepared_round: None,
                round_change_senders: 0,
            },
            head,
            head_moved: Instant::now(),
            syncing,
            room,
            alive: Instant::now(),
            block_period: Duration::from_secs(1),
        }
    }

    #[test]
    fn how_far_behind_and_why_is_said() {
        let check = |head, syncing, room, highest| {
            let check = sync_check(&published(head, syncing, room), highest);
            (check.ok, check.reason)
        };
        let (ok, reason) = check(10, None, Room::Enough, 10);
        assert!(ok && reason == "at the head, as far as the peers say", "{reason}");
        let (ok, reason) = check(10, None, Room::Enough, 11);
        assert!(ok && reason == "at block 10, 1 behind the highest peer (block 11)", "{reason}");
        let (ok, reason) = check(10, Some((3, 20)), Room::Enough, 20);
        assert!(!ok && reason == "at block 10, fetching up to 20", "{reason}");
        let stopped = "at block 10, 10 behind the peers (block 20), and fetching none: no room on the disk";
        assert_eq!(check(10, None, Room::ReadOnly, 20), (false, stopped.to_owned()));
        assert_eq!(check(10, Some((3, 20)), Room::ReadOnly, 0), (false, stopped.to_owned()));
        assert!(check(10, None, Room::ReadOnly, 10).0);
    }
}
