// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Selection.sol";
import "./ValidatorsSla.sol";

/// Who validates. The system calls `endBlock` at the end of every block; what it decides is the set of the next one. It never
/// fails for what it finds: what cannot be done is left, and said in the journal.
contract Validators is ValidatorsSla {
    /// Of the system's allowance, what one selection may take; the rest is for counting and losses.
    uint256 private constant SELECTION_GAS = 40_000_000;

    /// @inheritdoc IValidators
    function seedValidators(bytes32[] calldata nodeKeys) external {
        if (msg.sender != SYSTEM || block.number != 0) revert OnlySeeding();
        if (nodeKeys.length == 0 || nodeKeys.length > MAX_VALIDATORS || set.length != 0) revert BadSet();
        (uint256 bits,) = IRegistry(REGISTRY).seatsPermitted(nodeKeys);
        if (bits != (1 << nodeKeys.length) - 1) revert BadSet();
        _install(nodeKeys, ACT_REMOVED);
        for (uint256 i = 1; i < set.length; i++) if (set[i] == set[i - 1]) revert BadSet();
        epochState.boundary = IPolicy(POLICY).selectionPolicy().epochLength;
        epochState.size = uint16(nodeKeys.length);
    }

    /// @inheritdoc IValidators
    function endBlock(address author, address[] calldata missed) external {
        if (msg.sender != SYSTEM) revert OnlySystem();
        if (set.length == 0) return;
        SlaPolicy memory sla = IPolicy(POLICY).slaPolicy();
        _countTurns(author, missed, sla);
        if (missed.length != 0) _judge(sla);
        _carryOutLosses();
        if (block.number >= epochState.boundary) IPolicy(POLICY).settle();
        // Losses that are not carried out yet come first, except that of the last seat, which only a selection can end.
        if (block.number >= epochState.boundary && (!epochState.recheck || set.length == 1)) _endEpoch();
    }

    // --- Losses ------------------------------------------------------------------------------------------------------

    /// @inheritdoc IValidators
    function noteLoss(bytes32[] calldata nodeKeys) external {
        if (msg.sender != REGISTRY) revert OnlyContract(REGISTRY);
        uint256 lost = 0;
        for (uint256 i = 0; i < nodeKeys.length; i++) {
            ValidatorState storage state = states[nodeKeys[i]];
            if (state.flags & (FLAG_SEATED | FLAG_LEAVING) != FLAG_SEATED) continue;
            state.flags |= FLAG_LEAVING;
            lost++;
        }
        if (lost == 0) return;
        Losses memory l = losses;
        if (l.notedAt != block.number) {
            l.notedBefore = l.notedAt + 1 == block.number ? l.noted : 0;
            (l.notedAt, l.noted) = (uint64(block.number), 0);
        }
        l.noted += uint16(lost);
        uint256 limit = _bearable(set.length);
        if (uint256(l.noted) + l.notedBefore > limit) revert TooManySeatsLost(uint256(l.noted) + l.notedBefore, limit);
        if (_leaving() >= set.length) revert LastValidator();
        losses = l;
    }

    function _leaving() private view returns (uint256 count) {
        for (uint256 i = 0; i < seatKeys.length; i++) if (states[seatKeys[i]].flags & FLAG_LEAVING != 0) count++;
    }

    /// Takes the seats of those that lost their permission or are suspended, as far as two blocks can bear it; the rest in
    /// the blocks that follow. The last seat is never taken.
    function _carryOutLosses() private {
        Epoch memory e = epochState;
        uint64 version = IRegistry(REGISTRY).permissionVersion();
        bool timeOver = e.recheckAt != 0 && block.number >= e.recheckAt;
        if (!e.recheck && !timeOver && version == e.permissionsSeen) return;
        bytes32[] memory keys = seatKeys;
        uint256 bits;
        (bits, e.recheckAt) = IRegistry(REGISTRY).seatsPermitted(keys);
        (e.permissionsSeen, e.recheck) = (version, false);

        uint256 room = _roomForRemovals(keys.length);
        uint256 kept = 0;
        for (uint256 i = 0; i < keys.length; i++) {
            ValidatorState storage state = states[keys[i]];
            bool lost = bits >> i & 1 == 0 || state.flags & FLAG_SUSPENDED != 0;
            bool last = kept == 0 && i + 1 == keys.length;
            if (lost && room != 0 && !last) {
                room--;
                continue;
            }
            if (lost) e.recheck = true;
            else if (state.flags & FLAG_LEAVING != 0) state.flags &= ~FLAG_LEAVING;
            keys[kept++] = keys[i];
        }
        epochState = e;
        if (kept == keys.length) return;
        losses.removed += uint16(keys.length - kept);
        assembly {
            mstore(keys, kept)
        }
        _install(keys, ACT_REMOVED);
    }

    function _roomForRemovals(uint256 size) private returns (uint256) {
        Losses storage l = losses;
        if (l.removedAt != block.number) {
            l.removedBefore = l.removedAt + 1 == block.number ? l.removed : 0;
            (l.removedAt, l.removed) = (uint64(block.number), 0);
        }
        uint256 limit = _bearable(size);
        uint256 taken = uint256(l.removed) + l.removedBefore;
        return taken < limit ? limit - taken : 0;
    }

    // --- Selection ---------------------------------------------------------------------------------------------------

    /// Outside calls end here too if a selection runs out of gas: the epoch then begins with the set as it is.
    function _endEpoch() private {
        SelectionPolicy memory policy = IPolicy(POLICY).selectionPolicy();
        SelectionPolicy memory none;
        try this.simulateSelection{gas: SELECTION_GAS}(none) returns (bytes32[] memory keys, uint8[] memory reasons) {
            _installChosen(keys, reasons);
        } catch {
            _record(ACT_KEPT_SET, 0, set.length);
        }
        if (set.length < policy.nMin) _record(ACT_KEPT_SET, 0, set.length);
        epochState.boundary = uint64((block.number / policy.epochLength + 1) * policy.epochLength);
        epochState.size = uint16(set.length);
        epochState.held = 0;
    }

    function _installChosen(bytes32[] memory keys, uint8[] memory reasons) private {
        uint256 count = 0;
        for (uint256 i = 0; i < keys.length; i++) {
            if (reasons[i] == Selection.STAYS || reasons[i] == Selection.COMES) keys[count++] = keys[i];
        }
        if (count == 0) return _record(ACT_KEPT_SET, 0, set.length);
        assembly {
            mstore(keys, count)
        }
        _install(keys, ACT_ROTATED);
        // The seats are others now, and so is the time at which one of them runs out.
        epochState.recheck = true;
    }

    /// @inheritdoc IValidators
    function simulateSelection(SelectionPolicy calldata overrides)
        external
        view
        returns (bytes32[] memory nodeKeys, uint8[] memory reasons)
    {
        SelectionPolicy memory policy = _merged(overrides);
        nodeKeys = IRegistry(REGISTRY).candidates();
        (uint256 bits,) = IRegistry(REGISTRY).seatsPermitted(nodeKeys);
        bytes32 seed = _seed(policy.freezeLength);
        Selection.Candidate[] memory list = new Selection.Candidate[](nodeKeys.length);
        for (uint256 i = 0; i < list.length; i++) {
            list[i] = _candidate(nodeKeys[i], seed, bits >> i & 1 != 0, policy.freezeLength);
        }
        Selection.choose(list, policy, block.number);
        reasons = new uint8[](list.length);
        for (uint256 i = 0; i < list.length; i++) reasons[i] = list[i].reason;
    }

    /// The hash of a block after the list of candidates was closed and before this one.
    function _seed(uint256 freezeLength) private view returns (bytes32) {
        uint256 back = freezeLength < 2 ? 1 : freezeLength / 2;
        return block.number < back ? bytes32(0) : blockhash(block.number - back);
    }

    function _candidate(bytes32 key, bytes32 seed, bool permitted, uint256 freezeLength)
        private
        view
        returns (Selection.Candidate memory c)
    {
        ValidatorState storage state = states[key];
        c.nodeKey = key;
        c.incumbent = state.flags & FLAG_SEATED != 0;
        if (!permitted) c.reason = Selection.NOT_PERMITTED;
        else if (state.flags & (FLAG_SUSPENDED | FLAG_BARRED) != 0) c.reason = Selection.SUSPENDED;
        if (c.reason != 0) return c;
        Node memory node = IRegistry(REGISTRY).getNode(key);
        uint256 since = node.candidateSince;
        if (!c.incumbent && since != 0 && since + freezeLength > block.number) c.reason = Selection.TOO_LATE;
        Member memory member = IRegistry(REGISTRY).getMember(node.memberId);
        c.group = member.controlGroup;
        c.sector = member.sector;
        c.region = node.hostRegion == 0 ? member.region : node.hostRegion;
        c.host = node.hostProvider;
        c.score = _score(state);
        c.seatSince = state.seatSince;
        c.tie = uint256(keccak256(abi.encode(seed, key)));
    }

    function _merged(SelectionPolicy calldata o) private view returns (SelectionPolicy memory p) {
        p = IPolicy(POLICY).selectionPolicy();
        if (o.n != 0) p.n = o.n;
        if (o.nMin != 0) p.nMin = o.nMin;
        if (o.freezeLength != 0) p.freezeLength = o.freezeLength;
        if (o.rotation != 0) p.rotation = o.rotation;
        if (o.term != 0) p.term = o.term;
        if (o.capGroup != 0) p.capGroup = o.capGroup;
        if (o.capSector != 0) p.capSector = o.capSector;
        if (o.capRegion != 0) p.capRegion = o.capRegion;
        if (o.capHost != 0) p.capHost = o.capHost;
    }
}
