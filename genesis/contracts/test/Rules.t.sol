// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../src/Text.sol";
import "./Base.sol";

contract RulesTest is Base {
    address internal constant TARGET = address(0xBEEF);

    // --- Who may connect ---------------------------------------------------------------------------------------------

    function test_a_registered_node_may_connect_wherever_it_is() public {
        yes(nodeRules.connectionAllowed(enode(0), "10.0.0.1", 30303), "registered");
        yes(nodeRules.connectionAllowed(enode(0), "", 0), "host and port do not matter");
        yes(nodeRules.enodePermitted(enode(0), "x", 1), "Besu's other name");
        no(nodeRules.connectionAllowed(enode(99), "10.0.0.1", 30303), "unknown key");
    }

    function test_key_forms() public {
        bytes memory key = bytes(enode(1));
        for (uint256 i = 0; i < key.length; i++) if (key[i] >= "a") key[i] = bytes1(uint8(key[i]) - 32);
        yes(nodeRules.connectionAllowed(string(key), "", 0), "upper case");
        yes(nodeRules.connectionAllowed(string.concat("0x", enode(1)), "", 0), "0x");
        no(nodeRules.connectionAllowed(string.concat("0y", enode(1)), "", 0), "another prefix");
        no(nodeRules.connectionAllowed(string.concat(enode(1), "0"), "", 0), "129 digits");
        no(nodeRules.connectionAllowed("", "", 0), "nothing");
        key[17] = "g";
        no(nodeRules.connectionAllowed(string(key), "", 0), "not hex");
    }

    function test_a_key_beyond_the_call_is_malformed() public view {
        bytes memory call = abi.encodeWithSelector(INodeRules.connectionAllowed.selector, uint256(1) << 40, 0, 0);
        (bool ok,) = NODE_RULES.staticcall(call);
        no(ok, "reverts");
        (ok,) = NODE_RULES.staticcall(hex"12345678");
        no(ok, "unknown function");
        (ok,) = NODE_RULES.staticcall("");
        no(ok, "no function");
    }

    /// The parsing of 32 digits at once against the plain way.
    function testFuzz_hex_digits(uint256 digits, uint256 mask) public pure {
        // Mostly digits, or nothing would ever be accepted.
        bytes memory alphabet = "0123456789abcdefABCDEF/:@G`g";
        uint256 word;
        uint256 expected;
        bool valid = true;
        for (uint256 i = 0; i < 32; i++) {
            uint256 pick = uint8(bytes32(digits)[i]) % (mask % 4 == 0 ? alphabet.length : 22);
            uint8 c = uint8(alphabet[pick]);
            if (mask % 16 == 1 && i == mask >> 8 & 31) c = uint8(mask >> 16);
            word = word << 8 | c;
            (uint256 value, bool ok) = _digit(c);
            expected = expected << 4 | value;
            valid = valid && ok;
        }
        (uint256 parsed, bool parsedOk) = Text.hexWord(word);
        vm.assertTrue(parsedOk == valid, "valid");
        if (valid) eq(parsed, expected, "value");
    }

    function _digit(uint8 c) private pure returns (uint256, bool) {
        if (c >= 0x30 && c <= 0x39) return (c - 0x30, true);
        if (c >= 0x61 && c <= 0x66) return (c - 0x57, true);
        if (c >= 0x41 && c <= 0x46) return (c - 0x37, true);
        return (0, false);
    }

    function test_reasons_of_nodes() public {
        eq(nodeRules.connectionRefusal(enode(0), "", 0), "", "allowed");
        eq(nodeRules.connectionRefusal(enode(99), "", 0), "node unknown", "unknown");
        eq(nodeRules.connectionRefusal("abc", "", 0), "node key is not 128 hex digits", "form");
        by(admin(0));
        registry.setOwnNodeStatus(nodeKey(0), 3);
        eq(nodeRules.connectionRefusal(enode(0), "", 0), "node deactivated by its member", "deactivated");
        decide(SUSPEND_NODE, abi.encode(nodeKey(SUPERVISOR), bytes32("r")), 3);
        eq(nodeRules.connectionRefusal(enode(SUPERVISOR), "", 0), "node suspended", "suspended");
        NodeInput memory input = nodeInput(7, 1);
        input.expires = 1200;
        by(admin(1));
        registry.addNode(input);
        yes(mayConnect(7), "before its end");
        vm.roll(1199);
        yes(mayConnect(7), "the last block");
        vm.roll(1200);
        no(mayConnect(7), "its end");
        eq(nodeRules.connectionRefusal(enode(7), "", 0), "node expired at block 1200", "expired");
    }

    function test_a_suspended_member_takes_its_nodes_and_accounts_with_it() public {
        yes(mayConnect(1) && mayTransact(1), "before");
        decide(SUSPEND_MEMBER, abi.encode(memberId(1), bytes32("r")), 3);
        no(mayConnect(1), "node");
        no(mayTransact(1), "account");
        no(allowed(admin(1), GOVERNANCE, 0, hex"01020304"), "admin");
        eq(nodeRules.connectionRefusal(enode(1), "", 0), "member suspended", "node reason");
        eq(accountRules.transactionRefusal(account(1), TARGET, 0, 0, 0, ""), "member suspended", "account reason");
    }

    function test_besu_reads_of_nodes() public {
        eq(nodeRules.getSize(), 5, "size");
        (string memory key, string memory host, uint16 port) = nodeRules.getByIndex(2);
        eq(key, enode(2), "key");
        eq(host, "node.example", "host");
        eq(port, 30303, "port");
        vm.assertEq(nodeRules.getContractAddress("rules"), NODE_RULES, "rules");
        vm.assertEq(nodeRules.getContractAddress("administration"), address(0), "no admin contract");
        eq(nodeRules.getContractVersion(), 1000000, "version");
        by(admin(2));
        registry.updateEndpoints(nodeKey(2), "[2001:db8::7]:99999");
        (, host, port) = nodeRules.getByIndex(2);
        eq(host, "[2001:db8::7]", "address in brackets");
        eq(port, 0, "no such port");
        by(admin(2));
        registry.updateEndpoints(nodeKey(2), "justahost");
        (, host, port) = nodeRules.getByIndex(2);
        eq(host, "justahost", "no port");
    }

    // --- Who may transact --------------------------------------------------------------------------------------------

    function test_a_full_account_may_do_everything() public view {
        yes(allowed(account(0), TARGET, 5, ""), "transfer");
        yes(allowed(account(0), TARGET, 0, hex"00"), "call");
        yes(allowed(account(0), address(0), 0, hex"6000"), "deploy");
        no(allowed(STRANGER, TARGET, 0, ""), "a stranger may nothing");
        no(allowed(address(0), TARGET, 0, ""), "nobody may nothing");
    }

    /// Every combination of rights against every shape of transaction.
    function testFuzz_access(uint16 access, uint8 shape) public {
        access = access % 15 + 1;
        by(admin(0));
        registry.setAccount(address(0x77), access, 0, 0);
        bool deploy = shape & 1 != 0;
        bool data = shape & 2 != 0;
        bool value = shape & 4 != 0;
        uint16 need = deploy ? 4 : data ? 2 : 1;
        if (value) need |= 1;
        bool got = allowed(address(0x77), deploy ? address(0) : TARGET, value ? 1 : 0, data ? bytes(hex"01") : bytes(""));
        vm.assertTrue(got == (access & need == need), "access");
    }

    function test_reasons_of_accounts() public {
        eq(accountRules.transactionRefusal(account(0), TARGET, 0, 0, 0, ""), "", "allowed");
        eq(accountRules.transactionRefusal(STRANGER, TARGET, 0, 0, 0, ""), "account unknown", "unknown");
        by(admin(0));
        registry.setAccount(address(0x77), 1, 0, 1200);
        eq(accountRules.transactionRefusal(address(0x77), address(0), 0, 0, 0, hex"60"), "account may not deploy contracts", "deploy");
        eq(accountRules.transactionRefusal(address(0x77), TARGET, 0, 0, 0, hex"60"), "account may not call contracts", "call");
        by(admin(0));
        registry.setAccount(address(0x78), 2, 0, 0);
        eq(accountRules.transactionRefusal(address(0x78), TARGET, 0, 0, 0, ""), "account may not transfer", "transfer");
        vm.roll(1199);
        yes(allowed(address(0x77), TARGET, 0, ""), "the last block");
        vm.roll(1200);
        no(allowed(address(0x77), TARGET, 0, ""), "expired");
        eq(accountRules.transactionRefusal(address(0x77), TARGET, 0, 0, 0, ""), "account expired at block 1200", "expired");
    }

    function test_admins_may_always_call_governance_and_nothing_else() public view {
        yes(allowed(admin(0), GOVERNANCE, 0, hex"01020304"), "governance");
        yes(allowed(admin(0), REGISTRY, 0, hex"01020304"), "registry");
        yes(allowed(admin(0), GOVERNED_LAST, 0, ""), "last");
        no(allowed(admin(0), address(0x7010), 0, hex"01020304"), "one beyond");
        no(allowed(admin(0), address(0x7000), 0, hex"01020304"), "one before");
        no(allowed(admin(0), GOVERNANCE, 1, hex"01020304"), "with value");
        no(allowed(admin(0), TARGET, 0, ""), "elsewhere");
        no(allowed(admin(0), address(0), 0, hex"60"), "deploy");
        yes(allowed(COUNCIL, SUPERVISION, 0, hex"01020304"), "a council key too");
        no(allowed(COUNCIL, TARGET, 0, hex"01020304"), "but not elsewhere");
        yes(allowed(validator(0), VALIDATORS, 0, hex"01020304"), "a validator calls Validators");
        no(allowed(validator(0), REGISTRY, 0, hex"01020304"), "and nothing else");
        no(allowed(validator(SUPERVISOR), VALIDATORS, 0, hex"01020304"), "other nodes do not");
    }

    function test_malformed_calls_revert() public {
        by(admin(0));
        registry.setAccount(address(0x77), 1, 0, 0);
        bytes4 selector = IAccountRules.transactionAllowed.selector;
        bool ok;
        (ok,) = ACCOUNT_RULES.staticcall(abi.encodeWithSelector(selector, type(uint256).max, 0, 0, 0, 0, 192, 0));
        no(ok, "sender too wide");
        (ok,) = ACCOUNT_RULES.staticcall(abi.encodeWithSelector(selector, address(0x77), type(uint256).max, 0, 0, 0, 192, 0));
        no(ok, "target too wide");
        (ok,) = ACCOUNT_RULES.staticcall(abi.encodeWithSelector(selector, address(0x77)));
        no(ok, "too short");
        (ok,) = ACCOUNT_RULES.staticcall(abi.encodeWithSelector(selector, address(0x77), TARGET, 0, 0, 0, 192, 1));
        no(ok, "payload beyond the end");
        (ok,) = ACCOUNT_RULES.staticcall(
            abi.encodeWithSelector(selector, address(0x77), TARGET, 0, 0, 0, type(uint256).max, 0)
        );
        no(ok, "offset beyond the end");
        (ok,) = ACCOUNT_RULES.staticcall(hex"936421d5");
        no(ok, "nothing but the selector");
    }

    function test_besu_reads_of_accounts() public view {
        eq(accountRules.getSize(), 4, "size");
        vm.assertEq(accountRules.getByIndex(3), account(3), "by index");
        eq(accountRules.getAccounts().length, 4, "all");
        yes(accountRules.accountPermitted(account(0)), "permitted");
        no(accountRules.accountPermitted(admin(0)), "an admin has no account entry");
        vm.assertEq(accountRules.getContractAddress("rules"), ACCOUNT_RULES, "rules");
        eq(accountRules.getContractVersion(), 1000000, "version");
    }

    // --- What a verdict costs ----------------------------------------------------------------------------------------

    function test_verdicts_are_cheap() public {
        string memory key = enode(0);
        bytes memory connection = abi.encodeCall(INodeRules.connectionAllowed, (key, "10.0.0.1", 30303));
        bytes memory transaction =
            abi.encodeCall(IAccountRules.transactionAllowed, (account(0), TARGET, 0, 0, 21000, hex"0102"));
        _cool();
        vm.assertLe(_gasOf(NODE_RULES, connection), 20000, "connectionAllowed");
        _cool();
        vm.assertLe(_gasOf(ACCOUNT_RULES, transaction), 15000, "transactionAllowed");
    }

    function _cool() private {
        vm.cool(NODE_RULES);
        vm.cool(ACCOUNT_RULES);
        vm.cool(REGISTRY);
    }

    function _gasOf(address target, bytes memory call) private view returns (uint256) {
        uint256 before = gasleft();
        (bool ok,) = target.staticcall(call);
        uint256 used = before - gasleft();
        require(ok);
        return used;
    }

    function test_verdicts_do_not_touch_what_changes_every_block() public {
        vm.record();
        allowed(account(0), TARGET, 0, "");
        mayConnect(0);
        quotas.memberOf(account(0));
        address[3] memory quiet = [VALIDATORS, QUOTAS, GOVERNANCE];
        for (uint256 i = 0; i < quiet.length; i++) {
            (bytes32[] memory reads,) = vm.accesses(quiet[i]);
            eq(reads.length, 0, "reads");
        }
    }
}
