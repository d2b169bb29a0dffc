// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {Report, TcbStatus} from "../types/Evidence.sol";
import {Certificates} from "./Certificates.sol";
import {Collateral} from "./Collateral.sol";
import {QeTable} from "./QeTable.sol";
import {TcbTable} from "./TcbTable.sol";
import {TdxQuote} from "./TdxQuote.sol";

/// @title Verifier of TDX quotes
/// @notice Rules ATT-1 to ATT-10 of docs/spec/enclaves.md. `Certificates` holds who may sign, `Collateral` what the signed
///         documents say, this contract judges quotes by both and counts workers per machine.
contract TdxQuoteVerifier is IQuoteVerifier, Collateral {
    address public immutable nodeRegistry;

    error TdxQuoteVerifier_NotRegistry(address caller, address registry);
    error TdxQuoteVerifier_UnknownPlatform(bytes32 platform);
    error TdxQuoteVerifier_PlatformFull(bytes32 platform, uint256 identities, uint256 cap);
    error TdxQuoteVerifier_PlatformEmpty(bytes32 platform);
    error TdxQuoteVerifier_TcbRevoked(bytes32 platform);

    constructor(address nodeRegistry_, address steward_, RootKey[] memory roots)
        Certificates(roots)
        Collateral(steward_)
    {
        nodeRegistry = nodeRegistry_;
    }

    modifier onlyRegistry() {
        if (msg.sender != nodeRegistry) revert TdxQuoteVerifier_NotRegistry(msg.sender, nodeRegistry);
        _;
    }

    /// @inheritdoc IQuoteVerifier
    function verify(bytes calldata quote, bytes32 pck) external view returns (Report memory report) {
        TdxQuote.requireSound(quote);
        Platform memory p = _platform(pck);
        _requireSignatures(quote, p);
        Standing memory standing = _authorities[p.issuer].standing;
        uint256 trusted = _requireTrusted(p, standing);
        (TcbStatus status, uint256 until) = _judge(quote, p, standing);
        if (status == TcbStatus.Revoked) revert TdxQuoteVerifier_TcbRevoked(p.platform);
        report.measurement = TdxQuote.measurement(quote);
        report.platform = p.platform;
        report.status = status;
        report.development = _development(p.facts);
        report.validUntil = uint40(_least(trusted, until));
        (report.binding, report.challenge) = TdxQuote.reportData(quote);
    }

    /// @inheritdoc IQuoteVerifier
    function enter(bytes32 platform_, uint256 cap) external onlyRegistry {
        uint256 places = _places[platform_];
        if (places == 0) revert TdxQuoteVerifier_UnknownPlatform(platform_);
        if (places > cap) revert TdxQuoteVerifier_PlatformFull(platform_, places - 1, cap);
        _places[platform_] = places + 1;
    }

    /// @inheritdoc IQuoteVerifier
    function leave(bytes32 platform_) external onlyRegistry {
        uint256 places = _places[platform_];
        if (places < 2) revert TdxQuoteVerifier_PlatformEmpty(platform_);
        _places[platform_] = places - 1;
    }

    /// @notice How many workers a platform holds.
    function identities(bytes32 platform_) external view returns (uint256) {
        uint256 places = _places[platform_];
        return places == 0 ? 0 : places - 1;
    }

    /// @inheritdoc IQuoteVerifier
    function revocation(bytes32 pck) external view returns (bool revoked, bytes32 platform_) {
        Platform memory p = _platform(pck);
        revoked = _revoked[p.issuer][p.serial] || _revoked[p.root][_authorities[p.issuer].serial];
        return (revoked, p.platform);
    }

    /// @dev ATT-2
    function _requireSignatures(bytes calldata quote, Platform memory p) private view {
        (bytes32 r, bytes32 s) = TdxQuote.qeSignature(quote);
        _requireSigned(TdxQuote.qeDigest(quote), r, s, p.x, p.y);
        (bytes32 x, bytes32 y) = TdxQuote.attestationKey(quote);
        (r, s) = TdxQuote.signature(quote);
        _requireSigned(TdxQuote.digest(quote), r, s, x, y);
    }

    /// @dev ATT-4. Until when certificates and revocation lists are current.
    function _requireTrusted(Platform memory p, Standing memory standing) private view returns (uint256) {
        uint256 until = _until(p.facts);
        _requireCurrent(0, until);
        _requireNotRevoked(p.issuer, p.serial);
        uint256 lists = _least(standing.listUntil, standing.rootListUntil);
        if (block.timestamp > lists) revert Certificates_NoCurrentList(p.issuer, lists, block.timestamp);
        return _least(until, lists);
    }

    /// @dev ATT-6 and ATT-7. The merged status, and until when the documents hold.
    function _judge(bytes calldata quote, Platform memory p, Standing memory standing)
        private
        view
        returns (TcbStatus, uint256)
    {
        (TcbStatus platformStatus, uint256 until) = _judgePlatform(p, standing.generation, TdxQuote.teeTcbSvn(quote));
        (bytes memory table, uint256 qeUntil) = _qeTable(p.root, standing);
        return (TcbTable.merge(platformStatus, QeTable.status(table, quote)), _least(until, qeUntil));
    }

    function _judgePlatform(Platform memory p, uint256 generation, bytes16 teeTcbSvn)
        private
        view
        returns (TcbStatus, uint256)
    {
        uint256 facts = p.facts;
        (bytes memory table, uint256 until) = _tcbTable(p.root, bytes6(uint48(facts >> 128)), generation);
        return (TcbTable.status(table, bytes16(uint128(facts)), uint16(facts >> 176), teeTcbSvn), until);
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
