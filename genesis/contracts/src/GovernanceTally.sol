// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./Types.sol";
import "./interfaces/IGovernance.sol";
import "./interfaces/IPolicy.sol";
import "./interfaces/IRegistry.sol";

/// Storage of proposals and the counting of votes. Nothing counted is stored: each question counts against the electorate of
/// its own block, so that a group that lost its right has no vote any more and the votes never exceed the electorate.
abstract contract GovernanceTally is IGovernance {
    struct Vote {
        bytes32 memberId;
        uint64 castAt;
        uint8 choice;
    }

    struct Proposal {
        uint16 kind;
        uint8 status;
        uint64 created;
        uint64 votingEnds;
        uint64 expires;
        bytes32 payloadHash;
        bytes32 proposer;
        bytes32 subject;
        bytes32[] voters;
        mapping(bytes32 group => Vote) votes;
    }

    struct Tally {
        uint256 votesFor;
        uint256 votesAgainst;
        uint256 electorate;
        uint256 needed;
    }

    uint8 internal constant FOR = 1;
    uint8 internal constant AGAINST = 2;
    uint256 private constant ALL = 10000;

    // slots 0 to 2
    uint256 public proposalCount;
    mapping(uint256 id => Proposal) internal proposals;
    mapping(bytes32 memberId => uint256[]) internal openIds;

    /// @inheritdoc IGovernance
    function getProposal(uint256 id) external view returns (ProposalView memory view_) {
        Proposal storage proposal = _proposal(id);
        Tally memory tally = _tally(proposal);
        view_.id = id;
        view_.kind = proposal.kind;
        view_.status = _status(proposal, tally);
        view_.state = _words(view_.status);
        view_.payloadHash = proposal.payloadHash;
        view_.proposer = proposal.proposer;
        view_.subject = proposal.subject;
        view_.created = proposal.created;
        view_.votingEnds = proposal.votingEnds;
        view_.expires = proposal.expires;
        view_.votesFor = uint32(tally.votesFor);
        view_.votesAgainst = uint32(tally.votesAgainst);
        view_.electorate = uint32(tally.electorate);
        view_.needed = uint32(tally.needed);
    }

    /// @inheritdoc IGovernance
    function votesOf(uint256 id) external view returns (VoteView[] memory list) {
        Proposal storage proposal = _proposal(id);
        list = new VoteView[](proposal.voters.length);
        uint256 count = 0;
        for (uint256 i = 0; i < list.length; i++) {
            bytes32 group = proposal.voters[i];
            Vote storage entry = proposal.votes[group];
            if (entry.choice == 0) continue;
            list[count++] = VoteView(group, entry.memberId, entry.choice == FOR, entry.castAt, _counts(group, entry));
        }
        assembly {
            mstore(list, count)
        }
    }

    /// @inheritdoc IGovernance
    function openOf(bytes32 memberId) external view returns (uint256[] memory ids) {
        ids = openIds[memberId];
        uint256 count = 0;
        for (uint256 i = 0; i < ids.length; i++) if (_isOpen(_statusOf(proposals[ids[i]]))) ids[count++] = ids[i];
        assembly {
            mstore(ids, count)
        }
    }

    function _proposal(uint256 id) internal view returns (Proposal storage proposal) {
        proposal = proposals[id];
        if (proposal.status == 0) revert ProposalUnknown(id);
    }

    function _isOpen(uint8 status) internal pure returns (bool) {
        return status == PROPOSAL_OPEN || status == PROPOSAL_PASSED;
    }

    function _statusOf(Proposal storage proposal) internal view returns (uint8) {
        // What is over needs no counting.
        if (proposal.status != PROPOSAL_OPEN) return proposal.status;
        return _status(proposal, _tally(proposal));
    }

    function _status(Proposal storage proposal, Tally memory tally) internal view returns (uint8) {
        if (proposal.status != PROPOSAL_OPEN) return proposal.status;
        if (block.number > proposal.expires) return PROPOSAL_EXPIRED;
        bool votingOver = block.number > proposal.votingEnds;
        if (tally.votesFor >= tally.needed) return PROPOSAL_PASSED;
        if (proposal.kind != ADMIT_MEMBER) {
            if (tally.electorate - tally.votesAgainst < tally.needed) return PROPOSAL_REJECTED;
        } else if (votingOver) {
            // An admission needs no more than a majority of those who spoke, if enough of them did.
            uint256 cast = tally.votesFor + tally.votesAgainst;
            uint256 share = IPolicy(POLICY).votePolicy().participationBps;
            if (cast * ALL >= share * tally.electorate && tally.votesFor > tally.votesAgainst) return PROPOSAL_PASSED;
        } else if (tally.votesAgainst * 2 >= tally.electorate) {
            return PROPOSAL_REJECTED;
        }
        return votingOver ? PROPOSAL_EXPIRED : PROPOSAL_OPEN;
    }

    function _tally(Proposal storage proposal) internal view returns (Tally memory tally) {
        for (uint256 i = 0; i < proposal.voters.length; i++) {
            bytes32 group = proposal.voters[i];
            Vote storage entry = proposal.votes[group];
            if (entry.choice == 0 || !_counts(group, entry)) continue;
            if (entry.choice == FOR) tally.votesFor++;
            else tally.votesAgainst++;
        }
        tally.electorate = IRegistry(REGISTRY).electorate();
        tally.needed = _needed(proposal.kind, proposal.subject, tally.electorate);
    }

    /// A word counts while the member that gave it still has the vote of that group.
    function _counts(bytes32 group, Vote storage entry) internal view returns (bool) {
        return IRegistry(REGISTRY).votingGroup(entry.memberId) == group;
    }

    /// The least number of votes that passes; never 0.
    function _needed(uint16 kind, bytes32 subject, uint256 electorate) internal view returns (uint256 needed) {
        VotePolicy memory policy = IPolicy(POLICY).votePolicy();
        uint16 place = _againstSupervision(kind, subject) ? SUPERVISION_THRESHOLD : kind;
        uint256 share = policy.thresholds[place] * electorate;
        needed = policy.strictKinds >> place & 1 != 0 ? share / ALL + 1 : (share + ALL - 1) / ALL;
        if (needed == 0) needed = 1;
    }

    /// Acts against supervisors and auditors, their nodes, their keys or their standing as such.
    function _againstSupervision(uint16 kind, bytes32 subject) private view returns (bool) {
        if (kind == REVOKE_NODE || kind == SUSPEND_NODE) {
            subject = IRegistry(REGISTRY).getNode(subject).memberId;
        } else if (kind != SUSPEND_MEMBER && kind != EXPEL_MEMBER && kind != CHANGE_RECORD && kind != REPLACE_ADMINS) {
            return false;
        }
        (, uint8 memberKind,) = IRegistry(REGISTRY).memberFacts(subject);
        return memberKind == KIND_SUPERVISOR || memberKind == KIND_AUDITOR;
    }

    function _words(uint8 status) private pure returns (string memory) {
        if (status == PROPOSAL_OPEN) return "open";
        if (status == PROPOSAL_PASSED) return "passed";
        if (status == PROPOSAL_REJECTED) return "rejected";
        if (status == PROPOSAL_EXPIRED) return "expired";
        if (status == PROPOSAL_EXECUTED) return "executed";
        return "cancelled";
    }
}
