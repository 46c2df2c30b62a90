//! A manager that other nodes ask for anything at all.

use crate::simulation::dice::Dice;
use alloy_primitives::{B256, B512, Bytes};
use futures::executor::block_on;
use futures::future::BoxFuture;
use lonja_primitives::{NodeId, NodeKey};
use lonja_ptm::wire::{Answer, Request};
use lonja_ptm::{
    Codec, CryptoError, EmbeddedManager, EncodedPayload, KeyPair, Keyring, Lookup, Machine, Metadata,
    NoCourier, Parts, PrivateTransactionManager, PublicKey, SendRequest, Settings, Surroundings,
};
use lonja_storage::{KvRead, MemoryKv, Table};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// What the good push says.
const PAYLOAD: &[u8] = b"what two parties say to each other";
/// Requests after which a manager is made anew, so that no run is longer than this to see again.
const REQUESTS_MOST: u64 = 2_000;

const OUR_SECRET: [u8; 32] = [21; 32];
const NOBODYS_SECRET: [u8; 32] = [22; 32];
const THEIR_SECRET: [u8; 32] = [23; 32];

/// A manager, and what is in its store.
struct Desk {
    manager: EmbeddedManager,
    kv: MemoryKv,
    rows: usize,
    asked: u64,
    dice: Dice,
    runtime: Runtime,
}

/// The same in every run, so that what was found is found again. Nothing sealed with it is a secret.
struct Fixed;

impl Surroundings for Fixed {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> u64 {
        0
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Machine.sleep(time)
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        bytes.fill(0x5a);
        Ok(())
    }
}

thread_local! {
    static NOT_FOR_US: RefCell<Option<Desk>> = const { RefCell::new(None) };
    static FOR_US: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// The key that the good push is for.
pub(super) fn our_key() -> PublicKey {
    KeyPair::from_secret(&OUR_SECRET).public()
}

/// An envelope from somebody else for us, in CBOR, always the same.
pub(super) fn a_push() -> Bytes {
    static PUSH: OnceLock<Bytes> = OnceLock::new();
    let make = || {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let sender = manager(&THEIR_SECRET, MemoryKv::new(), &runtime);
        let (payload, to, metadata) = (Bytes::from_static(PAYLOAD), vec![our_key()], Metadata::default());
        let sealed = sender.encrypt(SendRequest { payload, from: None, to, metadata });
        let envelope = runtime.block_on(sealed).expect("an envelope");
        envelope.strip_for(&our_key()).expect("it is for us").encode(Codec::Cbor).into()
    };
    PUSH.get_or_init(make).clone()
}

fn manager(secret: &[u8; 32], kv: MemoryKv, runtime: &Runtime) -> EmbeddedManager {
    let key = NodeKey::from_bytes(&[9; 32]).expect("a key");
    let parts = Parts {
        store: Arc::new(kv),
        keyring: Keyring::new(vec![KeyPair::from_secret(secret)]).expect("a keyring"),
        node: key.node_id(),
        signer: Arc::new(key),
        courier: Arc::new(NoCourier),
        runtime: runtime.handle().clone(),
    };
    let settings = Settings { genesis: B256::ZERO, enhancements: true, ..Settings::default() };
    EmbeddedManager::start_in(Arc::new(Fixed), parts, settings).expect("it starts")
}

fn rows(kv: &MemoryKv) -> usize {
    Table::ALL.into_iter().map(|table| kv.len(table)).sum()
}

impl Desk {
    fn open(secret: &[u8; 32]) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let kv = MemoryKv::new();
        let manager = manager(secret, kv.clone(), &runtime);
        let rows = rows(&kv);
        Self { manager, kv, rows, asked: 0, dice: Dice::new(1), runtime }
    }

    /// Asks as one node after another, so that nobody has asked too much. Every request has an answer that reads.
    fn ask(&mut self, request: &[u8]) -> Answer {
        self.asked += 1;
        let peer = NodeId(B512::left_padding_from(&self.dice.next().to_be_bytes()));
        let asked = self.manager.handle(peer, Bytes::copy_from_slice(request));
        let answer = self.runtime.block_on(asked);
        block_on(self.manager.settled()).expect("the store goes on");
        Answer::decode(&answer).expect("an answer reads")
    }
}

fn with(
    desk: &'static std::thread::LocalKey<RefCell<Option<Desk>>>,
    secret: &[u8; 32],
    ask: impl FnOnce(&mut Desk),
) {
    desk.with_borrow_mut(|place| {
        let mut desk = match place.take() {
            Some(desk) if desk.asked < REQUESTS_MOST => desk,
            _ => Desk::open(secret),
        };
        ask(&mut desk);
        *place = Some(desk);
    });
}

/// Whatever it is: nothing is kept of it, and nothing changes. No request here comes from somebody with a right to one.
pub(super) fn requests(bytes: &[u8]) {
    with(&NOT_FOR_US, &NOBODYS_SECRET, |desk| {
        let answer = desk.ask(bytes);
        assert!(
            !matches!(answer, Answer::Stored { .. }),
            "something is said to be stored that nobody here opens"
        );
        assert_eq!(rows(&desk.kv), desk.rows, "something is stored");
    });
}

/// A push for us, changed in any way: it is kept as it was sealed, or not at all. The first bytes are the request's head.
pub(super) fn pushes(bytes: &[u8]) {
    let request = match Request::decode(&Bytes::copy_from_slice(bytes)) {
        Ok(_) => bytes.to_vec(),
        Err(_) => Request::push(1, bytes).to_vec(),
    };
    with(&FOR_US, &OUR_SECRET, |desk| {
        let answer = desk.ask(&request);
        let good = EncodedPayload::decode(Codec::Cbor, &a_push()).expect("the good push reads").hash();
        if let Answer::Stored { hash, .. } = &answer {
            assert_eq!(*hash, good, "what was tampered with is stored");
        }
        let kept = desk.kv.len(Table::Envelopes);
        let found = desk.kv.get(Table::Envelopes, good.as_slice()).expect("it reads").is_some();
        assert_eq!(kept, usize::from(found), "something else than the good push is stored");
        if found && let Lookup::Found(payload) = block_on(desk.manager.lookup(good)) {
            assert_eq!(&payload.payload[..], PAYLOAD, "the payload is another one");
        }
    });
}
