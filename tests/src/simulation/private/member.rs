//! What a node has that takes part in private transactions: the real manager over a store in memory, and the real second
//! pass behind its chain. The threads around them are played by [`super::threads`].

use super::gates::{GatedKv, Stopper};
use super::line::{Asked, Line};
use super::time::Time;
use crate::simulation::disk::Disk;
use crate::simulation::report::{Outcome, Violation};
use alloy_primitives::{Address, Bytes};
use futures::executor::block_on;
use lonja_chain::private::PrivateFollower;
use lonja_primitives::{ChainSpec, Genesis, NodeId, NodeKey};
use lonja_ptm::{
    Arrivals, EmbeddedManager, KeyPair, Keyring, Lookup, Parts, PayloadHash, PrivateTransactionManager,
    PtmError, PublicKey, SendRequest, Sent, Settings,
};
use lonja_storage::{Reader, open_private};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Turns given to the tasks of a manager before it is looked at again: more than any of them takes in one go.
const TURNS: u32 = 12;
/// Rounds without anything done after which a manager is said to rest.
const QUIET_ROUNDS: u32 = 2;
/// Rounds after which it is said to spin.
const ROUNDS_MOST: u32 = 10_000;

/// Who takes part.
pub struct Party {
    /// Its secret half.
    pub secret: [u8; 32],
    /// Its name among parties.
    pub key: PublicKey,
    /// The account whose transactions its node signs.
    pub account: NodeKey,
    /// Deals are made with it. One that is nobody's partner has a manager all the same, and nothing may come to it.
    pub deals: bool,
    /// A recipient that cannot be reached gets the payload later, and the send succeeds.
    pub outbox: bool,
}

impl Party {
    /// The party with this secret.
    pub fn new(secret: [u8; 32], account: NodeKey, deals: bool, outbox: bool) -> Self {
        Self { key: KeyPair::from_secret(&secret).public(), secret, account, deals, outbox }
    }

    /// Its account's address.
    pub fn address(&self) -> Address {
        lonja_primitives::Signer::address(&self.account)
    }
}

/// What a start stands on.
pub(super) struct Ground<'a> {
    pub(super) disk: &'a Disk,
    pub(super) genesis: &'a Genesis,
    pub(super) spec: Arc<ChainSpec>,
    pub(super) public: Reader,
    pub(super) key: &'a NodeKey,
    pub(super) node: NodeId,
    pub(super) now_us: u64,
    pub(super) unix_ms: u64,
    pub(super) seed: u64,
    /// The first number of its questions: no two processes share one.
    pub(super) first_number: u64,
    /// How long another manager may take for an answer.
    pub(super) answer_time: Duration,
    /// Its store says that everything is durable, and nothing is.
    pub(super) lies: bool,
}

/// What a manager came to.
#[derive(Default)]
struct Results {
    answers: Mutex<Vec<(NodeId, u64, Bytes)>>,
    sends: Mutex<Vec<(u64, Result<Sent, PtmError>)>>,
}

/// A running manager and second pass.
pub struct Member {
    /// The second pass.
    pub follower: PrivateFollower,
    pub(super) arrivals: Arrivals,
    pub(super) line: Line,
    pub(super) time: Time,
    /// The next turn of the manager is scheduled for then, microseconds.
    pub(super) wake_us: Option<u64>,
    /// A step of the second pass is scheduled.
    pub(super) following: bool,
    /// Before the second pass asks again for a payload, microseconds.
    pub(super) pause_us: u64,
    manager: Option<EmbeddedManager>,
    kv: GatedKv,
    stopper: Option<Stopper>,
    results: Arc<Results>,
    runtime: Option<Runtime>,
}

