// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Demand, Flaw, Leaf, Order, Receipt, Session, SessionId, Settlement} from "../types/Session.sol";
import {ICurrencies} from "./ICurrencies.sol";
import {INodeRegistry} from "./INodeRegistry.sol";

/// @title Sessions: many jobs by one attested worker for one deposit
/// @notice A requester deposits once. For each job it signs an order off chain, and the worker's enclave answers with a signed
///         receipt. The last order pays for all before it; the worker settles any number of receipts by the root of their
///         tree, and is paid after a window in which the requester can demand any leaf, with the sealed output.
///         Rules SESS-* of docs/spec/sessions.md.
///
///         Safety rests on: the requester signing no order before it holds a good receipt for the last one, and looking at the
///         chain once per challenge window; the worker working for no order that the deposit does not cover, or after a
///         close was announced. Liveness rests on nothing: each party gets its money though the other is gone for ever.
///         Nothing here has an owner, and nothing can be paused.
interface ISessions {
    /// @notice Fixed at deployment.
    /// @param challengeWindow seconds after a settlement in which leaves can be demanded
    /// @param answerWindow seconds to show a demanded leaf, and then again to prove what is shown a lie
    /// @param withdrawDelay seconds between the announcement of a close and the end of settling; more than the longest that
    ///        a settlement takes, challengeWindow + 2 * answerWindow
    /// @param bondJobs how many times the price of a job is burned of each settlement with a fault
    /// @param demandDeposit wei that a demand costs if it is answered: what publishing a leaf costs the worker, or more
    struct Parameters {
        uint32 challengeWindow;
        uint32 answerWindow;
        uint32 withdrawDelay;
        uint16 bondJobs;
        uint80 demandDeposit;
    }

    /// @notice Why a leaf's price went back.
    enum Fault {
        Hidden,
        BadLeaf,
        Equivocation
    }

    event SessionOpened(SessionId indexed id, address indexed requester, address indexed worker, Session session);
    event SessionToppedUp(SessionId indexed id, uint256 amount, uint256 reserved);
    /// @notice Nothing can be settled from `closeAt` on: a worker that sees this works for no more orders.
    event CloseAnnounced(SessionId indexed id, uint40 closeAt);
    event SessionClosed(SessionId indexed id, uint256 returned);
    event ReceiptsSettled(SessionId indexed id, uint32 indexed first, uint32 count, bytes32 root, uint40 demandUntil);
    event LeafDemanded(SessionId indexed id, uint32 indexed first, uint32 sequence, uint40 answerUntil);
    event LeafShown(
        SessionId indexed id,
        uint32 indexed first,
        uint32 sequence,
        Receipt receipt,
        bytes receiptSignature,
        bytes sealedOutput
    );
    event LeafRefunded(SessionId indexed id, uint32 indexed first, uint32 sequence, Fault fault);
    event SettlementPaid(SessionId indexed id, uint32 indexed first, uint256 amount);
    /// @notice Every unit that the contract comes to owe, and why: the session.
    event Credited(address indexed account, SessionId indexed id, address token, uint256 amount);
    event Withdrawn(address indexed account, address indexed token, uint256 amount);

    error Sessions_BadParameters();
    error Sessions_ZeroPrice();
    error Sessions_ZeroKey();
    error Sessions_NotAttested(address worker, uint256 until);
    error Sessions_WrongSigner(address worker, address signer);
    error Sessions_AlreadyOpen(SessionId id);
    error Sessions_NotOpen(SessionId id);
    error Sessions_NotRequester(address caller, address requester);
    error Sessions_NotWorker(address caller, address worker);
    error Sessions_WrongValue(uint256 value, uint256 required);
    error Sessions_WrongTransfer(address token, uint256 received, uint256 amount);
    error Sessions_AmountTooLarge(uint256 amount, uint256 maximum);
    error Sessions_Closing(SessionId id, uint256 closeAt);
    error Sessions_NotClosing(SessionId id);
    error Sessions_TooEarly(uint256 time, uint256 from);
    error Sessions_TooLate(uint256 time, uint256 until);
    error Sessions_OtherSession(SessionId named, SessionId id);
    error Sessions_AlreadySettled(uint256 sequence, uint256 settled);
    error Sessions_WrongTotal(uint256 total, uint256 required);
    error Sessions_WrongOrderSignature(address signer, address key);
    error Sessions_DepositTooSmall(uint256 reserved, uint256 needed);
    error Sessions_NoSettlement(SessionId id, uint256 first);
    error Sessions_NotCovered(uint256 sequence, uint256 first, uint256 count);
    error Sessions_LeafTaken(uint256 sequence);
    error Sessions_NotDemanded(uint256 sequence);
    error Sessions_NotInTree(uint256 sequence);
    error Sessions_BadLeaf(Flaw flaw);
    error Sessions_SoundLeaf(uint256 sequence);
    error Sessions_WrongOutput(bytes32 hash, bytes32 required);
    error Sessions_OutputTooLong(uint256 length, uint256 maximum);
    error Sessions_NoEquivocation(uint256 sequence);
    error Sessions_DemandsOpen(uint256 demands);
    error Sessions_NoCredit(address account, address token);
    error Sessions_TransferFailed(address to, uint256 amount);

