// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifier} from "../interfaces/IProofVerifier.sol";

/// @title A verifier for tests, which proves nothing
/// @notice Its one valid proof of a statement is the statement's hash: bound to every argument, as a real proof is, and at
///         hand for everybody, as a real proof is not.
contract MockVerifier is IProofVerifier {
    /// @inheritdoc IProofVerifier
    function verify(
        bytes32 circuit,
        bytes32 weights,
        bytes32 input,
        bytes32 output,
        bytes32 context,
        bytes calldata proof
    ) external pure returns (bool) {
        return keccak256(proof) == keccak256(proofOf(circuit, weights, input, output, context));
    }

    /// @inheritdoc IProofVerifier
    function verifyWeights(
        bytes32 circuit,
        bytes32 weights,
        bytes32 context,
        bytes calldata descriptor,
        bytes calldata proof
    ) external pure returns (bool) {
        return keccak256(descriptor) == circuit
            && keccak256(proof) == keccak256(weightsProofOf(circuit, weights, context));
    }

    function proofOf(bytes32 circuit, bytes32 weights, bytes32 input, bytes32 output, bytes32 context)
        public
        pure
        returns (bytes memory)
    {
        return abi.encode(keccak256(abi.encode("run", circuit, weights, input, output, context)));
    }

    function weightsProofOf(bytes32 circuit, bytes32 weights, bytes32 context) public pure returns (bytes memory) {
        return abi.encode(keccak256(abi.encode("weights", circuit, weights, context)));
    }
}
