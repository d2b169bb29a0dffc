// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice keccak256(abi.encode(chain id, sessions contract, requester, worker, nonce)): rule SESS-1 of docs/spec/sessions.md.
type SessionId is bytes32;

/// @notice An account that a requester keeps with one worker: four slots, five if it is in a token.
/// @param requester who opened it and owns what is not settled
/// @param price units of the currency that each job costs
/// @param worker who alone can settle
/// @param settled sequence number of the last order that was settled; 0 before
/// @param closeAt Unix second from which nothing can be settled; 0 while no close is announced
/// @param closed whether the requester has got back what was not settled
/// @param signer the worker's attested signer at the opening: receipts by any other count for nothing
/// @param reserved units of the currency that no settlement has taken
/// @param key signs the orders; a plain key, whatever code stands at its address
/// @param bond wei that the worker puts at risk with each settlement
/// @param token the currency; 0 for the chain's own coin
struct Session {
    address requester;
    uint96 price;
    address worker;
    uint32 settled;
    uint40 closeAt;
    bool closed;
    address signer;
    uint96 reserved;
    address key;
    uint96 bond;
    address token;
}

/// @notice Receipts `first` to `first + count - 1` of a session, where `first` is what the settlement goes by. Two slots.
/// @param root of the tree of its leaves, in the order of their sequence numbers
/// @param count leaves
/// @param refunded leaves whose price went back to the requester
/// @param demands leaves that are demanded and neither shown nor forfeited yet
/// @param demandUntil Unix second until which leaves can be demanded
/// @param payableAt Unix second from which the worker can be paid
/// @param bonded whether the worker's bond is still whole
struct Settlement {
    bytes32 root;
    uint32 count;
    uint32 refunded;
    uint32 demands;
    uint40 demandUntil;
    uint40 payableAt;
    bool bonded;
}

/// @notice What became of one leaf.
enum LeafState {
    Settled,
    Demanded,
    Shown,
    Refunded
}

/// @param state what became of the leaf
/// @param answerUntil Unix second until which the demand can be answered; 0 if there was none
struct Demand {
    LeafState state;
    uint40 answerUntil;
}

/// @notice What the session's key signs: pay for this job, and for all before it, whose receipts are good.
/// @param sequence number of the job, from 1, without gaps
/// @param total units owed for this job and all before it: sequence times the session's price
/// @param inputCommitment binds the input, its secret and the key that the output is sealed to
struct Order {
    SessionId session;
    uint32 sequence;
    uint128 total;
    bytes32 inputCommitment;
}

/// @notice What the worker's enclave signs for an order, once the output is sealed.
/// @param outputCommitment binds the output
/// @param sealedOutputHash keccak256 of the sealed output
struct Receipt {
    SessionId session;
    uint32 sequence;
    uint128 total;
    bytes32 inputCommitment;
    bytes32 outputCommitment;
    bytes32 sealedOutputHash;
}

/// @notice A leaf opened: both structs and both signatures.
struct Leaf {
    Order order;
    Receipt receipt;
    bytes orderSignature;
    bytes receiptSignature;
}

/// @notice What is wrong with a leaf. The first that applies is named.
enum Flaw {
    None,
    Session,
    Sequence,
    Total,
    Input,
    Output,
    OrderSignature,
    ReceiptSignature
}

using SessionLib for Session global;
using SettlementLib for Settlement global;
using OrderLib for Order global;
using ReceiptLib for Receipt global;
using LeafLib for Leaf global;

library SessionLib {
    function exists(Session storage self) internal view returns (bool) {
        return self.requester != address(0);
    }
}

library SettlementLib {
    function exists(Settlement storage self) internal view returns (bool) {
        return self.count != 0;
    }

    /// @notice Whether leaf `sequence` is one of a settlement that begins with `first`.
    function covers(Settlement storage self, uint32 first, uint32 sequence) internal view returns (bool) {
        return sequence >= first && sequence - first < self.count;
    }
}

library OrderLib {
    bytes32 private constant ORDER =
        keccak256("Order(bytes32 session,uint32 sequence,uint128 total,bytes32 inputCommitment)");

    /// @notice The EIP-712 struct hash.
    function hash(Order calldata self) internal pure returns (bytes32) {
        return keccak256(abi.encode(ORDER, self.session, self.sequence, self.total, self.inputCommitment));
    }
}

library ReceiptLib {
    bytes32 private constant RECEIPT = keccak256(
        "Receipt(bytes32 session,uint32 sequence,uint128 total,bytes32 inputCommitment,bytes32 outputCommitment,bytes32 sealedOutputHash)"
    );

    /// @notice The EIP-712 struct hash.
    function hash(Receipt calldata self) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                RECEIPT,
                self.session,
                self.sequence,
                self.total,
                self.inputCommitment,
                self.outputCommitment,
                self.sealedOutputHash
            )
        );
    }
}

library LeafLib {
    bytes32 private constant LEAF = keccak256("cloister/1/session-leaf");

    /// @notice What stands in the tree. The signatures are in it, so that a leaf which has none is a provable lie.
    function hash(Leaf calldata self) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                LEAF,
                self.order.hash(),
                self.receipt.hash(),
                keccak256(self.orderSignature),
                keccak256(self.receiptSignature)
            )
        );
    }
}
