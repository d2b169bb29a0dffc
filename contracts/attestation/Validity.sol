// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title When a stored document holds
/// @notice The first word of its code, from the lowest bit: last second (40), second of issue (40), TCB evaluation number (32),
///         generation of the root (16), and 16 bits that are the table's own. The first byte is zero, so nobody can run it.
library Validity {
    function pack(uint40 issued_, uint40 until_, uint32 evaluation_, uint16 generation_, uint16 extra_)
        internal
        pure
        returns (uint256)
    {
        return uint256(until_) | (uint256(issued_) << 40) | (uint256(evaluation_) << 80) | (uint256(generation_) << 112)
            | (uint256(extra_) << 128);
    }

    /// @notice Of a stored document.
    function read(bytes memory table) internal pure returns (uint256 validity) {
        assembly ("memory-safe") {
            validity := mload(add(table, 0x20))
        }
    }

    function until(uint256 validity) internal pure returns (uint256) {
        return validity & type(uint40).max;
    }

    function issued(uint256 validity) internal pure returns (uint256) {
        return (validity >> 40) & type(uint40).max;
    }

    function evaluation(uint256 validity) internal pure returns (uint256) {
        return (validity >> 80) & type(uint32).max;
    }

    function generation(uint256 validity) internal pure returns (uint256) {
        return (validity >> 112) & type(uint16).max;
    }

    function extra(uint256 validity) internal pure returns (uint256) {
        return (validity >> 128) & type(uint16).max;
    }
}
