// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../Types.sol";

/// Proposals and votes, one vote for each control group.
interface IGovernance {
    event ProposalCreated(uint256 indexed id, uint16 indexed kind, bytes32 indexed proposer, bytes32 subject, bytes payload);
    event ProposalVoted(uint256 indexed id, bytes32 indexed group, bytes32 indexed memberId, bool support);
    event VoteWithdrawn(uint256 indexed id, bytes32 indexed group, bytes32 indexed memberId);
    event ProposalExecuted(uint256 indexed id, uint16 indexed kind, bytes32 indexed subject);
    event ProposalRejected(uint256 indexed id);
    event ProposalExpired(uint256 indexed id);
    event ProposalCancelled(uint256 indexed id);
    event Stated(uint256 indexed id, bytes32 indexed documentHash, uint64 deadline, string title);

    /// Opens a proposal and votes for it. 0 while more admins of the member must send the same call.
    function propose(uint16 kind, bytes calldata payload) external returns (uint256 id);
    function vote(uint256 id, bool support) external;
    function withdrawVote(uint256 id) external;
    /// Any one admin of an active member.
    function execute(uint256 id, bytes calldata payload) external;
    function cancel(uint256 id) external;
    /// Anybody: writes down that a proposal is rejected or expired.
    function close(uint256 id) external;

    function proposalCount() external view returns (uint256);
    function getProposal(uint256 id) external view returns (ProposalView memory);
    function votesOf(uint256 id) external view returns (VoteView[] memory);
    /// The open proposals of a member.
    function openOf(bytes32 memberId) external view returns (uint256[] memory);
}
