// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice RLP encoding of block headers, written from the Yellow Paper (appendix B), apart from the code under test.
library Header {
    /// @notice A header of the Osaka fork, 21 fields, that differs from its neighbours in `number` and `mixHash` only.
    function encode(uint256 number, bytes32 mixHash) internal pure returns (bytes memory) {
        return encode(number, mixHash, "cloister");
    }

    function encode(uint256 number, bytes32 mixHash, bytes memory extraData) internal pure returns (bytes memory) {
        bytes memory head = abi.encodePacked(
            hash("parent"),
            hash("ommers"),
            hex"94",
            bytes20(keccak256("coinbase")),
            hash("state"),
            hash("transactions"),
            hash("receipts"),
            hex"b90100",
            new bytes(256)
        );
        bytes memory middle = abi.encodePacked(
            hex"80", // difficulty: zero since the merge
            integer(number),
            integer(60_000_000),
            integer(123_456),
            integer(1_700_000_000 + number % 2 ** 32),
            text(extraData),
            hex"a0",
            mixHash
        );
        bytes memory tail = abi.encodePacked(
            hex"880000000000000000", // nonce
            integer(7), // base fee
            hash("withdrawals"),
            integer(0),
            integer(0),
            hash("beacon root"),
            hash("requests")
        );
        return list(abi.encodePacked(head, middle, tail));
    }

    function hash(string memory name) internal pure returns (bytes memory) {
        return abi.encodePacked(hex"a0", keccak256(bytes(name)));
    }

    function integer(uint256 value) internal pure returns (bytes memory) {
        if (value == 0) return hex"80";
        if (value < 0x80) return abi.encodePacked(uint8(value));
        bytes memory digits = bigEndian(value);
        return abi.encodePacked(uint8(0x80 + digits.length), digits);
    }

    function text(bytes memory value) internal pure returns (bytes memory) {
        if (value.length == 1 && uint8(value[0]) < 0x80) return value;
        if (value.length < 56) return abi.encodePacked(uint8(0x80 + value.length), value);
        bytes memory length = bigEndian(value.length);
        return abi.encodePacked(uint8(0xb7 + length.length), length, value);
    }

    function list(bytes memory payload) internal pure returns (bytes memory) {
        if (payload.length < 56) return abi.encodePacked(uint8(0xc0 + payload.length), payload);
        bytes memory length = bigEndian(payload.length);
        return abi.encodePacked(uint8(0xf7 + length.length), length, payload);
    }

    function bigEndian(uint256 value) internal pure returns (bytes memory digits) {
        uint256 size = 0;
        for (uint256 v = value; v != 0; v >>= 8) {
            ++size;
        }
        digits = new bytes(size);
        for (uint256 i = 0; i < size; ++i) {
            digits[i] = bytes1(uint8(value >> (8 * (size - 1 - i))));
        }
    }
}
