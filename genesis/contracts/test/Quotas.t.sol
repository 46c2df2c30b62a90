// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Gas per member.
contract QuotasTest is Base {
    uint256 internal constant RATE = 1_000_000;
    uint256 internal constant CAP = 30 * RATE;

    function _charge(uint256 i, uint64 gas) internal {
        bytes32[] memory members = new bytes32[](1);
        uint64[] memory amounts = new uint64[](1);
        (members[0], amounts[0]) = (memberId(i), gas);
        by(SYSTEM);
        quotas.charge(members, amounts);
    }

    function _gas(uint256 i) internal view returns (uint256 gas) {
        (gas,) = quotas.available(memberId(i));
    }

    function test_a_bucket_starts_full_empties_and_fills() public {
        (uint256 gas, uint256 rate) = quotas.available(memberId(0));
        eq(gas, CAP, "full");
        eq(rate, RATE, "rate");
        _charge(0, 25_000_000);
        eq(_gas(0), 5 * RATE, "what is left");
        eq(_gas(1), CAP, "others are not charged");
        vm.roll(4);
        eq(_gas(0), 8 * RATE, "three blocks later");
        _charge(0, 50_000_000);
        eq(_gas(0), 0, "never below zero");
        vm.roll(100);
        eq(_gas(0), CAP, "never above the cap");
        (uint128 level, uint64 updated) = quotas.bucket(memberId(0));
        eq(level, 0, "as stored");
        eq(updated, 4, "when");
    }

    function test_only_the_system_charges() public {
        refused(OnlySystem.selector);
        quotas.charge(new bytes32[](0), new uint64[](0));
        refused(OnlySystem.selector);
        by(GOVERNANCE);
        quotas.charge(new bytes32[](0), new uint64[](0));
    }

    function test_unknown_members_and_unequal_lists_do_not_stop_a_charge() public {
        bytes32[] memory members = new bytes32[](3);
        uint64[] memory amounts = new uint64[](2);
        (members[0], members[1], members[2]) = (bytes32("nobody"), memberId(1), memberId(2));
        (amounts[0], amounts[1]) = (5, 7);
        by(SYSTEM);
        quotas.charge(members, amounts);
        eq(_gas(1), CAP - 7, "the known one");
        eq(_gas(2), CAP, "none for the third");
        (uint256 gas, uint256 rate) = quotas.available(bytes32("nobody"));
        eq(gas, type(uint256).max, "no limit");
        eq(rate, 0, "no rate");
    }

    function test_the_class_of_the_member_decides() public {
        MemberRecord memory record = recordOf(3);
        record.quotaClass = 5;
        decide(CHANGE_RECORD, abi.encode(memberId(3), record));
        (uint256 gas, uint256 rate) = quotas.available(memberId(3));
        eq(rate, 6 * RATE, "class 5");
        eq(gas, 6 * CAP, "its cap");
        record.quotaClass = 8;
        uint256 id = propose(0, CHANGE_RECORD, abi.encode(memberId(3), record));
        vote(1, id, true);
        vote(2, id, true);
        refused(BadQuotaClass.selector);
        by(admin(0));
        governance.execute(id, abi.encode(memberId(3), record));
    }

    function test_disabled_means_no_limit() public {
        PolicyValues memory values = policyOf();
        values.quota.enabled = false;
        decide(CHANGE_POLICY, abi.encode(uint64(1), values));
        _charge(0, 25_000_000);
        vm.roll(10);
        (uint256 gas, uint256 rate) = quotas.available(memberId(0));
        eq(gas, type(uint256).max, "no limit");
        eq(rate, 0, "no rate");
        _charge(0, 25_000_000);
        (, uint64 updated) = quotas.bucket(memberId(0));
        eq(updated, 1, "nothing is written");
    }

    function test_whom_gas_is_counted_to() public view {
        vm.assertEq(quotas.memberOf(account(2)), memberId(2), "account");
        vm.assertEq(quotas.memberOf(admin(2)), memberId(2), "admin");
        vm.assertEq(quotas.memberOf(validator(2)), memberId(2), "validator");
        vm.assertEq(quotas.memberOf(STRANGER), bytes32(0), "nobody");
    }

    /// The bucket against a plain model, charge by charge.
    function testFuzz_bucket(uint32[8] calldata amounts, uint8[8] calldata steps) public {
        uint256 model = CAP;
        for (uint256 i = 0; i < 8; i++) {
            _charge(0, amounts[i]);
            model = model > amounts[i] ? model - amounts[i] : 0;
            vm.roll(block.number + steps[i] % 12);
            model += RATE * (steps[i] % 12);
            if (model > CAP) model = CAP;
            eq(_gas(0), model, "level");
        }
    }

    function test_a_charge_without_gas_for_all_keeps_what_it_did() public {
        bytes32[] memory members = new bytes32[](40);
        uint64[] memory amounts = new uint64[](40);
        for (uint256 i = 0; i < 40; i++) (members[i], amounts[i]) = (memberId(i % 4), 1);
        by(SYSTEM);
        quotas.charge{gas: 300_000}(members, amounts);
        yes(_gas(0) < CAP, "the first was charged");
    }
}
