// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Proof that a validator signed two blocks of one height and round.
interface IEvidence {
    /// Two seals of one validator over two blocks; it is barred from here on.
    event Equivocation(bytes32 indexed nodeKey, uint64 indexed height, uint32 round, bytes32 digestA, bytes32 digestB);

    /// Anybody. Headers in RLP with an empty list of seals and the real round; seals of 65 bytes.
    function submitEquivocation(bytes calldata headerA, bytes calldata sealA, bytes calldata headerB, bytes calldata sealB)
        external;
    /// Whether a fault of this validator at this height and round has been dealt with.
    function known(address validator, uint64 height, uint32 round) external view returns (bool);
}
