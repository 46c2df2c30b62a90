//! Meeting peers by proof, as a pure machine: what they answer goes in, what to ask, and who may be let in, comes out.
//!
//! Each peer is asked for itself: for its proof, then for as many headers as it takes to trust the block of the proof. One
//! that lies is blamed and asked no more; one that has nothing to show is asked again, for it may be catching up itself.

use super::witness;
use crate::join::words::{Ends, Question, Witness, decode_headers, decode_witness};
use alloy_primitives::{B256, Bytes};
use lonja_consensus::light::{Step, TrustPath, Untrusted};
use lonja_primitives::{ChainSpec, NodeId, SealedHeader};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A question that is not answered by then is asked again, milliseconds.
const ANSWER_TIMEOUT_MS: u64 = 5_000;
/// Peers that have nothing to show are asked again after this time, milliseconds.
const AGAIN_MS: u64 = 3_000;

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// A session began.
    PeerUp(NodeId),
    /// A session ended, for this reason.
    PeerDown(NodeId, String),
    /// An answer came.
    Answer {
        /// From whom.
        peer: NodeId,
        /// To which question.
        request: u64,
        /// What.
        content: Bytes,
    },
    /// Time passed.
    Tick,
}

/// What to do, in order.
#[derive(Debug)]
pub enum Output {
    /// Ask a peer.
    Ask {
        /// Whom.
        peer: NodeId,
        /// Number for the answer.
        request: u64,
        /// What.
        question: Question,
    },
    /// A peer sent what no honest one sends.
    Blame {
        /// Who.
        peer: NodeId,
        /// What it did.
        reason: String,
    },
    /// The state after this block permits the peer.
    Vouched {
        /// Whom.
        peer: NodeId,
        /// Height of the block.
        number: u64,
    },
}

/// What is known without anybody's help.
#[derive(Clone, Debug)]
pub struct Known {
    /// The chain's rules.
    pub spec: Arc<ChainSpec>,
    /// Block 0.
    pub genesis: SealedHeader,
    /// Our newest block.
    pub head: SealedHeader,
    /// A block that the operator vouches for.
    pub checkpoint: Option<(u64, B256)>,
    /// This node.
    pub own: NodeId,
}

/// The machine.
pub struct Meeting {
    known: Known,
    peers: BTreeMap<NodeId, Peer>,
    next_request: u64,
    outputs: Vec<Output>,
}

struct Peer {
    ends: Ends,
    stage: Stage,
    /// What went wrong last.
    trouble: Option<String>,
}

enum Stage {
    /// No session.
    Away,
    /// To be asked (again) then.
    Waiting { until_ms: u64 },
    /// A question is under way.
    Asked { request: u64, until_ms: u64, task: Task },
    /// Vouched for, or not worth asking.
    Ended,
}

enum Task {
    Witness,
    Header(Box<Claim>),
}

/// A proof whose block is not trusted yet.
struct Claim {
    path: TrustPath,
    witness: Witness,
}

/// Why an answer is not the last word.
enum Setback {
    /// Asked again later.
    Later(String),
    /// Asked no more.
    Never(String),
    /// No honest peer does that.
    Lie(String),
}

impl Meeting {
    /// With these peers, each with the connection to it as this node sees it.
    pub fn new(known: Known, peers: impl Iterator<Item = (NodeId, Ends)>) -> Self {
        let peer = |ends| Peer { ends, stage: Stage::Away, trouble: None };
        let peers = peers.map(|(node, ends)| (node, peer(ends))).collect();
        Self { known, peers, next_request: 1, outputs: Vec::new() }
    }

    /// What went wrong with each peer so far; `None` where there never was a session.
    pub fn troubles(&self) -> impl Iterator<Item = (&NodeId, &Ends, Option<&str>)> {
        self.peers.iter().map(|(node, peer)| (node, &peer.ends, peer.trouble.as_deref()))
    }

    /// Whether nothing more comes of any peer, where those that `refuses` names do not take this node.
    pub fn is_hopeless(&self, refuses: impl Fn(&NodeId) -> bool) -> bool {
        let ended = |(node, peer): (&NodeId, &Peer)| match peer.stage {
            Stage::Away => refuses(node),
            Stage::Ended => true,
            Stage::Waiting { .. } | Stage::Asked { .. } => false,
        };
        self.peers.iter().all(ended)
    }

    /// When an [`Input::Tick`] is wanted, milliseconds of the monotonic clock.
    pub fn deadline(&self) -> Option<u64> {
        let due = |peer: &Peer| match peer.stage {
            Stage::Waiting { until_ms } | Stage::Asked { until_ms, .. } => Some(until_ms),
            Stage::Away | Stage::Ended => None,
        };
        self.peers.values().filter_map(due).min()
    }

    /// Takes one event in and gives what follows from it.
    pub fn step(&mut self, now_ms: u64, input: Input) -> Vec<Output> {
        match input {
            Input::PeerUp(node) => {
                let away = self.peers.get_mut(&node).filter(|peer| matches!(peer.stage, Stage::Away));
                if let Some(peer) = away {
                    peer.stage = Stage::Waiting { until_ms: now_ms };
                    peer.trouble = Some("it has not answered yet".to_owned());
                }
            }
            Input::PeerDown(node, reason) => {
                let peer = self.peers.get_mut(&node);
                if let Some(peer) = peer.filter(|peer| !matches!(peer.stage, Stage::Ended)) {
                    peer.stage = Stage::Away;
                    peer.trouble = Some(format!("its session ended: {reason}"));
                }
            }
            Input::Answer { peer, request, content } => self.answered(now_ms, peer, request, &content),
            Input::Tick => {}
        }
        self.ask_the_due(now_ms);
        std::mem::take(&mut self.outputs)
    }

