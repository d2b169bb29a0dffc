// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice How a proof refers to a vector of values. The number is part of every digest: append, never reorder.
enum Kind {
    Public,
    Committed,
    Masked
}

/// @title Digests of what a proof is about
/// @notice A market passes a digest to the verifier and the worker passes what it stands for inside the proof: a proof
///         system with other commitments changes no interface. Rule JOB-28 of docs/spec/protocol.md.
library Digest {
    /// @notice The digest of an input.
    /// @param batchBits the input has 2^batchBits rows: a commitment does not tell, and an input stands for so many answers
    /// @param commitment keccak256 of the commitment's points; 0 for a public input
    /// @param values keccak256 of the public values; 0 for a committed input
    function input(Kind kind, uint256 batchBits, bytes32 commitment, bytes32 values) internal pure returns (bytes32) {
        return keccak256(abi.encode(kind, batchBits, commitment, values));
    }

    /// @notice The digest of an output.
    /// @param commitment keccak256 of the commitment's points; 0 for a public output
    /// @param values keccak256 of the public part; 0 if there is none
    function output(Kind kind, bytes32 commitment, bytes32 values) internal pure returns (bytes32) {
        return keccak256(abi.encode(kind, commitment, values));
    }

    /// @notice An output that is public up to a committed one-time pad.
    /// @param pad keccak256 of the points of the pad's commitment
    /// @param words the sums of output and pad
    function masked(bytes32 pad, bytes calldata words) internal pure returns (bytes32) {
        return output(Kind.Masked, pad, keccak256(words));
    }

    /// @notice What a request of level PROVED binds besides the input itself.
    /// @param inputDigest the digest of the committed input, as `input` gives it
    /// @param pad keccak256 of the points of the pad's commitment
    function circuitInput(bytes32 inputDigest, bytes32 pad) internal pure returns (bytes32) {
        return keccak256(abi.encode(inputDigest, pad));
    }
}
