// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../src/Addresses.sol";
import "../src/Errors.sol";
import "../src/Types.sol";
import "../src/interfaces/IEvidence.sol";
import "../src/interfaces/IGovernance.sol";
import "../src/interfaces/IParties.sol";
import "../src/interfaces/IPolicy.sol";
import "../src/interfaces/IQuotas.sol";
import "../src/interfaces/IRegistry.sol";
import "../src/interfaces/IRules.sol";
import "../src/interfaces/ISupervision.sol";
import "../src/interfaces/IValidators.sol";
import "./Vm.sol";

/// A small network: the committed code at its addresses, seeded as a genesis is. Members 0 to 3 are ordinary, each a group
/// of its own with one admin, one account and one validating node; member 4 is a supervisor without a vote; one council key.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    IRegistry internal constant registry = IRegistry(REGISTRY);
    IGovernance internal constant governance = IGovernance(GOVERNANCE);
    IValidators internal constant validators = IValidators(VALIDATORS);
    IQuotas internal constant quotas = IQuotas(QUOTAS);
    ISupervision internal constant supervision = ISupervision(SUPERVISION);
    IPolicy internal constant policies = IPolicy(POLICY);
    IEvidence internal constant evidence = IEvidence(EVIDENCE);
    IParties internal constant parties = IParties(PARTIES);
    INodeRules internal constant nodeRules = INodeRules(NODE_RULES);
    IAccountRules internal constant accountRules = IAccountRules(ACCOUNT_RULES);

    uint256 internal constant SUPERVISOR = 4;
    address internal constant COUNCIL = address(0xC0);
    address internal constant STRANGER = address(0x5712A);

    function setUp() public virtual {
        _deploy();
        _seed(4);
        vm.roll(1);
    }

    function _deploy() internal {
        string[10] memory names = [
            "NodeRules", "AccountRules", "Registry", "Governance", "Validators", "Quotas", "Supervision", "Policy",
            "Evidence", "Parties"
        ];
        for (uint256 i = 0; i < names.length; i++) {
            string memory json = vm.readFile(string.concat("artifacts/", names[i], ".json"));
            vm.etch(vm.parseJsonAddress(json, ".address"), vm.parseJsonBytes(json, ".runtime"));
        }
    }

    function _seed(uint256 ordinary) internal {
        vm.roll(0);
        vm.startPrank(SYSTEM);
        policies.seedPolicy(policyOf());
        for (uint256 i = 0; i < ordinary; i++) seedMember(i, true);
        registry.seedMember(supervisorInput());
        registry.seedNode(memberId(SUPERVISOR), nodeInput(SUPERVISOR, 9));
        address[] memory keys = new address[](1);
        keys[0] = COUNCIL;
        registry.seedCouncil(keys);
        bytes32[] memory nodes = new bytes32[](ordinary);
        for (uint256 i = 0; i < ordinary; i++) nodes[i] = nodeKey(i);
        validators.seedValidators(nodes);
        vm.stopPrank();
    }

    function seedMember(uint256 i, bool candidate) internal {
        registry.seedMember(memberInput(i));
        registry.seedNode(memberId(i), nodeInput(i, candidate ? 3 : 1));
        registry.seedAccount(memberId(i), account(i), 7, 0, 0);
    }

    // --- The cast ----------------------------------------------------------------------------------------------------

    function idValue(uint256 i) internal pure returns (bytes32) {
        return bytes32(uint256(0x7A0000) + i);
    }

    function memberId(uint256 i) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(uint8(2), idValue(i)));
    }

    function admin(uint256 i) internal pure returns (address) {
        return address(uint160(0xAD0000 + i));
    }

    function account(uint256 i) internal pure returns (address) {
        return address(uint160(0xACC0000 + i));
    }

    function privateKey(uint256 i) internal pure returns (uint256) {
        return 0x1000000 + i;
    }

    function validator(uint256 i) internal pure returns (address) {
        return vm.addr(privateKey(i));
    }

    function publicKey(uint256 i) internal returns (bytes memory) {
        Vm.Wallet memory wallet = vm.createWallet(privateKey(i));
        return abi.encodePacked(wallet.publicKeyX, wallet.publicKeyY);
    }

    function nodeKey(uint256 i) internal returns (bytes32) {
        return keccak256(publicKey(i));
    }

    function memberInput(uint256 i) internal pure returns (MemberInput memory input) {
        input.idScheme = 2;
        input.idValue = idValue(i);
        input.admins = new address[](1);
        input.admins[0] = admin(i);
        input.adminThreshold = 1;
        input.record = recordOf(i);
    }

    function recordOf(uint256 i) internal pure returns (MemberRecord memory record) {
        record.kind = 1;
        record.voting = true;
        record.sector = uint16(60 + i);
        record.region = uint16(1 + i);
    }

    function supervisorInput() internal pure returns (MemberInput memory input) {
        input = memberInput(SUPERVISOR);
        input.record.kind = KIND_SUPERVISOR;
        input.record.voting = false;
    }

    function nodeInput(uint256 i, uint16 roles) internal returns (NodeInput memory input) {
        input.publicKey = publicKey(i);
        input.roles = roles;
        input.endpoints = "node.example:30303,[2001:db8::1]:30304";
    }

    /// Short lengths, so that a test reaches them.
    function policyOf() internal pure virtual returns (PolicyValues memory p) {
        p.selection = SelectionPolicy(4, 1, 10, 2, 0, 0, 1, 4, 4, 4);
        p.sla = SlaPolicy(100, 1000, 3000, 20, 3, 10, 1000, 1, 1);
        uint16[24] memory thresholds;
        for (uint256 kind = 0; kind <= LAST_KIND; kind++) thresholds[kind] = 5000;
        thresholds[SUPERVISION_THRESHOLD] = 7500;
        (thresholds[EXPEL_MEMBER], thresholds[REVOKE_NODE], thresholds[CHANGE_POLICY]) = (6666, 6666, 6666);
        (thresholds[ADD_SUPERVISOR], thresholds[REMOVE_SUPERVISOR]) = (6666, 6666);
        uint32 strict = type(uint32).max;
        strict &= ~uint32(1 << SUPERVISION_THRESHOLD | 1 << EXPEL_MEMBER | 1 << REVOKE_NODE | 1 << CHANGE_POLICY);
        p.votes = VotePolicy(100, 50, 30, 3333, 1, 5, strict, thresholds);
        p.limits = LimitPolicy(40, 60, 4, 8);
        p.quota.enabled = true;
        p.quota.capBlocks = 30;
        for (uint256 class = 0; class < 8; class++) p.quota.rates[class] = uint64(1_000_000 * (class + 1));
    }

    // --- Acts --------------------------------------------------------------------------------------------------------

    function by(address sender) internal {
        vm.prank(sender);
    }

    function refused(bytes4 selector) internal {
        vm.expectPartialRevert(selector);
    }

    function propose(uint256 i, uint16 kind, bytes memory payload) internal returns (uint256 id) {
        by(admin(i));
        return governance.propose(kind, payload);
    }

    function vote(uint256 i, uint256 id, bool support) internal {
        by(admin(i));
        governance.vote(id, support);
    }

    /// Passes and executes a proposal with the votes of members 0 to `last`.
    function decide(uint16 kind, bytes memory payload, uint256 last) internal returns (uint256 id) {
        id = propose(0, kind, payload);
        for (uint256 i = 1; i <= last; i++) vote(i, id, true);
        by(admin(0));
        governance.execute(id, payload);
    }

    function decide(uint16 kind, bytes memory payload) internal returns (uint256 id) {
        return decide(kind, payload, 2);
    }

    /// Ends this block as the system does and begins the next.
    function endBlock(address author, address[] memory missed) internal {
        by(SYSTEM);
        validators.endBlock(author, missed);
        vm.roll(block.number + 1);
    }

    function endBlock() internal {
        endBlock(validator(0), new address[](0));
    }

    function endBlocks(uint256 count) internal {
        for (uint256 i = 0; i < count; i++) endBlock();
    }

    function allowed(address sender, address target, uint256 value, bytes memory payload) internal view returns (bool) {
        return accountRules.transactionAllowed(sender, target, value, 0, 100000, payload);
    }

    function mayTransact(uint256 i) internal view returns (bool) {
        return allowed(account(i), address(0xBEEF), 0, "");
    }

    function enode(uint256 i) internal returns (string memory) {
        return hexOf(publicKey(i));
    }

    function mayConnect(uint256 i) internal returns (bool) {
        return nodeRules.connectionAllowed(enode(i), "10.0.0.1", 30303);
    }

    function seated(address who) internal view returns (bool) {
        address[] memory set = validators.getValidators();
        for (uint256 i = 0; i < set.length; i++) if (set[i] == who) return true;
        return false;
    }

    function hexOf(bytes memory data) internal pure returns (string memory) {
        bytes memory digits = "0123456789abcdef";
        bytes memory text = new bytes(2 * data.length);
        for (uint256 i = 0; i < data.length; i++) {
            text[2 * i] = digits[uint8(data[i]) >> 4];
            text[2 * i + 1] = digits[uint8(data[i]) & 15];
        }
        return string(text);
    }

    // --- Short words -------------------------------------------------------------------------------------------------

    function eq(uint256 a, uint256 b, string memory what) internal pure {
        vm.assertEq(a, b, what);
    }

    function eq(string memory a, string memory b, string memory what) internal pure {
        vm.assertEq(a, b, what);
    }

    function yes(bool value, string memory what) internal pure {
        vm.assertTrue(value, what);
    }

    function no(bool value, string memory what) internal pure {
        vm.assertFalse(value, what);
    }

    function list(address a) internal pure returns (address[] memory l) {
        l = new address[](1);
        l[0] = a;
    }

    function list(address a, address b) internal pure returns (address[] memory l) {
        l = new address[](2);
        (l[0], l[1]) = (a, b);
    }

    function list(address a, address b, address c) internal pure returns (address[] memory l) {
        l = new address[](3);
        (l[0], l[1], l[2]) = (a, b, c);
    }
}
