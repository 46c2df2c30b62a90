// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Types.sol";

/// Keys of private transactions: who must take part in them, and at which nodes parties are.
interface IParties {
    /// From now on the key must be a party of what these members send.
    event SupervisorAdded(bytes32 indexed key, uint8 indexed scope, bytes32 indexed subject);
    /// From now on it need not.
    event SupervisorRemoved(bytes32 indexed key, uint8 indexed scope, bytes32 indexed subject);
    /// The member's node holds this key.
    event PartyBound(bytes32 indexed party, bytes32 indexed nodeKey, bytes32 indexed memberId);
    /// It does not any more.
    event PartyUnbound(bytes32 indexed party, bytes32 indexed nodeKey, bytes32 indexed memberId);

    /// Governance. `subject` is 0 for everybody, else a sector or the id of a member.
    function addSupervisor(uint8 scope, bytes32 subject, bytes32 key) external;
    /// Governance.
    function removeSupervisor(uint8 scope, bytes32 subject, bytes32 key) external;
    /// Governance: ends every binding of a key, so that another member can bind it.
    function releaseParty(bytes32 party) external;
    /// The admins of a member, for one of its nodes that is not revoked.
    function bindParty(bytes32 nodeKey, bytes32 party) external;
    /// The admins of the node's member.
    function unbindParty(bytes32 nodeKey, bytes32 party) external;

    /// The keys that must be parties of what this account sends; who is of no member, falls under the rules for everybody.
    function requiredParties(address account) external view returns (bytes32[] memory keys);
    /// The keys that must be parties of what is sent by way of this node.
    function requiredPartiesOfNode(bytes32 nodeKey) external view returns (bytes32[] memory keys);
    /// Whether any rule names the key.
    function isSupervisor(bytes32 key) external view returns (bool);
    /// Every rule.
    function supervisors() external view returns (SupervisorRule[] memory);

    /// Whether a member has bound the key, and the public keys (64 bytes) of its nodes that hold it and are not revoked. Where
    /// it is bound, nobody else is believed to have it.
    function holdersOf(bytes32 party) external view returns (bool bound, bytes[] memory publicKeys);
    /// The nodes that a key is bound to.
    function nodesOf(bytes32 party) external view returns (bytes32[] memory nodeKeys);
    /// The keys that are bound to a node.
    function partiesOf(bytes32 nodeKey) external view returns (bytes32[] memory parties);
    /// The member that has bound a key; 0 if none has.
    function memberOfParty(bytes32 party) external view returns (bytes32);
}
