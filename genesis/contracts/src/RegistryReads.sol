// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./RegistryStorage.sol";

/// What anybody may ask the registry.
abstract contract RegistryReads is RegistryStorage {
    /// @inheritdoc IRegistryReads
    function layoutVersion() external pure returns (uint256) {
        return 1;
    }

    /// @inheritdoc IRegistryReads
    function memberIdOf(uint8 idScheme, bytes32 idValue) external pure returns (bytes32) {
        return _memberId(idScheme, idValue);
    }

    /// @inheritdoc IRegistryReads
    function memberCount() external view returns (uint256) {
        return memberIds.length;
    }

    /// @inheritdoc IRegistryReads
    function memberAt(uint256 index) external view returns (bytes32) {
        return memberIds[index];
    }

    /// @inheritdoc IRegistryReads
    function getMember(bytes32 memberId) external view returns (Member memory) {
        return members[memberId];
    }

    /// @inheritdoc IRegistryReads
    function memberFacts(bytes32 memberId) external view returns (uint8, uint8, uint8) {
        Member storage member = members[memberId];
        return (member.status, member.kind, member.quotaClass);
    }

    /// @inheritdoc IRegistryReads
    function nodeCount() external view returns (uint256) {
        return nodeKeys.length;
    }

    /// @inheritdoc IRegistryReads
    function nodeAt(uint256 index) external view returns (bytes32) {
        return nodeKeys[index];
    }

    /// @inheritdoc IRegistryReads
    function getNode(bytes32 nodeKey) external view returns (Node memory) {
        return nodes[nodeKey];
    }

    /// @inheritdoc IRegistryReads
    function nodesOf(bytes32 memberId) external view returns (bytes32[] memory) {
        return memberNodes[memberId];
    }

    /// @inheritdoc IRegistryReads
    function accountCount() external view returns (uint256) {
        return accountList.length;
    }

    /// @inheritdoc IRegistryReads
    function accountAt(uint256 index) external view returns (address) {
        return accountList[index];
    }

    /// @inheritdoc IRegistryReads
    function getAccount(address account) external view returns (Account memory) {
        return accounts[account];
    }

    /// @inheritdoc IRegistryReads
    function memberOf(address account) external view returns (bytes32 memberId) {
        memberId = accounts[account].memberId;
        if (memberId == 0) memberId = admins[account].memberId;
        if (memberId == 0) memberId = nodes[nodeOfValidator[account]].memberId;
    }

    /// @inheritdoc IRegistryReads
    function adminOf(address admin) external view returns (bytes32, uint256) {
        AdminEntry storage entry = admins[admin];
        return (entry.memberId, entry.place);
    }

    /// @inheritdoc IRegistryReads
    function electorate() external view returns (uint256) {
        return groups;
    }

    /// @inheritdoc IRegistryReads
    function votersOf(bytes32 controlGroup) external view returns (uint256) {
        return groupVoters[controlGroup];
    }

    /// @inheritdoc IRegistryReads
    function votingGroup(bytes32 memberId) external view returns (bytes32) {
        return _votingGroup(members[memberId]);
    }

    /// @inheritdoc IRegistryReads
    function council() external view returns (address[] memory) {
        return councilKeys;
    }

    /// @inheritdoc IRegistryReads
    function candidates() external view returns (bytes32[] memory) {
        return candidateList;
    }

    /// @inheritdoc IRegistryReads
    function frozenCount() external view returns (uint256) {
        return frozenList.length;
    }

    /// @inheritdoc IRegistryReads
    function frozenAt(uint256 index) external view returns (address) {
        return frozenList[index];
    }

    /// @inheritdoc IRegistryReads
    function getFreeze(address subject) external view returns (Freeze memory) {
        return freezes[subject];
    }

    /// @inheritdoc IRegistryReads
    function isFrozen(address subject) external view returns (bool) {
        uint64 until = freezes[subject].until;
        return until != 0 && block.number < until;
    }

    /// @inheritdoc IRegistryReads
    function confirmation(bytes32 memberId, address target, bytes32 callHash) external view returns (uint256, uint64) {
        Confirmations storage entry = confirmations[_confirmationKey(memberId, members[memberId], target, callHash)];
        return (entry.admins, entry.since);
    }

    /// @inheritdoc IRegistryVerdicts
    function nodePermitted(bytes32 nodeKey) external view returns (bool) {
        return _nodePermitted(nodes[nodeKey], 0);
    }

    /// @inheritdoc IRegistryVerdicts
    function memberPermitted(bytes32 memberId) external view returns (bool) {
        return _memberPermitted(members[memberId], 0);
    }

    /// @inheritdoc IRegistryVerdicts
    function senderWord(address sender) external view returns (uint256 word) {
        if (_accountPermitted(accounts[sender])) word = uint256(accounts[sender].access) | 1 << 16;
        if (frozenList.length != 0) word |= 1 << 17;
        // The usual case ends here: the other lanes matter only where the account does not cover everything.
        if (word & (1 << 17 | 1 << 16 | ACCESS_FULL) == (1 << 16 | ACCESS_FULL)) return word;
        if (members[admins[sender].memberId].status == MEMBER_ACTIVE || isCouncil[sender]) word |= 1 << 18;
        Node storage node = nodes[nodeOfValidator[sender]];
        if (node.roles & ROLE_VALIDATOR != 0 && _nodePermitted(node, 0)) word |= 1 << 19;
    }

    function _accountPermitted(Account storage account) internal view returns (bool) {
        if (account.status != ACCOUNT_ACTIVE) return false;
        uint64 expires = account.expires;
        if (expires != 0 && block.number >= expires) return false;
        return _memberPermitted(members[account.memberId], 0);
    }

    /// @inheritdoc IRegistryVerdicts
    function seatsPermitted(bytes32[] calldata keys) external view returns (uint256 bits, uint64 until) {
        for (uint256 i = 0; i < keys.length; i++) {
            Node storage node = nodes[keys[i]];
            if (node.roles & ROLE_VALIDATOR == 0 || !_nodePermitted(node, 1)) continue;
            bits |= 1 << i;
            uint64 expires = node.expires;
            if (expires != 0 && (until == 0 || expires - 1 < until)) until = expires - 1;
        }
    }
}
