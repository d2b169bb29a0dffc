// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice One worker's place in the registry. Slots 0 and 2 are packed; a draw and a lock touch slot 0 alone.
/// @param stake wei deposited and not yet slashed or withdrawn
/// @param locked wei of `stake` at risk in unfinished jobs
/// @param keyEpoch number of times the keys were replaced
/// @param leaf place in the stake tree, plus one; 0 means never registered
/// @param hpkeKey X25519 public key to which input keys are sealed
/// @param signer address of the key that signs results
/// @param exitAt Unix second from which the stake may be withdrawn; 0 while the worker has announced no exit
/// @param endpoint where the worker answers, as a URL; free text that no contract reads
struct Node {
    uint96 stake;
    uint96 locked;
    uint32 keyEpoch;
    uint32 leaf;
    bytes32 hpkeKey;
    address signer;
    uint40 exitAt;
    string endpoint;
}

using NodeLib for Node global;

library NodeLib {
    /// @notice Wei that no job has locked.
    function free(Node storage self) internal view returns (uint96) {
        return self.stake - self.locked;
    }

    function exiting(Node storage self) internal view returns (bool) {
        return self.exitAt != 0;
    }
}
