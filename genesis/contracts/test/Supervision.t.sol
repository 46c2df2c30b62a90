// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Freezes and emergency suspensions.
contract SupervisionTest is Base {
    bytes32 internal constant ORDER = bytes32(uint256(0x0D0E));
    address internal constant TARGET = address(0xBEEF);

    function _freeze(address subject, uint64 until) internal {
        by(admin(SUPERVISOR));
        supervision.freeze(subject, ORDER, until);
        by(COUNCIL);
        supervision.freeze(subject, ORDER, until);
    }

    // --- Freezes -----------------------------------------------------------------------------------------------------

    function test_a_frozen_sender_and_a_frozen_target() public {
        _freeze(account(0), 0);
        no(allowed(account(0), TARGET, 0, ""), "sender");
        no(allowed(account(0), address(0), 0, hex"60"), "not even deploying");
        yes(allowed(account(1), TARGET, 0, ""), "others");
        string memory order = "0000000000000000000000000000000000000000000000000000000000000d0e";
        eq(
            accountRules.transactionRefusal(account(0), TARGET, 0, 0, 0, ""),
            string.concat("sender frozen by order 0x", order),
            "reason"
        );
        _freeze(TARGET, 0);
        no(allowed(account(1), TARGET, 0, hex"01"), "target");
        yes(allowed(account(1), address(0xCAFE), 0, hex"01"), "another target");
        eq(
            accountRules.transactionRefusal(account(1), TARGET, 0, 0, 0, ""),
            string.concat("target frozen by order 0x", order),
            "reason"
        );
        eq(registry.frozenCount(), 2, "count");
        vm.assertEq(registry.frozenAt(1), TARGET, "list");
        vm.assertEq(registry.getFreeze(TARGET).supervisor, memberId(SUPERVISOR), "by whom");
    }

    function test_neither_acts_alone() public {
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 0);
        no(registry.isFrozen(TARGET), "the supervisor");
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 0);
        no(registry.isFrozen(TARGET), "nor twice");
        (bytes32 who, bool council,) = supervision.freezeRequest(TARGET, ORDER, 0);
        vm.assertEq(who, memberId(SUPERVISOR), "asked for");
        no(council, "not confirmed");
        by(COUNCIL);
        supervision.freeze(TARGET, bytes32("another order"), 0);
        no(registry.isFrozen(TARGET), "the council for another order");
        by(COUNCIL);
        supervision.freeze(TARGET, ORDER, 0);
        yes(registry.isFrozen(TARGET), "both for one");
    }

    function test_the_order_of_the_two_does_not_matter_but_time_does() public {
        by(COUNCIL);
        supervision.freeze(TARGET, ORDER, 0);
        vm.roll(32);
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 0);
        no(registry.isFrozen(TARGET), "the council's word is too old");
        by(COUNCIL);
        supervision.freeze(TARGET, ORDER, 0);
        yes(registry.isFrozen(TARGET), "both in time");
    }

    function test_without_a_council_the_supervisor_acts_alone() public {
        decide(CHANGE_COUNCIL, abi.encode(new address[](0)));
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 0);
        yes(registry.isFrozen(TARGET), "frozen");
    }

    function test_who_may_not_freeze() public {
        refused(NotSupervisor.selector);
        by(admin(0));
        supervision.freeze(TARGET, ORDER, 0);
        refused(NotAdmin.selector);
        by(STRANGER);
        supervision.freeze(TARGET, ORDER, 0);
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 0);
        decide(SUSPEND_MEMBER, abi.encode(memberId(SUPERVISOR), bytes32("r")), 3);
        by(COUNCIL);
        supervision.freeze(TARGET, ORDER, 0);
        no(registry.isFrozen(TARGET), "suspended since");
        refused(MemberNotActive.selector);
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 0);
    }

    function test_what_cannot_be_frozen() public {
        address[6] memory ours = [REGISTRY, GOVERNED_LAST, NODE_RULES, ACCOUNT_RULES, SYSTEM, address(0)];
        for (uint256 i = 0; i < ours.length; i++) {
            refused(NotFreezable.selector);
            by(admin(SUPERVISOR));
            supervision.freeze(ours[i], ORDER, 0);
        }
    }

    function test_a_freeze_of_an_admin_does_not_lock_governance() public {
        _freeze(admin(0), 0);
        no(allowed(admin(0), TARGET, 0, ""), "frozen");
        yes(allowed(admin(0), GOVERNANCE, 0, hex"01020304"), "but for governance");
        by(admin(0));
        registry.setAccount(admin(0), 7, 0, 0);
        yes(allowed(admin(0), GOVERNANCE, 0, hex"01020304"), "with an account as well");
        no(allowed(admin(0), TARGET, 0, hex"01020304"), "still frozen");
    }

    function test_freezes_end_by_themselves() public {
        _freeze(account(0), 0);
        eq(registry.getFreeze(account(0)).until, 61, "as long as the policy allows");
        refused(StillFrozen.selector);
        supervision.clearLapsedFreeze(account(0));
        vm.roll(60);
        no(mayTransact(0), "the last block");
        vm.roll(61);
        yes(mayTransact(0), "over");
        by(STRANGER);
        supervision.clearLapsedFreeze(account(0));
        eq(registry.frozenCount(), 0, "cleared by anybody");
        refused(NotFrozen.selector);
        supervision.clearLapsedFreeze(account(0));
    }

    function test_bounds_of_freezes() public {
        refused(FreezeTooLong.selector);
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 62);
        refused(FreezeTooLong.selector);
        by(admin(SUPERVISOR));
        supervision.freeze(TARGET, ORDER, 1);
        _freeze(TARGET, 20);
        _freeze(TARGET, 50);
        eq(registry.getFreeze(TARGET).until, 50, "renewed");
        eq(registry.frozenCount(), 1, "one entry");
    }

    function test_unfreeze() public {
        _freeze(TARGET, 0);
        refused(NotSupervisor.selector);
        by(admin(0));
        supervision.unfreeze(TARGET, ORDER);
        refused(NotFrozen.selector);
        by(admin(SUPERVISOR));
        supervision.unfreeze(TARGET, bytes32("another order"));
        by(admin(SUPERVISOR));
        supervision.unfreeze(TARGET, ORDER);
        yes(allowed(account(1), TARGET, 0, hex"01"), "free");
    }

    // --- Emergency suspensions ---------------------------------------------------------------------------------------

    function _suspend(bytes32 subject, bytes32 reason) internal {
        for (uint256 i = 0; i < 3; i++) {
            by(admin(i));
            supervision.emergencySuspend(subject, reason);
        }
    }

    function test_three_groups_suspend_a_member() public {
        by(admin(0));
        supervision.emergencySuspend(memberId(3), ORDER);
        refused(AlreadyCounted.selector);
        by(admin(0));
        supervision.emergencySuspend(memberId(3), ORDER);
        by(admin(1));
        supervision.emergencySuspend(memberId(3), ORDER);
        by(admin(2));
        supervision.emergencySuspend(memberId(3), bytes32("another reason"));
        yes(mayTransact(3) && mayConnect(3), "two and one");
        (bytes32[] memory groups,,,) = supervision.emergencyRequest(memberId(3), ORDER);
        eq(groups.length, 2, "two");
        by(admin(2));
        supervision.emergencySuspend(memberId(3), ORDER);
        no(mayTransact(3) || mayConnect(3), "three");
        eq(accountRules.transactionRefusal(account(3), TARGET, 0, 0, 0, ""), "member suspended until block 41", "reason");
        eq(supervision.standingEmergencies().length, 1, "stands");
    }

    function test_two_members_of_one_group_are_one() public {
        MemberInput memory input = memberInput(20);
        input.record.controlGroup = memberId(0);
        decide(ADMIT_MEMBER, abi.encode(input));
        by(admin(0));
        supervision.emergencySuspend(memberId(3), ORDER);
        refused(AlreadyCounted.selector);
        by(admin(20));
        supervision.emergencySuspend(memberId(3), ORDER);
    }

    function test_a_supervisor_and_a_council_key_suspend_a_node() public {
        bytes32 key = nodeKey(3);
        by(COUNCIL);
        supervision.emergencySuspend(key, ORDER);
        refused(AlreadyCounted.selector);
        by(COUNCIL);
        supervision.emergencySuspend(key, ORDER);
        yes(mayConnect(3), "the council alone");
        by(admin(SUPERVISOR));
        supervision.emergencySuspend(key, ORDER);
        no(mayConnect(3), "both");
        yes(mayTransact(3), "its member is not suspended");
        eq(nodeRules.connectionRefusal(enode(3), "", 0), "node suspended until block 41", "reason");
    }

    function test_a_few_do_not_touch_supervision() public {
        bytes32 key = nodeKey(SUPERVISOR);
        refused(SupervisionProtected.selector);
        by(admin(0));
        supervision.emergencySuspend(memberId(SUPERVISOR), ORDER);
        refused(SupervisionProtected.selector);
        by(admin(0));
        supervision.emergencySuspend(key, ORDER);
    }

    function test_an_emergency_lapses_by_itself_and_cannot_be_repeated_at_once() public {
        _suspend(memberId(3), ORDER);
        vm.roll(40);
        no(mayTransact(3), "the last block");
        vm.roll(41);
        yes(mayTransact(3) && mayConnect(3), "over");
        eq(supervision.standingEmergencies().length, 0, "none stands");
        by(admin(0));
        supervision.emergencySuspend(memberId(3), ORDER);
        by(admin(1));
        supervision.emergencySuspend(memberId(3), ORDER);
        refused(EmergencyTooSoon.selector);
        by(admin(2));
        supervision.emergencySuspend(memberId(3), ORDER);
        vm.roll(81);
        _suspend(memberId(3), bytes32("again"));
        no(mayTransact(3), "after a pause");
    }

    function test_a_vote_ratifies_or_lifts() public {
        _suspend(memberId(3), ORDER);
        decide(RATIFY, abi.encode(memberId(3)));
        eq(registry.getMember(memberId(3)).status, MEMBER_SUSPENDED, "ratified");
        vm.roll(1000);
        no(mayTransact(3), "until it is lifted");
        decide(LIFT_MEMBER, abi.encode(memberId(3), ORDER), 1);
        yes(mayTransact(3), "lifted");
        uint256 id = propose(0, RATIFY, abi.encode(memberId(3)));
        vote(1, id, true);
        vote(2, id, true);
        refused(NoEmergency.selector);
        by(admin(0));
        governance.execute(id, abi.encode(memberId(3)));
        _suspend(memberId(3), ORDER);
        decide(LIFT_MEMBER, abi.encode(memberId(3), ORDER));
        yes(mayTransact(3), "lifted before its time");
    }

    function test_a_node_emergency_is_ratified_too() public {
        _suspend(nodeKey(3), ORDER);
        decide(RATIFY, abi.encode(nodeKey(3)));
        eq(registry.getNode(nodeKey(3)).status, NODE_SUSPENDED, "ratified");
    }

    /// Otherwise three groups could silence all others, one after the other, and govern alone.
    function test_a_few_cannot_take_the_votes_of_many() public {
        _suspend(memberId(3), ORDER);
        eq(registry.electorate(), 4, "its vote remains");
        yes(allowed(admin(3), GOVERNANCE, 0, hex"01020304"), "and the way to cast it");
        uint256 id = propose(3, STATEMENT, abi.encode(bytes32("x"), uint64(0), ""));
        eq(governance.getProposal(id).votesFor, 1, "counts");
        endBlocks(2);
        by(admin(0));
        supervision.emergencySuspend(memberId(2), ORDER);
        by(admin(1));
        supervision.emergencySuspend(memberId(2), ORDER);
        refused(TooManyEmergencies.selector);
        by(admin(3));
        supervision.emergencySuspend(memberId(2), ORDER);
    }

    function test_an_unknown_subject() public {
        by(admin(0));
        supervision.emergencySuspend(bytes32("nobody"), ORDER);
        by(admin(1));
        supervision.emergencySuspend(bytes32("nobody"), ORDER);
        refused(WrongStatus.selector);
        by(admin(2));
        supervision.emergencySuspend(bytes32("nobody"), ORDER);
    }
}
