//! The contracts of a new network: their code, and what the seeding of a plan leaves in their storage.

use super::abi::{self, Policy, Registry, Validators, explain_revert};
use super::plan::{MemberPlan, Plan};
use super::reader::Reader;
use crate::state::MemoryState;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolCall;
use lonja_evm::{BlockEnv, BlockExecutor};
use lonja_primitives::genesis::GenesisAccount;
use lonja_primitives::spec::{ConnectionForm, Limits, NodeRule, Permissions, Privacy};
use lonja_primitives::{Account, AccountChange, BlockRules, Fork, Genesis, StateChanges};
use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// Gas for one call of the seeding. Nothing bounds it but patience.
const SEED_GAS: u64 = 1 << 40;

/// Everything that a genesis file needs of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryGenesis {
    /// The contracts, with the plan in their storage.
    pub alloc: BTreeMap<Address, GenesisAccount>,
    /// The validators of block 1, ascending.
    pub validators: Vec<Address>,
    /// Which contracts permit.
    pub permissions: Permissions,
    /// Which contract names the validators.
    pub validator_contract: Address,
    /// Which contract names parties, for networks that have them.
    pub parties: Address,
}

/// Why a plan cannot become a registry; names whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{subject}: {reason}")]
pub struct SeedError {
    /// A member, node or account, or another part of the plan.
    pub subject: String,
    /// The contract's error in words.
    pub reason: String,
}

/// One contract as it was compiled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub contract: String,
    /// Where it stands.
    pub address: Address,
    /// The code that stands there.
    pub runtime: Bytes,
    /// Its functions, events and errors, as compilers write them.
    pub abi: serde_json::Value,
}

macro_rules! artifact {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../genesis/contracts/artifacts/",
            $name,
            ".json"
        ))
    };
}

const ARTIFACTS: [&str; 10] = [
    artifact!("NodeRules"),
    artifact!("AccountRules"),
    artifact!("Registry"),
    artifact!("Governance"),
    artifact!("Validators"),
    artifact!("Quotas"),
    artifact!("Supervision"),
    artifact!("Policy"),
    artifact!("Evidence"),
    artifact!("Parties"),
];

/// The compiled contracts.
pub fn artifacts() -> Vec<Artifact> {
    let read = |text: &&str| serde_json::from_str(text).expect("the committed artifacts are well formed");
    ARTIFACTS.iter().map(read).collect()
}

/// The contracts that permit, as a genesis file with this registry names them.
pub fn permissions() -> Permissions {
    Permissions {
        nodes: Some(NodeRule { contract: abi::NODE_RULES, form: ConnectionForm::Strings }),
        accounts: Some(abi::ACCOUNT_RULES),
        system: Some(abi::VALIDATORS),
        quotas: Some(abi::QUOTAS),
    }
}

/// Runs the contracts' seeding with this plan.
///
/// # Errors
/// A contract refuses a part of the plan.
pub fn seed(plan: &Plan, chain_id: u64, block_period_ms: u64) -> Result<RegistryGenesis, SeedError> {
    let artifacts = artifacts();
    let mut state = MemoryState::new(&deployed(&artifacts));
    let mut seeding = Seeding(BlockExecutor::new(seed_rules(chain_id), BlockEnv::default(), &state));
    seeding.run(plan, block_period_ms)?;
    let ended = seeding.0.finish().map_err(|error| refused("the seeding", error.to_string()))?;
    state.apply(&ended.changes);
    let mut reader = Reader::new(&seed_rules(chain_id), &BlockEnv::default(), &state);
    let validators = reader.ask(abi::VALIDATORS, &Validators::getValidatorsCall {});
    let alloc = artifacts.iter().map(|one| (one.address, state.genesis_account(&one.address)));
    Ok(RegistryGenesis {
        alloc: alloc.collect(),
        validators: validators.map_err(|reason| refused("the first validators", reason))?,
        permissions: permissions(),
        validator_contract: abi::VALIDATORS,
        parties: abi::PARTIES,
    })
}

/// The validators of block 1 that the contract names on the state of block 0, for genesis files that leave them to it
/// ([`Genesis::needs_first_validators`]).
///
/// # Errors
/// There is no contract, or it gives no answer.
pub fn first_validators(genesis: &Genesis) -> Result<Vec<Address>, String> {
    let contract = genesis.spec.consensus_at(0).validator_contract;
    let contract = contract.ok_or("no contract is named that chooses validators")?;
    let state = MemoryState::new(&genesis.state_changes());
    let rules = genesis.spec.rules_at(0, genesis.header.timestamp);
    let mut executor = BlockExecutor::new(rules, BlockEnv::from_header(&genesis.header), &state);
    let answer = crate::next_validators(&mut executor, contract).map_err(|error| error.to_string())?;
    answer.and_then(|list| match list.is_empty() {
        true => Err(format!("the contract {contract} names no validators")),
        false => Ok(list),
    })
}

