// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Who calls.
error OnlySystem();
error OnlySeeding();
error OnlyContract(address expected);
error NotAdmin(address sender);
error NotSupervisor(bytes32 memberId);
error NotOwner(bytes32 memberId);
error NoVotingRight(bytes32 memberId);
error NotProposer(bytes32 memberId);
error NotValidator(address sender);

// Members.
error MemberUnknown(bytes32 memberId);
error MemberExists(bytes32 memberId);
error MemberNotActive(bytes32 memberId);
error WrongStatus(bytes32 subject, uint8 status);
error BadIdScheme(uint8 idScheme);
error BadLei(bytes32 idValue);
error BadKind(uint8 kind);
error BadQuotaClass(uint8 quotaClass);
error BadAdmins();
error AdminTaken(address admin);
error TooManyGroups();
error ElectorateTooSmall(uint256 groups, uint256 atLeast);
error NothingToWithdraw();

// Nodes and accounts.
error NodeUnknown(bytes32 nodeKey);
error NodeExists(bytes32 nodeKey);
error BadPublicKey();
error BadRoles(uint16 roles);
error BadEndpoints();
error BadExpiry(uint64 expires);
error ValidatorTaken(address validator);
error TooManyNodes();
error TooManyCandidates();
error AccountTaken(address account);
error AccountUnknown(address account);
error BadAccess(uint16 access);
error TooManyAccounts();

// Supervision.
error NotFreezable(address subject);
error NotFrozen(address subject);
error StillFrozen(address subject);
error FreezeTooLong(uint64 until, uint64 latest);
error SupervisionProtected(bytes32 subject);
error EmergencyTooSoon(uint64 from);
error TooManyEmergencies();
error NoEmergency(bytes32 subject);
error BadCouncil();
error AlreadyCounted();

// Governance.
error BadProposalKind(uint16 kind);
error BadPayload();
error PayloadMismatch();
error StatementMissing();
error ProposalUnknown(uint256 id);
error ProposalNotOpen(uint256 id, uint8 status);
error ProposalNotPassed(uint256 id, uint8 status);
error VotingOver(uint256 id);
error NoVote(uint256 id);
error TooManyProposals();
error TooManyVotes();

// Policy.
error BadPolicy(string field);
error StaleRevision(uint64 given, uint64 expected);
error PolicyMissing();

// Validators.
error TooManySeatsLost(uint256 lost, uint256 limit);
error LastValidator();
error BadSet();
error BadHeartbeat(uint64 height);
error HeartbeatTooSoon(uint64 from);
error NotSuspended(bytes32 nodeKey);
error StillJailed(uint64 until);
error Barred(bytes32 nodeKey);
error NotBarred(bytes32 nodeKey);
error HeartbeatsMissing(uint16 have, uint16 need);
error ActUnknown(uint256 index);

// Evidence.
error BadHeader();
error BadSeal();
error SealsNotEmpty();
error SameBlock();
error DifferentSlot();
error DifferentSigner();
error OtherChain(uint64 height);
error AlreadyKnown();

// Malformed calls of the rule contracts.
error MalformedCall();
