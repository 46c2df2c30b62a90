// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Errors.sol";
import "./Reasons.sol";
import "./RuleCalls.sol";
import "./interfaces/IRules.sol";

/// Who may connect: `INodeRules`, answered from the registry. It holds nothing and writes nothing.
contract NodeRules is RuleCalls {
    uint256 private constant LONGEST_OFFSET = 0xffff;

    /// Answers the calls of `INodeRules`; reverts for any other.
    fallback() external {
        bytes4 selector = _selector();
        if (selector == INodeRules.connectionAllowed.selector) _answer(_allowed());
        if (selector == INodeRules.enodePermitted.selector) _answer(_allowed());
        if (selector == INodeRules.connectionRefusal.selector) _answer(abi.encode(_refusal()));
        if (selector == INodeRules.getSize.selector) _answer(abi.encode(IRegistry(REGISTRY).nodeCount()));
        if (selector == INodeRules.getByIndex.selector) _answer(_nodeAt(abi.decode(msg.data[4:], (uint256))));
        if (selector == INodeRules.getContractAddress.selector) {
            _answer(_contractFor(abi.decode(msg.data[4:], (bytes32))));
        }
        if (selector == INodeRules.getContractVersion.selector) _answer(abi.encode(VERSION));
        revert MalformedCall();
    }

    function _allowed() private view returns (bool) {
        (bytes32 nodeKey, bool ok) = _nodeKey();
        return ok && IRegistry(REGISTRY).nodePermitted(nodeKey);
    }

    /// The key of the node whose public key is the first argument; not ok if that is not 128 hex digits.
    function _nodeKey() private pure returns (bytes32 nodeKey, bool ok) {
        unchecked {
            uint256 offset = _word(4);
            if (offset > LONGEST_OFFSET) revert MalformedCall();
            uint256 length = _word(4 + offset);
            uint256 start = 36 + offset;
            if (length == 130) {
                // "0x" or "0X"
                if (_word(start) >> 240 | 0x20 != 0x3078) return (0, false);
                start += 2;
            } else if (length != 128) {
                return (0, false);
            }
            (uint256 a, bool okA) = Text.hexWord(_word(start));
            (uint256 b, bool okB) = Text.hexWord(_word(start + 32));
            (uint256 c, bool okC) = Text.hexWord(_word(start + 64));
            (uint256 d, bool okD) = Text.hexWord(_word(start + 96));
            nodeKey = keccak256(abi.encode(a << 128 | b, c << 128 | d));
            ok = okA && okB && okC && okD;
        }
    }

    function _refusal() private view returns (string memory) {
        (bytes32 nodeKey, bool ok) = _nodeKey();
        return ok ? Reasons.ofNode(nodeKey) : "node key is not 128 hex digits";
    }

    function _nodeAt(uint256 index) private view returns (bytes memory) {
        Node memory node = IRegistry(REGISTRY).getNode(IRegistry(REGISTRY).nodeAt(index));
        (string memory host, uint16 port) = _firstEndpoint(node.endpoints);
        string memory enodeId = Text.hexOf(abi.encodePacked(node.publicKeyHigh, node.publicKeyLow));
        return abi.encode(enodeId, host, port);
    }

    /// Host and port before the first comma.
    function _firstEndpoint(bytes memory endpoints) private pure returns (string memory, uint16) {
        uint256 end = 0;
        uint256 colon = type(uint256).max;
        for (; end < endpoints.length && endpoints[end] != ","; end++) if (endpoints[end] == ":") colon = end;
        if (colon == type(uint256).max) return (string(_head(endpoints, end)), 0);
        uint256 port = 0;
        for (uint256 i = colon + 1; i < end; i++) {
            uint256 digit = uint256(uint8(endpoints[i])) ^ 0x30;
            if (digit > 9 || port > 6553) return (string(_head(endpoints, colon)), 0);
            port = port * 10 + digit;
        }
        return (string(_head(endpoints, colon)), port > type(uint16).max ? 0 : uint16(port));
    }

    function _head(bytes memory text, uint256 length) private pure returns (bytes memory head) {
        head = new bytes(length);
        for (uint256 i = 0; i < length; i++) head[i] = text[i];
    }
}
