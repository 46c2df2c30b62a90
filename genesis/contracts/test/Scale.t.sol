// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// The largest lists: what they cost must fit a transaction (2^24 gas, EIP-7825) or the system's allowance.
contract ScaleTest is Base {
    uint256 internal constant TRANSACTION = 1 << 24;
    uint256 internal constant SYSTEM_ALLOWANCE = 50_000_000;

    function setUp() public override {}

    function _network(uint256 members, uint256 candidates, uint256 seats) internal {
        _deploy();
        vm.roll(0);
        vm.startPrank(SYSTEM);
        PolicyValues memory p = policyOf();
        (p.selection.n, p.selection.capGroup) = (31, 10);
        (p.selection.capSector, p.selection.capRegion, p.selection.capHost) = (10, 10, 10);
        (p.votes.openProposals, p.votes.votingLength) = (20, 1000);
        policies.seedPolicy(p);
        bytes32[] memory keys = new bytes32[](seats);
        for (uint256 i = 0; i < members; i++) {
            registry.seedMember(memberInput(i));
            if (i >= candidates) continue;
            bytes32 key = registry.seedNode(memberId(i), nodeInput(i, 2));
            if (i < seats) keys[i] = key;
        }
        validators.seedValidators(keys);
        vm.stopPrank();
        vm.roll(1);
    }

    function _cool() internal {
        address[4] memory all = [REGISTRY, GOVERNANCE, VALIDATORS, POLICY];
        for (uint256 i = 0; i < all.length; i++) vm.cool(all[i]);
    }

    function test_512_groups_vote() public {
        _network(512, 1, 1);
        eq(registry.electorate(), 512, "electorate");
        bytes memory payload = abi.encode(bytes32("x"), uint64(0), "");
        uint256 id = propose(0, STATEMENT, payload);
        for (uint256 i = 1; i < 511; i++) vote(i, id, i % 2 == 0 || i < 20);
        ProposalView memory p = governance.getProposal(id);
        eq(p.votesFor + p.votesAgainst, 511, "all but one");
        _cool();
        uint256 before = gasleft();
        vote(511, id, true);
        vm.assertLe(before - gasleft(), TRANSACTION, "the last vote");
        _cool();
        before = gasleft();
        by(admin(0));
        governance.execute(id, payload);
        vm.assertLe(before - gasleft(), TRANSACTION, "execution");
        for (uint256 k = 0; k < 19; k++) propose(0, STATEMENT, payload);
        _cool();
        before = gasleft();
        propose(0, STATEMENT, payload);
        vm.assertLe(before - gasleft(), TRANSACTION / 8, "one more proposal");
    }

    function test_a_513th_group_is_not_admitted() public {
        _network(512, 1, 1);
        vm.roll(0);
        vm.startPrank(SYSTEM);
        MemberInput memory one = memberInput(512);
        refused(TooManyGroups.selector);
        registry.seedMember(one);
        one.record.voting = false;
        registry.seedMember(one);
        vm.stopPrank();
    }

    function test_an_epoch_ends_with_128_candidates_and_31_seats() public {
        _network(128, 128, 20);
        vm.roll(10);
        _cool();
        uint256 before = gasleft();
        by(SYSTEM);
        validators.endBlock(validator(0), new address[](0));
        vm.assertLe(before - gasleft(), SYSTEM_ALLOWANCE / 2, "the end of an epoch");
        eq(validators.getValidators().length, 29, "nine newcomers, less than a third of the new set");
        vm.roll(11);
        _cool();
        before = gasleft();
        by(SYSTEM);
        validators.endBlock(validator(0), list(validator(1)));
        vm.assertLe(before - gasleft(), 1_000_000, "a block after it");
        vm.roll(12);
        _cool();
        before = gasleft();
        by(SYSTEM);
        validators.endBlock(validator(0), new address[](0));
        vm.assertLe(before - gasleft(), 60_000, "an ordinary block");
    }

    function test_a_129th_candidate_is_refused() public {
        _network(130, 128, 1);
        NodeInput memory input = nodeInput(129, 2);
        vm.roll(0);
        refused(TooManyCandidates.selector);
        by(SYSTEM);
        registry.seedNode(memberId(129), input);
    }

    function test_charging_many_members() public {
        _network(300, 1, 1);
        bytes32[] memory members = new bytes32[](300);
        uint64[] memory amounts = new uint64[](300);
        for (uint256 i = 0; i < 300; i++) (members[i], amounts[i]) = (memberId(i), 1000);
        _cool();
        vm.cool(QUOTAS);
        by(SYSTEM);
        quotas.charge{gas: 20_000_000}(members, amounts);
        (, uint64 updated) = quotas.bucket(memberId(299));
        eq(updated, 1, "the last of 300");
    }
}
