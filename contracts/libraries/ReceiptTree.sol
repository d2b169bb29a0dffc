// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Trees of receipts
/// @notice Leaf i stands at place i; behind the last the leaves are zero up to a power of two. The place is part of what a proof
///         shows, and leaves and nodes are hashed under tags of their own, so nothing else can be shown for a leaf.
///         docs/spec/sessions.md has the bytes.
library ReceiptTree {
    bytes32 private constant NODE = keccak256("cloister/1/session-node");

    /// @param index place of the leaf, below `count`
    /// @param count leaves of the tree, at least one
    /// @param proof siblings from the leaf up, exactly as many as the tree is deep
    function includes(bytes32 root, uint256 index, uint256 count, bytes32 leaf, bytes32[] calldata proof)
        internal
        pure
        returns (bool)
    {
        if (proof.length != depth(count)) return false;
        bytes32 node = leaf;
        for (uint256 i = 0; i < proof.length; ++i) {
            node = index & 1 == 0 ? join(node, proof[i]) : join(proof[i], node);
            index >>= 1;
        }
        return index == 0 && node == root;
    }

    /// @notice Levels above the leaves.
    function depth(uint256 count) internal pure returns (uint256 levels) {
        for (uint256 rest = count - 1; rest != 0; rest >>= 1) {
            ++levels;
        }
    }

    function join(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return keccak256(abi.encode(NODE, left, right));
    }
}
