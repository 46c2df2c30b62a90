//! The thread on a chain in memory, with a manager that has what it is given.

use super::*;
use crate::join::tests::{core, key, next_block};
use alloy_consensus::TxLegacy;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B512, Bytes, TxKind};
use futures::future::BoxFuture;
use lonja_chain::ChainCore;
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{Genesis, Signer};
use lonja_ptm::{EncodedPayload, Metadata, PrivatePayload, PtmError, PublicKey, RawPayload};
use lonja_ptm::{SendRequest, SendSigned, Sent};
use lonja_storage::private::open_private;
use lonja_storage::{Batch, History, Kv, KvRead, MemoryKv, Table, Tuning};
use lonja_txpool::Origin;
use parking_lot::Mutex;
use std::sync::atomic::AtomicUsize;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a contract of one byte of code, which does nothing: `PUSH1 1 PUSH0 RETURN`.
const INIT: [u8; 4] = [0x60, 1, 0x5f, 0xf3];

/// A manager of which only lookups work.
#[derive(Default)]
struct Manager {
    payloads: Mutex<HashMap<PayloadHash, Lookup>>,
    lookups: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    takes: Option<Duration>,
}

fn not_here<T: Send + 'static>() -> BoxFuture<'static, Result<T, PtmError>> {
    Box::pin(std::future::ready(Err(PtmError::Unavailable("not here".into()))))
}

impl PrivateTransactionManager for Manager {
    fn send(&self, _: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>> {
        not_here()
    }

    fn store_raw(&self, _: Bytes, _: Option<PublicKey>) -> BoxFuture<'_, Result<PayloadHash, PtmError>> {
        not_here()
    }

    fn send_signed(&self, _: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>> {
        not_here()
    }

    fn lookup(&self, hash: PayloadHash) -> BoxFuture<'_, Lookup> {
        Box::pin(async move {
            self.lookups.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            if let Some(time) = self.takes {
                tokio::time::sleep(time).await;
            }
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            self.payloads.lock().get(&hash).cloned().unwrap_or(Lookup::NotOurs)
        })
    }

    fn raw_payload(&self, _: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>> {
        not_here()
    }

    fn is_sender(&self, _: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>> {
        not_here()
    }

    fn participants(&self, _: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        not_here()
    }

    fn mandatory(&self, _: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        not_here()
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        not_here()
    }

    fn erase(&self, _: PayloadHash) -> BoxFuture<'_, Result<(), PtmError>> {
        not_here()
    }

    fn encrypt(&self, _: SendRequest) -> BoxFuture<'_, Result<EncodedPayload, PtmError>> {
        not_here()
    }

    fn decrypt(&self, _: EncodedPayload) -> BoxFuture<'_, Result<PrivatePayload, PtmError>> {
        not_here()
    }
}

impl Manager {
    fn has(&self, hash: PayloadHash) {
        let sender = PublicKey([1; 32]);
        let metadata = Metadata::default();
        let payload =
            PrivatePayload { payload: INIT.into(), metadata, managed_parties: vec![sender], sender };
        self.payloads.lock().insert(hash, Lookup::Found(payload));
    }

    fn is_out_of_reach(&self, hash: PayloadHash) {
        self.payloads.lock().insert(hash, Lookup::Unavailable("the manager is away".into()));
    }
}

struct World {
    genesis: Genesis,
    core: ChainCore,
    heads: watch::Sender<Head>,
    store: MemoryKv,
    sent: u64,
}

impl World {
    fn new() -> Self {
        Self::with(History::Archive)
    }

    fn with(history: History) -> Self {
        let network = NewNetwork {
            validators: (1..=4).map(|number| key(number).address()).collect(),
            privacy: Privacy::OF_NEW_NETWORKS,
            ..NewNetwork::default()
        };
        let genesis = Genesis::from_json(&network.to_json()).unwrap();
        let core = core(Arc::new(MemoryKv::with_tuning(Tuning { history, ..Tuning::default() })), &genesis);
        let heads = watch::Sender::new(core.reader().head());
        Self { genesis, core, heads, store: MemoryKv::new(), sent: 0 }
    }

