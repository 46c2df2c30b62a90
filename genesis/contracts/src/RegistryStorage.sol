// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./Types.sol";
import "./interfaces/IPolicy.sol";
import "./interfaces/IRegistry.sol";
import "./interfaces/IValidators.sol";

/// The registry's storage and the rules that every change of it keeps. The order of the variables is part of what storage
/// proofs rely on and never changes.
abstract contract RegistryStorage is IRegistry {
    struct AdminEntry {
        bytes32 memberId;
        uint256 place;
    }

    struct Confirmations {
        uint64 since;
        uint192 admins;
    }

    // slot 0
    uint64 public permissionVersion;
    uint32 internal groups;
    // slots 1 to 3
    mapping(bytes32 memberId => Member) internal members;
    mapping(bytes32 nodeKey => Node) internal nodes;
    mapping(address account => Account) internal accounts;
    // slots 4 to 7
    bytes32[] internal memberIds;
    bytes32[] internal nodeKeys;
    address[] internal accountList;
    address[] internal frozenList;
    // slots 8 and on
    mapping(address subject => Freeze) internal freezes;
    mapping(address admin => AdminEntry) internal admins;
    mapping(bytes32 group => uint256) internal groupVoters;
    mapping(address validator => bytes32) public nodeOfValidator;
    mapping(bytes32 memberId => bytes32[]) internal memberNodes;
    mapping(bytes32 memberId => uint256) internal memberAccounts;
    mapping(bytes32 key => Confirmations) internal confirmations;
    bytes32[] internal candidateList;
    address[] internal councilKeys;
    // Places in the lists above, counted from 1.
    mapping(bytes32 subject => uint256) internal candidatePlace;
    mapping(bytes32 nodeKey => uint256) internal memberNodePlace;
    mapping(address account => uint256) internal accountPlace;
    mapping(address subject => uint256) internal frozenPlace;
    mapping(address key => bool) public isCouncil;

    modifier onlySeeding() {
        if (msg.sender != SYSTEM || block.number != 0) revert OnlySeeding();
        _;
    }

    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert OnlyContract(GOVERNANCE);
        _;
    }

    modifier onlySupervision() {
        if (msg.sender != SUPERVISION) revert OnlyContract(SUPERVISION);
        _;
    }

    // --- Permissions -------------------------------------------------------------------------------------------------

    /// The clock is read only where something runs out: what does not read it can be remembered over blocks.
    function _memberPermitted(Member storage member, uint256 ahead) internal view returns (bool) {
        if (member.status != MEMBER_ACTIVE) return false;
        uint64 until = member.suspendedUntil;
        return until == 0 || block.number + ahead >= until;
    }

    function _nodePermitted(Node storage node, uint256 ahead) internal view returns (bool) {
        if (node.status != NODE_ACTIVE) return false;
        uint64 expires = node.expires;
        if (expires != 0 && block.number + ahead >= expires) return false;
        uint64 until = node.suspendedUntil;
        if (until != 0 && block.number + ahead < until) return false;
        return _memberPermitted(members[node.memberId], ahead);
    }

    function _isSupervision(bytes32 memberId) internal view returns (bool) {
        uint8 kind = members[memberId].kind;
        return kind == KIND_SUPERVISOR || kind == KIND_AUDITOR;
    }

    // --- The electorate ----------------------------------------------------------------------------------------------

    /// The group for which the member has a vote. An emergency suspension does not take it: a few groups could otherwise
    /// silence all others and govern alone.
    function _votingGroup(Member storage member) internal view returns (bytes32) {
        return member.status == MEMBER_ACTIVE && member.voting ? member.controlGroup : bytes32(0);
    }

    /// After a change of a member: its vote moves from one group to another; 0 is none.
    function _moveVote(bytes32 from, bytes32 to) internal {
        if (from == to) return;
        if (to != 0 && groupVoters[to]++ == 0) groups++;
        if (from != 0 && --groupVoters[from] == 0) groups--;
        if (groups > MAX_GROUPS) revert TooManyGroups();
        if (from != 0) {
            uint256 atLeast = IPolicy(POLICY).minElectorate();
            if (groups < atLeast) revert ElectorateTooSmall(groups, atLeast);
        }
        emit ElectorateChanged(groups);
    }

    // --- Members -----------------------------------------------------------------------------------------------------

    function _memberId(uint8 idScheme, bytes32 idValue) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(idScheme, idValue));
    }

    function _member(bytes32 memberId) internal view returns (Member storage member) {
        member = members[memberId];
        if (member.status == 0) revert MemberUnknown(memberId);
    }

    function _setMemberStatus(bytes32 memberId, Member storage member, uint8 status) internal {
        bytes32 group = _votingGroup(member);
        if (status != MEMBER_ACTIVE) _noteLoss(memberNodes[memberId]);
        member.status = status;
        member.changed = uint64(block.number);
        _moveVote(group, _votingGroup(member));
        permissionVersion++;
        emit MemberChanged(memberId, status);
    }

    /// The admins of before lose their entries, and a new version leaves behind what they confirmed.
    function _setAdmins(bytes32 memberId, Member storage member, address[] calldata keys, uint8 threshold) internal {
        if (keys.length == 0 || keys.length > MAX_ADMINS || threshold == 0 || threshold > keys.length) revert BadAdmins();
        address[] storage old = member.admins;
        for (uint256 i = 0; i < old.length; i++) delete admins[old[i]];
        for (uint256 i = 0; i < keys.length; i++) {
            if (keys[i] == address(0)) revert BadAdmins();
            if (admins[keys[i]].memberId != 0) revert AdminTaken(keys[i]);
            admins[keys[i]] = AdminEntry(memberId, i);
        }
        member.admins = keys;
        member.adminThreshold = threshold;
        member.changed = uint64(block.number);
        emit AdminsChanged(memberId, ++member.adminVersion, keys, threshold);
    }

    // --- Nodes -------------------------------------------------------------------------------------------------------

    function _node(bytes32 nodeKey) internal view returns (Node storage node) {
        node = nodes[nodeKey];
        if (node.status == 0) revert NodeUnknown(nodeKey);
    }

    /// Every change of a node's status, from wherever it comes.
    function _setNodeStatus(bytes32 nodeKey, Node storage node, uint8 status) internal {
        if (node.status == NODE_ACTIVE && status != NODE_ACTIVE) _noteLoss(nodeKey);
        node.status = status;
        node.changed = uint64(block.number);
        if (status == NODE_REVOKED) {
            _setCandidate(nodeKey, node, false);
            _drop(memberNodes[node.memberId], memberNodePlace, nodeKey);
        }
        permissionVersion++;
        emit NodeChanged(nodeKey, node.memberId, status, node.roles);
    }

    function _setCandidate(bytes32 nodeKey, Node storage node, bool candidate) internal {
        if (candidate == (node.roles & ROLE_VALIDATOR != 0)) return;
        if (candidate) {
            if (candidateList.length >= MAX_CANDIDATES) revert TooManyCandidates();
            candidateList.push(nodeKey);
            candidatePlace[nodeKey] = candidateList.length;
            node.candidateSince = uint64(block.number);
            node.roles |= ROLE_VALIDATOR;
        } else {
            _drop(candidateList, candidatePlace, nodeKey);
            node.roles &= ~ROLE_VALIDATOR;
        }
    }

    function _drop(bytes32[] storage list, mapping(bytes32 => uint256) storage places, bytes32 entry) internal {
        uint256 place = places[entry];
        bytes32 last = list[list.length - 1];
        list[place - 1] = last;
        places[last] = place;
        delete places[entry];
        list.pop();
    }

    /// Tells the validators which candidates are about to lose their permission; they refuse what would break the set.
    function _noteLoss(bytes32[] memory keys) internal {
        uint256 count = 0;
        for (uint256 i = 0; i < keys.length; i++) {
            if (nodes[keys[i]].roles & ROLE_VALIDATOR != 0) keys[count++] = keys[i];
        }
        if (count == 0) return;
        assembly {
            mstore(keys, count)
        }
        IValidators(VALIDATORS).noteLoss(keys);
    }

    function _noteLoss(bytes32 nodeKey) internal {
        bytes32[] memory keys = new bytes32[](1);
        keys[0] = nodeKey;
        _noteLoss(keys);
    }

    // --- Accounts ----------------------------------------------------------------------------------------------------

    function _removeAccount(address account, bytes32 memberId) internal {
        uint256 place = accountPlace[account];
        address last = accountList[accountList.length - 1];
        accountList[place - 1] = last;
        accountPlace[last] = place;
        accountList.pop();
        delete accountPlace[account];
        delete accounts[account];
        memberAccounts[memberId]--;
        emit AccountChanged(account, memberId, 0, 0);
    }

    // --- Confirmations -----------------------------------------------------------------------------------------------

    function _confirmationKey(bytes32 memberId, Member storage member, address target, bytes32 callHash)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(memberId, member.adminVersion, target, callHash));
    }

    /// The member of an admin; only active members have admins with power.
    function _adminMember(address admin) internal view returns (bytes32 memberId, uint256 place) {
        AdminEntry storage entry = admins[admin];
        (memberId, place) = (entry.memberId, entry.place);
        if (memberId == 0) revert NotAdmin(admin);
        if (members[memberId].status != MEMBER_ACTIVE) revert MemberNotActive(memberId);
    }

    /// One admin's word for a call. Ready when as many as the member wants said the same within the time of the policy.
    function _confirm(address admin, address target, bytes32 callHash) internal returns (bytes32 memberId, bool ready) {
        uint256 place;
        (memberId, place) = _adminMember(admin);
        Member storage member = members[memberId];
        uint256 need = member.adminThreshold;
        if (need == 1) return (memberId, true);

        bytes32 key = _confirmationKey(memberId, member, target, callHash);
        Confirmations memory entry = confirmations[key];
        if (entry.admins == 0 || block.number > entry.since + uint256(IPolicy(POLICY).confirmationLength())) {
            entry = Confirmations(uint64(block.number), 0);
        }
        entry.admins |= uint192(1 << place);
        uint256 have = _ones(entry.admins);
        ready = have >= need;
        if (ready) delete confirmations[key];
        else confirmations[key] = entry;
        emit Confirmed(memberId, callHash, admin, target, have, need);
    }

    function _ones(uint256 bits) internal pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) count++;
    }
}
