// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// What no vote may set.
contract PolicyTest is Base {
    function _bad(PolicyValues memory values, string memory field) internal {
        vm.expectRevert(abi.encodeWithSelector(BadPolicy.selector, field));
        policies.check(values);
    }

    function test_the_number_of_validators_is_3f_plus_1() public {
        PolicyValues memory p = policyOf();
        for (uint16 n = 0; n < 40; n++) {
            p.selection.n = n;
            p.selection.capSector = p.selection.capRegion = p.selection.capHost = 1;
            if (n % 3 == 1 && n <= 31) policies.check(p);
            else _bad(p, "n");
        }
    }

    function test_bounds_of_the_selection() public {
        PolicyValues memory p = policyOf();
        p.selection.nMin = 0;
        _bad(p, "nMin");
        p.selection.nMin = 5;
        _bad(p, "nMin");
        p = policyOf();
        p.selection.epochLength = 1;
        _bad(p, "epochLength");
        p = policyOf();
        p.selection.freezeLength = 0;
        _bad(p, "freezeLength");
        p.selection.freezeLength = 10;
        _bad(p, "freezeLength");
        (p.selection.epochLength, p.selection.freezeLength) = (10000, 511);
        _bad(p, "freezeLength");
        p = policyOf();
        p.selection.rotation = 2;
        _bad(p, "rotation");
        p = policyOf();
        p.selection.capGroup = 0;
        _bad(p, "capGroup");
        p = policyOf();
        p.selection.capSector = 0;
        _bad(p, "capSector");
        p = policyOf();
        p.selection.capRegion = 5;
        _bad(p, "capRegion");
        p = policyOf();
        p.selection.capHost = 0;
        _bad(p, "capHost");
    }

    function test_bounds_of_the_service_level() public {
        PolicyValues memory p = policyOf();
        p.sla.window = 0;
        _bad(p, "window");
        p = policyOf();
        p.sla.warnBps = 0;
        _bad(p, "warnBps");
        p = policyOf();
        p.sla.suspendBps = 999;
        _bad(p, "suspendBps");
        p.sla.suspendBps = 10001;
        _bad(p, "suspendBps");
        p = policyOf();
        p.sla.minOwnSlots = 0;
        _bad(p, "minOwnSlots");
        p = policyOf();
        p.sla.consecutiveMisses = 0;
        _bad(p, "consecutiveMisses");
        p = policyOf();
        p.sla.jailLength = 0;
        _bad(p, "jailLength");
        p = policyOf();
        p.sla.strikeDecay = 0;
        _bad(p, "strikeDecay");
        p = policyOf();
        p.sla.heartbeats = 0;
        _bad(p, "heartbeats");
        p = policyOf();
        p.sla.heartbeatInterval = 0;
        _bad(p, "heartbeatInterval");
    }

    function test_bounds_of_votes() public {
        PolicyValues memory p = policyOf();
        p.votes.votingLength = 0;
        _bad(p, "votingLength");
        p = policyOf();
        p.votes.executionLength = 0;
        _bad(p, "executionLength");
        p = policyOf();
        p.votes.confirmationLength = 0;
        _bad(p, "confirmationLength");
        p = policyOf();
        p.votes.participationBps = 3332;
        _bad(p, "participationBps");
        p = policyOf();
        p.votes.minElectorate = 0;
        _bad(p, "minElectorate");
        p = policyOf();
        p.votes.openProposals = 0;
        _bad(p, "openProposals");
        for (uint256 kind = 0; kind <= LAST_KIND; kind++) {
            p = policyOf();
            bool large = kind == CHANGE_POLICY || kind == ADD_SUPERVISOR || kind == REMOVE_SUPERVISOR;
            p.votes.thresholds[kind] = kind == 0 ? 7499 : large ? 6665 : 3332;
            _bad(p, "thresholds");
            p.votes.thresholds[kind] = 10001;
            _bad(p, "thresholds");
            p.votes.thresholds[kind] = 10000;
            p.votes.strictKinds = type(uint32).max;
            _bad(p, "strictKinds");
            p.votes.strictKinds = 0;
            policies.check(p);
        }
    }

    function test_bounds_of_limits_and_quotas() public {
        PolicyValues memory p = policyOf();
        p.limits.emergencyLength = 0;
        _bad(p, "emergencyLength");
        p = policyOf();
        p.limits.freezeLength = 0;
        _bad(p, "limits.freezeLength");
        p = policyOf();
        p.limits.nodesPerMember = 65;
        _bad(p, "nodesPerMember");
        p = policyOf();
        p.limits.accountsPerMember = 0;
        _bad(p, "accountsPerMember");
        p = policyOf();
        p.quota.capBlocks = 0;
        _bad(p, "capBlocks");
        p.quota.capBlocks = 9;
        _bad(p, "capBlocks");
        p = policyOf();
        p.quota.rates[7] = 99_999;
        _bad(p, "rates");
        p.quota.enabled = false;
        policies.check(p);
    }

    /// The defaults that the README names.
    function test_the_defaults_are_within_the_bounds() public pure {
        PolicyValues memory p;
        p.selection = SelectionPolicy(13, 4, 86400, 256, 1, 7776000, 1, 4, 4, 4);
        p.sla = SlaPolicy(28800, 1000, 3000, 20, 20, 86400, 7776000, 20, 300);
        uint16[24] memory thresholds;
        for (uint256 kind = 1; kind <= LAST_KIND; kind++) thresholds[kind] = 0x0f94e >> kind & 1 != 0 ? 5000 : 6666;
        thresholds[0] = 7500;
        p.votes = VotePolicy(1209600, 604800, 604800, 3333, 1, 20, 0xf94e, thresholds);
        p.limits = LimitPolicy(259200, 2592000, 32, 10000);
        p.quota.capBlocks = 30;
        for (uint256 class = 0; class < 8; class++) p.quota.rates[class] = 1_000_000;
        policies.check(p);
        p.quota.enabled = true;
        policies.check(p);
        eq(thresholds[EXPEL_MEMBER] + thresholds[REVOKE_NODE] + thresholds[CHANGE_POLICY], 3 * 6666, "two thirds");
        eq(thresholds[ADD_SUPERVISOR] + thresholds[REMOVE_SUPERVISOR] + thresholds[RELEASE_PARTY], 3 * 6666, "two thirds");
        eq(thresholds[REPLACE_ADMINS] + thresholds[CHANGE_COUNCIL] + thresholds[RELEASE_ACCOUNT], 3 * 6666, "two thirds");
    }

    function test_test_networks_may_be_quick() public pure {
        PolicyValues memory p = policyOf();
        p.selection.epochLength = 10;
        (p.sla.consecutiveMisses, p.sla.jailLength, p.sla.heartbeats) = (3, 10, 1);
        policies.check(p);
    }

    function test_a_bad_policy_cannot_even_be_proposed() public {
        PolicyValues memory p = policyOf();
        p.selection.n = 0;
        refused(BadPolicy.selector);
        by(admin(0));
        governance.propose(CHANGE_POLICY, abi.encode(uint64(1), p));
    }

    /// A network may begin with loose caps; a vote may keep or tighten them, and loosen them up to less than a third only.
    function test_caps_are_not_loosened_beyond_a_third() public {
        PolicyValues memory p = policyOf();
        p.selection.capGroup = 2;
        bytes memory payload = abi.encode(uint64(1), p);
        uint256 id = propose(0, CHANGE_POLICY, payload);
        vote(1, id, true);
        vote(2, id, true);
        vm.expectRevert(abi.encodeWithSelector(BadPolicy.selector, "capGroup"));
        by(admin(0));
        governance.execute(id, payload);
        p.selection.capGroup = 1;
        p.selection.capSector = 3;
        decide(CHANGE_POLICY, abi.encode(uint64(1), p));
        (p.selection.n, p.selection.capGroup, p.selection.capSector) = (7, 2, 2);
        decide(CHANGE_POLICY, abi.encode(uint64(2), p));
    }

    function test_the_electorate_must_stay_possible() public {
        PolicyValues memory p = policyOf();
        p.votes.minElectorate = 5;
        bytes memory payload = abi.encode(uint64(1), p);
        uint256 id = propose(0, CHANGE_POLICY, payload);
        vote(1, id, true);
        vote(2, id, true);
        vm.expectRevert(abi.encodeWithSelector(BadPolicy.selector, "minElectorate"));
        by(admin(0));
        governance.execute(id, payload);
        p.votes.minElectorate = 4;
        decide(CHANGE_POLICY, abi.encode(uint64(1), p));
        vm.roll(10);
        refused(ElectorateTooSmall.selector);
        by(admin(3));
        registry.withdrawMember();
    }
}
