// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Credits} from "./Credits.sol";
import {IEnclaves} from "./interfaces/IEnclaves.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofVerifiers} from "./interfaces/IProofVerifiers.sol";
import {VersionId} from "./types/Ids.sol";
import {Job, JobLib} from "./types/Job.sol";

/// @title What is fixed when a market is deployed, and the draw that follows from it
abstract contract Rules is Credits {
    uint256 internal constant BPS = 10_000;

    INodeRegistry public immutable nodes;
    IModelRegistry public immutable models;
    IProofVerifiers public immutable verifiers;

    uint16 internal immutable _seedDelay;
    uint32 internal immutable _deliverWindow;
    uint32 internal immutable _commitWindow;
    uint32 internal immutable _revealWindow;
    uint32 internal immutable _publishWindow;
    uint32 internal immutable _stakeRatio;
    uint16 internal immutable _silentBps;
    uint16 internal immutable _wrongBps;
    uint16 internal immutable _faultBps;
    uint96 internal immutable _demandDeposit;

    constructor(INodeRegistry nodes_, IModelRegistry models_, Parameters memory p) {
        if (
            nodes_.market() != address(this) || address(models_).code.length == 0 || p.seedDelay == 0
                || p.deliverWindow == 0 || p.commitWindow == 0 || p.revealWindow == 0 || p.publishWindow == 0
                || p.stakeRatio == 0 || p.silentBps >= p.wrongBps || p.wrongBps > BPS || p.faultBps == 0
                || p.faultBps > BPS
                // NODE-4: stake outlives every job whose draw it can enter.
                || nodes_.exitDelay()
                    <= uint256(p.deliverWindow) + 2 * uint256(p.commitWindow) + p.publishWindow + p.revealWindow
        ) revert JobMarket_BadParameters();
        nodes = nodes_;
        models = models_;
        verifiers = models_.verifiers();
        _seedDelay = p.seedDelay;
        _deliverWindow = p.deliverWindow;
        _commitWindow = p.commitWindow;
        _revealWindow = p.revealWindow;
        _publishWindow = p.publishWindow;
        _stakeRatio = p.stakeRatio;
        _silentBps = p.silentBps;
        _wrongBps = p.wrongBps;
        _faultBps = p.faultBps;
        _demandDeposit = p.demandDeposit;
    }

    /// @inheritdoc IJobMarket
    function parameters() external view returns (Parameters memory) {
        return Parameters({
            seedDelay: _seedDelay,
            deliverWindow: _deliverWindow,
            commitWindow: _commitWindow,
            revealWindow: _revealWindow,
            publishWindow: _publishWindow,
            stakeRatio: _stakeRatio,
            silentBps: _silentBps,
            wrongBps: _wrongBps,
            faultBps: _faultBps,
            demandDeposit: _demandDeposit
        });
    }

    function _draw(Job memory j, VersionId version, bytes32 seed) internal view returns (address[] memory) {
        uint256 requested = nodes.epochOf(j.seedBlock - _seedDelay);
        uint256 current = nodes.epochOf(block.number);
        if (current > requested + 1) revert JobMarket_SeatsForgotten(requested, current);
        if (!j.has(JobLib.ENROLLED)) return nodes.draw(seed, j.seats, requested, j.lockEach);
        return nodes.drawEnrolled(seed, j.seats, requested, j.lockEach, _eligibility(j, version));
    }

    /// @dev ENC-10. A demand in the last second of the commit window, answered in the last of its own, begins another one.
    function _eligibility(Job memory j, VersionId version) private view returns (IEnclaves.Eligibility memory e) {
        e.version = version;
        e.policyRevision = models.revisionOf(version);
        e.requestedAt = j.deadline - _deliverWindow;
        e.promptUntil = uint40(block.timestamp + 2 * uint256(_commitWindow) + _publishWindow);
        e.attestedUntil = e.promptUntil + _revealWindow;
    }
}
