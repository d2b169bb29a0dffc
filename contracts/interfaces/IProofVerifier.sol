// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title One proof system, as the market and the model registry see it
/// @notice Rules VERIFIER-* of docs/spec/protocol.md. A verifier holds no money and is told nothing but digests, so a new
///         proof system is a new contract behind this interface.
///
///         What a verifier vouches for: some weights behind `weights` turn the input behind `input` into the output behind
///         `output` on the circuit behind `circuit`. What it cannot vouch for: that the weights are good, or are those of
///         the model that the owner advertises; that the circuit is the one that the owner meant; that the input is the one
///         in the ciphertext (the request binds both, and the worker checks them); that whoever reads `output` knows its
///         pad. Nor is it bound to anything that its code does not say: a proxy can change its mind, so look at the code.
interface IProofVerifier {
    /// @notice True only for a valid proof. For anything else it returns false or reverts.
    /// @dev Called with staticcall. It MUST bind the proof to every argument: a proof that is also valid for another
    ///      context can be copied by another worker.
    /// @param circuit keccak256 of the circuit descriptor
    /// @param weights keccak256 of the weight commitments
    /// @param input digest of the input, see Digest
    /// @param output digest of the output, see Digest
    /// @param context binds the proof to one job and one worker
    function verify(
        bytes32 circuit,
        bytes32 weights,
        bytes32 input,
        bytes32 output,
        bytes32 context,
        bytes calldata proof
    ) external view returns (bool);

    /// @notice True only if `descriptor`, whose keccak256 must be `circuit`, is a well-formed circuit and `proof` shows that
    ///         every weight behind `weights` is an integer of the declared width. Asked once, at registration.
    /// @param context binds the proof to one model version
    function verifyWeights(
        bytes32 circuit,
        bytes32 weights,
        bytes32 context,
        bytes calldata descriptor,
        bytes calldata proof
    ) external view returns (bool);
}
