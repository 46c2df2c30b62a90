// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Which words of a call a verdict reads: the node remembers verdicts for exactly these. Needs forge's tracer (-vvv).
contract ReadsTest is Base {
    function test_the_usual_verdict_on_a_transaction_reads_sender_only() public {
        vm.startDebugTraceRecording();
        yes(allowed(account(0), address(0xBEEF), 5, hex"0102"), "allowed");
        _checkReads(vm.stopAndReturnDebugTraceRecording(), ACCOUNT_RULES, 4);
    }

    function test_a_verdict_on_a_connection_reads_the_key_only() public {
        string memory key = enode(0);
        vm.startDebugTraceRecording();
        yes(nodeRules.connectionAllowed(key, "10.0.0.1", 30303), "allowed");
        // Selector, offset, length and four words of digits: head 3 words, then the length, then 128 bytes.
        _checkReads(vm.stopAndReturnDebugTraceRecording(), NODE_RULES, 4 + 96 + 32 + 96);
    }

    /// No size, no copy, nothing behind `last`, and no clock anywhere below.
    function _checkReads(Vm.DebugStep[] memory steps, address rules, uint256 last) private pure {
        uint256 reads;
        for (uint256 i = 0; i < steps.length; i++) {
            uint8 op = steps[i].opcode;
            bool inside = steps[i].contractAddr == rules || steps[i].contractAddr == REGISTRY;
            if (!inside) continue;
            no(op >= 0x40 && op <= 0x48 && op != 0x46 && op != 0x47, "reads the block");
            if (steps[i].contractAddr != rules) continue;
            no(op == 0x36 || op == 0x37, "reads the size of the call or copies it");
            if (op != 0x35) continue;
            reads++;
            uint256 offset = steps[i].stack[0];
            yes(offset <= last, "reads too far");
        }
        yes(reads >= 2, "the trace was recorded");
    }
}
