//! A state with the contract of lists, and ways to change it.

use crate::state::MemoryState;
use crate::{Judge, Memos, OwnEnd};
use alloy_primitives::{Address, B512, Bytes, U256, address, hex};
use alloy_sol_types::{SolCall, sol};
use lonja_evm::{BlockEnv, BlockExecutor};
use lonja_primitives::spec::{ConnectionForm, Limits, NodeRule, Permissions, Privacy};
use lonja_primitives::{Account, AccountChange, BlockRules, Fork, NodeId, StateChanges};

pub(crate) const LISTS: Address = address!("0000000000000000000000000000000000009999");

const CODE: &str = include_str!("../../../../tests/contracts/Lists.hex");

sol! {
    function setNode(string enodeId, string host, uint16 port, bool allowed) external;
    function setAccount(address account, bool allowed) external;
    function setUntil(address account, uint256 number) external;
    function setValidators(address[] list) external;
    function setKey(bytes32 high, bytes32 low, bool allowed) external;
}

pub(crate) struct World {
    pub(crate) state: MemoryState,
    pub(crate) number: u64,
    pub(crate) memos: Memos,
    pub(crate) permissions: Permissions,
}

pub(crate) fn rules() -> BlockRules {
    BlockRules {
        chain_id: 1337,
        fork: Fork::LATEST,
        free_gas: true,
        limits: Limits {
            code_size: 24_576,
            init_code_size: 49_152,
            transaction_size: 131_072,
            block_size: 8 << 20,
            gas_limit: Some(300_000_000),
        },
        block_reward: U256::ZERO,
        beneficiary: None,
        privacy: Privacy::default(),
    }
}

pub(crate) fn env(number: u64) -> BlockEnv {
    BlockEnv { number, gas_limit: 300_000_000, base_fee: Some(0), ..BlockEnv::default() }
}

pub(crate) fn node(n: u8) -> NodeId {
    NodeId(B512::repeat_byte(n))
}

pub(crate) fn own() -> OwnEnd {
    OwnEnd { node: node(0xee), ip: None, port: 0 }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_code(hex::decode(CODE.trim()).unwrap())
    }

    pub(crate) fn with_code(code: Vec<u8>) -> Self {
        let code = Bytes::from(code);
        let code_hash = alloy_primitives::keccak256(&code);
        let account = Account { nonce: 1, balance: U256::ZERO, code_hash };
        let change = AccountChange { account: Some(account), ..AccountChange::default() };
        let changes = StateChanges { accounts: [(LISTS, change)].into(), codes: [(code_hash, code)].into() };
        let nodes = Some(NodeRule { contract: LISTS, form: ConnectionForm::Strings });
        let permissions = Permissions { nodes, accounts: Some(LISTS), ..Permissions::default() };
        Self { state: MemoryState::new(&changes), number: 0, memos: Memos::new(0, rules()), permissions }
    }

    /// One block with one call in it. Says whether answers about connections may differ.
    pub(crate) fn block(&mut self, call: impl SolCall) -> bool {
        self.block_to(LISTS, call.abi_encode().into())
    }

    pub(crate) fn block_to(&mut self, contract: Address, input: Bytes) -> bool {
        self.number += 1;
        let mut executor = BlockExecutor::new(rules(), env(self.number), &self.state);
        executor.system_call(contract, input, 10_000_000).unwrap();
        let changes = executor.finish().unwrap().changes;
        self.state.apply(&changes);
        let (memos, differ) = self.memos.after(self.number, &changes);
        self.memos = memos;
        differ
    }

    /// A judge of the next block.
    pub(crate) fn judge(&self) -> Judge<'_> {
        let judge = Judge::new(self.permissions, rules(), env(self.number + 1), &self.state);
        judge.with_memos(&self.memos, self.number)
    }
}
