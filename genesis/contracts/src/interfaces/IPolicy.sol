// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Types.sol";

/// The values that votes of kind 7 change. Every read answers what is in force in the block of the read.
interface IPolicy {
    /// New values, in force from block `effective` on.
    event PolicyChanged(uint64 indexed revision, uint64 indexed effective, PolicyValues values);

    /// The making of the genesis.
    function seedPolicy(PolicyValues calldata values) external;
    /// Governance. `revision` must be the newest one: two open changes cannot overwrite each other.
    function replace(uint64 revision, PolicyValues calldata values) external;
    /// Validators, at the end of an epoch: what waited for it waits no more.
    function settle() external;
    /// Reverts with the name of the field that is out of bounds.
    function check(PolicyValues calldata values) external pure;

    /// All values in force.
    function policy() external view returns (PolicyValues memory);
    /// The newest values and the block from which they are in force; 0 where no others are any more.
    function nextPolicy() external view returns (uint64 revision, uint64 effective, PolicyValues memory);
    /// The number of the newest values, in force or not.
    function revision() external view returns (uint64);
    /// The part on selection.
    function selectionPolicy() external view returns (SelectionPolicy memory);
    /// The part on service level.
    function slaPolicy() external view returns (SlaPolicy memory);
    /// The part on votes.
    function votePolicy() external view returns (VotePolicy memory);
    /// The part on limits.
    function limitPolicy() external view returns (LimitPolicy memory);
    /// `votes.confirmationLength` alone.
    function confirmationLength() external view returns (uint32);
    /// `votes.minElectorate` alone.
    function minElectorate() external view returns (uint16);
    /// What a member of this class gets; 0 to 7.
    function quotaOf(uint8 class) external view returns (bool enabled, uint64 rate, uint32 capBlocks);
    /// The part on quotas.
    function quotaPolicy() external view returns (QuotaPolicy memory);
}
