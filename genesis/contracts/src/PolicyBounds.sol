// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Errors.sol";
import "./Types.sol";

/// What no vote may set, because the network could not be governed or kept running afterwards.
library PolicyBounds {
    uint256 private constant ALL = 10000;
    uint256 private constant THIRD = 3333;
    uint256 private constant TWO_THIRDS = 6666;
    uint256 private constant THREE_QUARTERS = 7500;
    /// A year of blocks of one second: longer is a slip of the pen.
    uint256 private constant LONGEST = 31536000;
    /// A seed is the hash of a block at most half of this before the boundary, and 256 hashes can be read.
    uint256 private constant LONGEST_FREEZE = 510;
    /// The least gas a member must be able to save up: a proposal of the largest size fits.
    uint256 private constant LEAST_BUCKET = 10_000_000;
    uint256 private constant LEAST_RATE = 100_000;
    uint256 private constant LARGEST_RATE = 1e15;

    function check(PolicyValues calldata values) internal pure {
        _checkSelection(values.selection);
        _checkSla(values.sla);
        _checkVotes(values.votes);
        _checkLimits(values.limits);
        _checkQuota(values.quota);
    }

    /// A vote may tighten a cap, or loosen it up to the largest class that cannot stop the set; never beyond.
    function checkCaps(SelectionPolicy memory before, SelectionPolicy calldata next) internal pure {
        uint256 bound = next.n < 4 ? 1 : (next.n - 1) / 3;
        if (next.capGroup > bound && next.capGroup > before.capGroup) revert BadPolicy("capGroup");
        if (next.capSector > bound && next.capSector > before.capSector) revert BadPolicy("capSector");
        if (next.capRegion > bound && next.capRegion > before.capRegion) revert BadPolicy("capRegion");
        if (next.capHost > bound && next.capHost > before.capHost) revert BadPolicy("capHost");
    }

    function _checkSelection(SelectionPolicy calldata s) private pure {
        if (s.n > MAX_VALIDATORS || s.n % 3 != 1) revert BadPolicy("n");
        _within(s.nMin, 1, s.n, "nMin");
        _within(s.epochLength, 2, LONGEST, "epochLength");
        uint256 longest = s.epochLength - 1 < LONGEST_FREEZE ? s.epochLength - 1 : LONGEST_FREEZE;
        _within(s.freezeLength, 1, longest, "freezeLength");
        _within(s.rotation, 0, (s.n - 1) / 3, "rotation");
        _within(s.capGroup, 1, s.n, "capGroup");
        _within(s.capSector, 1, s.n, "capSector");
        _within(s.capRegion, 1, s.n, "capRegion");
        _within(s.capHost, 1, s.n, "capHost");
    }

    function _checkSla(SlaPolicy calldata s) private pure {
        _within(s.window, 1, LONGEST, "window");
        _within(s.warnBps, 1, ALL, "warnBps");
        _within(s.suspendBps, s.warnBps, ALL, "suspendBps");
        _within(s.minOwnSlots, 1, 10000, "minOwnSlots");
        _within(s.consecutiveMisses, 1, 10000, "consecutiveMisses");
        _within(s.jailLength, 1, LONGEST, "jailLength");
        _within(s.strikeDecay, 1, LONGEST, "strikeDecay");
        _within(s.heartbeats, 1, 1000, "heartbeats");
        _within(s.heartbeatInterval, 1, LONGEST, "heartbeatInterval");
    }

    function _checkVotes(VotePolicy calldata v) private pure {
        _within(v.votingLength, 1, LONGEST, "votingLength");
        _within(v.executionLength, 1, LONGEST, "executionLength");
        _within(v.confirmationLength, 1, LONGEST, "confirmationLength");
        _within(v.participationBps, THIRD, ALL, "participationBps");
        _within(v.minElectorate, 1, MAX_GROUPS, "minElectorate");
        _within(v.openProposals, 1, 100, "openProposals");
        for (uint256 kind = 0; kind <= LAST_KIND; kind++) {
            uint256 least = kind == SUPERVISION_THRESHOLD ? THREE_QUARTERS : _isPolicy(kind) ? TWO_THIRDS : THIRD;
            _within(v.thresholds[kind], least, ALL, "thresholds");
            // More than everybody is never.
            if (v.thresholds[kind] == ALL && v.strictKinds >> kind & 1 != 0) revert BadPolicy("strictKinds");
        }
    }

    /// Who must see everything is as grave as all other values together.
    function _isPolicy(uint256 kind) private pure returns (bool) {
        return kind == CHANGE_POLICY || kind == ADD_SUPERVISOR || kind == REMOVE_SUPERVISOR;
    }

    function _checkLimits(LimitPolicy calldata l) private pure {
        _within(l.emergencyLength, 1, LONGEST, "emergencyLength");
        _within(l.freezeLength, 1, LONGEST, "limits.freezeLength");
        _within(l.nodesPerMember, 1, MAX_NODES_PER_MEMBER, "nodesPerMember");
        _within(l.accountsPerMember, 1, 1_000_000, "accountsPerMember");
    }

    function _checkQuota(QuotaPolicy calldata q) private pure {
        if (!q.enabled) return;
        _within(q.capBlocks, 1, LONGEST, "capBlocks");
        for (uint256 class = 0; class < 8; class++) {
            _within(q.rates[class], LEAST_RATE, LARGEST_RATE, "rates");
            if (uint256(q.rates[class]) * q.capBlocks < LEAST_BUCKET) revert BadPolicy("capBlocks");
        }
    }

    function _within(uint256 value, uint256 least, uint256 most, string memory field) private pure {
        if (value < least || value > most) revert BadPolicy(field);
    }
}
