// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./PolicyBounds.sol";
import "./Types.sol";
import "./interfaces/IPolicy.sol";
import "./interfaces/IRegistry.sol";
import "./interfaces/IValidators.sol";

/// The values that the network decides by vote. A change comes into force at an epoch boundary, never within an epoch.
contract Policy is IPolicy {
    // slot 0: the number of the newest values, the block from which they are in force (0: they are), and their place below.
    uint64 public revision;
    uint64 internal effective;
    uint8 internal newest;
    // slots 1 and on: the newest values and those before them.
    PolicyValues[2] internal values;

    /// @inheritdoc IPolicy
    function seedPolicy(PolicyValues calldata given) external {
        if (msg.sender != SYSTEM || block.number != 0) revert OnlySeeding();
        PolicyBounds.check(given);
        values[0] = given;
        revision = 1;
        emit PolicyChanged(1, 0, given);
    }

    /// @inheritdoc IPolicy
    function replace(uint64 given, PolicyValues calldata next) external {
        if (msg.sender != GOVERNANCE) revert OnlyContract(GOVERNANCE);
        if (given != revision) revert StaleRevision(given, revision);
        PolicyValues storage current = values[_inForce()];
        PolicyBounds.check(next);
        PolicyBounds.checkCaps(current.selection, next.selection);
        if (next.votes.minElectorate > IRegistry(REGISTRY).electorate()) revert BadPolicy("minElectorate");
        uint64 boundary = IValidators(VALIDATORS).nextBoundary();
        if (boundary <= block.number) boundary += current.selection.epochLength;
        // Values that never came into force are overwritten.
        newest = _inForce() ^ 1;
        effective = boundary;
        revision++;
        values[newest] = next;
        emit PolicyChanged(revision, boundary, next);
    }

    /// @inheritdoc IPolicy
    function check(PolicyValues calldata given) external pure {
        PolicyBounds.check(given);
    }

    /// @inheritdoc IPolicy
    function policy() external view returns (PolicyValues memory) {
        return values[_inForce()];
    }

    /// @inheritdoc IPolicy
    function nextPolicy() external view returns (uint64, uint64, PolicyValues memory) {
        return (revision, effective, values[newest]);
    }

    /// @inheritdoc IPolicy
    function selectionPolicy() external view returns (SelectionPolicy memory) {
        return values[_inForce()].selection;
    }

    /// @inheritdoc IPolicy
    function slaPolicy() external view returns (SlaPolicy memory) {
        return values[_inForce()].sla;
    }

    /// @inheritdoc IPolicy
    function votePolicy() external view returns (VotePolicy memory) {
        return values[_inForce()].votes;
    }

    /// @inheritdoc IPolicy
    function limitPolicy() external view returns (LimitPolicy memory) {
        return values[_inForce()].limits;
    }

    /// @inheritdoc IPolicy
    function quotaPolicy() external view returns (QuotaPolicy memory) {
        return values[_inForce()].quota;
    }

    /// @inheritdoc IPolicy
    function quotaOf(uint8 class) external view returns (bool, uint64, uint32) {
        QuotaPolicy storage quota = values[_inForce()].quota;
        return (quota.enabled, quota.rates[class], quota.capBlocks);
    }

    /// @inheritdoc IPolicy
    function confirmationLength() external view returns (uint32) {
        return values[_inForce()].votes.confirmationLength;
    }

    /// @inheritdoc IPolicy
    function minElectorate() external view returns (uint16) {
        return values[_inForce()].votes.minElectorate;
    }

    /// @inheritdoc IPolicy
    function settle() external {
        if (msg.sender != VALIDATORS) revert OnlyContract(VALIDATORS);
        if (effective != 0 && block.number >= effective) effective = 0;
    }

    /// The clock is looked at only while values wait: what does not depend on it can be remembered.
    function _inForce() private view returns (uint8) {
        return effective == 0 || block.number >= effective ? newest : newest ^ 1;
    }
}