impl Member {
    /// Starts from what is on the disk.
    pub(super) fn boot(party: &Party, ground: Ground<'_>) -> Outcome<Self> {
        let Ground { disk, genesis, spec, public, key, node, .. } = ground;
        let store = open_private(Arc::new(disk.private.clone()), genesis.hash())
            .map_err(|error| Violation::new(format!("the private state does not open: {error}")))?;
        let follower = PrivateFollower::open(store, public, spec)
            .map_err(|error| Violation::new(format!("the second pass does not start: {error}")))?;
        let runtime = Builder::new_current_thread().enable_time().max_blocking_threads(1).build();
        let runtime = runtime.expect("the system can make a runtime");
        let stopper = Stopper::new(runtime.handle().clone());
        let kv = GatedKv::new(disk.payloads.clone(), ground.lies);
        let time = Time::new(ground.now_us, ground.unix_ms, ground.seed);
        let line = Line::new(ground.first_number);
        let pair = KeyPair::from_secret(&party.secret);
        let parts = Parts {
            store: Arc::new(kv.clone()),
            keyring: Keyring::new(vec![pair]).expect("a keyring of one key"),
            node,
            signer: Arc::new(key.clone()),
            courier: Arc::new(line.clone()),
            runtime: runtime.handle().clone(),
        };
        let settings = Settings {
            genesis: genesis.hash(),
            enhancements: true,
            outbox: party.outbox,
            answer_time: ground.answer_time,
            ..Settings::default()
        };
        let manager = EmbeddedManager::start_in(Arc::new(time.clone()), parts, settings)
            .map_err(|error| Violation::new(format!("the manager does not start: {error}")))?;
        Ok(Self {
            arrivals: manager.arrivals(),
            manager: Some(manager),
            stopper: Some(stopper),
            results: Arc::default(),
            runtime: Some(runtime),
            wake_us: None,
            following: false,
            pause_us: 0,
            follower,
            line,
            time,
            kv,
        })
    }

    /// The manager.
    pub fn manager(&self) -> &EmbeddedManager {
        self.manager.as_ref().expect("until it is dropped")
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("until it is dropped")
    }

    /// Lets the manager do all that it can do at this moment. Returns whether its store was used.
    pub(super) fn settle(&mut self) -> Outcome<bool> {
        let (before, mut quiet) = (self.kv.passed(), 0);
        for _ in 0..ROUNDS_MOST {
            self.give_turns();
            let passed = self.kv.passed();
            self.kv.open(true);
            let settled = block_on(self.manager().settled());
            if let Some(stopper) = &mut self.stopper {
                stopper.pass();
            }
            self.kv.open(false);
            settled.map_err(|error| Violation::new(format!("the store of a manager stops: {error}")))?;
            quiet = if self.kv.passed() == passed { quiet + 1 } else { 0 };
            if quiet == QUIET_ROUNDS {
                self.give_turns();
                return Ok(self.kv.passed() > before);
            }
        }
        Err(Violation::new("a manager goes on and on at the same microsecond"))
    }

    fn give_turns(&self) {
        self.runtime().block_on(async {
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        });
    }

    /// A question came in.
    pub(super) fn asked(&self, peer: NodeId, number: u64, body: Bytes) {
        let (manager, results) = (self.manager().clone(), self.results.clone());
        self.runtime().spawn(async move {
            let answer = manager.handle(peer, body).await;
            results.answers.lock().push((peer, number, answer));
        });
    }

    /// Sends a payload; the result comes under this number.
    pub(super) fn send(&self, number: u64, request: SendRequest) {
        let (manager, results) = (self.manager().clone(), self.results.clone());
        self.runtime().spawn(async move {
            let result = manager.send(request).await;
            results.sends.lock().push((number, result));
        });
    }

    /// Questions that leave.
    pub(super) fn questions(&self) -> Vec<Asked> {
        self.line.leaving()
    }

    /// Answers that are ready: to whom, under which number.
    pub(super) fn answers(&self) -> Vec<(NodeId, u64, Bytes)> {
        std::mem::take(&mut self.results.answers.lock())
    }

    /// Sends that came to an end.
    pub(super) fn sends(&self) -> Vec<(u64, Result<Sent, PtmError>)> {
        std::mem::take(&mut self.results.sends.lock())
    }

    /// What the manager knows of a payload.
    pub fn lookup(&self, hash: PayloadHash) -> Lookup {
        block_on(self.manager().lookup(hash))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Nothing may be held up behind a gate, or the threads never end.
        self.kv.open(true);
        self.stopper = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.manager = None;
    }
}
