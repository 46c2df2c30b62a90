// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Types.sol";

/// Reads of the registry.
interface IRegistryReads {
    /// Rises when the storage layout changes, on which proofs rest.
    function layoutVersion() external pure returns (uint256);
    /// The id of a member: keccak256 of the scheme's byte and the 32 bytes of the value.
    function memberIdOf(uint8 idScheme, bytes32 idValue) external pure returns (bytes32);
    /// How many members there ever were, whatever became of them.
    function memberCount() external view returns (uint256);
    /// The id at an index, in order of first admission.
    function memberAt(uint256 index) external view returns (bytes32 memberId);
    /// A member as stored; status 0 if unknown.
    function getMember(bytes32 memberId) external view returns (Member memory);
    /// The part of a member that the other contracts ask for most.
    function memberFacts(bytes32 memberId) external view returns (uint8 status, uint8 kind, uint8 quotaClass);
    /// How many nodes there ever were, revoked ones too.
    function nodeCount() external view returns (uint256);
    /// The key at an index, in order of registration.
    function nodeAt(uint256 index) external view returns (bytes32 nodeKey);
    /// A node as stored; status 0 if unknown.
    function getNode(bytes32 nodeKey) external view returns (Node memory);
    /// The nodes of a member that are not revoked.
    function nodesOf(bytes32 memberId) external view returns (bytes32[] memory);
    /// The node that signs with this address, 0 if there is none.
    function nodeOfValidator(address validator) external view returns (bytes32 nodeKey);
    /// How many accounts are registered.
    function accountCount() external view returns (uint256);
    /// The account at an index; removals move the last one.
    function accountAt(uint256 index) external view returns (address);
    /// An account as stored; status 0 if unknown.
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
    /// The keys that confirm what supervisors do.
    function council() external view returns (address[] memory);
    /// Whether a key is one of them.
    function isCouncil(address key) external view returns (bool);
    /// The nodes with role 2, at most 128.
    function candidates() external view returns (bytes32[] memory);
    /// How many addresses have a freeze, lapsed ones that nobody cleared too.
    function frozenCount() external view returns (uint256);
    /// The address at an index; removals move the last one.
    function frozenAt(uint256 index) external view returns (address);
    /// The freeze of an address; all zero if none.
    function getFreeze(address subject) external view returns (Freeze memory);
    /// Whether a freeze of this address is in force.
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
    /// Admission, suspension, expulsion, leaving; or an emergency suspension, with the status as it stays.
    event MemberChanged(bytes32 indexed id, uint8 status);
    /// Any change of a node's status, roles or version.
    event NodeChanged(bytes32 indexed nodeKey, bytes32 indexed memberId, uint8 status, uint16 roles);
    /// Where a node can be reached.
    event EndpointsChanged(bytes32 indexed nodeKey, bytes endpoints);
    /// Added, changed, or removed (status 0).
    event AccountChanged(address indexed account, bytes32 indexed memberId, uint8 status, uint16 access);
    /// New admins; what those of before confirmed is void.
    event AdminsChanged(bytes32 indexed id, uint32 adminVersion, address[] admins, uint8 threshold);
    /// A vote changed the record, or the member gave notice.
    event RecordChanged(bytes32 indexed id);
    /// All council keys, anew.
    event CouncilChanged(address[] keys);
    /// How many control groups have a vote now.
    event ElectorateChanged(uint256 groups);
    /// One admin's word for a call; carried out if `have` reached `need`.
    event Confirmed(
        bytes32 indexed memberId,
        bytes32 indexed callHash,
        address indexed admin,
        address target,
        uint256 have,
        uint256 need
    );
    /// An admin took its word back.
    event ConfirmationWithdrawn(bytes32 indexed memberId, bytes32 indexed callHash, address indexed admin, address target);
    /// An order against an address is in force until the block named.
    event Frozen(address indexed subject, bytes32 indexed orderHash, bytes32 indexed supervisor, uint64 until);
    /// The order ended.
    event Unfrozen(address indexed subject, bytes32 indexed orderHash);
    /// A member or node is suspended until the block named.
    event EmergencySuspended(bytes32 indexed subject, uint64 until);

    /// Registers a node of the member; it is permitted from this block's end on.
    function addNode(NodeInput calldata input) external;
    /// Says where an own node can be reached.
    function updateEndpoints(bytes32 nodeKey, bytes calldata endpoints) external;
    /// Says which release an own node runs.
    function declareVersion(bytes32 nodeKey, uint32 swVersion) external;
    /// 2 active, 3 deactivated, 5 revoked.
    function setOwnNodeStatus(bytes32 nodeKey, uint8 status) external;
    /// Access 0 removes the account.
    function setAccount(address account, uint16 access, uint8 quotaClass, uint64 expires) external;
    /// Replaces all admins of the member.
    function rotateAdmins(address[] calldata admins, uint8 threshold) external;
    /// Announces the block at which the member will leave; binds nobody.
    function giveNotice(uint64 noticeUntil) external;
    /// Leaves the network.
    function withdrawMember() external;
    /// Takes one's own confirmation of a call back.
    function withdrawConfirmation(address target, bytes32 callHash) external;
}

/// What only the other contracts may do, and what only the making of the genesis may do.
interface IRegistryOrders {
    /// A member of the genesis.
    function seedMember(MemberInput calldata input) external returns (bytes32 memberId);
    /// A node of the genesis; role 2 makes it a candidate.
    function seedNode(bytes32 memberId, NodeInput calldata input) external returns (bytes32 nodeKey);
    /// An account of the genesis.
    function seedAccount(bytes32 memberId, address account, uint16 access, uint8 quotaClass, uint64 expires) external;
    /// The council keys of the genesis.
    function seedCouncil(address[] calldata keys) external;

    /// Counts the sender's confirmation of the calling contract's call.
    function confirm(address admin, bytes32 callHash) external returns (bytes32 memberId, bool ready);

    /// Governance: a new member, or one that had left.
    function admit(MemberInput calldata input) external returns (bytes32 memberId);
    /// Governance: 2 lifts a suspension, 3 suspends, 4 expels.
    function setMemberStatus(bytes32 memberId, uint8 status) external;
    /// Governance: replaces the record.
    function setMemberRecord(bytes32 memberId, MemberRecord calldata record) external;
    /// Governance: for a member that lost its keys.
    function replaceAdmins(bytes32 memberId, address[] calldata admins, uint8 threshold) external;
    /// Governance: 2 lifts a suspension, 4 suspends, 5 revokes.
    function setNodeStatus(bytes32 nodeKey, uint8 status) external;
    /// Governance: grants or takes role 2.
    function setCandidate(bytes32 nodeKey, bool candidate) external;
    /// Governance: replaces the council keys.
    function setCouncil(address[] calldata keys) external;
    /// Governance: an emergency suspension becomes an ordinary one.
    function ratify(bytes32 subject) external;
    /// Governance: an account belongs to nobody any more.
    function releaseAccount(address account) external;

    /// Supervision: an emergency suspension.
    function suspendUntil(bytes32 subject, uint64 until) external;
    /// Supervision: a new or renewed freeze.
    function setFreeze(address subject, bytes32 orderHash, bytes32 supervisor, uint64 until) external;
    /// Supervision: ends a freeze.
    function clearFreeze(address subject) external;
}

/// All of the registry.
interface IRegistry is IRegistryReads, IRegistryVerdicts, IRegistryActs, IRegistryOrders {}
