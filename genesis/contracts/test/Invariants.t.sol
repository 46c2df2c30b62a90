// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Handler.sol";

/// What holds whatever members, strangers and the system do, in whatever order.
contract InvariantsTest is Base {
    Handler internal handler;

    function setUp() public override {
        super.setUp();
        handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory) {
        return list(address(handler));
    }

    /// Replaced admins, intruders, failing ends of blocks, too many seats lost at once.
    function invariant_nothing_forbidden_happened() public view {
        if (handler.breaches() != 0) revert(handler.breach());
    }

    function invariant_votes_never_exceed_the_electorate() public view {
        uint256 count = governance.proposalCount();
        for (uint256 id = count; id > 0 && id + 12 > count; id--) {
            ProposalView memory p = governance.getProposal(id);
            vm.assertLe(p.votesFor + p.votesAgainst, p.electorate, "votes");
            yes(p.needed >= 1 && p.needed <= p.electorate, "reachable, and not for nothing");
        }
    }

    function invariant_the_electorate_is_what_the_members_make_it_and_never_empty() public view {
        uint256 count = registry.memberCount();
        bytes32[] memory groups = new bytes32[](count);
        uint256 distinct = 0;
        for (uint256 i = 0; i < count; i++) {
            bytes32 group = registry.votingGroup(registry.memberAt(i));
            bool known = group == 0;
            for (uint256 j = 0; j < distinct; j++) if (groups[j] == group) known = true;
            if (!known) groups[distinct++] = group;
        }
        eq(registry.electorate(), distinct, "as counted anew");
        yes(distinct >= 1, "never empty");
    }

    function invariant_the_set_is_never_empty_and_in_order() public view {
        address[] memory set = validators.getValidators();
        bytes32[] memory keys = validators.seats();
        yes(set.length >= 1, "never empty");
        eq(set.length, keys.length, "a node for each seat");
        for (uint256 i = 0; i < set.length; i++) {
            if (i > 0) yes(set[i - 1] < set[i], "ascending");
            vm.assertEq(registry.getNode(keys[i]).validatorAddress, set[i], "its address");
            yes(validators.getValidator(keys[i]).flags & FLAG_SEATED != 0, "marked");
        }
    }

    function invariant_who_is_not_active_neither_connects_nor_transacts() public view {
        uint256 count = registry.nodeCount();
        for (uint256 i = 0; i < count; i++) {
            bytes32 key = registry.nodeAt(i);
            Node memory node = registry.getNode(key);
            bool active = registry.memberPermitted(node.memberId);
            bytes memory publicKey = abi.encodePacked(node.publicKeyHigh, node.publicKeyLow);
            bool connects = nodeRules.connectionAllowed(hexOf(publicKey), "", 0);
            bool inTime = (node.expires == 0 || block.number < node.expires) && block.number >= node.suspendedUntil;
            bool expected = active && node.status == NODE_ACTIVE && inTime;
            yes(connects == expected, "node");
        }
        count = registry.accountCount();
        for (uint256 i = 0; i < count; i++) {
            address who = registry.accountAt(i);
            if (!registry.memberPermitted(registry.getAccount(who).memberId)) {
                no(allowed(who, address(0xBEEF), 0, ""), "account");
            }
            if (registry.isFrozen(who)) no(allowed(who, address(0xBEEF), 0, ""), "frozen");
        }
    }

    function invariant_a_replaced_admin_has_no_way_in() public view {
        uint256 count = handler.replacedCount();
        for (uint256 i = 0; i < count; i++) {
            address old = handler.replaced(i);
            (bytes32 memberId_,) = registry.adminOf(old);
            vm.assertEq(memberId_, bytes32(0), "no entry");
            no(allowed(old, GOVERNANCE, 0, hex"01020304"), "no lane");
        }
    }

    function invariant_the_policy_changes_by_vote_only() public view {
        eq(policies.revision(), 1 + handler.policyVotes(), "one revision for each vote");
    }

    function invariant_candidates_and_lists_agree() public view {
        bytes32[] memory keys = registry.candidates();
        for (uint256 i = 0; i < keys.length; i++) {
            yes(registry.getNode(keys[i]).roles & ROLE_VALIDATOR != 0, "candidate");
        }
        for (uint256 i = 0; i < registry.frozenCount(); i++) {
            yes(registry.getFreeze(registry.frozenAt(i)).until != 0, "frozen");
        }
    }
}
