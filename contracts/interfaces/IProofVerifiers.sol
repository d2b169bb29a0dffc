// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifier} from "./IProofVerifier.sol";

/// @title Proof systems by number
/// @notice Anybody adds a verifier and is its steward; model owners choose. Rules VERIFIER-* of docs/spec/protocol.md.
///
///         Safety rests on: nothing here; being listed says nothing about a verifier. Liveness of a version's PROVED jobs
///         rests on the steward of its verifier, who can remove it and nothing else: then no new job is taken, no proof
///         counts, no worker is slashed for a missing one and requesters get back their escrow.
interface IProofVerifiers {
    event VerifierAdded(uint32 indexed id, IProofVerifier indexed verifier, address indexed steward);
    event VerifierRemoved(uint32 indexed id);

    error ProofVerifiers_NoCode(address verifier);
    error ProofVerifiers_Unknown(uint32 id);
    error ProofVerifiers_Removed(uint32 id);
    error ProofVerifiers_NotSteward(address caller, address steward);

    /// @notice Lists a verifier under the next number, with the caller as its steward. One that is listed already, or was
    ///         removed, gets another number.
    function add(IProofVerifier verifier) external returns (uint32 id);

    /// @notice Removes a verifier that turned out to accept false proofs, for good. Its steward only.
    function remove(uint32 id) external;

    /// @notice The verifier of a number; reverts for a number that was never given, or whose verifier was removed.
    function verifierOf(uint32 id) external view returns (IProofVerifier);

    /// @notice Reverts for a number that was never given.
    function isRemoved(uint32 id) external view returns (bool);

    /// @notice Reverts for a number that was never given.
    function stewardOf(uint32 id) external view returns (address);

    /// @notice How many numbers have been given; the first is 1.
    function count() external view returns (uint32);
}
