//! The chain spec: every rule that all nodes of a network must share, resolved by height (and, for forks of
//! foreign genesis files, by time). Made once from the genesis file and never changed while a node runs.

use crate::HeaderFormat;
use alloy_primitives::{Address, U256, address};

mod changes;
mod rule_ids;
#[cfg(test)]
mod tests;
pub(crate) mod words;

pub use changes::RuleChange;
pub use rule_ids::{RuleIds, RulesDiffer, RulesNow};

/// Hard forks of the EVM that change rules, oldest first. Forks that only moved the difficulty bomb are left
/// out, and the merge too: an Istanbul chain has no proof of work to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Fork {
    Frontier,
    Homestead,
    TangerineWhistle,
    SpuriousDragon,
    Byzantium,
    Constantinople,
    Petersburg,
    Istanbul,
    Berlin,
    London,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
}

impl Fork {
    /// All forks, oldest first.
    pub const ALL: [Self; 14] = [
        Self::Frontier,
        Self::Homestead,
        Self::TangerineWhistle,
        Self::SpuriousDragon,
        Self::Byzantium,
        Self::Constantinople,
        Self::Petersburg,
        Self::Istanbul,
        Self::Berlin,
        Self::London,
        Self::Shanghai,
        Self::Cancun,
        Self::Prague,
        Self::Osaka,
    ];

    /// The newest fork this version knows, which new networks begin with.
    pub const LATEST: Self = Self::Osaka;

    /// The name in genesis files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frontier => "frontier",
            Self::Homestead => "homestead",
            Self::TangerineWhistle => "tangerineWhistle",
            Self::SpuriousDragon => "spuriousDragon",
            Self::Byzantium => "byzantium",
            Self::Constantinople => "constantinople",
            Self::Petersburg => "petersburg",
            Self::Istanbul => "istanbul",
            Self::Berlin => "berlin",
            Self::London => "london",
            Self::Shanghai => "shanghai",
            Self::Cancun => "cancun",
            Self::Prague => "prague",
            Self::Osaka => "osaka",
        }
    }

    /// The fork with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fork| fork.name() == name)
    }
}

/// When a fork begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkStart {
    /// With this block.
    Block(u64),
    /// With the first block whose timestamp (seconds) is at least this.
    Time(u64),
}

/// In which order validators take turns to propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposerPolicy {
    /// The next validator after the one that built the previous block.
    RoundRobin,
    /// The same validator as long as it succeeds in round 0.
    Sticky,
}

/// How many votes decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumRule {
    /// `ceil(2n/3)`: safe for every n.
    CeilTwoThirds,
    /// `2F+1`: GoQuorum's old rule, safe only for n = 3F+1.
    TwoFPlusOne,
}

/// What PREPARE, COMMIT and ROUND-CHANGE messages name a proposed block by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestRule {
    /// Hash of the header with the round of the proposal (EEA specification, current Besu).
    Eea,
    /// The block hash, with the round field 0 until commit (GoQuorum).
    GoQuorum,
}

/// Which client's voting and turn rules hold where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRules {
    /// GoQuorum's.
    GoQuorum,
    /// Besu's.
    Besu,
}

/// Consensus parameters in force from some block on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusParams {
    /// Header format and algorithm.
    pub format: HeaderFormat,
    /// Least time between two blocks, milliseconds. Below 1000 the timestamps only must not decrease.
    pub block_period_ms: u64,
    /// Time after which an empty block is made, milliseconds; never below the block period.
    pub empty_block_period_ms: u64,
    /// Timeout of round 0, milliseconds; doubles with each round.
    pub request_timeout_ms: u64,
    /// Upper bound of the doubled timeout, milliseconds.
    pub max_request_timeout_ms: u64,
    /// Votes on validators are dropped at every multiple of this height.
    pub epoch_length: u64,
    /// Turn order.
    pub proposer_policy: ProposerPolicy,
    /// Quorum size.
    pub quorum: QuorumRule,
    /// Digest convention.
    pub digest: DigestRule,
    /// Voting and turn rules.
    pub rules: ClientRules,
    /// Replaces the validator set at the height from which these parameters hold.
    pub validators: Option<Vec<Address>>,
    /// From the height at which these parameters hold the validators are what this contract's `getValidators()`
    /// answers on the state after the block before; where `validators` is given too, that list at the first height,
    /// and the contract afterwards. `None`: header votes decide.
    pub validator_contract: Option<Address>,
    /// Wei credited per block; zero on most networks.
    pub block_reward: U256,
    /// Who receives rewards and fees instead of the proposer.
    pub beneficiary: Option<Address>,
}

