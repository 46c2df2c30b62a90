// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./RegistryStorage.sol";
import "./Text.sol";

/// What the admins of a member do with what is theirs.
abstract contract RegistryActs is RegistryStorage {
    /// @inheritdoc IRegistryActs
    function addNode(NodeInput calldata input) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        // Candidacy is granted by vote only.
        if (input.roles & ROLE_VALIDATOR != 0) revert BadRoles(input.roles);
        if (input.expires != 0 && input.expires <= block.number) revert BadExpiry(input.expires);
        _addNode(memberId, input);
    }

    /// @inheritdoc IRegistryActs
    function updateEndpoints(bytes32 nodeKey, bytes calldata endpoints) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        Node storage node = _ownNode(nodeKey, memberId);
        if (endpoints.length > MAX_ENDPOINTS_BYTES || !Text.isPrintable(endpoints)) revert BadEndpoints();
        node.endpoints = endpoints;
        node.changed = uint64(block.number);
        emit EndpointsChanged(nodeKey, endpoints);
    }

    /// @inheritdoc IRegistryActs
    function declareVersion(bytes32 nodeKey, uint32 swVersion) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        Node storage node = _ownNode(nodeKey, memberId);
        node.swVersion = swVersion;
        node.changed = uint64(block.number);
        emit NodeChanged(nodeKey, memberId, node.status, node.roles);
    }

    /// @inheritdoc IRegistryActs
    function setOwnNodeStatus(bytes32 nodeKey, uint8 status) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        Node storage node = _ownNode(nodeKey, memberId);
        uint8 from = node.status;
        bool own = from == NODE_ACTIVE || from == NODE_DEACTIVATED;
        // A suspension is lifted by vote; the owner may only give the key up.
        bool legal = status == NODE_REVOKED ? from != NODE_REVOKED
            : own && status != from && (status == NODE_ACTIVE || status == NODE_DEACTIVATED);
        if (!legal) revert WrongStatus(nodeKey, from);
        _setNodeStatus(nodeKey, node, status);
    }

    /// @inheritdoc IRegistryActs
    function setAccount(address account, uint16 access, uint8 quotaClass, uint64 expires) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        if (expires != 0 && expires <= block.number) revert BadExpiry(expires);
        if (access == 0) {
            bytes32 owner = accounts[account].memberId;
            if (owner == 0) revert AccountUnknown(account);
            if (owner != memberId) revert NotOwner(owner);
            _removeAccount(account, memberId);
        } else {
            _putAccount(memberId, account, access, quotaClass, expires);
        }
    }

    /// @inheritdoc IRegistryActs
    function rotateAdmins(address[] calldata keys, uint8 threshold) external {
        (bytes32 memberId, bool ready) = _act();
        if (ready) _setAdmins(memberId, members[memberId], keys, threshold);
    }

    /// @inheritdoc IRegistryActs
    function giveNotice(uint64 noticeUntil) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        members[memberId].noticeUntil = noticeUntil;
        emit RecordChanged(memberId);
    }

    /// @inheritdoc IRegistryActs
    function withdrawMember() external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        _setMemberStatus(memberId, members[memberId], MEMBER_WITHDRAWN);
        // Should the member ever be admitted again, its nodes do not come back by themselves.
        bytes32[] memory keys = memberNodes[memberId];
        for (uint256 i = 0; i < keys.length; i++) {
            Node storage node = nodes[keys[i]];
            _setCandidate(keys[i], node, false);
            _setNodeStatus(keys[i], node, node.status == NODE_ACTIVE ? NODE_DEACTIVATED : node.status);
        }
    }

    /// @inheritdoc IRegistryActs
    function withdrawConfirmation(address target, bytes32 callHash) external {
        (bytes32 memberId, uint256 place) = _adminMember(msg.sender);
        Confirmations storage entry = confirmations[_confirmationKey(memberId, members[memberId], target, callHash)];
        uint192 bit = uint192(1 << place);
        if (entry.admins & bit == 0) revert NothingToWithdraw();
        entry.admins &= ~bit;
        emit ConfirmationWithdrawn(memberId, callHash, msg.sender, target);
    }

    function _act() private returns (bytes32, bool) {
        return _confirm(msg.sender, address(this), keccak256(msg.data));
    }

    function _ownNode(bytes32 nodeKey, bytes32 memberId) private view returns (Node storage node) {
        node = _node(nodeKey);
        if (node.memberId != memberId) revert NotOwner(node.memberId);
    }

    function _addNode(bytes32 memberId, NodeInput calldata input) internal returns (bytes32 nodeKey) {
        if (input.publicKey.length != 64) revert BadPublicKey();
        nodeKey = keccak256(input.publicKey);
        Node storage node = nodes[nodeKey];
        if (node.status != 0) revert NodeExists(nodeKey);
        if (memberNodes[memberId].length >= _nodeLimit()) revert TooManyNodes();
        _checkNode(memberId, input);
        node.roles = input.roles & ~ROLE_VALIDATOR;
        node.memberId = memberId;
        node.expires = input.expires;
        node.registered = uint64(block.number);
        node.hostRegion = input.hostRegion;
        node.hostProvider = input.hostProvider;
        node.swVersion = input.swVersion;
        node.publicKeyHigh = bytes32(input.publicKey[:32]);
        node.publicKeyLow = bytes32(input.publicKey[32:]);
        node.endpoints = input.endpoints;
        _bindValidator(nodeKey, node, input.validatorAddress);
        nodeKeys.push(nodeKey);
        memberNodes[memberId].push(nodeKey);
        memberNodePlace[nodeKey] = memberNodes[memberId].length;
        _setNodeStatus(nodeKey, node, NODE_ACTIVE);
    }

    function _nodeLimit() private view returns (uint256) {
        return IPolicy(POLICY).limitPolicy().nodesPerMember;
    }

    function _checkNode(bytes32 memberId, NodeInput calldata input) private view {
        if (input.roles == 0 || input.roles & ~ROLES_ALL != 0) revert BadRoles(input.roles);
        if (input.roles & ROLE_SUPERVISOR != 0 && !_isSupervision(memberId)) revert BadRoles(input.roles);
        if (input.endpoints.length > MAX_ENDPOINTS_BYTES || !Text.isPrintable(input.endpoints)) revert BadEndpoints();
    }

    /// No address signs for two nodes.
    function _bindValidator(bytes32 nodeKey, Node storage node, address given) private {
        address validator = given == address(0) ? address(uint160(uint256(nodeKey))) : given;
        if (nodeOfValidator[validator] != 0) revert ValidatorTaken(validator);
        nodeOfValidator[validator] = nodeKey;
        node.validatorAddress = validator;
    }

    function _putAccount(bytes32 memberId, address account, uint16 access, uint8 quotaClass, uint64 expires) internal {
        if (access & ~ACCESS_ALL != 0) revert BadAccess(access);
        if (account == address(0) || account == SYSTEM) revert AccountTaken(account);
        Account storage entry = accounts[account];
        if (entry.memberId == 0) {
            if (memberAccounts[memberId]++ >= IPolicy(POLICY).limitPolicy().accountsPerMember) revert TooManyAccounts();
            accountList.push(account);
            accountPlace[account] = accountList.length;
        } else if (entry.memberId != memberId) {
            revert AccountTaken(account);
        }
        accounts[account] = Account(ACCOUNT_ACTIVE, access, quotaClass, expires, uint64(block.number), memberId);
        emit AccountChanged(account, memberId, ACCOUNT_ACTIVE, access);
    }
}
