// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Offering, Version} from "../../contracts/types/Version.sol";
import {Base, IModelRegistry, Offer, VersionId, vm} from "./Base.t.sol";

contract ModelRegistryTest is Base {
    bytes32 private constant MANIFEST = keccak256("another manifest");
    address private constant TOKEN = address(0x70CE2);

    function _publishVersion(bytes32 manifest, uint72 price, string memory uri) private returns (VersionId) {
        return _publishVersion(manifest, Offer(price, 0, false), uri);
    }

    function _publishVersion(bytes32 manifest, Offer memory offer, string memory uri) private returns (VersionId) {
        vm.prank(owner);
        return models.publish(manifest, _open(), offer, uri);
    }

    function _assertOffer(VersionId of_, address token, Offer memory expected) private view {
        (Offer memory offer, uint16 revision) = models.offerOf(of_, token);
        vm.assertEq(offer.price, expected.price);
        vm.assertEq(offer.ownerPercent, expected.ownerPercent);
        vm.assertEq(offer.inexact ? 1 : 0, expected.inexact ? 1 : 0);
        vm.assertEq(revision, 0);
    }

    /// MODEL-1
    function test_publish__new_version__is_stored() public {
        VersionId expected = VersionId.wrap(keccak256(abi.encode(block.chainid, address(models), owner, MANIFEST)));
        Offer memory offer = Offer(5, 7, false);
        vm.expectEmit(address(models));
        emit IModelRegistry.VersionPublished(expected, owner, MANIFEST, 0, offer, "ipfs://x", _open());
        VersionId given = _publishVersion(MANIFEST, offer, "ipfs://x");
        vm.assertEq(VersionId.unwrap(given), VersionId.unwrap(expected));
        vm.assertEq(VersionId.unwrap(models.versionId(owner, MANIFEST)), VersionId.unwrap(expected));
        Version memory v = models.version(given);
        vm.assertEq(v.owner, owner);
        vm.assertEq(v.price, 5);
        vm.assertEq(v.ownerPercent, 7);
        vm.assertEq(uint256(v.offering), uint256(Offering.Exact));
        vm.assertEq(v.manifestHash, MANIFEST);
        vm.assertEq(v.policyHash, 0);
        vm.assertEq(v.policyRevision, 0);
        vm.assertEq(v.uri, "ipfs://x");
        vm.assertEq(models.ownerOf(given), owner);
        vm.assertEq(models.ownerOf(VersionId.wrap(0)), address(0));
        vm.assertEq(models.verifierOf(given), 0);
        _assertOffer(given, COIN, offer);
    }

    /// MODEL-1: one manifest under two names is two versions; one name takes a manifest once.
    function test_publish__again__reverts_for_the_same_owner_only() public {
        VersionId mine = _publishVersion(MANIFEST, 5, "");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_AlreadyPublished.selector, mine));
        _publishVersion(MANIFEST, 6, "");
        vm.prank(stranger);
        VersionId theirs = models.publish(MANIFEST, _open(), Offer(7, 0, false), "");
        vm.assertTrue(VersionId.unwrap(mine) != VersionId.unwrap(theirs));
        _assertOffer(mine, COIN, Offer(5, 0, false));
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

    /// MODEL-10: an owner takes half of a seat's pay at most.
    function test_publish__owner_percent__at_most_fifty() public {
        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistry_OwnerPercentTooLarge.selector, uint256(51), uint256(50))
        );
        _publishVersion(MANIFEST, Offer(5, 51, false), "");
        _assertOffer(_publishVersion(MANIFEST, Offer(5, 50, false), ""), COIN, Offer(5, 50, false));
    }

    /// MODEL-11: the kind of arithmetic is fixed when a version is published, and its withdrawal is of either kind.
    function test_publish__inexact__stays_so_until_withdrawn() public {
        VersionId v = _publishVersion(MANIFEST, Offer(5, 1, true), "");
        vm.assertEq(uint256(models.version(v).offering), uint256(Offering.Inexact));
        vm.prank(owner);
        models.setPrice(v, 6);
        _assertOffer(v, COIN, Offer(6, 1, true));
        vm.prank(owner);
        models.deprecate(v);
        vm.assertEq(uint256(models.version(v).offering), uint256(Offering.Withdrawn));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, v));
        models.offerOf(v, COIN);
    }

    /// MODEL-2
    function test_setPrice__owner__changes_it() public {
        vm.expectEmit(address(models));
        emit IModelRegistry.PriceChanged(version, COIN, 42);
        vm.prank(owner);
        models.setPrice(version, 42);
        _assertOffer(version, COIN, Offer(42, 0, false));
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

    /// MODEL-9, CUR-4: each currency has its own price, zero takes it back, and the coin's is not touched.
    function test_setTokenPrice__owner__sells_for_that_token_only() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotSoldFor.selector, version, TOKEN));
        models.offerOf(version, TOKEN);
        vm.expectEmit(address(models));
        emit IModelRegistry.PriceChanged(version, TOKEN, 42);
        vm.prank(owner);
        models.setTokenPrice(version, TOKEN, 42);
        _assertOffer(version, TOKEN, Offer(42, 0, false));
        _assertOffer(version, COIN, _offer());
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotSoldFor.selector, provable, TOKEN));
        models.offerOf(provable, TOKEN);
        vm.prank(owner);
        models.setTokenPrice(version, TOKEN, 0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotSoldFor.selector, version, TOKEN));
        models.offerOf(version, TOKEN);
    }

    /// CUR-4
    function test_setTokenPrice__stranger_coin_unknown_or_deprecated__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotOwner.selector, stranger, owner));
        vm.prank(stranger);
        models.setTokenPrice(version, TOKEN, 42);
        VersionId none = VersionId.wrap(0);
        vm.startPrank(owner);
        // The price in coins is never taken back: it is what the stake at risk follows.
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotSoldFor.selector, version, COIN));
        models.setTokenPrice(version, COIN, 42);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, none));
        models.setTokenPrice(none, TOKEN, 42);
        models.setTokenPrice(version, TOKEN, 42);
        models.deprecate(version);
        bytes memory expected = abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, version);
        vm.expectRevert(expected);
        models.setTokenPrice(version, TOKEN, 43);
        vm.expectRevert(expected);
        models.offerOf(version, TOKEN);
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
        vm.assertEq(uint256(models.version(version).offering), uint256(Offering.Withdrawn));
        bytes memory expected = abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, version);
        vm.expectRevert(expected);
        models.offerOf(version, COIN);
        vm.expectRevert(expected);
        models.deprecate(version);
        // What jobs under way ask goes on being answered.
        vm.assertEq(models.revisionOf(version), 0);
        vm.assertEq(models.ownerOf(version), owner);
    }

    /// MODEL-2: posted jobs keep their price and run to their end.
    function test_deprecate_and_setPrice__posted_job__is_untouched() public {
        _request();
        vm.startPrank(owner);
        models.setPrice(version, 2 * PRICE);
        models.deprecate(version);
        vm.stopPrank();
        _deliver();
        _vote(RIGHT, RIGHT, RIGHT);
        _assertCredits(PRICE, PRICE, PRICE);
    }

    function test_offerOf_and_revisionOf__unknown_version__reverts() public {
        VersionId none = VersionId.wrap(keccak256("none"));
        bytes memory expected = abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, none);
        vm.expectRevert(expected);
        models.offerOf(none, COIN);
        vm.expectRevert(expected);
        models.revisionOf(none);
    }
}
