// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Types.sol";

/// Proposals and votes, one vote for each control group.
interface IGovernance {
    /// The payload is kept nowhere else; `execute` needs it again.
    event ProposalCreated(uint256 indexed id, uint16 indexed kind, bytes32 indexed proposer, bytes32 subject, bytes payload);
    /// The new word of a group.
    event ProposalVoted(uint256 indexed id, bytes32 indexed group, bytes32 indexed memberId, bool support);
    /// A group has no word any more.
    event VoteWithdrawn(uint256 indexed id, bytes32 indexed group, bytes32 indexed memberId);
    /// The decision is carried out, in this transaction.
    event ProposalExecuted(uint256 indexed id, uint16 indexed kind, bytes32 indexed subject);
    /// It could not pass any more.
    event ProposalRejected(uint256 indexed id);
    /// It did not pass, or was not executed, in time.
    event ProposalExpired(uint256 indexed id);
    /// By its proposer.
    event ProposalCancelled(uint256 indexed id);
    /// A decision whose carrying out is not up to contracts.
    event Stated(uint256 indexed id, bytes32 indexed documentHash, uint64 deadline, string title);

    /// Opens a proposal and votes for it. 0 while more admins of the member must send the same call.
    function propose(uint16 kind, bytes calldata payload) external returns (uint256 id);
    /// The word of the sender's group, for or against; replaces the one before.
    function vote(uint256 id, bool support) external;
    /// Takes the word of the sender's group back.
    function withdrawVote(uint256 id) external;
    /// Any one admin of an active member.
    function execute(uint256 id, bytes calldata payload) external;
    /// Ends a proposal of the sender's member.
    function cancel(uint256 id) external;
    /// Anybody: writes down that a proposal is rejected or expired.
    function close(uint256 id) external;

    /// Ids run from 1 to this.
    function proposalCount() external view returns (uint256);
    /// One proposal with its votes and state as of this block.
    function getProposal(uint256 id) external view returns (ProposalView memory);
    /// The words of all groups that gave one.
    function votesOf(uint256 id) external view returns (VoteView[] memory);
    /// The open proposals of a member.
    function openOf(bytes32 memberId) external view returns (uint256[] memory);
}