    /// @notice Opens a session with an attested worker and deposits `amount`.
    /// @dev A contract wallet opens sessions as any account does. The key is a plain one, because a contract could take back later
    ///      what it called its signature when the worker relied on it (SESS-6).
    /// @param worker attested now
    /// @param signer the worker's signer, whose evidence the caller has judged
    /// @param key signs the orders of this session
    /// @param token the currency; 0 for the chain's own coin, of which exactly `amount` wei come with the call
    /// @param price units per job
    /// @param amount units to deposit
    /// @param nonce any number that the caller has not used with this worker
    function open(
        address worker,
        address signer,
        address key,
        address token,
        uint96 price,
        uint96 amount,
        uint256 nonce
    ) external payable returns (SessionId id);

    /// @notice Deposits more. Anybody may; what is not settled goes to the requester.
    function topUp(SessionId id, uint96 amount) external payable;

    /// @notice Announces the end. Requester only; cannot be taken back.
    function announceClose(SessionId id) external;

    /// @notice Credits the requester with what was not settled, once the delay is over. Anybody may call it.
    function close(SessionId id) external;

    /// @notice Settles all orders from the last settled one to `last`. Worker only; exactly the session's bond comes with the call.
    /// @param last the newest order, which pays for all before it
    /// @param signature of the session's key over EIP-712 Order
    /// @param root of the tree of the leaves from the first order that is not settled to `last`
    function settle(SessionId id, Order calldata last, bytes calldata signature, bytes32 root) external payable;

    /// @notice Asks for a leaf and its sealed output. Requester only; exactly the demand deposit comes with the call.
    /// @param first of the settlement
    function demand(SessionId id, uint32 first, uint32 sequence) external payable;

    /// @notice Shows a demanded leaf. Anybody may; the worker gets the deposit.
    /// @param sealedOutput at most 1,072 bytes, which hash to what the receipt says
    function show(SessionId id, uint32 first, Leaf calldata leaf, bytes32[] calldata proof, bytes calldata sealedOutput)
        external;

    /// @notice Refunds a demanded leaf that stayed hidden. Anybody may call it once the answer window is over.
    function forfeit(SessionId id, uint32 first, uint32 sequence) external;

    /// @notice Refunds a leaf that stands in the tree and should not: of another session or sequence, with another total, or
    ///         without the signatures that it pretends to have. Anybody may call it before the settlement is paid.
    function proveBadLeaf(SessionId id, uint32 first, uint32 sequence, Leaf calldata leaf, bytes32[] calldata proof)
        external;

    /// @notice Refunds a leaf for whose sequence number the worker signed two receipts that differ. Neither need be in the tree.
    function proveEquivocation(
        SessionId id,
        uint32 first,
        Receipt calldata one,
        bytes calldata signatureOfOne,
        Receipt calldata other,
        bytes calldata signatureOfOther
    ) external;

    /// @notice Credits the worker with what is left of a settlement. Anybody may call it, once it is payable and no demand open.
    function pay(SessionId id, uint32 first) external;

    /// @notice Pays an account what it is owed. Anybody may call it.
    function withdraw(address token, address account) external;

    function sessionId(address requester, address worker, uint256 nonce) external view returns (SessionId);
    function session(SessionId id) external view returns (Session memory);
    function settlement(SessionId id, uint32 first) external view returns (Settlement memory);
    function leafDemand(SessionId id, uint32 sequence) external view returns (Demand memory);
    function credit(address token, address account) external view returns (uint256);
    function parameters() external view returns (Parameters memory);
    function nodes() external view returns (INodeRegistry);
    function currencies() external view returns (ICurrencies);
}
