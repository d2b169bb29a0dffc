// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Tally} from "../../../contracts/libraries/Tally.sol";
import {vm} from "../utils/Vm.sol";

contract TallyTest {
    /// JOB-20: beside counting by hand, from few enough different outputs that quorums are met and missed.
    function testFuzz_count__few_outputs__equals_naive_counting(uint256 entropy) public pure {
        uint256 seats = 2 + entropy % 14;
        uint256 quorum = seats / 2 + 1 + (entropy >> 8) % (seats - seats / 2);
        uint256 kinds = 1 + (entropy >> 16) % 3;
        bytes32[] memory outputs = new bytes32[](seats);
        for (uint256 i = 0; i < seats; ++i) {
            outputs[i] = bytes32((entropy >> (24 + 4 * i)) % (kinds + 1));
        }
        (bytes32 winner, uint16 agreeing) = Tally.count(outputs, quorum);

        bytes32 expected = 0;
        for (uint256 kind = 1; kind <= kinds; ++kind) {
            uint256 votes = 0;
            for (uint256 i = 0; i < seats; ++i) {
                if (outputs[i] == bytes32(kind)) ++votes;
            }
            if (votes >= quorum) expected = bytes32(kind);
        }
        vm.assertEq(winner, expected);
        for (uint256 i = 0; i < 16; ++i) {
            bool agrees = i < seats && expected != 0 && outputs[i] == expected;
            vm.assertEq(uint256(agreeing >> i) & 1, agrees ? 1 : 0);
        }
    }

    /// JOB-20, JOB-22: seats that revealed nothing never win, however many.
    function test_count__nothing_revealed__nobody_wins() public pure {
        for (uint256 seats = 2; seats <= 15; ++seats) {
            (bytes32 winner, uint16 agreeing) = Tally.count(new bytes32[](seats), seats / 2 + 1);
            vm.assertEq(winner, 0);
            vm.assertEq(agreeing, 0);
        }
    }

    /// JOB-20: the quorum may sit in the last seats.
    function test_count__quorum_in_the_last_seats__wins() public pure {
        bytes32[] memory outputs = new bytes32[](15);
        for (uint256 i = 7; i < 15; ++i) {
            outputs[i] = bytes32(uint256(5));
        }
        (bytes32 winner, uint16 agreeing) = Tally.count(outputs, 8);
        vm.assertEq(winner, bytes32(uint256(5)));
        vm.assertEq(agreeing, 0x7f80);
        (winner,) = Tally.count(outputs, 9);
        vm.assertEq(winner, 0);
    }
}
