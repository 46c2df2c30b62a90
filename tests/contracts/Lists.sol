// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Permission rules with the interface that Besu's contracts have, for tests: plain lists that anybody may change.
contract Lists {
    mapping(bytes32 => bool) private nodes;
    mapping(address => bool) private accounts;
    address[] private validators;
    mapping(address => uint256) private until;

    function setNode(string calldata enodeId, string calldata host, uint16 port, bool allowed) external {
        nodes[keccak256(abi.encode(enodeId, host, port))] = allowed;
    }

    function setAccount(address account, bool allowed) external {
        accounts[account] = allowed;
    }

    /// The account may transact below this block.
    function setUntil(address account, uint256 number) external {
        until[account] = number;
    }

    function setValidators(address[] calldata list) external {
        validators = list;
    }

    function connectionAllowed(string calldata enodeId, string calldata host, uint16 port) external view returns (bool) {
        return nodes[keccak256(abi.encode(enodeId, host, port))];
    }

    /// Besu's interface version 1: looks at the target's key alone.
    function connectionAllowed(bytes32, bytes32, bytes16, uint16, bytes32 high, bytes32 low, bytes16, uint16)
        external
        view
        returns (bytes32)
    {
        bool allowed = nodes[keccak256(abi.encode(high, low))];
        return allowed ? bytes32(type(uint256).max) : bytes32(type(uint256).max >> 1);
    }

    function setKey(bytes32 high, bytes32 low, bool allowed) external {
        nodes[keccak256(abi.encode(high, low))] = allowed;
    }

    function transactionAllowed(address sender, address, uint256, uint256, uint256, bytes calldata)
        external
        view
        returns (bool)
    {
        return accounts[sender] || (until[sender] != 0 && block.number < until[sender]);
    }

    function getValidators() external view returns (address[] memory) {
        return validators;
    }
}
