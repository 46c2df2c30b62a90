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
    /// The same as connectionAllowed, by Besu's other name.
    function enodePermitted(string calldata enodeId, string calldata host, uint16 port) external view returns (bool);
    /// How many entries `getByIndex` knows.
    function getSize() external view returns (uint256);
    /// Key and first endpoint of a node, permitted or not.
    function getByIndex(uint256 index) external view returns (string memory enodeId, string memory host, uint16 port);
    /// This contract for "rules" (left-aligned ASCII), else 0.
    function getContractAddress(bytes32 name) external view returns (address);
    /// 1000000, as Besu's contracts of version 1.0.0 say.
    function getContractVersion() external view returns (uint256);
}

/// Who may transact, in the shape that Besu and GoQuorum's model v2 ask.
interface IAccountRules {
    /// The target is 0 for a deployment. Gas price and limit do not matter.
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
    /// How many entries `getByIndex` knows.
    function getSize() external view returns (uint256);
    /// One account, permitted or not.
    function getByIndex(uint256 index) external view returns (address);
    /// This contract for "rules" (left-aligned ASCII), else 0.
    function getContractAddress(bytes32 name) external view returns (address);
    /// 1000000, as Besu's contracts of version 1.0.0 say.
    function getContractVersion() external view returns (uint256);
}
