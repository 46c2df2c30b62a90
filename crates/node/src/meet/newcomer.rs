//! Looks for peers by proof while this node has none: when to, with whom, and what the operator hears.

use super::machine::{Input, Known, Meeting, Output};
use crate::addresses;
use crate::clock::Clock;
use crate::gate::{Gatekeeper, place_of};
use crate::join::words::Ends;
use lonja_p2p::wire::Message;
use lonja_p2p::{Abuse, P2p, P2pConfig, PeerAddress, PeerEvent, PeerEvents, PeerGate};
use lonja_permissioning::OwnEnd;
use lonja_primitives::{ChainSpec, NodeId, SealedHeader};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often it is looked whether this node is alone.
const LOOK: Duration = Duration::from_millis(500);
/// How long peers are asked in one go.
const ASKING: Duration = Duration::from_secs(30);
/// The pause between two goes. Whoever is admitted meanwhile waits so long at most, and a go costs each peer a connection.
const PAUSE: Duration = Duration::from_secs(10);
/// While there are nodes that our own newest block permits, they are tried for this long first. They may all be gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// After the first peer is vouched for the others are waited for this long: who knows a later block is better, and two are
/// better than one.
const OTHERS: Duration = Duration::from_secs(1);
/// The machine is woken at least this often.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// What the task needs.
pub struct Newcomer {
    /// How this node shows itself; listens nowhere, and says the port of the node itself.
    pub network: P2pConfig,
    /// The chain's rules.
    pub spec: Arc<ChainSpec>,
    /// Block 0.
    pub genesis: SealedHeader,
    /// A block that the operator vouches for.
    pub checkpoint: Option<(u64, alloy_primitives::B256)>,
    /// This node.
    pub own: OwnEnd,
    /// Who is let in.
    pub gate: Arc<Gatekeeper>,
    /// The node's own network.
    pub p2p: P2p,
    /// The addresses of the registry.
    pub known: addresses::Known,
    /// Set when the node stops.
    pub stopping: Arc<AtomicBool>,
}

/// How one go ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// A peer is vouched for.
    Vouched,
    /// Nobody was; says of each why.
    Nobody(String),
    /// It is not needed any more.
    Needless,
}

