// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Version} from "../../contracts/types/Version.sol";
import {Base, IModelRegistry, VersionId, vm} from "./Base.t.sol";

contract ModelRegistryTest is Base {
    bytes32 private constant MANIFEST = keccak256("another manifest");

    function _publishVersion(bytes32 manifest, uint72 price, string memory uri) private returns (VersionId) {
        vm.prank(owner);
        return models.publish(manifest, _open(), price, uri);
    }

    /// MODEL-1
    function test_publish__new_version__is_stored() public {
        VersionId expected = VersionId.wrap(keccak256(abi.encode(block.chainid, address(models), owner, MANIFEST)));
        vm.expectEmit(address(models));
        emit IModelRegistry.VersionPublished(expected, owner, MANIFEST, 0, 5, "ipfs://x", _open());
        VersionId given = _publishVersion(MANIFEST, 5, "ipfs://x");
        vm.assertEq(VersionId.unwrap(given), VersionId.unwrap(expected));
        vm.assertEq(VersionId.unwrap(models.versionId(owner, MANIFEST)), VersionId.unwrap(expected));
        Version memory v = models.version(given);
        vm.assertEq(v.owner, owner);
        vm.assertEq(v.price, 5);
        vm.assertFalse(v.deprecated);
        vm.assertEq(v.manifestHash, MANIFEST);
        vm.assertEq(v.policyHash, 0);
        vm.assertEq(v.policyRevision, 0);
        vm.assertEq(v.uri, "ipfs://x");
        vm.assertEq(models.priceOf(given), 5);
    }

    /// MODEL-1: one manifest under two names is two versions; one name takes a manifest once.
    function test_publish__again__reverts_for_the_same_owner_only() public {
        VersionId mine = _publishVersion(MANIFEST, 5, "");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_AlreadyPublished.selector, mine));
        _publishVersion(MANIFEST, 6, "");
        vm.prank(stranger);
        VersionId theirs = models.publish(MANIFEST, _open(), 7, "");
        vm.assertTrue(VersionId.unwrap(mine) != VersionId.unwrap(theirs));
        vm.assertEq(models.priceOf(mine), 5);
    }

    /// MODEL-2: deprecation is final: the version cannot be published anew.
    function test_publish__deprecated_version__reverts() public {
        VersionId mine = _publishVersion(MANIFEST, 5, "");
        vm.prank(owner);
        models.deprecate(mine);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_AlreadyPublished.selector, mine));
        _publishVersion(MANIFEST, 5, "");
    }

    /// MODEL-1, MODEL-3
    function test_publish__zero_manifest_or_price_or_long_uri__reverts() public {
        vm.expectRevert(IModelRegistry.ModelRegistry_ZeroManifest.selector);
        _publishVersion(0, 5, "");
        vm.expectRevert(IModelRegistry.ModelRegistry_ZeroPrice.selector);
        _publishVersion(MANIFEST, 0, "");
        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistry_UriTooLong.selector, uint256(513), uint256(512))
        );
        _publishVersion(MANIFEST, 5, string(new bytes(513)));
        _publishVersion(MANIFEST, 5, string(new bytes(512)));
    }

    /// MODEL-2
    function test_setPrice__owner__changes_it() public {
        vm.expectEmit(address(models));
        emit IModelRegistry.PriceChanged(version, 42);
        vm.prank(owner);
        models.setPrice(version, 42);
        vm.assertEq(models.priceOf(version), 42);
        vm.assertEq(models.version(version).manifestHash, keccak256("manifest"));
    }

    /// MODEL-2, MODEL-3
    function test_setPrice__stranger_zero_unknown_or_deprecated__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotOwner.selector, stranger, owner));
        vm.prank(stranger);
        models.setPrice(version, 42);

        vm.expectRevert(IModelRegistry.ModelRegistry_ZeroPrice.selector);
        vm.prank(owner);
        models.setPrice(version, 0);

        VersionId none = VersionId.wrap(0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, none));
        vm.prank(owner);
        models.setPrice(none, 42);

        vm.startPrank(owner);
        models.deprecate(version);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, version));
        models.setPrice(version, 42);
    }

    /// MODEL-2
    function test_deprecate__owner__is_final() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotOwner.selector, stranger, owner));
        vm.prank(stranger);
        models.deprecate(version);

        vm.startPrank(owner);
        vm.expectEmit(address(models));
        emit IModelRegistry.VersionDeprecated(version);
        models.deprecate(version);
        vm.assertTrue(models.version(version).deprecated);
        bytes memory expected = abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, version);
        vm.expectRevert(expected);
        models.priceOf(version);
        vm.expectRevert(expected);
        models.deprecate(version);
    }

    /// MODEL-2: posted jobs keep their price and run to their end.
    function test_deprecate_and_setPrice__posted_job__is_untouched() public {
        _request();
        vm.startPrank(owner);
        models.setPrice(version, 2 * PRICE);
        models.deprecate(version);
        vm.stopPrank();
        _deliver();
        _commitAll(RIGHT, RIGHT, RIGHT);
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(i, RIGHT);
        }
        _assertCredits(PRICE, PRICE, PRICE);
    }

    function test_priceOf__unknown_version__reverts() public {
        VersionId none = VersionId.wrap(keccak256("none"));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, none));
        models.priceOf(none);
    }
}
