// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Who must take part in private transactions, and which nodes hold which keys.
contract PartiesTest is Base {
    bytes32 internal constant KEY = bytes32(uint256(0xA1));
    bytes32 internal constant OTHER = bytes32(uint256(0xA2));

    function _add(uint8 scope, bytes32 subject, bytes32 key) internal {
        decide(ADD_SUPERVISOR, abi.encode(scope, subject, key));
    }

    function _remove(uint8 scope, bytes32 subject, bytes32 key) internal {
        decide(REMOVE_SUPERVISOR, abi.encode(scope, subject, key));
    }

    function _sector(uint256 i) internal pure returns (bytes32) {
        return bytes32(uint256(60 + i));
    }

    /// What a decision reverts with when it is carried out.
    function _fails(uint16 kind, bytes memory payload, bytes4 selector) internal {
        uint256 id = propose(0, kind, payload);
        vote(1, id, true);
        vote(2, id, true);
        refused(selector);
        by(admin(0));
        governance.execute(id, payload);
        by(admin(0));
        governance.cancel(id);
    }

    function _order(uint8 scope, bytes32 subject, bytes32 key) internal {
        by(GOVERNANCE);
        parties.addSupervisor(scope, subject, key);
    }

    function _bind(uint256 i, bytes32 party) internal {
        bytes32 node = nodeKey(i);
        by(admin(i));
        parties.bindParty(node, party);
    }

    function _unbind(uint256 i, bytes32 party) internal {
        bytes32 node = nodeKey(i);
        by(admin(i));
        parties.unbindParty(node, party);
    }

    function _addNode(uint256 member, uint256 i) internal {
        NodeInput memory node = nodeInput(i, 1);
        by(admin(member));
        registry.addNode(node);
    }

    // --- Who must take part ------------------------------------------------------------------------------------------

    function test_a_rule_holds_for_whom_it_names() public {
        eq(parties.requiredParties(account(0)).length, 0, "nobody at first");
        _add(SCOPE_MEMBER, memberId(1), KEY);
        eq(parties.requiredParties(account(0)).length, 0, "another member");
        vm.assertEq(parties.requiredParties(account(1))[0], KEY, "by account");
        vm.assertEq(parties.requiredParties(admin(1))[0], KEY, "by admin");
        vm.assertEq(parties.requiredParties(validator(1))[0], KEY, "by validator");
        vm.assertEq(parties.requiredPartiesOfNode(nodeKey(1))[0], KEY, "by node");
        eq(parties.requiredPartiesOfNode(nodeKey(0)).length, 0, "another node");
        eq(parties.requiredParties(STRANGER).length, 0, "of no member");
        _add(SCOPE_SECTOR, _sector(0), KEY);
        vm.assertEq(parties.requiredParties(account(0))[0], KEY, "by sector");
        eq(parties.requiredParties(account(2)).length, 0, "another sector");
        _add(SCOPE_EVERYBODY, 0, KEY);
        eq(parties.requiredParties(account(1)).length, 1, "each once");
        vm.assertEq(parties.requiredParties(STRANGER)[0], KEY, "everybody is everybody");
        vm.assertEq(parties.requiredPartiesOfNode(bytes32(uint256(7)))[0], KEY, "also a node of no member");
        eq(parties.supervisors().length, 3, "rules");
    }

    function test_a_rule_ends() public {
        _add(SCOPE_EVERYBODY, 0, KEY);
        _add(SCOPE_SECTOR, _sector(0), OTHER);
        _add(SCOPE_MEMBER, memberId(0), KEY);
        eq(parties.requiredParties(account(0)).length, 2, "two keys");
        _remove(SCOPE_EVERYBODY, 0, KEY);
        yes(parties.isSupervisor(KEY), "of one member still");
        eq(parties.requiredParties(account(1)).length, 0, "others are free");
        eq(parties.requiredParties(account(0)).length, 2, "the rest stands");
        _remove(SCOPE_MEMBER, memberId(0), KEY);
        no(parties.isSupervisor(KEY), "of nobody");
        vm.assertEq(parties.requiredParties(account(0))[0], OTHER, "the last one");
        SupervisorRule[] memory rules = parties.supervisors();
        eq(rules.length, 1, "rules");
        vm.assertEq(rules[0].key, OTHER, "key");
        vm.assertEq(rules[0].subject, _sector(0), "subject");
        eq(rules[0].scope, SCOPE_SECTOR, "scope");
    }

    function test_a_rule_follows_the_member_into_another_sector() public {
        _add(SCOPE_SECTOR, bytes32(uint256(7)), KEY);
        eq(parties.requiredParties(account(0)).length, 0, "not of it");
        MemberRecord memory record = recordOf(0);
        record.sector = 7;
        decide(CHANGE_RECORD, abi.encode(memberId(0), record));
        eq(parties.requiredParties(account(0)).length, 1, "of it now");
    }

    function test_rules_that_make_no_sense() public {
        _fails(ADD_SUPERVISOR, abi.encode(uint8(0), bytes32(0), KEY), BadScope.selector);
        _fails(ADD_SUPERVISOR, abi.encode(uint8(4), bytes32(0), KEY), BadScope.selector);
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_EVERYBODY, bytes32(uint256(1)), KEY), BadScope.selector);
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_SECTOR, bytes32(uint256(65536)), KEY), BadScope.selector);
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_MEMBER, bytes32(uint256(1)), KEY), MemberUnknown.selector);
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_EVERYBODY, bytes32(0), bytes32(0)), BadParty.selector);
        _fails(REMOVE_SUPERVISOR, abi.encode(SCOPE_EVERYBODY, bytes32(0), KEY), SupervisorUnknown.selector);
        _add(SCOPE_EVERYBODY, 0, KEY);
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_EVERYBODY, bytes32(0), KEY), SupervisorExists.selector);
        _fails(REMOVE_SUPERVISOR, abi.encode(SCOPE_SECTOR, bytes32(0), KEY), SupervisorUnknown.selector);
        vm.expectRevert();
        propose(1, ADD_SUPERVISOR, abi.encode(SCOPE_EVERYBODY, bytes32(0)));
        vm.expectRevert();
        propose(1, ADD_SUPERVISOR, abi.encode(uint256(256), bytes32(0), KEY));
    }

    function test_no_sender_has_more_supervisors_than_it_can_bear() public {
        for (uint256 i = 1; i <= MAX_SUPERVISORS_OF_ALL; i++) _order(SCOPE_EVERYBODY, 0, bytes32(i));
        for (uint256 i = 1; i <= MAX_SUPERVISORS_OF_SOME; i++) {
            _order(SCOPE_SECTOR, _sector(0), bytes32(100 + i));
            _order(SCOPE_MEMBER, memberId(0), bytes32(200 + i));
        }
        eq(parties.requiredParties(account(0)).length, 16, "the most");
        eq(parties.requiredParties(account(1)).length, 8, "of another sector");
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_EVERYBODY, bytes32(0), KEY), TooManySupervisors.selector);
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_SECTOR, _sector(0), KEY), TooManySupervisors.selector);
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_MEMBER, memberId(0), KEY), TooManySupervisors.selector);
        for (uint256 i = 16; i < MAX_SUPERVISOR_RULES; i++) _order(SCOPE_SECTOR, bytes32(1000 + i), KEY);
        eq(parties.supervisors().length, MAX_SUPERVISOR_RULES, "rules");
        _fails(ADD_SUPERVISOR, abi.encode(SCOPE_MEMBER, memberId(1), KEY), TooManySupervisors.selector);
        _remove(SCOPE_SECTOR, bytes32(uint256(1016)), KEY);
        _add(SCOPE_MEMBER, memberId(1), KEY);
    }

    function test_an_answer_is_cheap_enough_for_a_question() public {
        for (uint256 i = 1; i <= MAX_SUPERVISORS_OF_ALL; i++) _order(SCOPE_EVERYBODY, 0, bytes32(i));
        for (uint256 i = 1; i <= MAX_SUPERVISORS_OF_SOME; i++) {
            _order(SCOPE_SECTOR, _sector(0), bytes32(100 + i));
            _order(SCOPE_MEMBER, memberId(0), bytes32(200 + i));
        }
        uint256 gas = gasleft();
        parties.requiredParties(account(0));
        vm.assertLe(gas - gasleft(), 500_000, "required");
        for (uint256 i = 30; i < 33; i++) {
            NodeInput memory node = nodeInput(i, 1);
            node.endpoints = bytes(_long());
            bytes32 key = nodeKey(i);
            by(admin(0));
            registry.addNode(node);
            by(admin(0));
            parties.bindParty(key, KEY);
        }
        gas = gasleft();
        parties.holdersOf(KEY);
        // Sixteen nodes need no more than 16 thirds of what three do.
        vm.assertLe(gas - gasleft(), 2_000_000 * 3 / 16, "holders");
    }

    function _long() internal pure returns (string memory text) {
        for (uint256 i = 0; i < 8; i++) text = string.concat(text, "a.very.long.name.example.com:300");
    }

    function test_only_votes_change_the_rules() public {
        refused(OnlyContract.selector);
        by(admin(0));
        parties.addSupervisor(SCOPE_EVERYBODY, 0, KEY);
        refused(OnlyContract.selector);
        by(admin(SUPERVISOR));
        parties.removeSupervisor(SCOPE_EVERYBODY, 0, KEY);
        refused(OnlyContract.selector);
        by(SYSTEM);
        parties.releaseParty(KEY);
        bytes memory payload = abi.encode(SCOPE_EVERYBODY, bytes32(0), KEY);
        uint256 id = propose(0, ADD_SUPERVISOR, payload);
        vm.assertEq(governance.getProposal(id).subject, KEY, "subject");
        vote(1, id, true);
        refused(ProposalNotPassed.selector);
        by(admin(0));
        governance.execute(id, payload);
    }

    // --- Where parties are -------------------------------------------------------------------------------------------

    function test_a_key_is_bound_to_own_nodes() public {
        (bool bound, bytes[] memory at) = parties.holdersOf(KEY);
        no(bound, "not at first");
        eq(at.length, 0, "nowhere");
        _bind(0, KEY);
        _addNode(0, 30);
        bytes32 second = nodeKey(30);
        by(admin(0));
        parties.bindParty(second, KEY);
        (bound, at) = parties.holdersOf(KEY);
        yes(bound, "bound");
        eq(at.length, 2, "at both");
        vm.assertEq(keccak256(at[0]), nodeKey(0), "the first");
        vm.assertEq(keccak256(at[1]), second, "the second");
        vm.assertEq(parties.memberOfParty(KEY), memberId(0), "of whom");
        vm.assertEq(parties.nodesOf(KEY)[1], second, "nodes");
        vm.assertEq(parties.partiesOf(second)[0], KEY, "keys");
        _unbind(0, KEY);
        (bound, at) = parties.holdersOf(KEY);
        eq(at.length, 1, "at one");
        by(admin(0));
        parties.unbindParty(second, KEY);
        (bound,) = parties.holdersOf(KEY);
        no(bound, "free");
        _bind(1, KEY);
        vm.assertEq(parties.memberOfParty(KEY), memberId(1), "for another");
    }

    function test_who_may_bind() public {
        bytes32 node = nodeKey(1);
        refused(NotOwner.selector);
        by(admin(0));
        parties.bindParty(node, KEY);
        refused(NotAdmin.selector);
        by(account(1));
        parties.bindParty(node, KEY);
        refused(NodeUnknown.selector);
        by(admin(0));
        parties.bindParty(bytes32(uint256(5)), KEY);
        refused(BadParty.selector);
        by(admin(1));
        parties.bindParty(node, 0);
        _bind(1, KEY);
        refused(AlreadyBound.selector);
        by(admin(1));
        parties.bindParty(node, KEY);
        refused(NotOwner.selector);
        by(admin(0));
        parties.unbindParty(node, KEY);
        node = nodeKey(0);
        refused(PartyTaken.selector);
        by(admin(0));
        parties.bindParty(node, KEY);
        refused(PartyUnknown.selector);
        by(admin(0));
        parties.unbindParty(node, KEY);
        decide(SUSPEND_MEMBER, abi.encode(memberId(3), bytes32("r")));
        node = nodeKey(3);
        refused(MemberNotActive.selector);
        by(admin(3));
        parties.bindParty(node, OTHER);
    }

    function test_as_many_admins_as_the_member_wants() public {
        by(admin(0));
        registry.rotateAdmins(list(admin(0), address(0xAD)), 2);
        _bind(0, KEY);
        vm.assertEq(parties.memberOfParty(KEY), 0, "not yet");
        bytes32 node = nodeKey(0);
        by(address(0xAD));
        parties.bindParty(node, KEY);
        vm.assertEq(parties.memberOfParty(KEY), memberId(0), "both");
    }

    function test_a_revoked_node_holds_nothing_and_the_key_stays_bound() public {
        _addNode(0, 30);
        bytes32 node = nodeKey(30);
        by(admin(0));
        parties.bindParty(node, KEY);
        by(admin(0));
        registry.setOwnNodeStatus(node, NODE_REVOKED);
        (bool bound, bytes[] memory at) = parties.holdersOf(KEY);
        yes(bound, "nobody else's word is taken");
        eq(at.length, 0, "nowhere");
        refused(WrongStatus.selector);
        by(admin(0));
        parties.bindParty(node, OTHER);
        by(admin(0));
        parties.unbindParty(node, KEY);
        (bound,) = parties.holdersOf(KEY);
        no(bound, "free");
    }

    function test_a_vote_releases_a_key() public {
        _bind(0, KEY);
        _bind(0, OTHER);
        decide(RELEASE_PARTY, abi.encode(KEY));
        vm.assertEq(parties.memberOfParty(KEY), 0, "free");
        eq(parties.nodesOf(KEY).length, 0, "nodes");
        bytes32[] memory left = parties.partiesOf(nodeKey(0));
        eq(left.length, 1, "the other stays");
        vm.assertEq(left[0], OTHER, "the other stays");
        _fails(RELEASE_PARTY, abi.encode(KEY), PartyUnknown.selector);
        _bind(1, KEY);
    }

    function test_a_node_holds_so_many_keys() public {
        for (uint256 i = 1; i <= MAX_PARTIES_PER_NODE; i++) _bind(0, bytes32(i));
        bytes32 node = nodeKey(0);
        refused(TooManyParties.selector);
        by(admin(0));
        parties.bindParty(node, KEY);
        _unbind(0, bytes32(uint256(1)));
        _bind(0, KEY);
    }
}
