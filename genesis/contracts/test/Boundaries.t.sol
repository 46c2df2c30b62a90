// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// What the ends of epochs make of the candidates.
contract BoundariesTest is Base {
    function state(uint256 i) internal returns (ValidatorState memory) {
        return validators.getValidator(nodeKey(i));
    }

    function size() internal view returns (uint256) {
        return validators.getValidators().length;
    }

    // --- Selection ---------------------------------------------------------------------------------------------------

    function _reason(uint256 i, SelectionPolicy memory overrides) internal returns (uint8) {
        (bytes32[] memory keys, uint8[] memory reasons) = validators.simulateSelection(overrides);
        bytes32 key = nodeKey(i);
        for (uint256 k = 0; k < keys.length; k++) if (keys[k] == key) return reasons[k];
        return 0;
    }

    function _newCandidate() internal {
        NodeInput memory input = nodeInput(10, 1);
        by(admin(0));
        registry.addNode(input);
        decide(CANDIDACY, abi.encode(nodeKey(10), true, bytes32(0)));
    }

    function test_a_candidate_that_comes_after_the_list_is_closed_waits() public {
        SelectionPolicy memory none;
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(0), 3);
        endBlocks(7);
        eq(block.number, 8, "two blocks before the boundary");
        _newCandidate();
        eq(_reason(10, none), 7, "too late now");
        endBlocks(2);
        eq(_reason(10, none), 2, "in time by then");
        eq(_reason(0, none), 5, "not permitted");
        endBlock();
        yes(seated(validator(10)), "registered two blocks before");
        eq(state(10).seatSince, 10, "since");
    }

    function test_one_block_before_the_boundary_is_too_late() public {
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(0), 3);
        endBlocks(8);
        _newCandidate();
        endBlocks(2);
        no(seated(validator(10)), "not at this boundary");
        endBlocks(10);
        yes(seated(validator(10)), "at the next");
    }

    function test_simulation_takes_overrides_and_changes_nothing() public {
        _newCandidate();
        vm.roll(5);
        SelectionPolicy memory overrides;
        eq(_reason(10, overrides), 8, "no free seat");
        overrides.n = 7;
        eq(_reason(10, overrides), 9, "its group has a seat already");
        overrides.capGroup = 2;
        eq(_reason(10, overrides), 2, "room for two of a group");
        overrides.freezeLength = 5;
        eq(_reason(10, overrides), 7, "registered a block too late");
        eq(size(), 4, "nothing changed");
    }

    function test_the_seed_is_the_hash_of_a_block_before() public {
        // Two newcomers alike in everything but their keys; the seed decides which of them comes.
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(0), 3);
        for (uint256 i = 20; i < 22; i++) {
            MemberInput memory input = memberInput(i);
            (input.record.sector, input.record.region, input.record.voting) = (99, 99, false);
            decide(ADMIT_MEMBER, abi.encode(input));
            NodeInput memory node = nodeInput(i, 1);
            by(admin(i));
            registry.addNode(node);
            decide(CANDIDACY, abi.encode(nodeKey(i), true, bytes32(0)));
        }
        endBlock();
        vm.roll(10);
        SelectionPolicy memory none;
        bool first;
        bool second;
        for (uint256 k = 0; k < 40; k++) {
            vm.setBlockhash(9, keccak256(abi.encode(k)));
            uint8 a = _reason(20, none);
            uint8 b = _reason(21, none);
            eq(uint256(a) + b, 10, "one comes, for the other no seat is left");
            if (a == 2) first = true;
            else second = true;
            bytes32 tieA = keccak256(abi.encode(keccak256(abi.encode(k)), nodeKey(20)));
            bytes32 tieB = keccak256(abi.encode(keccak256(abi.encode(k)), nodeKey(21)));
            yes((a == 2) == (tieA < tieB), "the lower hash");
        }
        yes(first && second, "now one, now the other");
    }
}

/// Permissions of several seats that run out in one block.
contract ExpiryTest is Base {
    function setUp() public override {
        _deploy();
        vm.roll(0);
        vm.startPrank(SYSTEM);
        policies.seedPolicy(policyOf());
        bytes32[] memory keys = new bytes32[](4);
        for (uint256 i = 0; i < 4; i++) {
            registry.seedMember(memberInput(i));
            NodeInput memory input = nodeInput(i, 2);
            input.expires = 6;
            keys[i] = registry.seedNode(memberId(i), input);
        }
        validators.seedValidators(keys);
        vm.stopPrank();
        vm.roll(1);
    }

    function test_permissions_that_run_out_together_go_one_by_one_but_the_last() public {
        endBlocks(4);
        eq(validators.getValidators().length, 4, "they may validate block 5");
        endBlock();
        eq(validators.getValidators().length, 3, "block 6 is beyond; two blocks bear one loss");
        endBlock();
        eq(validators.getValidators().length, 3, "not yet the second");
        endBlock();
        eq(validators.getValidators().length, 2, "the second");
        endBlocks(2);
        eq(validators.getValidators().length, 1, "the third");
        endBlocks(20);
        eq(validators.getValidators().length, 1, "somebody must make blocks");
        Act memory last = validators.actAt(validators.actCount() - 1);
        eq(last.kind, ACT_KEPT_SET, "and the journal says so");
    }

    function test_the_last_seat_passes_on_when_somebody_can_take_it() public {
        endBlocks(10);
        NodeInput memory input = nodeInput(20, 1);
        by(admin(0));
        registry.addNode(input);
        decide(CANDIDACY, abi.encode(nodeKey(20), true, bytes32(0)));
        endBlocks(13);
        eq(validators.getValidators().length, 1, "one");
        yes(seated(validator(20)), "the one that may");
    }
}
