//! Managers of a few nodes in one process, joined by a network that does what a test says.

use crate::courier::{Courier, CourierError};
use crate::store::PayloadStore;
use crate::testing::key_pair;
use crate::wire::Request;
use crate::{
    EmbeddedManager, Keyring, Lookup, Metadata, Parts, PayloadHash, PrivateTransactionManager, PublicKey,
};
use crate::{SendRequest, Settings};
use alloy_primitives::{B256, Bytes};
use futures::future::BoxFuture;
use lonja_primitives::{NodeId, NodeKey};
use lonja_storage::{Kv, MemoryKv};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Runtime;

pub(super) const NETWORK: B256 = B256::repeat_byte(7);

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// There is no way.
    Cut,
    /// The request does not arrive.
    LoseRequest,
    /// The request arrives, the answer does not.
    LoseAnswer,
    /// The request arrives twice.
    Twice,
    Delay(u64),
    /// Whoever is asked loses power before or after it answers.
    KillAskedBefore,
    KillAskedAfter,
    /// Whoever asks loses power before or after the request arrives.
    KillAskerBefore,
    KillAskerAfter,
}

pub(super) struct Member {
    pub(super) name: u8,
    pub(super) node_key: NodeKey,
    pub(super) seeds: Vec<u8>,
    pub(super) settings: Settings,
    pub(super) kv: MemoryKv,
    pub(super) manager: Option<EmbeddedManager>,
    /// Messages of a manager from before a power cut go nowhere.
    life: u64,
}

pub(super) struct Net {
    members: Mutex<HashMap<NodeId, Member>>,
    faults: Mutex<VecDeque<Fault>>,
    /// Messages that are under way, each of which may have a fault still to come.
    under_way: AtomicUsize,
    /// Every request that was made, with the name of who is asked.
    pub(super) asked: Mutex<Vec<(u8, Request)>>,
    /// Until the network is dropped.
    runtime: Option<Runtime>,
}

/// One message that is under way.
struct UnderWay<'a>(&'a AtomicUsize);

struct Line {
    net: Weak<Net>,
    own: NodeId,
    life: u64,
}

/// The node key of a member.
pub(super) fn node_key(name: u8) -> NodeKey {
    NodeKey::from_bytes(&[name; 32]).unwrap()
}

pub(super) fn node(name: u8) -> NodeId {
    node_key(name).node_id()
}

pub(super) fn key(seed: u8) -> PublicKey {
    key_pair(seed).public()
}

pub(super) fn settings() -> Settings {
    Settings {
        genesis: NETWORK,
        enhancements: true,
        answer_time: Duration::from_millis(400),
        ..Settings::default()
    }
}

pub(super) fn request(from: u8, to: &[u8], payload: &[u8]) -> SendRequest {
    let to = to.iter().map(|seed| key(*seed)).collect();
    let payload = Bytes::copy_from_slice(payload);
    SendRequest { payload, from: Some(key(from)), to, metadata: Metadata::default() }
}

impl Net {
    /// One member for each name, with one key of the same seed, all connected.
    pub(super) fn of(names: &[u8]) -> Arc<Self> {
        let net = Self::empty();
        for name in names {
            net.add(*name, &[*name], settings());
        }
        net.connect();
        net
    }

