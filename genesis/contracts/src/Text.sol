// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Checks and forms of text.
library Text {
    uint256 private constant ONES = 0x0101010101010101010101010101010101010101010101010101010101010101;

    /// An LEI as ISO 17442 has it: 18 digits or capital letters and two check digits, mod 97-10, left-aligned.
    function isLei(bytes32 value) internal pure returns (bool) {
        uint256 remainder = 0;
        for (uint256 i = 0; i < 20; i++) {
            uint256 c = uint8(value[i]);
            if (c >= 0x30 && c <= 0x39) remainder = (remainder * 10 + c - 0x30) % 97;
            else if (c >= 0x41 && c <= 0x5a && i < 18) remainder = (remainder * 100 + c - 0x37) % 97;
            else return false;
        }
        return remainder == 1 && uint256(value) << 160 == 0;
    }

    /// Endpoints are printable ASCII without spaces.
    function isPrintable(bytes memory text) internal pure returns (bool) {
        for (uint256 i = 0; i < text.length; i++) {
            uint8 c = uint8(text[i]);
            if (c < 0x21 || c > 0x7e) return false;
        }
        return true;
    }

    /// 32 hex digits, one a byte, as the 16 bytes they mean. All of them at once: this stands on the path of every connection.
    function hexWord(uint256 digits) internal pure returns (uint256 value, bool ok) {
        unchecked {
            uint256 nibble = digits & (ONES * 0x0f);
            uint256 letter = (digits >> 6) & ONES;
            // A digit is 0x3_, a letter 0x4_ or 0x6_.
            ok = digits & (ONES * 0xd0) == (letter << 6) | ((letter ^ ONES) << 4)
                && (digits | (letter << 5)) & (ONES * 0x20) == ONES * 0x20;
            // Digits go up to 9, letters from 1 to 6.
            ok = ok && (nibble + (letter ^ ONES) * 6) & ((letter ^ ONES) << 4) == 0
                && (nibble + letter * 15) & (ONES << 4) == letter << 4;
            value = nibble + letter * 9;
            ok = ok && value & (ONES * 0xf0) == 0;
            // One digit a byte becomes two, then the gaps are closed, doubling at each step.
            value = (value | (value >> 4)) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
            value = (value | (value >> 8)) & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
            value = (value | (value >> 16)) & 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
            value = (value | (value >> 32)) & 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
            value = (value | (value >> 64)) & type(uint128).max;
        }
    }

    /// A number in decimal digits.
    function decimal(uint256 number) internal pure returns (string memory) {
        if (number == 0) return "0";
        bytes memory reversed = new bytes(78);
        uint256 length = 0;
        for (; number > 0; number /= 10) reversed[length++] = bytes1(uint8(0x30 + (number % 10)));
        bytes memory text = new bytes(length);
        for (uint256 i = 0; i < length; i++) text[i] = reversed[length - 1 - i];
        return string(text);
    }

    /// Bytes as lower-case hex digits, without 0x.
    function hexOf(bytes memory data) internal pure returns (string memory) {
        bytes16 digits = "0123456789abcdef";
        bytes memory text = new bytes(data.length * 2);
        for (uint256 i = 0; i < data.length; i++) {
            text[2 * i] = digits[uint8(data[i]) >> 4];
            text[2 * i + 1] = digits[uint8(data[i]) & 15];
        }
        return string(text);
    }
}
