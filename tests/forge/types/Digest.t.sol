// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Digest, Kind} from "../../../contracts/types/Digest.sol";
import {vm} from "../utils/Vm.sol";

contract DigestTest {
    bytes32 private constant A = keccak256("a");
    bytes32 private constant B = keccak256("b");

    /// JOB-28
    function test_output__each_kind__hashes_three_words() public pure {
        vm.assertEq(Digest.output(Kind.Public, 0, A), keccak256(abi.encodePacked(uint256(0), bytes32(0), A)));
        vm.assertEq(Digest.output(Kind.Committed, A, 0), keccak256(abi.encodePacked(uint256(1), A, bytes32(0))));
        vm.assertEq(Digest.output(Kind.Masked, A, B), keccak256(abi.encodePacked(uint256(2), A, B)));
    }

    /// JOB-28
    function test_input__its_batch__is_part_of_it() public pure {
        bytes32 one = Digest.input(Kind.Committed, 0, A, 0);
        vm.assertEq(one, keccak256(abi.encodePacked(uint256(1), uint256(0), A, bytes32(0))));
        vm.assertEq(
            Digest.input(Kind.Public, 3, 0, B), keccak256(abi.encodePacked(uint256(0), uint256(3), bytes32(0), B))
        );
        require(Digest.input(Kind.Committed, 1, A, 0) != one);
    }

    /// JOB-28
    function testFuzz_masked__any_words__are_hashed(bytes32 pad, bytes calldata words) public pure {
        vm.assertEq(Digest.masked(pad, words), keccak256(abi.encodePacked(uint256(2), pad, keccak256(words))));
    }

    /// JOB-26
    function test_circuitInput__two_commitments__are_hashed_in_order() public pure {
        vm.assertEq(Digest.circuitInput(A, B), keccak256(abi.encodePacked(A, B)));
    }
}
