// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Makes the state grow: every call writes slots that were never written before.
contract Slots {
    /// How many slots are written.
    uint256 public written;
    /// What stands in each: the number of the block that wrote it.
    mapping(uint256 => uint256) public slots;

    function write(uint256 count) external {
        uint256 from = written;
        for (uint256 i = from; i < from + count; i++) slots[i] = block.number;
        written = from + count;
    }
}
