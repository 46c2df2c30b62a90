// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Types.sol";

/// Reads of the registry.
interface IRegistryReads {
    /// Rises when the storage layout changes, on which proofs rest.
    function layoutVersion() external pure returns (uint256);
    /// The id of a member: keccak256 of the scheme's byte and the 32 bytes of the value.
    function memberIdOf(uint8 idScheme, bytes32 idValue) external pure returns (bytes32);
    function memberCount() external view returns (uint256);
    function memberAt(uint256 index) external view returns (bytes32 memberId);
    function getMember(bytes32 memberId) external view returns (Member memory);
    /// The part of a member that the other contracts ask for most.
    function memberFacts(bytes32 memberId) external view returns (uint8 status, uint8 kind, uint8 quotaClass);
    function nodeCount() external view returns (uint256);
    function nodeAt(uint256 index) external view returns (bytes32 nodeKey);
    function getNode(bytes32 nodeKey) external view returns (Node memory);
    /// The nodes of a member that are not revoked.
    function nodesOf(bytes32 memberId) external view returns (bytes32[] memory);
    /// The node that signs with this address, 0 if there is none.
    function nodeOfValidator(address validator) external view returns (bytes32 nodeKey);
    function accountCount() external view returns (uint256);
    function accountAt(uint256 index) external view returns (address);
    function getAccount(address account) external view returns (Account memory);
    /// Whom the use of gas by this address is counted to: the member of the account, else of the admin, else of the
    /// validator; 0 if nobody.
    function memberOf(address account) external view returns (bytes32);
    /// The member whose admin this address is, and its place in the list of admins; 0 if none.
    function adminOf(address admin) external view returns (bytes32 memberId, uint256 place);
    /// How many control groups have a vote.
    function electorate() external view returns (uint256);
    /// How many active members with a voting right the group has.
    function votersOf(bytes32 controlGroup) external view returns (uint256);
    /// The control group for which this member may cast a vote now; 0 if it may not.
    function votingGroup(bytes32 memberId) external view returns (bytes32);
    function council() external view returns (address[] memory);
    function isCouncil(address key) external view returns (bool);
    /// The nodes with role 2, at most 128.
    function candidates() external view returns (bytes32[] memory);
    function frozenCount() external view returns (uint256);
    function frozenAt(uint256 index) external view returns (address);
    function getFreeze(address subject) external view returns (Freeze memory);
    function isFrozen(address subject) external view returns (bool);
    /// What an act has gathered: a bit for each admin by place, and the block of the first of them.
    function confirmation(bytes32 memberId, address target, bytes32 callHash)
        external
        view
        returns (uint256 admins, uint64 since);
}

/// The verdicts that the rule contracts and the validators build on.
interface IRegistryVerdicts {
    /// Whether the node may connect in this block.
    function nodePermitted(bytes32 nodeKey) external view returns (bool);
    /// Whether the member is active and not under an emergency suspension.
    function memberPermitted(bytes32 memberId) external view returns (bool);
    /// Bits 0 to 3 access of the account as far as it is permitted, bit 16 the account is permitted, bit 17 something is
    /// frozen, bit 18 the sender may call 0x…7001 to 0x…700f, bit 19 it may call Validators.
    function senderWord(address sender) external view returns (uint256);
    /// Bit i is set if node i may hold a seat in the next block; and the first block whose end must ask again because
    /// a permission runs out (0: none).
    function seatsPermitted(bytes32[] calldata nodeKeys) external view returns (uint256 bits, uint64 until);
    /// Rises whenever a node or member may have lost or won its permission.
    function permissionVersion() external view returns (uint64);
}

/// What the admins of a member may do with what is theirs. Each act needs as many admins as the member's threshold, each
/// sending the identical call; the last of them executes it.
interface IRegistryActs {
    event MemberChanged(bytes32 indexed id, uint8 status);
    event NodeChanged(bytes32 indexed nodeKey, bytes32 indexed memberId, uint8 status, uint16 roles);
    event EndpointsChanged(bytes32 indexed nodeKey, bytes endpoints);
    event AccountChanged(address indexed account, bytes32 indexed memberId, uint8 status, uint16 access);
    event AdminsChanged(bytes32 indexed id, uint32 adminVersion, address[] admins, uint8 threshold);
    event RecordChanged(bytes32 indexed id);
    event CouncilChanged(address[] keys);
    event ElectorateChanged(uint256 groups);
    event Confirmed(
        bytes32 indexed memberId,
        bytes32 indexed callHash,
        address indexed admin,
        address target,
        uint256 have,
        uint256 need
    );
    event ConfirmationWithdrawn(bytes32 indexed memberId, bytes32 indexed callHash, address indexed admin, address target);
    event Frozen(address indexed subject, bytes32 indexed orderHash, bytes32 indexed supervisor, uint64 until);
    event Unfrozen(address indexed subject, bytes32 indexed orderHash);
    event EmergencySuspended(bytes32 indexed subject, uint64 until);

    function addNode(NodeInput calldata input) external;
    function updateEndpoints(bytes32 nodeKey, bytes calldata endpoints) external;
    function declareVersion(bytes32 nodeKey, uint32 swVersion) external;
    /// 2 active, 3 deactivated, 5 revoked.
    function setOwnNodeStatus(bytes32 nodeKey, uint8 status) external;
    /// Access 0 removes the account.
    function setAccount(address account, uint16 access, uint8 quotaClass, uint64 expires) external;
    function rotateAdmins(address[] calldata admins, uint8 threshold) external;
    function giveNotice(uint64 noticeUntil) external;
    function withdrawMember() external;
    /// Takes one's own confirmation of a call back.
    function withdrawConfirmation(address target, bytes32 callHash) external;
}

/// What only the other contracts may do, and what only the making of the genesis may do.
interface IRegistryOrders {
    function seedMember(MemberInput calldata input) external returns (bytes32 memberId);
    function seedNode(bytes32 memberId, NodeInput calldata input) external returns (bytes32 nodeKey);
    function seedAccount(bytes32 memberId, address account, uint16 access, uint8 quotaClass, uint64 expires) external;
    function seedCouncil(address[] calldata keys) external;

    /// Counts the sender's confirmation of the calling contract's call.
    function confirm(address admin, bytes32 callHash) external returns (bytes32 memberId, bool ready);

    function admit(MemberInput calldata input) external returns (bytes32 memberId);
    function setMemberStatus(bytes32 memberId, uint8 status) external;
    function setMemberRecord(bytes32 memberId, MemberRecord calldata record) external;
    function replaceAdmins(bytes32 memberId, address[] calldata admins, uint8 threshold) external;
    function setNodeStatus(bytes32 nodeKey, uint8 status) external;
    function setCandidate(bytes32 nodeKey, bool candidate) external;
    function setCouncil(address[] calldata keys) external;
    function ratify(bytes32 subject) external;
    function releaseAccount(address account) external;

    function suspendUntil(bytes32 subject, uint64 until) external;
    function setFreeze(address subject, bytes32 orderHash, bytes32 supervisor, uint64 until) external;
    function clearFreeze(address subject) external;
}

interface IRegistry is IRegistryReads, IRegistryVerdicts, IRegistryActs, IRegistryOrders {}