    /// A block with a transaction that names a payload and creates a contract.
    fn block(&mut self, payload: PayloadHash) {
        self.block_to(TxKind::Create, payload);
    }

    fn block_to(&mut self, to: TxKind, payload: PayloadHash) {
        let transaction = TxLegacy {
            nonce: self.sent,
            gas_limit: 1_000_000,
            to,
            input: Bytes::copy_from_slice(payload.as_slice()),
            ..TxLegacy::default()
        };
        let raw = Bytes::from(sign_private(transaction, &key(50)).encoded_2718());
        let taken = self.core.door().submit(vec![raw], Origin::Local);
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
        self.sent += 1;
        self.empty_block();
    }

    fn empty_block(&mut self) {
        next_block(&mut self.core, &self.genesis, None);
        self.heads.send_replace(self.core.reader().head());
    }

    fn start(&self, manager: &Arc<Manager>, ask_ahead: bool) -> Running {
        let store = open_private(Arc::new(self.store.clone()), self.genesis.hash()).unwrap();
        let spec = Arc::new(self.genesis.spec.clone());
        let public = self.core.reader();
        let halt = Halt::new();
        let stopping = Arc::new(AtomicBool::new(false));
        let parts = Parts {
            follower: PrivateFollower::open(store, public.clone(), spec.clone()).unwrap(),
            public,
            spec,
            manager: manager.clone(),
            arrivals: None,
            ask_ahead,
            heads: self.heads.subscribe(),
            runtime: Handle::current(),
            halt: halt.clone(),
            stopping: stopping.clone(),
        };
        let (following, worker) = prepare(parts);
        Running { status: following.status(), following, thread: worker.start(), halt, stopping }
    }
}

struct Running {
    following: Following,
    status: watch::Receiver<PrivateStatus>,
    thread: JoinHandle<()>,
    halt: Halt,
    stopping: Arc<AtomicBool>,
}

impl Running {
    async fn until(&mut self, what: &str, fits: impl Fn(&PrivateStatus) -> bool) -> PrivateStatus {
        let found = tokio::time::timeout(PATIENCE, self.status.wait_for(|status| fits(status))).await;
        found.unwrap_or_else(|_| panic!("{what}")).unwrap().clone()
    }

    async fn until_block(&mut self, number: u64) {
        self.until("it comes to the block", |status| status.head.number == number).await;
    }

    fn stop(self) -> Option<String> {
        self.stopping.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.halt.reason()
    }
}

