// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Types.sol";

/// Chooses validators. Nothing but the arguments matters, so that anybody can repeat a choice and come to the same result.
library Selection {
    // What becomes of a candidate, and why.
    uint8 internal constant STAYS = 1;
    uint8 internal constant COMES = 2;
    uint8 internal constant ROTATED = 3;
    uint8 internal constant CAPPED_OUT = 4;
    uint8 internal constant NOT_PERMITTED = 5;
    uint8 internal constant SUSPENDED = 6;
    uint8 internal constant TOO_LATE = 7;
    uint8 internal constant NO_SEAT = 8;
    uint8 internal constant CAPPED = 9;
    uint8 internal constant TOO_MANY_CHANGES = 10;
    uint8 private constant WAITING = 0;

    // Dimensions of caps, in the order in which excess is removed.
    uint256 private constant GROUP = 0;
    uint256 private constant SECTOR = 1;
    uint256 private constant REGION = 2;
    uint256 private constant HOST = 3;
    uint256 private constant DIMENSIONS = 4;
    uint256 private constant NOBODY = type(uint256).max;

    struct Candidate {
        bytes32 nodeKey;
        bytes32 group;
        uint256 sector;
        uint256 region;
        uint256 host;
        uint256 score;
        uint256 seatSince;
        uint256 tie;
        bool incumbent;
        uint8 reason;
    }

    struct State {
        Candidate[] list;
        SelectionPolicy policy;
        uint256[4] caps;
        // One byte per dimension: the first candidate of the same class.
        uint256[] classes;
        // Seats per dimension and class.
        uint256[] counts;
        uint256 size;
        uint256 incumbents;
        uint256 additions;
        uint256 changes;
    }

    /// Sets the reason of every candidate whose reason is not set yet. Those with 1 or 2 then form the set.
    function choose(Candidate[] memory list, SelectionPolicy memory policy, uint256 height) internal pure {
        State memory state = _begin(list, policy);
        _rotate(state, height);
        _shrink(state);
        _removeExcess(state);
        _fill(state);
        _returnRotated(state);
        uint8 rest = state.size >= policy.n ? NO_SEAT : _mayAdd(state) ? CAPPED : TOO_MANY_CHANGES;
        for (uint256 i = 0; i < list.length; i++) if (list[i].reason == WAITING) list[i].reason = rest;
    }

    /// How many seats may change hands in one epoch, additions and removals together: less than a third, but always so many
    /// that one seat can change hands.
    function _changesLimit(State memory state) private pure returns (uint256) {
        uint256 third = (uint256(state.policy.n) - 1) / 3;
        return third < 2 ? 2 : third;
    }

    function _begin(Candidate[] memory list, SelectionPolicy memory policy) private pure returns (State memory state) {
        state.list = list;
        state.policy = policy;
        state.caps = [uint256(policy.capGroup), policy.capSector, policy.capRegion, policy.capHost];
        state.classes = new uint256[](list.length);
        state.counts = new uint256[](list.length * DIMENSIONS);
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i].reason != WAITING) continue;
            state.classes[i] = _classesOf(list, i);
            if (!list[i].incumbent) continue;
            _seat(state, i, STAYS);
            state.incumbents++;
        }
    }

    function _classesOf(Candidate[] memory list, uint256 i) private pure returns (uint256 classes) {
        Candidate memory c = list[i];
        uint256 missing = 15;
        // Every candidate is in its own classes at the latest.
        for (uint256 j = 0; missing != 0; j++) {
            Candidate memory d = list[j];
            if (missing & 1 != 0 && d.group == c.group) (classes, missing) = (classes | j, missing ^ 1);
            if (missing & 2 != 0 && d.sector == c.sector) (classes, missing) = (classes | j << 8, missing ^ 2);
            if (missing & 4 != 0 && d.region == c.region) (classes, missing) = (classes | j << 16, missing ^ 4);
            if (missing & 8 != 0 && d.host == c.host) (classes, missing) = (classes | j << 24, missing ^ 8);
        }
    }

    function _slot(State memory state, uint256 i, uint256 dimension) private pure returns (uint256) {
        unchecked {
            return dimension * state.list.length + (state.classes[i] >> (8 * dimension) & 0xff);
        }
    }

    function _seat(State memory state, uint256 i, uint8 reason) private pure {
        for (uint256 d = 0; d < DIMENSIONS; d++) state.counts[_slot(state, i, d)]++;
        state.list[i].reason = reason;
        state.size++;
    }

    function _unseat(State memory state, uint256 i, uint8 reason) private pure {
        for (uint256 d = 0; d < DIMENSIONS; d++) state.counts[_slot(state, i, d)]--;
        state.list[i].reason = reason;
        state.size--;
        state.changes++;
    }

    /// A bit for every dimension in which the candidate's class has no room.
    function _blocked(State memory state, uint256 i) private pure returns (uint256 dimensions) {
        unchecked {
            uint256 classes = state.classes[i];
            uint256[] memory counts = state.counts;
            uint256 length = state.list.length;
            for (uint256 d = 0; d < DIMENSIONS; d++) {
                if (counts[d * length + (classes & 0xff)] >= state.caps[d]) dimensions |= 1 << d;
                classes >>= 8;
            }
        }
    }

    function _fits(State memory state, uint256 i) private pure returns (bool) {
        return _blocked(state, i) == 0;
    }

    function _someoneFits(State memory state) private pure returns (bool) {
        for (uint256 i = 0; i < state.list.length; i++) {
            if (state.list[i].reason == WAITING && _fits(state, i)) return true;
        }
        return false;
    }

    /// The longest served beyond the term make room, where somebody waits who fits. Ties go by the seed.
    function _rotate(State memory state, uint256 height) private pure {
        SelectionPolicy memory policy = state.policy;
        if (policy.term == 0) return;
        for (uint256 k = 0; k < policy.rotation && state.changes + 2 <= _changesLimit(state); k++) {
            uint256 oldest = NOBODY;
            for (uint256 i = 0; i < state.list.length; i++) {
                Candidate memory c = state.list[i];
                if (c.reason != STAYS || c.seatSince + policy.term > height) continue;
                if (oldest == NOBODY || _servedLonger(c, state.list[oldest])) oldest = i;
            }
            if (oldest == NOBODY) return;
            _unseat(state, oldest, ROTATED);
            if (_someoneFits(state)) {
                // The seat that will be filled is one more change.
                state.changes++;
                continue;
            }
            state.changes--;
            _seat(state, oldest, STAYS);
            return;
        }
    }

    function _servedLonger(Candidate memory a, Candidate memory b) private pure returns (bool) {
        return a.seatSince < b.seatSince || (a.seatSince == b.seatSince && a.tie < b.tie);
    }

    /// After n was lowered: the lowest scores leave.
    function _shrink(State memory state) private pure {
        while (state.size > state.policy.n && state.changes < _changesLimit(state)) {
            _unseat(state, _lowest(state, NOBODY, 0), NO_SEAT);
        }
    }

    /// Classes above their cap lose their lowest scores: a control group in any case, others only where somebody waits who
    /// does better, so that a network that is not more diverse stays as it is.
    function _removeExcess(State memory state) private pure {
        for (uint256 d = 0; d < DIMENSIONS; d++) {
            for (uint256 i = 0; i < state.list.length; i++) {
                uint256 slot = d * state.list.length + i;
                while (state.counts[slot] > state.caps[d]) if (!_removeOne(state, d, slot)) break;
            }
        }
    }

    function _removeOne(State memory state, uint256 dimension, uint256 slot) private pure returns (bool) {
        uint256 limit = _changesLimit(state);
        if (state.changes + 1 > limit) return false;
        uint256 lowest = _lowest(state, dimension, slot);
        _unseat(state, lowest, CAPPED_OUT);
        bool replaced = state.changes + 1 <= limit && _someoneFits(state);
        if (replaced) {
            state.changes++;
            return true;
        }
        if (dimension == GROUP && state.size >= state.policy.nMin) {
            // Nobody's seat from now on: filling it is a change of its own.
            state.incumbents--;
            return true;
        }
        state.changes--;
        _seat(state, lowest, STAYS);
        return false;
    }

    /// The incumbent with the lowest score, of one class or (dimension NOBODY) of all; ties go by the seed.
    function _lowest(State memory state, uint256 dimension, uint256 slot) private pure returns (uint256 lowest) {
        lowest = NOBODY;
        for (uint256 i = 0; i < state.list.length; i++) {
            Candidate memory c = state.list[i];
            if (c.reason != STAYS || (dimension != NOBODY && _slot(state, i, dimension) != slot)) continue;
            if (lowest == NOBODY) {
                lowest = i;
                continue;
            }
            Candidate memory l = state.list[lowest];
            if (c.score < l.score || (c.score == l.score && c.tie < l.tie)) lowest = i;
        }
    }

    /// Whether one more may come: newcomers alone must not be able to stop the set, and seats change hands slowly. Seats
    /// given up above were counted together with their filling.
    function _mayAdd(State memory state) private pure returns (bool) {
        uint256 size = state.size + 1;
        uint256 newcomers = (size - 1) / 3;
        if (state.additions + 1 > (newcomers == 0 ? 1 : newcomers)) return false;
        return state.size < state.incumbents || state.changes < _changesLimit(state);
    }

    function _fill(State memory state) private pure {
        uint256 relaxed = HOST;
        while (state.size < state.policy.n && _mayAdd(state)) {
            (uint256 best, uint256 blocking) = _best(state);
            if (best != NOBODY) {
                if (state.size >= state.incumbents) state.changes++;
                state.additions++;
                _seat(state, best, COMES);
                continue;
            }
            if (blocking == 0) return;
            // Host, then region, then sector give way by one, in turn, where that stands in somebody's way; the group never.
            while (blocking >> relaxed & 1 == 0) relaxed = _after(relaxed);
            state.caps[relaxed]++;
            relaxed = _after(relaxed);
        }
    }

    function _after(uint256 dimension) private pure returns (uint256) {
        return dimension == SECTOR ? HOST : dimension - 1;
    }

    /// Who takes the next seat, NOBODY if no cap allows anyone; and the dimensions in which giving way could help.
    function _best(State memory state) private pure returns (uint256 best, uint256 blocking) {
        best = NOBODY;
        uint256 least = type(uint256).max;
        for (uint256 i = 0; i < state.list.length; i++) {
            if (state.list[i].reason != WAITING) continue;
            uint256 blocked = _blocked(state, i);
            if (blocked & (1 << GROUP) != 0) continue;
            if (blocked != 0) {
                blocking |= blocked;
                continue;
            }
            uint256 rank = _rank(state, i);
            if (best == NOBODY || rank < least) (best, least) = (i, rank);
        }
    }

    /// The fewest seats of its sector, the fewest of its region, the highest score, and then the seed.
    function _rank(State memory state, uint256 i) private pure returns (uint256) {
        Candidate memory c = state.list[i];
        return state.counts[_slot(state, i, SECTOR)] << 248 | state.counts[_slot(state, i, REGION)] << 240
            | (type(uint16).max - c.score) << 224 | c.tie >> 32;
    }

    /// Who made room that nobody took stays.
    function _returnRotated(State memory state) private pure {
        for (uint256 i = 0; i < state.list.length && state.size < state.policy.n; i++) {
            if (state.list[i].reason == ROTATED && state.size < state.incumbents && _fits(state, i)) _seat(state, i, STAYS);
        }
    }
}
