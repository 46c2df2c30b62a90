//! A node of one validator in memory, for the tests of this crate: a real chain, without network and agreement.

mod parties;

use crate::config::{Access, RpcLimits};
use crate::context::{Context, RpcContext};
use crate::control::{
    ConsensusStatus, ControlError, Health, HealthCheck, NodeControl, NodeInfo, PeerEntry, RefusedPeer,
    SyncStatus,
};
use crate::methods;
use crate::transport::connection::Connection;
use crate::transport::front::{Front, FrontLayer, Lasting};
use alloy_consensus::{SignableTransaction, TxEip1559, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature as AlloySignature, TxKind, U256, address, hex};
use jsonrpsee::core::middleware::RpcServiceT;
use jsonrpsee::types::Request;
use lonja_accounts::{Accounts, Strength};
use lonja_chain::ChainCore;
use lonja_consensus::certify;
use lonja_consensus::header::commit_digest;
use lonja_consensus::machine::BuildRequest;
use lonja_permissioning::registry::genesis::seed;
use lonja_permissioning::registry::plan::Plan;
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_primitives::{
    ExtraData, Genesis, HeaderFormat, NodeId, NodeKey, RecoveredTransaction, Signer, Transaction,
};
use lonja_storage::{Head, MemoryKv};
use lonja_txpool::{Origin, PoolConfig, TxPool};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc, watch};
use tower::Layer;

pub(crate) use parties::*;

pub(crate) const CHAIN_ID: u64 = 1337;

/// A contract of block 0. Its first byte of input says what it does: 0 returns slot 0; 1 writes the following
/// word to slot 0 and logs it under topic 0x77; 2 reverts with the rest of the input; 3 loops for ever; 4 returns
/// the block number; 5 is an invalid opcode.
pub(crate) const CONTRACT: Address = address!("00000000000000000000000000000000c0de0001");
const CONTRACT_CODE: &str = "60003560001a80600114602f5780600214604257806003146050578060041460545780600514605957\
    600054605b565b60013580600055600052607760206000a1005b600136038060016000376000fd5b6050565b43605b565bfe5b60005260206000f3";

/// What signs blocks and transactions in tests.
pub(crate) fn key(n: u8) -> NodeKey {
    let mut bytes = [0; 32];
    bytes[31] = n;
    NodeKey::from_bytes(&bytes).unwrap()
}

/// The chain and everything the RPC is given.
pub(crate) struct TestNode {
    pub(crate) core: ChainCore,
    pub(crate) node: RpcContext,
    pub(crate) control: Arc<TestControl>,
    heads: watch::Sender<Head>,
    validator: NodeKey,
    parties: Option<Parties>,
    _folder: TempDir,
}

