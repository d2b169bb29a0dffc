// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {StakeTree} from "../../../contracts/libraries/StakeTree.sol";
import {vm} from "../utils/Vm.sol";

contract LargeTreeHarness {
    using StakeTree for StakeTree.Tree;

    StakeTree.Tree private _tree;

    /// @notice Appends and sets leaf by leaf, as the registry does.
    function grow(uint256[] calldata weights, uint256 epoch) external {
        for (uint256 i = 0; i < weights.length; ++i) {
            _tree.set(_tree.append(), weights[i], epoch);
        }
    }

    /// @notice Writes every node once, from the leaves up: two writes per leaf in place of one per leaf and level.
    function build(uint256[] memory weights, uint256 epoch) external {
        uint256 count = weights.length;
        _tree.leaves = uint32(count);
        uint8 level = 0;
        for (;; ++level) {
            for (uint256 i = 0; i < count; ++i) {
                _tree.nodes[level][i] = (epoch + 1) << 216 | weights[i] << 144;
            }
            if (count == 1) break;
            uint256 above = (count + 1) / 2;
            for (uint256 i = 0; i < above; ++i) {
                weights[i] = weights[2 * i] + (2 * i + 1 < count ? weights[2 * i + 1] : 0);
            }
            count = above;
        }
        _tree.depth = level;
    }

    function set(uint256 leaf, uint256 weight, uint256 epoch) external {
        _tree.set(leaf, weight, epoch);
    }

    function node(uint256 level, uint256 index) external view returns (uint256) {
        return _tree.nodes[level][index];
    }

    function size() external view returns (uint32 leaves, uint8 depth) {
        return (_tree.leaves, _tree.depth);
    }

    function draw(bytes32 seed, uint256 count, uint256 epoch) external view returns (uint256[] memory) {
        return _tree.draw(seed, count, epoch);
    }
}