/// Size limits in force from some block on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest contract code, bytes (EIP-170: 24,576).
    pub code_size: usize,
    /// Longest init code, bytes (EIP-3860: twice the code size).
    pub init_code_size: usize,
    /// Longest transaction in EIP-2718 form, bytes.
    pub transaction_size: usize,
    /// Longest block in RLP form, bytes.
    pub block_size: usize,
    /// Gas limit that every header must carry; `None` takes any (history made by GoQuorum).
    pub gas_limit: Option<u64>,
}

/// Contracts that decide who may connect and transact, from some block on. `None`: everybody may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Answers `connectionAllowed`, in this form.
    pub nodes: Option<NodeRule>,
    /// Answers `transactionAllowed`.
    pub accounts: Option<Address>,
    /// Is called at the end of every block: `endBlock(address,address[])`.
    pub system: Option<Address>,
    /// Meters gas per member: `memberOf`, `available`, `charge`.
    pub quotas: Option<Address>,
}

/// Private transactions, from some block on. By default there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Whether legacy transactions with `v` 37 or 38 are private: their data names a payload that only its parties have,
    /// and the public state sees no more of them than nonce and intrinsic gas.
    pub transactions: bool,
    /// Whether contracts may be protected (privacy flags 1 to 3).
    pub enhancements: bool,
    /// Whether a public transaction to [`MARKER_PRECOMPILE`] may carry a private one, and who may sign it.
    pub markers: Option<MarkerRule>,
    /// Says who has to be a party of whose private transactions, and at which nodes parties are: `requiredParties`,
    /// `requiredPartiesOfNode`, `isSupervisor`, `holdersOf`. `None`: nobody has to, and nodes say themselves.
    pub parties: Option<Address>,
}

/// Who may sign a privacy marker transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerRule {
    /// Who signed the private transaction inside, with the same nonce: GoQuorum's rule.
    SameSigner,
    /// Anybody, so that the chain does not show who deals: each private transaction inside runs once.
    AnySigner,
}

impl Privacy {
    /// What new networks begin with.
    pub const OF_NEW_NETWORKS: Self =
        Self { transactions: true, enhancements: true, markers: Some(MarkerRule::AnySigner), parties: None };
}

impl MarkerRule {
    /// Both rules.
    pub const ALL: [Self; 2] = [Self::AnySigner, Self::SameSigner];

    /// The name in genesis files.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameSigner => "sameSigner",
            Self::AnySigner => "anySigner",
        }
    }

    /// The rule with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// Where privacy marker transactions go.
pub const MARKER_PRECOMPILE: Address = address!("000000000000000000000000000000000000007a");

/// The contract that says which nodes may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRule {
    /// Where it stands.
    pub contract: Address,
    /// How it is asked.
    pub form: ConnectionForm,
}

/// In which form `connectionAllowed` is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionForm {
    /// `connectionAllowed(string,string,uint16)`, once for each end: Besu's interface version 2, GoQuorum's model v2.
    Strings,
    /// `connectionAllowed(bytes32,bytes32,bytes16,uint16,bytes32,bytes32,bytes16,uint16)`, both ends as words: Besu's
    /// interface version 1.
    Words,
}

impl ConnectionForm {
    /// The number of Besu's interface, which stands in genesis files.
    pub fn interface(self) -> u64 {
        match self {
            Self::Words => 1,
            Self::Strings => 2,
        }
    }

    /// The form with this number.
    pub fn from_interface(number: u64) -> Option<Self> {
        [Self::Words, Self::Strings].into_iter().find(|form| form.interface() == number)
    }
}

