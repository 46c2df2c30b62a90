//! A network with the example's registry, for tests.

use super::genesis::{RegistryGenesis, seed};
use super::plan::{EXAMPLE, Plan};
use super::reader::Reader;
use crate::{Judge, MemoryState};
use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall;
use lonja_evm::{BlockEnv, BlockExecutor, CallContext, CallOutcome, CallRequest, Overrides, SystemOutcome};
use lonja_primitives::Genesis;
use lonja_primitives::genesis::NewNetwork;
use std::time::Duration;

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) genesis: Genesis,
    pub(crate) state: MemoryState,
}

pub(crate) fn genesis_of(registry: RegistryGenesis) -> Genesis {
    let network = NewNetwork {
        validators: registry.validators,
        alloc: registry.alloc,
        permissions: registry.permissions,
        validator_contract: Some(registry.validator_contract),
        ..NewNetwork::default()
    };
    Genesis::from_json(&network.to_json()).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(EXAMPLE)
    }

    pub(crate) fn of(plan: &str) -> Self {
        let plan = Plan::from_json(plan).unwrap();
        let genesis = genesis_of(seed(&plan, 1337, 1000).unwrap());
        let state = MemoryState::new(&genesis.state_changes());
        Self { plan, genesis, state }
    }

    pub(crate) fn env(number: u64) -> BlockEnv {
        BlockEnv { number, gas_limit: 300_000_000, base_fee: Some(0), ..BlockEnv::default() }
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.genesis.spec.rules_at(1, 0), &Self::env(1), &self.state)
    }

    pub(crate) fn judge(&self) -> Judge<'_> {
        let spec = &self.genesis.spec;
        Judge::new(*spec.permissions_at(1), spec.rules_at(1, 0), Self::env(1), &self.state)
    }

    /// What a call of this sender in block 1 would come to.
    pub(crate) fn call(&self, from: Address, to: Address, call: &impl SolCall) -> CallOutcome {
        let env = Self::env(1);
        let time_left = || Duration::MAX;
        let context = CallContext {
            rules: self.genesis.spec.rules_at(1, 0),
            env: &env,
            state: &self.state,
            private: None,
            gas_cap: 0,
            time_left: &time_left,
        };
        let data = Bytes::from(call.abi_encode());
        let request = CallRequest { from: Some(from), to: Some(to), data, ..CallRequest::default() };
        lonja_evm::call(&context, &request, &Overrides::default()).unwrap()
    }

    /// A call of the system in a block of this height, which is kept.
    pub(crate) fn system(&mut self, number: u64, to: Address, call: &impl SolCall) -> SystemOutcome {
        let rules = self.genesis.spec.rules_at(number, 0);
        let mut executor = BlockExecutor::new(rules, Self::env(number), &self.state);
        let outcome = executor.system_call(to, call.abi_encode().into(), 1 << 40).unwrap();
        let changes = executor.finish().unwrap().changes;
        self.state.apply(&changes);
        outcome
    }
}
