// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice keccak256(abi.encode(chain id, market, requester, Request)): rule JOB-2 of docs/spec/protocol.md.
type JobId is bytes32;

/// @notice keccak256(abi.encode(chain id, model registry, owner, manifest hash)): rule MODEL-1.
type VersionId is bytes32;
