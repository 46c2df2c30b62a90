// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../src/Selection.sol";
import "./Base.sol";

/// The choice of validators over random registries.
contract SelectionTest is Base {
    uint256 internal seed;

    function setUp() public override {}

    function _random(uint256 below) internal returns (uint256) {
        seed = uint256(keccak256(abi.encode(seed)));
        return seed % below;
    }

    function _policy(uint256 n) internal pure returns (SelectionPolicy memory p) {
        uint16 third = n < 4 ? 1 : uint16((n - 1) / 3);
        p = SelectionPolicy(uint16(n), uint16(n < 4 ? 1 : n / 2), 10, 2, third, 50, 1, third, third, third);
    }

    /// Groups, sectors, regions and hosts from few values, so that caps matter.
    function _candidates(uint256 count, uint256 variety) internal returns (Selection.Candidate[] memory list) {
        list = new Selection.Candidate[](count);
        for (uint256 i = 0; i < count; i++) {
            uint256 r = _random(type(uint256).max);
            list[i].nodeKey = bytes32(i + 1);
            list[i].group = bytes32(1 + (r & 0xffff) % (2 * variety));
            list[i].sector = (r >> 16 & 0xffff) % variety;
            list[i].region = (r >> 32 & 0xffff) % variety;
            list[i].host = (r >> 48 & 0xffff) % variety;
            list[i].score = r >> 64 & 3;
            list[i].tie = r;
        }
    }

    function _taken(Selection.Candidate memory c) internal pure returns (bool) {
        return c.reason == Selection.STAYS || c.reason == Selection.COMES;
    }

    function _attribute(Selection.Candidate memory c, uint256 d) internal pure returns (uint256) {
        return d == 0 ? uint256(c.group) : d == 1 ? c.sector : d == 2 ? c.region : c.host;
    }

    function _seats(Selection.Candidate[] memory list, uint256 d, uint256 value) internal pure returns (uint256 count) {
        for (uint256 i = 0; i < list.length; i++) if (_taken(list[i]) && _attribute(list[i], d) == value) count++;
    }

    function _size(Selection.Candidate[] memory list) internal pure returns (uint256 count) {
        for (uint256 i = 0; i < list.length; i++) if (_taken(list[i])) count++;
    }

    // --- Caps --------------------------------------------------------------------------------------------------------

    /// From a set that keeps the caps, every epoch leads to one that keeps the group's cap, and the others as far as the
    /// candidates allow: a class above its cap means that nobody was left who would have kept it.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_caps_hold(uint256 random) public {
        seed = random;
        uint256 n = 4 + 3 * _random(3);
        SelectionPolicy memory policy = _policy(n);
        Selection.Candidate[] memory list = _candidates(3 + _random(10), 2 + _random(5));
        // A first set, one after the other, by the caps alone.
        uint256 incumbents = _random(n + 1);
        uint256 size = 0;
        for (uint256 i = 0; i < list.length && size < incumbents; i++) {
            if (!_keepsCaps(list, i, policy, true)) continue;
            (list[i].incumbent, list[i].reason, list[i].seatSince) = (true, Selection.STAYS, _random(100));
            size++;
        }
        for (uint256 i = 0; i < list.length; i++) list[i].reason = 0;
        Selection.choose(list, policy, 100);
        _checkCounts(list, policy, size);
        bool relaxed = false;
        for (uint256 i = 0; i < list.length; i++) {
            if (!_taken(list[i])) continue;
            vm.assertLe(_seats(list, 0, uint256(list[i].group)), 1, "group");
            for (uint256 d = 1; d < 4; d++) {
                if (_seats(list, d, _attribute(list[i], d)) > policy.capHost) relaxed = true;
            }
        }
        if (relaxed) {
            for (uint256 i = 0; i < list.length; i++) {
                if (list[i].incumbent || _taken(list[i])) continue;
                no(_keepsCaps(list, i, policy, true), "somebody was left who would have kept all caps");
            }
        }
    }

    function _keepsCaps(Selection.Candidate[] memory list, uint256 i, SelectionPolicy memory policy, bool all)
        internal
        pure
        returns (bool)
    {
        if (_seats(list, 0, uint256(list[i].group)) >= policy.capGroup) return false;
        if (!all) return true;
        return _seats(list, 1, list[i].sector) < policy.capSector && _seats(list, 2, list[i].region) < policy.capRegion
            && _seats(list, 3, list[i].host) < policy.capHost;
    }

    function _checkCounts(Selection.Candidate[] memory list, SelectionPolicy memory policy, uint256 before) internal pure {
        uint256 come = 0;
        uint256 leave = 0;
        for (uint256 i = 0; i < list.length; i++) {
            uint8 reason = list[i].reason;
            yes(reason >= 1 && reason <= 10, "everybody hears a reason");
            yes(!list[i].incumbent || reason != Selection.COMES, "who is there does not come");
            if (reason == Selection.COMES) come++;
            if (list[i].incumbent && !_taken(list[i])) leave++;
        }
        uint256 size = _size(list);
        eq(size, before + come - leave, "size");
        vm.assertLe(size, policy.n > before ? policy.n : before, "not more than n");
        uint256 third = (uint256(policy.n) - 1) / 3;
        vm.assertLe(come + leave, third < 2 ? 2 : third, "changes");
        vm.assertLe(come, size < 7 ? 1 : (size - 1) / 3, "newcomers alone cannot stop the set");
        yes(size >= before || size >= policy.nMin, "never below the least");
    }

    /// Any set at all, as votes and records may have left it: the group's cap is never broken by who comes, and no excess grows.
    /// forge-config: default.fuzz.runs = 10000
    function testFuzz_any_set_gets_no_worse(uint256 random) public {
        seed = random;
        uint256 n = 4 + 3 * _random(3);
        SelectionPolicy memory policy = _policy(n);
        Selection.Candidate[] memory list = _candidates(3 + _random(10), 2 + _random(4));
        uint256 size = 0;
        for (uint256 i = 0; i < list.length && size < n; i++) {
            if (_random(2) == 0) continue;
            (list[i].incumbent, list[i].seatSince) = (true, _random(100));
            size++;
        }
        Selection.choose(list, policy, 100);
        _checkCounts(list, policy, size);
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i].reason != Selection.COMES) continue;
            vm.assertLe(_seats(list, 0, uint256(list[i].group)), policy.capGroup, "who comes keeps the group's cap");
        }
    }

    // --- Order -------------------------------------------------------------------------------------------------------

    /// Nothing hangs on the order in which candidates stand in the list.
    function testFuzz_the_order_of_the_list_does_not_matter(uint256 random) public {
        seed = random;
        SelectionPolicy memory policy = _policy(7);
        Selection.Candidate[] memory list = _candidates(10, 4);
        for (uint256 i = 0; i < 4; i++) list[i].group = bytes32(i + 1000);
        for (uint256 i = 0; i < 4; i++) list[i].incumbent = true;
        Selection.Candidate[] memory turned = new Selection.Candidate[](10);
        for (uint256 i = 0; i < 10; i++) turned[i] = _copy(list[9 - i]);
        policy.capSector = policy.capRegion = policy.capHost = 4;
        Selection.choose(list, policy, 100);
        Selection.choose(turned, policy, 100);
        for (uint256 i = 0; i < 10; i++) eq(list[i].reason, turned[9 - i].reason, "reason");
    }

    function _copy(Selection.Candidate memory c) internal pure returns (Selection.Candidate memory) {
        return Selection.Candidate(
            c.nodeKey, c.group, c.sector, c.region, c.host, c.score, c.seatSince, c.tie, c.incumbent, c.reason
        );
    }

    function _plain(uint256 count) internal pure returns (Selection.Candidate[] memory list) {
        list = new Selection.Candidate[](count);
        for (uint256 i = 0; i < count; i++) {
            list[i] = Selection.Candidate(bytes32(i), bytes32(i), i, i, i, 5000, 0, i << 64, false, 0);
        }
    }

    function _incumbents(Selection.Candidate[] memory list, uint256 count) internal pure {
        for (uint256 i = 0; i < count; i++) list[i].incumbent = true;
    }

    function test_a_new_sector_comes_before_a_better_score() public pure {
        Selection.Candidate[] memory list = _plain(6);
        _incumbents(list, 3);
        (list[4].sector, list[4].score) = (0, 9000);
        list[5].score = 1;
        list[3].score = 2;
        SelectionPolicy memory policy = _policy(4);
        policy.capSector = policy.capRegion = policy.capHost = 4;
        policy.term = 0;
        Selection.choose(list, policy, 100);
        eq(list[3].reason, Selection.COMES, "a sector of its own, the better score");
        eq(list[4].reason, Selection.NO_SEAT, "a sector that is there");
        eq(list[5].reason, Selection.NO_SEAT, "the lower score");
    }

    function test_the_group_never_gives_way() public pure {
        Selection.Candidate[] memory list = _plain(5);
        _incumbents(list, 3);
        for (uint256 i = 3; i < 5; i++) list[i].group = list[0].group;
        SelectionPolicy memory policy = _policy(4);
        policy.term = 0;
        Selection.choose(list, policy, 100);
        eq(_size(list), 3, "a seat stays empty");
        eq(list[3].reason, Selection.CAPPED, "why");
    }

    function test_other_caps_give_way_to_fill_the_set() public pure {
        Selection.Candidate[] memory list = _plain(4);
        for (uint256 i = 0; i < 4; i++) (list[i].sector, list[i].region, list[i].host) = (0, 0, 0);
        _incumbents(list, 3);
        SelectionPolicy memory policy = _policy(4);
        policy.term = 0;
        Selection.choose(list, policy, 100);
        eq(_size(list), 4, "all of one sector rather than an empty seat");
    }

    function test_caps_give_way_in_turn() public pure {
        Selection.Candidate[] memory list = _plain(5);
        _incumbents(list, 3);
        list[1].host = list[0].host;
        // One newcomer needs a host's cap of 2 and a region's of 2, the other a host's of 3.
        (list[3].host, list[3].region) = (list[2].host, list[0].region);
        list[4].host = list[0].host;
        SelectionPolicy memory policy = _policy(4);
        (policy.term, policy.capSector) = (0, 4);
        Selection.choose(list, policy, 100);
        eq(list[3].reason, Selection.COMES, "host, then region");
        eq(list[4].reason, Selection.NO_SEAT, "not twice the host");
    }

    function test_a_sector_that_dominates_gives_a_seat_up_when_another_comes() public pure {
        Selection.Candidate[] memory list = _plain(5);
        for (uint256 i = 0; i < 4; i++) list[i].sector = 0;
        list[2].score = 1;
        _incumbents(list, 4);
        SelectionPolicy memory policy = _policy(4);
        policy.term = 0;
        Selection.choose(list, policy, 100);
        eq(list[2].reason, Selection.CAPPED_OUT, "the lowest score of the sector");
        eq(list[4].reason, Selection.COMES, "the newcomer");
        eq(_size(list), 4, "size");
    }

    function test_rotation_after_the_term() public pure {
        Selection.Candidate[] memory list = _plain(5);
        _incumbents(list, 4);
        for (uint256 i = 0; i < 4; i++) list[i].seatSince = 60 - i;
        SelectionPolicy memory policy = _policy(4);
        Selection.choose(list, policy, 100);
        eq(_size(list), 4, "nobody is beyond the term");
        eq(list[4].reason, Selection.NO_SEAT, "waits");
        for (uint256 i = 0; i < 5; i++) list[i].reason = 0;
        Selection.choose(list, policy, 108);
        eq(list[3].reason, Selection.ROTATED, "the longest served");
        eq(list[4].reason, Selection.COMES, "its successor");
    }

    function test_no_rotation_without_a_successor() public pure {
        Selection.Candidate[] memory list = _plain(4);
        _incumbents(list, 4);
        Selection.choose(list, _policy(4), 1000);
        eq(_size(list), 4, "all stay");
    }

    function test_two_members_that_merge_lose_a_seat() public pure {
        Selection.Candidate[] memory list = _plain(7);
        _incumbents(list, 7);
        list[6].group = list[5].group;
        list[5].score = 10;
        SelectionPolicy memory policy = _policy(7);
        policy.term = 0;
        Selection.choose(list, policy, 100);
        eq(list[5].reason, Selection.CAPPED_OUT, "the lower score");
        eq(_size(list), 6, "no successor");
        for (uint256 i = 0; i < 7; i++) list[i].reason = 0;
        (list[5].score, list[5].tie) = (5000, 1000 << 64);
        Selection.choose(list, policy, 100);
        eq(list[6].reason, Selection.CAPPED_OUT, "of equal scores the one that the seed names");
    }

    function test_a_lowered_n_shrinks_the_set_slowly() public pure {
        Selection.Candidate[] memory list = _plain(10);
        _incumbents(list, 10);
        SelectionPolicy memory policy = _policy(4);
        (policy.term, policy.capSector, policy.capRegion, policy.capHost) = (0, 4, 4, 4);
        list[4].score = 1;
        list[7].score = 2;
        Selection.choose(list, policy, 100);
        eq(_size(list), 8, "two a time");
        eq(list[4].reason, Selection.NO_SEAT, "the lowest score");
        eq(list[7].reason, Selection.NO_SEAT, "the next");
    }
}
