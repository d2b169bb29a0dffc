// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Whether a version takes jobs, and what disagreement about its outputs means.
enum Offering {
    Exact,
    /// @dev Floating point, say: equal work can give unequal outputs, so nobody is slashed for another one (CHAL-14).
    Inexact,
    Withdrawn
}

/// @notice What an owner asks for.
/// @param price wei that each agreeing seat of a job costs
/// @param ownerPercent share of it that is the owner's, in 1/100, at most 50; never changes
/// @param inexact whether equal work can give unequal outputs; never changes
struct Offer {
    uint72 price;
    uint8 ownerPercent;
    bool inexact;
}

/// @notice One published model version. Slot 0 is all that a request reads.
/// @param owner who published it, and alone may change its price or deprecate it
/// @param price wei that each agreeing seat of a job costs
/// @param ownerPercent share of it that is the owner's, in 1/100
/// @param policyRevision 0 for a version without a policy, else 1 as published and one more for each narrowing
/// @param offering whether it takes jobs, and of which kind its arithmetic is
/// @param manifestHash SHA-256 of the manifest, which in turn names every tensor's digest
/// @param policyHash hash of the policy that workers must meet; zero for an open version
/// @param uri where the package can be had; a hint, since the hash decides
struct Version {
    address owner;
    uint72 price;
    uint8 ownerPercent;
    uint8 policyRevision;
    Offering offering;
    bytes32 manifestHash;
    bytes32 policyHash;
    string uri;
}
