// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./GovernanceTally.sol";
import "./interfaces/IParties.sol";
import "./interfaces/IValidators.sol";

/// Proposals: bound to their content by its hash, voted on by control groups, executed by any member once they pass. Many may
/// be open; each ends by itself.
contract Governance is GovernanceTally {
    /// @inheritdoc IGovernance
    function propose(uint16 kind, bytes calldata payload) external returns (uint256 id) {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return 0;
        bytes32 group = _group(memberId);
        if (payload.length > MAX_PAYLOAD_BYTES) revert BadPayload();
        VotePolicy memory policy = IPolicy(POLICY).votePolicy();
        _sweep(memberId, policy.openProposals);

        id = ++proposalCount;
        Proposal storage proposal = proposals[id];
        proposal.kind = kind;
        proposal.status = PROPOSAL_OPEN;
        proposal.created = uint64(block.number);
        proposal.votingEnds = uint64(block.number) + policy.votingLength;
        proposal.expires = proposal.votingEnds + policy.executionLength;
        proposal.payloadHash = keccak256(payload);
        proposal.proposer = memberId;
        proposal.subject = _subject(kind, payload);
        openIds[memberId].push(id);
        emit ProposalCreated(id, kind, memberId, proposal.subject, payload);
        _cast(id, proposal, group, memberId, true);
    }

    /// @inheritdoc IGovernance
    function vote(uint256 id, bool support) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        bytes32 group = _group(memberId);
        Proposal storage proposal = _openProposal(id);
        if (block.number > proposal.votingEnds) revert VotingOver(id);
        _cast(id, proposal, group, memberId, support);
        if (_statusOf(proposal) == PROPOSAL_REJECTED) _end(id, proposal, PROPOSAL_REJECTED);
    }

    /// @inheritdoc IGovernance
    function withdrawVote(uint256 id) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        bytes32 group = _group(memberId);
        Proposal storage proposal = _openProposal(id);
        if (proposal.votes[group].choice == 0) revert NoVote(id);
        proposal.votes[group].choice = 0;
        emit VoteWithdrawn(id, group, memberId);
    }

    /// @inheritdoc IGovernance
    function execute(uint256 id, bytes calldata payload) external {
        (bytes32 memberId,) = IRegistry(REGISTRY).adminOf(msg.sender);
        if (memberId == 0) revert NotAdmin(msg.sender);
        (uint8 memberStatus,,) = IRegistry(REGISTRY).memberFacts(memberId);
        if (memberStatus != MEMBER_ACTIVE) revert MemberNotActive(memberId);
        Proposal storage proposal = _proposal(id);
        if (keccak256(payload) != proposal.payloadHash) revert PayloadMismatch();
        uint8 status = _statusOf(proposal);
        if (status != PROPOSAL_PASSED) revert ProposalNotPassed(id, status);
        proposal.status = PROPOSAL_EXECUTED;
        emit ProposalExecuted(id, proposal.kind, proposal.subject);
        _perform(id, proposal.kind, payload);
    }

    /// @inheritdoc IGovernance
    function cancel(uint256 id) external {
        (bytes32 memberId, bool ready) = _act();
        if (!ready) return;
        Proposal storage proposal = _openProposal(id);
        if (proposal.proposer != memberId) revert NotProposer(memberId);
        _end(id, proposal, PROPOSAL_CANCELLED);
    }

    /// @inheritdoc IGovernance
    function close(uint256 id) external {
        Proposal storage proposal = _proposal(id);
        uint8 status = _statusOf(proposal);
        if (proposal.status != PROPOSAL_OPEN || _isOpen(status)) revert ProposalNotOpen(id, status);
        _end(id, proposal, status);
    }

    // --- Inside ------------------------------------------------------------------------------------------------------

    function _act() private returns (bytes32, bool) {
        return IRegistry(REGISTRY).confirm(msg.sender, keccak256(msg.data));
    }

    function _group(bytes32 memberId) private view returns (bytes32 group) {
        group = IRegistry(REGISTRY).votingGroup(memberId);
        if (group == 0) revert NoVotingRight(memberId);
    }

    function _openProposal(uint256 id) private view returns (Proposal storage proposal) {
        proposal = _proposal(id);
        uint8 status = _statusOf(proposal);
        if (!_isOpen(status)) revert ProposalNotOpen(id, status);
    }

    /// The last word of a group is its vote.
    function _cast(uint256 id, Proposal storage proposal, bytes32 group, bytes32 memberId, bool support) private {
        Vote storage entry = proposal.votes[group];
        if (entry.castAt == 0) {
            if (proposal.voters.length >= 2 * MAX_GROUPS) revert TooManyVotes();
            proposal.voters.push(group);
        }
        proposal.votes[group] = Vote(memberId, uint64(block.number), support ? FOR : AGAINST);
        emit ProposalVoted(id, group, memberId, support);
    }

    function _end(uint256 id, Proposal storage proposal, uint8 status) private {
        proposal.status = status;
        if (status == PROPOSAL_REJECTED) emit ProposalRejected(id);
        else if (status == PROPOSAL_EXPIRED) emit ProposalExpired(id);
        else emit ProposalCancelled(id);
    }

    /// Makes room among a member's open proposals by those that are written down as over or beyond their time. Counts no
    /// votes, so that its cost stays small; `close` makes room for the others.
    function _sweep(bytes32 memberId, uint256 most) private {
        uint256[] storage ids = openIds[memberId];
        for (uint256 i = ids.length; i > 0; i--) {
            Proposal storage proposal = proposals[ids[i - 1]];
            if (proposal.status == PROPOSAL_OPEN) {
                if (block.number <= proposal.expires) continue;
                _end(ids[i - 1], proposal, PROPOSAL_EXPIRED);
            }
            ids[i - 1] = ids[ids.length - 1];
            ids.pop();
        }
        if (ids.length >= most) revert TooManyProposals();
    }

    /// Whom or what a proposal is about. Decodes the whole payload: one that could not be executed cannot be proposed.
    function _subject(uint16 kind, bytes calldata payload) private pure returns (bytes32 subject) {
        if (kind == ADMIT_MEMBER) {
            MemberInput memory input = abi.decode(payload, (MemberInput));
            return IRegistry(REGISTRY).memberIdOf(input.idScheme, input.idValue);
        }
        if (kind == CANDIDACY) (subject,,) = abi.decode(payload, (bytes32, bool, bytes32));
        else if (kind == CHANGE_POLICY) _checkPolicy(payload);
        else if (kind == CHANGE_RECORD) (subject,) = abi.decode(payload, (bytes32, MemberRecord));
        else if (kind == REPLACE_ADMINS) (subject,,) = abi.decode(payload, (bytes32, address[], uint8));
        else if (kind == CHANGE_COUNCIL) abi.decode(payload, (address[]));
        else if (kind == RATIFY || kind == READMIT_VALIDATOR || kind == RELEASE_PARTY) subject = abi.decode(payload, (bytes32));
        else if (kind == STATEMENT) (subject,,) = abi.decode(payload, (bytes32, uint64, string));
        else if (kind == RELEASE_ACCOUNT) subject = _address(payload);
        else if (kind == ADD_SUPERVISOR || kind == REMOVE_SUPERVISOR) (,, subject) = _supervisor(payload);
        else if (kind != 0 && kind <= LAST_KIND) subject = _heard(kind, payload);
        else revert BadProposalKind(kind);
    }

    function _address(bytes calldata payload) private pure returns (bytes32) {
        address account = abi.decode(payload, (address));
        return bytes32(uint256(uint160(account)));
    }

    function _supervisor(bytes calldata payload) private pure returns (uint8, bytes32, bytes32) {
        return abi.decode(payload, (uint8, bytes32, bytes32));
    }

    function _checkPolicy(bytes calldata payload) private pure {
        (, PolicyValues memory values) = abi.decode(payload, (uint64, PolicyValues));
        IPolicy(POLICY).check(values);
    }

    /// Acts against a member or node; the final ones refer to what it said when it was heard.
    function _heard(uint16 kind, bytes calldata payload) private pure returns (bytes32 subject) {
        bytes32 statement;
        (subject, statement) = abi.decode(payload, (bytes32, bytes32));
        if ((kind == EXPEL_MEMBER || kind == REVOKE_NODE) && statement == 0) revert StatementMissing();
    }

    function _perform(uint256 id, uint16 kind, bytes calldata payload) private {
        IRegistry registry = IRegistry(REGISTRY);
        if (kind == ADMIT_MEMBER) registry.admit(abi.decode(payload, (MemberInput)));
        else if (kind == SUSPEND_MEMBER) registry.setMemberStatus(_first(payload), MEMBER_SUSPENDED);
        else if (kind == LIFT_MEMBER) registry.setMemberStatus(_first(payload), MEMBER_ACTIVE);
        else if (kind == EXPEL_MEMBER) registry.setMemberStatus(_first(payload), MEMBER_EXPELLED);
        else if (kind == REVOKE_NODE) registry.setNodeStatus(_first(payload), NODE_REVOKED);
        else if (kind == SUSPEND_NODE) registry.setNodeStatus(_first(payload), NODE_SUSPENDED);
        else if (kind == LIFT_NODE) registry.setNodeStatus(_first(payload), NODE_ACTIVE);
        else if (kind == RATIFY) registry.ratify(_first(payload));
        else if (kind == READMIT_VALIDATOR) IValidators(VALIDATORS).readmit(_first(payload));
        else if (kind == CHANGE_COUNCIL) registry.setCouncil(abi.decode(payload, (address[])));
        else if (kind == RELEASE_ACCOUNT) registry.releaseAccount(abi.decode(payload, (address)));
        else _performMore(id, kind, payload);
    }

    function _performMore(uint256 id, uint16 kind, bytes calldata payload) private {
        if (kind == CANDIDACY) {
            (bytes32 nodeKey, bool candidate,) = abi.decode(payload, (bytes32, bool, bytes32));
            IRegistry(REGISTRY).setCandidate(nodeKey, candidate);
        } else if (kind == CHANGE_POLICY) {
            (uint64 revision, PolicyValues memory values) = abi.decode(payload, (uint64, PolicyValues));
            IPolicy(POLICY).replace(revision, values);
        } else if (kind == CHANGE_RECORD) {
            (bytes32 memberId, MemberRecord memory record) = abi.decode(payload, (bytes32, MemberRecord));
            IRegistry(REGISTRY).setMemberRecord(memberId, record);
        } else if (kind == REPLACE_ADMINS) {
            (bytes32 memberId, address[] memory keys, uint8 threshold) = abi.decode(payload, (bytes32, address[], uint8));
            IRegistry(REGISTRY).replaceAdmins(memberId, keys, threshold);
        } else if (kind == ADD_SUPERVISOR || kind == REMOVE_SUPERVISOR) {
            (uint8 scope, bytes32 subject, bytes32 key) = _supervisor(payload);
            if (kind == ADD_SUPERVISOR) IParties(PARTIES).addSupervisor(scope, subject, key);
            else IParties(PARTIES).removeSupervisor(scope, subject, key);
        } else if (kind == RELEASE_PARTY) {
            IParties(PARTIES).releaseParty(_first(payload));
        } else {
            (bytes32 documentHash, uint64 deadline, string memory title) = abi.decode(payload, (bytes32, uint64, string));
            emit Stated(id, documentHash, deadline, title);
        }
    }

    function _first(bytes calldata payload) private pure returns (bytes32) {
        return bytes32(payload[:32]);
    }
}
