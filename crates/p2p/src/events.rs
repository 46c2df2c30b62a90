//! What the network tells the node, consensus first.

use crate::{
    limits::{CONSENSUS_EVENTS, DATA_EVENTS},
    wire::{Lane, Message},
};
use alloy_primitives::B256;
use lonja_primitives::NodeId;
use std::collections::HashSet;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Something happened with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// A session begins: same chain, allowed, messages may flow.
    Connected {
        /// Who.
        peer: NodeId,
        /// `ip:port` of the other end.
        address: String,
        /// Whether the peer dialed us.
        inbound: bool,
        /// The peer's head when it connected: number and hash.
        head: (u64, B256),
        /// The peer's name for its program.
        client: String,
    },
    /// The session is over.
    Disconnected {
        /// Who.
        peer: NodeId,
        /// Why, for people.
        reason: String,
    },
    /// A well-formed message within all limits. Its content is not checked.
    Message {
        /// Who sent it.
        peer: NodeId,
        /// What.
        message: Message,
    },
}

/// An event on its way, with the part of its sender's allowance it holds until the node takes it.
#[derive(Debug)]
pub(crate) struct Delivery {
    event: PeerEvent,
    _allowance: Option<OwnedSemaphorePermit>,
}

/// Where sessions put their events. Both ways are bounded; a session whose event finds no room waits, and with it
/// its peer.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    consensus: mpsc::Sender<Delivery>,
    data: mpsc::Sender<Delivery>,
}

/// The node's end of the events.
///
/// Consensus messages, connects and disconnects come before everything else, however much of that waits. Messages
/// of a peer come only between its `Connected` and its `Disconnected`; those of one stream come in the order they
/// were sent.
#[derive(Debug)]
pub struct PeerEvents {
    consensus: mpsc::Receiver<Delivery>,
    data: mpsc::Receiver<Delivery>,
    /// Taken from `data`, then overtaken by something in `consensus`.
    held: Option<Delivery>,
    connected: HashSet<NodeId>,
}

pub(crate) fn channel() -> (EventSender, PeerEvents) {
    let (consensus, consensus_out) = mpsc::channel(CONSENSUS_EVENTS);
    let (data, data_out) = mpsc::channel(DATA_EVENTS);
    let events =
        PeerEvents { consensus: consensus_out, data: data_out, held: None, connected: HashSet::new() };
    (EventSender { consensus, data }, events)
}

impl EventSender {
    /// Waits for room. `false` when nobody listens any more.
    pub(crate) async fn session(&self, event: PeerEvent) -> bool {
        self.consensus.send(Delivery { event, _allowance: None }).await.is_ok()
    }

    /// Waits for room. `false` when nobody listens any more.
    pub(crate) async fn message(
        &self,
        lane: Lane,
        peer: NodeId,
        message: Message,
        allowance: OwnedSemaphorePermit,
    ) -> bool {
        let delivery = Delivery { event: PeerEvent::Message { peer, message }, _allowance: Some(allowance) };
        let way = match lane {
            Lane::Consensus => &self.consensus,
            Lane::Data => &self.data,
        };
        way.send(delivery).await.is_ok()
    }
}

impl PeerEvents {
    /// The next event; `None` after the network has shut down. Cancel safe.
    pub async fn recv(&mut self) -> Option<PeerEvent> {
        loop {
            if let Some(event) = self.try_recv() {
                return Some(event);
            }
            let delivery = tokio::select! {
                biased;
                Some(delivery) = self.consensus.recv() => return Some(self.pass(delivery)),
                Some(delivery) = self.data.recv() => delivery,
                else => return None,
            };
            // Looked at again in order: what the peer said before on the other way must come first.
            self.held = Some(delivery);
        }
    }

    /// The next event if there is one now.
    pub fn try_recv(&mut self) -> Option<PeerEvent> {
        loop {
            if self.held.is_none() {
                self.held = self.data.try_recv().ok();
            }
            if let Ok(delivery) = self.consensus.try_recv() {
                return Some(self.pass(delivery));
            }
            let delivery = self.held.take()?;
            match &delivery.event {
                PeerEvent::Message { peer, .. } if !self.connected.contains(peer) => {}
                _ => return Some(delivery.event),
            }
        }
    }

    /// Waits for the next event on a thread that is not part of an async runtime.
    pub fn blocking_recv(&mut self) -> Option<PeerEvent> {
        futures::executor::block_on(self.recv())
    }

    fn pass(&mut self, delivery: Delivery) -> PeerEvent {
        match &delivery.event {
            PeerEvent::Connected { peer, .. } => self.connected.insert(*peer),
            PeerEvent::Disconnected { peer, .. } => self.connected.remove(peer),
            PeerEvent::Message { .. } => false,
        };
        delivery.event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B512, Bytes};
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn peer(n: u8) -> NodeId {
        NodeId(B512::repeat_byte(n))
    }

    fn connected(n: u8) -> PeerEvent {
        let (address, client) = (String::new(), String::new());
        PeerEvent::Connected { peer: peer(n), address, inbound: true, head: (0, B256::ZERO), client }
    }

    fn disconnected(n: u8) -> PeerEvent {
        PeerEvent::Disconnected { peer: peer(n), reason: String::new() }
    }

    fn head(number: u64) -> Message {
        Message::NewHead { number, hash: B256::ZERO }
    }

    async fn send(sender: &EventSender, allowance: &Arc<Semaphore>, n: u8, message: Message) {
        let permit = allowance.clone().acquire_owned().await.unwrap();
        assert!(sender.message(message.kind().lane(), peer(n), message, permit).await);
    }

    #[tokio::test]
    async fn consensus_overtakes_and_sessions_frame_messages() {
        let (sender, mut events) = channel();
        let allowance = Arc::new(Semaphore::new(10));
        let vote = Message::Consensus(Bytes::from_static(b"vote"));
        sender.session(connected(1)).await;
        send(&sender, &allowance, 1, head(1)).await;
        send(&sender, &allowance, 2, head(2)).await;
        send(&sender, &allowance, 1, vote.clone()).await;
        assert_eq!(allowance.available_permits(), 7);
        assert_eq!(events.recv().await, Some(connected(1)));
        assert_eq!(events.recv().await, Some(PeerEvent::Message { peer: peer(1), message: vote }));
        assert_eq!(events.recv().await, Some(PeerEvent::Message { peer: peer(1), message: head(1) }));
        assert_eq!(events.try_recv(), None, "a message of a peer that is not connected is dropped");
        assert_eq!(allowance.available_permits(), 10, "what was taken no longer counts");
        send(&sender, &allowance, 1, head(3)).await;
        sender.session(disconnected(1)).await;
        assert_eq!(events.recv().await, Some(disconnected(1)));
        drop(sender);
        assert_eq!(events.recv().await, None);
    }

    #[test]
    fn a_plain_thread_can_wait() {
        let (sender, mut events) = channel();
        let thread = std::thread::spawn(move || events.blocking_recv());
        futures::executor::block_on(sender.session(connected(1)));
        assert_eq!(thread.join().unwrap(), Some(connected(1)));
    }
}
