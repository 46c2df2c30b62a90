// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./Types.sol";
import "./interfaces/IPolicy.sol";
import "./interfaces/IRegistry.sol";
import "./interfaces/ISupervision.sol";

/// Orders of supervisors against addresses, and suspensions that cannot wait for a vote. Both end by themselves.
contract Supervision is ISupervision {
    struct FreezeRequest {
        bytes32 supervisor;
        uint64 since;
        bool council;
    }

    struct EmergencyRequest {
        uint64 since;
        bool supervisor;
        bool council;
        bytes32[] groups;
    }

    uint256 private constant GROUPS_NEEDED = 3;

    // slots 0 to 2
    mapping(bytes32 key => FreezeRequest) internal freezeRequests;
    mapping(bytes32 key => EmergencyRequest) internal emergencyRequests;
    bytes32[] internal standing;

    // --- Freezes -----------------------------------------------------------------------------------------------------

    /// @inheritdoc ISupervision
    function freeze(address subject, bytes32 orderHash, uint64 until) external {
        if (_ours(subject)) revert NotFreezable(subject);
        uint64 latest = uint64(block.number) + IPolicy(POLICY).limitPolicy().freezeLength;
        if (until > latest || (until != 0 && until <= block.number)) revert FreezeTooLong(until, latest);
        bytes32 key = keccak256(abi.encode(subject, orderHash, until));
        FreezeRequest memory request = freezeRequests[key];
        if (_lapsed(request.since)) request = FreezeRequest(0, uint64(block.number), false);

        bool council = IRegistry(REGISTRY).isCouncil(msg.sender);
        if (council) {
            request.council = true;
        } else {
            bytes32 supervisor = _supervisor();
            if (supervisor == 0) return;
            request.supervisor = supervisor;
        }
        emit FreezeRequested(subject, orderHash, msg.sender, !council);
        if (request.supervisor != 0 && !_stillSupervisor(request.supervisor)) request.supervisor = 0;
        if (request.supervisor != 0 && (request.council || IRegistry(REGISTRY).council().length == 0)) {
            delete freezeRequests[key];
            IRegistry(REGISTRY).setFreeze(subject, orderHash, request.supervisor, until == 0 ? latest : until);
        } else {
            freezeRequests[key] = request;
        }
    }

    /// @inheritdoc ISupervision
    function unfreeze(address subject, bytes32 orderHash) external {
        if (_supervisor() == 0) return;
        if (IRegistry(REGISTRY).getFreeze(subject).orderHash != orderHash) revert NotFrozen(subject);
        IRegistry(REGISTRY).clearFreeze(subject);
    }

    /// @inheritdoc ISupervision
    function clearLapsedFreeze(address subject) external {
        if (IRegistry(REGISTRY).isFrozen(subject)) revert StillFrozen(subject);
        IRegistry(REGISTRY).clearFreeze(subject);
    }

    /// @inheritdoc ISupervision
    function freezeRequest(address subject, bytes32 orderHash, uint64 until)
        external
        view
        returns (bytes32, bool, uint64)
    {
        FreezeRequest storage request = freezeRequests[keccak256(abi.encode(subject, orderHash, until))];
        return (request.supervisor, request.council, request.since);
    }

    // --- Emergency suspensions ---------------------------------------------------------------------------------------

    /// @inheritdoc ISupervision
    function emergencySuspend(bytes32 subject, bytes32 reasonHash) external {
        if (_protected(subject)) revert SupervisionProtected(subject);
        bytes32 key = keccak256(abi.encode(subject, reasonHash));
        EmergencyRequest storage request = emergencyRequests[key];
        if (_lapsed(request.since)) {
            delete emergencyRequests[key];
            request.since = uint64(block.number);
        }
        bytes32 by = _count(request);
        if (by == 0) return;
        emit EmergencyRequested(subject, reasonHash, by, request.groups.length);
        bool ordered = request.supervisor && request.council;
        if (!ordered && _groupsWithVote(request.groups) < GROUPS_NEEDED) return;
        delete emergencyRequests[key];
        _addStanding(subject);
        uint64 until = uint64(block.number) + IPolicy(POLICY).limitPolicy().emergencyLength;
        IRegistry(REGISTRY).suspendUntil(subject, until);
    }

    /// @inheritdoc ISupervision
    function emergencyRequest(bytes32 subject, bytes32 reasonHash)
        external
        view
        returns (bytes32[] memory, bool, bool, uint64)
    {
        EmergencyRequest storage request = emergencyRequests[keccak256(abi.encode(subject, reasonHash))];
        return (request.groups, request.supervisor, request.council, request.since);
    }

    /// @inheritdoc ISupervision
    function standingEmergencies() external view returns (bytes32[] memory subjects) {
        subjects = standing;
        uint256 count = 0;
        for (uint256 i = 0; i < subjects.length; i++) if (_stands(subjects[i])) subjects[count++] = subjects[i];
        assembly {
            mstore(subjects, count)
        }
    }

    // --- Inside ------------------------------------------------------------------------------------------------------

    function _ours(address subject) private pure returns (bool) {
        return (subject >= GOVERNED_FIRST && subject <= GOVERNED_LAST) || subject == NODE_RULES || subject == ACCOUNT_RULES
            || subject == SYSTEM || subject == address(0);
    }

    function _lapsed(uint64 since) private view returns (bool) {
        return since == 0 || block.number > since + uint256(IPolicy(POLICY).confirmationLength());
    }

    /// The supervisor whose admins agree on this call; 0 while some are missing.
    function _supervisor() private returns (bytes32 memberId) {
        bool ready;
        (memberId, ready) = IRegistry(REGISTRY).confirm(msg.sender, keccak256(msg.data));
        if (!_stillSupervisor(memberId)) revert NotSupervisor(memberId);
        if (!ready) return 0;
    }

    function _stillSupervisor(bytes32 memberId) private view returns (bool) {
        (, uint8 kind,) = IRegistry(REGISTRY).memberFacts(memberId);
        return kind == KIND_SUPERVISOR && IRegistry(REGISTRY).memberPermitted(memberId);
    }

    /// Supervisors and auditors are beyond the reach of a few: only the vote of the larger majority touches them.
    function _protected(bytes32 subject) private view returns (bool) {
        bytes32 owner = IRegistry(REGISTRY).getNode(subject).memberId;
        (, uint8 kind,) = IRegistry(REGISTRY).memberFacts(owner == 0 ? subject : owner);
        return kind == KIND_SUPERVISOR || kind == KIND_AUDITOR;
    }

    /// Adds the sender's word; 0 while more admins of its member are needed.
    function _count(EmergencyRequest storage request) private returns (bytes32 memberId) {
        if (IRegistry(REGISTRY).isCouncil(msg.sender)) {
            if (request.council) revert AlreadyCounted();
            request.council = true;
            return bytes32(uint256(uint160(msg.sender)));
        }
        bool ready;
        (memberId, ready) = IRegistry(REGISTRY).confirm(msg.sender, keccak256(msg.data));
        if (!ready) return 0;
        bytes32 group = IRegistry(REGISTRY).votingGroup(memberId);
        if (_stillSupervisor(memberId)) request.supervisor = true;
        else if (group == 0) revert NoVotingRight(memberId);
        if (group == 0) return memberId;
        for (uint256 i = 0; i < request.groups.length; i++) if (request.groups[i] == group) revert AlreadyCounted();
        request.groups.push(group);
    }

    /// Of the groups that spoke, those that still have a vote.
    function _groupsWithVote(bytes32[] storage groups) private view returns (uint256 count) {
        for (uint256 i = 0; i < groups.length; i++) if (IRegistry(REGISTRY).votersOf(groups[i]) != 0) count++;
    }

    function _stands(bytes32 subject) private view returns (bool) {
        uint64 until = IRegistry(REGISTRY).getMember(subject).suspendedUntil;
        if (until == 0) until = IRegistry(REGISTRY).getNode(subject).suspendedUntil;
        return block.number < until;
    }

    /// At any time less than a third of the electorate may stand suspended without a vote (one, in a small network).
    function _addStanding(bytes32 subject) private {
        for (uint256 i = standing.length; i > 0; i--) {
            if (_stands(standing[i - 1])) continue;
            standing[i - 1] = standing[standing.length - 1];
            standing.pop();
        }
        uint256 electorate = IRegistry(REGISTRY).electorate();
        uint256 most = electorate < 4 ? 1 : (electorate - 1) / 3;
        if (standing.length >= most) revert TooManyEmergencies();
        standing.push(subject);
    }
}
