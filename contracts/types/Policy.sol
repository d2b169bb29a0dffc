// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Evidence} from "./Evidence.sol";

/// @notice Which enclaves may run a model version. A version without measurements is open to every worker.
/// @param measurements the code that may run it, ascending, no two equal
/// @param statuses accepted states of the platform: bit n for TcbStatus n
/// @param development whether development evidence will do, which protects nothing
struct Policy {
    bytes32[] measurements;
    uint8 statuses;
    bool development;
}

using PolicyLib for Policy global;

library PolicyLib {
    error Policy_NotAscending(uint256 index);
    error Policy_AcceptsNothing();

    /// @notice Zero for an open version.
    function hash(Policy memory self) internal pure returns (bytes32) {
        return self.measurements.length == 0 ? bytes32(0) : keccak256(abi.encode(self));
    }

    /// @notice Reverts for a policy that nothing can meet, or that could be written in two ways.
    function check(Policy memory self) internal pure {
        uint256 count = self.measurements.length;
        for (uint256 i = 1; i < count; ++i) {
            if (self.measurements[i] <= self.measurements[i - 1]) revert Policy_NotAscending(i);
        }
        if (count != 0 && self.statuses == 0) revert Policy_AcceptsNothing();
    }

    function admits(Policy memory self, Evidence memory e) internal pure returns (bool) {
        // forge-lint: disable-next-line(incorrect-shift)
        if (self.statuses & (1 << uint8(e.status)) == 0 || (e.development && !self.development)) return false;
        for (uint256 i = 0; i < self.measurements.length; ++i) {
            if (self.measurements[i] == e.measurement) return true;
        }
        return false;
    }

    /// @notice Whether everything that this policy admits is admitted by `other`, too. Both are checked.
    function within(Policy memory self, Policy memory other) internal pure returns (bool) {
        if (self.statuses & ~other.statuses != 0 || (self.development && !other.development)) return false;
        uint256 j = 0;
        for (uint256 i = 0; i < self.measurements.length; ++i) {
            while (j < other.measurements.length && other.measurements[j] < self.measurements[i]) ++j;
            if (j == other.measurements.length || other.measurements[j] != self.measurements[i]) return false;
        }
        return true;
    }
}
