// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {R} from "./Field.sol";

/// @title The Fiat-Shamir transcript
/// @notice Section 8 of docs/spec/proofs.md. The state is one hash: after it absorbed a message, every challenge depends on
///         all that was sent before.
library Transcript {
    bytes32 private constant PROTOCOL = keccak256("cloister/matrix-proof/2");

    /// @notice The state that binds the whole statement (PROOF-4).
    function start(
        bytes32 circuit,
        bytes32 weights,
        bytes32 input,
        bytes32 output,
        bytes32 context,
        uint256 instanceBits
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(PROTOCOL, context, circuit, weights, input, output, instanceBits));
    }

    /// @notice keccak256(state ‖ message), for a message of `size` bytes at `ptr` in calldata.
    function absorb(bytes32 state, uint256 ptr, uint256 size) internal pure returns (bytes32 next) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, state)
            calldatacopy(add(buffer, 32), ptr, size)
            next := keccak256(buffer, add(size, 32))
        }
    }

    /// @notice Absorbs a message and draws challenge 0, as most steps do.
    function exchange(bytes32 state, uint256 ptr, uint256 size) internal pure returns (bytes32 next, uint256 element) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, state)
            calldatacopy(add(buffer, 32), ptr, size)
            next := keccak256(buffer, add(size, 32))
            mstore(0, next)
            mstore(32, 0)
            element := mod(keccak256(0, 64), R)
        }
    }

    /// @notice A field element; the bias of the remainder is part of the soundness bound.
    function challenge(bytes32 state, uint256 index) internal pure returns (uint256 element) {
        assembly ("memory-safe") {
            mstore(0, state)
            mstore(32, index)
            element := mod(keccak256(0, 64), R)
        }
    }

    /// @notice A point: challenges first .. first + count - 1, stored at `ptr`.
    function challenges(bytes32 state, uint256 first, uint256 count, uint256 ptr) internal pure {
        assembly ("memory-safe") {
            let r := R
            mstore(0, state)
            for { let end := add(first, count) } lt(first, end) { first := add(first, 1) } {
                mstore(32, first)
                mstore(ptr, mod(keccak256(0, 64), r))
                ptr := add(ptr, 32)
            }
        }
    }
}
