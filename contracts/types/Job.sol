// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Where a job stands. docs/spec/protocol.md draws the transitions.
enum State {
    None,
    Open,
    Ready,
    Demanded,
    Committed,
    Settled,
    Refunded
}

/// @notice Why a job ended without an answer. A PROVED job without a proof has too few commits.
enum RefundReason {
    NotDelivered,
    CommitteeTooSmall,
    Unpublished,
    TooFewCommits,
    Refusals,
    NoQuorum
}

/// @notice What the market stores of a job: three slots.
/// @param state where the job stands
/// @param seats k
/// @param quorum q
/// @param flags bits of JobLib: PUBLISHED, UNPUBLISHABLE, PROVED, ATTESTED, ENROLLED
/// @param committed seats that committed, bit i for seat i
/// @param revealed seats that revealed
/// @param excused seats that owe nothing: vacant at the draw, or refused with a reason
/// @param deadline Unix second at which the present state lapses
/// @param seedBlock number of the block whose prevrandao enters the seed
/// @param deliveredAt Unix second of the delivery; 0 before
/// @param pricePerSeat wei that each agreeing worker earns
/// @param requester who paid
/// @param lockEach wei of stake at risk per seat
/// @param charged seats that earned the fault fee by a signed refusal (SIG-2)
/// @param digest Ready and later: hash of the committee; Settled: the output commitment, or at level PROVED
///               the digest of the output
struct Job {
    State state;
    uint8 seats;
    uint8 quorum;
    uint8 flags;
    uint16 committed;
    uint16 revealed;
    uint16 excused;
    uint40 deadline;
    uint32 seedBlock;
    uint32 deliveredAt;
    uint72 pricePerSeat;
    address requester;
    uint80 lockEach;
    uint16 charged;
    bytes32 digest;
}

using JobLib for Job global;

library JobLib {
    uint8 internal constant PUBLISHED = 1;
    uint8 internal constant UNPUBLISHABLE = 2;
    /// @dev Of level PROVED: one seat, which a proof settles.
    uint8 internal constant PROVED = 4;
    /// @dev Of level ATTESTED: one seat, which a signed answer settles.
    uint8 internal constant ATTESTED = 8;
    /// @dev For a version with a policy: drawn from enrolled workers.
    uint8 internal constant ENROLLED = 16;

    /// @notice Writes all that changes after the request but `charged`: slot 0, in the order of the struct, and the digest. Copying the
    ///         struct would write slot 0 once per field.
    function save(Job storage self, Job memory j) internal {
        uint256 slot0 = uint256(j.state) | uint256(j.seats) << 8 | uint256(j.quorum) << 16 | uint256(j.flags) << 24
            | uint256(j.committed) << 32 | uint256(j.revealed) << 48 | uint256(j.excused) << 64 | uint256(j.deadline)
            << 80 | uint256(j.seedBlock) << 120 | uint256(j.deliveredAt) << 152 | uint256(j.pricePerSeat) << 184;
        assembly ("memory-safe") {
            sstore(self.slot, slot0)
        }
        self.digest = j.digest;
    }

    function escrow(Job memory self) internal pure returns (uint256) {
        return uint256(self.seats) * self.pricePerSeat;
    }

    /// @notice True when no seat that could still commit is missing.
    function allCommitted(Job memory self) internal pure returns (bool) {
        return count(self.committed | self.excused) == self.seats;
    }

    function allRevealed(Job memory self) internal pure returns (bool) {
        return self.revealed == self.committed;
    }

    /// @notice True when refusals and vacancies leave too few seats for the quorum.
    function hopeless(Job memory self) internal pure returns (bool) {
        return count(self.excused) + self.quorum > self.seats;
    }

    function has(Job memory self, uint8 flag) internal pure returns (bool) {
        return self.flags & flag != 0;
    }

    /// @notice Number of set bits.
    function count(uint16 mask) internal pure returns (uint8 n) {
        for (; mask != 0; mask &= mask - 1) {
            ++n;
        }
    }

    function bit(uint256 seat) internal pure returns (uint16) {
        // forge-lint: disable-next-line(incorrect-shift)
        return uint16(1 << seat);
    }
}