/// Names the validators of block 1 where a genesis file leaves them to its contract; other files stay as they are.
///
/// # Errors
/// There is no contract, or what it answers is no set of validators.
pub fn complete(genesis: &mut Genesis) -> Result<(), String> {
    if !genesis.needs_first_validators() {
        return Ok(());
    }
    let list = first_validators(genesis)?;
    genesis.set_first_validators(list).map_err(|error| error.to_string())
}

/// Reads the registry of a genesis file at the state of block 0.
pub fn with_reader<T>(genesis: &Genesis, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
    let state = MemoryState::new(&genesis.state_changes());
    let rules = genesis.spec.rules_at(0, genesis.header.timestamp);
    read(&mut Reader::new(&rules, &BlockEnv::from_header(&genesis.header), &state))
}

/// Whether block 0 of a network has these very contracts.
pub fn is_ours(genesis: &Genesis) -> bool {
    let stands =
        |one: &Artifact| genesis.alloc.get(&one.address).is_some_and(|account| account.code == one.runtime);
    artifacts().iter().all(stands)
}

/// Contracts count as having made one transaction (EIP-161), so that they are never taken for empty.
fn deployed(artifacts: &[Artifact]) -> StateChanges {
    let mut changes = StateChanges::default();
    for one in artifacts {
        let code_hash = keccak256(&one.runtime);
        let account = Account { nonce: 1, balance: U256::ZERO, code_hash };
        let change = AccountChange { account: Some(account), ..AccountChange::default() };
        changes.accounts.insert(one.address, change);
        changes.codes.insert(code_hash, one.runtime.clone());
    }
    changes
}

/// The newest EVM without limits: what is seeded does not depend on the rules of the network, except its chain id.
fn seed_rules(chain_id: u64) -> BlockRules {
    let limits = Limits {
        code_size: usize::MAX,
        init_code_size: usize::MAX,
        transaction_size: usize::MAX,
        block_size: usize::MAX,
        gas_limit: None,
    };
    BlockRules {
        chain_id,
        fork: Fork::LATEST,
        free_gas: true,
        limits,
        block_reward: U256::ZERO,
        beneficiary: None,
        privacy: Privacy::default(),
    }
}

fn refused(subject: impl Into<String>, reason: impl Into<String>) -> SeedError {
    SeedError { subject: subject.into(), reason: reason.into() }
}

struct Seeding<'a>(BlockExecutor<'a>);

impl Seeding<'_> {
    fn run(&mut self, plan: &Plan, block_period_ms: u64) -> Result<(), SeedError> {
        let values = plan.policy_values(block_period_ms);
        self.call("policy", abi::POLICY, &Policy::seedPolicyCall { values })?;
        // All members come first: what one has, another may name.
        for member in &plan.members {
            let input = member.input.clone();
            self.call(&member_subject(member), abi::REGISTRY, &Registry::seedMemberCall { input })?;
        }
        for member in &plan.members {
            self.seed_holdings(member)?;
        }
        if !plan.council.is_empty() {
            let keys = plan.council.clone();
            self.call("council", abi::REGISTRY, &Registry::seedCouncilCall { keys })?;
        }
        let node_keys: Vec<B256> = plan.first_validators().map(|(_, node)| node.key()).collect();
        let call = Validators::seedValidatorsCall { nodeKeys: node_keys };
        self.call("the first validators", abi::VALIDATORS, &call)
    }

    fn seed_holdings(&mut self, member: &MemberPlan) -> Result<(), SeedError> {
        for node in &member.nodes {
            let subject = format!("{}, node {}", member_subject(member), node.node);
            let call = Registry::seedNodeCall { memberId: member.id, input: node.input.clone() };
            self.call(&subject, abi::REGISTRY, &call)?;
        }
        for one in &member.accounts {
            let subject = format!("{}, account {}", member_subject(member), one.address);
            let call = Registry::seedAccountCall {
                memberId: member.id,
                account: one.address,
                access: one.access,
                quotaClass: one.quota_class,
                expires: one.expires,
            };
            self.call(&subject, abi::REGISTRY, &call)?;
        }
        Ok(())
    }

    fn call(&mut self, subject: &str, contract: Address, call: &impl SolCall) -> Result<(), SeedError> {
        let outcome = self.0.system_call(contract, call.abi_encode().into(), SEED_GAS);
        let outcome = outcome.map_err(|error| refused(subject, error.to_string()))?;
        if outcome.success {
            return Ok(());
        }
        let reason = explain_revert(&outcome.output)
            .unwrap_or_else(|| format!("the contract {contract} refuses and says nothing"));
        Err(refused(subject, reason))
    }
}

fn member_subject(member: &MemberPlan) -> String {
    format!("member {:?}", member.name)
}

#[cfg(test)]
mod tests;
