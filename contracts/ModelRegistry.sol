// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {VersionId} from "./types/Ids.sol";
import {Version} from "./types/Version.sol";

/// @title Registry of model versions; see IModelRegistry
contract ModelRegistry is IModelRegistry {
    uint256 public constant MAX_URI = 512;

    mapping(VersionId => Version) private _versions;

    /// @inheritdoc IModelRegistry
    function publish(bytes32 manifestHash, bytes32 policyHash, uint88 price, string calldata uri)
        external
        returns (VersionId id)
    {
        if (manifestHash == 0) revert ModelRegistry_ZeroManifest();
        if (price == 0) revert ModelRegistry_ZeroPrice();
        if (bytes(uri).length > MAX_URI) revert ModelRegistry_UriTooLong(bytes(uri).length, MAX_URI);
        id = versionId(msg.sender, manifestHash);
        if (_versions[id].owner != address(0)) revert ModelRegistry_AlreadyPublished(id);

        _versions[id] = Version(msg.sender, price, false, manifestHash, policyHash, uri);
        emit VersionPublished(id, msg.sender, manifestHash, policyHash, price, uri);
    }

    /// @inheritdoc IModelRegistry
    function setPrice(VersionId id, uint88 price) external {
        Version storage v = _owned(id);
        if (price == 0) revert ModelRegistry_ZeroPrice();
        v.price = price;
        emit PriceChanged(id, price);
    }

    /// @inheritdoc IModelRegistry
    function deprecate(VersionId id) external {
        _owned(id).deprecated = true;
        emit VersionDeprecated(id);
    }

    /// @inheritdoc IModelRegistry
    function priceOf(VersionId id) external view returns (uint256) {
        Version storage v = _versions[id];
        if (v.owner == address(0)) revert ModelRegistry_NotPublished(id);
        if (v.deprecated) revert ModelRegistry_Deprecated(id);
        return v.price;
    }

    /// @inheritdoc IModelRegistry
    function version(VersionId id) external view returns (Version memory) {
        return _versions[id];
    }

    /// @inheritdoc IModelRegistry
    function versionId(address owner, bytes32 manifestHash) public view returns (VersionId) {
        return VersionId.wrap(keccak256(abi.encode(block.chainid, address(this), owner, manifestHash)));
    }

    /// @dev A version that takes jobs still, of which the caller is the owner.
    function _owned(VersionId id) private view returns (Version storage v) {
        v = _versions[id];
        if (v.owner == address(0)) revert ModelRegistry_NotPublished(id);
        if (v.owner != msg.sender) revert ModelRegistry_NotOwner(msg.sender, v.owner);
        if (v.deprecated) revert ModelRegistry_Deprecated(id);
    }
}
