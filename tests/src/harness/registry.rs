//! A network with a registry: who its organisations are, and how they act.

use super::{Load, Network, Plan, Wallet, wait_for, wait_until};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use alloy_sol_types::SolCall;
use lonja_permissioning::registry::abi::{
    self, Governance, MemberInput, MemberRecord, NodeInput, Proposal, Registry, Validators,
};
use lonja_permissioning::registry::genesis::seed;
use lonja_permissioning::registry::plan;
use lonja_primitives::genesis::NewNetwork;
use serde_json::{Value, json};
use std::fs;

/// Chain id of all networks here.
const CHAIN_ID: u64 = 1337;
/// Gas of an act of an admin.
const ACT_GAS: u64 = 3_000_000;

/// An organisation.
pub struct Organisation {
    /// Its id in the registry.
    pub id: B256,
    /// Its only admin, who may transact too.
    pub admin: Wallet,
}

/// The organisations of a network, and the node that takes their transactions.
pub struct Organisations {
    all: Vec<Organisation>,
    /// Whose RPC is used.
    pub at: usize,
}

/// The key of a node in the registry.
pub fn node_key(network: &Network, n: usize) -> B256 {
    keccak256(network.member(n).key.node_id().0)
}

impl Organisations {
    /// Rewrites the genesis of a prepared network. The accounts of [`Load::registered`] are the first organisation's. The n-th organisation owns the n-th list of nodes; those that are
    /// validators of the plan validate. `policy` overrides values of the default policy.
    pub fn prepare(network: &Network, plan: Plan, owned: &[Vec<usize>], policy: Value) -> Self {
        let all: Vec<Organisation> = (0..owned.len()).map(Organisation::new).collect();
        let member = |(n, nodes): (usize, &Vec<usize>)| {
            let nodes: Vec<Value> = nodes.iter().map(|node| node_plan(network, plan, *node)).collect();
            let admin = all[n].admin.address();
            let users = Load::registered().into_iter().map(|wallet| wallet.address()).filter(|_| n == 0);
            let accounts: Vec<Value> =
                users.chain([admin]).map(|account| json!({ "address": account })).collect();
            json!({
                "taxId": tax_id(n),
                "name": format!("Organisation {n}"),
                "sector": 60 + n,
                "region": 1 + n,
                "admins": [admin],
                "nodes": nodes,
                "accounts": accounts,
            })
        };
        let members: Vec<Value> = owned.iter().enumerate().map(member).collect();
        let text = json!({ "members": members, "policy": policy }).to_string();
        let registry = plan::Plan::from_json(&text).unwrap_or_else(|error| panic!("{error}"));
        let seeded =
            seed(&registry, CHAIN_ID, plan.block_period_ms).unwrap_or_else(|error| panic!("{error}"));
        let genesis = NewNetwork {
            chain_id: CHAIN_ID,
            validators: seeded.validators,
            alloc: seeded.alloc,
            block_period_ms: Some(plan.block_period_ms),
            request_timeout_ms: Some(plan.request_timeout_ms),
            permissions: seeded.permissions,
            validator_contract: Some(seeded.validator_contract),
            ..NewNetwork::default()
        };
        fs::write(network.path().join("genesis.json"), genesis.to_json())
            .expect("the genesis can be written");
        Self { all, at: 0 }
    }

    /// One of them.
    pub fn get(&mut self, n: usize) -> &mut Organisation {
        &mut self.all[n]
    }

    /// A new one that is not in the registry yet. Answers with its number.
    pub fn found(&mut self) -> usize {
        self.all.push(Organisation::new(self.all.len()));
        self.all.len() - 1
    }

    /// What a proposal to admit an organisation says.
    pub fn application(&self, n: usize) -> MemberInput {
        let id = self.all[n].id;
        MemberInput {
            idScheme: 2,
            idValue: id_value(n),
            admins: vec![self.all[n].admin.address()],
            adminThreshold: 1,
            record: MemberRecord {
                kind: 1,
                voting: true,
                quotaClass: 0,
                sector: 90,
                region: 9,
                controlGroup: id,
                legalNameHash: keccak256(format!("Organisation {n}")),
                didHash: B256::ZERO,
                docsHash: B256::ZERO,
            },
        }
    }

    /// One organisation acts; the act must succeed. Answers with the block.
    #[track_caller]
    pub fn act(&mut self, network: &Network, by: usize, contract: Address, call: &impl SolCall) -> u64 {
        let receipt = self.try_act(network, by, contract, call.abi_encode().into());
        assert_eq!(receipt["status"], "0x1", "an act of organisation {by} failed: {receipt}");
        quantity(&receipt["blockNumber"])
    }

