// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Proposals, votes, thresholds and what each kind does.
contract GovernanceTest is Base {
    bytes internal statement = abi.encode(bytes32("document"), uint64(0), "title");

    function status(uint256 id) internal view returns (uint8) {
        return governance.getProposal(id).status;
    }

    // --- Votes -------------------------------------------------------------------------------------------------------

    function test_proposing_is_voting() public {
        uint256 id = propose(0, STATEMENT, statement);
        ProposalView memory p = governance.getProposal(id);
        eq(p.votesFor, 1, "for");
        eq(p.electorate, 4, "electorate");
        eq(p.needed, 3, "more than half of four");
        eq(p.state, "open", "state");
        vm.assertEq(p.payloadHash, keccak256(statement), "bound to its content");
        vote(1, id, true);
        eq(status(id), PROPOSAL_OPEN, "two of four");
        vote(2, id, true);
        eq(status(id), PROPOSAL_PASSED, "three of four");
    }

    /// GoQuorum's deciding voter may pass another subject than the one that was proposed.
    function test_execution_is_bound_to_the_payload() public {
        uint256 id = propose(0, SUSPEND_MEMBER, abi.encode(memberId(3), bytes32("r")));
        vote(1, id, true);
        vote(2, id, true);
        refused(PayloadMismatch.selector);
        by(admin(1));
        governance.execute(id, abi.encode(memberId(2), bytes32("r")));
        by(admin(1));
        governance.execute(id, abi.encode(memberId(3), bytes32("r")));
        eq(registry.getMember(memberId(3)).status, MEMBER_SUSPENDED, "suspended");
        refused(ProposalNotPassed.selector);
        by(admin(1));
        governance.execute(id, abi.encode(memberId(3), bytes32("r")));
    }

    function test_only_admins_of_active_members_execute() public {
        uint256 id = propose(0, STATEMENT, statement);
        vote(1, id, true);
        vote(2, id, true);
        refused(NotAdmin.selector);
        by(STRANGER);
        governance.execute(id, statement);
        by(admin(SUPERVISOR));
        governance.execute(id, statement);
        eq(status(id), PROPOSAL_EXECUTED, "a member without a vote may");
    }

    function test_not_passed_is_not_executed() public {
        uint256 id = propose(0, STATEMENT, statement);
        vote(1, id, true);
        refused(ProposalNotPassed.selector);
        by(admin(0));
        governance.execute(id, statement);
        refused(ProposalUnknown.selector);
        by(admin(0));
        governance.execute(77, statement);
    }

    function test_who_has_no_vote() public {
        refused(NoVotingRight.selector);
        by(admin(SUPERVISOR));
        governance.propose(STATEMENT, statement);
        uint256 id = propose(0, STATEMENT, statement);
        refused(NoVotingRight.selector);
        by(admin(SUPERVISOR));
        governance.vote(id, true);
        refused(NotAdmin.selector);
        by(STRANGER);
        governance.vote(id, true);
    }

    function _secondOfGroup0() internal {
        MemberInput memory input = memberInput(20);
        input.record.controlGroup = memberId(0);
        decide(ADMIT_MEMBER, abi.encode(input));
    }

    function test_one_vote_per_control_group_and_the_last_word_counts() public {
        _secondOfGroup0();
        eq(registry.electorate(), 4, "the same group");
        eq(registry.votersOf(memberId(0)), 2, "two members");
        uint256 id = propose(0, STATEMENT, statement);
        vote(20, id, true);
        eq(governance.getProposal(id).votesFor, 1, "not twice");
        vote(20, id, false);
        ProposalView memory p = governance.getProposal(id);
        eq(p.votesFor, 0, "the last word");
        eq(p.votesAgainst, 1, "against");
        eq(governance.votesOf(id).length, 1, "one entry");
        vm.assertEq(governance.votesOf(id)[0].memberId, memberId(20), "whose");
    }

    function test_votes_are_counted_anew_against_the_electorate_of_the_moment() public {
        uint256 id = propose(3, STATEMENT, statement);
        vote(2, id, true);
        vote(1, id, true);
        eq(status(id), PROPOSAL_PASSED, "three of four");
        uint256 other = propose(0, SUSPEND_MEMBER, abi.encode(memberId(3), bytes32("r")));
        vote(1, other, true);
        vote(2, other, true);
        by(admin(0));
        governance.execute(other, abi.encode(memberId(3), bytes32("r")));
        ProposalView memory p = governance.getProposal(id);
        eq(p.votesFor, 2, "the suspended one's vote is gone");
        eq(p.electorate, 3, "and its place");
        eq(p.status, PROPOSAL_PASSED, "two of three");
        no(governance.votesOf(id)[0].counts, "shown as not counting");
        endBlocks(2);
        uint256 third = propose(0, SUSPEND_MEMBER, abi.encode(memberId(2), bytes32("r")));
        vote(1, third, true);
        by(admin(0));
        governance.execute(third, abi.encode(memberId(2), bytes32("r")));
        eq(governance.getProposal(id).votesFor, 1, "one of two");
        refused(ProposalNotPassed.selector);
        by(admin(0));
        governance.execute(id, statement);
    }

    function test_a_member_that_changed_group_has_no_vote_left_in_the_old_one() public {
        _secondOfGroup0();
        uint256 id = propose(20, STATEMENT, statement);
        MemberRecord memory record = recordOf(20);
        record.controlGroup = bytes32("elsewhere");
        decide(CHANGE_RECORD, abi.encode(memberId(20), record));
        eq(registry.electorate(), 5, "a group more");
        eq(governance.getProposal(id).votesFor, 0, "the word of group 0 came from one who left it");
        vote(20, id, true);
        vote(0, id, true);
        eq(governance.getProposal(id).votesFor, 2, "each in its own");
    }

    function test_votes_can_be_withdrawn_until_execution() public {
        uint256 id = propose(0, STATEMENT, statement);
        vote(1, id, true);
        vote(2, id, true);
        by(admin(2));
        governance.withdrawVote(id);
        eq(status(id), PROPOSAL_OPEN, "open again");
        refused(NoVote.selector);
        by(admin(2));
        governance.withdrawVote(id);
        vote(2, id, true);
        by(admin(0));
        governance.execute(id, statement);
        refused(ProposalNotOpen.selector);
        by(admin(2));
        governance.withdrawVote(id);
        refused(ProposalNotOpen.selector);
        by(admin(3));
        governance.vote(id, true);
    }

    // --- Ends --------------------------------------------------------------------------------------------------------

    function test_rejected_as_soon_as_it_cannot_pass() public {
        uint256 id = propose(0, STATEMENT, statement);
        vote(1, id, false);
        eq(status(id), PROPOSAL_OPEN, "three could still be for");
        vote(2, id, false);
        eq(status(id), PROPOSAL_REJECTED, "two against of four");
        refused(ProposalNotOpen.selector);
        by(admin(2));
        governance.vote(id, true);
        uint256 twoThirds = propose(0, REVOKE_NODE, abi.encode(nodeKey(3), bytes32("s")));
        vote(1, twoThirds, false);
        eq(status(twoThirds), PROPOSAL_OPEN, "three of four are two thirds");
        vote(2, twoThirds, false);
        eq(status(twoThirds), PROPOSAL_REJECTED, "two against");
    }

    function test_the_proposer_may_cancel() public {
        uint256 id = propose(0, STATEMENT, statement);
        refused(NotProposer.selector);
        by(admin(1));
        governance.cancel(id);
        by(admin(0));
        governance.cancel(id);
        eq(governance.getProposal(id).state, "cancelled", "state");
        refused(ProposalNotOpen.selector);
        by(admin(0));
        governance.cancel(id);
    }

    function test_proposals_expire() public {
        uint256 id = propose(0, STATEMENT, statement);
        uint256 passed = propose(0, STATEMENT, statement);
        vote(1, passed, true);
        vote(2, passed, true);
        vm.roll(102);
        refused(ProposalNotOpen.selector);
        by(admin(1));
        governance.vote(id, true);
        refused(VotingOver.selector);
        by(admin(3));
        governance.vote(passed, true);
        eq(status(id), PROPOSAL_EXPIRED, "not passed in time");
        eq(status(passed), PROPOSAL_PASSED, "may still be executed");
        vm.roll(152);
        eq(status(passed), PROPOSAL_EXPIRED, "but not for ever");
        refused(ProposalNotPassed.selector);
        by(admin(0));
        governance.execute(passed, statement);
        governance.close(passed);
        eq(governance.getProposal(passed).state, "expired", "written down by anybody");
        refused(ProposalNotOpen.selector);
        governance.close(passed);
    }

    /// GoQuorum has one slot for the whole network, which one vote nobody cares for blocks for ever.
    function test_many_proposals_are_open_at_once() public {
        for (uint256 i = 0; i < 5; i++) propose(0, STATEMENT, statement);
        refused(TooManyProposals.selector);
        by(admin(0));
        governance.propose(STATEMENT, statement);
        propose(1, STATEMENT, statement);
        eq(governance.openOf(memberId(0)).length, 5, "open");
        by(admin(0));
        governance.cancel(3);
        propose(0, STATEMENT, statement);
        vm.roll(200);
        for (uint256 i = 0; i < 5; i++) propose(0, STATEMENT, statement);
        eq(governance.openOf(memberId(0)).length, 5, "expired ones make room");
    }

    /// GoQuorum's clients let a suspended organisation work again from the proposal on.
    function test_proposing_to_lift_a_suspension_lifts_nothing() public {
        bytes memory payload = abi.encode(memberId(3), bytes32("r"));
        decide(SUSPEND_MEMBER, payload);
        uint256 id = propose(0, LIFT_MEMBER, payload);
        no(mayTransact(3), "still suspended");
        vote(1, id, true);
        no(mayTransact(3), "passed, not executed");
        by(admin(0));
        governance.execute(id, payload);
        yes(mayTransact(3), "lifted");
    }

    function test_what_fails_stays_open() public {
        bytes memory payload = abi.encode(memberId(3), bytes32("r"));
        uint256 id = propose(0, LIFT_MEMBER, payload);
        vote(1, id, true);
        vote(2, id, true);
        refused(WrongStatus.selector);
        by(admin(0));
        governance.execute(id, payload);
        decide(SUSPEND_MEMBER, payload);
        by(admin(0));
        governance.execute(id, payload);
        yes(mayTransact(3), "executed when it can be");
    }

    function test_malformed_proposals() public {
        refused(BadProposalKind.selector);
        by(admin(0));
        governance.propose(0, "");
        refused(BadProposalKind.selector);
        by(admin(0));
        governance.propose(LAST_KIND + 1, "");
        vm.expectRevert();
        by(admin(0));
        governance.propose(SUSPEND_MEMBER, hex"00");
        refused(StatementMissing.selector);
        by(admin(0));
        governance.propose(EXPEL_MEMBER, abi.encode(memberId(3), bytes32(0)));
        bytes32 key = nodeKey(3);
        refused(StatementMissing.selector);
        by(admin(0));
        governance.propose(REVOKE_NODE, abi.encode(key, bytes32(0)));
        refused(BadPayload.selector);
        by(admin(0));
        governance.propose(STATEMENT, new bytes(4097));
    }

    // --- Thresholds --------------------------------------------------------------------------------------------------

    function test_expulsion_needs_two_thirds() public {
        bytes memory payload = abi.encode(memberId(3), bytes32("statement"));
        uint256 id = propose(0, EXPEL_MEMBER, payload);
        eq(governance.getProposal(id).needed, 3, "two thirds of four");
        vote(1, id, true);
        eq(status(id), PROPOSAL_OPEN, "a half");
        vote(2, id, true);
        by(admin(0));
        governance.execute(id, payload);
        eq(registry.getMember(memberId(3)).status, MEMBER_EXPELLED, "expelled");
        id = propose(0, EXPEL_MEMBER, abi.encode(memberId(2), bytes32("statement")));
        eq(governance.getProposal(id).needed, 2, "two of three are two thirds exactly");
    }

    function test_two_thirds_are_exact_up_to_the_largest_electorate() public pure {
        for (uint256 n = 1; n <= MAX_GROUPS; n++) eq((6666 * n + 9999) / 10000, (2 * n + 2) / 3, "two thirds");
    }

    function _grow() internal {
        for (uint256 i = 21; i < 26; i++) {
            bytes memory payload = abi.encode(memberInput(i));
            uint256 id = propose(1, ADMIT_MEMBER, payload);
            for (uint256 j = 0; j < 4; j++) if (j != 1) vote(j, id, true);
            if (i > 21) vote(21, id, true);
            by(admin(1));
            governance.execute(id, payload);
        }
        eq(registry.electorate(), 9, "electorate");
    }

    function test_acts_against_supervision_need_three_quarters() public {
        _grow();
        bytes32 supervisor = memberId(SUPERVISOR);
        bytes32 node = nodeKey(SUPERVISOR);
        uint256[5] memory ids;
        ids[0] = propose(0, SUSPEND_MEMBER, abi.encode(supervisor, bytes32("r")));
        ids[1] = propose(0, EXPEL_MEMBER, abi.encode(supervisor, bytes32("s")));
        ids[2] = propose(0, REVOKE_NODE, abi.encode(node, bytes32("s")));
        ids[3] = propose(0, CHANGE_RECORD, abi.encode(supervisor, recordOf(SUPERVISOR)));
        ids[4] = propose(0, REPLACE_ADMINS, abi.encode(supervisor, list(STRANGER), uint8(1)));
        for (uint256 i = 0; i < 5; i++) eq(governance.getProposal(ids[i]).needed, 7, "three quarters of nine");
        uint256 id = propose(1, SUSPEND_NODE, abi.encode(node, bytes32("r")));
        eq(governance.getProposal(id).needed, 7, "suspending its node too");
        id = propose(1, SUSPEND_MEMBER, abi.encode(memberId(3), bytes32("r")));
        eq(governance.getProposal(id).needed, 5, "others by the ordinary majority");
        for (uint256 i = 1; i < 4; i++) vote(i, ids[2], true);
        vote(21, ids[2], true);
        vote(22, ids[2], true);
        eq(status(ids[2]), PROPOSAL_OPEN, "six of nine do not disconnect a supervisor");
        vote(23, ids[2], true);
        by(admin(0));
        governance.execute(ids[2], abi.encode(node, bytes32("s")));
        no(mayConnect(SUPERVISOR), "seven do");
    }

    function test_admission_passes_with_few_votes_after_its_time() public {
        _grow();
        bytes memory payload = abi.encode(memberInput(40));
        uint256 id = propose(0, ADMIT_MEMBER, payload);
        vote(1, id, true);
        vm.roll(101);
        eq(status(id), PROPOSAL_OPEN, "in its time");
        vm.roll(102);
        eq(status(id), PROPOSAL_EXPIRED, "two of nine are not a third");
        id = propose(0, ADMIT_MEMBER, payload);
        vote(1, id, true);
        vote(2, id, false);
        vm.roll(202);
        eq(status(id), PROPOSAL_OPEN, "in its time");
        vm.roll(203);
        eq(status(id), PROPOSAL_PASSED, "three of nine spoke, two for");
        by(admin(0));
        governance.execute(id, payload);
        eq(registry.electorate(), 10, "admitted");
        id = propose(0, ADMIT_MEMBER, abi.encode(memberInput(41)));
        vote(1, id, true);
        vote(2, id, false);
        vote(3, id, false);
        vm.roll(304);
        eq(status(id), PROPOSAL_EXPIRED, "four of ten spoke, as many against as for");
        id = propose(0, STATEMENT, statement);
        vote(1, id, true);
        vote(2, id, true);
        vm.roll(405);
        eq(status(id), PROPOSAL_EXPIRED, "other kinds need their majority");
    }
}
