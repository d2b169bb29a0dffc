// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {CodeStorage} from "../libraries/CodeStorage.sol";
import {Certificates} from "./Certificates.sol";
import {QeIdentity, QeTable} from "./QeTable.sol";
import {TcbInfo, TcbTable} from "./TcbTable.sol";
import {Validity} from "./Validity.sol";

/// @title Signed documents: which versions of platform, TDX module and quoting enclave are in which state
/// @notice Intel signs JSON, which is too long to read here. A steward posts what it says, with the hash that Intel signed. It
///         cannot post what Intel has not signed, or go back in time (ATT-8). It can transcribe wrongly, dates included, which
///         anybody can show who has the document with that hash.
abstract contract Collateral is Certificates {
    /// @notice The signature over a document.
    /// @param documentHash SHA-256 of the signed JSON
    /// @param signer id of the signer's certificate, which is registered
    struct Signed {
        bytes32 documentHash;
        bytes32 r;
        bytes32 s;
        bytes32 signer;
    }

    address public steward;

    mapping(bytes32 root => mapping(bytes6 fmspc => address)) private _tcb;

    event StewardReplaced(address indexed steward);
    event TcbPosted(bytes32 indexed root, bytes6 indexed fmspc, bytes32 documentHash, TcbInfo info);
    event QeIdentityPosted(bytes32 indexed root, bytes32 documentHash, QeIdentity identity);

    error Collateral_NotSteward(address caller, address steward);
    error Collateral_NoTcb(bytes32 root, bytes6 fmspc);
    error Collateral_NoQeIdentity(bytes32 root);
    error Collateral_OldIssue(uint256 issued, uint256 last);
    error Collateral_OldEvaluation(uint256 evaluation, uint256 last);
    error Collateral_Superseded(uint256 generation, uint256 rootGeneration);
    error Collateral_Expired(uint256 until, uint256 time);

    constructor(address steward_) {
        steward = steward_;
        emit StewardReplaced(steward_);
    }

    modifier onlySteward() {
        if (msg.sender != steward) revert Collateral_NotSteward(msg.sender, steward);
        _;
    }

    /// @notice Makes somebody else the steward.
    function handOver(address next) external onlySteward {
        steward = next;
        emit StewardReplaced(next);
    }

    /// @notice Posts TCB info in the place of the last one of the same root and FMSPC.
    function postTcb(TcbInfo calldata info, Signed calldata signed) external onlySteward {
        (bytes32 root_, uint40 until, uint16 generation) = _judge(signed, info.issued, info.until);
        address last = _tcb[root_][info.fmspc];
        _requireNewer(last, info.issued, info.evaluation);
        _tcb[root_][info.fmspc] = CodeStorage.write(TcbTable.encode(info, signed.documentHash, until, generation));
        emit TcbPosted(root_, info.fmspc, signed.documentHash, info);
    }

    /// @notice Posts the QE identity in the place of the last one of the same root.
    function postQeIdentity(QeIdentity calldata identity, Signed calldata signed) external onlySteward {
        (bytes32 root_, uint40 until, uint16 generation) = _judge(signed, identity.issued, identity.until);
        Root storage r = _roots[root_];
        _requireNewer(r.qeIdentity, identity.issued, identity.evaluation);
        r.qeIdentity = CodeStorage.write(QeTable.encode(identity, signed.documentHash, until, generation));
        _followAll(r);
        emit QeIdentityPosted(root_, signed.documentHash, identity);
    }

    /// @notice Validity (Unix seconds) and hash of the TCB info for a kind of machine; zeros without one. `until` is 0 for one
    ///         that must be posted again because the root's list has grown.
    function tcb(bytes32 root_, bytes6 fmspc)
        external
        view
        returns (uint40 issued, uint40 until, uint32 evaluation, bytes32 documentHash)
    {
        return _describe(_tcb[root_][fmspc], _roots[root_].generation);
    }

    /// @notice The same of the QE identity.
    function qeIdentity(bytes32 root_)
        external
        view
        returns (uint40 issued, uint40 until, uint32 evaluation, bytes32 documentHash)
    {
        return _describe(_roots[root_].qeIdentity, _roots[root_].generation);
    }

    /// @dev The table, and until when it holds. `generation` is the root's.
    function _tcbTable(bytes32 root_, bytes6 fmspc, uint256 generation) internal view returns (bytes memory, uint256) {
        address store = _tcb[root_][fmspc];
        if (store == address(0)) revert Collateral_NoTcb(root_, fmspc);
        return _open(store, generation);
    }

    function _qeTable(bytes32 root_, Standing memory standing) internal view returns (bytes memory, uint256) {
        if (standing.qeIdentity == address(0)) revert Collateral_NoQeIdentity(root_);
        return _open(standing.qeIdentity, standing.generation);
    }

    function _open(address store, uint256 generation) private view returns (bytes memory table, uint256 until) {
        table = CodeStorage.read(store);
        uint256 validity = Validity.read(table);
        if (Validity.generation(validity) != generation) {
            revert Collateral_Superseded(Validity.generation(validity), generation);
        }
        until = Validity.until(validity);
        if (block.timestamp > until) revert Collateral_Expired(until, block.timestamp);
    }

    /// @dev Whether a registered signer signed the document, and it is current. Until when it holds: the signer's certificate
    ///      may end first.
    function _judge(Signed calldata signed, uint40 issued, uint40 until)
        private
        view
        returns (bytes32, uint40, uint16)
    {
        Authority storage a = _authorityOf(signed.signer, false);
        _requireSigned(signed.documentHash, signed.r, signed.s, a.x, a.y);
        _requireCurrent(issued, until);
        return (a.root, a.until < until ? a.until : until, _roots[a.root].generation);
    }

    function _requireNewer(address last, uint256 issued, uint256 evaluation) private view {
        if (last == address(0)) return;
        uint256 validity = Validity.read(CodeStorage.read(last));
        if (issued < Validity.issued(validity)) revert Collateral_OldIssue(issued, Validity.issued(validity));
        if (evaluation < Validity.evaluation(validity)) {
            revert Collateral_OldEvaluation(evaluation, Validity.evaluation(validity));
        }
    }

    function _describe(address store, uint256 generation)
        private
        view
        returns (uint40 issued, uint40 until, uint32 evaluation, bytes32 documentHash)
    {
        bytes memory table = CodeStorage.read(store);
        if (table.length == 0) return (0, 0, 0, 0);
        uint256 validity = Validity.read(table);
        if (Validity.generation(validity) == generation) until = uint40(Validity.until(validity));
        assembly ("memory-safe") {
            documentHash := mload(add(table, 0x40))
        }
        return (uint40(Validity.issued(validity)), until, uint32(Validity.evaluation(validity)), documentHash);
    }
}
