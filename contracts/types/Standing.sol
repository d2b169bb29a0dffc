// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice What the market has seen of a worker: good (48 bits) | bad (48 bits) | when it was written last (32 bits, in halvings).
/// @dev    Half of everything is forgotten with every period, so shifts are all the arithmetic there is.
type Standing is uint128;

using StandingLib for Standing global;

library StandingLib {
    uint256 private constant HALVING = 30 days;
    uint256 private constant ONE = 1 << 16;
    uint256 private constant MAXIMUM = type(uint48).max;
    uint256 private constant BPS = 10_000;

    function praised(Standing self) internal view returns (Standing) {
        (uint256 good, uint256 bad) = self.decayed();
        return _write(good + ONE, bad);
    }

    function blamed(Standing self, uint256 weight) internal view returns (Standing) {
        (uint256 good, uint256 bad) = self.decayed();
        return _write(good, bad + weight * ONE);
    }

    /// @notice Share of good, one of each counted from the start, in 1/10000.
    function reputation(Standing self) internal view returns (uint256) {
        (uint256 good, uint256 bad) = self.decayed();
        return (good + ONE) * BPS / (good + bad + 2 * ONE);
    }

    function decayed(Standing self) internal view returns (uint256 good, uint256 bad) {
        uint256 slot = Standing.unwrap(self);
        uint256 halvings = block.timestamp / HALVING - uint32(slot >> 96);
        return (uint48(slot) >> halvings, uint48(slot >> 48) >> halvings);
    }

    function _write(uint256 good, uint256 bad) private view returns (Standing) {
        good = good < MAXIMUM ? good : MAXIMUM;
        bad = bad < MAXIMUM ? bad : MAXIMUM;
        // forge-lint: disable-next-line(unsafe-typecast)
        return Standing.wrap(uint128(good | bad << 48 | (block.timestamp / HALVING) << 96));
    }
}