/// @notice DRAW-4 with as many workers as the registry may come to have: right, and paid by the depth of the tree.
contract StakeTreeLargeTest {
    uint256 private constant EPOCH = 7;
    uint256 private constant LARGE = 3;

    uint256[4] private _sizes = [uint256(10), 100, 1000, 10_000];
    LargeTreeHarness[4] private _trees;

    function setUp() public {
        // Here, so that in a test every slot is as cold as in a transaction.
        for (uint256 i = 0; i < 4; ++i) {
            _trees[i] = new LargeTreeHarness();
            _trees[i].build(_weights(_sizes[i]), EPOCH);
        }
    }

    /// @dev Between one and 2^20 gwei, every eleventh nothing, and one with a fifth of all: as uneven as stakes may be.
    function _weights(uint256 size) private pure returns (uint256[] memory weights) {
        weights = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            weights[i] = i % 11 == 3 ? 0 : 1 + uint256(keccak256(abi.encode(i))) % 2 ** (i % 21);
        }
        uint256 total = 0;
        for (uint256 i = 0; i < size; ++i) {
            total += weights[i];
        }
        weights[size / 2] += total / 4;
    }

    /// @dev docs/spec/commitments.md, "Draw": lay the undrawn weights end to end and walk to the point.
    function _walk(uint256[] memory weights, bytes32 seed, uint256 count)
        private
        pure
        returns (uint256[] memory leaves)
    {
        leaves = new uint256[](count);
        uint256 left = 0;
        for (uint256 i = 0; i < weights.length; ++i) {
            left += weights[i];
        }
        for (uint256 j = 0; j < count; ++j) {
            uint256 point = uint256(keccak256(abi.encode(seed, j))) % left;
            uint256 leaf = 0;
            while (point >= weights[leaf]) point -= weights[leaf++];
            leaves[j] = leaf;
            left -= weights[leaf];
            weights[leaf] = 0;
        }
    }

    /// @dev What `build` writes is what the library would have written.
    function test_build__beside_leaf_by_leaf__same_nodes() public {
        for (uint256 i = 0; i < 2; ++i) {
            LargeTreeHarness grown = new LargeTreeHarness();
            grown.grow(_weights(_sizes[i]), EPOCH);
            (uint32 leaves, uint8 depth) = grown.size();
            (uint32 builtLeaves, uint8 builtDepth) = _trees[i].size();
            vm.assertEq(builtLeaves, leaves);
            vm.assertEq(builtDepth, depth);
            for (uint256 level = 0; level <= depth; ++level) {
                for (uint256 index = 0; index << level < leaves; ++index) {
                    uint256 expected = grown.node(level, index);
                    uint256 found = _trees[i].node(level, index);
                    // A leaf that was never given weight was never written.
                    if (expected != 0) vm.assertEq(found, expected, "node");
                    else vm.assertEq(found >> 144 & type(uint72).max, 0, "empty node");
                }
            }
        }
    }

    /// DRAW-4: committees of every size, beside a walk over all leaves.
    function test_draw__ten_thousand_leaves__equals_the_walk() public view {
        for (uint256 i = 0; i < 5; ++i) {
            bytes32 seed = keccak256(abi.encode("large", i));
            uint256 count = 1 + i * 7 % 16; // 1, 8, 15, 6, 13
            uint256[] memory drawn = _trees[LARGE].draw(seed, count, EPOCH + 1);
            vm.assertEq(drawn, _walk(_weights(_sizes[LARGE]), seed, count));
        }
    }

    /// DRAW-4: with weights of one every point lies on an edge.
    function test_draw__equal_weights_of_one__equals_the_walk() public {
        uint256[] memory ones = new uint256[](1000);
        for (uint256 i = 0; i < ones.length; ++i) {
            ones[i] = 1;
        }
        LargeTreeHarness even = new LargeTreeHarness();
        even.build(ones, EPOCH);
        bytes32 seed = keccak256("even");
        vm.assertEq(even.draw(seed, 15, EPOCH + 1), _walk(ones, seed, 15));
    }

    /// DRAW-2, DRAW-3: a change among ten thousand counts from the next epoch on, and the draw of the last one stands.
    function test_draw__after_a_change__old_epoch_stands_and_new_one_counts() public {
        uint256[] memory before = _weights(_sizes[LARGE]);
        uint256[] memory afterwards = _weights(_sizes[LARGE]);
        afterwards[9_999] = 1 << 40; // nearly all
        _trees[LARGE].set(9_999, 1 << 40, EPOCH + 1);
        bytes32 seed = keccak256("change");
        vm.assertEq(_trees[LARGE].draw(seed, 4, EPOCH + 1), _walk(before, seed, 4));
        uint256[] memory drawn = _trees[LARGE].draw(seed, 4, EPOCH + 2);
        vm.assertEq(drawn, _walk(afterwards, seed, 4));
        vm.assertEq(drawn[0], 9_999);
    }

    /// @dev Gas of a draw whose nodes are all cold. A second one of the same tree would find the upper ones warm, so every test
    ///      asks a tree once.
    function _gas(uint256 tree, uint256 count) private view returns (uint256 used) {
        bytes32 seed = keccak256(abi.encode("gas", tree, count));
        LargeTreeHarness harness = _trees[tree];
        harness.size(); // the account and the size are warm in the registry
        used = gasleft();
        harness.draw(seed, count, EPOCH + 1);
        used -= gasleft();
    }

    function _depth(uint256 tree) private view returns (uint256 depth) {
        (, uint8 levels) = _trees[tree].size();
        return levels;
    }

    /// @dev One seat reads one cold node per level. A walk over 10,000 leaves would take more than 21,000,000.
    function test_draw__one_seat__gas_grows_with_the_logarithm_of_the_size() public view {
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertLe(_gas(i, 1), 8_000 + 2_800 * _depth(i), "one seat");
        }
        vm.assertEq(_depth(LARGE), 14);
    }

    /// @dev At most a node per seat and level, and what is subtracted of it for those drawn before.
    function test_draw__three_seats__gas_grows_with_the_logarithm_of_the_size() public view {
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertLe(_gas(i, 3), 11_000 + 8_200 * _depth(i), "three seats");
        }
    }

    function test_draw__fifteen_seats__gas_grows_with_the_logarithm_of_the_size() public view {
        for (uint256 i = 1; i < 4; ++i) {
            vm.assertLe(_gas(i, 15), 20_000 + 48_000 * _depth(i), "fifteen seats");
        }
    }
}
