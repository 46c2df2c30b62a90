// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Errors.sol";
import "./Reasons.sol";
import "./RuleCalls.sol";
import "./interfaces/IRules.sol";

/// Who may transact: `IAccountRules`, answered from the registry. It holds nothing and writes nothing.
contract AccountRules is RuleCalls {
    uint256 private constant PERMITTED = 1 << 16;
    uint256 private constant SOMETHING_FROZEN = 1 << 17;
    uint256 private constant ADMIN_LANE = 1 << 18;
    uint256 private constant VALIDATOR_LANE = 1 << 19;
    uint256 private constant LONGEST_PAGE = 1000;
    uint256 private constant HEAD = 4 + 6 * 32;

    /// The part of a transaction that verdicts depend on.
    struct Call {
        address sender;
        address target;
        uint256 value;
        uint256 payloadLength;
    }

    /// Answers the calls of `IAccountRules`; reverts for any other.
    fallback() external {
        bytes4 selector = _selector();
        if (selector == IAccountRules.transactionAllowed.selector) _answer(_allowed());
        if (selector == IAccountRules.transactionRefusal.selector) _answer(abi.encode(_refusal()));
        if (selector == IAccountRules.accountPermitted.selector) {
            _answer(IRegistry(REGISTRY).senderWord(_address(4)) & PERMITTED != 0);
        }
        if (selector == IAccountRules.getAccounts.selector) _answer(abi.encode(_accounts()));
        if (selector == IAccountRules.getSize.selector) _answer(abi.encode(IRegistry(REGISTRY).accountCount()));
        if (selector == IAccountRules.getByIndex.selector) {
            _answer(abi.encode(IRegistry(REGISTRY).accountAt(abi.decode(msg.data[4:], (uint256)))));
        }
        if (selector == IAccountRules.getContractAddress.selector) {
            _answer(_contractFor(abi.decode(msg.data[4:], (bytes32))));
        }
        if (selector == IAccountRules.getContractVersion.selector) _answer(abi.encode(VERSION));
        revert MalformedCall();
    }

    function _allowed() private view returns (bool) {
        address sender = _address(4);
        uint256 word = IRegistry(REGISTRY).senderWord(sender);
        // An account with all rights, and nothing frozen anywhere: the rest of the call does not matter.
        if (word & (SOMETHING_FROZEN | PERMITTED | ACCESS_FULL) == (PERMITTED | ACCESS_FULL)) return true;
        Call memory call = _call(sender);
        if (_laneOpen(word, call)) return true;
        if (word & PERMITTED == 0 || word & _needed(call) != _needed(call)) return false;
        if (word & SOMETHING_FROZEN == 0) return true;
        return !IRegistry(REGISTRY).isFrozen(sender) && !IRegistry(REGISTRY).isFrozen(call.target);
    }

    function _refusal() private view returns (string memory reason) {
        Call memory call = _call(_address(4));
        uint256 word = IRegistry(REGISTRY).senderWord(call.sender);
        if (_laneOpen(word, call)) return "";
        if (word & PERMITTED == 0) return Reasons.ofAccount(call.sender);
        uint256 missing = _needed(call) & ~word;
        if (missing & ACCESS_DEPLOY != 0) return "account may not deploy contracts";
        if (missing & ACCESS_CALL != 0) return "account may not call contracts";
        if (missing & ACCESS_TRANSFER != 0) return "account may not transfer";
        reason = Reasons.ofFreeze("sender", call.sender);
        if (bytes(reason).length == 0) reason = Reasons.ofFreeze("target", call.target);
    }

    /// Calls that keep governance open, whatever stands in the sender's account entry and whatever is frozen.
    function _laneOpen(uint256 word, Call memory call) private pure returns (bool) {
        if (call.value != 0) return false;
        if (word & VALIDATOR_LANE != 0 && call.target == VALIDATORS) return true;
        return word & ADMIN_LANE != 0 && call.target >= GOVERNED_FIRST && call.target <= GOVERNED_LAST;
    }

    /// The access that a transaction needs.
    function _needed(Call memory call) private pure returns (uint256 access) {
        if (call.target == address(0)) access = ACCESS_DEPLOY;
        else if (call.payloadLength != 0) access = ACCESS_CALL;
        else access = ACCESS_TRANSFER;
        if (call.value != 0) access |= ACCESS_TRANSFER;
    }

    function _call(address sender) private pure returns (Call memory call) {
        uint256 offset = _word(4 + 5 * 32);
        if (msg.data.length < HEAD + 32 || offset > msg.data.length - 36) revert MalformedCall();
        uint256 length = _word(4 + offset);
        if (length > msg.data.length - 36 - offset) revert MalformedCall();
        return Call(sender, _address(4 + 32), _word(4 + 2 * 32), length);
    }

    function _address(uint256 offset) private pure returns (address) {
        uint256 word = _word(offset);
        if (word >> 160 != 0) revert MalformedCall();
        return address(uint160(word));
    }

    function _accounts() private view returns (address[] memory page) {
        uint256 count = IRegistry(REGISTRY).accountCount();
        page = new address[](count < LONGEST_PAGE ? count : LONGEST_PAGE);
        for (uint256 i = 0; i < page.length; i++) page[i] = IRegistry(REGISTRY).accountAt(i);
    }
}
