//! Round by round, on a chain in memory with a second pass, and a manager that hands everything to nobody.

use super::*;
use crate::join::tests::{core, key, next_block};
use alloy_consensus::TxLegacy;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B512, TxKind, U256};
use lonja_accounts::Strength;
use lonja_chain::ChainCore;
use lonja_chain::private::extension::contract::creation;
use lonja_chain::private::extension::index::look;
use lonja_chain::private::{Advance, PrivateFollower};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{Genesis, Signer, StateView};
use lonja_ptm::{EncodedPayload, PrivatePayload, PublicKey, RawPayload, SendSigned, Sent};
use lonja_storage::MemoryKv;
use lonja_storage::private::open_private;
use lonja_txpool::Origin;
use tempfile::TempDir;

const OURS: PublicKey = PublicKey([1; 32]);
const THEIRS: PublicKey = PublicKey([2; 32]);
const CREATOR: u8 = 50;
const RECIPIENT: u8 = 51;
const GAS: u64 = 5_000_000;

/// Makes a contract that stores a word of its input, by another: `slot ‖ value`.
const INIT: [u8; 19] =
    [0x60, 8, 0x80, 0x60, 0x0b, 0x60, 0, 0x39, 0x60, 0, 0xf3, 0x60, 0x20, 0x35, 0x60, 0, 0x35, 0x55, 0];

#[derive(Default)]
struct Manager {
    payloads: Mutex<HashMap<PayloadHash, PrivatePayload>>,
    sent: Mutex<Vec<SendRequest>>,
    away: Mutex<bool>,
}

fn not_here<T: Send + 'static>() -> BoxFuture<'static, Result<T, PtmError>> {
    Box::pin(std::future::ready(Err(PtmError::Unavailable("not in tests".into()))))
}

impl Manager {
    fn take(&self, request: SendRequest) -> PayloadHash {
        let mut payloads = self.payloads.lock();
        let hash = PayloadHash(B512::repeat_byte(payloads.len() as u8 + 1));
        let SendRequest { payload, from, metadata, .. } = request;
        let sender = from.unwrap_or(OURS);
        payloads.insert(hash, PrivatePayload { payload, metadata, managed_parties: vec![OURS], sender });
        hash
    }

    fn look(&self, hash: &PayloadHash) -> Lookup {
        self.payloads.lock().get(hash).cloned().map_or(Lookup::NotOurs, Lookup::Found)
    }
}

impl PrivateTransactionManager for Manager {
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>> {
        Box::pin(async move {
            if *self.away.lock() {
                return Err(PtmError::UnknownRecipient(THEIRS));
            }
            self.sent.lock().push(request.clone());
            Ok(Sent { hash: self.take(request), managed_parties: vec![OURS], sender: OURS })
        })
    }

