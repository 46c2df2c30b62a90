// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Text.sol";
import "./interfaces/IRegistry.sol";

/// Why something is refused, in short words for people. Empty: it is not.
library Reasons {
    function ofMember(bytes32 memberId) internal view returns (string memory) {
        Member memory member = IRegistry(REGISTRY).getMember(memberId);
        if (member.status == 0) return "member unknown";
        if (member.status == 1) return "member proposed";
        if (member.status == MEMBER_SUSPENDED) return "member suspended";
        if (member.status == MEMBER_EXPELLED) return "member expelled";
        if (member.status == MEMBER_WITHDRAWN) return "member withdrawn";
        return _until("member suspended until block ", member.suspendedUntil);
    }

    function ofNode(bytes32 nodeKey) internal view returns (string memory) {
        Node memory node = IRegistry(REGISTRY).getNode(nodeKey);
        if (node.status == 0) return "node unknown";
        if (node.status == 1) return "node proposed";
        if (node.status == NODE_DEACTIVATED) return "node deactivated by its member";
        if (node.status == NODE_SUSPENDED) return "node suspended";
        if (node.status == NODE_REVOKED) return "node revoked";
        if (node.expires != 0 && block.number >= node.expires) return _at("node expired at block ", node.expires);
        string memory reason = _until("node suspended until block ", node.suspendedUntil);
        return bytes(reason).length == 0 ? ofMember(node.memberId) : reason;
    }

    function ofAccount(address sender) internal view returns (string memory) {
        Account memory account = IRegistry(REGISTRY).getAccount(sender);
        if (account.status != ACCOUNT_ACTIVE) return "account unknown";
        if (account.expires != 0 && block.number >= account.expires) return _at("account expired at block ", account.expires);
        return ofMember(account.memberId);
    }

    function ofFreeze(string memory who, address subject) internal view returns (string memory) {
        if (!IRegistry(REGISTRY).isFrozen(subject)) return "";
        bytes32 order = IRegistry(REGISTRY).getFreeze(subject).orderHash;
        return string.concat(who, " frozen by order 0x", Text.hexOf(abi.encodePacked(order)));
    }

    function _until(string memory words, uint64 until) private view returns (string memory) {
        return block.number < until ? _at(words, until) : "";
    }

    function _at(string memory words, uint64 number) private pure returns (string memory) {
        return string.concat(words, Text.decimal(number));
    }
}