/// The methods as one connection sees them.
#[derive(Clone)]
pub(crate) struct Client {
    service: Front<Connection>,
    pub(crate) context: Arc<Context>,
    messages: Arc<tokio::sync::Mutex<mpsc::Receiver<Box<RawValue>>>>,
}

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl TestNode {
    pub(crate) fn new() -> Self {
        Self::with_rules(json!({}))
    }

    /// With other fields in the genesis file.
    pub(crate) fn with_rules(fields: Value) -> Self {
        let validator = key(1);
        let mut genesis = json!({
            "lonja": 1,
            "chainId": CHAIN_ID,
            "timestamp": 1_000,
            "consensus": { "validators": [validator.address()] },
            "alloc": {
                CONTRACT.to_string(): { "code": format!("0x{CONTRACT_CODE}") },
                key(9).address().to_string(): { "balance": "0xde0b6b3a7640000" },
            },
        });
        genesis.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Self::open(&Genesis::from_json(&genesis.to_string()).unwrap(), validator)
    }

    /// With a registry as this plan has it; its first validator must be the node of key 1.
    pub(crate) fn with_registry(plan: &str) -> Self {
        Self::with_registry_and(plan, Privacy::default())
    }

    /// The same on a network with private transactions.
    pub(crate) fn with_registry_and(plan: &str, privacy: Privacy) -> Self {
        let plan = Plan::from_json(plan).unwrap();
        let registry = seed(&plan, CHAIN_ID, 1_000).unwrap();
        let network = NewNetwork {
            alloc: registry.alloc,
            permissions: registry.permissions,
            validator_contract: Some(registry.validator_contract),
            chain_id: CHAIN_ID,
            validators: registry.validators,
            privacy,
            ..NewNetwork::default()
        };
        Self::open(&Genesis::from_json(&network.to_json()).unwrap(), key(1))
    }

    fn open(genesis: &Genesis, validator: NodeKey) -> Self {
        let spec = Arc::new(genesis.spec.clone());
        let opened = lonja_storage::open(Arc::new(MemoryKv::default()), genesis).unwrap();
        let pool = Arc::new(Mutex::new(TxPool::new(PoolConfig::default())));
        let core = ChainCore::open(opened, Arc::clone(&spec), Arc::clone(&pool)).unwrap();
        let (heads, head) = watch::channel(core.reader().head());
        let (transactions, _) = broadcast::channel(1_024);
        let (door, feed) = (core.door(), transactions.clone());
        door.set_listener(Box::new(move |batch: &[RecoveredTransaction], _: Origin| {
            batch.iter().for_each(|tx| drop(feed.send(tx.clone())));
        }));
        let control = Arc::new(TestControl::new(&validator));
        let folder = tempfile::tempdir().unwrap();
        let node = RpcContext {
            reader: core.reader(),
            spec,
            door,
            pool,
            accounts: Arc::new(Accounts::new(folder.path().join("keystore"), Strength::NONE)),
            control: control.clone(),
            heads: head,
            transactions,
            privacy: None,
            metrics: Arc::new(|| "lonja_test 1\n".to_owned()),
        };
        Self { core, node, control, heads, validator, parties: None, _folder: folder }
    }

    /// Puts what the pool has ready into the next block; its height.
    pub(crate) fn mine(&mut self) -> u64 {
        let position = self.core.position();
        let height = position.head.number + 1;
        let validators = position.votes.validators().as_slice().to_vec();
        let extra = ExtraData { vanity: vec![0; 32].into(), validators, ..ExtraData::default() };
        let request = BuildRequest {
            height,
            round: 0,
            parent: position.head.hash(),
            timestamp: position.head.timestamp + 1,
            beneficiary: self.validator.address(),
            extra_data: extra.encode(HeaderFormat::Qbft),
            deadline_ms: 1_000,
        };
        let mut block = self.core.build(&request, &|| false).unwrap();
        // Where a contract chooses the validators, the chain has put its commitment there.
        let mut extra = ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).unwrap();
        extra.seals = vec![self.validator.sign(commit_digest(&block.header, HeaderFormat::Qbft).unwrap())];
        block.header.extra_data = extra.encode(HeaderFormat::Qbft);
        let certified = certify(&self.node.spec, block, &position.head, position.votes.validators()).unwrap();
        self.core.commit(&certified).unwrap();
        let head = self.core.sync_and_publish().unwrap();
        self.heads.send_replace(head);
        height
    }

    /// Through the door; the hash.
    pub(crate) fn submit(&self, raw: Bytes) -> B256 {
        self.node.door.submit(vec![raw], Origin::Local).pop().unwrap().unwrap()
    }

    /// A connection that may do everything.
    pub(crate) fn client(&self) -> Client {
        self.client_with(Access::full(), RpcLimits::default())
    }

    pub(crate) fn client_with(&self, access: Access, limits: RpcLimits) -> Client {
        let context = Arc::new(Context::new(self.node.clone(), limits.clone()).unwrap());
        let offered = methods::table(Arc::clone(&context), access);
        let front = FrontLayer::new(offered.clone(), Arc::new(AtomicUsize::new(0)), limits.response_bytes);
        let (outbox, messages) = mpsc::channel(64);
        let service = front.layer(Connection::new(1, offered, outbox, &limits));
        Client { service, context, messages: Arc::new(tokio::sync::Mutex::new(messages)) }
    }
}

