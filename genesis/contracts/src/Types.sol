// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// The structs that travel through the interfaces. Those of the registry are stored as they stand here: the order of the
// fields is the layout that storage proofs rely on.

// Member status: 0 none, 1 proposed, 2 active, 3 suspended, 4 expelled (final), 5 withdrawn.
uint8 constant MEMBER_ACTIVE = 2;
uint8 constant MEMBER_SUSPENDED = 3;
uint8 constant MEMBER_EXPELLED = 4;
uint8 constant MEMBER_WITHDRAWN = 5;

// Member kind: 1 ordinary, 2 public body, 3 university or research, 4 supervisor, 5 auditor, 6 association.
uint8 constant KIND_SUPERVISOR = 4;
uint8 constant KIND_AUDITOR = 5;
uint8 constant KIND_LAST = 6;

// Id schemes: 1 LEI, 2 tax id, 3 EUID, 4 hash of a DID.
uint8 constant SCHEME_LEI = 1;
uint8 constant SCHEME_LAST = 4;

// Node status: 0 none, 1 proposed, 2 active, 3 deactivated by its owner, 4 suspended, 5 revoked (final for the key).
uint8 constant NODE_ACTIVE = 2;
uint8 constant NODE_DEACTIVATED = 3;
uint8 constant NODE_SUSPENDED = 4;
uint8 constant NODE_REVOKED = 5;

// Node roles, a bitmap: 1 regular, 2 validator candidate, 4 boot, 8 supervisor or auditor, 16 archive, 32 observer.
uint16 constant ROLE_VALIDATOR = 2;
uint16 constant ROLE_SUPERVISOR = 8;
uint16 constant ROLES_ALL = 63;

// Account access, a bitmap: 1 transfer, 2 call, 4 deploy, 8 governance (a label for the member's own tools).
uint16 constant ACCESS_TRANSFER = 1;
uint16 constant ACCESS_CALL = 2;
uint16 constant ACCESS_DEPLOY = 4;
uint16 constant ACCESS_FULL = 7;
uint16 constant ACCESS_ALL = 15;

uint8 constant ACCOUNT_ACTIVE = 2;

// Kinds of proposals.
uint16 constant ADMIT_MEMBER = 1;
uint16 constant SUSPEND_MEMBER = 2;
uint16 constant LIFT_MEMBER = 3;
uint16 constant EXPEL_MEMBER = 4;
uint16 constant REVOKE_NODE = 5;
uint16 constant CANDIDACY = 6;
uint16 constant CHANGE_POLICY = 7;
uint16 constant CHANGE_RECORD = 8;
uint16 constant REPLACE_ADMINS = 9;
uint16 constant CHANGE_COUNCIL = 10;
uint16 constant RATIFY = 11;
uint16 constant READMIT_VALIDATOR = 12;
uint16 constant STATEMENT = 13;
uint16 constant SUSPEND_NODE = 14;
uint16 constant LIFT_NODE = 15;
uint16 constant RELEASE_ACCOUNT = 16;
uint16 constant ADD_SUPERVISOR = 17;
uint16 constant REMOVE_SUPERVISOR = 18;
uint16 constant RELEASE_PARTY = 19;
uint16 constant LAST_KIND = 19;

// The place in the list of thresholds for acts against supervisors and auditors.
uint16 constant SUPERVISION_THRESHOLD = 0;

// States of a proposal.
uint8 constant PROPOSAL_OPEN = 1;
uint8 constant PROPOSAL_PASSED = 2;
uint8 constant PROPOSAL_REJECTED = 3;
uint8 constant PROPOSAL_EXPIRED = 4;
uint8 constant PROPOSAL_EXECUTED = 5;
uint8 constant PROPOSAL_CANCELLED = 6;

