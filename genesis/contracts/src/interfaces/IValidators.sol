// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Types.sol";

/// The set of validators, its service level and its selection.
interface IValidators {
    /// `setHash` is keccak256 of the addresses, 32 bytes each, ascending.
    event ValidatorSetChanged(uint64 indexed effective, bytes32 setHash);
    /// The share of missed turns in this window reached the warning.
    event SlaWarning(bytes32 indexed nodeKey, uint32 missed, uint32 proposed);
    /// A strike, and out of the set until it comes back.
    event SlaSuspended(bytes32 indexed nodeKey, uint8 strikes, uint64 jailedUntil);
    /// A candidate again from the next boundary on.
    event SlaReincorporated(bytes32 indexed nodeKey);
    /// A suspended validator follows the chain.
    event Heartbeat(bytes32 indexed nodeKey, uint64 height, uint16 count);
    /// By evidence of two blocks at this height.
    event Struck(bytes32 indexed nodeKey, uint64 height);
    /// By vote, after the fourth strike.
    event Readmitted(bytes32 indexed nodeKey);

    /// The set of the next block, ascending.
    function getValidators() external view returns (address[] memory);
    /// The system, at the end of every block.
    function endBlock(address author, address[] calldata missed) external;
    /// The making of the genesis: the set of block 1.
    function seedValidators(bytes32[] calldata nodeKeys) external;

    /// The validator itself: it follows the chain at this height. At most 256 blocks behind.
    function heartbeat(uint64 height, bytes32 hash) external;
    /// The same by an admin of the node's member.
    function heartbeatFor(bytes32 nodeKey, uint64 height, bytes32 hash) external;
    /// An admin of the node's member, or the validator itself.
    function requestReincorporation(bytes32 nodeKey) external;

    /// Registry: these nodes lose their permission in this block. Reverts if too many of them hold seats.
    function noteLoss(bytes32[] calldata nodeKeys) external;
    /// Evidence: the node signed two different blocks.
    function strike(bytes32 nodeKey, uint64 height) external;
    /// Governance: back after the fourth strike.
    function readmit(bytes32 nodeKey) external;

    /// The nodes of the seats, in the order of getValidators().
    function seats() external view returns (bytes32[] memory);
    /// Counters, strikes and flags; all zero if never seated.
    function getValidator(bytes32 nodeKey) external view returns (ValidatorState memory);
    /// The block whose end begins the next epoch.
    function nextBoundary() external view returns (uint64);
    /// The boundary of the next epoch, how many seats the current one began with, and how many culprits are spared.
    function epoch() external view returns (uint64 boundary, uint16 size, uint16 held);
    /// Chooses as if this block ended an epoch. A field that is 0 takes the current policy's value.
    /// reasons: 1 stays, 2 comes, 3 rotated out, 4 removed by a cap, 5 not permitted, 6 suspended or barred, 7 registered too
    /// late, 8 no free seat, 9 a cap stands against it, 10 too many changes for one epoch.
    function simulateSelection(SelectionPolicy calldata overrides)
        external
        view
        returns (bytes32[] memory nodeKeys, uint8[] memory reasons);
    /// How many acts there have been; the last 4096 can be read.
    function actCount() external view returns (uint256);
    /// One act of the journal, by its number.
    function actAt(uint256 index) external view returns (Act memory);
}
