// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice State of a platform's trusted computing base, as its vendor's signed documents say. The number is a bit of
///         every policy: append, never reorder.
enum TcbStatus {
    UpToDate,
    SWHardeningNeeded,
    ConfigurationNeeded,
    ConfigurationAndSWHardeningNeeded,
    OutOfDate,
    OutOfDateConfigurationNeeded,
    Revoked
}

/// @notice What a quote says once everything about it that does not depend on the reader has been checked.
/// @param measurement keccak256 of the quote's bytes 168 to 567: TD attributes, XFAM, MRTD, configuration, owner, RTMRs
/// @param platform keccak256 of the 16-byte PPID: one physical machine
/// @param status of the platform and the TDX module, the worse of the two
/// @param development true if the certificates end in the development root, which protects nothing
/// @param validUntil Unix second at which the first of certificates, revocation lists and signed documents expires
/// @param binding report data 0 to 31
/// @param challenge report data 32 to 63
struct Report {
    bytes32 measurement;
    bytes32 platform;
    TcbStatus status;
    bool development;
    uint40 validUntil;
    bytes32 binding;
    bytes32 challenge;
}

/// @notice What the registry remembers of a worker's attestation, as a hash.
/// @param keyEpoch the worker's key epoch when it was attested
struct Evidence {
    bytes32 measurement;
    bytes32 platform;
    TcbStatus status;
    bool development;
    uint32 keyEpoch;
}

using EvidenceLib for Evidence global;

library EvidenceLib {
    /// @notice keccak256 of the ABI encoding, which is what stands in memory: five words.
    function hash(Evidence memory self) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            digest := keccak256(self, 0xa0)
        }
    }
}
