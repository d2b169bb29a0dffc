// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Sum tree over stakes that remembers the last two epochs
/// @notice A change made in epoch e counts from epoch e + 1 on, and the values of e and e - 1 stay readable.
///         A job therefore draws from the weights of the epoch of its request however the stakes move before its draw
///         (DRAW-2), and fresh stake cannot chase a seed that is about to be known (DRAW-3).
/// @dev    Level 0 holds the leaves, node i of level l sums nodes 2i and 2i + 1 of level l - 1. A node is one slot:
///         since (40 bits) | current | previous | oldest (72 bits each): the values from epoch `since` on, at `since` - 1
///         and at `since` - 2. Values are in gwei: 72 bits hold more than all ether.
library StakeTree {
    uint256 private constant VALUE = type(uint72).max;

    /// @notice A value from before the tree's memory was asked for.
    error StakeTree_Forgotten(uint256 epoch, uint256 oldest);

    struct Tree {
        uint32 leaves;
        uint8 depth;
        mapping(uint256 level => mapping(uint256 index => uint256)) nodes;
    }

    /// @notice Appends a leaf of weight zero and returns its index. The tree grows a level when it is full.
    function append(Tree storage self) internal returns (uint32 leaf) {
        leaf = self.leaves++;
        uint8 depth = self.depth;
        if (leaf == uint256(1) << depth) {
            // The old root becomes the left child of a new one, whose right half is still empty.
            self.nodes[depth + 1][0] = self.nodes[depth][0];
            self.depth = depth + 1;
        }
    }

    /// @notice Sets a leaf's weight from epoch `epoch` + 1 on, where `epoch` is the present one.
    function set(Tree storage self, uint256 leaf, uint256 weight, uint256 epoch) internal {
        uint256 old = _latest(self.nodes[0][leaf]);
        if (old == weight) return;
        uint256 depth = self.depth;
        for (uint256 level = 0; level <= depth; ++level) {
            uint256 slot = self.nodes[level][leaf];
            // Every sum that contains the leaf contains `old`, so the subtraction cannot pass zero.
            self.nodes[level][leaf] = _write(slot, _latest(slot) + weight - old, epoch + 1);
            leaf >>= 1;
        }
    }

    function weightAt(Tree storage self, uint256 leaf, uint256 epoch) internal view returns (uint256) {
        return _read(self.nodes[0][leaf], epoch);
    }

    function totalAt(Tree storage self, uint256 epoch) internal view returns (uint256) {
        return _read(self.nodes[self.depth][0], epoch);
    }

    /// @notice Draws up to `count` different leaves by weight, without replacement: draw j takes the leaf that holds
    ///         point keccak256(seed, j) mod (the weight still undrawn) when the undrawn weights are laid end to end.
    /// @return leaves as many as have weight, at most `count`
    /// @dev    Costs count x depth reads; nothing is rejected and tried again, so the cost has no tail.
    function draw(Tree storage self, bytes32 seed, uint256 count, uint256 epoch)
        internal
        view
        returns (uint256[] memory leaves)
    {
        leaves = new uint256[](count);
        uint256[] memory weights = new uint256[](count);
        uint256 left = totalAt(self, epoch);
        uint256 drawn = 0;
        while (drawn < count && left != 0) {
            uint256 point = uint256(keccak256(abi.encode(seed, drawn))) % left;
            uint256 leaf = _find(self, point, epoch, leaves, weights, drawn);
            uint256 weight = weightAt(self, leaf, epoch);
            (leaves[drawn], weights[drawn]) = (leaf, weight);
            left -= weight;
            ++drawn;
        }
        assembly ("memory-safe") {
            mstore(leaves, drawn)
        }
    }

    function _find(
        Tree storage self,
        uint256 point,
        uint256 epoch,
        uint256[] memory leaves,
        uint256[] memory weights,
        uint256 drawn
    ) private view returns (uint256 index) {
        for (uint256 level = self.depth; level != 0;) {
            --level;
            index <<= 1;
            uint256 below = _read(self.nodes[level][index], epoch);
            for (uint256 j = 0; j < drawn; ++j) {
                if (leaves[j] >> level == index) below -= weights[j];
            }
            if (point >= below) {
                point -= below;
                ++index;
            }
        }
    }

    function _latest(uint256 slot) private pure returns (uint256) {
        return (slot >> 144) & VALUE;
    }

    function _read(uint256 slot, uint256 epoch) private pure returns (uint256) {
        uint256 since = slot >> 216;
        if (epoch >= since) return (slot >> 144) & VALUE;
        if (epoch + 1 == since) return (slot >> 72) & VALUE;
        if (epoch + 2 == since) return slot & VALUE;
        revert StakeTree_Forgotten(epoch, since - 2);
    }

    function _write(uint256 slot, uint256 value, uint256 epoch) private pure returns (uint256) {
        uint256 since = slot >> 216;
        uint256 past;
        if (since == epoch) {
            past = slot & ((1 << 144) - 1);
        } else {
            uint256 current = (slot >> 144) & VALUE;
            past = (current << 72) | (since + 1 == epoch ? (slot >> 72) & VALUE : current);
        }
        return (epoch << 216) | (value << 144) | past;
    }
}
