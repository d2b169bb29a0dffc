// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title What a past block's header says, proved by the block's hash
/// @notice `block.prevrandao` tells the value of the present block, which its builder sees before it decides what to
///         include. A draw needs the value of one fixed earlier block, which only the header holds.
library BlockHeader {
    /// @dev EIP-2935: serves the hashes of the last 8191 blocks, where `blockhash` ends at 256.
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    /// @dev Yellow Paper, section 4.3: mixHash (since EIP-4399 prevrandao) is the header's fourteenth field.
    uint256 private constant MIX_HASH = 13;

    error BlockHeader_HashUnavailable(uint256 number, uint256 current);
    error BlockHeader_Mismatch(bytes32 expected, bytes32 actual);
    error BlockHeader_Malformed();

    /// @notice prevrandao of block `number`, whose RLP-encoded header is `header`.
    function prevrandao(bytes calldata header, uint256 number) internal view returns (bytes32) {
        bytes32 expected = hashOf(number);
        bytes32 actual = keccak256(header);
        if (actual != expected) revert BlockHeader_Mismatch(expected, actual);
        return _mixHash(header);
    }

    /// @notice Hash of a past block, from the opcode or from the history contract.
    function hashOf(uint256 number) internal view returns (bytes32 hash) {
        hash = blockhash(number);
        if (hash == 0 && number < block.number) {
            (bool ok, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
            if (ok && answer.length == 32) hash = bytes32(answer);
        }
        if (hash == 0) revert BlockHeader_HashUnavailable(number, block.number);
    }

    /// @dev The hash was checked, so the bytes are a header; the checks here keep a chain with another header
    ///      format from being misread.
    function _mixHash(bytes calldata header) private pure returns (bytes32) {
        // A header is longer than 55 and shorter than 65,536 bytes: prefix 0xf8 or 0xf9.
        if (header.length < 2 || (header[0] != 0xf8 && header[0] != 0xf9)) revert BlockHeader_Malformed();
        uint256 cursor = header[0] == 0xf8 ? 2 : 3;
        for (uint256 field = 0; field < MIX_HASH; ++field) {
            if (cursor >= header.length) revert BlockHeader_Malformed();
            uint256 prefix = uint8(header[cursor]);
            if (prefix < 0x80) {
                cursor += 1;
            } else if (prefix < 0xb8) {
                cursor += 1 + prefix - 0x80;
            } else if (prefix < 0xc0) {
                uint256 lengthBytes = prefix - 0xb7;
                // A length that is cut off reads as if zeros followed; the cursor is past the end then, all the same.
                cursor += 1 + lengthBytes + (uint256(bytes32(header[cursor + 1:])) >> (256 - 8 * lengthBytes));
            } else {
                revert BlockHeader_Malformed(); // no field before mixHash is a list
            }
        }
        if (cursor + 33 > header.length || header[cursor] != 0xa0) revert BlockHeader_Malformed();
        return bytes32(header[cursor + 1:cursor + 33]);
    }
}
