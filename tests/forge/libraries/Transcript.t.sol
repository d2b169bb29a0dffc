// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {R} from "../../../contracts/libraries/Field.sol";
import {Transcript} from "../../../contracts/libraries/Transcript.sol";
import {vm} from "../utils/Vm.sol";

contract TranscriptHarness {
    function absorb(bytes32 state, bytes calldata message) external pure returns (bytes32) {
        return Transcript.absorb(state, _at(message), message.length);
    }

    function exchange(bytes32 state, bytes calldata message) external pure returns (bytes32, uint256) {
        return Transcript.exchange(state, _at(message), message.length);
    }

    function _at(bytes calldata message) private pure returns (uint256 ptr) {
        assembly {
            ptr := message.offset
        }
    }
}

/// @notice Section 8 of docs/spec/proofs.md. The constants were computed in Python.
contract TranscriptTest {
    bytes32 private constant START = 0x8f48486cad5d07f26e9ef9cb097771b498fafed7fe44bfc7414d6b52978f8461;
    bytes32 private constant NEXT = 0x56780126638ce692a69413f31b8c633e4d0b34a1350ff12afa83cb66c00400f4;
    uint256 private constant FIRST = 0x6c162cc69e36fb7106698524f2b0381cdc1f7451ce68cfbdf382bc46cefdeb9b;
    uint256 private constant SECOND = 0x156de8c466b7926f088137dc928b0e9733925b19ffe2de8fb31c9274d8f405e8;
    uint256 private constant EIGHTH = 0x37cc1cb48c10b2e29b9d0e3d6bac71c1173d1cb9d2e2b482b4da43d180b3321e;

    TranscriptHarness private _harness = new TranscriptHarness();

    function _repeat(uint256 digit) private pure returns (bytes32) {
        return bytes32(digit * (type(uint256).max / 255));
    }

    /// PROOF-4
    function test_start__known_statement__known_state() public pure {
        bytes32 state = Transcript.start(_repeat(1), _repeat(2), _repeat(3), _repeat(4), _repeat(5), 9);
        vm.assertEq(state, START);
    }

    /// PROOF-4
    function testFuzz_start__one_part_changed__another_state(uint256 part, bytes32 value) public pure {
        bytes32[6] memory p;
        p[part % 6] = value;
        bytes32 state = Transcript.start(p[0], p[1], p[2], p[3], p[4], uint256(p[5]));
        bytes32 zero = Transcript.start(0, 0, 0, 0, 0, 0);
        vm.assertEq(state == zero ? 1 : 0, value == 0 ? 1 : 0);
    }

    function test_absorb__known_message__known_state_and_challenges() public view {
        bytes32 state = _harness.absorb(START, "message");
        vm.assertEq(state, NEXT);
        vm.assertEq(Transcript.challenge(state, 0), FIRST);
        vm.assertEq(Transcript.challenge(state, 1), SECOND);
        vm.assertEq(Transcript.challenge(state, 7), EIGHTH);
        (bytes32 same, uint256 challenge) = _harness.exchange(START, "message");
        vm.assertEq(same, NEXT);
        vm.assertEq(challenge, FIRST);
    }

    function testFuzz_challenges__any__are_the_single_ones(bytes32 state, uint8 first, uint8 count) public pure {
        uint256[] memory words = new uint256[](uint256(count) + 1);
        words[count] = 0x5afe;
        uint256 ptr;
        assembly {
            ptr := add(words, 32)
        }
        Transcript.challenges(state, first, count, ptr);
        for (uint256 i = 0; i < count; ++i) {
            vm.assertEq(words[i], uint256(keccak256(abi.encode(state, first + i))) % R);
            vm.assertEq(words[i], Transcript.challenge(state, first + i));
        }
        vm.assertEq(words[count], 0x5afe);
    }
}
