// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Service level, losses of seats, and the way back.
contract ValidatorsTest is Base {
    function _miss(uint256 author, uint256 missing, uint256 times) internal {
        for (uint256 i = 0; i < times; i++) endBlock(validator(author), list(validator(missing)));
    }

    function state(uint256 i) internal returns (ValidatorState memory) {
        return validators.getValidator(nodeKey(i));
    }

    function size() internal view returns (uint256) {
        return validators.getValidators().length;
    }

    function lastAct() internal view returns (Act memory) {
        return validators.actAt(validators.actCount() - 1);
    }

    function _beat(uint256 i) internal {
        vm.setBlockhash(block.number - 1, bytes32(uint256(0xB10C)));
        by(validator(i));
        validators.heartbeat(uint64(block.number - 1), bytes32(uint256(0xB10C)));
    }

    // --- The set -----------------------------------------------------------------------------------------------------

    function test_the_seeded_set_is_ascending() public {
        address[] memory set = validators.getValidators();
        bytes32[] memory keys = validators.seats();
        eq(set.length, 4, "four");
        for (uint256 i = 0; i < 4; i++) {
            vm.assertEq(registry.getNode(keys[i]).validatorAddress, set[i], "the node of the seat");
            if (i > 0) yes(set[i - 1] < set[i], "ascending");
        }
        (uint64 boundary, uint16 seats,) = validators.epoch();
        eq(boundary, 10, "boundary");
        eq(seats, 4, "seats");
        eq(state(0).seatSince, 0, "since the genesis");
    }

    function test_only_the_system_ends_blocks() public {
        refused(OnlySystem.selector);
        validators.endBlock(validator(0), new address[](0));
        refused(OnlySystem.selector);
        by(admin(0));
        validators.endBlock(validator(0), new address[](0));
        refused(OnlyContract.selector);
        by(admin(0));
        validators.noteLoss(new bytes32[](0));
        refused(OnlyContract.selector);
        by(admin(0));
        validators.strike(bytes32(0), 1);
        refused(OnlyContract.selector);
        by(admin(0));
        validators.readmit(bytes32(0));
    }

    function test_an_unchanged_set_is_not_written() public {
        endBlocks(8);
        vm.record();
        endBlocks(4);
        (, bytes32[] memory writes) = vm.accesses(VALIDATORS);
        bytes32 first = keccak256(abi.encode(uint256(0)));
        bytes32 firstKey = keccak256(abi.encode(uint256(1)));
        yes(writes.length > 0, "counters are");
        for (uint256 i = 0; i < writes.length; i++) {
            yes(uint256(writes[i]) > 1, "lengths");
            for (uint256 j = 0; j < 4; j++) {
                no(uint256(writes[i]) == uint256(first) + j || uint256(writes[i]) == uint256(firstKey) + j, "entries");
            }
        }
    }

    function test_strange_input_of_the_system_is_ignored() public {
        address[] memory missed = new address[](200);
        for (uint256 i = 0; i < 200; i++) missed[i] = address(uint160(i));
        endBlock(STRANGER, missed);
        endBlock(address(0), new address[](0));
        eq(size(), 4, "nothing happened");
    }

    // --- Service level -----------------------------------------------------------------------------------------------

    function test_turns_are_counted() public {
        endBlock(validator(0), list(validator(1), validator(2)));
        endBlock(validator(1), list(validator(2)));
        eq(state(0).proposed, 1, "author");
        eq(state(1).missed, 1, "missed");
        eq(state(1).consecutiveMissed, 0, "a turn taken ends the row");
        eq(state(2).consecutiveMissed, 2, "two in a row");
    }

    function test_consecutive_misses_suspend() public {
        _miss(0, 3, 2);
        yes(seated(validator(3)), "two are not enough");
        _miss(0, 3, 1);
        no(seated(validator(3)), "three are");
        eq(size(), 3, "three serve");
        eq(state(3).strikes, 1, "strike");
        eq(state(3).jailedUntil, 3 + 10, "jail");
        eq(validators.actAt(validators.actCount() - 2).kind, ACT_SUSPENDED, "journal");
        vm.assertEq(lastAct().subject, nodeKey(3), "journal");
        eq(lastAct().kind, ACT_REMOVED, "journal");
        yes(mayConnect(3), "it stays a permitted node");
    }

    function test_a_share_of_misses_warns_and_suspends() public {
        vm.roll(100);
        for (uint256 i = 0; i < 19; i++) {
            if (i % 3 == 2) endBlock(validator(0), list(validator(3)));
            else endBlock(validator(3), new address[](0));
        }
        eq(state(3).flags, FLAG_SEATED, "too few turns to judge");
        endBlock(validator(0), list(validator(3)));
        yes(state(3).flags & FLAG_SUSPENDED != 0, "7 of 20 are more than 3 of 10");
    }

    function test_a_smaller_share_only_warns() public {
        vm.roll(100);
        for (uint256 i = 0; i < 20; i++) {
            if (i % 7 == 6) endBlock(validator(0), list(validator(3)));
            else endBlock(validator(3), new address[](0));
        }
        endBlock(validator(0), list(validator(3)));
        eq(state(3).flags, FLAG_SEATED | FLAG_WARNED, "3 of 21");
        eq(lastAct().kind, ACT_WARNED, "journal");
        vm.roll(200);
        endBlock(validator(3), new address[](0));
        eq(state(3).flags, FLAG_SEATED, "a new window begins anew");
        eq(state(3).proposed, 1, "counters too");
        yes(state(3).score > 5000, "and the share goes into the score");
    }

    function test_nobody_is_suspended_when_too_many_are_missing() public {
        for (uint256 i = 0; i < 4; i++) endBlock(validator(0), list(validator(2), validator(3)));
        eq(size(), 4, "two of four are the network's fault");
        (,, uint16 held) = validators.epoch();
        eq(held, 2, "held");
        uint256 acts = validators.actCount();
        endBlock(validator(0), list(validator(2), validator(3)));
        eq(validators.actCount(), acts, "said once");
    }

    function test_the_floor_counts_from_the_start_of_the_epoch() public {
        _miss(0, 3, 3);
        eq(size(), 3, "one is suspended");
        for (uint256 i = 0; i < 4; i++) endBlock(validator(0), list(validator(2)));
        eq(size(), 3, "a second one is not");
        eq(state(2).strikes, 0, "nor struck");
    }

    /// A stopped validator leaves by rule, the intervals return to normal, it comes back and serves again.
    function test_a_validator_stops_and_comes_back() public {
        _miss(0, 3, 3);
        no(seated(validator(3)), "suspended");
        bytes32 key = nodeKey(3);
        refused(StillJailed.selector);
        by(validator(3));
        validators.requestReincorporation(key);
        endBlocks(9);
        yes(block.number == 13, "jail is over");
        refused(HeartbeatsMissing.selector);
        by(admin(3));
        validators.requestReincorporation(key);
        _beat(3);
        by(validator(3));
        validators.requestReincorporation(key);
        endBlocks(7);
        no(seated(validator(3)), "not within the epoch");
        endBlock();
        yes(block.number == 21, "the boundary is over");
        yes(seated(validator(3)), "serves again");
        eq(state(3).seatSince, 20, "since");
        eq(state(3).strikes, 1, "the strike stays for a while");
    }

    function test_strikes_double_the_jail_and_the_fourth_bars() public {
        bytes32 key = nodeKey(3);
        uint64[4] memory jails = [uint64(10), 20, 40, 80];
        for (uint256 k = 0; k < 4; k++) {
            uint256 at = block.number;
            _miss(0, 3, 3);
            ValidatorState memory s = validators.getValidator(key);
            eq(s.strikes, k + 1, "strikes");
            eq(s.jailedUntil, at + 2 + jails[k], "jail");
            endBlocks(jails[k]);
            if (k == 3) break;
            refused(HeartbeatsMissing.selector);
            by(validator(3));
            validators.requestReincorporation(key);
            _beat(3);
            by(validator(3));
            validators.requestReincorporation(key);
            endBlocks(11);
            yes(seated(validator(3)), "back");
        }
        refused(Barred.selector);
        by(validator(3));
        validators.requestReincorporation(key);
        bytes32 other = nodeKey(2);
        refused(NotBarred.selector);
        by(GOVERNANCE);
        validators.readmit(other);
        decide(READMIT_VALIDATOR, abi.encode(key));
        endBlocks(11);
        yes(seated(validator(3)), "back by vote");
        eq(state(3).strikes, 0, "with no strikes");
    }

    function test_strikes_decay() public {
        _miss(0, 3, 3);
        vm.roll(1100);
        _beat(3);
        by(validator(3));
        bytes32 key = nodeKey(3);
        validators.requestReincorporation(key);
        endBlocks(1);
        yes(seated(validator(3)), "a boundary long due");
        _miss(0, 3, 3);
        eq(state(3).strikes, 1, "the first one is forgotten");
    }

    function test_heartbeats() public {
        bytes32 hash = bytes32(uint256(0xB10C));
        bytes32 key = nodeKey(3);
        vm.roll(300);
        vm.setBlockhash(299, hash);
        refused(NotSuspended.selector);
        by(validator(3));
        validators.heartbeat(299, hash);
        _miss(0, 3, 3);
        vm.setBlockhash(299, hash);
        vm.setBlockhash(302, hash);
        refused(NotValidator.selector);
        by(STRANGER);
        validators.heartbeat(302, hash);
        refused(BadHeartbeat.selector);
        by(validator(3));
        validators.heartbeat(302, bytes32("another"));
        refused(BadHeartbeat.selector);
        by(validator(3));
        validators.heartbeat(303, bytes32(0));
        refused(BadHeartbeat.selector);
        by(validator(3));
        validators.heartbeat(46, bytes32(0));
        by(validator(3));
        validators.heartbeat(299, hash);
        refused(HeartbeatTooSoon.selector);
        by(validator(3));
        validators.heartbeat(302, hash);
        vm.roll(304);
        by(admin(3));
        validators.heartbeatFor(key, 302, hash);
        eq(state(3).heartbeats, 2, "counted");
        refused(NotOwner.selector);
        by(admin(2));
        validators.heartbeatFor(key, 302, hash);
        refused(NotOwner.selector);
        by(admin(2));
        validators.requestReincorporation(key);
        refused(NotAdmin.selector);
        by(STRANGER);
        validators.requestReincorporation(key);
    }

    // --- Losses ------------------------------------------------------------------------------------------------------

    function test_a_revoked_validator_leaves_at_the_end_of_the_block() public {
        by(admin(3));
        registry.setOwnNodeStatus(nodeKey(3), 5);
        yes(seated(validator(3)), "still counts in this block");
        endBlock();
        no(seated(validator(3)), "not in the next");
        eq(lastAct().kind, ACT_REMOVED, "journal");
    }

    function test_a_suspended_member_takes_its_validator_with_it() public {
        decide(SUSPEND_MEMBER, abi.encode(memberId(3), bytes32("r")));
        endBlock();
        no(seated(validator(3)), "gone");
    }

    function test_a_lost_candidacy_is_a_lost_seat() public {
        decide(CANDIDACY, abi.encode(nodeKey(3), false, bytes32(0)));
        endBlock();
        no(seated(validator(3)), "gone");
    }

    function test_two_blocks_bear_less_than_a_third() public {
        bytes32 key2 = nodeKey(2);
        bytes32 key3 = nodeKey(3);
        by(admin(3));
        registry.setOwnNodeStatus(key3, 3);
        refused(TooManySeatsLost.selector);
        by(admin(2));
        registry.setOwnNodeStatus(key2, 3);
        endBlock();
        refused(TooManySeatsLost.selector);
        by(admin(2));
        registry.setOwnNodeStatus(key2, 3);
        endBlock();
        by(admin(2));
        registry.setOwnNodeStatus(key2, 3);
        endBlock();
        eq(size(), 2, "one after the other");
    }

    function test_no_way_of_losing_seats_goes_around_that() public {
        bytes memory first = abi.encode(memberId(3), bytes32("r"));
        bytes memory second = abi.encode(memberId(2), bytes32("r"));
        uint256 id = propose(0, SUSPEND_MEMBER, second);
        uint256 expulsion = propose(0, EXPEL_MEMBER, second);
        bytes memory candidacy = abi.encode(nodeKey(2), false, bytes32(0));
        uint256 removal = propose(0, CANDIDACY, candidacy);
        bytes memory revocation = abi.encode(nodeKey(2), bytes32("s"));
        uint256 revoked = propose(0, REVOKE_NODE, revocation);
        for (uint256 k = id; k <= revoked; k++) for (uint256 i = 1; i < 4; i++) vote(i, k, true);
        decide(SUSPEND_MEMBER, first);
        vm.startPrank(admin(0));
        refused(TooManySeatsLost.selector);
        governance.execute(id, second);
        refused(TooManySeatsLost.selector);
        governance.execute(expulsion, second);
        refused(TooManySeatsLost.selector);
        governance.execute(removal, candidacy);
        refused(TooManySeatsLost.selector);
        governance.execute(revoked, revocation);
        vm.stopPrank();
        refused(TooManySeatsLost.selector);
        by(admin(2));
        registry.withdrawMember();
        bytes32 reason = bytes32("r");
        for (uint256 i = 0; i < 2; i++) {
            by(admin(i));
            supervision.emergencySuspend(memberId(2), reason);
        }
        by(COUNCIL);
        supervision.emergencySuspend(memberId(2), reason);
        refused(TooManySeatsLost.selector);
        by(admin(SUPERVISOR));
        supervision.emergencySuspend(memberId(2), reason);
        endBlocks(2);
        by(admin(SUPERVISOR));
        supervision.emergencySuspend(memberId(2), reason);
        endBlock();
        eq(size(), 2, "one after the other");
    }

    function test_back_and_forth_in_one_block_loses_nothing() public {
        bytes32 key = nodeKey(3);
        vm.startPrank(admin(3));
        registry.setOwnNodeStatus(key, 3);
        registry.setOwnNodeStatus(key, 2);
        vm.stopPrank();
        endBlock();
        yes(seated(validator(3)), "kept");
        eq(state(3).flags, FLAG_SEATED, "no mark left");
    }

    function test_the_last_validator_stays() public {
        for (uint256 i = 3; i > 0; i--) {
            bytes32 key = nodeKey(i);
            by(admin(i));
            registry.setOwnNodeStatus(key, 3);
            endBlocks(2);
        }
        eq(size(), 1, "one left");
        bytes32 last = nodeKey(0);
        refused(LastValidator.selector);
        by(admin(0));
        registry.setOwnNodeStatus(last, 3);
        refused(LastValidator.selector);
        by(admin(0));
        registry.setOwnNodeStatus(last, 5);
    }

    function test_an_expired_validator_leaves_in_time() public {
        NodeInput memory input = nodeInput(10, 1);
        input.expires = 40;
        by(admin(0));
        registry.addNode(input);
        decide(CANDIDACY, abi.encode(nodeKey(10), true, bytes32(0)));
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(0), 3);
        endBlocks(12);
        yes(seated(validator(10)), "serves");
        while (block.number < 39) endBlock();
        yes(seated(validator(10)), "39 is the last block of its time");
        endBlock();
        no(seated(validator(10)), "it does not validate 40");
    }

    function test_evidence_strikes_at_once_and_for_good() public {
        by(EVIDENCE);
        validators.strike(nodeKey(3), 7);
        endBlock();
        no(seated(validator(3)), "gone");
        eq(state(3).strikes, 4, "strikes");
        yes(state(3).flags & FLAG_BARRED != 0, "barred");
        for (uint256 i = 1; i < 3; i++) {
            by(EVIDENCE);
            validators.strike(nodeKey(i), 7);
        }
        endBlock();
        eq(size(), 3, "two blocks bear one");
        endBlock();
        eq(size(), 2, "the next one");
        endBlocks(2);
        eq(size(), 1, "and the last but one");
    }

    // --- The journal -------------------------------------------------------------------------------------------------

    function test_the_journal_keeps_the_last_4096_acts() public {
        uint256 acts = validators.actCount();
        eq(acts, 4, "four were seated");
        eq(validators.actAt(0).kind, ACT_SEATED, "first");
        refused(ActUnknown.selector);
        validators.actAt(4);
        for (uint256 i = 0; i < 2100; i++) {
            bytes32 key = nodeKey(3);
            vm.startPrank(EVIDENCE);
            validators.strike(key, 1);
            validators.strike(key, 1);
            vm.stopPrank();
        }
        eq(validators.actCount(), 4204, "all are counted");
        refused(ActUnknown.selector);
        validators.actAt(107);
        eq(validators.actAt(108).kind, ACT_SUSPENDED, "the oldest kept");
    }
}
