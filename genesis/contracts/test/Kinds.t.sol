// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// What each kind of proposal does, and what none of them can do.
contract KindsTest is Base {
    bytes internal statement = abi.encode(bytes32("document"), uint64(0), "title");

    // --- Kinds -------------------------------------------------------------------------------------------------------

    function test_admit_member() public {
        decide(ADMIT_MEMBER, abi.encode(memberInput(30)));
        eq(registry.electorate(), 5, "electorate");
        NodeInput memory node = nodeInput(30, 1);
        by(admin(30));
        registry.addNode(node);
        yes(mayConnect(30), "adds its own node");
    }

    function test_revoke_suspend_and_lift_a_node() public {
        bytes memory payload = abi.encode(nodeKey(3), bytes32("r"));
        decide(SUSPEND_NODE, payload);
        no(mayConnect(3), "suspended");
        yes(mayTransact(3), "its member is not");
        bytes32 key = nodeKey(3);
        refused(WrongStatus.selector);
        by(admin(3));
        registry.setOwnNodeStatus(key, 2);
        decide(LIFT_NODE, payload);
        yes(mayConnect(3), "lifted");
        endBlock();
        endBlock();
        decide(REVOKE_NODE, payload);
        no(mayConnect(3), "revoked");
        eq(registry.candidates().length, 3, "and no candidate any more");
        uint256 id = propose(0, LIFT_NODE, payload);
        vote(1, id, true);
        vote(2, id, true);
        refused(WrongStatus.selector);
        by(admin(0));
        governance.execute(id, payload);
    }

    function test_candidacy() public {
        NodeInput memory node = nodeInput(30, 1);
        by(admin(0));
        registry.addNode(node);
        decide(CANDIDACY, abi.encode(nodeKey(30), true, bytes32("attestation")));
        eq(registry.candidates().length, 5, "candidate");
        eq(registry.getNode(nodeKey(30)).roles, 3, "roles");
        decide(CANDIDACY, abi.encode(nodeKey(30), false, bytes32("attestation")));
        eq(registry.candidates().length, 4, "no longer");
        eq(registry.getNode(nodeKey(30)).roles, 1, "roles");
    }

    function test_replace_admins_of_lost_keys() public {
        decide(REPLACE_ADMINS, abi.encode(memberId(3), list(STRANGER), uint8(1)));
        refused(NotAdmin.selector);
        by(admin(3));
        registry.giveNotice(1);
        by(STRANGER);
        registry.giveNotice(1);
    }

    function test_council_and_statement_and_release() public {
        decide(CHANGE_COUNCIL, abi.encode(list(STRANGER, address(0xC1))));
        no(registry.isCouncil(COUNCIL), "old key");
        yes(registry.isCouncil(STRANGER), "new key");
        decide(STATEMENT, statement);
        bytes memory payload = abi.encode(account(3));
        decide(RELEASE_ACCOUNT, payload);
        no(mayTransact(3), "released");
        by(admin(2));
        registry.setAccount(account(3), 7, 0, 0);
        vm.assertEq(registry.memberOf(account(3)), memberId(2), "free for another");
    }

    // --- No lock-out -------------------------------------------------------------------------------------------------

    function test_the_electorate_is_never_lost() public {
        for (uint256 i = 3; i > 0; i--) {
            decide(SUSPEND_MEMBER, abi.encode(memberId(i), bytes32("r")), i == 1 ? 1 : i - 1);
            endBlock();
            endBlock();
        }
        eq(registry.electorate(), 1, "one left");
        uint256 id = propose(0, SUSPEND_MEMBER, abi.encode(memberId(0), bytes32("r")));
        bytes memory payload = abi.encode(memberId(0), bytes32("r"));
        vm.expectRevert();
        by(admin(0));
        governance.execute(id, payload);
        vm.expectRevert();
        by(admin(0));
        registry.withdrawMember();
        MemberRecord memory record = recordOf(0);
        record.voting = false;
        payload = abi.encode(memberId(0), record);
        id = propose(0, CHANGE_RECORD, payload);
        refused(ElectorateTooSmall.selector);
        by(admin(0));
        governance.execute(id, payload);
    }

    // --- Policy ------------------------------------------------------------------------------------------------------

    function test_policy_changes_at_the_next_boundary() public {
        PolicyValues memory values = policyOf();
        values.sla.consecutiveMisses = 7;
        decide(CHANGE_POLICY, abi.encode(uint64(1), values));
        (uint64 revision, uint64 effective, PolicyValues memory next) = policies.nextPolicy();
        eq(revision, 2, "revision");
        eq(effective, 10, "effective");
        eq(next.sla.consecutiveMisses, 7, "next");
        eq(policies.slaPolicy().consecutiveMisses, 3, "not yet");
        vm.roll(9);
        eq(policies.policy().sla.consecutiveMisses, 3, "not yet");
        vm.roll(10);
        eq(policies.policy().sla.consecutiveMisses, 7, "at the boundary");
        refused(OnlyContract.selector);
        policies.settle();
        address author = validators.getValidators()[0];
        vm.prank(SYSTEM);
        validators.endBlock(author, new address[](0));
        (, effective,) = policies.nextPolicy();
        eq(effective, 0, "nothing waits any more");
        eq(policies.policy().sla.consecutiveMisses, 7, "and the values stay");
    }

    function test_two_open_policy_changes_do_not_overwrite_each_other() public {
        PolicyValues memory values = policyOf();
        values.sla.consecutiveMisses = 7;
        bytes memory first = abi.encode(uint64(1), values);
        values.sla.consecutiveMisses = 8;
        bytes memory second = abi.encode(uint64(1), values);
        uint256 id = propose(0, CHANGE_POLICY, second);
        decide(CHANGE_POLICY, first);
        vote(1, id, true);
        vote(2, id, true);
        refused(StaleRevision.selector);
        by(admin(0));
        governance.execute(id, second);
        decide(CHANGE_POLICY, abi.encode(uint64(2), values));
        eq(policies.slaPolicy().consecutiveMisses, 3, "neither is in force before its time");
        vm.roll(10);
        eq(policies.slaPolicy().consecutiveMisses, 8, "the newest one");
    }

    function test_only_votes_change_the_policy() public {
        PolicyValues memory values = policyOf();
        refused(OnlyContract.selector);
        by(admin(0));
        policies.replace(1, values);
    }
}
