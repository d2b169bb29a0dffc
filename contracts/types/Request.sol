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

/// @notice What every call about a job needs. The job id hashes it, so calls show it again instead of the market storing it.
/// @param requester who pays, delivers, and gets back what is left
/// @param version model version
/// @param level level of assurance
/// @param seats k, the size of the committee
/// @param quorum q, how many equal outputs decide
/// @param verifier number of the verifier whose word ends a dispute, the version's; 0 where a larger committee ends it
/// @param ownerPercent share of every seat's price that is the version owner's, in 1/100
/// @param token currency of the price; 0 for the chain's own coin
/// @param pricePerSeat units of `token` per agreeing seat; at least the version's price
/// @param lockEach wei of stake at risk per seat; what the currency's rate makes of the price
struct Terms {
    address requester;
    VersionId version;
    Level level;
    uint8 seats;
    uint8 quorum;
    uint32 verifier;
    uint8 ownerPercent;
    address token;
    uint96 pricePerSeat;
    uint96 lockEach;
}

/// @notice What only some calls need; others show its hash.
/// @param nonce chosen by the requester; makes two otherwise equal requests two jobs
/// @param inputCommitment keccak256(abi.encode(input binding, circuit input)): binds the input and the job secret, and where the
///        terms name a verifier what a proof will be about (docs/spec/commitments.md)
/// @param ciphertextHash SHA-256 of the encrypted input
/// @param ciphertextSize its length in bytes
/// @param responseKey X25519 public key to which outputs are sealed
/// @param secretHash keccak256 of the secret that `deliver` opens for the seed; not looked at by `hire`
/// @param worker whom `hire` seats; zero for a job whose workers are drawn
/// @param reputation floor of a worker's reputation, in 1/10000; a drawn worker below it leaves its seat vacant
/// @param consumer contract that `notify` tells the result; zero for none
/// @param consumerGas gas that it gets
struct Brief {
    uint256 nonce;
    bytes32 inputCommitment;
    bytes32 ciphertextHash;
    uint32 ciphertextSize;
    bytes32 responseKey;
    bytes32 secretHash;
    address worker;
    uint16 reputation;
    address consumer;
    uint32 consumerGas;
}

/// @notice All that a requester fixes when it posts a job.
struct Request {
    Terms terms;
    Brief brief;
}

/// @notice What shows a call which job it is about, from the delivery on.
/// @param brief hash of the job's Brief
/// @param committee who was drawn, address 0 for a vacant seat
/// @param keys keccak256 of the sealed keys that were delivered
struct Ticket {
    Terms terms;
    bytes32 brief;
    address[] committee;
    bytes32 keys;
}

using TermsLib for Terms global;
using RequestLib for Request global;
using BriefLib for Brief global;
using TicketLib for Ticket global;

library TermsLib {
    function escrow(Terms calldata self) internal pure returns (uint256) {
        return uint256(self.seats) * self.pricePerSeat;
    }

    /// @notice The job id of rule JOB-2: a reorganised chain can give the id to no other job.
    /// @param brief hash of the job's Brief
    /// @dev keccak256(abi.encode(block.chainid, address(this), self, brief)). The ten words are copied as they came, not decoded and
    ///      encoded again: every call pays for this.
    function id(Terms calldata self, bytes32 brief) internal view returns (JobId job) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, chainid())
            mstore(add(free, 0x20), address())
            calldatacopy(add(free, 0x40), self, 0x140)
            mstore(add(free, 0x180), brief)
            job := keccak256(free, 0x1a0)
        }
    }
}

library RequestLib {
    function id(Request calldata self) internal view returns (JobId) {
        return self.terms.id(self.brief.hash());
    }
}

library BriefLib {
    /// @dev keccak256(abi.encode(self)): ten words.
    function hash(Brief calldata self) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, self, 0x140)
            digest := keccak256(free, 0x140)
        }
    }
}

library TicketLib {
    function id(Ticket calldata self) internal view returns (JobId) {
        return self.terms.id(self.brief);
    }

    /// @notice Fixes committee and keys of a job. 96 bits: a second committee with the tag of a drawn one is out of reach, and
    ///         since the id is hashed, too, no search serves more than one job.
    /// @dev    As `committeeTag`, with the committee's words copied as they came.
    function tag(Ticket calldata self, JobId job) internal pure returns (bytes12) {
        address[] calldata committee = self.committee;
        bytes32 keys = self.keys;
        bytes32 digest;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := shl(5, committee.length)
            mstore(free, job)
            mstore(add(free, 0x20), keys)
            mstore(add(free, 0x40), 0x60)
            mstore(add(free, 0x60), committee.length)
            calldatacopy(add(free, 0x80), committee.offset, size)
            digest := keccak256(free, add(0x80, size))
        }
        return bytes12(digest);
    }

    function committeeTag(JobId job, address[] memory committee, bytes32 keys) internal pure returns (bytes12) {
        return bytes12(keccak256(abi.encode(job, keys, committee)));
    }
}