    /// The same, and whatever comes of it is answered.
    #[track_caller]
    pub fn try_act(&mut self, network: &Network, by: usize, contract: Address, input: Bytes) -> Value {
        let signed = self.all[by].admin.call_with(TxKind::Call(contract), input, ACT_GAS);
        let rpc = network.member(self.at).rpc;
        rpc.get("eth_sendRawTransaction", json!([signed.text()]));
        wait_for("the act is in a block", || {
            let receipt = rpc.call("eth_getTransactionReceipt", json!([signed.hash])).ok()?;
            receipt.is_object().then_some(receipt)
        })
    }

    /// The first proposes, the others vote for it, the first executes. Answers with the block of the execution.
    #[track_caller]
    pub fn pass(&mut self, network: &Network, by: &[usize], proposal: &Proposal) -> u64 {
        let id = self.propose(network, by, proposal);
        self.act(
            network,
            by[0],
            abi::GOVERNANCE,
            &Governance::executeCall { id, payload: proposal.payload() },
        )
    }

    /// The first proposes, the others vote for it. Answers with the proposal's id.
    #[track_caller]
    pub fn propose(&mut self, network: &Network, by: &[usize], proposal: &Proposal) -> U256 {
        let kind = proposal.kind().number();
        let payload = proposal.payload();
        self.act(network, by[0], abi::GOVERNANCE, &Governance::proposeCall { kind, payload });
        // Proposals are counted from 1, and nobody else makes one meanwhile.
        let id = self.ask(network, abi::GOVERNANCE, &Governance::proposalCountCall {});
        for voter in &by[1..] {
            self.act(network, *voter, abi::GOVERNANCE, &Governance::voteCall { id, support: true });
        }
        id
    }

    /// Reads a contract at the newest block.
    #[track_caller]
    pub fn ask<C: SolCall>(&self, network: &Network, contract: Address, call: &C) -> C::Return {
        self.try_ask(network, contract, call).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same; `Err` where the contract reverts.
    pub fn try_ask<C: SolCall>(
        &self,
        network: &Network,
        contract: Address,
        call: &C,
    ) -> Result<C::Return, String> {
        let request = json!({ "to": contract, "data": hex::encode_prefixed(call.abi_encode()) });
        let answer = network.member(self.at).rpc.call("eth_call", json!([request, "latest"]))?;
        let bytes = hex::decode(answer.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
        C::abi_decode_returns(&bytes).map_err(|error| error.to_string())
    }

    /// An organisation enters one of its nodes.
    #[track_caller]
    pub fn add_node(&mut self, network: &Network, by: usize, node: usize) -> u64 {
        let member = network.member(node);
        let input = NodeInput {
            publicKey: member.key.node_id().0.to_vec().into(),
            roles: 1,
            expires: 0,
            validatorAddress: Address::ZERO,
            hostRegion: 0,
            hostProvider: 0,
            swVersion: 0,
            endpoints: format!("{}:{}", member.host, member.p2p_port).into_bytes().into(),
        };
        self.act(network, by, abi::REGISTRY, &Registry::addNodeCall { input })
    }

    /// Whether a node holds a seat.
    pub fn is_seated(&self, network: &Network, node: usize) -> bool {
        let set = self.ask(network, abi::VALIDATORS, &Validators::getValidatorsCall {});
        set.contains(&network.member(node).address())
    }

    /// Waits until a node holds a seat, or does not.
    #[track_caller]
    pub fn wait_for_seat(&self, network: &Network, node: usize, seated: bool) {
        let what =
            format!("{} is {} seat", network.member(node).name, if seated { "given a" } else { "off its" });
        wait_until(&what, || self.is_seated(network, node) == seated);
    }
}

impl Organisation {
    fn new(n: usize) -> Self {
        let id = keccak256([[2u8].as_slice(), id_value(n).as_slice()].concat());
        Self { id, admin: Wallet::numbered(n) }
    }
}

fn tax_id(n: usize) -> String {
    format!("ESA0000000{n}")
}

fn id_value(n: usize) -> B256 {
    let mut value = B256::ZERO;
    let text = tax_id(n);
    value[..text.len()].copy_from_slice(text.as_bytes());
    value
}

fn node_plan(network: &Network, plan: Plan, node: usize) -> Value {
    let member = network.member(node);
    let validates = node < plan.validators;
    json!({
        "key": hex::encode(member.key.node_id().0),
        "roles": if validates { json!(["regular", "validator"]) } else { json!(["regular"]) },
        "endpoints": [format!("{}:{}", member.host, member.p2p_port)],
        "hostProvider": 1_000 + node,
        "validates": validates,
    })
}

fn quantity(value: &Value) -> u64 {
    let text = value.as_str().unwrap_or_default();
    u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a quantity")
}
