//! The structs and functions of the registry's contracts, as their Solidity interfaces have them. What only the contracts
//! call of each other is left out.

use alloy_sol_types::sol;

sol! {
    #![sol(all_derives)]

    /// A member as stored; `status` 2 is active.
    struct Member {
        uint8 status;
        uint8 kind;
        bool voting;
        uint8 idScheme;
        uint8 quotaClass;
        uint8 adminThreshold;
        uint16 sector;
        uint16 region;
        uint64 suspendedUntil;
        uint64 joined;
        uint32 adminVersion;
        uint64 changed;
        uint64 noticeUntil;
        uint64 lastEmergency;
        bytes32 idValue;
        bytes32 controlGroup;
        bytes32 legalNameHash;
        bytes32 didHash;
        bytes32 docsHash;
        address[] admins;
    }

    /// A node as stored; `status` 2 is active.
    struct Node {
        uint8 status;
        uint16 roles;
        uint64 expires;
        uint64 suspendedUntil;
        uint64 registered;
        uint16 hostRegion;
        bytes32 memberId;
        address validatorAddress;
        uint32 hostProvider;
        uint32 swVersion;
        uint64 candidateSince;
        uint64 changed;
        uint64 lastEmergency;
        bytes32 publicKeyHigh;
        bytes32 publicKeyLow;
        bytes endpoints;
    }

    /// An account as stored; `status` 2 is active.
    struct Account {
        uint8 status;
        uint16 access;
        uint8 quotaClass;
        uint64 expires;
        uint64 changed;
        bytes32 memberId;
    }

    /// What a proposal of kind 1 and the seeding say about a new member.
    struct MemberInput {
        uint8 idScheme;
        bytes32 idValue;
        address[] admins;
        uint8 adminThreshold;
        MemberRecord record;
    }

    /// The part of a member that a proposal of kind 8 replaces.
    struct MemberRecord {
        uint8 kind;
        bool voting;
        uint8 quotaClass;
        uint16 sector;
        uint16 region;
        bytes32 controlGroup;
        bytes32 legalNameHash;
        bytes32 didHash;
        bytes32 docsHash;
    }

    /// A node as its owner or the seeding adds it: 64 bytes of public key, "host:port" entries with commas between.
    struct NodeInput {
        bytes publicKey;
        uint16 roles;
        uint64 expires;
        address validatorAddress;
        uint16 hostRegion;
        uint32 hostProvider;
        uint32 swVersion;
        bytes endpoints;
    }

    /// A supervisor's order against an address.
    struct Freeze {
        bytes32 orderHash;
        bytes32 supervisor;
        uint64 since;
        uint64 until;
    }

    /// A key that must be a party; `subject` is 0 for everybody, else a sector or the id of a member.
    struct SupervisorRule {
        uint8 scope;
        bytes32 subject;
        bytes32 key;
    }

    /// Selection of validators. Lengths in blocks.
    struct SelectionPolicy {
        uint16 n;
        uint16 nMin;
        uint32 epochLength;
        uint32 freezeLength;
        uint16 rotation;
        uint64 term;
        uint16 capGroup;
        uint16 capSector;
        uint16 capRegion;
        uint16 capHost;
    }

    /// Service level of validators. Lengths in blocks, shares in basis points.
    struct SlaPolicy {
        uint32 window;
        uint16 warnBps;
        uint16 suspendBps;
        uint16 minOwnSlots;
        uint16 consecutiveMisses;
        uint32 jailLength;
        uint32 strikeDecay;
        uint16 heartbeats;
        uint32 heartbeatInterval;
    }

    /// Votes. Lengths in blocks, `thresholds` in basis points of the electorate by kind.
    struct VotePolicy {
        uint32 votingLength;
        uint32 executionLength;
        uint32 confirmationLength;
        uint16 participationBps;
        uint16 minElectorate;
        uint16 openProposals;
        uint32 strictKinds;
        uint16[24] thresholds;
    }

    /// Limits of members' own acts and of supervision. Lengths in blocks.
    struct LimitPolicy {
        uint32 emergencyLength;
        uint32 freezeLength;
        uint16 nodesPerMember;
        uint32 accountsPerMember;
    }

    /// Gas per member: `rates[class]` gas per block, up to `capBlocks` blocks saved.
    struct QuotaPolicy {
        bool enabled;
        uint32 capBlocks;
        uint64[8] rates;
    }

    /// Everything that is decided by vote of kind 7, always as a whole.
    struct PolicyValues {
        SelectionPolicy selection;
        SlaPolicy sla;
        VotePolicy votes;
        LimitPolicy limits;
        QuotaPolicy quota;
    }

    /// A proposal, counted against the electorate of the block in which it is read.
    struct ProposalView {
        uint256 id;
        uint16 kind;
        uint8 status;
        string state;
        bytes32 payloadHash;
        bytes32 proposer;
        bytes32 subject;
        uint64 created;
        uint64 votingEnds;
        uint64 expires;
        uint32 votesFor;
        uint32 votesAgainst;
        uint32 electorate;
        uint32 needed;
    }

    /// The last word of a control group on a proposal.
    struct VoteView {
        bytes32 group;
        bytes32 memberId;
        bool support;
        uint64 castAt;
        bool counts;
    }

    /// What is known of a validator or candidate. Counters run within the current window.
    struct ValidatorState {
        uint32 proposed;
        uint32 missed;
        uint16 consecutiveMissed;
        uint40 window;
        uint16 score;
        uint8 strikes;
        uint8 flags;
        uint64 seatSince;
        uint64 jailedUntil;
        uint64 lastStrike;
        uint16 heartbeats;
        uint64 lastHeartbeat;
    }

    /// One entry of the journal of what the blocks themselves did.
    struct Act {
        uint64 blockNumber;
        uint8 kind;
        uint184 value;
        bytes32 subject;
    }

    /// 0x…9999: who may connect.
    interface NodeRules {
        function connectionAllowed(string enodeId, string host, uint16 port) external view returns (bool);
        function connectionRefusal(string enodeId, string host, uint16 port) external view returns (string);
    }

    /// 0x…8888: who may transact.
    interface AccountRules {
        function transactionAllowed(
            address sender, address target, uint256 value, uint256 gasPrice, uint256 gasLimit, bytes payload
        ) external view returns (bool);
        function transactionRefusal(
            address sender, address target, uint256 value, uint256 gasPrice, uint256 gasLimit, bytes payload
        ) external view returns (string);
    }

    /// 0x…7001: members, nodes, accounts; the acts of member admins.
    interface Registry {
        event MemberChanged(bytes32 indexed id, uint8 status);
        event NodeChanged(bytes32 indexed nodeKey, bytes32 indexed memberId, uint8 status, uint16 roles);
        event EndpointsChanged(bytes32 indexed nodeKey, bytes endpoints);
        event AccountChanged(address indexed account, bytes32 indexed memberId, uint8 status, uint16 access);
        event AdminsChanged(bytes32 indexed id, uint32 adminVersion, address[] admins, uint8 threshold);
        event RecordChanged(bytes32 indexed id);
        event CouncilChanged(address[] keys);
        event ElectorateChanged(uint256 groups);
        event Confirmed(
            bytes32 indexed memberId, bytes32 indexed callHash, address indexed admin, address target, uint256 have,
            uint256 need
        );
        event ConfirmationWithdrawn(
            bytes32 indexed memberId, bytes32 indexed callHash, address indexed admin, address target
        );
        event Frozen(address indexed subject, bytes32 indexed orderHash, bytes32 indexed supervisor, uint64 until);
        event Unfrozen(address indexed subject, bytes32 indexed orderHash);
        event EmergencySuspended(bytes32 indexed subject, uint64 until);

        function layoutVersion() external pure returns (uint256);
        function memberIdOf(uint8 idScheme, bytes32 idValue) external pure returns (bytes32);
        function memberCount() external view returns (uint256);
        function memberAt(uint256 index) external view returns (bytes32 memberId);
        function getMember(bytes32 memberId) external view returns (Member memory);
        function nodeCount() external view returns (uint256);
        function nodeAt(uint256 index) external view returns (bytes32 nodeKey);
        function getNode(bytes32 nodeKey) external view returns (Node memory);
        function nodesOf(bytes32 memberId) external view returns (bytes32[] memory);
        function nodeOfValidator(address validator) external view returns (bytes32 nodeKey);
        function accountCount() external view returns (uint256);
        function accountAt(uint256 index) external view returns (address);
        function getAccount(address account) external view returns (Account memory);
        function memberOf(address account) external view returns (bytes32);
        function adminOf(address admin) external view returns (bytes32 memberId, uint256 place);
        function electorate() external view returns (uint256);
        function votersOf(bytes32 controlGroup) external view returns (uint256);
        function votingGroup(bytes32 memberId) external view returns (bytes32);
        function council() external view returns (address[] memory);
        function isCouncil(address key) external view returns (bool);
        function candidates() external view returns (bytes32[] memory);
        function frozenCount() external view returns (uint256);
        function frozenAt(uint256 index) external view returns (address);
        function getFreeze(address subject) external view returns (Freeze memory);
        function isFrozen(address subject) external view returns (bool);
        function confirmation(bytes32 memberId, address target, bytes32 callHash)
            external view returns (uint256 admins, uint64 since);
        function nodePermitted(bytes32 nodeKey) external view returns (bool);
        function memberPermitted(bytes32 memberId) external view returns (bool);
        function senderWord(address sender) external view returns (uint256);
        function permissionVersion() external view returns (uint64);

        function addNode(NodeInput calldata input) external;
        function updateEndpoints(bytes32 nodeKey, bytes calldata endpoints) external;
        function declareVersion(bytes32 nodeKey, uint32 swVersion) external;
        function setOwnNodeStatus(bytes32 nodeKey, uint8 status) external;
        function setAccount(address account, uint16 access, uint8 quotaClass, uint64 expires) external;
        function rotateAdmins(address[] calldata admins, uint8 threshold) external;
        function giveNotice(uint64 noticeUntil) external;
        function withdrawMember() external;
        function withdrawConfirmation(address target, bytes32 callHash) external;

        function seedMember(MemberInput calldata input) external returns (bytes32 memberId);
        function seedNode(bytes32 memberId, NodeInput calldata input) external returns (bytes32 nodeKey);
        function seedAccount(bytes32 memberId, address account, uint16 access, uint8 quotaClass, uint64 expires) external;
        function seedCouncil(address[] calldata keys) external;
    }

    /// 0x…7002: proposals and votes, one vote for each control group.
    interface Governance {
        event ProposalCreated(
            uint256 indexed id, uint16 indexed kind, bytes32 indexed proposer, bytes32 subject, bytes payload
        );
        event ProposalVoted(uint256 indexed id, bytes32 indexed group, bytes32 indexed memberId, bool support);
        event VoteWithdrawn(uint256 indexed id, bytes32 indexed group, bytes32 indexed memberId);
        event ProposalExecuted(uint256 indexed id, uint16 indexed kind, bytes32 indexed subject);
        event ProposalRejected(uint256 indexed id);
        event ProposalExpired(uint256 indexed id);
        event ProposalCancelled(uint256 indexed id);
        event Stated(uint256 indexed id, bytes32 indexed documentHash, uint64 deadline, string title);

        function propose(uint16 kind, bytes calldata payload) external returns (uint256 id);
        function vote(uint256 id, bool support) external;
        function withdrawVote(uint256 id) external;
        function execute(uint256 id, bytes calldata payload) external;
        function cancel(uint256 id) external;
        function close(uint256 id) external;
        function proposalCount() external view returns (uint256);
        function getProposal(uint256 id) external view returns (ProposalView memory);
        function votesOf(uint256 id) external view returns (VoteView[] memory);
        function openOf(bytes32 memberId) external view returns (uint256[] memory);
    }

    /// 0x…7003: the set of validators, its service level and its selection.
    interface Validators {
        event ValidatorSetChanged(uint64 indexed effective, bytes32 setHash);
        event SlaWarning(bytes32 indexed nodeKey, uint32 missed, uint32 proposed);
        event SlaSuspended(bytes32 indexed nodeKey, uint8 strikes, uint64 jailedUntil);
        event SlaReincorporated(bytes32 indexed nodeKey);
        event Heartbeat(bytes32 indexed nodeKey, uint64 height, uint16 count);
        event Struck(bytes32 indexed nodeKey, uint64 height);
        event Readmitted(bytes32 indexed nodeKey);

        function getValidators() external view returns (address[] memory);
        function endBlock(address author, address[] calldata missed) external;
        function seedValidators(bytes32[] calldata nodeKeys) external;
        function heartbeat(uint64 height, bytes32 hash) external;
        function heartbeatFor(bytes32 nodeKey, uint64 height, bytes32 hash) external;
        function requestReincorporation(bytes32 nodeKey) external;
        function seats() external view returns (bytes32[] memory);
        function getValidator(bytes32 nodeKey) external view returns (ValidatorState memory);
        function nextBoundary() external view returns (uint64);
        function epoch() external view returns (uint64 boundary, uint16 size, uint16 held);
        function simulateSelection(SelectionPolicy calldata overrides)
            external view returns (bytes32[] memory nodeKeys, uint8[] memory reasons);
        function actCount() external view returns (uint256);
        function actAt(uint256 index) external view returns (Act memory);
    }

    /// 0x…7004: gas per member.
    interface Quotas {
        function memberOf(address account) external view returns (bytes32);
        function available(bytes32 member) external view returns (uint256 gas, uint256 gasPerBlock);
        function charge(bytes32[] calldata members, uint64[] calldata gas) external;
        function bucket(bytes32 member) external view returns (uint128 level, uint64 updated);
    }

    /// 0x…7005: orders of supervisors, and suspensions that cannot wait for a vote.
    interface Supervision {
        event FreezeRequested(address indexed subject, bytes32 indexed orderHash, address indexed by, bool supervisor);
        event EmergencyRequested(bytes32 indexed subject, bytes32 indexed reasonHash, bytes32 indexed by, uint256 groups);

        function freeze(address subject, bytes32 orderHash, uint64 until) external;
        function unfreeze(address subject, bytes32 orderHash) external;
        function clearLapsedFreeze(address subject) external;
        function emergencySuspend(bytes32 subject, bytes32 reasonHash) external;
        function freezeRequest(address subject, bytes32 orderHash, uint64 until)
            external view returns (bytes32 supervisor, bool council, uint64 since);
        function emergencyRequest(bytes32 subject, bytes32 reasonHash)
            external view returns (bytes32[] memory groups, bool supervisor, bool council, uint64 since);
        function standingEmergencies() external view returns (bytes32[] memory);
    }

    /// 0x…7006: the values that votes of kind 7 change.
    interface Policy {
        event PolicyChanged(uint64 indexed revision, uint64 indexed effective, PolicyValues values);

        function seedPolicy(PolicyValues calldata values) external;
        function check(PolicyValues calldata values) external pure;
        function policy() external view returns (PolicyValues memory);
        function nextPolicy() external view returns (uint64 revision, uint64 effective, PolicyValues memory);
        function revision() external view returns (uint64);
        function selectionPolicy() external view returns (SelectionPolicy memory);
        function slaPolicy() external view returns (SlaPolicy memory);
        function votePolicy() external view returns (VotePolicy memory);
        function limitPolicy() external view returns (LimitPolicy memory);
        function confirmationLength() external view returns (uint32);
        function minElectorate() external view returns (uint16);
        function quotaPolicy() external view returns (QuotaPolicy memory);
    }

    /// 0x…7007: proof that a validator signed two blocks of one height and round.
    interface Evidence {
        event Equivocation(bytes32 indexed nodeKey, uint64 indexed height, uint32 round, bytes32 digestA, bytes32 digestB);

        function submitEquivocation(
            bytes calldata headerA, bytes calldata sealA, bytes calldata headerB, bytes calldata sealB
        ) external;
        function known(address validator, uint64 height, uint32 round) external view returns (bool);
    }

    /// 0x…7008: who must be a party of what is shared, and at which nodes parties are.
    interface Parties {
        event SupervisorAdded(bytes32 indexed key, uint8 indexed scope, bytes32 indexed subject);
        event SupervisorRemoved(bytes32 indexed key, uint8 indexed scope, bytes32 indexed subject);
        event PartyBound(bytes32 indexed party, bytes32 indexed nodeKey, bytes32 indexed memberId);
        event PartyUnbound(bytes32 indexed party, bytes32 indexed nodeKey, bytes32 indexed memberId);

        function bindParty(bytes32 nodeKey, bytes32 party) external;
        function unbindParty(bytes32 nodeKey, bytes32 party) external;
        function requiredParties(address account) external view returns (bytes32[] memory keys);
        function requiredPartiesOfNode(bytes32 nodeKey) external view returns (bytes32[] memory keys);
        function isSupervisor(bytes32 key) external view returns (bool);
        function supervisors() external view returns (SupervisorRule[] memory);
        function holdersOf(bytes32 party) external view returns (bool bound, bytes[] memory publicKeys);
        function nodesOf(bytes32 party) external view returns (bytes32[] memory nodeKeys);
        function partiesOf(bytes32 nodeKey) external view returns (bytes32[] memory parties);
        function memberOfParty(bytes32 party) external view returns (bytes32);
    }
}
