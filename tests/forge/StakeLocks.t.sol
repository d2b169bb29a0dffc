// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {StakeLocks, StakeLocksLib} from "../../contracts/types/StakeLocks.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Four sums in a slot against a plain list of locks, each with the period that it ends in.
contract StakeLocksTest {
    struct Lock {
        uint256 gweis;
        uint256 until;
    }

    uint256 private constant MOST = type(uint56).max;
    uint256 private constant NOW = 94_444;

    Lock[] private _list;

    /// @dev External, so that a revert is one call deeper.
    function add(StakeLocks locks, uint256 gweis, uint256 until, uint256 period) external pure returns (StakeLocks) {
        return locks.add(gweis, until, period);
    }

    function _plain(uint256 period) private view returns (uint256 sum) {
        for (uint256 i = 0; i < _list.length; ++i) {
            if (_list[i].until >= period) sum += _list[i].gweis;
        }
    }

    function _of(uint256 gweis, uint256 until) private pure returns (StakeLocks) {
        return StakeLocks.wrap(0).add(gweis, until, NOW);
    }

    /// forge-config: default.fuzz.runs = 300
    /// NODE-5: whatever is locked and released, in whatever order, a period's locks are those of the list.
    function testFuzz_locks__any_history__are_the_plain_sums(uint256 entropy) public {
        StakeLocks locks;
        uint256 period = NOW;
        for (uint256 step = 0; step < 16; ++step) {
            uint256 dice = uint256(keccak256(abi.encode(entropy, step)));
            // Mostly nothing, now and then one period, rarely so many that all is forgotten.
            if (dice & 3 == 0) period += dice >> 8 & 7;
            uint256 picked = _list.length == 0 ? 0 : (dice >> 32) % _list.length;
            if (dice >> 16 & 3 == 0 && _list.length != 0) {
                locks = locks.remove(_list[picked].gweis, _list[picked].until, period);
                _list[picked] = _list[_list.length - 1];
                _list.pop();
            } else {
                Lock memory one = Lock(uint256(uint40(dice >> 64)), period + (dice >> 24) % 4);
                locks = locks.add(one.gweis, one.until, period);
                _list.push(one);
            }
            for (uint256 later = 0; later < 6; ++later) {
                vm.assertEq(locks.live(period + later), _plain(period + later), "live");
            }
        }
    }

    /// NODE-5: a lock counts to the end of its period, and no second longer.
    function test_live__around_the_last_period__counts_in_it_only() public pure {
        for (uint256 ahead = 0; ahead < 4; ++ahead) {
            StakeLocks locks = _of(5, NOW + ahead);
            for (uint256 period = NOW; period < NOW + 9; ++period) {
                vm.assertEq(locks.live(period), period <= NOW + ahead ? 5 : 0);
            }
        }
        vm.assertEq(StakeLocks.wrap(0).live(NOW), 0);
    }

    /// NODE-5: four periods are remembered, and a lock beyond them is refused.
    function test_add__further_than_three_ahead__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(StakeLocksLib.StakeLocks_TooFar.selector, NOW + 4, NOW + 3));
        this.add(StakeLocks.wrap(0), 1, NOW + 4, NOW);
        vm.assertEq(this.add(StakeLocks.wrap(0), 1, NOW + 3, NOW).live(NOW + 3), 1);
    }

    /// A sum that does not fit never runs over into the next one.
    function test_add__more_than_56_bits__reverts() public {
        for (uint256 ahead = 0; ahead < 4; ++ahead) {
            StakeLocks full = this.add(_of(3, NOW + 3 - ahead), MOST - 3, NOW + ahead, NOW);
            if (ahead != 3 - ahead) full = this.add(full, 3, NOW + ahead, NOW);
            vm.expectRevert(abi.encodeWithSelector(StakeLocksLib.StakeLocks_TooLarge.selector, 1));
            this.add(full, 1, NOW + ahead, NOW);
            vm.assertEq(full.live(NOW), MOST + 3);
        }
    }

    /// The four sums together need 58 bits.
    function test_live__all_sums_full__is_their_sum() public view {
        StakeLocks full;
        for (uint256 ahead = 0; ahead < 4; ++ahead) {
            full = this.add(full, MOST, NOW + ahead, NOW);
        }
        for (uint256 ahead = 0; ahead < 5; ++ahead) {
            vm.assertEq(full.live(NOW + ahead), (4 - ahead) * MOST);
        }
    }

    /// NODE-5: what has come free by itself is not released a second time, out of other locks.
    function test_remove__period_over__changes_nothing() public pure {
        StakeLocks locks = _of(5, NOW).add(7, NOW + 1, NOW);
        StakeLocks later = locks.remove(5, NOW, NOW + 1);
        vm.assertEq(bytes32(StakeLocks.unwrap(later)), bytes32(StakeLocks.unwrap(locks)));
        vm.assertEq(later.live(NOW + 1), 7);
        vm.assertEq(locks.remove(5, NOW, NOW).live(NOW), 7);
    }

    /// A slot that was last written long ago says nothing about now: not by a shift that wraps either.
    function testFuzz_live__long_after__is_nothing(uint256 sums, uint24 past) public pure {
        uint256 base = NOW;
        StakeLocks locks = StakeLocks.wrap(sums << 32 | base);
        uint256 period = base + 4 + past;
        vm.assertEq(locks.live(period), 0);
        vm.assertEq(locks.add(9, period + 2, period).live(period), 9);
    }
}
