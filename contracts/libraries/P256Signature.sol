// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

/// @title ECDSA on P-256 as vendors sign
/// @notice Their signatures have the high or the low s, and both are valid; nothing here depends on a signature having one
///         form only. With the precompile of EIP-7951 one costs 7,000 gas, without it about 250,000.
library P256Signature {
    uint256 private constant HALF_ORDER = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8;

    function holds(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) internal view returns (bool) {
        if (_precompile(digest, r, s, x, y)) return true;
        // It is not valid, or there is no precompile.
        if (uint256(s) >= P256.N) return false;
        return P256.verify(digest, r, uint256(s) > HALF_ORDER ? bytes32(P256.N - uint256(s)) : s, x, y);
    }

    /// @dev EIP-7951: returns 1 if the signature is valid, nothing if it is not or there is no such precompile.
    function _precompile(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) private view returns (bool valid) {
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, digest)
            mstore(add(input, 0x20), r)
            mstore(add(input, 0x40), s)
            mstore(add(input, 0x60), x)
            mstore(add(input, 0x80), y)
            mstore(0x00, 0)
            let called := staticcall(gas(), 0x100, input, 0xa0, 0x00, 0x20)
            valid := and(called, eq(mload(0x00), 1))
        }
    }
}
