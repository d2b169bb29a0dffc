// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {StakeLocks} from "./StakeLocks.sol";

/// @notice One worker's place in the registry.
/// @param stake wei deposited and not yet slashed or withdrawn
/// @param locked wei of `stake` at risk in jobs whose results can still be found wrong
/// @param operator number of the operator that the worker belongs to; 0 for none but itself
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
    uint32 operator;
    bytes32 hpkeKey;
    address signer;
    uint32 exitAt;
    string endpoint;
}

/// @notice A node as it is stored. A draw reads slots 0 and 1, a lock writes slot 1 alone, who signs stands in slot 3, and attesting
///         the same keys again writes slot 4 alone.
/// @param replacedAt Unix second at which the signer last changed while stake was locked; 0 if none was at the last change
/// @param evidenceTag first 24 bytes of the hash of the worker's Evidence; zero if it was never attested or gave its place back
/// @param attestedUntil Unix second at which the attestation ends; 0 without one, 1 after a revocation
/// @param challengeBlock number of the block whose hash the last quote answers; 1 before the first
struct Place {
    uint96 stake;
    uint32 leaf;
    uint32 operator;
    StakeLocks locks;
    bytes32 hpkeKey;
    address signer;
    uint32 keyEpoch;
    uint32 exitAt;
    uint32 replacedAt;
    bytes24 evidenceTag;
    uint32 attestedUntil;
    uint32 challengeBlock;
    string endpoint;
}

using PlaceLib for Place global;

library PlaceLib {
    /// @notice Wei that some job has locked. A slash can leave less stake than is locked.
    /// @param period the present one
    function locked(Place storage self, uint256 period) internal view returns (uint96) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint96(self.locks.live(period) * 1 gwei); // sums of 58 bits at most
    }

    /// @notice Wei that no job has locked.
    function free(Place storage self, uint256 period) internal view returns (uint96) {
        uint96 taken = self.locked(period);
        uint96 stake = self.stake;
        return stake > taken ? stake - taken : 0;
    }

    /// @notice From slot 3, at once. Whoever ever registered has a signer.
    function membership(Place storage self) internal view returns (address signer, uint32 exitAt) {
        uint256 slot3;
        assembly ("memory-safe") {
            slot3 := sload(add(self.slot, 3))
        }
        return (address(uint160(slot3)), uint32(slot3 >> 192));
    }

    function exiting(Place storage self) internal view returns (bool) {
        return self.exitAt != 0;
    }

    /// @notice Reads slot 4 at once.
    function attestation(Place storage self)
        internal
        view
        returns (bytes24 evidenceTag, uint32 attestedUntil, uint32 challengeBlock)
    {
        uint256 slot4;
        assembly ("memory-safe") {
            slot4 := sload(add(self.slot, 4))
        }
        return (bytes24(uint192(slot4)), uint32(slot4 >> 192), uint32(slot4 >> 224));
    }

    /// @notice Writes slot 4 at once; field by field it would be written three times.
    function setAttestation(Place storage self, bytes24 evidenceTag, uint32 until, uint32 challengeBlock) internal {
        // The first field has the lowest bits.
        uint256 slot4 = uint192(evidenceTag) | uint256(until) << 192 | uint256(challengeBlock) << 224;
        assembly ("memory-safe") {
            sstore(add(self.slot, 4), slot4)
        }
    }

    /// @notice What the world is shown: all but the attestation.
    function node(Place storage self, uint256 period) internal view returns (Node memory) {
        return Node({
            stake: self.stake,
            locked: self.locked(period),
            keyEpoch: self.keyEpoch,
            leaf: self.leaf,
            operator: self.operator,
            hpkeKey: self.hpkeKey,
            signer: self.signer,
            exitAt: self.exitAt,
            endpoint: self.endpoint
        });
    }
}