impl Client {
    /// The whole answer to a request with these parameters, written as JSON.
    pub(crate) async fn raw(&self, method: &str, params: &str) -> Value {
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":{},"params":{params}}}"#, json!(method));
        let mut request: Request<'_> = serde_json::from_str(&request).unwrap();
        request.extensions_mut().insert(Lasting);
        serde_json::from_str(self.service.call(request).await.as_ref()).unwrap()
    }

    pub(crate) async fn try_call(&self, method: &str, params: Value) -> Result<Value, Refused> {
        let answer = self.raw(method, &params.to_string()).await;
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => Err(Refused {
                code: error["code"].as_i64().unwrap(),
                message: error["message"].as_str().unwrap().to_owned(),
                data: error.get("data").cloned(),
            }),
        }
    }

    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params.clone())
            .await
            .unwrap_or_else(|error| panic!("{method} {params}: {error:?}"))
    }

    pub(crate) async fn refused(&self, method: &str, params: Value) -> Refused {
        match self.try_call(method, params.clone()).await {
            Err(error) => error,
            Ok(result) => panic!("{method} {params} gave {result}"),
        }
    }

    /// The names of all methods.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        let mut names: Vec<_> =
            methods::table(Arc::clone(&self.context), Access::full()).methods.method_names().collect();
        names.sort_unstable();
        names
    }

    /// The next message of a subscription.
    pub(crate) async fn message(&self) -> Value {
        let message = self.messages.lock().await.recv().await.unwrap();
        serde_json::from_str(message.get()).unwrap()
    }
}

/// A transaction of type 0 without a price.
pub(crate) fn legacy(from: &NodeKey, nonce: u64, to: TxKind, value: u64, input: &[u8]) -> Bytes {
    let tx = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        gas_price: 0,
        gas_limit: 1_000_000,
        to,
        value: U256::from(value),
        input: Bytes::copy_from_slice(input),
    };
    sign(from, tx)
}

/// A transaction of type 2 with the fees that wallets suggest.
pub(crate) fn dynamic(from: &NodeKey, nonce: u64, to: TxKind, input: &[u8]) -> Bytes {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 1_000_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::ZERO,
        access_list: Default::default(),
        input: Bytes::copy_from_slice(input),
    };
    sign(from, tx)
}

pub(crate) fn sign<T>(from: &NodeKey, tx: T) -> Bytes
where
    T: SignableTransaction<AlloySignature>,
    Transaction: From<alloy_consensus::Signed<T>>,
{
    let signature = from.sign(tx.signature_hash());
    let parity = signature.0[64] == 1;
    let signature = AlloySignature::from_bytes_and_parity(&signature.0[..64], parity);
    Transaction::from(tx.into_signed(signature)).encoded_2718().into()
}

/// Input that makes [`CONTRACT`] write a word.
pub(crate) fn write_word(word: u8) -> Vec<u8> {
    let mut input = vec![1];
    input.extend(B256::with_last_byte(word));
    input
}

/// Input that makes [`CONTRACT`] revert as Solidity's `revert("no")` does.
pub(crate) fn revert_with_reason() -> Vec<u8> {
    let mut input = vec![2];
    input.extend(revert_data());
    input
}

/// What `revert("no")` returns.
pub(crate) fn revert_data() -> Vec<u8> {
    let mut data = hex!("08c379a0").to_vec();
    data.extend(B256::with_last_byte(0x20));
    data.extend(B256::with_last_byte(2));
    data.extend(b"no");
    data.extend([0; 30]);
    data
}