/// Every rule of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// Chain id (EIP-155).
    pub chain_id: u64,
    /// Nothing is charged whatever price a transaction offers; balance is checked for value only; the base
    /// fee is 0 and always present from London on.
    pub free_gas: bool,
    /// Forks in order; a fork that is not listed never begins.
    pub forks: Vec<(Fork, ForkStart)>,
    /// Consensus parameters by the first height they hold at, ascending, the first at 0; each complete.
    pub consensus: Vec<(u64, ConsensusParams)>,
    /// Limits likewise.
    pub limits: Vec<(u64, Limits)>,
    /// Permission contracts likewise.
    pub permissions: Vec<(u64, Permissions)>,
    /// Private transactions likewise.
    pub privacy: Vec<(u64, Privacy)>,
}

/// What executing or checking one block needs of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRules {
    /// Chain id.
    pub chain_id: u64,
    /// The EVM's rules.
    pub fork: Fork,
    /// No fees are charged.
    pub free_gas: bool,
    /// Size limits.
    pub limits: Limits,
    /// Wei credited to `beneficiary` (or the proposer) after the transactions.
    pub block_reward: U256,
    /// Receiver of rewards and fees, where it is not the proposer.
    pub beneficiary: Option<Address>,
    /// Private transactions.
    pub privacy: Privacy,
}

impl ChainSpec {
    /// The rules of the block with this height and timestamp (seconds).
    pub fn rules_at(&self, number: u64, timestamp: u64) -> BlockRules {
        let consensus = self.consensus_at(number);
        BlockRules {
            chain_id: self.chain_id,
            fork: self.fork_at(number, timestamp),
            free_gas: self.free_gas,
            limits: *last_at(&self.limits, number),
            block_reward: consensus.block_reward,
            beneficiary: consensus.beneficiary,
            privacy: *self.privacy_at(number),
        }
    }

    /// The newest fork in force at this height and timestamp.
    pub fn fork_at(&self, number: u64, timestamp: u64) -> Fork {
        let begun = |start: &ForkStart| match *start {
            ForkStart::Block(block) => number >= block,
            ForkStart::Time(time) => timestamp >= time,
        };
        let newest = self.forks.iter().filter(|(_, start)| begun(start)).map(|(fork, _)| *fork).max();
        newest.unwrap_or(Fork::Frontier)
    }

    /// Consensus parameters of this height.
    pub fn consensus_at(&self, number: u64) -> &ConsensusParams {
        last_at(&self.consensus, number)
    }

    /// Limits of this height.
    pub fn limits_at(&self, number: u64) -> &Limits {
        last_at(&self.limits, number)
    }

    /// Permission contracts of this height.
    pub fn permissions_at(&self, number: u64) -> &Permissions {
        last_at(&self.permissions, number)
    }

    /// Private transactions at this height.
    pub fn privacy_at(&self, number: u64) -> &Privacy {
        last_at(&self.privacy, number)
    }

    /// The list of validators that the spec puts in force with exactly this height.
    pub fn validators_listed_at(&self, number: u64) -> Option<&[Address]> {
        let entry = self.consensus.iter().rev().find(|(from, _)| *from == number);
        entry.and_then(|(_, params)| params.validators.as_deref())
    }

    /// Whether the header of this height commits to the validators of the next one: there a contract chooses them,
    /// and the spec lists none. Block 0 commits to nothing: who validates block 1 is in it, or in the spec.
    pub fn commits_to_validators(&self, number: u64) -> bool {
        let Some(next) = number.checked_add(1).filter(|next| *next > 1) else { return false };
        self.consensus_at(next).validator_contract.is_some() && self.validators_listed_at(next).is_none()
    }

    /// The header format of this height.
    pub fn format_at(&self, number: u64) -> HeaderFormat {
        self.consensus_at(number).format
    }
}

/// The last entry whose height is not above `number`; all lists begin at height 0 by construction.
fn last_at<T>(list: &[(u64, T)], number: u64) -> &T {
    let after = list.partition_point(|(from, _)| *from <= number);
    &list[after.saturating_sub(1)].1
}
