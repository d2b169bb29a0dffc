// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobId, VersionId} from "./Ids.sol";

/// @notice How a job's answer is made trustworthy. The number is part of every job id: append, never reorder.
enum Level {
    Attested,
    Agreed,
    Proved,
    Split
}

/// @notice All that a requester fixes when it posts a job. The job id hashes it, so later calls pass it
///         again instead of the market storing it.
/// @param nonce chosen by the requester; makes two otherwise equal requests two jobs
/// @param version model version
/// @param level level of assurance
/// @param seats k, the size of the committee
/// @param quorum q, how many equal outputs decide
/// @param pricePerSeat wei per agreeing worker; must be the version's price, which guards against a price change under way
/// @param inputCommitment keccak256(abi.encode(input binding, circuit input)): binds the input and the job secret, and at
///        level PROVED what the proof will be about (docs/spec/commitments.md)
/// @param ciphertextHash SHA-256 of the encrypted input
/// @param ciphertextSize its length in bytes
/// @param responseKey X25519 public key to which outputs are sealed
/// @param secretHash keccak256 of the secret that `deliver` opens for the seed
struct Request {
    uint256 nonce;
    VersionId version;
    Level level;
    uint8 seats;
    uint8 quorum;
    uint96 pricePerSeat;
    bytes32 inputCommitment;
    bytes32 ciphertextHash;
    uint32 ciphertextSize;
    bytes32 responseKey;
    bytes32 secretHash;
}

using RequestLib for Request global;

library RequestLib {
    /// @notice The job id of rule JOB-2: a reorganised chain can give the id to no other job.
    function id(Request calldata self, address market, address requester) internal view returns (JobId) {
        return JobId.wrap(keccak256(abi.encode(block.chainid, market, requester, self)));
    }

    function escrow(Request calldata self) internal pure returns (uint256) {
        return uint256(self.seats) * self.pricePerSeat;
    }
}
