// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Job, JobLib, State} from "../../../contracts/types/Job.sol";
import {vm} from "../utils/Vm.sol";

contract JobTest {
    Job private _job;

    function _any(uint256 entropy) private pure returns (Job memory j) {
        j.state = State(entropy % 9);
        j.flags = uint8(entropy >> 8);
        j.committed = uint16(entropy >> 16);
        j.revealed = uint16(entropy >> 32);
        j.dissenting = uint16(entropy >> 48);
        j.excused = uint16(entropy >> 64);
        j.charged = uint8(entropy >> 80);
        j.lead = uint8(entropy >> 88);
        j.deadline = uint32(entropy >> 96);
        j.moment = uint32(entropy >> 128);
        j.tag = bytes12(uint96(entropy >> 160));
    }

    /// @dev What `pack` does by hand is what the compiler does: one slot, every field in its place.
    function testFuzz_pack__any_job__is_the_compilers_slot(uint256 entropy) public {
        Job memory j = _any(entropy);
        _job = j;
        uint256 slot;
        assembly ("memory-safe") {
            slot := sload(_job.slot)
        }
        vm.assertEq(j.pack(), slot);
        vm.assertEq(keccak256(abi.encode(JobLib.unpack(slot))), keccak256(abi.encode(j)));
    }

    /// @dev A state that there is none of is no job of ours.
    function test_unpack__unknown_state__reverts() public {
        vm.expectRevert();
        this.unpack(9);
    }

    function unpack(uint256 slot) external pure returns (Job memory) {
        return JobLib.unpack(slot);
    }

    /// @dev JOB-14, JOB-16, JOB-20: the questions about a job, beside counting seat by seat.
    function testFuzz_questions__any_masks__as_counted_by_hand(uint256 entropy) public pure {
        Job memory j = _any(entropy);
        uint256 seats = 1 + (entropy >> 250) % 15;
        uint256 quorum = seats / 2 + 1;
        uint16 all = uint16((1 << seats) - 1);
        (j.committed, j.excused) = (j.committed & all, j.excused & all & ~j.committed);
        (j.revealed, j.dissenting) = (j.revealed & j.committed, j.dissenting & j.revealed & j.committed);
        uint256 missing = 0;
        uint256 left = 0;
        uint16 agreeing = 0;
        for (uint256 i = 0; i < seats; ++i) {
            uint16 bit = JobLib.bit(i);
            if ((j.committed | j.excused) & bit == 0) ++missing;
            if (j.excused & bit == 0) ++left;
            if (j.revealed & bit != 0 && j.dissenting & bit == 0) agreeing |= bit;
        }
        vm.assertTrue(j.allCommitted(seats) == (missing == 0));
        vm.assertTrue(j.hopeless(seats, quorum) == (left < quorum));
        vm.assertTrue(j.allRevealed() == (j.revealed == j.committed));
        vm.assertEq(j.agreeing(), agreeing);
        for (uint256 i = 0; i < 8; ++i) {
            vm.assertTrue(j.has(uint8(1 << i)) == (j.flags >> i & 1 == 1));
        }
    }

    function testFuzz_count__any_mask__is_its_bits(uint16 mask) public pure {
        uint256 bits = 0;
        for (uint256 i = 0; i < 16; ++i) {
            if (mask >> i & 1 == 1) ++bits;
        }
        vm.assertEq(JobLib.count(mask), bits);
    }
}
