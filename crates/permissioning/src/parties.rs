//! Who has to be a party of what is shared, and which nodes hold a party's key, at one state.
//!
//! No rule of a block's validity stands here: a node asks at its own newest state, when it shares something.

use crate::interface::{HOLDERS_MAX, PartyRules, QUESTION_GAS, REQUIRED_MAX};
use crate::judge::returned;
use alloy_primitives::{Address, B256, B512, Bytes, keccak256};
use alloy_sol_types::SolCall;
use lonja_evm::{BlockEnv, Inquiry};
use lonja_primitives::{BlockRules, NodeId, StateView};

/// Asks the contract of parties at one state. Every error is in words, and closes what was asked for.
pub struct PartyJudge<'a> {
    contract: Address,
    inquiry: Inquiry<'a>,
}

impl<'a> PartyJudge<'a> {
    /// Questions to this contract under these rules, as if in this block, at this state.
    pub fn new(contract: Address, rules: &BlockRules, env: &BlockEnv, state: &'a dyn StateView) -> Self {
        Self { contract, inquiry: Inquiry::new(rules, env, state) }
    }

    /// The keys that must be parties of what this account sends.
    ///
    /// # Errors
    /// There is no contract, no answer, or one that is no list of at most [`REQUIRED_MAX`] keys.
    pub fn required(&mut self, account: Address) -> Result<Vec<B256>, String> {
        let keys = self.ask(&PartyRules::requiredPartiesCall { account }, 2 + REQUIRED_MAX)?;
        self.at_most(keys, REQUIRED_MAX)
    }

    /// The keys that must be parties of what is sent by way of this node.
    ///
    /// # Errors
    /// As of [`Self::required`].
    pub fn required_of(&mut self, node: &NodeId) -> Result<Vec<B256>, String> {
        let node = keccak256(node.0);
        let keys = self.ask(&PartyRules::requiredPartiesOfNodeCall { node }, 2 + REQUIRED_MAX)?;
        self.at_most(keys, REQUIRED_MAX)
    }

    /// Whether the key must be a party of anything.
    ///
    /// # Errors
    /// There is no contract, or no answer.
    pub fn is_supervisor(&mut self, key: B256) -> Result<bool, String> {
        self.ask(&PartyRules::isSupervisorCall { key }, 1)
    }

    /// The nodes that hold this key; `None` where the contract does not know, and nodes may say so themselves.
    ///
    /// # Errors
    /// There is no contract, no answer, or one that is no list of at most [`HOLDERS_MAX`] public keys.
    pub fn holders(&mut self, party: B256) -> Result<Option<Vec<NodeId>>, String> {
        // Of each key its place, its length and two words.
        let said = self.ask(&PartyRules::holdersOfCall { party }, 3 + 4 * HOLDERS_MAX)?;
        let node =
            |key: Bytes| B512::try_from(key.as_ref()).map(NodeId).map_err(|_| self.no_answer(key.len()));
        let nodes = said.publicKeys.into_iter().map(node).collect::<Result<Vec<_>, _>>()?;
        let nodes = self.at_most(nodes, HOLDERS_MAX)?;
        Ok(said.bound.then_some(nodes))
    }

    /// One question, whose answer has at most so many words.
    fn ask<C: SolCall>(&mut self, call: &C, words: usize) -> Result<C::Return, String> {
        metrics::counter!("lonja_permission_questions_total").increment(1);
        let input = Bytes::from(call.abi_encode());
        let answer =
            self.inquiry.ask(self.contract, input, QUESTION_GAS).map_err(|error| error.to_string())?;
        let output = returned(&answer.said, self.contract)?;
        if output.len() > 32 * words {
            return Err(self.no_answer(output.len()));
        }
        C::abi_decode_returns_validate(output).map_err(|_| self.no_answer(output.len()))
    }

    fn at_most<T>(&self, list: Vec<T>, most: usize) -> Result<Vec<T>, String> {
        match list.len() <= most {
            true => Ok(list),
            false => Err(format!("the contract {} named more than {most}", self.contract)),
        }
    }

    fn no_answer(&self, bytes: usize) -> String {
        format!("the contract {} answered {bytes} bytes that are no answer", self.contract)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::abi::{GOVERNANCE, PARTIES, Parties, Scope};
    use crate::registry::testing::World as Network;
    use crate::tests::world::{World, env, rules};
    use alloy_primitives::{U256, hex};
    use alloy_sol_types::{SolValue, sol};
    use lonja_primitives::{Account, AccountChange, StateChanges};

    sol! {
        function addSupervisor(uint8 scope, bytes32 subject, bytes32 key) external;
    }

    const KEY: B256 = B256::repeat_byte(0xa1);

    fn judge(world: &Network) -> PartyJudge<'_> {
        PartyJudge::new(PARTIES, &world.genesis.spec.rules_at(1, 0), &Network::env(1), &world.state)
    }

