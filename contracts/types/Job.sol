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
    Refunded,
    Disputed,
    Challenged
}

/// @notice Why a job ended without an answer. A PROVED job without a proof has too few commits.
enum RefundReason {
    NotDelivered,
    CommitteeTooSmall,
    Unpublished,
    TooFewCommits,
    Refusals,
    NoQuorum,
    NotProved
}

/// @notice What the market stores of a job besides its seats: one slot. The rest stands in the calls; the job id binds it.
/// @param state where the job stands
/// @param flags bits of JobLib
/// @param committed seats that committed, bit i for seat i
/// @param revealed seats that revealed
/// @param dissenting seats that revealed another output than seat `lead`
/// @param excused seats that owe nothing: vacant at the draw, or refused with a reason
/// @param charged how many seats earned the fault fee by a signed refusal (SIG-2)
/// @param lead the seat that holds the first revealed output; once the job is settled, the result
/// @param deadline Unix second at which the present state lapses; Settled: after which nobody can challenge;
///        Refunded: 0 if the draw found too few workers
/// @param moment Open: number of the block whose prevrandao enters the seed; later: Unix second of the delivery
/// @param tag fixes committee and keys: TicketLib
struct Job {
    State state;
    uint8 flags;
    uint16 committed;
    uint16 revealed;
    uint16 dissenting;
    uint16 excused;
    uint8 charged;
    uint8 lead;
    uint32 deadline;
    uint32 moment;
    bytes12 tag;
}

using JobLib for Job global;

library JobLib {
    uint8 internal constant PUBLISHED = 1;
    uint8 internal constant UNPUBLISHABLE = 2;
    /// @dev For a version with a policy: its workers are enrolled, and their enclaves sign the results.
    uint8 internal constant ENROLLED = 4;
    /// @dev The requester named the worker.
    uint8 internal constant HIRED = 8;
    /// @dev Nobody can challenge the result: it was proved, or challenged once, or is a referee's, or inexact.
    uint8 internal constant FINAL = 16;
    /// @dev The version's arithmetic is not bit-exact, so disagreement is no fault.
    uint8 internal constant INEXACT = 32;

    /// @notice The slot as it is stored; Solidity would read and write it once per field.
    function pack(Job memory self) internal pure returns (uint256) {
        return uint256(self.state) | uint256(self.flags) << 8 | uint256(self.committed) << 16 | uint256(self.revealed)
            << 32 | uint256(self.dissenting) << 48 | uint256(self.excused) << 64 | uint256(self.charged) << 80
            | uint256(self.lead) << 88 | uint256(self.deadline) << 96 | uint256(self.moment) << 128
            | uint256(uint96(self.tag)) << 160;
    }

    function unpack(uint256 slot) internal pure returns (Job memory j) {
        j.state = State(uint8(slot));
        j.flags = uint8(slot >> 8);
        j.committed = uint16(slot >> 16);
        j.revealed = uint16(slot >> 32);
        j.dissenting = uint16(slot >> 48);
        j.excused = uint16(slot >> 64);
        j.charged = uint8(slot >> 80);
        j.lead = uint8(slot >> 88);
        j.deadline = uint32(slot >> 96);
        j.moment = uint32(slot >> 128);
        j.tag = bytes12(uint96(slot >> 160));
    }

    /// @notice True when no seat that could still commit is missing.
    function allCommitted(Job memory self, uint256 seats) internal pure returns (bool) {
        return count(self.committed | self.excused) == seats;
    }

    function allRevealed(Job memory self) internal pure returns (bool) {
        return self.revealed == self.committed;
    }

    /// @notice True when refusals and vacancies leave too few of `seats` for the quorum.
    function hopeless(Job memory self, uint256 seats, uint256 quorum) internal pure returns (bool) {
        return count(self.excused) + quorum > seats;
    }

    /// @notice The seats that revealed what seat `lead` did.
    function agreeing(Job memory self) internal pure returns (uint16) {
        return self.revealed & ~self.dissenting;
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