fn hash(number: u8) -> PayloadHash {
    PayloadHash(B512::repeat_byte(number))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_and_waits_for_what_cannot_be_had() {
    let (mut world, manager) = (World::new(), Arc::new(Manager::default()));
    manager.has(hash(1));
    manager.is_out_of_reach(hash(3));
    (1..=3).for_each(|number| world.block(hash(number)));
    world.empty_block();
    let mut running = world.start(&manager, false);
    let waits = |status: &PrivateStatus| status.waiting.is_some();
    let status = running.until("it waits", waits).await;
    assert_eq!(status.head.number, 2);
    let wait = status.waiting.clone().unwrap();
    assert_eq!((wait.number, wait.payload), (3, Some(hash(3))));
    assert_eq!(wait.reason, "the manager is away");
    let told = check(&status, 4);
    assert!(told.reason.starts_with(&format!("waiting for the payload {} of block 3 since", hash(3))));
    world.empty_block();
    tokio::time::sleep(AGAIN_FIRST * 4).await;
    let later = running.status.borrow().waiting.clone().unwrap();
    assert_eq!(later.since, wait.since, "the same wait");
    manager.has(hash(3));
    running.until_block(5).await;
    assert!(running.status.borrow().waiting.is_none());
    world.block(hash(4));
    running.until_block(6).await;
    assert_eq!(running.stop(), None);
    let reader = open_private(Arc::new(world.store.clone()), world.genesis.hash()).unwrap().reader;
    let executed: Vec<u64> = (1..=6).filter(|number| !reader.receipts(*number).unwrap().is_empty()).collect();
    assert_eq!(executed, [1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_elsewhere_is_asked_for_several_blocks_together() {
    for ask_ahead in [true, false] {
        let mut world = World::new();
        let takes = Some(Duration::from_millis(20));
        let manager = Arc::new(Manager { takes, ..Manager::default() });
        (1..=40).for_each(|number| {
            if number % 2 == 0 {
                manager.has(hash(number));
            }
            world.block(hash(number));
        });
        let mut running = world.start(&manager, ask_ahead);
        running.until_block(40).await;
        assert_eq!(running.stop(), None);
        assert_eq!(manager.lookups.load(Ordering::SeqCst), 40, "each once");
        let most = if ask_ahead { ASKED_AT_ONCE } else { 1 };
        assert_eq!(manager.most_at_once.load(Ordering::SeqCst), most);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_state_that_is_gone_waits_and_says_so() {
    let mut world = World::with(History::Last(2));
    (1..=8).for_each(|number| world.block(hash(number)));
    let manager = Arc::new(Manager::default());
    manager.has(hash(3));
    let mut running = world.start(&manager, false);
    let status = running.until("it waits", |status| status.waiting.is_some()).await;
    let wait = status.waiting.unwrap();
    assert_eq!((status.head.number, wait.number, wait.payload), (2, 3, None));
    assert!(wait.reason.contains("are not kept here"), "{}", wait.reason);
    assert_eq!(running.stop(), None, "that is no reason to halt");
    world.store = MemoryKv::new();
    let newcomer = Arc::new(Manager::default());
    let mut running = world.start(&newcomer, false);
    running.until_block(8).await;
    assert_eq!(running.stop(), None, "who is no party needs no state");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_damage_of_its_own_store_halts_the_node() {
    let (mut world, manager) = (World::new(), Arc::new(Manager::default()));
    (1..=2).for_each(|number| manager.has(hash(number)));
    world.block(hash(1));
    let mut running = world.start(&manager, false);
    running.until_block(1).await;
    let (account, _) = world.store.first_from(Table::Accounts, &[], None).unwrap().unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Accounts, account, [0xff; 3]);
    world.store.write(batch).unwrap();
    world.block_to(TxKind::Call(key(50).address().create(0)), hash(2));
    let reason = tokio::time::timeout(PATIENCE, running.halt.wait()).await.unwrap();
    assert!(reason.starts_with("the second pass: "), "{reason}");
    running.thread.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn simulations_are_answered_between_blocks() {
    let (mut world, manager) = (World::new(), Arc::new(Manager::default()));
    world.empty_block();
    let mut running = world.start(&manager, false);
    running.until_block(1).await;
    let message = PrivateMessage {
        sender: key(50).address(),
        nonce: 0,
        kind: TxKind::Create,
        payload: INIT.into(),
        gas_limit: 1_000_000,
        shell_gas: 0,
    };
    let (simulation, _) = running.following.simulate_root(message.clone()).await.unwrap();
    assert!(simulation.outcome.success);
    let following = running.following.clone();
    assert_eq!(running.stop(), None);
    let gone = following.simulate_root(message).await.unwrap_err();
    assert!(gone.to_string().contains("stopping"), "{gone}");
}

#[test]
fn how_far_behind_and_why_is_said() {
    let at = |number| PrivateStatus::at(Head { number, hash: B256::ZERO });
    let said = |status: &PrivateStatus, head| {
        let check = check(status, head);
        (check.ok, check.reason)
    };
    assert_eq!(said(&at(7), 7), (true, "at the head".into()));
    assert_eq!(said(&at(7), 9), (true, "at block 7, 2 behind the head".into()));
    assert_eq!(said(&at(7), 40), (false, "at block 7, 33 behind the head".into()));
    let wait = PrivateWait {
        number: 8,
        payload: Some(hash(1)),
        reason: "manager unreachable".into(),
        since: SystemTime::now() - Duration::from_secs(12),
    };
    let waiting = PrivateStatus { waiting: Some(wait.clone()), ..at(7) };
    let text = format!("waiting for the payload {} of block 8 since 12 s: manager unreachable", hash(1));
    assert_eq!(said(&waiting, 9), (false, text));
    let other = PrivateStatus { waiting: Some(PrivateWait { payload: None, ..wait }), ..at(7) };
    assert!(said(&other, 9).1.starts_with("block 8 is not executed since 12 s"));
}