    /// Carries out a call in the name of this account, which gets code for that: it hands on what it is told.
    fn act(world: &mut Network, from: Address, call: &impl SolCall) {
        // CALLDATACOPY of everything, CALL of 0x7008 with it, and its success as a word.
        let code = Bytes::from_static(&hex!("365f5f375f5f365f5f6170085af15f5260205ff3"));
        let code_hash = keccak256(&code);
        let account = Account { nonce: 1, balance: U256::ZERO, code_hash };
        let change = AccountChange { account: Some(account), ..AccountChange::default() };
        let changes = StateChanges { accounts: [(from, change)].into(), codes: [(code_hash, code)].into() };
        world.state.apply(&changes);
        let outcome = world.system(1, from, call);
        assert_eq!(outcome.output, U256::from(1).abi_encode(), "the contract refuses");
    }

    #[test]
    fn the_registry_names_supervisors() {
        let mut world = Network::new();
        let member = world.plan.members[0].clone();
        let (account, node) = (member.accounts[0].address, member.nodes[0].node);
        let stranger = Address::repeat_byte(0x57);
        assert_eq!(judge(&world).required(account), Ok(vec![]));
        assert_eq!(judge(&world).is_supervisor(KEY), Ok(false));
        let (scope, subject) = Scope::Member(member.id).words();
        act(&mut world, GOVERNANCE, &addSupervisorCall { scope, subject, key: KEY });
        let mut judge = judge(&world);
        assert_eq!(judge.required(account), Ok(vec![KEY]));
        assert_eq!(judge.required_of(&node), Ok(vec![KEY]));
        assert_eq!(judge.required(stranger), Ok(vec![]));
        assert_eq!(judge.required_of(&world.plan.members[1].nodes[0].node), Ok(vec![]));
        assert_eq!(judge.is_supervisor(KEY), Ok(true));
    }

    #[test]
    fn the_registry_says_where_a_key_is() {
        let mut world = Network::new();
        let member = world.plan.members[0].clone();
        assert_eq!(judge(&world).holders(KEY), Ok(None));
        let node = &member.nodes[0];
        act(&mut world, member.input.admins[0], &Parties::bindPartyCall { nodeKey: node.key(), party: KEY });
        assert_eq!(judge(&world).holders(KEY), Ok(Some(vec![node.node])));
    }

    /// A contract that answers everything with these bytes.
    fn answering(output: &[u8]) -> World {
        let size = u16::try_from(output.len()).unwrap().to_be_bytes();
        // PUSH2 size, PUSH1 15, PUSH0, CODECOPY, PUSH2 size, PUSH0, RETURN, and padding to 15 bytes.
        let mut code = [&[0x61][..], &size, &hex!("600f5f3961"), &size, &hex!("5ff3")].concat();
        code.resize(15, 0);
        World::with_code([&code[..], output].concat())
    }

    #[test]
    fn answers_that_are_none_close() {
        let ask = |output: &[u8]| {
            let world = answering(output);
            let (rules, env) = (rules(), env(1));
            let mut judge = PartyJudge::new(crate::tests::world::LISTS, &rules, &env, &world.state);
            let required = judge.required(Address::ZERO);
            let supervisor = judge.is_supervisor(KEY);
            let holders = judge.holders(KEY);
            (required, supervisor, holders)
        };
        let keys = |count: usize| vec![KEY; count].abi_encode();
        assert_eq!(ask(&keys(REQUIRED_MAX)).0, Ok(vec![KEY; REQUIRED_MAX]));
        for wrong in [keys(REQUIRED_MAX + 1), keys(1)[..64].to_vec(), vec![], vec![0xff; 96]] {
            assert!(ask(&wrong).0.unwrap_err().contains("no answer"), "{wrong:?}");
        }
        assert_eq!(ask(&U256::from(1).abi_encode()).1, Ok(true));
        assert!(ask(&U256::from(2).abi_encode()).1.is_err());
        let holders = |bound: bool, keys: Vec<Bytes>| (bound, keys).abi_encode_params();
        let key = Bytes::from(vec![7; 64]);
        let nodes = |count: usize| vec![NodeId(B512::repeat_byte(7)); count];
        assert_eq!(ask(&holders(false, vec![])).2, Ok(None));
        assert_eq!(ask(&holders(true, vec![])).2, Ok(Some(vec![])), "bound, and nobody has it");
        let most = holders(true, vec![key.clone(); HOLDERS_MAX]);
        assert_eq!(ask(&most).2, Ok(Some(nodes(HOLDERS_MAX))));
        assert!(ask(&holders(true, vec![key.clone(); HOLDERS_MAX + 1])).2.is_err());
        assert!(ask(&holders(true, vec![key.slice(1..)])).2.is_err());
        let (rules, env) = (rules(), env(1));
        let world = World::new();
        let missing = PartyJudge::new(KEY_HOLE, &rules, &env, &world.state).required(Address::ZERO);
        assert!(missing.unwrap_err().contains("no contract"));
    }

    /// Where nothing stands.
    const KEY_HOLE: Address = Address::repeat_byte(0x11);
}
