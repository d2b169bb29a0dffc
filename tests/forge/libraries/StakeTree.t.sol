// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {StakeTree} from "../../../contracts/libraries/StakeTree.sol";
import {vm} from "../utils/Vm.sol";

contract StakeTreeHarness {
    using StakeTree for StakeTree.Tree;

    StakeTree.Tree private _tree;

    function append() external returns (uint32) {
        return _tree.append();
    }

    function set(uint256 leaf, uint256 weight, uint256 epoch) external {
        _tree.set(leaf, weight, epoch);
    }

    function weightAt(uint256 leaf, uint256 epoch) external view returns (uint256) {
        return _tree.weightAt(leaf, epoch);
    }

    function totalAt(uint256 epoch) external view returns (uint256) {
        return _tree.totalAt(epoch);
    }

    function draw(bytes32 seed, uint256 count, uint256 epoch) external view returns (uint256[] memory) {
        return _tree.draw(seed, count, epoch);
    }
}

/// @notice The tree beside a model that writes down every change of every leaf and searches the list.
contract StakeTreeTest {
    struct Change {
        uint256 epoch;
        uint256 weight;
    }

    StakeTreeHarness private _tree;
    /// @dev Per leaf, in order of time; a change of epoch e counts from e + 1 on.
    Change[][] private _history;
    uint256 private _epoch;

    function setUp() public {
        _tree = new StakeTreeHarness();
        _epoch = 7;
    }

    // ------------------------------------------------------------------------------------------------ the model

    function _weight(uint256 leaf, uint256 epoch) private view returns (uint256 weight) {
        Change[] storage changes = _history[leaf];
        for (uint256 i = 0; i < changes.length; ++i) {
            if (changes[i].epoch < epoch) weight = changes[i].weight;
        }
    }

    function _total(uint256 epoch) private view returns (uint256 total) {
        for (uint256 i = 0; i < _history.length; ++i) {
            total += _weight(i, epoch);
        }
    }

    /// @dev docs/spec/commitments.md, "Draw".
    function _sample(bytes32 seed, uint256 count, uint256 epoch) private view returns (uint256[] memory leaves) {
        uint256[] memory weights = new uint256[](_history.length);
        uint256 left = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            weights[i] = _weight(i, epoch);
            left += weights[i];
        }
        leaves = new uint256[](count);
        uint256 drawn = 0;
        for (; drawn < count && left != 0; ++drawn) {
            uint256 point = uint256(keccak256(abi.encode(seed, drawn))) % left;
            uint256 leaf = 0;
            for (; point >= weights[leaf]; ++leaf) {
                point -= weights[leaf];
            }
            leaves[drawn] = leaf;
            left -= weights[leaf];
            weights[leaf] = 0;
        }
        assembly ("memory-safe") {
            mstore(leaves, drawn)
        }
    }

    function _append() private {
        uint32 leaf = _tree.append();
        vm.assertEq(leaf, _history.length, "leaves are numbered in order");
        _history.push();
    }

    function _set(uint256 leaf, uint256 weight) private {
        _tree.set(leaf, weight, _epoch);
        _history[leaf].push(Change(_epoch, weight));
    }

    function _compare() private view {
        for (uint256 epoch = _epoch - 1; epoch <= _epoch + 1; ++epoch) {
            for (uint256 leaf = 0; leaf < _history.length; ++leaf) {
                vm.assertEq(_tree.weightAt(leaf, epoch), _weight(leaf, epoch), "weight");
            }
            vm.assertEq(_tree.totalAt(epoch), _total(epoch), "total");
        }
    }

    // ------------------------------------------------------------------------------------------------ against it

    /// DRAW-2, DRAW-3, DRAW-4: random histories of joining, changing, leaving and passing time.
    function testFuzz_tree__random_history__equals_the_model(uint256 entropy) public {
        for (uint256 step = 0; step < 40; ++step) {
            entropy = uint256(keccak256(abi.encode(entropy)));
            uint256 act = entropy % 10;
            if (act < 3 || _history.length == 0) {
                _append();
            } else if (act < 8) {
                uint256 weight = entropy >> 200 & 3 == 0 ? 0 : (entropy >> 16) % 2 ** (1 + (entropy >> 8) % 60);
                _set((entropy >> 100) % _history.length, weight);
            } else {
                _epoch += 1 + (entropy >> 32) % 3;
            }
            if (step % 8 == 7) _compare();
        }
        _compare();
        for (uint256 i = 0; i < 4; ++i) {
            bytes32 seed = keccak256(abi.encode(entropy, i));
            uint256 count = uint256(seed) % 16;
            uint256 epoch = _epoch - i % 2;
            vm.assertEq(_tree.draw(seed, count, epoch), _sample(seed, count, epoch));
        }
    }

    /// DRAW-2: the values of two epochs and of later ones; anything older is an error, never a wrong number.
    function test_weightAt__each_epoch__remembered_or_forgotten() public {
        _append();
        _set(0, 10);
        _epoch = 8;
        _set(0, 20);
        _epoch = 9;
        _set(0, 30);
        _set(0, 31); // the last change of an epoch counts
        vm.assertEq(_tree.weightAt(0, 11), 31);
        vm.assertEq(_tree.weightAt(0, 10), 31);
        vm.assertEq(_tree.weightAt(0, 9), 20);
        vm.assertEq(_tree.weightAt(0, 8), 10);
        vm.expectRevert(abi.encodeWithSelector(StakeTree.StakeTree_Forgotten.selector, uint256(7), uint256(8)));
        _tree.weightAt(0, 7);
        vm.expectRevert(abi.encodeWithSelector(StakeTree.StakeTree_Forgotten.selector, uint256(7), uint256(8)));
        _tree.totalAt(7);
        vm.expectRevert(abi.encodeWithSelector(StakeTree.StakeTree_Forgotten.selector, uint256(0), uint256(8)));
        _tree.draw(0, 1, 0);
    }

    /// DRAW-2: from the first epoch of a chain on, where "two epochs before" would be negative.
    function test_tree__first_epochs__have_no_past() public {
        _epoch = 0;
        _append();
        _set(0, 5);
        vm.assertEq(_tree.weightAt(0, 0), 0);
        vm.assertEq(_tree.weightAt(0, 1), 5);
        _epoch = 1;
        _set(0, 6);
        vm.assertEq(_tree.weightAt(0, 0), 0);
        vm.assertEq(_tree.weightAt(0, 1), 5);
        vm.assertEq(_tree.weightAt(0, 2), 6);
    }

    /// @dev A gap of many epochs keeps the old value for both remembered epochs.
    function test_set__after_a_long_pause__remembers_the_value_before() public {
        _append();
        _set(0, 5);
        _epoch = 1000;
        _set(0, 9);
        vm.assertEq(_tree.weightAt(0, 999), 5);
        vm.assertEq(_tree.weightAt(0, 1000), 5);
        vm.assertEq(_tree.weightAt(0, 1001), 9);
    }

    /// @dev Growth keeps the history of the old root.
    function test_append__past_each_power_of_two__keeps_totals_of_all_epochs() public {
        for (uint256 leaf = 0; leaf < 33; ++leaf) {
            _append();
            _set(leaf, leaf + 1);
            if (leaf % 5 == 4) ++_epoch;
            _compare();
        }
    }

    /// DRAW-4
    function test_draw__more_seats_than_weight__draws_what_there_is() public {
        vm.assertEq(_tree.draw(0, 3, _epoch + 1).length, 0); // no leaf at all
        for (uint256 leaf = 0; leaf < 5; ++leaf) {
            _append();
        }
        vm.assertEq(_tree.draw(0, 3, _epoch + 1).length, 0); // no weight
        _set(1, 4);
        _set(3, 1);
        uint256[] memory drawn = _tree.draw(keccak256("seed"), 3, _epoch + 1);
        vm.assertEq(drawn.length, 2);
        vm.assertEq(drawn[0] + drawn[1], 4);
        vm.assertTrue(drawn[0] == 1 || drawn[0] == 3);
        vm.assertEq(_tree.draw(keccak256("seed"), 0, _epoch + 1).length, 0);
    }

    /// DRAW-4: the first seat goes by weight, the second by the weight that is left, within four standard deviations.
    function test_draw__many_seeds__frequencies_are_the_weights() public {
        for (uint256 leaf = 0; leaf < 4; ++leaf) {
            _append();
            _set(leaf, leaf + 1); // of 10
        }
        uint256 draws = 4000;
        uint256[4] memory first;
        uint256[4] memory second;
        for (uint256 i = 0; i < draws; ++i) {
            uint256[] memory drawn = _tree.draw(keccak256(abi.encode("frequency", i)), 2, _epoch + 1);
            vm.assertTrue(drawn[0] != drawn[1]);
            ++first[drawn[0]];
            ++second[drawn[1]];
        }
        for (uint256 leaf = 0; leaf < 4; ++leaf) {
            uint256 share = leaf + 1;
            vm.assertApproxEqAbs(first[leaf], draws * share / 10, 125, "first seat");
            uint256 expected = 0; // sum over the first seat of P(first) x P(this | first), in 1/10^6
            for (uint256 other = 1; other <= 4; ++other) {
                if (other != share) expected += other * share * 1e6 / (10 * (10 - other));
            }
            vm.assertApproxEqAbs(second[leaf], draws * expected / 1e6, 125, "second seat");
        }
    }
}
