// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./Base.sol";

/// Two seals of one validator over two blocks of one height and round.
contract EvidenceTest is Base {
    bytes32 internal constant PARENT = bytes32(uint256(0xFA7E));

    struct Sealed {
        bytes header;
        bytes seal;
    }

    function setUp() public override {
        super.setUp();
        vm.roll(300);
        vm.setBlockhash(299, PARENT);
    }

    function _string(bytes memory data) internal pure returns (bytes memory) {
        if (data.length == 1 && uint8(data[0]) < 0x80) return data;
        return abi.encodePacked(_head(data.length, 0x80), data);
    }

    function _list(bytes memory content) internal pure returns (bytes memory) {
        return abi.encodePacked(_head(content.length, 0xc0), content);
    }

    function _head(uint256 length, uint256 base) internal pure returns (bytes memory) {
        if (length < 56) return abi.encodePacked(uint8(base + length));
        if (length < 256) return abi.encodePacked(uint8(base + 56), uint8(length));
        return abi.encodePacked(uint8(base + 57), uint16(length));
    }

    function _number(uint256 number) internal pure returns (bytes memory data) {
        for (; number != 0; number >>= 8) data = abi.encodePacked(uint8(number), data);
        return _string(data);
    }

    /// A header as QBFT has it, with the round and no seals; `mark` makes it another block.
    function _header(bytes32 parent, uint256 height, uint256 round, bytes32 mark, bytes memory seals)
        internal
        pure
        returns (bytes memory)
    {
        bytes memory addresses = abi.encodePacked(_string(new bytes(20)), _string(new bytes(20)));
        bytes memory extra =
            abi.encodePacked(_string(new bytes(32)), _list(addresses), _list(""), _number(round), _list(seals));
        bytes memory head = abi.encodePacked(
            _string(abi.encodePacked(parent)), _string(new bytes(32)), _string(new bytes(20)), _string(abi.encodePacked(mark))
        );
        head = abi.encodePacked(head, _string(new bytes(32)), _string(new bytes(32)), _string(new bytes(256)));
        head = abi.encodePacked(head, _number(1), _number(height), _number(30_000_000), _number(0), _number(1_700_000_000));
        bytes memory tail = abi.encodePacked(_string(_list(extra)), _string(new bytes(32)), _string(new bytes(8)), _number(0));
        return _list(abi.encodePacked(head, tail));
    }

    function _sealed(uint256 who, uint256 height, uint256 round, bytes32 mark) internal pure returns (Sealed memory s) {
        s.header = _header(PARENT, height, round, mark, "");
        s.seal = _seal(who, s.header, 0);
    }

    function _seal(uint256 who, bytes memory header, uint8 offset) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey(who), keccak256(header));
        return abi.encodePacked(r, s, v - 27 + offset);
    }

    function _submit(Sealed memory a, Sealed memory b) internal {
        evidence.submitEquivocation(a.header, a.seal, b.header, b.seal);
    }

    function test_two_blocks_of_one_round_bar_the_validator() public {
        Sealed memory a = _sealed(3, 300, 1, "a");
        Sealed memory b = _sealed(3, 300, 1, "b");
        no(evidence.known(validator(3), 300, 1), "not known");
        by(account(0));
        _submit(a, b);
        ValidatorState memory s = validators.getValidator(nodeKey(3));
        eq(s.strikes, 4, "strikes");
        yes(s.flags & FLAG_BARRED != 0, "barred");
        yes(evidence.known(validator(3), 300, 1), "known");
        endBlock();
        no(seated(validator(3)), "out");
    }

    /// Or the same fault would bar it again after the network took it back.
    function test_a_fault_counts_once() public {
        Sealed memory a = _sealed(3, 300, 1, "a");
        Sealed memory b = _sealed(3, 300, 1, "b");
        _submit(a, b);
        refused(AlreadyKnown.selector);
        _submit(a, b);
        refused(AlreadyKnown.selector);
        _submit(b, a);
        Sealed memory c = _sealed(3, 300, 1, "c");
        refused(AlreadyKnown.selector);
        _submit(a, c);
    }

    function test_what_is_no_fault() public {
        Sealed memory a = _sealed(3, 300, 1, "a");
        refused(SameBlock.selector);
        _submit(a, a);
        Sealed memory b = _sealed(3, 300, 2, "b");
        refused(DifferentSlot.selector);
        _submit(a, b);
        b = _sealed(3, 301, 1, "b");
        refused(DifferentSlot.selector);
        _submit(a, b);
        b = _sealed(2, 300, 1, "b");
        refused(DifferentSigner.selector);
        _submit(a, b);
    }

    function test_a_stranger_is_no_validator() public {
        Sealed memory a = _sealed(77, 300, 0, "a");
        Sealed memory b = _sealed(77, 300, 0, "b");
        refused(NotValidator.selector);
        _submit(a, b);
    }

    /// The same key may seal in a test network; blocks there have other parents.
    function test_blocks_of_another_chain_prove_nothing() public {
        Sealed memory a;
        Sealed memory b;
        a.header = _header(bytes32("another chain"), 300, 0, "a", "");
        a.seal = _seal(3, a.header, 0);
        b.header = _header(bytes32("another chain"), 300, 0, "b", "");
        b.seal = _seal(3, b.header, 0);
        refused(OtherChain.selector);
        _submit(a, b);
        b = _sealed(3, 300, 0, "b");
        refused(OtherChain.selector);
        _submit(a, b);
        a = _sealed(3, 0, 0, "a");
        b = _sealed(3, 0, 0, "b");
        refused(OtherChain.selector);
        _submit(a, b);
        a = _sealed(3, 400, 0, "a");
        b = _sealed(3, 400, 0, "b");
        refused(OtherChain.selector);
        _submit(a, b);
    }

    function test_older_blocks_where_the_network_keeps_their_hashes() public {
        Sealed memory a = _sealed(3, 20, 0, "a");
        Sealed memory b = _sealed(3, 20, 0, "b");
        refused(OtherChain.selector);
        _submit(a, b);
        // Answers PARENT for every height.
        address history = 0x0000F90827F1C53a10cb7A02335B175320002935;
        vm.etch(history, abi.encodePacked(hex"7f", PARENT, hex"5f5260205ff3"));
        _submit(a, b);
        yes(evidence.known(validator(3), 20, 0), "known");
    }

    function test_forms_of_seals() public {
        Sealed memory a = _sealed(3, 300, 0, "a");
        Sealed memory b = _sealed(3, 300, 0, "b");
        bytes memory good = a.seal;
        a.seal = hex"00";
        refused(BadSeal.selector);
        _submit(a, b);
        a.seal = new bytes(65);
        refused(BadSeal.selector);
        _submit(a, b);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey(3), keccak256(a.header));
        uint256 order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
        a.seal = abi.encodePacked(r, order - uint256(s), v == 27 ? uint8(1) : uint8(0));
        refused(BadSeal.selector);
        _submit(a, b);
        a.seal = good;
        b.seal = _seal(3, b.header, 27);
        _submit(a, b);
    }

    function test_forms_of_headers() public {
        Sealed memory b = _sealed(3, 300, 0, "b");
        Sealed memory a;
        a.header = _header(PARENT, 300, 0, "a", _string(new bytes(65)));
        a.seal = _seal(3, a.header, 0);
        refused(SealsNotEmpty.selector);
        _submit(a, b);
        a.header = abi.encodePacked(_sealed(3, 300, 0, "a").header, hex"00");
        refused(BadHeader.selector);
        _submit(a, b);
        a.header = hex"";
        refused(BadHeader.selector);
        _submit(a, b);
        a.header = hex"c0";
        refused(BadHeader.selector);
        _submit(a, b);
        a.header = new bytes(9000);
        refused(BadHeader.selector);
        _submit(a, b);
    }

    /// No bytes at all make it do anything but refuse or strike the signer of both.
    function testFuzz_damaged_headers_are_refused(uint16 at, bytes1 value) public {
        Sealed memory a = _sealed(3, 300, 0, "a");
        Sealed memory b = _sealed(3, 300, 0, "b");
        uint256 place = at % a.header.length;
        vm.assume(a.header[place] != value);
        a.header[place] = value;
        vm.expectRevert();
        _submit(a, b);
    }
}