impl Newcomer {
    /// Looks and asks until the node stops.
    pub async fn run(self) {
        let (mut alone_since, mut not_before, mut told) = (None, Instant::now(), String::new());
        while !self.stops() {
            let alone = self.is_alone().then(|| *alone_since.get_or_insert_with(Instant::now));
            alone_since = alone;
            if let Some(since) = alone.filter(|_| Instant::now() >= not_before)
                && let Some(strangers) = self.strangers(since.elapsed())
            {
                if told.is_empty() {
                    tracing::info!(
                        number = self.gate.head().number,
                        peers = strangers.len(),
                        "this node's newest block permits none of its peers: they are asked for proof of a later one"
                    );
                }
                match self.ask(strangers).await {
                    End::Nobody(troubles) if troubles != told => {
                        tracing::warn!(
                            "no peer could show that it is permitted by a later block than this node's: {troubles}. It \
                             is tried again every {} s; a node that is not admitted yet is let in once it is",
                            PAUSE.as_secs()
                        );
                        told = troubles;
                    }
                    End::Vouched => told.clear(),
                    End::Nobody(_) | End::Needless => {}
                }
                not_before = Instant::now() + PAUSE;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn is_alone(&self) -> bool {
        self.p2p.connected().is_empty()
    }

    /// The peers to ask for proof, where it is time to: those to be kept connected that our own newest block does not permit.
    /// `None` while somebody else may still be reached. In a network that begins all are permitted, and nobody is asked.
    fn strangers(&self, alone: Duration) -> Option<Vec<PeerAddress>> {
        let known = self.known.count()?;
        let sorted = self.gate.sort(self.p2p.static_peers())?;
        let others = known > 0 || sorted.permitted > 0;
        (!sorted.strangers.is_empty() && (!others || alone >= PATIENCE)).then_some(sorted.strangers)
    }

    async fn ask(&self, strangers: Vec<PeerAddress>) -> End {
        let head = self.gate.head();
        let network = P2pConfig {
            gate: PeerGate::Only(strangers.iter().map(PeerAddress::node_id).collect()),
            peers: strangers.clone(),
            head: (head.number, head.hash()),
            ..self.network.clone()
        };
        let (p2p, events) = match lonja_p2p::start(network).await {
            Ok(started) => started,
            Err(error) => return End::Nobody(format!("no connections can be made: {error}")),
        };
        let end = self.meet(&p2p, events, head, strangers).await;
        p2p.shutdown().await;
        end
    }

    async fn meet(
        &self,
        p2p: &P2p,
        mut events: PeerEvents,
        head: SealedHeader,
        strangers: Vec<PeerAddress>,
    ) -> End {
        let (genesis, spec, checkpoint) = (self.genesis.clone(), self.spec.clone(), self.checkpoint);
        let known = Known { spec, genesis, head, checkpoint, own: self.own.node };
        let peers = strangers.iter().map(|address| (address.node_id(), self.ends(address)));
        let (mut machine, clock) = (Meeting::new(known, peers), Clock::start());
        let (mut until, mut vouched) = (Instant::now() + ASKING, false);
        while Instant::now() < until {
            if self.stops() || !(self.is_alone() || vouched) {
                return End::Needless;
            }
            let wait = machine.deadline().map_or(LONGEST_WAIT, |at| clock.until(at)).min(LONGEST_WAIT);
            let input = match tokio::time::timeout(wait, events.recv()).await {
                Ok(Some(event)) => input_of(event),
                Ok(None) => break,
                Err(_) => Some(Input::Tick),
            };
            let unwanted_by = p2p.unwanted_by();
            if !vouched && machine.is_hopeless(|peer| unwanted_by.contains(peer)) {
                break;
            }
            let Some(input) = input else { continue };
            // Judging a proof takes its time, and other tasks go on meanwhile.
            let outputs = tokio::task::block_in_place(|| machine.step(clock.mono_ms(), input));
            if self.carry_out(outputs, p2p) && !vouched {
                (until, vouched) = (Instant::now() + OTHERS, true);
            }
        }
        if vouched { End::Vouched } else { End::Nobody(troubles(&machine, &p2p.unwanted_by())) }
    }

    /// The connection to a peer as this node sees it.
    fn ends(&self, address: &PeerAddress) -> Ends {
        let (host, port) = place_of(address);
        Ends { host, port, own_ip: self.own.ip, own_port: self.own.port }
    }

    /// Says whether a peer is vouched for now.
    fn carry_out(&self, outputs: Vec<Output>, p2p: &P2p) -> bool {
        let mut vouched = false;
        for output in outputs {
            match output {
                Output::Ask { peer, request, question } => {
                    // A full queue, or a session that just ended: it is asked again when the time is up.
                    let _ = p2p.send_to(&peer, Message::Question { request, content: question.encode() });
                }
                Output::Blame { peer, reason } => {
                    tracing::warn!(peer = %peer.address(), %reason, "a peer sent what is provably wrong");
                    p2p.penalise(&peer, Abuse::InvalidBlock(reason));
                }
                Output::Vouched { peer, number } => {
                    tracing::info!(
                        peer = %peer.address(),
                        number,
                        "the state after that block permits the peer: this node follows the chain there with its help"
                    );
                    // There is one session between two nodes, and from now on it is the node's own.
                    p2p.remove_peer(&peer);
                    self.gate.vouch(peer, number);
                    vouched = true;
                }
            }
        }
        vouched
    }
}

fn input_of(event: PeerEvent) -> Option<Input> {
    match event {
        PeerEvent::Connected { peer, .. } => Some(Input::PeerUp(peer)),
        PeerEvent::Disconnected { peer, reason } => Some(Input::PeerDown(peer, reason)),
        PeerEvent::Message { peer, message: Message::Answer { request, content } } => {
            Some(Input::Answer { peer, request, content })
        }
        // Blocks, votes, transactions and questions are for a node that knows whom it talks to.
        PeerEvent::Message { .. } => None,
    }
}

/// What happened with each peer, for the operator.
fn troubles(machine: &Meeting, unwanted_by: &[NodeId]) -> String {
    let one = |(node, ends, trouble): (&NodeId, &Ends, Option<&str>)| {
        let what = match trouble {
            _ if unwanted_by.contains(node) => "it does not permit this node",
            Some(trouble) => trouble,
            None => "it cannot be reached",
        };
        format!("{} at {}:{}: {what}", node.address(), ends.host, ends.port)
    };
    machine.troubles().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
