// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Accounts} from "./Accounts.sol";
import {ICurrencies} from "./interfaces/ICurrencies.sol";
import {IEnclaves} from "./interfaces/IEnclaves.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofVerifiers} from "./interfaces/IProofVerifiers.sol";
import {VersionId} from "./types/Ids.sol";
import {Level, Terms} from "./types/Request.sol";

/// @title What is fixed when a market is deployed, and what follows from it
abstract contract Rules is Accounts {
    uint256 internal constant BPS = 10_000;
    /// @dev ECON-3: what a lock of a year must cost whoever causes it, as a share of the stake.
    uint256 private constant YEARLY_BPS = 2000;
    /// @dev ECON-2: a wrong seat's penalty in prices, at least. Half of it makes good what was paid for it and rewards.
    uint256 private constant LEAST_PENALTY = 5;

    INodeRegistry public immutable nodes;
    IModelRegistry public immutable models;
    IProofVerifiers public immutable verifiers;
    ICurrencies public immutable currencies;

    uint16 internal immutable _seedDelay;
    uint32 internal immutable _deliverWindow;
    uint32 internal immutable _commitWindow;
    uint32 internal immutable _revealWindow;
    uint32 internal immutable _publishWindow;
    uint32 internal immutable _challengeWindow;
    uint32 internal immutable _disputeWindow;
    uint32 internal immutable _stakeRatio;
    uint16 internal immutable _silentBps;
    uint16 internal immutable _wrongBps;
    uint16 internal immutable _faultBps;
    uint16 internal immutable _checkBps;
    uint96 internal immutable _demandDeposit;
    uint32 internal immutable _proofGas;
    uint64 internal immutable _maxBaseFee;
    uint96 internal immutable _provingFee;
    bytes32 private immutable _settings;

    constructor(INodeRegistry nodes_, IModelRegistry models_, ICurrencies currencies_, Parameters memory p) {
        uint256 broken = _broken(nodes_, p);
        if (address(models_).code.length == 0 || address(currencies_).code.length == 0) broken = 1;
        if (broken != 0) revert JobMarket_BadParameters(broken);
        nodes = nodes_;
        models = models_;
        verifiers = models_.verifiers();
        currencies = currencies_;
        _seedDelay = p.seedDelay;
        _deliverWindow = p.deliverWindow;
        _commitWindow = p.commitWindow;
        _revealWindow = p.revealWindow;
        _publishWindow = p.publishWindow;
        _challengeWindow = p.challengeWindow;
        _disputeWindow = p.disputeWindow;
        _stakeRatio = p.stakeRatio;
        _silentBps = p.silentBps;
        _wrongBps = p.wrongBps;
        _faultBps = p.faultBps;
        _checkBps = p.checkBps;
        _demandDeposit = p.demandDeposit;
        _proofGas = p.proofGas;
        _maxBaseFee = p.maxBaseFee;
        _provingFee = p.provingFee;
        _settings = keccak256(abi.encode(nodes_, models_, currencies_, p));
    }

    function _fixed() internal view returns (bytes32) {
        return _settings;
    }

    /// @dev Number of the first rule that the parameters break: DEP-3 and ECON-1 to ECON-5.
    function _broken(INodeRegistry nodes_, Parameters memory p) private view returns (uint256) {
        if (
            p.seedDelay == 0 || p.deliverWindow == 0 || p.commitWindow == 0 || p.revealWindow == 0
                || p.publishWindow == 0 || p.challengeWindow == 0 || p.stakeRatio == 0
        ) return 2;
        if (p.silentBps >= p.wrongBps || p.wrongBps > BPS || p.faultBps == 0 || p.faultBps > BPS) return 3;
        uint256 life = 2 * uint256(p.commitWindow) + p.publishWindow + p.revealWindow;
        uint256 longest = life + p.challengeWindow + 2 * uint256(p.disputeWindow);
        // NODE-4: stake outlives every job whose draw it can enter.
        if (nodes_.exitDelay() <= p.deliverWindow + longest) return 4;
        // Four periods hold the longest lock, and one a replaced signer's jobs.
        uint256 period = nodes_.limits().lockPeriod;
        if (3 * period < longest || period < life) return 5;
        // A referee's job must fit.
        if (p.disputeWindow < p.deliverWindow + life) return 6;
        uint256 penalty = uint256(p.stakeRatio) * p.wrongBps;
        if (p.checkBps > BPS || p.checkBps * penalty <= BPS * BPS) return 7;
        if (penalty < LEAST_PENALTY * BPS) return 8;
        if (uint256(p.faultBps) * 365 days < p.stakeRatio * longest * YEARLY_BPS) return 9;
        return 0;
    }

    /// @dev Unix second to which a seat's stake stays locked: to the end of the last dispute there can be, and some time for
    ///      somebody to close it.
    function _lockedUntil(Level level, uint256 deliveredAt) internal view returns (uint40) {
        uint256 until = deliveredAt + 2 * uint256(_commitWindow) + _publishWindow + _disputeWindow;
        if (level != Level.Proved) until += uint256(_revealWindow) + _challengeWindow + _disputeWindow;
        return uint40(until);
    }

    /// @dev CHAL-4.
    function _bond() internal view returns (uint256) {
        uint256 fee = block.basefee < _maxBaseFee ? block.basefee : _maxBaseFee;
        return (fee * _proofGas + _provingFee) * 3 / 2;
    }

    /// @dev Stake is locked in whole gweis.
    function _lockFor(uint256 price, address token) internal view returns (uint256) {
        uint256 value = price;
        if (token != COIN) value = price * currencies.lockRate(token) / 1e18;
        // Rounded up to whole gweis.
        // slither-disable-next-line divide-before-multiply
        return (value * _stakeRatio + 1 gwei - 1) / 1 gwei * 1 gwei;
    }

    /// @dev What a seat's price is worth in coins.
    function _value(Terms calldata terms) internal view returns (uint256) {
        return terms.lockEach / _stakeRatio;
    }

    /// @dev ENC-10. A demand in the last second of the commit window, answered in the last of its own, begins another one.
    function _eligibility(VersionId version, uint256 requestedAt)
        internal
        view
        returns (IEnclaves.Eligibility memory e)
    {
        e.version = version;
        e.policyRevision = models.revisionOf(version);
        e.requestedAt = uint40(requestedAt);
        e.promptUntil = uint40(block.timestamp + 2 * uint256(_commitWindow) + _publishWindow);
        e.attestedUntil = e.promptUntil + _revealWindow;
    }
}