    fn ask_the_due(&mut self, now_ms: u64) {
        for (node, peer) in &mut self.peers {
            match peer.stage {
                Stage::Waiting { until_ms } if until_ms <= now_ms => {}
                Stage::Asked { until_ms, .. } if until_ms <= now_ms => {
                    peer.trouble = Some("it does not answer".to_owned());
                }
                _ => continue,
            }
            let question = Question::Witness(peer.ends.clone());
            let request = self.next_request;
            self.next_request = self.next_request.saturating_add(1);
            peer.ask(now_ms, request, Task::Witness);
            self.outputs.push(Output::Ask { peer: *node, request, question });
        }
    }

    fn answered(&mut self, now_ms: u64, node: NodeId, request: u64, content: &Bytes) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let task = match std::mem::replace(&mut peer.stage, Stage::Away) {
            Stage::Asked { request: asked, task, .. } if asked == request => task,
            // Late, or of another session.
            stage => return peer.stage = stage,
        };
        let next = match task {
            Task::Witness => self.known.claim(content),
            Task::Header(claim) => self.known.go_on(node, &peer.ends, *claim, content),
        };
        match next {
            Ok(Next::Vouched(number)) => {
                (peer.stage, peer.trouble) = (Stage::Ended, None);
                self.outputs.push(Output::Vouched { peer: node, number });
            }
            Ok(Next::Want(claim)) => {
                let question = Question::Headers { from: claim.path.wanted(), count: 1 };
                let request = self.next_request;
                self.next_request = self.next_request.saturating_add(1);
                peer.ask(now_ms, request, Task::Header(claim));
                self.outputs.push(Output::Ask { peer: node, request, question });
            }
            Err(Setback::Later(reason)) => {
                peer.stage = Stage::Waiting { until_ms: now_ms.saturating_add(AGAIN_MS) };
                peer.trouble = Some(reason);
            }
            Err(Setback::Never(reason)) => {
                (peer.stage, peer.trouble) = (Stage::Ended, Some(reason));
            }
            Err(Setback::Lie(reason)) => {
                (peer.stage, peer.trouble) = (Stage::Ended, Some(format!("a wrong proof: {reason}")));
                self.outputs.push(Output::Blame { peer: node, reason });
            }
        }
    }
}

impl Peer {
    fn ask(&mut self, now_ms: u64, request: u64, task: Task) {
        let until_ms = now_ms.saturating_add(ANSWER_TIMEOUT_MS);
        self.stage = Stage::Asked { request, until_ms, task };
    }
}

enum Next {
    Want(Box<Claim>),
    Vouched(u64),
}

impl Known {
    /// Takes a proof in. It is worth something only where it is of a later block than our own newest.
    fn claim(&self, content: &Bytes) -> Result<Next, Setback> {
        if content.is_empty() {
            return Err(Setback::Later("it gives no proof that it is permitted".to_owned()));
        }
        let witness = decode_witness(content).map_err(Setback::Lie)?;
        let number = witness.number;
        if number <= self.head.number {
            return Err(Setback::Later(format!(
                "its newest block {number} is not beyond this node's block {}",
                self.head.number
            )));
        }
        let checkpoint = self.checkpoint.filter(|(known, _)| *known > self.head.number);
        if let Some((known, _)) = checkpoint
            && number < known
        {
            return Err(Setback::Later(format!("its newest block {number} is below --checkpoint {known}")));
        }
        // Our own blocks were accepted long ago.
        let path = self.path(checkpoint, number);
        let path = path.map_err(|error| Setback::Never(format!("this node's own chain: {error}")))?;
        Ok(Next::Want(Box::new(Claim { path, witness })))
    }

    /// The way to the header of this height from the newest block that is known for sure.
    fn path(&self, checkpoint: Option<(u64, B256)>, number: u64) -> Result<TrustPath, String> {
        let (spec, genesis) = (self.spec.clone(), self.genesis.header());
        let path = match checkpoint {
            Some(checkpoint) => TrustPath::from_checkpoint(spec, genesis, checkpoint, number),
            None if self.head.number == 0 => TrustPath::from_genesis(spec, genesis, number),
            None => {
                let head = (self.head.number, self.head.hash());
                let path = TrustPath::from_checkpoint(spec, genesis, head, number);
                // Nobody has to be asked for our own header.
                return path.map_err(|error| error.to_string()).and_then(|mut path| {
                    path.take(self.head.header().clone()).map_err(|error| error.to_string())?;
                    Ok(path)
                });
            }
        };
        path.map_err(|error| error.to_string())
    }

    /// Takes a header in, and the proof to its end where the header is the last that was needed.
    fn go_on(&self, node: NodeId, ends: &Ends, claim: Claim, content: &Bytes) -> Result<Next, Setback> {
        let Claim { mut path, witness } = claim;
        let wanted = path.wanted();
        if content.is_empty() {
            return Err(Setback::Later(format!("it does not have the header of block {wanted}")));
        }
        let headers = decode_headers(content, wanted, 1).map_err(Setback::Lie)?;
        let header = headers.into_iter().next().ok_or_else(|| Setback::Lie("no header".to_owned()))?;
        match path.take(header) {
            Ok(Step::Want(_)) => Ok(Next::Want(Box::new(Claim { path, witness }))),
            Ok(Step::Trusted(block)) => {
                let number = block.number;
                let verdict = witness::judge(&self.spec, &block, witness, node, self.own, ends);
                verdict.map(|()| Next::Vouched(number)).map_err(Setback::Lie)
            }
            // The configured hash may be the wrong one as well.
            Err(error @ Untrusted::Checkpoint { .. }) => Err(Setback::Never(error.to_string())),
            Err(error) => Err(Setback::Lie(error.to_string())),
        }
    }
}
