// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Job, JobLib, State} from "../../../contracts/types/Job.sol";
import {vm} from "../utils/Vm.sol";

contract JobTest {
    Job private _job;

    function _any(uint256 entropy) private pure returns (Job memory j) {
        j.state = State(entropy % 7);
        j.seats = uint8(entropy >> 8);
        j.quorum = uint8(entropy >> 16);
        j.flags = uint8(entropy >> 24);
        j.committed = uint16(entropy >> 32);
        j.revealed = uint16(entropy >> 48);
        j.excused = uint16(entropy >> 64);
        j.deadline = uint40(entropy >> 80);
        j.seedBlock = uint32(entropy >> 120);
        j.deliveredAt = uint32(entropy >> 152);
        j.pricePerSeat = uint72(entropy >> 184);
        j.digest = keccak256(abi.encode(entropy));
    }

    /// @dev `save` packs by hand what the compiler unpacks: they must agree on every field.
    function testFuzz_save__any_job__reads_back(uint256 first, uint256 second) public {
        _job.requester = address(0xBEEF);
        _job.lockEach = 77;
        _job.charged = 5;
        uint256[2] memory entropies = [first, second];
        for (uint256 i = 0; i < 2; ++i) {
            Job memory j = _any(entropies[i]);
            _job.save(j);
            j.requester = address(0xBEEF);
            j.lockEach = 77;
            j.charged = 5;
            Job memory read = _job;
            vm.assertEq(keccak256(abi.encode(read)), keccak256(abi.encode(j)));
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
