// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./ValidatorsStorage.sol";

/// Counting of turns taken and missed, suspension, and the way back.
abstract contract ValidatorsSla is ValidatorsStorage {
    uint256 private constant ALL = 10000;
    uint8 private constant LAST_STRIKE = 4;
    uint16 internal constant FIRST_SCORE = 5000;
    /// The longest list of missed turns that can be: every other seat.
    uint256 private constant MOST_MISSED = 32;
    uint256 private constant HASHES_KEPT = 256;

    // --- Turns -------------------------------------------------------------------------------------------------------

    function _countTurns(address author, address[] calldata missed, SlaPolicy memory sla) internal {
        bytes32 key = seatOf[author];
        if (key != 0) {
            ValidatorState storage state = _inWindow(key, sla.window);
            state.proposed++;
            state.consecutiveMissed = 0;
        }
        uint256 count = missed.length < MOST_MISSED ? missed.length : MOST_MISSED;
        for (uint256 i = 0; i < count; i++) {
            key = seatOf[missed[i]];
            if (key == 0) continue;
            ValidatorState storage state = _inWindow(key, sla.window);
            state.missed++;
            if (state.consecutiveMissed < type(uint16).max) state.consecutiveMissed++;
            _warn(key, state, sla);
        }
    }

    /// The state with its counters of the window that runs now. The share of a finished window goes into the score.
    function _inWindow(bytes32 key, uint32 window) private returns (ValidatorState storage state) {
        state = states[key];
        uint40 now_ = uint40(block.number / window);
        if (state.window == now_) return state;
        uint256 slots = uint256(state.proposed) + state.missed;
        if (slots != 0) {
            uint256 share = ALL * state.proposed / slots;
            uint256 score = (3 * uint256(_score(state)) + share) / 4;
            state.score = uint16(score == 0 ? 1 : score);
        }
        (state.proposed, state.missed) = (0, 0);
        state.window = now_;
        state.flags &= ~FLAG_WARNED;
    }

    /// A score that was never written is the first one.
    function _score(ValidatorState storage state) internal view returns (uint16) {
        return state.score == 0 ? FIRST_SCORE : state.score;
    }

    /// Whether the share of turns missed in this window reaches the given one.
    function _missedShare(ValidatorState storage state, SlaPolicy memory sla, uint256 share) private view returns (bool) {
        uint256 slots = uint256(state.proposed) + state.missed;
        return slots >= sla.minOwnSlots && state.missed * ALL >= share * slots;
    }

    function _warn(bytes32 key, ValidatorState storage state, SlaPolicy memory sla) private {
        if (state.flags & FLAG_WARNED != 0 || !_missedShare(state, sla, sla.warnBps)) return;
        state.flags |= FLAG_WARNED;
        emit SlaWarning(key, state.missed, state.proposed);
        _record(ACT_WARNED, key, state.missed);
    }

    function _failed(ValidatorState storage state, SlaPolicy memory sla) private view returns (bool) {
        if (state.flags & FLAG_SUSPENDED != 0) return false;
        return state.consecutiveMissed >= sla.consecutiveMisses || _missedShare(state, sla, sla.suspendBps);
    }

    // --- Suspension --------------------------------------------------------------------------------------------------

    /// Suspends who fails the service level; nobody if that would leave too few of those the epoch began with: when many
    /// are missing the network is at fault, not they.
    function _judge(SlaPolicy memory sla) internal {
        bytes32[] memory keys = seatKeys;
        uint256 failed = 0;
        uint256 serving = 0;
        for (uint256 i = 0; i < keys.length; i++) {
            if (_failed(states[keys[i]], sla)) (keys[failed], failed) = (keys[i], failed + 1);
            else if (states[keys[i]].flags & FLAG_SUSPENDED == 0) serving++;
        }
        if (failed == 0) return _hold(0);
        uint256 size = epochState.size;
        uint256 floor = size - (size - 1) / 3;
        uint256 nMin = IPolicy(POLICY).selectionPolicy().nMin;
        if (serving < (floor > nMin ? floor : nMin)) return _hold(uint16(failed));
        _hold(0);
        for (uint256 i = 0; i < failed; i++) _suspend(keys[i], sla);
    }

    /// Says once how many are spared, not in every block again.
    function _hold(uint16 count) private {
        if (epochState.held == count) return;
        epochState.held = count;
        if (count != 0) _record(ACT_HELD, 0, count);
    }

    function _suspend(bytes32 key, SlaPolicy memory sla) private {
        ValidatorState storage state = states[key];
        uint256 decayed = (block.number - state.lastStrike) / sla.strikeDecay;
        uint8 strikes = state.strikes > decayed ? state.strikes - uint8(decayed) : 0;
        _jail(key, state, strikes + 1, sla.jailLength);
    }

    function _jail(bytes32 key, ValidatorState storage state, uint8 strikes, uint256 jailLength) private {
        if (strikes > LAST_STRIKE) strikes = LAST_STRIKE;
        state.strikes = strikes;
        state.flags |= FLAG_SUSPENDED | (strikes == LAST_STRIKE ? FLAG_BARRED : 0);
        state.jailedUntil = uint64(block.number + (jailLength << (strikes - 1)));
        state.lastStrike = uint64(block.number);
        (state.heartbeats, state.lastHeartbeat) = (0, 0);
        (state.proposed, state.missed, state.consecutiveMissed) = (0, 0, 0);
        state.score = _score(state) / 2 + 1;
        epochState.recheck = true;
        _record(ACT_SUSPENDED, key, state.jailedUntil);
        emit SlaSuspended(key, strikes, state.jailedUntil);
    }

    /// @inheritdoc IValidators
    function strike(bytes32 nodeKey, uint64 height) external {
        if (msg.sender != EVIDENCE) revert OnlyContract(EVIDENCE);
        _jail(nodeKey, states[nodeKey], LAST_STRIKE, IPolicy(POLICY).slaPolicy().jailLength);
        emit Struck(nodeKey, height);
    }

    // --- The way back ------------------------------------------------------------------------------------------------

    /// @inheritdoc IValidators
    function heartbeat(uint64 height, bytes32 hash) external {
        bytes32 nodeKey = IRegistry(REGISTRY).nodeOfValidator(msg.sender);
        if (nodeKey == 0) revert NotValidator(msg.sender);
        _beat(nodeKey, height, hash);
    }

    /// @inheritdoc IValidators
    function heartbeatFor(bytes32 nodeKey, uint64 height, bytes32 hash) external {
        _checkOwner(nodeKey);
        _beat(nodeKey, height, hash);
    }

    /// @inheritdoc IValidators
    function requestReincorporation(bytes32 nodeKey) external {
        _checkOwner(nodeKey);
        ValidatorState storage state = _suspended(nodeKey);
        if (state.flags & FLAG_BARRED != 0) revert Barred(nodeKey);
        if (block.number < state.jailedUntil) revert StillJailed(state.jailedUntil);
        uint16 need = IPolicy(POLICY).slaPolicy().heartbeats;
        if (state.heartbeats < need) revert HeartbeatsMissing(state.heartbeats, need);
        state.flags &= ~FLAG_SUSPENDED;
        emit SlaReincorporated(nodeKey);
    }

    /// @inheritdoc IValidators
    function readmit(bytes32 nodeKey) external {
        if (msg.sender != GOVERNANCE) revert OnlyContract(GOVERNANCE);
        ValidatorState storage state = states[nodeKey];
        if (state.flags & FLAG_BARRED == 0) revert NotBarred(nodeKey);
        state.flags &= ~(FLAG_BARRED | FLAG_SUSPENDED);
        (state.strikes, state.jailedUntil) = (0, 0);
        emit Readmitted(nodeKey);
    }

    function _beat(bytes32 nodeKey, uint64 height, bytes32 hash) private {
        ValidatorState storage state = _suspended(nodeKey);
        bool recent = height < block.number && height + HASHES_KEPT >= block.number;
        if (!recent || blockhash(height) != hash) revert BadHeartbeat(height);
        uint64 from = state.lastHeartbeat + IPolicy(POLICY).slaPolicy().heartbeatInterval;
        if (state.lastHeartbeat != 0 && block.number < from) revert HeartbeatTooSoon(from);
        state.lastHeartbeat = uint64(block.number);
        if (state.heartbeats < type(uint16).max) state.heartbeats++;
        emit Heartbeat(nodeKey, height, state.heartbeats);
    }

    function _suspended(bytes32 nodeKey) private view returns (ValidatorState storage state) {
        state = states[nodeKey];
        if (state.flags & FLAG_SUSPENDED == 0) revert NotSuspended(nodeKey);
    }

    /// An admin of the node's active member, or the validator itself.
    function _checkOwner(bytes32 nodeKey) private view {
        if (IRegistry(REGISTRY).nodeOfValidator(msg.sender) == nodeKey && nodeKey != 0) return;
        (bytes32 memberId,) = IRegistry(REGISTRY).adminOf(msg.sender);
        if (memberId == 0) revert NotAdmin(msg.sender);
        bytes32 owner = IRegistry(REGISTRY).getNode(nodeKey).memberId;
        if (owner != memberId) revert NotOwner(owner);
        (uint8 status,,) = IRegistry(REGISTRY).memberFacts(memberId);
        if (status != MEMBER_ACTIVE) revert MemberNotActive(memberId);
    }
}
