// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../src/Text.sol";
import "./Base.sol";

/// Seeding, and what the admins of a member may do.
contract MembersTest is Base {
    // --- Seeding -----------------------------------------------------------------------------------------------------

    function test_nobody_seeds_a_running_network() public {
        vm.startPrank(SYSTEM);
        MemberInput memory member = memberInput(50);
        NodeInput memory node = nodeInput(50, 1);
        PolicyValues memory values = policyOf();
        refused(OnlySeeding.selector);
        registry.seedMember(member);
        refused(OnlySeeding.selector);
        registry.seedNode(memberId(0), node);
        refused(OnlySeeding.selector);
        registry.seedAccount(memberId(0), STRANGER, 7, 0, 0);
        refused(OnlySeeding.selector);
        registry.seedCouncil(list(STRANGER));
        refused(OnlySeeding.selector);
        policies.seedPolicy(values);
        refused(OnlySeeding.selector);
        validators.seedValidators(new bytes32[](1));
        vm.stopPrank();
    }

    function test_only_the_system_seeds_block_0() public {
        vm.roll(0);
        MemberInput memory member = memberInput(50);
        PolicyValues memory values = policyOf();
        refused(OnlySeeding.selector);
        registry.seedMember(member);
        refused(OnlySeeding.selector);
        policies.seedPolicy(values);
        refused(OnlySeeding.selector);
        validators.seedValidators(new bytes32[](1));
    }

    function test_orders_come_from_their_contracts_only() public {
        MemberInput memory member = memberInput(50);
        address[] memory keys = list(STRANGER);
        vm.startPrank(admin(0));
        refused(OnlyContract.selector);
        registry.admit(member);
        refused(OnlyContract.selector);
        registry.setMemberStatus(memberId(1), 4);
        refused(OnlyContract.selector);
        registry.setMemberRecord(memberId(1), member.record);
        refused(OnlyContract.selector);
        registry.replaceAdmins(memberId(1), keys, 1);
        refused(OnlyContract.selector);
        registry.setNodeStatus(bytes32(0), 5);
        refused(OnlyContract.selector);
        registry.setCandidate(bytes32(0), true);
        refused(OnlyContract.selector);
        registry.setCouncil(keys);
        refused(OnlyContract.selector);
        registry.ratify(memberId(1));
        refused(OnlyContract.selector);
        registry.releaseAccount(account(1));
        refused(OnlyContract.selector);
        registry.suspendUntil(memberId(1), 1000);
        refused(OnlyContract.selector);
        registry.setFreeze(account(1), 0, 0, 1000);
        refused(OnlyContract.selector);
        registry.clearFreeze(account(1));
        refused(OnlyContract.selector);
        registry.confirm(admin(0), bytes32(0));
        vm.stopPrank();
    }

    function test_what_is_seeded_can_be_read() public {
        eq(registry.memberCount(), 5, "members");
        vm.assertEq(registry.memberAt(2), memberId(2), "by index");
        vm.assertEq(registry.memberIdOf(2, idValue(2)), memberId(2), "id");
        Member memory member = registry.getMember(memberId(2));
        eq(member.status, MEMBER_ACTIVE, "status");
        vm.assertEq(member.controlGroup, memberId(2), "a group of its own");
        vm.assertEq(member.admins[0], admin(2), "admin");
        eq(registry.nodeCount(), 5, "nodes");
        eq(registry.nodesOf(memberId(2)).length, 1, "its nodes");
        Node memory node = registry.getNode(nodeKey(2));
        vm.assertEq(registry.nodeAt(2), nodeKey(2), "node by index");
        vm.assertEq(node.validatorAddress, validator(2), "the address of its key");
        vm.assertEq(registry.nodeOfValidator(validator(2)), nodeKey(2), "and back");
        eq(registry.accountCount(), 4, "accounts");
        vm.assertEq(registry.accountAt(2), account(2), "account by index");
        eq(registry.electorate(), 4, "the supervisor has no vote");
        eq(registry.candidates().length, 4, "candidates");
        vm.assertEq(registry.council()[0], COUNCIL, "council");
        vm.assertEq(registry.memberOf(account(2)), memberId(2), "member of account");
        vm.assertEq(registry.memberOf(admin(2)), memberId(2), "member of admin");
        vm.assertEq(registry.memberOf(validator(2)), memberId(2), "member of validator");
        vm.assertEq(registry.memberOf(STRANGER), bytes32(0), "nobody's");
    }

    /// The words that storage proofs of a permission rest on stand where the README says.
    function test_storage_layout_of_a_permission() public {
        eq(registry.layoutVersion(), 1, "version");
        bytes32 nodeWord = vm.load(REGISTRY, keccak256(abi.encode(nodeKey(1), uint256(2))));
        eq(uint8(uint256(nodeWord)), NODE_ACTIVE, "node status");
        eq(uint16(uint256(nodeWord) >> 8), 3, "roles");
        bytes32 owner = vm.load(REGISTRY, bytes32(uint256(keccak256(abi.encode(nodeKey(1), uint256(2)))) + 1));
        vm.assertEq(owner, memberId(1), "owner");
        bytes32 memberWord = vm.load(REGISTRY, keccak256(abi.encode(memberId(1), uint256(1))));
        eq(uint8(uint256(memberWord)), MEMBER_ACTIVE, "member status");
        bytes32 accountWord = vm.load(REGISTRY, keccak256(abi.encode(account(1), uint256(3))));
        eq(uint8(uint256(accountWord)), ACCOUNT_ACTIVE, "account status");
        eq(uint16(uint256(accountWord) >> 8), 7, "access");
    }

    // --- Identity ----------------------------------------------------------------------------------------------------

    function test_lei() public pure {
        yes(Text.isLei(bytes32("529900T8BM49AURSDO55")), "as issued");
        no(Text.isLei(bytes32("529900T8BM49AURSDO56")), "check digits");
        no(Text.isLei(bytes32("529900t8bm49aursdo55")), "small letters");
        no(Text.isLei(bytes32("529900T8BM49AURSDO551")), "21 characters");
        no(Text.isLei(bytes32("529900T8BM49AURSDO")), "18 characters");
    }

    /// One wrong character is always found: 97 is prime and no power of ten is a multiple of it.
    function testFuzz_lei_finds_one_wrong_character(uint256 random, uint8 place, uint8 other) public pure {
        bytes memory alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        bytes memory lei = new bytes(20);
        uint256 remainder;
        for (uint256 i = 0; i < 18; i++) {
            uint256 pick = (random >> (8 * i) & 0xff) % 36;
            lei[i] = alphabet[pick];
            remainder = (pick < 10 ? remainder * 10 + pick : remainder * 100 + pick) % 97;
        }
        uint256 digits = 98 - remainder * 100 % 97;
        (lei[18], lei[19]) = (bytes1(uint8(0x30 + digits / 10)), bytes1(uint8(0x30 + digits % 10)));
        yes(Text.isLei(bytes32(lei)), "right");
        uint256 at = place % 18;
        bytes1 wrong = alphabet[other % 36];
        // A digit for a letter moves all that follows and may meet the same remainder.
        bool sameWidth = (uint8(wrong) < 0x40) == (uint8(lei[at]) < 0x40);
        if (wrong == lei[at] || !sameWidth) return;
        lei[at] = wrong;
        no(Text.isLei(bytes32(lei)), "wrong");
    }

    function test_admission_checks_the_identity() public {
        MemberInput memory input = memberInput(50);
        (input.idScheme, input.idValue) = (1, "529900T8BM49AURSDO56");
        bytes memory payload = abi.encode(input);
        uint256 id = propose(0, ADMIT_MEMBER, payload);
        vote(1, id, true);
        vote(2, id, true);
        refused(BadLei.selector);
        by(admin(0));
        governance.execute(id, payload);
        input.idValue = "529900T8BM49AURSDO55";
        decide(ADMIT_MEMBER, abi.encode(input));
        eq(registry.getMember(registry.memberIdOf(1, "529900T8BM49AURSDO55")).status, MEMBER_ACTIVE, "admitted");
    }

    // --- Nodes -------------------------------------------------------------------------------------------------------

    function test_own_nodes_need_no_vote() public {
        NodeInput memory input = nodeInput(10, 1);
        by(admin(0));
        registry.addNode(input);
        yes(mayConnect(10), "at once");
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(10), 3);
        no(mayConnect(10), "deactivated");
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(10), 2);
        yes(mayConnect(10), "active again");
        by(admin(0));
        registry.declareVersion(nodeKey(10), 42);
        eq(registry.getNode(nodeKey(10)).swVersion, 42, "version");
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(10), 5);
        no(mayConnect(10), "revoked");
        refused(WrongStatus.selector);
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(10), 2);
        refused(NodeExists.selector);
        by(admin(0));
        registry.addNode(input);
        eq(registry.nodesOf(memberId(0)).length, 1, "no longer among its nodes");
        eq(registry.nodeCount(), 6, "but still known");
    }

    function test_bounds_of_nodes() public {
        vm.startPrank(admin(0));
        NodeInput memory input = nodeInput(10, 2);
        refused(BadRoles.selector);
        registry.addNode(input);
        input.roles = 8;
        refused(BadRoles.selector);
        registry.addNode(input);
        input.roles = 64;
        refused(BadRoles.selector);
        registry.addNode(input);
        input.roles = 0;
        refused(BadRoles.selector);
        registry.addNode(input);
        input.roles = 1;
        input.publicKey = hex"01";
        refused(BadPublicKey.selector);
        registry.addNode(input);
        input = nodeInput(10, 1);
        input.endpoints = new bytes(257);
        refused(BadEndpoints.selector);
        registry.addNode(input);
        input.endpoints = "a b:1";
        refused(BadEndpoints.selector);
        registry.addNode(input);
        input.endpoints = "";
        input.expires = 1;
        refused(BadExpiry.selector);
        registry.addNode(input);
        input.expires = 0;
        input.validatorAddress = validator(1);
        refused(ValidatorTaken.selector);
        registry.addNode(input);
        vm.stopPrank();
        for (uint256 i = 10; i < 13; i++) {
            input = nodeInput(i, 1);
            by(admin(0));
            registry.addNode(input);
        }
        input = nodeInput(13, 1);
        refused(TooManyNodes.selector);
        by(admin(0));
        registry.addNode(input);
    }

    /// GoQuorum lets the admin of one organisation act for another whose roles have the same name.
    function test_an_admin_has_no_power_over_other_members() public {
        vm.startPrank(admin(0));
        bytes32 key = nodeKey(1);
        refused(NotOwner.selector);
        registry.setOwnNodeStatus(key, 5);
        refused(NotOwner.selector);
        registry.updateEndpoints(key, "evil:1");
        refused(NotOwner.selector);
        registry.declareVersion(key, 1);
        refused(AccountTaken.selector);
        registry.setAccount(account(1), 7, 0, 0);
        refused(NotOwner.selector);
        registry.setAccount(account(1), 0, 0, 0);
        refused(AccountUnknown.selector);
        registry.setAccount(STRANGER, 0, 0, 0);
        refused(AdminTaken.selector);
        registry.rotateAdmins(list(admin(1)), 1);
        vm.stopPrank();
        by(STRANGER);
        refused(NotAdmin.selector);
        registry.setAccount(STRANGER, 7, 0, 0);
    }

    // --- Accounts ----------------------------------------------------------------------------------------------------

    function test_own_accounts() public {
        by(admin(0));
        registry.setAccount(STRANGER, 3, 1, 0);
        yes(allowed(STRANGER, address(0xBEEF), 1, hex"01"), "added");
        by(admin(0));
        registry.setAccount(STRANGER, 1, 1, 0);
        no(allowed(STRANGER, address(0xBEEF), 1, hex"01"), "changed");
        by(admin(0));
        registry.setAccount(STRANGER, 0, 0, 0);
        no(allowed(STRANGER, address(0xBEEF), 1, ""), "removed");
        eq(registry.accountCount(), 4, "gone from the list");
        by(admin(1));
        registry.setAccount(STRANGER, 7, 0, 0);
        vm.assertEq(registry.memberOf(STRANGER), memberId(1), "free for another");
        refused(BadAccess.selector);
        by(admin(1));
        registry.setAccount(STRANGER, 16, 0, 0);
        for (uint160 i = 0; i < 6; i++) {
            by(admin(1));
            registry.setAccount(address(0x9900 + i), 1, 0, 0);
        }
        refused(TooManyAccounts.selector);
        by(admin(1));
        registry.setAccount(address(0x9999), 1, 0, 0);
    }

    // --- Several admins ----------------------------------------------------------------------------------------------

    function _threeAdmins() internal returns (address a, address b, address c) {
        (a, b, c) = (address(0xA1), address(0xA2), address(0xA3));
        by(admin(0));
        registry.rotateAdmins(list(a, b, c), 2);
    }

    function test_two_of_three_admins_act_together() public {
        (address a, address b, address c) = _threeAdmins();
        by(a);
        registry.setAccount(STRANGER, 7, 0, 0);
        eq(registry.accountCount(), 4, "one is not enough");
        by(a);
        registry.setAccount(STRANGER, 7, 0, 0);
        eq(registry.accountCount(), 4, "nor the same one twice");
        by(b);
        registry.setAccount(STRANGER, 6, 0, 0);
        eq(registry.accountCount(), 4, "nor another with another call");
        (uint256 who, uint64 since) =
            registry.confirmation(memberId(0), REGISTRY, keccak256(abi.encodeCall(registry.setAccount, (STRANGER, 7, 0, 0))));
        eq(who, 1, "who");
        eq(since, 1, "since");
        by(c);
        registry.setAccount(STRANGER, 7, 0, 0);
        eq(registry.getAccount(STRANGER).access, 7, "two are");
        by(c);
        registry.setAccount(STRANGER, 7, 1, 0);
        eq(registry.getAccount(STRANGER).quotaClass, 0, "a confirmation serves once");
    }

    function test_confirmations_lapse_and_can_be_withdrawn() public {
        (address a, address b,) = _threeAdmins();
        by(a);
        registry.setAccount(STRANGER, 7, 0, 0);
        vm.roll(32);
        by(b);
        registry.setAccount(STRANGER, 7, 0, 0);
        eq(registry.accountCount(), 4, "the first word is too old");
        bytes32 call = keccak256(abi.encodeCall(registry.setAccount, (STRANGER, 7, 0, 0)));
        refused(NothingToWithdraw.selector);
        by(a);
        registry.withdrawConfirmation(REGISTRY, call);
        by(b);
        registry.withdrawConfirmation(REGISTRY, call);
        by(a);
        registry.setAccount(STRANGER, 7, 0, 0);
        eq(registry.accountCount(), 4, "the second word was taken back");
        by(b);
        registry.setAccount(STRANGER, 7, 0, 0);
        eq(registry.accountCount(), 5, "now both");
    }

    /// GoQuorum's replaced admins keep their power.
    function test_a_replaced_admin_has_no_power() public {
        (address a, address b, address c) = _threeAdmins();
        by(a);
        registry.setAccount(STRANGER, 7, 0, 0);
        // The others move to other places, so that a word of before could not be mistaken for theirs.
        by(b);
        registry.rotateAdmins(list(c, b), 2);
        by(a);
        registry.rotateAdmins(list(c, b), 2);
        refused(NotAdmin.selector);
        by(a);
        registry.setAccount(STRANGER, 7, 0, 0);
        by(b);
        registry.setAccount(STRANGER, 7, 0, 0);
        eq(registry.accountCount(), 4, "what the replaced one confirmed does not count");
        no(allowed(a, GOVERNANCE, 0, hex"01020304"), "nor may it call");
        refused(NotAdmin.selector);
        by(a);
        governance.propose(STATEMENT, abi.encode(bytes32("x"), uint64(0), ""));
    }

    function test_admin_sets_are_sound() public {
        address[] memory none;
        refused(BadAdmins.selector);
        by(admin(0));
        registry.rotateAdmins(none, 0);
        refused(BadAdmins.selector);
        by(admin(0));
        registry.rotateAdmins(list(STRANGER), 2);
        refused(BadAdmins.selector);
        by(admin(0));
        registry.rotateAdmins(list(STRANGER), 0);
        refused(BadAdmins.selector);
        by(admin(0));
        registry.rotateAdmins(list(address(0)), 1);
        refused(AdminTaken.selector);
        by(admin(0));
        registry.rotateAdmins(list(STRANGER, STRANGER), 1);
        refused(BadAdmins.selector);
        by(admin(0));
        registry.rotateAdmins(new address[](17), 1);
    }

    function test_governance_asks_for_all_confirmations_too() public {
        (address a, address b,) = _threeAdmins();
        bytes memory payload = abi.encode(bytes32("x"), uint64(0), "title");
        by(a);
        eq(governance.propose(STATEMENT, payload), 0, "waits");
        by(b);
        eq(governance.propose(STATEMENT, payload), 1, "both");
        by(a);
        governance.withdrawVote(1);
        eq(governance.getProposal(1).votesFor, 1, "waits");
        by(b);
        governance.withdrawVote(1);
        eq(governance.getProposal(1).votesFor, 0, "both");
    }

    // --- Leaving -----------------------------------------------------------------------------------------------------

    function test_a_member_leaves_and_may_come_back() public {
        by(admin(3));
        registry.giveNotice(500);
        eq(registry.getMember(memberId(3)).noticeUntil, 500, "notice");
        by(admin(3));
        registry.withdrawMember();
        eq(registry.getMember(memberId(3)).status, MEMBER_WITHDRAWN, "left");
        no(mayConnect(3), "node");
        no(mayTransact(3), "account");
        eq(registry.electorate(), 3, "electorate");
        refused(MemberNotActive.selector);
        by(admin(3));
        registry.setAccount(STRANGER, 7, 0, 0);
        endBlock();
        no(seated(validator(3)), "seat");
        decide(ADMIT_MEMBER, abi.encode(memberInput(3)), 1);
        yes(mayTransact(3), "account");
        no(mayConnect(3), "nodes do not come back by themselves");
        eq(registry.memberCount(), 5, "no second entry");
    }

    function test_nobody_is_admitted_twice_nor_after_expulsion() public {
        bytes memory again = abi.encode(memberInput(3));
        uint256 id = propose(0, ADMIT_MEMBER, again);
        vote(1, id, true);
        vote(2, id, true);
        refused(MemberExists.selector);
        by(admin(0));
        governance.execute(id, again);
        decide(EXPEL_MEMBER, abi.encode(memberId(3), bytes32("statement")));
        no(mayConnect(3) || mayTransact(3), "out");
        refused(MemberExists.selector);
        by(admin(0));
        governance.execute(id, again);
    }
}
