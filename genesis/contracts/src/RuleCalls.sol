// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Taking calls apart by hand. The node remembers a verdict for exactly those words of the call that were read, so the rule
/// contracts read no more than the verdict needs; the compiler's own dispatch would read the length of the call first.
abstract contract RuleCalls {
    bytes32 internal constant RULES = "rules";
    uint256 internal constant VERSION = 1000000;

    function _word(uint256 offset) internal pure returns (uint256 word) {
        assembly {
            word := calldataload(offset)
        }
    }

    function _selector() internal pure returns (bytes4) {
        return bytes4(bytes32(_word(0)));
    }

    /// Ends the call with a truth value.
    function _answer(bool value) internal pure {
        assembly {
            mstore(0, value)
            return(0, 32)
        }
    }

    /// Ends the call with encoded values.
    function _answer(bytes memory encoded) internal pure {
        assembly {
            return(add(encoded, 32), mload(encoded))
        }
    }

    function _contractFor(bytes32 name) internal view returns (bytes memory) {
        return abi.encode(name == RULES ? address(this) : address(0));
    }
}
