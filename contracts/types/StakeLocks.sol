// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Stake at risk that comes free by itself: four sums in one slot, each for a period of its own.
/// @dev    base (32 bits) | four sums in gwei (56 bits each), of period `base` lowest. A lock that must hold to second t stands in
///         period t / length and counts until that period is over. Whoever ends a job well therefore writes nothing here.
type StakeLocks is uint256;

using StakeLocksLib for StakeLocks global;

library StakeLocksLib {
    uint256 private constant SUM = type(uint56).max;
    uint256 private constant PERIODS = 4;

    error StakeLocks_TooFar(uint256 period, uint256 last);
    error StakeLocks_TooLarge(uint256 gweis);

    /// @notice Gwei that are locked in `period` or later.
    function live(StakeLocks self, uint256 period) internal pure returns (uint256 sum) {
        uint256 sums = StakeLocks.unwrap(self.from(period)) >> 32;
        for (; sums != 0; sums >>= 56) {
            sum += sums & SUM;
        }
    }

    /// @notice With `gweis` more locked to the end of period `until`; `period` is the present one.
    function add(StakeLocks self, uint256 gweis, uint256 until, uint256 period) internal pure returns (StakeLocks) {
        if (until >= period + PERIODS) revert StakeLocks_TooFar(until, period + PERIODS - 1);
        uint256 slot = StakeLocks.unwrap(self.from(period));
        uint256 shift = 32 + 56 * (until - period);
        if (((slot >> shift) & SUM) + gweis > SUM) revert StakeLocks_TooLarge(gweis);
        return StakeLocks.wrap(slot + (gweis << shift));
    }

    /// @notice With `gweis` unlocked before their time; nothing changes if their period is over.
    function remove(StakeLocks self, uint256 gweis, uint256 until, uint256 period) internal pure returns (StakeLocks) {
        if (until < period) return self;
        uint256 slot = StakeLocks.unwrap(self.from(period));
        // What is taken away was put there, so no sum borrows from the next.
        return StakeLocks.wrap(slot - (gweis << (32 + 56 * (until - period))));
    }

    /// @dev With period `period` lowest: sums of earlier ones are dropped.
    function from(StakeLocks self, uint256 period) internal pure returns (StakeLocks) {
        uint256 slot = StakeLocks.unwrap(self);
        uint256 past = period - uint32(slot);
        uint256 sums = past < PERIODS ? (slot >> 32) >> (56 * past) : 0;
        return StakeLocks.wrap(sums << 32 | period);
    }
}
