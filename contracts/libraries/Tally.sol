// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobLib} from "../types/Job.sol";

/// @title Counting of revealed outputs
library Tally {
    /// @notice The output that at least `quorum` revealed seats share. With 2 x quorum > seats there is at most one.
    /// @param outputs revealed output commitment of each seat; 0 for a seat that revealed none
    /// @return winner the output, or 0 when no output reached the quorum
    /// @return agreeing the seats that revealed it, bit i for seat i
    function count(bytes32[] memory outputs, uint256 quorum) internal pure returns (bytes32 winner, uint16 agreeing) {
        // A majority appears at least once among the first seats - quorum + 1.
        for (uint256 i = 0; i + quorum <= outputs.length; ++i) {
            bytes32 candidate = outputs[i];
            if (candidate == 0) continue;
            agreeing = 0;
            for (uint256 j = i; j < outputs.length; ++j) {
                if (outputs[j] == candidate) agreeing |= JobLib.bit(j);
            }
            if (JobLib.count(agreeing) >= quorum) return (candidate, agreeing);
        }
        return (0, 0);
    }
}
