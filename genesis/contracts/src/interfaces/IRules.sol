// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Who may connect, in the shape that Besu's interface version 2 and GoQuorum's model v2 ask.
interface INodeRules {
    /// `enodeId` is the public key in 128 hex digits, with or without 0x; host and port do not matter.
    function connectionAllowed(string calldata enodeId, string calldata host, uint16 port) external view returns (bool);
    /// Why not, in short words; empty if allowed.
    function connectionRefusal(string calldata enodeId, string calldata host, uint16 port)
        external
        view
        returns (string memory);
    function enodePermitted(string calldata enodeId, string calldata host, uint16 port) external view returns (bool);
    function getSize() external view returns (uint256);
    /// Key and first endpoint of a node, permitted or not.
    function getByIndex(uint256 index) external view returns (string memory enodeId, string memory host, uint16 port);
    /// This contract for "rules" (left-aligned ASCII), else 0.
    function getContractAddress(bytes32 name) external view returns (address);
    function getContractVersion() external view returns (uint256);
}

/// Who may transact, in the shape that Besu and GoQuorum's model v2 ask.
interface IAccountRules {
    function transactionAllowed(
        address sender,
        address target,
        uint256 value,
        uint256 gasPrice,
        uint256 gasLimit,
        bytes calldata payload
    ) external view returns (bool);
    /// Why not, in short words; empty if allowed.
    function transactionRefusal(
        address sender,
        address target,
        uint256 value,
        uint256 gasPrice,
        uint256 gasLimit,
        bytes calldata payload
    ) external view returns (string memory);
    /// Whether the account's entry permits anything.
    function accountPermitted(address account) external view returns (bool);
    /// The first 1,000 accounts.
    function getAccounts() external view returns (address[] memory);
    function getSize() external view returns (uint256);
    function getByIndex(uint256 index) external view returns (address);
    /// This contract for "rules" (left-aligned ASCII), else 0.
    function getContractAddress(bytes32 name) external view returns (address);
    function getContractVersion() external view returns (uint256);
}
