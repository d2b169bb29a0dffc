// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {VersionId} from "../types/Ids.sol";
import {Version} from "../types/Version.sol";

/// @title Registry of model versions
/// @notice A version is an immutable manifest hash with an owner, a price and a policy. Jobs name exactly one.
///         Rules MODEL-* of docs/spec/protocol.md.
interface IModelRegistry {
    event VersionPublished(
        VersionId indexed version,
        address indexed owner,
        bytes32 manifestHash,
        bytes32 policyHash,
        uint256 price,
        string uri
    );
    event PriceChanged(VersionId indexed version, uint256 price);
    event VersionDeprecated(VersionId indexed version);

    error ModelRegistry_AlreadyPublished(VersionId version);
    error ModelRegistry_NotPublished(VersionId version);
    error ModelRegistry_NotOwner(address caller, address owner);
    error ModelRegistry_Deprecated(VersionId version);
    error ModelRegistry_ZeroPrice();
    error ModelRegistry_ZeroManifest();
    error ModelRegistry_UriTooLong(uint256 length, uint256 maximum);

    /// @notice Publishes a version under the caller's name.
    /// @param manifestHash SHA-256 of the manifest
    /// @param policyHash hash of the policy that workers must meet; zero for none
    /// @param price wei per agreeing worker, at least 1: the stake at risk is a multiple of it
    /// @param uri where the package can be had, at most 512 bytes
    function publish(bytes32 manifestHash, bytes32 policyHash, uint88 price, string calldata uri)
        external
        returns (VersionId version);

    /// @notice Changes the price of later jobs; requests already posted keep theirs.
    function setPrice(VersionId version, uint88 price) external;

    /// @notice Ends new jobs for a version, for good. Jobs already posted run to their end.
    function deprecate(VersionId version) external;

    /// @notice Wei per agreeing worker of a version that takes jobs; reverts for any other.
    function priceOf(VersionId version) external view returns (uint256 price);

    function version(VersionId id) external view returns (Version memory);

    /// @notice The id that `publish` gives.
    function versionId(address owner, bytes32 manifestHash) external view returns (VersionId);
}