    fn store_raw(&self, _: Bytes, _: Option<PublicKey>) -> BoxFuture<'_, Result<PayloadHash, PtmError>> {
        not_here()
    }

    fn send_signed(&self, _: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>> {
        not_here()
    }

    fn lookup(&self, hash: PayloadHash) -> BoxFuture<'_, Lookup> {
        Box::pin(std::future::ready(self.look(&hash)))
    }

    fn raw_payload(&self, _: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>> {
        not_here()
    }

    fn is_sender(&self, _: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>> {
        not_here()
    }

    fn participants(&self, _: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(std::future::ready(Ok(vec![OURS])))
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

/// A party that has a contract and began an extension, which is accepted.
struct World {
    genesis: Genesis,
    core: Arc<Mutex<ChainCore>>,
    follower: PrivateFollower,
    manager: Arc<Manager>,
    accounts: Arc<Accounts>,
    nonces: Arc<Mutex<HashMap<u8, u64>>>,
    mode: PrivacyMode,
    contract: Address,
    created: PayloadHash,
    management: Address,
    begun: PayloadHash,
    now: Instant,
    _folder: TempDir,
}

impl World {
    fn new(mode: PrivacyMode) -> Self {
        let network = NewNetwork {
            validators: (1..=4).map(|number| key(number).address()).collect(),
            privacy: Privacy::OF_NEW_NETWORKS,
            ..NewNetwork::default()
        };
        let genesis = Genesis::from_json(&network.to_json()).unwrap();
        let core = core(Arc::new(MemoryKv::new()), &genesis);
        let store = open_private(Arc::new(MemoryKv::new()), genesis.hash()).unwrap();
        let spec = Arc::new(genesis.spec.clone());
        let follower = PrivateFollower::open(store, core.reader(), spec).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::new(folder.path().into(), Strength::NONE);
        accounts.import(&key(CREATOR), &"word".into()).unwrap();
        accounts.unlock(key(CREATOR).address(), &"word".into(), None).unwrap();
        let nothing = PayloadHash(B512::ZERO);
        let mut world = Self {
            genesis,
            core: Arc::new(Mutex::new(core)),
            follower,
            manager: Arc::default(),
            accounts: Arc::new(accounts),
            nonces: Arc::default(),
            mode,
            contract: key(CREATOR).address().create(0),
            created: nothing,
            management: key(CREATOR).address().create(1),
            begun: nothing,
            now: Instant::now(),
            _folder: folder,
        };
        world.created = world.submit(CREATOR, TxKind::Create, INIT.into());
        let (recipient, parties) = (key(RECIPIENT).address(), [OURS, THEIRS]);
        let begin = creation(world.contract, recipient, &THEIRS, &parties);
        world.begun = world.submit(CREATOR, TxKind::Create, begin);
        world.next_block();
        world
    }

    fn accepted(mode: PrivacyMode) -> Self {
        let mut world = Self::new(mode);
        // `doVote(true, "")`: what the recipient's node makes of it is not looked at here.
        let words = [U256::ONE, U256::from(64), U256::ZERO].map(|word| word.to_be_bytes::<32>()).concat();
        let vote = [&alloy_primitives::keccak256("doVote(bool,string)")[..4], &words].concat();
        world.submit(RECIPIENT, TxKind::Call(world.management), vote.into());
        world.next_block();
        assert!(world.extension().state.is_accepted());
        world
    }

    fn set(&mut self, slot: u64, value: u64) {
        let words = [slot, value].map(|word| U256::from(word).to_be_bytes::<32>()).concat();
        self.submit(CREATOR, TxKind::Call(self.contract), words.into());
    }

    /// A private transaction, into the pool; its payload.
    fn submit(&self, from: u8, to: TxKind, payload: Bytes) -> PayloadHash {
        let affected = match to {
            TxKind::Call(to) if to == self.contract => self.created,
            _ => self.begun,
        };
        let (hash, _) = self.sender().submit(from, to, payload, &[affected]);
        hash
    }

    fn sender(&self) -> Sender {
        let (core, manager) = (Arc::clone(&self.core), Arc::clone(&self.manager));
        Sender { core, manager, nonces: Arc::clone(&self.nonces), mode: self.mode }
    }

    fn next_block(&mut self) {
        next_block(&mut self.core.lock(), &self.genesis, None);
        let manager = Arc::clone(&self.manager);
        let mut ask = |hashes: &[PayloadHash]| hashes.iter().map(|hash| manager.look(hash)).collect();
        while self.follower.advance(&mut ask).unwrap() != Advance::UpToDate {}
    }

    fn service(&self) -> Service {
        let (sender, begun) = (self.sender(), self.begun);
        Service::new(Parts {
            reader: self.follower.reader(),
            public: self.core.lock().reader(),
            manager: self.manager.clone(),
            accounts: self.accounts.clone(),
            send: Arc::new(move |extension, call| {
                let to = TxKind::Call(extension.management);
                let (_, hash) = sender.submit(CREATOR, to, call, &[begun]);
                Box::pin(std::future::ready(Ok(hash)))
            }),
            index: Arc::default(),
            key: key(60),
            status: watch::channel(PrivateStatus::at(self.follower.head())).1,
        })
    }

    fn extension(&self) -> Extension {
        look(&self.follower.reader(), &self.management).unwrap().unwrap()
    }

    /// One round, and after it some time.
    async fn round(&mut self, service: &mut Service) {
        service.round(self.now).await;
        self.now += AGAIN_MOST;
    }

    fn states_sent(&self) -> usize {
        self.manager.sent.lock().len()
    }

    /// How many transactions of the creator there were.
    fn nonce(&self) -> u64 {
        self.nonces.lock()[&CREATOR]
    }
}

struct Sender {
    core: Arc<Mutex<ChainCore>>,
    manager: Arc<Manager>,
    nonces: Arc<Mutex<HashMap<u8, u64>>>,
    mode: PrivacyMode,
}

impl Sender {
    fn submit(&self, from: u8, to: TxKind, payload: Bytes, affected: &[PayloadHash]) -> (PayloadHash, B256) {
        let affected = if self.mode == PrivacyMode::Standard { Vec::new() } else { affected.to_vec() };
        let metadata = Metadata { mode: self.mode, affected, ..Metadata::default() };
        let hash = self.manager.take(SendRequest { payload, from: None, to: Vec::new(), metadata });
        let mut nonces = self.nonces.lock();
        let nonce = nonces.entry(from).or_default();
        let input = Bytes::copy_from_slice(hash.as_slice());
        let tx = TxLegacy { nonce: *nonce, gas_limit: GAS, to, input, ..TxLegacy::default() };
        *nonce += 1;
        let raw = Bytes::from(sign_private(tx, &key(from)).encoded_2718());
        let taken = self.core.lock().door().submit(vec![raw], Origin::Local).remove(0).unwrap();
        (hash, taken)
    }
}

#[tokio::test]
async fn what_is_accepted_is_shared_and_ended() {
    for mode in [PrivacyMode::Standard, PrivacyMode::PartyProtection] {
        let mut world = World::accepted(mode);
        let mut service = world.service();
        world.round(&mut service).await;
        let sent = world.manager.sent.lock()[0].clone();
        assert_eq!((sent.from, sent.to, sent.metadata.mode), (Some(OURS), vec![OURS, THEIRS], mode));
        // Nothing more before that came of something.
        service.round(world.now).await;
        assert_eq!((world.states_sent(), service.attempts.len()), (1, 1));
        world.next_block();
        let state = world.extension().state;
        assert!(!state.shared.is_empty() && !state.finished);
        world.round(&mut service).await;
        world.next_block();
        assert!(world.extension().state.finished);
        world.round(&mut service).await;
        assert_eq!((world.states_sent(), service.attempts.len()), (1, 0));
        let record = world.follower.reader().contract(&world.contract, u64::MAX).unwrap();
        let expected = (mode != PrivacyMode::Standard).then(|| state.shared.parse().unwrap());
        assert_eq!(record.map(|record| record.creation), expected);
    }
}

#[tokio::test]
async fn a_contract_that_moves_on_is_shared_until_it_is_caught() {
    let mut world = World::accepted(PrivacyMode::Standard);
    let mut service = world.service();
    for value in 1..=3 {
        world.set(0, value);
        world.round(&mut service).await;
        assert_eq!(world.states_sent(), value as usize);
        world.next_block();
        assert!(world.extension().state.shared.is_empty(), "it moved on in the same block");
        let before = world.states_sent();
        // Not at once, and then soon.
        service.round(world.now).await;
        assert_eq!(world.states_sent(), before);
        let again = service.attempts[&world.management].not_before;
        assert!(again > world.now && again <= world.now + MOVED_ON_MOST);
        world.now = again;
    }
    world.round(&mut service).await;
    world.next_block();
    assert!(!world.extension().state.shared.is_empty());
    let state = world.follower.reader().state_at(world.follower.head().number).unwrap();
    assert_eq!(state.storage(&world.contract, &U256::ZERO).unwrap(), U256::from(3));
    world.round(&mut service).await;
    world.next_block();
    assert!(world.extension().state.finished);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let mut world = World::accepted(PrivacyMode::PartyProtection);
    let mut service = world.service();
    world.round(&mut service).await;
    world.next_block();
    let mut service = world.service();
    world.round(&mut service).await;
    world.next_block();
    assert!(world.extension().state.finished);
    assert_eq!(world.states_sent(), 1);
    // In the middle of a share the state is shared once more, which does no harm.
    let mut world = World::accepted(PrivacyMode::PartyProtection);
    let (mut first, mut second) = (world.service(), world.service());
    world.round(&mut first).await;
    world.round(&mut second).await;
    world.next_block();
    assert_eq!(world.states_sent(), 2);
    assert!(!world.extension().state.shared.is_empty());
    world.round(&mut second).await;
    world.next_block();
    assert!(world.extension().state.finished);
}

#[tokio::test]
async fn a_locked_account_is_waited_for() {
    let mut world = World::accepted(PrivacyMode::Standard);
    let address = key(CREATOR).address();
    world.accounts.lock(address);
    let (mut service, nonce) = (world.service(), world.nonce());
    world.round(&mut service).await;
    assert_eq!((world.states_sent(), world.nonce()), (0, nonce), "nothing is handed out either");
    world.accounts.unlock(address, &"word".into(), None).unwrap();
    world.round(&mut service).await;
    assert_eq!((world.states_sent(), world.nonce()), (1, nonce + 1));
}

#[tokio::test]
async fn a_party_that_is_away_is_asked_again_more_and_more_slowly() {
    let mut world = World::accepted(PrivacyMode::Standard);
    let (mut service, nonce) = (world.service(), world.nonce());
    *world.manager.away.lock() = true;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        service.round(world.now).await;
        let attempt = &service.attempts[&world.management];
        pauses.push(attempt.not_before - world.now);
        world.now = attempt.not_before;
    }
    assert!(pauses.is_sorted() && pauses[0] == AGAIN_FIRST && pauses[11] == AGAIN_MOST, "{pauses:?}");
    assert_eq!(world.nonce(), nonce);
    *world.manager.away.lock() = false;
    world.round(&mut service).await;
    assert_eq!((world.states_sent(), world.nonce()), (1, nonce + 1));
}

#[tokio::test]
async fn a_transaction_that_gets_lost_is_sent_again() {
    let mut world = World::accepted(PrivacyMode::Standard);
    let mut service = world.service();
    // It never comes to the pool.
    service.parts.send = Arc::new(|_, _| Box::pin(std::future::ready(Ok(B256::repeat_byte(9)))));
    service.round(world.now).await;
    service.round(world.now + LOST_AFTER / 2).await;
    assert_eq!(world.states_sent(), 1);
    service.parts.send = world.service().parts.send;
    service.round(world.now + LOST_AFTER).await;
    service.round(world.now + LOST_AFTER + AGAIN_MOST).await;
    assert_eq!(world.states_sent(), 2);
    world.next_block();
    assert!(!world.extension().state.shared.is_empty());
}

#[tokio::test]
async fn what_is_not_accepted_or_not_ours_is_left_alone() {
    let mut world = World::new(PrivacyMode::Standard);
    let mut service = world.service();
    world.round(&mut service).await;
    assert_eq!((world.states_sent(), service.attempts.len()), (0, 0));
    let mut world = World::accepted(PrivacyMode::Standard);
    world.accounts.lock(key(CREATOR).address());
    world.accounts.import(&key(RECIPIENT), &"word".into()).unwrap();
    world.accounts.unlock(key(RECIPIENT).address(), &"word".into(), None).unwrap();
    let mut service = world.service();
    world.round(&mut service).await;
    assert_eq!((world.states_sent(), service.attempts.len()), (0, 0));
}
