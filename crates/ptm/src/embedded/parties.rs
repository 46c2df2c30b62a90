//! Telling other nodes who holds which key, and finding out whether they speak the truth.

use super::Core;
use crate::courier::CourierError;
use crate::crypto::SealingKey;
use crate::directory::{Directory, Judged, Standing};
use crate::proof::KeyQuestion;
use crate::records::Binding;
use crate::store::{PayloadStore, damaged};
use crate::surroundings::draw;
use crate::wire::{Answer, Challenge, MAX_BINDINGS, Refusal, Request};
use crate::{PtmError, PublicKey};
use alloy_primitives::B256;
use lonja_primitives::NodeId;
use lonja_storage::Table;
use metrics::counter;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Nodes that were connected and may still be: more than any node has sessions.
const MAX_PEERS: usize = 1_024;

/// Proven bindings that are read at the start.
const MAX_RESTORED: usize = 16_384;

/// Keys of a node that are asked for at once when it speaks of itself. The others are asked for when they are needed.
const ASKED_AT_ONCE: usize = 16;

/// How often a peer is told again that had too much to do, and when.
const TOLD_AGAIN: u32 = 20;
const TELL_PAUSE: Duration = Duration::from_secs(1);

/// Requests under way to one node: as many as one sync of its disk takes well. A large request counts for several.
const LANE_REQUESTS: u32 = 128;

/// Bytes of a request that count as one more: all that is under way to a node has 16 MiB, or is one message.
const LANE_BYTES: usize = 128 << 10;

/// Other nodes, as far as they are connected.
#[derive(Default)]
pub(super) struct Peers {
    up: BTreeSet<NodeId>,
    /// Those that are being told of everything at this moment.
    told: HashSet<NodeId>,
    /// Room for requests to each.
    lanes: HashMap<NodeId, Arc<Semaphore>>,
}

impl Peers {
    /// The room for requests to a node.
    fn lane(&mut self, node: &NodeId) -> Arc<Semaphore> {
        if self.lanes.len() >= MAX_PEERS {
            self.lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let room = || Arc::new(Semaphore::new(LANE_REQUESTS as usize));
        self.lanes.entry(*node).or_insert_with(room).clone()
    }
}

#[cfg(test)]
impl Peers {
    /// Whether nobody is being told of everything.
    pub(super) fn is_quiet(&self) -> bool {
        self.told.is_empty()
    }
}

fn row_key(binding: &Binding) -> Vec<u8> {
    [&binding.key.0[..], binding.node.0.as_slice()].concat()
}

/// What was proven before a restart.
pub(super) fn restore(store: &PayloadStore, node: NodeId, genesis: B256) -> Result<Directory, PtmError> {
    let mut directory = Directory::new(node, genesis);
    for (_, row) in store.rows(Table::Bindings, &[], &[], MAX_RESTORED)? {
        let binding = alloy_rlp::decode_exact(&row).map_err(|_| damaged("a binding does not read"))?;
        directory.restore(binding);
    }
    Ok(directory)
}

impl Core {
    /// Waits for room among the requests to a node.
    pub(super) async fn enter_lane(&self, node: &NodeId, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let lane = self.peers.lock().lane(node);
        let weight = u32::try_from(bytes / LANE_BYTES).unwrap_or(u32::MAX).saturating_add(1);
        lane.acquire_many_owned(weight.min(LANE_REQUESTS)).await.ok()
    }

    /// Whether a node shows that it holds a key. Asks only where it did not before.
    pub(super) async fn prove(&self, key: PublicKey, node: NodeId) -> Result<bool, CourierError> {
        if !self.may_hold(&key, &node).map_err(|error| CourierError::Failed(error.to_string()))? {
            counter!("lonja_ptm_bindings_ignored_total", "reason" => "bound elsewhere").increment(1);
            return Ok(false);
        }
        if self.directory.lock().standing(&key, &node) == Some(Standing::Proven) {
            return Ok(true);
        }
        let fault = |error: crate::CryptoError| CourierError::Failed(error.to_string());
        let secret = SealingKey::drawn(&*self.surroundings).map_err(fault)?;
        let nonce = draw(&*self.surroundings).map_err(fault)?;
        let from = self.keyring.default_key();
        let Ok(shared) = self.keyring.shared_key(&from, &key) else {
            self.settle(&key, &node, false);
            return Ok(false);
        };
        let sealed = shared.seal_key(&nonce, &secret);
        let question = KeyQuestion { genesis: self.settings.genesis, asker: self.node, holder: node, key };
        let challenge = Challenge { key, from, nonce, sealed };
        let shown = match self.ask(node, Request::Challenge(challenge).encode()).await? {
            Answer::Refused(Refusal::Busy, _) => return Err(CourierError::Busy),
            Answer::Proof(proof) => proof == question.proof(&secret),
            _ => false,
        };
        self.settle(&key, &node, shown);
        let label = if shown { "shown" } else { "failed" };
        counter!("lonja_ptm_challenges_total", "result" => label).increment(1);
        Ok(shown)
    }

    /// A node has shown that it holds a key, or has not. What is proven is remembered over restarts.
    pub(super) fn settle(&self, key: &PublicKey, node: &NodeId, shown: bool) {
        let changed = self.directory.lock().settle(key, node, shown);
        if let Some(binding) = changed {
            let row = shown.then(|| alloy_rlp::encode(&binding));
            // Where this is lost the node is asked again.
            drop(self.store.write(vec![(Table::Bindings, row_key(&binding), row)]));
        }
    }

