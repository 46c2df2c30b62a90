// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./Types.sol";
import "./interfaces/IParties.sol";
import "./interfaces/IRegistry.sol";

/// What the network knows of the keys of private transactions. Votes say which keys must take part in whose; a member's admins
/// say which of its nodes hold its keys.
///
/// That a member has a key cannot be checked here: no instruction computes on that curve. A node is challenged to open what is
/// sealed for the key before it gets anything, so who binds another's key gets nothing by it; and `releaseParty` gives
/// the key back to whom it belongs.
contract Parties is IParties {
    // slots 0 to 2: all rules; the keys of each scope and subject; how many rules name a key.
    SupervisorRule[] internal rules;
    mapping(bytes32 scoped => bytes32[]) internal keysOf;
    mapping(bytes32 key => uint256) internal named;
    // slots 3 to 5
    mapping(bytes32 party => bytes32) public memberOfParty;
    mapping(bytes32 party => bytes32[]) internal holders;
    mapping(bytes32 nodeKey => bytes32[]) internal held;

    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert OnlyContract(GOVERNANCE);
        _;
    }

    // --- Who must take part ------------------------------------------------------------------------------------------

    /// @inheritdoc IParties
    function addSupervisor(uint8 scope, bytes32 subject, bytes32 key) external onlyGovernance {
        _checkSubject(scope, subject);
        if (key == 0) revert BadParty();
        bytes32[] storage keys = keysOf[_scoped(scope, subject)];
        for (uint256 i = 0; i < keys.length; i++) if (keys[i] == key) revert SupervisorExists(key);
        uint256 most = scope == SCOPE_EVERYBODY ? MAX_SUPERVISORS_OF_ALL : MAX_SUPERVISORS_OF_SOME;
        if (keys.length >= most || rules.length >= MAX_SUPERVISOR_RULES) revert TooManySupervisors();
        keys.push(key);
        rules.push(SupervisorRule(scope, subject, key));
        named[key]++;
        emit SupervisorAdded(key, scope, subject);
    }

    /// @inheritdoc IParties
    function removeSupervisor(uint8 scope, bytes32 subject, bytes32 key) external onlyGovernance {
        if (!_drop(keysOf[_scoped(scope, subject)], key)) revert SupervisorUnknown(key);
        uint256 last = rules.length - 1;
        for (uint256 i = 0; i <= last; i++) {
            SupervisorRule storage rule = rules[i];
            if (rule.key != key || rule.scope != scope || rule.subject != subject) continue;
            rules[i] = rules[last];
            break;
        }
        rules.pop();
        named[key]--;
        emit SupervisorRemoved(key, scope, subject);
    }

    /// @inheritdoc IParties
    function requiredParties(address account) external view returns (bytes32[] memory) {
        return _required(IRegistry(REGISTRY).memberOf(account));
    }

    /// @inheritdoc IParties
    function requiredPartiesOfNode(bytes32 nodeKey) external view returns (bytes32[] memory) {
        return _required(IRegistry(REGISTRY).getNode(nodeKey).memberId);
    }

    /// @inheritdoc IParties
    function isSupervisor(bytes32 key) external view returns (bool) {
        return named[key] != 0;
    }

    /// @inheritdoc IParties
    function supervisors() external view returns (SupervisorRule[] memory) {
        return rules;
    }

    // --- Where parties are -------------------------------------------------------------------------------------------

    /// @inheritdoc IParties
    function bindParty(bytes32 nodeKey, bytes32 party) external {
        (bytes32 memberId, bool ready) = IRegistry(REGISTRY).confirm(msg.sender, keccak256(msg.data));
        if (!ready) return;
        Node memory node = _ownNode(nodeKey, memberId);
        if (node.status == NODE_REVOKED) revert WrongStatus(nodeKey, node.status);
        if (party == 0) revert BadParty();
        bytes32 owner = memberOfParty[party];
        if (owner != 0 && owner != memberId) revert PartyTaken(owner);
        bytes32[] storage nodes = holders[party];
        for (uint256 i = 0; i < nodes.length; i++) if (nodes[i] == nodeKey) revert AlreadyBound(party);
        if (nodes.length >= MAX_NODES_PER_PARTY || held[nodeKey].length >= MAX_PARTIES_PER_NODE) revert TooManyParties();
        memberOfParty[party] = memberId;
        nodes.push(nodeKey);
        held[nodeKey].push(party);
        emit PartyBound(party, nodeKey, memberId);
    }

    /// @inheritdoc IParties
    function unbindParty(bytes32 nodeKey, bytes32 party) external {
        (bytes32 memberId, bool ready) = IRegistry(REGISTRY).confirm(msg.sender, keccak256(msg.data));
        if (!ready) return;
        _ownNode(nodeKey, memberId);
        if (!_drop(held[nodeKey], party)) revert PartyUnknown(party);
        _drop(holders[party], nodeKey);
        if (holders[party].length == 0) delete memberOfParty[party];
        emit PartyUnbound(party, nodeKey, memberId);
    }

    /// @inheritdoc IParties
    function releaseParty(bytes32 party) external onlyGovernance {
        bytes32 memberId = memberOfParty[party];
        if (memberId == 0) revert PartyUnknown(party);
        bytes32[] memory nodes = holders[party];
        for (uint256 i = 0; i < nodes.length; i++) {
            _drop(held[nodes[i]], party);
            emit PartyUnbound(party, nodes[i], memberId);
        }
        delete holders[party];
        delete memberOfParty[party];
    }

    /// @inheritdoc IParties
    function holdersOf(bytes32 party) external view returns (bool bound, bytes[] memory publicKeys) {
        bound = memberOfParty[party] != 0;
        bytes32[] storage nodes = holders[party];
        publicKeys = new bytes[](nodes.length);
        uint256 count = 0;
        for (uint256 i = 0; i < publicKeys.length; i++) {
            Node memory node = IRegistry(REGISTRY).getNode(nodes[i]);
            if (node.status != NODE_REVOKED) {
                publicKeys[count++] = abi.encodePacked(node.publicKeyHigh, node.publicKeyLow);
            }
        }
        assembly {
            mstore(publicKeys, count)
        }
    }

    /// @inheritdoc IParties
    function nodesOf(bytes32 party) external view returns (bytes32[] memory) {
        return holders[party];
    }

    /// @inheritdoc IParties
    function partiesOf(bytes32 nodeKey) external view returns (bytes32[] memory) {
        return held[nodeKey];
    }

    // --- Inside ------------------------------------------------------------------------------------------------------

    function _scoped(uint8 scope, bytes32 subject) private pure returns (bytes32) {
        return keccak256(abi.encode(scope, subject));
    }

    function _checkSubject(uint8 scope, bytes32 subject) private view {
        if (scope == SCOPE_MEMBER) {
            (uint8 status,,) = IRegistry(REGISTRY).memberFacts(subject);
            if (status == 0) revert MemberUnknown(subject);
        } else if (scope == SCOPE_SECTOR) {
            if (uint256(subject) > type(uint16).max) revert BadScope(scope, subject);
        } else if (scope != SCOPE_EVERYBODY || subject != 0) {
            revert BadScope(scope, subject);
        }
    }

    function _ownNode(bytes32 nodeKey, bytes32 memberId) private view returns (Node memory node) {
        node = IRegistry(REGISTRY).getNode(nodeKey);
        if (node.status == 0) revert NodeUnknown(nodeKey);
        if (node.memberId != memberId) revert NotOwner(node.memberId);
    }

    /// The keys for everybody, for the member's sector and for the member, each once.
    function _required(bytes32 memberId) private view returns (bytes32[] memory keys) {
        keys = new bytes32[](MAX_SUPERVISORS_OF_ALL + 2 * MAX_SUPERVISORS_OF_SOME);
        uint256 count = _append(keys, 0, keysOf[_scoped(SCOPE_EVERYBODY, 0)]);
        if (memberId != 0) {
            bytes32 sector = bytes32(uint256(IRegistry(REGISTRY).getMember(memberId).sector));
            count = _append(keys, count, keysOf[_scoped(SCOPE_SECTOR, sector)]);
            count = _append(keys, count, keysOf[_scoped(SCOPE_MEMBER, memberId)]);
        }
        assembly {
            mstore(keys, count)
        }
    }

    function _append(bytes32[] memory keys, uint256 count, bytes32[] storage more) private view returns (uint256) {
        for (uint256 i = 0; i < more.length; i++) {
            bytes32 key = more[i];
            uint256 at = 0;
            while (at < count && keys[at] != key) at++;
            if (at == count) keys[count++] = key;
        }
        return count;
    }

    function _drop(bytes32[] storage list, bytes32 entry) private returns (bool) {
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i] != entry) continue;
            list[i] = list[list.length - 1];
            list.pop();
            return true;
        }
        return false;
    }
}
