// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

// Who calls.
/// The call is for the end of a block.
error OnlySystem();
/// The call is for the making of a genesis.
error OnlySeeding();
/// The call is for another of these contracts.
error OnlyContract(address expected);
/// The sender is no member's admin.
error NotAdmin(address sender);
/// The member is no active supervisor.
error NotSupervisor(bytes32 memberId);
/// It belongs to another member.
error NotOwner(bytes32 memberId);
/// The member has no vote.
error NoVotingRight(bytes32 memberId);
/// Another member proposed it.
error NotProposer(bytes32 memberId);
/// No node signs with this address.
error NotValidator(address sender);

// Members.
/// There is no such member.
error MemberUnknown(bytes32 memberId);
/// It is a member already, or was expelled.
error MemberExists(bytes32 memberId);
/// The member is suspended, expelled or gone.
error MemberNotActive(bytes32 memberId);
/// The change does not lead on from this status.
error WrongStatus(bytes32 subject, uint8 status);
/// No such scheme, or no value.
error BadIdScheme(uint8 idScheme);
/// Not an LEI, or its check digits are wrong.
error BadLei(bytes32 idValue);
/// No such kind of member.
error BadKind(uint8 kind);
/// Classes are 0 to 7.
error BadQuotaClass(uint8 quotaClass);
/// None, too many, a zero, or a threshold they cannot reach.
error BadAdmins();
/// The key is an admin's already.
error AdminTaken(address admin);
/// No more control groups can vote.
error TooManyGroups();
/// Fewer groups would have a vote than the policy wants.
error ElectorateTooSmall(uint256 groups, uint256 atLeast);
/// The sender has confirmed no such call.
error NothingToWithdraw();

// Nodes and accounts.
/// There is no such node.
error NodeUnknown(bytes32 nodeKey);
/// The key is registered, or was.
error NodeExists(bytes32 nodeKey);
/// A public key has 64 bytes.
error BadPublicKey();
/// None, unknown ones, or ones that the member cannot give.
error BadRoles(uint16 roles);
/// Too long, or not printable ASCII without spaces.
error BadEndpoints();
/// In the past.
error BadExpiry(uint64 expires);
/// The address signs for another node.
error ValidatorTaken(address validator);
/// More than the policy gives a member.
error TooManyNodes();
/// More than a selection can consider.
error TooManyCandidates();
/// The account belongs to another member, or cannot be one.
error AccountTaken(address account);
/// The account is not registered.
error AccountUnknown(address account);
/// Unknown bits, or none.
error BadAccess(uint16 access);
/// More than the policy gives a member.
error TooManyAccounts();

// Supervision.
/// One of these contracts, or nobody.
error NotFreezable(address subject);
/// There is no such freeze.
error NotFrozen(address subject);
/// Its time is not over.
error StillFrozen(address subject);
/// In the past, or beyond what the policy allows.
error FreezeTooLong(uint64 until, uint64 latest);
/// Only a vote of the larger majority touches supervisors and auditors.
error SupervisionProtected(bytes32 subject);
/// The subject stood under one not long ago.
error EmergencyTooSoon(uint64 from);
/// Too many stand suspended without a vote.
error TooManyEmergencies();
/// No emergency suspension of it is in force.
error NoEmergency(bytes32 subject);
/// Too many keys, a zero, or one twice.
error BadCouncil();
/// The sender's group, or the council, said so already.
error AlreadyCounted();

// Keys of private transactions.
/// No key.
error BadParty();
/// No such scope, or a subject that does not go with it.
error BadScope(uint8 scope, bytes32 subject);
/// The rule exists.
error SupervisorExists(bytes32 key);
/// There is no such rule.
error SupervisorUnknown(bytes32 key);
/// More than everything that is sent can be copied to.
error TooManySupervisors();
/// Another member has bound the key.
error PartyTaken(bytes32 memberId);
/// The key is bound to this node.
error AlreadyBound(bytes32 party);
/// The key is not bound so.
error PartyUnknown(bytes32 party);
/// More keys for one node, or nodes for one key, than fit.
error TooManyParties();

// Governance.
/// No such kind.
error BadProposalKind(uint16 kind);
/// Too long.
error BadPayload();
/// Not what was proposed.
error PayloadMismatch();
/// Final acts refer to what the member said.
error StatementMissing();
/// There is no such proposal.
error ProposalUnknown(uint256 id);
/// It is over; or, for `close`, it is not.
error ProposalNotOpen(uint256 id, uint8 status);
/// It cannot be executed in this state.
error ProposalNotPassed(uint256 id, uint8 status);
/// The time for votes is over.
error VotingOver(uint256 id);
/// The group gave no word.
error NoVote(uint256 id);
/// The member has too many open.
error TooManyProposals();
/// More groups came and went than a proposal can count.
error TooManyVotes();

// Policy.
/// The field is out of its bounds.
error BadPolicy(string field);
/// The policy has changed since the proposal.
error StaleRevision(uint64 given, uint64 expected);

// Validators.
/// Two blocks would lose more seats than the set can bear.
error TooManySeatsLost(uint256 lost, uint256 limit);
/// Nobody would be left to make blocks.
error LastValidator();
/// Empty, too large, twice the same, or not permitted.
error BadSet();
/// Not a recent block of this chain.
error BadHeartbeat(uint64 height);
/// The last one was not long ago.
error HeartbeatTooSoon(uint64 from);
/// The validator is not suspended.
error NotSuspended(bytes32 nodeKey);
/// Until the block named.
error StillJailed(uint64 until);
/// After four strikes only a vote helps.
error Barred(bytes32 nodeKey);
/// There is nothing to vote on.
error NotBarred(bytes32 nodeKey);
/// It has not followed the chain for long enough.
error HeartbeatsMissing(uint16 have, uint16 need);
/// Not yet, or no longer, in the journal.
error ActUnknown(uint256 index);

// Evidence.
/// Not a header in RLP, or too long.
error BadHeader();
/// Not a signature, or not in its lower form.
error BadSeal();
/// The seal signs the header with an empty list of seals.
error SealsNotEmpty();
/// One block is no fault.
error SameBlock();
/// Another height or round.
error DifferentSlot();
/// Two validators.
error DifferentSigner();
/// The parent is no block of this chain that can still be looked up.
error OtherChain(uint64 height);
/// This fault was dealt with.
error AlreadyKnown();

/// No such function, or arguments that cannot be read.
error MalformedCall();
