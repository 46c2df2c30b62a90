//! The networks the tests are of, as chain specs.

use crate::skip::Skip;
use alloy_primitives::{Address, U256};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::{ForkStart, Limits};
use lonja_primitives::{BlockRules, ChainSpec, Fork, Genesis};
use std::sync::LazyLock;

/// Chain id of mainnet, which all tests are of.
pub(crate) const CHAIN_ID: u64 = 1;

/// Difficulty at which mainnet's test network of the merge stops working.
const PARIS_DIFFICULTY: u64 = 0xc_0000;

/// Timestamp of the forks in tests of a fork by time.
const FORK_TIME: u64 = 15_000;

/// Block of the forks in tests of a fork by height.
const FORK_BLOCK: u64 = 5;

/// A genesis with which the harness begins; what counts is replaced.
pub(crate) static TEMPLATE: LazyLock<Genesis> = LazyLock::new(|| {
    let network =
        NewNetwork { chain_id: CHAIN_ID, validators: vec![Address::repeat_byte(1)], ..NewNetwork::default() };
    Genesis::from_json(&network.to_json()).expect("the genesis file of a new network is well formed")
});

/// How far a fork delays the difficulty bomb, in blocks: its own forks, which the EVM does not notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bomb {
    /// As the fork that brought rules for the EVM has it.
    OfFork,
    /// Delayed by this many blocks.
    Delayed(u64),
}

/// Mainnet, with its forks where a test wants them.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// Its rules as the node knows them.
    pub(crate) spec: ChainSpec,
    /// Total difficulty from which on blocks come without work; `None` on networks that never get there.
    pub(crate) terminal_difficulty: Option<U256>,
    /// From which block on the DAO's accounts are emptied.
    pub(crate) dao_block: Option<u64>,
    pub(crate) bomb: Bomb,
}

impl Network {
    /// The network with this name in the tests.
    pub(crate) fn named(name: &str) -> Result<Self, Skip> {
        if let Some(network) = transition(name) {
            return Ok(network);
        }
        match name {
            "Constantinople" | "ByzantiumToConstantinopleAt5" => Err(Skip::Constantinople),
            "MuirGlacier" => Ok(Self { bomb: Bomb::Delayed(9_000_000), ..Self::at(Fork::Istanbul) }),
            "ArrowGlacier" => Ok(Self { bomb: Bomb::Delayed(10_700_000), ..Self::at(Fork::London) }),
            "GrayGlacier" => Ok(Self { bomb: Bomb::Delayed(11_400_000), ..Self::at(Fork::London) }),
            "Paris" | "Merge" => Ok(Self { terminal_difficulty: Some(U256::ZERO), ..Self::at(Fork::London) }),
            name => fork(name).map(Self::at).ok_or(Skip::UnknownFork),
        }
    }

    fn at(fork: Fork) -> Self {
        Self::with(vec![(fork, ForkStart::Block(0))])
    }

    fn with(forks: Vec<(Fork, ForkStart)>) -> Self {
        let mut spec = TEMPLATE.spec.clone();
        let starts_without_work = forks.first().is_some_and(|(fork, _)| *fork >= Fork::Shanghai);
        spec.chain_id = CHAIN_ID;
        spec.free_gas = false;
        spec.forks = forks;
        spec.limits = vec![(0, limits())];
        Self {
            spec,
            terminal_difficulty: starts_without_work.then_some(U256::ZERO),
            dao_block: None,
            bomb: Bomb::OfFork,
        }
    }

    /// A chain of a development tool, which has no work, or none that anybody looks at.
    pub(crate) fn of_test_chain(chain_id: u64, forks: Vec<(Fork, ForkStart)>) -> Self {
        let mut network = Self::with(forks);
        network.spec.chain_id = chain_id;
        network
    }

    /// The rules of a block of a test.
    pub(crate) fn rules_at(&self, number: u64, timestamp: u64) -> BlockRules {
        self.spec.rules_at(number, timestamp)
    }
}

/// Mainnet's limits; those that only networks of ours have let everything pass.
fn limits() -> Limits {
    Limits {
        code_size: 24_576,
        init_code_size: 49_152,
        transaction_size: usize::MAX,
        block_size: usize::MAX,
        gas_limit: None,
    }
}

fn fork(name: &str) -> Option<Fork> {
    Some(match name {
        "Frontier" => Fork::Frontier,
        "Homestead" => Fork::Homestead,
        "EIP150" => Fork::TangerineWhistle,
        "EIP158" => Fork::SpuriousDragon,
        "Byzantium" => Fork::Byzantium,
        "ConstantinopleFix" | "Petersburg" => Fork::Petersburg,
        "Istanbul" => Fork::Istanbul,
        "Berlin" => Fork::Berlin,
        "London" => Fork::London,
        "Shanghai" => Fork::Shanghai,
        "Cancun" => Fork::Cancun,
        "Prague" => Fork::Prague,
        "Osaka" => Fork::Osaka,
        _ => return None,
    })
}

/// Networks that change their rules on the way: `AToBAt5` and `AToBAtTime15k`, and two of their own kind.
fn transition(name: &str) -> Option<Network> {
    let homestead = || vec![(Fork::Homestead, ForkStart::Block(0))];
    match name {
        "HomesteadToDaoAt5" => {
            return Some(Network { dao_block: Some(FORK_BLOCK), ..Network::with(homestead()) });
        }
        "ArrowGlacierToParisAtDiffC0000" => {
            return Some(Network {
                terminal_difficulty: Some(U256::from(PARIS_DIFFICULTY)),
                bomb: Bomb::Delayed(10_700_000),
                ..Network::at(Fork::London)
            });
        }
        _ => {}
    }
    let (forks, start) = match name.strip_suffix("AtTime15k") {
        Some(forks) => (forks, ForkStart::Time(FORK_TIME)),
        None => (name.strip_suffix("At5")?, ForkStart::Block(FORK_BLOCK)),
    };
    let (first, then) = forks.split_once("To")?;
    let paris = first == "Paris";
    let first = if paris { Fork::London } else { fork(first)? };
    let mut network = Network::with(vec![(first, ForkStart::Block(0)), (fork(then)?, start)]);
    if paris {
        network.terminal_difficulty = Some(U256::ZERO);
    }
    Some(network)
}
