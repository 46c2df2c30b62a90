// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Acts at random as members, strangers and the system do, and remembers what must not have happened.
contract Handler is Base {
    uint256 internal constant MOST_MEMBERS = 9;

    uint256 public members = 5;
    uint256 public policyVotes;
    uint256 public breaches;
    string public breach;
    address[] public replaced;
    mapping(uint256 => address) public adminKey;
    uint256 internal nextKey = 0xE000000;
    uint256 internal removedLast;
    uint256 internal removedAt;

    function setUp() public override {}

    constructor() {
        for (uint256 i = 0; i < 5; i++) adminKey[i] = admin(i);
    }

    function replacedCount() external view returns (uint256) {
        return replaced.length;
    }

    function _fail(string memory what) internal {
        breaches++;
        breach = what;
    }

    /// An ordinary member.
    function _pick(uint256 random) internal view returns (uint256 i) {
        i = random % members;
        if (i == SUPERVISOR) i = 0;
    }

    // --- Governance --------------------------------------------------------------------------------------------------

    function _payload(uint16 kind, uint256 subject, uint256 random) internal returns (bytes memory) {
        if (kind == ADMIT_MEMBER) return abi.encode(memberInput(subject));
        if (kind == REVOKE_NODE || kind == SUSPEND_NODE || kind == LIFT_NODE) return abi.encode(nodeKey(subject), bytes32("r"));
        if (kind == CANDIDACY) return abi.encode(nodeKey(subject), random % 3 != 0, bytes32(0));
        if (kind == CHANGE_POLICY) {
            PolicyValues memory p = policyOf();
            p.sla.consecutiveMisses = uint16(1 + random % 5);
            return abi.encode(policies.revision(), p);
        }
        if (kind == CHANGE_RECORD) {
            MemberRecord memory record = recordOf(subject);
            record.controlGroup = random % 2 == 0 ? bytes32(0) : memberId(random % 3);
            record.voting = random % 5 != 0;
            return abi.encode(memberId(subject), record);
        }
        if (kind == CHANGE_COUNCIL) return abi.encode(random % 2 == 0 ? list(COUNCIL) : new address[](0));
        if (kind == RATIFY) return abi.encode(random % 2 == 0 ? memberId(subject) : nodeKey(subject));
        if (kind == READMIT_VALIDATOR) return abi.encode(nodeKey(subject));
        if (kind == STATEMENT) return abi.encode(bytes32("x"), uint64(0), "");
        return abi.encode(memberId(subject), bytes32("s"));
    }

    /// A whole proposal: votes of some, and an attempt at execution.
    function decideSomething(uint256 random, uint256 votes) external {
        uint16 kind = uint16(1 + random % 15);
        if (kind == REPLACE_ADMINS) kind = LIFT_MEMBER;
        uint256 subject = kind == ADMIT_MEMBER ? members : _pick(random >> 8);
        if (kind == ADMIT_MEMBER && members == MOST_MEMBERS) kind = LIFT_MEMBER;
        bytes memory payload = _payload(kind, subject, random >> 16);
        by(adminKey[_pick(random >> 32)]);
        uint256 id = governance.propose(kind, payload);
        for (uint256 i = 0; i < members; i++) {
            by(adminKey[i]);
            // The first few mostly agree, so that much is decided.
            try governance.vote(id, votes >> (2 * i) & 3 != 0) {} catch {}
        }
        by(adminKey[_pick(random >> 40)]);
        try governance.execute(id, payload) {
            if (kind == CHANGE_POLICY) policyVotes++;
            if (kind == ADMIT_MEMBER && subject == members) {
                adminKey[members] = admin(members);
                members++;
            }
        } catch {}
    }

    function _decideTogether(uint16 kind, bytes memory payload) internal {
        by(adminKey[_pick(block.number)]);
        uint256 id = governance.propose(kind, payload);
        for (uint256 i = 0; i < members; i++) {
            by(adminKey[i]);
            try governance.vote(id, true) {} catch {}
        }
        by(adminKey[_pick(block.number)]);
        governance.execute(id, payload);
    }

    /// A new member, in one of few groups, with a node that may validate.
    function grow(uint256 random) external {
        uint256 i = members;
        if (i == MOST_MEMBERS) return;
        MemberInput memory input = memberInput(i);
        if (random % 3 == 0) input.record.controlGroup = memberId(random % 2);
        _decideTogether(ADMIT_MEMBER, abi.encode(input));
        adminKey[i] = admin(i);
        members++;
        NodeInput memory node = nodeInput(i, 1);
        if (random % 4 == 0) node.expires = uint64(block.number + 60);
        by(adminKey[i]);
        registry.addNode(node);
        _decideTogether(CANDIDACY, abi.encode(nodeKey(i), true, bytes32(0)));
    }

    /// What was suspended comes back, or the network would soon lie still.
    function lift(uint256 who, bool node) external {
        uint256 i = _pick(who);
        if (node) _decideTogether(LIFT_NODE, abi.encode(nodeKey(i), bytes32("r")));
        else _decideTogether(LIFT_MEMBER, abi.encode(memberId(i), bytes32("r")));
    }

    function voteSomewhere(uint256 who, uint256 id, bool support) external {
        uint256 some = 1 + id % governance.proposalCount();
        by(adminKey[_pick(who)]);
        governance.vote(some, support);
    }

    function withdrawSomewhere(uint256 who, uint256 id) external {
        uint256 some = 1 + id % governance.proposalCount();
        by(adminKey[_pick(who)]);
        governance.withdrawVote(some);
    }

    function cancelSomewhere(uint256 who, uint256 id) external {
        uint256 some = 1 + id % governance.proposalCount();
        by(adminKey[_pick(who)]);
        governance.cancel(some);
    }

    // --- Members -----------------------------------------------------------------------------------------------------

    function rotate(uint256 who) external {
        uint256 i = _pick(who);
        address next = address(uint160(nextKey++));
        by(adminKey[i]);
        registry.rotateAdmins(list(next), 1);
        replaced.push(adminKey[i]);
        adminKey[i] = next;
    }

    function actAsReplaced(uint256 which) external {
        if (replaced.length == 0) return;
        address old = replaced[which % replaced.length];
        vm.startPrank(old);
        try registry.setAccount(old, 7, 0, 0) {
            _fail("a replaced admin added an account");
        } catch {}
        try registry.rotateAdmins(list(old), 1) {
            _fail("a replaced admin came back");
        } catch {}
        try governance.propose(STATEMENT, abi.encode(bytes32("x"), uint64(0), "")) {
            _fail("a replaced admin proposed");
        } catch {}
        vm.stopPrank();
    }

    function ownNode(uint256 who, uint8 status) external {
        uint256 i = _pick(who);
        bytes32 key = nodeKey(i);
        by(adminKey[i]);
        registry.setOwnNodeStatus(key, 2 + status % 2);
    }

    function ownAccount(uint256 who, uint16 access) external {
        uint256 i = _pick(who);
        by(adminKey[i]);
        registry.setAccount(account(i), access % 8, 0, 0);
    }

    function leave(uint256 who, uint256 chance) external {
        if (chance % 8 != 0) return;
        by(adminKey[_pick(who)]);
        registry.withdrawMember();
    }

    // --- Supervision -------------------------------------------------------------------------------------------------

    function emergency(uint256 subject, bool node) external {
        bytes32 key = node ? nodeKey(_pick(subject)) : memberId(_pick(subject));
        for (uint256 i = 0; i < members; i++) {
            by(adminKey[i]);
            try supervision.emergencySuspend(key, bytes32(block.number / 20)) {} catch {}
        }
    }

    function freeze(uint256 subject) external {
        address target = account(_pick(subject));
        by(COUNCIL);
        try supervision.freeze(target, bytes32("order"), 0) {} catch {}
        by(adminKey[SUPERVISOR]);
        supervision.freeze(target, bytes32("order"), 0);
    }

    function unfreeze(uint256 subject) external {
        by(adminKey[SUPERVISOR]);
        supervision.unfreeze(account(_pick(subject)), bytes32("order"));
    }

    // --- The system --------------------------------------------------------------------------------------------------

    function pass(uint256 random, uint8 blocks) external {
        for (uint256 i = 0; i <= blocks % 12; i++) _endOne(random >> (8 * i));
    }

    function _endOne(uint256 random) internal {
        address[] memory before = validators.getValidators();
        address author = before[random % before.length];
        address[] memory missed = new address[](random & 64 != 0 && before.length > 1 ? 1 : 0);
        if (missed.length == 1) missed[0] = before[0] == author ? before[1] : before[0];
        uint64 boundary = validators.nextBoundary();
        by(SYSTEM);
        try validators.endBlock(author, missed) {}
        catch {
            _fail("the end of a block failed");
        }
        uint256 lost = 0;
        for (uint256 i = 0; i < before.length; i++) if (!seated(before[i])) lost++;
        uint256 bearable = before.length < 4 ? 1 : (before.length - 1) / 3;
        uint256 recent = removedAt + 1 == block.number ? removedLast : 0;
        if (block.number < boundary && lost + recent > bearable) _fail("too many seats lost in two blocks");
        (removedLast, removedAt) = (block.number < boundary ? lost : 0, block.number);
        vm.roll(block.number + 1);
    }

    function comeBack(uint256 who) external {
        uint256 i = _pick(who);
        vm.setBlockhash(block.number - 1, bytes32("hash"));
        by(validator(i));
        try validators.heartbeat(uint64(block.number - 1), bytes32("hash")) {} catch {}
        bytes32 key = nodeKey(i);
        by(validator(i));
        validators.requestReincorporation(key);
    }

    function charge(uint256 who, uint64 gas) external {
        bytes32[] memory ids = new bytes32[](1);
        uint64[] memory amounts = new uint64[](1);
        (ids[0], amounts[0]) = (memberId(_pick(who)), gas);
        by(SYSTEM);
        quotas.charge(ids, amounts);
    }

    /// Everybody but the system, at everything that only the system or another contract may do.
    function intrude(uint256 random) external {
        address[4] memory who = [adminKey[_pick(random)], account(_pick(random)), COUNCIL, address(uint160(random))];
        address sender = who[random % 4];
        if (sender == SYSTEM || (sender >= GOVERNED_FIRST && sender <= GOVERNED_LAST)) return;
        vm.startPrank(sender);
        _mustFail(VALIDATORS, abi.encodeCall(validators.endBlock, (sender, new address[](0))));
        _mustFail(VALIDATORS, abi.encodeCall(validators.strike, (nodeKey(0), 1)));
        _mustFail(VALIDATORS, abi.encodeCall(validators.readmit, (nodeKey(0))));
        _mustFail(VALIDATORS, abi.encodeCall(validators.noteLoss, (new bytes32[](0))));
        _mustFail(QUOTAS, abi.encodeCall(quotas.charge, (new bytes32[](0), new uint64[](0))));
        _mustFail(POLICY, abi.encodeCall(policies.replace, (policies.revision(), policyOf())));
        _mustFail(REGISTRY, abi.encodeCall(registry.setMemberStatus, (memberId(0), 3)));
        _mustFail(REGISTRY, abi.encodeCall(registry.setCouncil, (list(sender))));
        _mustFail(REGISTRY, abi.encodeCall(registry.seedMember, (memberInput(99))));
        _mustFail(REGISTRY, abi.encodeCall(registry.setFreeze, (sender, 0, 0, 0)));
        vm.stopPrank();
    }

    function _mustFail(address target, bytes memory call) internal {
        (bool ok,) = target.call(call);
        if (ok) _fail("an intruder got through");
    }
}