    pub(super) fn empty() -> Arc<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Some(runtime.unwrap());
        let (members, faults, asked) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { members, faults, under_way: AtomicUsize::new(0), asked, runtime })
    }

    pub(super) fn add(self: &Arc<Self>, name: u8, seeds: &[u8], settings: Settings) {
        let (kv, seeds) = (MemoryKv::new(), seeds.to_vec());
        let member = Member { name, node_key: node_key(name), seeds, settings, kv, manager: None, life: 0 };
        self.members.lock().insert(node(name), member);
        self.start(name);
    }

    /// Starts a member, again where it lost power.
    pub(super) fn start(self: &Arc<Self>, name: u8) {
        self.change(name, |member| {
            let courier = Line { net: Arc::downgrade(self), own: node(name), life: member.life };
            let parts = Parts {
                store: Arc::new(member.kv.clone()),
                keyring: Keyring::new(member.seeds.iter().map(|seed| key_pair(*seed)).collect()).unwrap(),
                node: node(name),
                signer: Arc::new(member.node_key.clone()),
                courier: Arc::new(courier),
                runtime: self.runtime().handle().clone(),
            };
            member.manager = Some(EmbeddedManager::start(parts, member.settings.clone()).unwrap());
        });
    }

    /// Cuts the power of a member: what was not durable is gone.
    pub(super) fn kill(&self, name: u8) {
        let mut members = self.members.lock();
        let Some(member) = members.get_mut(&node(name)) else { return };
        let kv = member.kv.fork();
        kv.crash();
        member.kv = kv;
        member.life += 1;
        let manager = member.manager.take();
        drop(members);
        drop(manager);
    }

    pub(super) fn change<T>(&self, name: u8, change: impl FnOnce(&mut Member) -> T) -> T {
        change(self.members.lock().get_mut(&node(name)).expect("a member"))
    }

    pub(super) fn manager(&self, name: u8) -> EmbeddedManager {
        self.change(name, |member| member.manager.clone().expect("it is up"))
    }

    pub(super) fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("until it is dropped")
    }

    fn running(&self) -> Vec<(NodeId, EmbeddedManager)> {
        let members = self.members.lock();
        let running = members.iter().filter_map(|(node, member)| Some((*node, member.manager.clone()?)));
        running.collect()
    }

    /// All connect with all, and everything that is said then is said.
    pub(super) fn connect(&self) {
        for (own, manager) in self.running() {
            for (other, _) in self.running() {
                if own != other {
                    manager.connected(other);
                }
            }
        }
        self.wait_until("all know all", || {
            let running = self.running();
            let keys: Vec<PublicKey> =
                running.iter().flat_map(|(_, manager)| manager.keyring().keys().to_vec()).collect();
            running.iter().all(|(_, manager)| {
                let known = manager.known_keys();
                keys.iter().all(|key| known.contains(key)) && manager.core.peers.lock().is_quiet()
            })
        });
    }

    pub(super) fn wait_until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..2_000 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("never: {what}");
    }

    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime().block_on(future)
    }

    /// What happens to the messages from now on, in the order they are sent. Nothing happens to those behind the list.
    pub(super) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.faults.lock() = faults.into_iter().collect();
    }

    /// Nothing happens to messages any more, and what was to happen to those under way has happened.
    pub(super) fn calm(&self) {
        self.plan([]);
        self.wait_until("all messages arrived", || self.under_way.load(Ordering::SeqCst) == 0);
    }

    pub(super) fn send(&self, request: SendRequest) -> Result<crate::Sent, crate::PtmError> {
        let from = request.from.expect("a sender");
        let members = self.members.lock();
        let holds = |member: &&Member| member.seeds.iter().any(|seed| key(*seed) == from);
        let manager = members.values().find(holds).and_then(|member| member.manager.clone());
        drop(members);
        self.wait(manager.expect("it is up").send(request))
    }

    pub(super) fn lookup(&self, name: u8, hash: PayloadHash) -> Lookup {
        self.wait(self.manager(name).lookup(hash))
    }

    /// What this member would find after a power cut now.
    pub(super) fn is_durable(&self, name: u8, hash: &PayloadHash) -> bool {
        let kv = self.change(name, |member| member.kv.fork());
        kv.crash();
        let ring = self.change(name, |member| member.seeds.clone());
        let ring = Keyring::new(ring.iter().map(|seed| key_pair(*seed)).collect()).unwrap();
        let store = PayloadStore::open(Arc::new(kv), NETWORK).unwrap();
        store.envelope(hash).unwrap().is_some_and(|row| row.envelope.open(&ring).is_ok())
    }

    /// Whether a member has a row of this name, durable or not.
    pub(super) fn has(&self, name: u8, hash: &PayloadHash) -> bool {
        let kv = self.change(name, |member| member.kv.clone());
        lonja_storage::KvRead::get(&kv, lonja_storage::Table::Envelopes, hash.as_slice()).unwrap().is_some()
    }

    fn lives(&self, own: &NodeId, life: u64) -> bool {
        let members = self.members.lock();
        members.get(own).is_some_and(|member| member.life == life && member.manager.is_some())
    }

    fn name_of(&self, node: &NodeId) -> u8 {
        self.members.lock().get(node).map_or(0, |member| member.name)
    }

    async fn answer(&self, from: NodeId, to: NodeId, request: Bytes) -> Result<Bytes, CourierError> {
        let manager = || self.members.lock().get(&to)?.manager.clone();
        let asked = manager().ok_or(CourierError::NotConnected)?;
        if let Ok(request) = Request::decode(&request) {
            self.asked.lock().push((self.name_of(&to), request));
        }
        Ok(asked.handle(from, request).await)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for member in self.members.lock().values_mut() {
            member.manager = None;
        }
        // Whoever carries a message may be the last to hold the network: a worker of this runtime, who cannot wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl<'a> UnderWay<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Courier for Line {
    fn ask(&self, to: NodeId, request: Bytes) -> BoxFuture<'_, Result<Bytes, CourierError>> {
        Box::pin(async move {
            let net = self.net.upgrade().ok_or(CourierError::NotConnected)?;
            let dead = || CourierError::Failed("the power is gone".into());
            if !net.lives(&self.own, self.life) {
                return Err(dead());
            }
            let _under_way = UnderWay::new(&net.under_way);
            let fault = net.faults.lock().pop_front().unwrap_or(Fault::None);
            let (own, asked) = (net.name_of(&self.own), net.name_of(&to));
            match fault {
                Fault::Cut => return Err(CourierError::NotConnected),
                Fault::LoseRequest => return Err(CourierError::TimedOut),
                Fault::KillAskedBefore => net.kill(asked),
                Fault::KillAskerBefore => net.kill(own),
                Fault::Twice => drop(net.answer(self.own, to, request.clone()).await),
                Fault::Delay(time) => tokio::time::sleep(Duration::from_millis(time)).await,
                _ => {}
            }
            if !net.lives(&self.own, self.life) {
                return Err(dead());
            }
            let answer = net.answer(self.own, to, request).await;
            match fault {
                Fault::LoseAnswer => return Err(CourierError::TimedOut),
                Fault::KillAskedAfter => net.kill(asked),
                Fault::KillAskerAfter => net.kill(own),
                _ => {}
            }
            if net.lives(&self.own, self.life) { answer } else { Err(dead()) }
        })
    }

    fn is_reachable(&self, node: &NodeId) -> bool {
        let Some(net) = self.net.upgrade() else { return false };
        net.lives(&self.own, self.life)
            && net.members.lock().get(node).is_some_and(|member| member.manager.is_some())
    }
}

/// Any store, for managers of their own.
pub(super) fn parts(
    name: u8,
    seeds: &[u8],
    store: Arc<dyn Kv>,
    courier: Arc<dyn Courier>,
    runtime: &Runtime,
) -> Parts {
    Parts {
        store,
        keyring: Keyring::new(seeds.iter().map(|seed| key_pair(*seed)).collect()).unwrap(),
        node: node(name),
        signer: Arc::new(node_key(name)),
        courier,
        runtime: runtime.handle().clone(),
    }
}
