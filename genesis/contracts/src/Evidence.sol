// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Addresses.sol";
import "./Errors.sol";
import "./Types.sol";
import "./interfaces/IEvidence.sol";
import "./interfaces/IRegistry.sol";
import "./interfaces/IValidators.sol";

/// Proof that a validator sealed two blocks of one height and round. A QBFT commit seal signs the hash of the header with its
/// round and an empty list of seals. The seal names no chain, so both headers must stand on a block of this one.
contract Evidence is IEvidence {
    struct Header {
        bytes32 digest;
        bytes32 parentHash;
        uint64 height;
        uint32 round;
    }

    /// Headers of the largest set with room to spare.
    uint256 private constant LONGEST_HEADER = 8192;
    uint256 private constant PARENT_HASH = 0;
    uint256 private constant NUMBER = 8;
    uint256 private constant EXTRA_DATA = 12;
    uint256 private constant EXTRA_ROUND = 3;
    uint256 private constant EXTRA_SEALS = 4;
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 private constant HASHES_KEPT = 256;
    /// EIP-2935: answers the hashes of the last 8191 blocks, where the network has it.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    // slot 0
    mapping(bytes32 fault => bool) internal faults;

    /// @inheritdoc IEvidence
    function submitEquivocation(bytes calldata headerA, bytes calldata sealA, bytes calldata headerB, bytes calldata sealB)
        external
    {
        Header memory a = _header(headerA);
        Header memory b = _header(headerB);
        if (a.digest == b.digest) revert SameBlock();
        if (a.height != b.height || a.round != b.round) revert DifferentSlot();
        if (a.parentHash != b.parentHash || a.parentHash != _hashOf(a.height)) revert OtherChain(a.height);
        address signer = _signer(a.digest, sealA);
        if (signer != _signer(b.digest, sealB)) revert DifferentSigner();
        bytes32 nodeKey = IRegistry(REGISTRY).nodeOfValidator(signer);
        if (nodeKey == 0) revert NotValidator(signer);
        bytes32 fault = keccak256(abi.encode(signer, a.height, a.round));
        if (faults[fault]) revert AlreadyKnown();
        faults[fault] = true;
        emit Equivocation(nodeKey, a.height, a.round, a.digest, b.digest);
        IValidators(VALIDATORS).strike(nodeKey, a.height);
    }

    /// @inheritdoc IEvidence
    function known(address validator, uint64 height, uint32 round) external view returns (bool) {
        return faults[keccak256(abi.encode(validator, height, round))];
    }

    /// The hash of the parent of a height, 0 if this chain does not tell.
    function _hashOf(uint64 height) private view returns (bytes32) {
        if (height == 0 || height > block.number) return 0;
        uint256 parent = height - 1;
        if (parent + HASHES_KEPT >= block.number) return blockhash(parent);
        (bool ok, bytes memory answer) = HISTORY.staticcall(abi.encode(parent));
        return ok && answer.length == 32 ? abi.decode(answer, (bytes32)) : bytes32(0);
    }

    function _signer(bytes32 digest, bytes calldata seal) private pure returns (address signer) {
        if (seal.length != 65) revert BadSeal();
        uint8 v = uint8(seal[64]);
        if (v < 27) v += 27;
        if (uint256(bytes32(seal[32:64])) > HALF_ORDER) revert BadSeal();
        signer = ecrecover(digest, v, bytes32(seal[:32]), bytes32(seal[32:64]));
        if (signer == address(0)) revert BadSeal();
    }

    function _header(bytes calldata rlp) private pure returns (Header memory header) {
        if (rlp.length > LONGEST_HEADER) revert BadHeader();
        header.digest = keccak256(rlp);
        bytes calldata fields = _list(rlp);
        for (uint256 i = 0; i <= EXTRA_DATA; i++) {
            bytes calldata field;
            (field, fields) = _string(fields);
            if (i == PARENT_HASH) {
                if (field.length != 32) revert BadHeader();
                header.parentHash = bytes32(field);
            } else if (i == NUMBER) {
                header.height = uint64(_number(field, 8));
            } else if (i == EXTRA_DATA) {
                header.round = _round(field);
            }
        }
    }

    /// The round in the extra data, whose list of seals must be empty.
    function _round(bytes calldata extra) private pure returns (uint32 round) {
        bytes calldata fields = _list(extra);
        for (uint256 i = 0; i < EXTRA_ROUND; i++) (, fields) = _item(fields);
        bytes calldata field;
        (field, fields) = _string(fields);
        round = uint32(_number(field, 4));
        if (fields.length != 1 || fields[0] != 0xc0) revert SealsNotEmpty();
    }

    // --- RLP ---------------------------------------------------------------------------------------------------------

    /// What is inside a list that fills all of the data.
    function _list(bytes calldata data) private pure returns (bytes calldata content) {
        if (data.length == 0 || uint8(data[0]) < 0xc0) revert BadHeader();
        (uint256 start, uint256 length) = _extent(data);
        if (start + length != data.length) revert BadHeader();
        return data[start:];
    }

    /// The first item, which must be a string, and what follows it.
    function _string(bytes calldata data) private pure returns (bytes calldata content, bytes calldata rest) {
        if (data.length == 0 || uint8(data[0]) >= 0xc0) {
            // The list of ommers is always empty; it alone may stand among the header's fields.
            if (data.length == 0 || data[0] != 0xc0) revert BadHeader();
        }
        return _item(data);
    }

    function _item(bytes calldata data) private pure returns (bytes calldata content, bytes calldata rest) {
        (uint256 start, uint256 length) = _extent(data);
        return (data[start:start + length], data[start + length:]);
    }

    /// Where the content of the first item begins and how long it is.
    function _extent(bytes calldata data) private pure returns (uint256 start, uint256 length) {
        if (data.length == 0) revert BadHeader();
        uint256 first = uint8(data[0]);
        if (first < 0x80) return (0, 1);
        uint256 base = first < 0xc0 ? 0x80 : 0xc0;
        if (first <= base + 55) {
            (start, length) = (1, first - base);
        } else {
            uint256 size = first - base - 55;
            // Longer lengths than two bytes can tell are beyond the longest header.
            if (size > 2 || data.length < 1 + size) revert BadHeader();
            for (uint256 i = 1; i <= size; i++) length = length << 8 | uint8(data[i]);
            start = 1 + size;
        }
        if (start + length > data.length) revert BadHeader();
    }

    function _number(bytes calldata field, uint256 longest) private pure returns (uint256 number) {
        if (field.length > longest) revert BadHeader();
        for (uint256 i = 0; i < field.length; i++) number = number << 8 | uint8(field[i]);
    }
}
