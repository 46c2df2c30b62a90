// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

interface BesuMutators {
    function setContractAddress(bytes32, address) external returns (bool);
    function removeContract(bytes32) external returns (bool);
    function addEnode(string calldata, string calldata, uint16) external returns (bool);
    function removeEnode(string calldata, string calldata, uint16) external returns (bool);
    function addAccount(address) external returns (bool);
    function addAccounts(address[] calldata) external returns (bool);
    function removeAccount(address) external returns (bool);
    function addAdmin(address) external returns (bool);
    function enterReadOnly() external returns (bool);
    function triggerRulesChangeEvent(bool) external;
    function emitRulesChangeEvent(bool) external;
}

interface GoQuorumBoot {
    function setPolicy(string calldata, string calldata, string calldata) external;
    function init(uint256, uint256) external;
    function addAdminAccount(address) external;
    function updateNetworkBootStatus() external returns (bool);
    function confirmImplChange(address) external;
}

/// What the code as a whole can and cannot do.
contract ShapeTest is Base {
    uint256 internal constant CODE_SIZE_LIMIT = 24576;

    function _all() internal pure returns (address[10] memory) {
        return [NODE_RULES, ACCOUNT_RULES, REGISTRY, GOVERNANCE, VALIDATORS, QUOTAS, SUPERVISION, POLICY, EVIDENCE, PARTIES];
    }

    /// No code that changes elsewhere is ever run in place of this one, none is created and none destroyed.
    function test_code_is_small_and_cannot_be_exchanged() public view {
        address[10] memory all = _all();
        for (uint256 i = 0; i < all.length; i++) {
            bytes memory code = all[i].code;
            yes(code.length > 1000, "has code");
            vm.assertLe(code.length, CODE_SIZE_LIMIT - 1500, "with some spare");
            for (uint256 at = 0; at < code.length; at++) {
                uint8 op = uint8(code[at]);
                if (op >= 0x60 && op <= 0x7f) at += op - 0x5f;
                bool forbidden = op == 0xf0 || op == 0xf2 || op == 0xf4 || op == 0xf5 || op == 0xff;
                no(forbidden, "CREATE, CALLCODE, DELEGATECALL, CREATE2, SELFDESTRUCT");
            }
        }
    }

    function test_the_rules_hold_and_write_nothing() public view {
        address[2] memory rules = [NODE_RULES, ACCOUNT_RULES];
        for (uint256 i = 0; i < rules.length; i++) {
            bytes memory code = rules[i].code;
            for (uint256 at = 0; at < code.length; at++) {
                uint8 op = uint8(code[at]);
                if (op >= 0x60 && op <= 0x7f) at += op - 0x5f;
                no(op == 0x54 || op == 0x55 || op == 0xf1, "SLOAD, SSTORE, CALL");
            }
        }
    }

    function test_nobody_sends_value_here() public {
        address[10] memory all = _all();
        for (uint256 i = 0; i < all.length; i++) {
            (bool ok,) = all[i].call{value: 1}("");
            no(ok, "plain");
            (ok,) = all[i].call{value: 1}(abi.encodeCall(INodeRules.getSize, ()));
            no(ok, "with a call");
        }
    }

    /// In Besu's contracts one key changes the lists, and anybody sets the rules while no admin contract is registered; in
    /// GoQuorum's anybody calls the boot functions until boot is declared over, and a guardian replaces all the logic.
    function test_the_doors_of_other_systems_do_not_exist() public {
        bytes[16] memory calls = [
            abi.encodeCall(BesuMutators.setContractAddress, ("rules", STRANGER)),
            abi.encodeCall(BesuMutators.removeContract, ("rules")),
            abi.encodeCall(BesuMutators.addEnode, ("", "", 0)),
            abi.encodeCall(BesuMutators.removeEnode, ("", "", 0)),
            abi.encodeCall(BesuMutators.addAccount, (STRANGER)),
            abi.encodeCall(BesuMutators.addAccounts, (list(STRANGER))),
            abi.encodeCall(BesuMutators.removeAccount, (STRANGER)),
            abi.encodeCall(BesuMutators.addAdmin, (STRANGER)),
            abi.encodeCall(BesuMutators.enterReadOnly, ()),
            abi.encodeCall(BesuMutators.triggerRulesChangeEvent, (true)),
            abi.encodeCall(BesuMutators.emitRulesChangeEvent, (true)),
            abi.encodeCall(GoQuorumBoot.setPolicy, ("a", "b", "c")),
            abi.encodeCall(GoQuorumBoot.init, (1, 1)),
            abi.encodeCall(GoQuorumBoot.addAdminAccount, (STRANGER)),
            abi.encodeCall(GoQuorumBoot.updateNetworkBootStatus, ()),
            abi.encodeCall(GoQuorumBoot.confirmImplChange, (STRANGER))
        ];
        address[10] memory all = _all();
        for (uint256 i = 0; i < all.length; i++) {
            for (uint256 k = 0; k < calls.length; k++) {
                by(admin(0));
                (bool ok,) = all[i].call(calls[k]);
                no(ok, "no such door");
            }
        }
    }

    /// GoQuorum's node list answers "not found" for every node; Besu's keys are ambiguous and change with the address.
    function test_every_entry_is_found_by_its_key_alone() public {
        for (uint256 i = 0; i < registry.nodeCount(); i++) {
            bytes32 key = registry.nodeAt(i);
            Node memory node = registry.getNode(key);
            vm.assertEq(keccak256(abi.encodePacked(node.publicKeyHigh, node.publicKeyLow)), key, "the hash of its key");
        }
        by(admin(0));
        registry.updateEndpoints(nodeKey(0), "elsewhere.example:1");
        yes(mayConnect(0), "a new address is no new node");
    }

    /// In GoQuorum a call that does not fit what was proposed may end the vote without any effect.
    function test_no_vote_is_lost_in_silence() public {
        bytes memory payload = abi.encode(memberId(3), bytes32("r"));
        uint256 id = propose(0, SUSPEND_MEMBER, payload);
        vote(1, id, true);
        vote(2, id, true);
        refused(PayloadMismatch.selector);
        by(admin(0));
        governance.execute(id, abi.encode(memberId(3), bytes32("another")));
        eq(governance.getProposal(id).status, PROPOSAL_PASSED, "nothing is consumed");
        by(admin(0));
        governance.execute(id, payload);
        no(mayTransact(3), "done");
    }
}
