// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./Types.sol";
import "./interfaces/IPolicy.sol";
import "./interfaces/IRegistry.sol";
import "./interfaces/IValidators.sol";

/// Storage of the validators: the set, what is known of each, and the journal of what the system did.
abstract contract ValidatorsStorage is IValidators {
    /// `recheckAt`: when a seat's permission runs out by time. `recheck`: a loss is known that is not carried out yet.
    struct Epoch {
        uint64 boundary;
        uint64 permissionsSeen;
        uint64 recheckAt;
        uint16 size;
        uint16 held;
        bool recheck;
    }

    /// Seats lost in the block named and in the one before it: as announced by the registry, and as carried out.
    struct Losses {
        uint64 notedAt;
        uint16 noted;
        uint16 notedBefore;
        uint64 removedAt;
        uint16 removed;
        uint16 removedBefore;
    }

    uint256 internal constant JOURNAL_LENGTH = 4096;

    // slot 0: what getValidators() answers, ascending; slot 1: the nodes of these seats, in the same order.
    address[] internal set;
    bytes32[] internal seatKeys;
    // slots 2 and on
    mapping(address validator => bytes32 nodeKey) internal seatOf;
    mapping(bytes32 nodeKey => ValidatorState) internal states;
    Epoch internal epochState;
    Losses internal losses;
    uint256 public actCount;
    mapping(uint256 place => Act) internal journal;

    /// @inheritdoc IValidators
    function getValidators() external view returns (address[] memory) {
        return set;
    }

    /// @inheritdoc IValidators
    function seats() external view returns (bytes32[] memory) {
        return seatKeys;
    }

    /// @inheritdoc IValidators
    function getValidator(bytes32 nodeKey) external view returns (ValidatorState memory) {
        return states[nodeKey];
    }

    /// @inheritdoc IValidators
    function nextBoundary() external view returns (uint64) {
        return epochState.boundary;
    }

    /// @inheritdoc IValidators
    function epoch() external view returns (uint64, uint16, uint16) {
        return (epochState.boundary, epochState.size, epochState.held);
    }

    /// @inheritdoc IValidators
    function actAt(uint256 index) external view returns (Act memory) {
        if (index >= actCount || index + JOURNAL_LENGTH < actCount) revert ActUnknown(index);
        return journal[index % JOURNAL_LENGTH];
    }

    /// The logs of system calls are kept by nobody, so what the system does is written down here.
    function _record(uint8 kind, bytes32 subject, uint256 value) internal {
        journal[actCount % JOURNAL_LENGTH] = Act(uint64(block.number), kind, uint184(value), subject);
        actCount++;
    }

    /// How many of `size` seats may be lost at once: less than a third; one where that would be none.
    function _bearable(uint256 size) internal pure returns (uint256) {
        return size < 4 ? 1 : (size - 1) / 3;
    }

    /// Makes these nodes the set. Touches nothing that stays as it is. `reason` is written down for those who leave.
    function _install(bytes32[] memory keys, uint8 reason) internal {
        address[] memory next = _sorted(keys);
        if (_unchanged(keys)) return;
        for (uint256 i = 0; i < seatKeys.length; i++) if (!_contains(keys, seatKeys[i])) _vacate(i, reason);
        for (uint256 i = 0; i < keys.length; i++) {
            ValidatorState storage state = states[keys[i]];
            if (state.flags & FLAG_SEATED != 0) continue;
            state.flags |= FLAG_SEATED;
            state.seatSince = uint64(block.number);
            (state.proposed, state.missed, state.consecutiveMissed) = (0, 0, 0);
            seatOf[next[i]] = keys[i];
            _record(ACT_SEATED, keys[i], uint160(next[i]));
        }
        (set, seatKeys) = (next, keys);
        emit ValidatorSetChanged(uint64(block.number) + 1, keccak256(abi.encodePacked(next)));
    }

    function _vacate(uint256 seat, uint8 reason) private {
        bytes32 nodeKey = seatKeys[seat];
        states[nodeKey].flags &= ~(FLAG_SEATED | FLAG_LEAVING);
        delete seatOf[set[seat]];
        _record(reason, nodeKey, uint160(set[seat]));
    }

    /// The addresses of the nodes, ascending; brings the nodes into the same order.
    function _sorted(bytes32[] memory keys) private view returns (address[] memory list) {
        list = new address[](keys.length);
        for (uint256 i = 0; i < keys.length; i++) {
            bytes32 key = keys[i];
            address validator = IRegistry(REGISTRY).getNode(key).validatorAddress;
            uint256 j = i;
            for (; j > 0 && list[j - 1] > validator; j--) (list[j], keys[j]) = (list[j - 1], keys[j - 1]);
            (list[j], keys[j]) = (validator, key);
        }
    }

    function _unchanged(bytes32[] memory keys) private view returns (bool) {
        if (keys.length != seatKeys.length) return false;
        for (uint256 i = 0; i < keys.length; i++) if (keys[i] != seatKeys[i]) return false;
        return true;
    }

    function _contains(bytes32[] memory keys, bytes32 key) private pure returns (bool) {
        for (uint256 i = 0; i < keys.length; i++) if (keys[i] == key) return true;
        return false;
    }
}
