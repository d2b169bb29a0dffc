// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What proofs about a model version are checked against; fixed once registered.
/// @param verifier id of the proof system's verifier; 0 while the version is not provable
/// @param circuit keccak256 of the circuit descriptor
/// @param weights keccak256 of the weight commitments
struct Circuit {
    uint32 verifier;
    bytes32 circuit;
    bytes32 weights;
}
