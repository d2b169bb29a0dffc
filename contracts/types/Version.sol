// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice One published model version. Slot 0 is all that a request reads.
/// @param owner who published it, and alone may change its price or deprecate it
/// @param price wei that each agreeing worker of a job earns
/// @param policyRevision 0 for a version without a policy, else 1 as published and one more for each narrowing
/// @param deprecated true once no new job may name it
/// @param manifestHash SHA-256 of the manifest, which in turn names every tensor's digest
/// @param policyHash hash of the policy that workers must meet; zero for an open version
/// @param uri where the package can be had; a hint, since the hash decides
struct Version {
    address owner;
    uint72 price;
    uint16 policyRevision;
    bool deprecated;
    bytes32 manifestHash;
    bytes32 policyHash;
    string uri;
}