    /// Shows that a key is held here.
    pub(super) fn answer_challenge(&self, peer: NodeId, challenge: &Challenge) -> Answer {
        let Challenge { key, from, nonce, sealed } = challenge;
        if !self.keyring.manages(key) {
            return Answer::refused(Refusal::NotHeld, format!("the key {key} is not held here"));
        }
        let shared = self.keyring.fresh_shared_key(key, from);
        let secret = shared.ok().and_then(|shared| shared.open_key(nonce, sealed).ok());
        let Some(secret) = secret else {
            return Answer::refused(Refusal::Rule, "the challenge does not open");
        };
        let (genesis, key) = (self.settings.genesis, *key);
        Answer::Proof(KeyQuestion { genesis, asker: peer, holder: self.node, key }.proof(&secret))
    }

    /// Takes in what a peer says of who holds which key. `None` where it says too much at a time.
    pub(super) async fn learn(self: &Arc<Self>, peer: NodeId, bindings: Vec<Binding>) -> Option<()> {
        let new = self.judge_all(&peer, bindings);
        if new.is_empty() {
            return Some(());
        }
        if !self.meter(&peer, super::meter::Effort::Curve, new.len()) {
            return None;
        }
        let check = move || new.into_iter().partition(Binding::is_signed);
        let checked: Result<(Vec<Binding>, Vec<Binding>), _> = tokio::task::spawn_blocking(check).await;
        let (signed, forged) = checked.ok()?;
        if !forged.is_empty() {
            counter!("lonja_ptm_bindings_ignored_total", "reason" => "forged").increment(forged.len() as u64);
            tracing::debug!(?peer, count = forged.len(), "bindings with wrong signatures");
        }
        let mut directory = self.directory.lock();
        for binding in &signed {
            directory.learn(peer, binding.clone());
        }
        drop(directory);
        self.outbox.wake(signed.iter().map(|binding| binding.key), self.surroundings.now());
        self.prove_some(peer, &signed);
        self.pass_on(peer, signed);
        Some(())
    }

    fn judge_all(&self, peer: &NodeId, bindings: Vec<Binding>) -> Vec<Binding> {
        let directory = self.directory.lock();
        let mut new = Vec::new();
        for binding in bindings {
            match directory.judge(peer, &binding) {
                Judged::New => new.push(binding),
                Judged::Known => {}
                Judged::Ignored(reason) => {
                    counter!("lonja_ptm_bindings_ignored_total", "reason" => reason).increment(1);
                }
            }
        }
        new
    }

    /// What a node says of itself will be needed soon.
    fn prove_some(self: &Arc<Self>, peer: NodeId, signed: &[Binding]) {
        let own = signed.iter().filter(|binding| binding.node == peer).map(|binding| binding.key);
        let keys: Vec<PublicKey> = own.take(ASKED_AT_ONCE).collect();
        if keys.is_empty() {
            return;
        }
        let core = self.clone();
        self.runtime.spawn(async move {
            for key in keys {
                if core.prove(key, peer).await.is_err() {
                    return;
                }
            }
        });
    }

    /// The peers that can be reached. The others are forgotten until they connect again.
    fn forget_unreachable(&self) -> Vec<NodeId> {
        // Nothing is held while the courier is asked.
        let up = self.peers.lock().up.clone();
        let (reachable, gone): (Vec<NodeId>, Vec<NodeId>) =
            up.into_iter().partition(|peer| self.courier.is_reachable(peer));
        let mut peers = self.peers.lock();
        for peer in &gone {
            peers.up.remove(peer);
        }
        reachable
    }

    /// What was new here may be new to others.
    fn pass_on(self: &Arc<Self>, from: NodeId, bindings: Vec<Binding>) {
        let mut others = self.forget_unreachable();
        others.retain(|peer| *peer != from);
        if others.is_empty() || bindings.is_empty() {
            return;
        }
        let core = self.clone();
        self.runtime.spawn(async move {
            for peer in others {
                core.tell(peer, &bindings).await;
            }
        });
    }

    /// Tells a peer. Where it has too much to do, again a few times.
    async fn tell(&self, peer: NodeId, bindings: &[Binding]) {
        for bindings in bindings.chunks(MAX_BINDINGS) {
            let request = Request::Announce(bindings.to_vec()).encode();
            for _ in 0..TOLD_AGAIN {
                match self.ask(peer, request.clone()).await {
                    Ok(Answer::Refused(Refusal::Busy, _)) | Err(CourierError::Busy) => {
                        self.surroundings.sleep(TELL_PAUSE).await;
                    }
                    Ok(_) => break,
                    Err(_) => return,
                }
            }
        }
    }

    /// There is a way to this node now: it is told what we know, and gets what waits for it.
    pub(super) fn connected(self: &Arc<Self>, peer: NodeId) {
        let full = self.peers.lock().up.len() >= MAX_PEERS;
        if full {
            self.forget_unreachable();
        }
        let mut peers = self.peers.lock();
        if peers.up.len() < MAX_PEERS {
            peers.up.insert(peer);
        }
        let begins = peers.told.len() < MAX_PEERS && peers.told.insert(peer);
        drop(peers);
        self.wake_outbox(&peer);
        if !begins {
            return;
        }
        let core = self.clone();
        self.runtime.spawn(async move {
            let mut bindings = core.bindings.clone();
            bindings.extend(core.directory.lock().bindings());
            bindings.retain(|binding| binding.node != peer);
            core.tell(peer, &bindings).await;
            core.peers.lock().told.remove(&peer);
            // It may have learned only now that we are the sender.
            core.wake_outbox(&peer);
        });
    }
}
