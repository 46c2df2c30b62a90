//! What the contracts are asked, and how much gas an answer may cost.
//!
//! The allowances are rules of the chain: a contract that needs more gives no answer, on every node.

use alloy_sol_types::sol;

/// Gas for `connectionAllowed` and `transactionAllowed`, and the questions beside them. GoQuorum's contracts, the most
/// expensive in use, need some 200,000.
pub const QUESTION_GAS: u64 = 2_000_000;

/// Gas for `getValidators`: a list of 1,000 from as many slots, three times over.
pub const VALIDATORS_GAS: u64 = 10_000_000;

/// Gas for `endBlock`, which now and then chooses among a hundred candidates.
pub const END_BLOCK_GAS: u64 = 50_000_000;

/// Gas for `charge`: some 1,000 members that sent transactions in one block.
pub const CHARGE_GAS: u64 = 20_000_000;

/// More validators than this are no answer: every header names them all.
pub const VALIDATORS_MAX: usize = 1_000;

/// More keys that must be parties of what one account sends are no answer: each gets a copy of everything.
pub const REQUIRED_MAX: usize = 16;

/// More nodes that hold one key are no answer.
pub const HOLDERS_MAX: usize = 16;

/// Most bytes of an answer in words that are looked at.
pub const REASON_BYTES_MAX: usize = 1_024;

sol! {
    /// Who may connect, in the form of Besu's interface version 2 and GoQuorum's model v2.
    interface Connections {
        /// Whether the node with this public key (128 hex digits) may connect from or at this host and port.
        function connectionAllowed(string enodeId, string host, uint16 port) external view returns (bool);
        /// Why not, in words; empty where it may. Only lonja's own contracts have it.
        function connectionRefusal(string enodeId, string host, uint16 port) external view returns (string);
    }

    /// Who may connect, in the form of Besu's interface version 1: both ends at once.
    interface ConnectionsByWords {
        /// All ones: it may.
        function connectionAllowed(
            bytes32 sourceHigh, bytes32 sourceLow, bytes16 sourceIp, uint16 sourcePort,
            bytes32 targetHigh, bytes32 targetLow, bytes16 targetIp, uint16 targetPort
        ) external view returns (bytes32);
    }

    /// Who may transact.
    interface Transactions {
        /// Whether this transaction may be in a block. `target` is zero where it creates a contract.
        function transactionAllowed(
            address sender, address target, uint256 value, uint256 gasPrice, uint256 gasLimit, bytes payload
        ) external view returns (bool);
        /// Why not, in words; empty where it may. Only lonja's own contracts have it.
        function transactionRefusal(
            address sender, address target, uint256 value, uint256 gasPrice, uint256 gasLimit, bytes payload
        ) external view returns (string);
    }

    /// Who validates.
    interface Validators {
        /// The validators of the block after the one at whose state this is asked.
        function getValidators() external view returns (address[]);
    }

    /// What a block tells a registry when its transactions are done.
    interface System {
        /// Who built the block, and whose turns before that passed without one.
        function endBlock(address author, address[] missed) external;
    }

    /// Who has to be a party of what is shared, and where parties are.
    interface PartyRules {
        /// The keys that must be parties of what this account sends.
        function requiredParties(address account) external view returns (bytes32[] keys);
        /// The keys that must be parties of what is sent by way of a node. `node`: hash of its public key.
        function requiredPartiesOfNode(bytes32 node) external view returns (bytes32[] keys);
        /// Whether the key is one that must be a party of anything.
        function isSupervisor(bytes32 key) external view returns (bool);
        /// Whether it is known on chain which nodes hold a key, and the public keys (64 bytes) of these.
        function holdersOf(bytes32 party) external view returns (bool bound, bytes[] publicKeys);
    }

    /// How much gas members have left.
    interface Quotas {
        /// The member that an account belongs to; zero for none.
        function memberOf(address account) external view returns (bytes32);
        /// Gas that the member has left in the block that asks, and gas that comes back with every block. All ones: no limit.
        function available(bytes32 member) external view returns (uint256 gas, uint256 gasPerBlock);
        /// Takes off what members used in a block.
        function charge(bytes32[] members, uint64[] gas) external;
    }
}
