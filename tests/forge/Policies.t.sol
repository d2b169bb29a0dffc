// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Evidence, TcbStatus} from "../../contracts/types/Evidence.sol";
import {Policy, PolicyLib} from "../../contracts/types/Policy.sol";
import {Version} from "../../contracts/types/Version.sol";
import {Base, IModelRegistry, Offer, VersionId, vm} from "./Base.t.sol";

/// @notice Publishing with a policy, narrowing it, and what it admits.
contract PoliciesTest is Base {
    bytes32 private constant MANIFEST = keccak256("sealed");

    function _policy(uint256 from, uint256 count, uint8 statuses, bool development)
        private
        pure
        returns (Policy memory p)
    {
        p.measurements = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            p.measurements[i] = bytes32(from + i);
        }
        (p.statuses, p.development) = (statuses, development);
    }

    function _publish(Policy memory p) private returns (VersionId) {
        vm.prank(owner);
        return models.publish(MANIFEST, p, _offer(), "");
    }

    function _narrow(VersionId v, Policy memory current, Policy memory narrower) private {
        vm.prank(owner);
        models.narrowPolicy(v, current, narrower);
    }

    /// ENC-8
    function test_publish__with_policy__stores_hash_and_first_revision() public {
        Policy memory p = _policy(1, 2, 3, true);
        VersionId v = models.versionId(owner, MANIFEST);
        vm.expectEmit(address(models));
        emit IModelRegistry.VersionPublished(v, owner, MANIFEST, keccak256(abi.encode(p)), _offer(), "", p);
        _publish(p);
        Version memory stored = models.version(v);
        vm.assertEq(stored.policyHash, keccak256(abi.encode(p)));
        vm.assertEq(stored.policyRevision, 1);
        (bytes32 hash, uint16 revision) = models.policyOf(v);
        vm.assertEq(hash, stored.policyHash);
        vm.assertEq(revision, 1);
    }

    function test_policyOf__open_deprecated_or_unknown__zero_the_same_or_reverts() public {
        (bytes32 hash, uint16 revision) = models.policyOf(version);
        vm.assertEq(hash, 0);
        vm.assertEq(revision, 0);
        vm.prank(owner);
        models.deprecate(version);
        (hash, revision) = models.policyOf(version);
        vm.assertEq(revision, 0);
        VersionId none = VersionId.wrap(0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, none));
        models.policyOf(none);
    }

    /// MODEL-8
    function test_publish__policy_that_admits_nothing_or_is_unsorted__reverts() public {
        vm.expectRevert(PolicyLib.Policy_AcceptsNothing.selector);
        _publish(_policy(1, 1, 0, true));
        Policy memory p = _policy(1, 2, 1, false);
        p.measurements[1] = bytes32(uint256(1));
        vm.expectRevert(abi.encodeWithSelector(PolicyLib.Policy_NotAscending.selector, uint256(1)));
        _publish(p);
        p.measurements[1] = 0;
        vm.expectRevert(abi.encodeWithSelector(PolicyLib.Policy_NotAscending.selector, uint256(1)));
        _publish(p);
    }

    /// ENC-8
    function test_narrowPolicy__narrower__replaces_it() public {
        Policy memory p = _policy(1, 3, 3, true);
        VersionId v = _publish(p);
        Policy[3] memory steps = [_policy(2, 2, 3, true), _policy(2, 2, 1, true), _policy(2, 2, 1, false)];
        for (uint16 i = 0; i < 3; ++i) {
            vm.expectEmit(address(models));
            emit IModelRegistry.PolicyNarrowed(v, steps[i], i + 2);
            _narrow(v, p, steps[i]);
            p = steps[i];
            (bytes32 hash, uint16 revision) = models.policyOf(v);
            vm.assertEq(hash, p.hash());
            vm.assertEq(revision, i + 2);
        }
        (Offer memory offer, uint16 stored) = models.offerOf(v, COIN);
        vm.assertEq(keccak256(abi.encode(offer)), keccak256(abi.encode(_offer())));
        vm.assertEq(stored, 4);
        vm.assertEq(models.version(v).owner, owner);
    }

    /// ENC-8
    function test_narrowPolicy__wider_equal_or_open__reverts() public {
        Policy memory p = _policy(2, 2, 3, false);
        VersionId v = _publish(p);
        Policy[7] memory wrong = [
            p,
            _policy(1, 3, 3, false),
            _policy(3, 2, 3, false),
            _policy(2, 2, 7, false),
            _policy(2, 1, 3, true),
            _policy(2, 0, 0, false),
            _policy(2, 0, 3, false)
        ];
        for (uint256 i = 0; i < 7; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotNarrower.selector, v));
            _narrow(v, p, wrong[i]);
        }
        vm.expectRevert(PolicyLib.Policy_AcceptsNothing.selector);
        _narrow(v, p, _policy(2, 1, 0, false));
    }

    /// ENC-8
    function test_narrowPolicy__not_the_present_one_stranger_open_or_deprecated__reverts() public {
        Policy memory p = _policy(1, 2, 3, false);
        VersionId v = _publish(p);
        Policy memory narrower = _policy(1, 1, 3, false);
        vm.expectRevert(
            abi.encodeWithSelector(IModelRegistry.ModelRegistry_WrongPolicy.selector, narrower.hash(), p.hash())
        );
        _narrow(v, narrower, narrower);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotOwner.selector, stranger, owner));
        vm.prank(stranger);
        models.narrowPolicy(v, p, narrower);
        // An open version stays open: a worker under way must not find itself excluded.
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotNarrower.selector, version));
        _narrow(version, _open(), narrower);
        vm.prank(owner);
        models.deprecate(v);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, v));
        _narrow(v, p, narrower);
    }

    /// What `within` promises: whatever the narrower policy admits, the other one does, too.
    function testFuzz_within__true__admits_no_more(uint256 a, uint256 b) public pure {
        Policy memory narrower = _any(a);
        Policy memory other = _any(b);
        bool more = false;
        for (uint256 i = 0; i < 8 * 7 * 2; ++i) {
            Evidence memory e = Evidence(bytes32(i % 8 + 1), 0, TcbStatus(i / 8 % 7), i / 56 == 1, 0);
            more = more || (narrower.admits(e) && !other.admits(e));
        }
        if (narrower.within(other)) vm.assertFalse(more);
        // And it is not too strict, where what is compared is not empty in itself.
        else vm.assertTrue(more);
    }

    /// @dev Up to eight measurements of eight, and at least one status of Intel's seven.
    function _any(uint256 entropy) private pure returns (Policy memory p) {
        uint256 mask = uint8(entropy) | 1 << (entropy >> 8) % 8;
        uint256 count = 0;
        for (uint256 i = 0; i < 8; ++i) {
            count += mask >> i & 1;
        }
        p.measurements = new bytes32[](count);
        for (uint256 i = 8; i > 0; --i) {
            if (mask >> (i - 1) & 1 == 1) p.measurements[--count] = bytes32(i);
        }
        p.statuses = uint8((entropy >> 16) % 127 + 1);
        p.development = entropy >> 24 & 1 == 1;
    }
}
