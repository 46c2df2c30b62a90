// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./Types.sol";
import "./interfaces/IPolicy.sol";
import "./interfaces/IQuotas.sol";
import "./interfaces/IRegistry.sol";

/// Gas per member: a bucket that fills by the rate of the member's class, block by block, and is emptied by what its accounts
/// used. It starts full.
contract Quotas is IQuotas {
    struct Bucket {
        uint128 level;
        uint64 updated;
        bool used;
    }

    /// Enough to finish one member; with less left, the rest of a charge is let go rather than all of it undone.
    uint256 private constant GAS_PER_MEMBER = 60_000;

    // slot 0
    mapping(bytes32 memberId => Bucket) internal buckets;

    /// @inheritdoc IQuotas
    function memberOf(address account) external view returns (bytes32) {
        return IRegistry(REGISTRY).memberOf(account);
    }

    /// @inheritdoc IQuotas
    function available(bytes32 memberId) external view returns (uint256 gas, uint256 gasPerBlock) {
        (uint8 status,, uint8 class) = IRegistry(REGISTRY).memberFacts(memberId);
        (bool enabled, uint64 rate, uint32 capBlocks) = IPolicy(POLICY).quotaOf(class);
        if (!enabled || status == 0) return (type(uint256).max, 0);
        return (_level(buckets[memberId], rate, capBlocks), rate);
    }

    /// @inheritdoc IQuotas
    function charge(bytes32[] calldata members, uint64[] calldata gas) external {
        if (msg.sender != SYSTEM) revert OnlySystem();
        QuotaPolicy memory quota = IPolicy(POLICY).quotaPolicy();
        if (!quota.enabled) return;
        uint256 count = members.length < gas.length ? members.length : gas.length;
        for (uint256 i = 0; i < count && gasleft() > GAS_PER_MEMBER; i++) {
            (uint8 status,, uint8 class) = IRegistry(REGISTRY).memberFacts(members[i]);
            if (status == 0) continue;
            Bucket storage bucket_ = buckets[members[i]];
            uint256 level = _level(bucket_, quota.rates[class], quota.capBlocks);
            level = level > gas[i] ? level - gas[i] : 0;
            (bucket_.level, bucket_.updated, bucket_.used) = (uint128(level), uint64(block.number), true);
        }
    }

    /// @inheritdoc IQuotas
    function bucket(bytes32 memberId) external view returns (uint128, uint64) {
        return (buckets[memberId].level, buckets[memberId].updated);
    }

    function _level(Bucket storage bucket_, uint256 rate, uint256 capBlocks) private view returns (uint256) {
        uint256 cap = rate * capBlocks;
        if (!bucket_.used) return cap;
        uint256 level = bucket_.level + rate * (block.number - bucket_.updated);
        return level < cap ? level : cap;
    }
}
