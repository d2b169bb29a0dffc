// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifier} from "../../contracts/interfaces/IProofVerifier.sol";
import {IProofVerifiers} from "../../contracts/interfaces/IProofVerifiers.sol";
import {MockVerifier} from "../../contracts/mocks/MockVerifier.sol";
import {ProofVerifiers} from "../../contracts/proofs/ProofVerifiers.sol";
import {vm} from "./utils/Vm.sol";

contract ProofVerifiersTest {
    address private immutable _steward = vm.addr(uint256(keccak256("steward")));
    address private immutable _stranger = vm.addr(uint256(keccak256("stranger")));

    ProofVerifiers private _verifiers;
    IProofVerifier private _verifier;

    function setUp() public {
        _verifiers = new ProofVerifiers();
        _verifier = new MockVerifier();
    }

    function _add(address by, IProofVerifier verifier) private returns (uint32) {
        vm.prank(by);
        return _verifiers.add(verifier);
    }

    function _unknown(uint32 id) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Unknown.selector, id);
    }

    /// VERIFIER-1
    function test_add__anybody__numbers_from_one_with_the_caller_as_steward() public {
        vm.assertEq(_verifiers.count(), 0);
        vm.expectEmit(address(_verifiers));
        emit IProofVerifiers.VerifierAdded(1, _verifier, _steward);
        vm.assertEq(_add(_steward, _verifier), 1);
        IProofVerifier second = new MockVerifier();
        vm.assertEq(_add(_stranger, second), 2);
        vm.assertEq(_verifiers.count(), 2);
        vm.assertEq(address(_verifiers.verifierOf(1)), address(_verifier));
        vm.assertEq(address(_verifiers.verifierOf(2)), address(second));
        vm.assertEq(_verifiers.stewardOf(1), _steward);
        vm.assertEq(_verifiers.stewardOf(2), _stranger);
        vm.assertFalse(_verifiers.isRemoved(1));
    }

    /// VERIFIER-1
    function test_add__no_code__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_NoCode.selector, _stranger));
        _add(_steward, IProofVerifier(_stranger));
        vm.assertEq(_verifiers.count(), 0);
    }

    /// VERIFIER-1
    function test_views__number_never_given__revert() public {
        _add(_steward, _verifier);
        uint32[3] memory never = [uint32(0), 2, type(uint32).max];
        for (uint256 i = 0; i < never.length; ++i) {
            vm.expectRevert(_unknown(never[i]));
            _verifiers.verifierOf(never[i]);
            vm.expectRevert(_unknown(never[i]));
            _verifiers.isRemoved(never[i]);
            vm.expectRevert(_unknown(never[i]));
            _verifiers.stewardOf(never[i]);
            vm.expectRevert(_unknown(never[i]));
            _verifiers.remove(never[i]);
        }
    }

    /// VERIFIER-2
    function test_remove__steward__is_final() public {
        uint32 id = _add(_steward, _verifier);
        vm.startPrank(_steward);
        vm.expectEmit(address(_verifiers));
        emit IProofVerifiers.VerifierRemoved(id);
        _verifiers.remove(id);
        vm.assertTrue(_verifiers.isRemoved(id));
        vm.assertEq(_verifiers.stewardOf(id), _steward);
        bytes memory expected = abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Removed.selector, id);
        vm.expectRevert(expected);
        _verifiers.verifierOf(id);
        vm.expectRevert(expected);
        _verifiers.remove(id);
    }

    /// VERIFIER-2
    function test_remove__anybody_else__reverts() public {
        uint32 first = _add(_steward, _verifier);
        uint32 second = _add(_stranger, _verifier);
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_NotSteward.selector, _stranger, _steward));
        vm.prank(_stranger); // steward of the same address under another number
        _verifiers.remove(first);
        vm.prank(_stranger);
        _verifiers.remove(second);
        vm.assertFalse(_verifiers.isRemoved(first));
        vm.assertTrue(_verifiers.isRemoved(second));
    }

    /// VERIFIER-2: the number stays dead; the address may come back under another.
    function test_add__removed_verifier_again__gets_a_new_number() public {
        uint32 first = _add(_steward, _verifier);
        vm.prank(_steward);
        _verifiers.remove(first);
        uint32 second = _add(_steward, _verifier);
        vm.assertEq(second, 2);
        vm.assertEq(address(_verifiers.verifierOf(second)), address(_verifier));
        vm.assertTrue(_verifiers.isRemoved(first));
    }
}
