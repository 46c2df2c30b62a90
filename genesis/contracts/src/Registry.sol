// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./RegistryActs.sol";
import "./RegistryReads.sol";

/// Members, nodes and accounts of the network. What is a member's own, its admins change; everything else comes from votes
/// (Governance) and from supervisors (Supervision), at their fixed addresses. There is no owner.
contract Registry is RegistryReads, RegistryActs {
    // --- Seeding -----------------------------------------------------------------------------------------------------

    /// @inheritdoc IRegistryOrders
    function seedMember(MemberInput calldata input) external onlySeeding returns (bytes32) {
        return _admit(input);
    }

    /// @inheritdoc IRegistryOrders
    function seedNode(bytes32 memberId, NodeInput calldata input) external onlySeeding returns (bytes32 nodeKey) {
        _member(memberId);
        nodeKey = _addNode(memberId, input);
        if (input.roles & ROLE_VALIDATOR != 0) _setCandidate(nodeKey, nodes[nodeKey], true);
    }

    /// @inheritdoc IRegistryOrders
    function seedAccount(bytes32 memberId, address account, uint16 access, uint8 quotaClass, uint64 expires)
        external
        onlySeeding
    {
        _member(memberId);
        if (access == 0) revert BadAccess(access);
        _putAccount(memberId, account, access, quotaClass, expires);
    }

    /// @inheritdoc IRegistryOrders
    function seedCouncil(address[] calldata keys) external onlySeeding {
        _setCouncil(keys);
    }

    // --- Orders of the other contracts -------------------------------------------------------------------------------

    /// @inheritdoc IRegistryOrders
    function confirm(address admin, bytes32 callHash) external returns (bytes32, bool) {
        if (msg.sender < GOVERNED_FIRST || msg.sender > GOVERNED_LAST) revert OnlyContract(GOVERNED_FIRST);
        return _confirm(admin, msg.sender, callHash);
    }

    /// @inheritdoc IRegistryOrders
    function admit(MemberInput calldata input) external onlyGovernance returns (bytes32) {
        return _admit(input);
    }

    /// @inheritdoc IRegistryOrders
    function setMemberStatus(bytes32 memberId, uint8 status) external onlyGovernance {
        Member storage member = _member(memberId);
        uint8 from = member.status;
        bool legal = status == MEMBER_SUSPENDED ? from == MEMBER_ACTIVE
            : status == MEMBER_EXPELLED ? from == MEMBER_ACTIVE || from == MEMBER_SUSPENDED
            : status == MEMBER_ACTIVE && (from == MEMBER_SUSPENDED || _emergency(from, member.suspendedUntil));
        if (!legal) revert WrongStatus(memberId, from);
        member.suspendedUntil = 0;
        _setMemberStatus(memberId, member, status);
    }

    /// @inheritdoc IRegistryOrders
    function setMemberRecord(bytes32 memberId, MemberRecord calldata record) external onlyGovernance {
        Member storage member = _member(memberId);
        if (member.status == MEMBER_EXPELLED) revert WrongStatus(memberId, member.status);
        bytes32 group = _votingGroup(member);
        _setRecord(memberId, member, record);
        _moveVote(group, _votingGroup(member));
    }

    /// @inheritdoc IRegistryOrders
    function replaceAdmins(bytes32 memberId, address[] calldata keys, uint8 threshold) external onlyGovernance {
        Member storage member = _member(memberId);
        if (member.status == MEMBER_EXPELLED || member.status == MEMBER_WITHDRAWN) {
            revert WrongStatus(memberId, member.status);
        }
        _setAdmins(memberId, member, keys, threshold);
    }

    /// @inheritdoc IRegistryOrders
    function setNodeStatus(bytes32 nodeKey, uint8 status) external onlyGovernance {
        Node storage node = _node(nodeKey);
        uint8 from = node.status;
        bool legal = status == NODE_SUSPENDED ? from == NODE_ACTIVE || from == NODE_DEACTIVATED
            : status == NODE_REVOKED ? from != NODE_REVOKED
            : status == NODE_ACTIVE && (from == NODE_SUSPENDED || _emergency(from, node.suspendedUntil));
        if (!legal) revert WrongStatus(nodeKey, from);
        node.suspendedUntil = 0;
        _setNodeStatus(nodeKey, node, status);
    }

    /// @inheritdoc IRegistryOrders
    function setCandidate(bytes32 nodeKey, bool candidate) external onlyGovernance {
        Node storage node = _node(nodeKey);
        if (candidate && (node.status != NODE_ACTIVE || members[node.memberId].status != MEMBER_ACTIVE)) {
            revert WrongStatus(nodeKey, node.status);
        }
        if (!candidate) _noteLoss(nodeKey);
        _setCandidate(nodeKey, node, candidate);
        permissionVersion++;
        emit NodeChanged(nodeKey, node.memberId, node.status, node.roles);
    }

    /// @inheritdoc IRegistryOrders
    function setCouncil(address[] calldata keys) external onlyGovernance {
        _setCouncil(keys);
    }

    /// @inheritdoc IRegistryOrders
    function ratify(bytes32 subject) external onlyGovernance {
        Member storage member = members[subject];
        Node storage node = nodes[subject];
        if (_emergency(member.status, member.suspendedUntil)) {
            member.suspendedUntil = 0;
            _setMemberStatus(subject, member, MEMBER_SUSPENDED);
        } else if (_emergency(node.status, node.suspendedUntil)) {
            node.suspendedUntil = 0;
            _setNodeStatus(subject, node, NODE_SUSPENDED);
        } else {
            revert NoEmergency(subject);
        }
    }

    /// @inheritdoc IRegistryOrders
    function releaseAccount(address account) external onlyGovernance {
        bytes32 owner = accounts[account].memberId;
        if (owner == 0) revert AccountUnknown(account);
        _removeAccount(account, owner);
    }

    /// @inheritdoc IRegistryOrders
    function suspendUntil(bytes32 subject, uint64 until) external onlySupervision {
        Member storage member = members[subject];
        Node storage node = nodes[subject];
        if (member.status == MEMBER_ACTIVE) {
            _checkPause(member.lastEmergency, until);
            _noteLoss(memberNodes[subject]);
            (member.suspendedUntil, member.lastEmergency) = (until, until);
            emit MemberChanged(subject, member.status);
        } else if (node.status == NODE_ACTIVE) {
            _checkPause(node.lastEmergency, until);
            _noteLoss(subject);
            (node.suspendedUntil, node.lastEmergency) = (until, until);
            emit NodeChanged(subject, node.memberId, node.status, node.roles);
        } else {
            revert WrongStatus(subject, member.status == 0 ? node.status : member.status);
        }
        permissionVersion++;
        emit EmergencySuspended(subject, until);
    }

    /// @inheritdoc IRegistryOrders
    function setFreeze(address subject, bytes32 orderHash, bytes32 supervisor, uint64 until) external onlySupervision {
        if (frozenPlace[subject] == 0) {
            frozenList.push(subject);
            frozenPlace[subject] = frozenList.length;
        }
        freezes[subject] = Freeze(orderHash, supervisor, uint64(block.number), until);
        emit Frozen(subject, orderHash, supervisor, until);
    }

    /// @inheritdoc IRegistryOrders
    function clearFreeze(address subject) external onlySupervision {
        uint256 place = frozenPlace[subject];
        if (place == 0) revert NotFrozen(subject);
        address last = frozenList[frozenList.length - 1];
        frozenList[place - 1] = last;
        frozenPlace[last] = place;
        frozenList.pop();
        delete frozenPlace[subject];
        emit Unfrozen(subject, freezes[subject].orderHash);
        delete freezes[subject];
    }

    // --- Inside ------------------------------------------------------------------------------------------------------

    function _admit(MemberInput calldata input) private returns (bytes32 memberId) {
        if (input.idScheme == 0 || input.idScheme > SCHEME_LAST || input.idValue == 0) revert BadIdScheme(input.idScheme);
        if (input.idScheme == SCHEME_LEI && !Text.isLei(input.idValue)) revert BadLei(input.idValue);
        memberId = _memberId(input.idScheme, input.idValue);
        Member storage member = members[memberId];
        // Who left may be admitted again, who was expelled may not.
        if (member.status == 0) memberIds.push(memberId);
        else if (member.status != MEMBER_WITHDRAWN) revert MemberExists(memberId);
        member.idScheme = input.idScheme;
        member.idValue = input.idValue;
        member.joined = uint64(block.number);
        (member.noticeUntil, member.suspendedUntil) = (0, 0);
        _setRecord(memberId, member, input.record);
        _setAdmins(memberId, member, input.admins, input.adminThreshold);
        _setMemberStatus(memberId, member, MEMBER_ACTIVE);
    }

    function _setRecord(bytes32 memberId, Member storage member, MemberRecord calldata record) private {
        if (record.kind == 0 || record.kind > KIND_LAST) revert BadKind(record.kind);
        if (record.quotaClass >= 8) revert BadQuotaClass(record.quotaClass);
        member.kind = record.kind;
        member.voting = record.voting;
        member.quotaClass = record.quotaClass;
        member.sector = record.sector;
        member.region = record.region;
        // Who belongs to nobody is a group of its own.
        member.controlGroup = record.controlGroup == 0 ? memberId : record.controlGroup;
        member.legalNameHash = record.legalNameHash;
        member.didHash = record.didHash;
        member.docsHash = record.docsHash;
        member.changed = uint64(block.number);
        emit RecordChanged(memberId);
    }

    function _setCouncil(address[] calldata keys) private {
        if (keys.length > MAX_COUNCIL) revert BadCouncil();
        for (uint256 i = 0; i < councilKeys.length; i++) delete isCouncil[councilKeys[i]];
        for (uint256 i = 0; i < keys.length; i++) {
            if (keys[i] == address(0) || isCouncil[keys[i]]) revert BadCouncil();
            isCouncil[keys[i]] = true;
        }
        councilKeys = keys;
        emit CouncilChanged(keys);
    }

    /// Whether an active subject stands under an emergency suspension now. Active is 2 for members and nodes.
    function _emergency(uint8 status, uint64 until) private view returns (bool) {
        return status == MEMBER_ACTIVE && block.number < until;
    }

    /// Between two emergency suspensions of one subject lies at least the length of one: a few could otherwise keep
    /// somebody out for ever without a vote.
    function _checkPause(uint64 last, uint64 until) private view {
        uint64 from = last + (until - uint64(block.number));
        if (last != 0 && block.number < from) revert EmergencyTooSoon(from);
    }
}
