// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Gas per member and block.
interface IQuotas {
    /// Whom the use of gas by this address is counted to, 0 if nobody.
    function memberOf(address account) external view returns (bytes32);
    /// What the member may use in this block and what it gains per block. No limit: the largest number and 0.
    function available(bytes32 member) external view returns (uint256 gas, uint256 gasPerBlock);
    /// The system, at the end of every block: what was used.
    function charge(bytes32[] calldata members, uint64[] calldata gas) external;
    /// What is stored: the level after the last charge and its block (both 0: never charged, full).
    function bucket(bytes32 member) external view returns (uint128 level, uint64 updated);
}