/// A node that takes every order and says what it was told to say.
pub(crate) struct TestControl {
    info: NodeInfo,
    validator: Address,
    pub(crate) candidates: Mutex<BTreeMap<Address, bool>>,
    pub(crate) peers: Mutex<Vec<PeerEntry>>,
    pub(crate) sync: Mutex<SyncStatus>,
    pub(crate) ready: Mutex<bool>,
    pub(crate) votes_enabled: Mutex<bool>,
    pub(crate) refusals: Mutex<Vec<RefusedPeer>>,
    pub(crate) refused_by: Mutex<Vec<NodeId>>,
}

impl TestControl {
    fn new(key: &NodeKey) -> Self {
        let node_id = key.node_id();
        let info = NodeInfo {
            client: "lonja/test".to_owned(),
            node_id,
            address: key.address(),
            enode: format!("enode://{node_id}@127.0.0.1:30303"),
            listen: Some("127.0.0.1:30303".to_owned()),
            max_peers: 50,
        };
        Self {
            info,
            validator: key.address(),
            candidates: Mutex::default(),
            peers: Mutex::default(),
            sync: Mutex::new(SyncStatus::Synced),
            ready: Mutex::new(true),
            votes_enabled: Mutex::new(true),
            refusals: Mutex::default(),
            refused_by: Mutex::default(),
        }
    }

    fn check_votes(&self) -> Result<(), ControlError> {
        if *self.votes_enabled.lock() {
            return Ok(());
        }
        Err(ControlError::NotEnabled("a contract chooses the validators".to_owned()))
    }
}

impl NodeControl for TestControl {
    fn node_info(&self) -> NodeInfo {
        self.info.clone()
    }

    fn peers(&self) -> Vec<PeerEntry> {
        self.peers.lock().clone()
    }

    fn add_peer(&self, address: &str) -> Result<(), ControlError> {
        if !address.starts_with("enode://") {
            return Err(ControlError::Invalid(format!("{address}: not a peer address")));
        }
        self.peers.lock().push(PeerEntry {
            node_id: key(3).node_id(),
            address: "192.0.2.7:30303".to_owned(),
            local_address: None,
            inbound: false,
            client: "lonja/test".to_owned(),
            head: (7, B256::repeat_byte(7)),
        });
        Ok(())
    }

    fn remove_peer(&self, _address: &str) -> Result<(), ControlError> {
        self.peers.lock().clear();
        Ok(())
    }

    fn propose(&self, validator: Address, add: bool) -> Result<(), ControlError> {
        self.check_votes()?;
        self.candidates.lock().insert(validator, add);
        Ok(())
    }

    fn discard(&self, validator: Address) -> Result<(), ControlError> {
        self.check_votes()?;
        self.candidates.lock().remove(&validator);
        Ok(())
    }

    fn candidates(&self) -> BTreeMap<Address, bool> {
        self.candidates.lock().clone()
    }

    fn consensus_status(&self) -> ConsensusStatus {
        ConsensusStatus {
            height: 1,
            round: 0,
            phase: "waiting for a proposal".to_owned(),
            proposer: self.validator,
            validators: vec![self.validator],
            is_validator: true,
        }
    }

    fn sync_status(&self) -> SyncStatus {
        *self.sync.lock()
    }

    fn static_peers(&self) -> Vec<(NodeId, String)> {
        let node = key(3).node_id();
        vec![(node, format!("enode://{node}@192.0.2.7:30303"))]
    }

    fn refusals(&self) -> Vec<RefusedPeer> {
        self.refusals.lock().clone()
    }

    fn refused_by(&self) -> Vec<NodeId> {
        self.refused_by.lock().clone()
    }

    fn health(&self) -> Health {
        let check = |name, ok| HealthCheck { name, ok, reason: format!("{name} is {ok}") };
        Health { liveness: vec![check("loop", true)], readiness: vec![check("peers", *self.ready.lock())] }
    }
}
