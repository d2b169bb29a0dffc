// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice One worker's place in the registry.
/// @param stake wei deposited and not yet slashed or withdrawn
/// @param locked wei of `stake` at risk in unfinished jobs
/// @param keyEpoch number of times the keys were replaced, or attested anew after a lapse (ENC-2)
/// @param leaf place in the stake tree, plus one; 0 means never registered
/// @param hpkeKey X25519 public key to which input keys for open versions are sealed
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
    uint32 exitAt;
    string endpoint;
}

/// @notice A node as it is stored. Slots 0 and 2 are packed: a lock touches slot 0 alone, and attesting the same keys and the
///         same platform again slot 2 alone.
/// @param attestedUntil Unix second at which the attestation ends; 0 without one, 1 after a revocation
/// @param challengeBlock number of the block whose hash the last quote answers; 0 before the first
struct Place {
    uint96 stake;
    uint96 locked;
    uint32 keyEpoch;
    uint32 leaf;
    bytes32 hpkeKey;
    address signer;
    uint32 exitAt;
    uint32 attestedUntil;
    uint32 challengeBlock;
    string endpoint;
}

using PlaceLib for Place global;

library PlaceLib {
    /// @notice Wei that no job has locked.
    function free(Place storage self) internal view returns (uint96) {
        return self.stake - self.locked;
    }

    function exiting(Place storage self) internal view returns (bool) {
        return self.exitAt != 0;
    }

    /// @notice What the world is shown: all but the attestation.
    function node(Place storage self) internal view returns (Node memory) {
        return Node({
            stake: self.stake,
            locked: self.locked,
            keyEpoch: self.keyEpoch,
            leaf: self.leaf,
            hpkeKey: self.hpkeKey,
            signer: self.signer,
            exitAt: self.exitAt,
            endpoint: self.endpoint
        });
    }
}