// Kinds of acts in the journal of the validators.
uint8 constant ACT_SUSPENDED = 1;
uint8 constant ACT_REMOVED = 2;
uint8 constant ACT_SEATED = 3;
uint8 constant ACT_HELD = 4;
uint8 constant ACT_KEPT_SET = 5;
uint8 constant ACT_WARNED = 6;
uint8 constant ACT_ROTATED = 7;

// Whose private transactions a supervisor's key must be a party of.
uint8 constant SCOPE_EVERYBODY = 1;
uint8 constant SCOPE_SECTOR = 2;
uint8 constant SCOPE_MEMBER = 3;

// Bounds of lists, so that no loop over them can outgrow a block.
uint256 constant MAX_GROUPS = 512;
uint256 constant MAX_ADMINS = 16;
uint256 constant MAX_COUNCIL = 16;
uint256 constant MAX_CANDIDATES = 128;
uint256 constant MAX_VALIDATORS = 31;
uint256 constant MAX_NODES_PER_MEMBER = 64;
uint256 constant MAX_ENDPOINTS_BYTES = 256;
uint256 constant MAX_PAYLOAD_BYTES = 4096;
// No sender has more than 16 supervisors: each gets a copy of everything.
uint256 constant MAX_SUPERVISORS_OF_ALL = 8;
uint256 constant MAX_SUPERVISORS_OF_SOME = 4;
uint256 constant MAX_SUPERVISOR_RULES = 64;
uint256 constant MAX_PARTIES_PER_NODE = 64;
uint256 constant MAX_NODES_PER_PARTY = 16;

/// A member as stored. Word 0 is the status word.
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
    // word 1
    uint64 changed;
    uint64 noticeUntil;
    uint64 lastEmergency;
    // words 2 to 6
    bytes32 idValue;
    bytes32 controlGroup;
    bytes32 legalNameHash;
    bytes32 didHash;
    bytes32 docsHash;
    // word 7
    address[] admins;
}

/// A node as stored. Word 0 is the status word, word 1 its member.
struct Node {
    uint8 status;
    uint16 roles;
    uint64 expires;
    uint64 suspendedUntil;
    uint64 registered;
    uint16 hostRegion;
    // word 1
    bytes32 memberId;
    // word 2
    address validatorAddress;
    uint32 hostProvider;
    uint32 swVersion;
    // word 3
    uint64 candidateSince;
    uint64 changed;
    uint64 lastEmergency;
    // words 4 and 5
    bytes32 publicKeyHigh;
    bytes32 publicKeyLow;
    // word 6
    bytes endpoints;
}

/// An account as stored. Word 0 is the status word, word 1 its member.
struct Account {
    uint8 status;
    uint16 access;
    uint8 quotaClass;
    uint64 expires;
    uint64 changed;
    // word 1
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

/// A node as its owner or the seeding adds it. `publicKey` has 64 bytes; `validatorAddress` 0 means the address of that key;
/// `endpoints` is UTF-8 text of "host:port" entries with commas between.
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

/// A key that must be a party of private transactions. `subject` is 0 for everybody, else a sector or the id of a member.
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

/// Votes. Lengths in blocks. `thresholds[kind]` in basis points of the electorate; bit `kind` of `strictKinds` says "more
/// than", otherwise "at least". Place 0 is for acts against supervisors and auditors.
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

/// A proposal as read: votes and state are counted against the electorate of the block in which it is read.
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

/// The last word of a control group on a proposal. `counts` is false when the group's member lost its right since.
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
    // word 1
    uint64 jailedUntil;
    uint64 lastStrike;
    uint16 heartbeats;
    uint64 lastHeartbeat;
}

// Flags of ValidatorState.
uint8 constant FLAG_SEATED = 1;
uint8 constant FLAG_SUSPENDED = 2;
uint8 constant FLAG_BARRED = 4;
uint8 constant FLAG_LEAVING = 8;
uint8 constant FLAG_WARNED = 16;

/// One entry of the journal of the system's acts.
struct Act {
    uint64 blockNumber;
    uint8 kind;
    uint184 value;
    bytes32 subject;
}
