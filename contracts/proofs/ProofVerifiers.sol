// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifier} from "../interfaces/IProofVerifier.sol";
import {IProofVerifiers} from "../interfaces/IProofVerifiers.sol";

/// @title Proof systems by number; see IProofVerifiers
contract ProofVerifiers is IProofVerifiers {
    struct Entry {
        IProofVerifier verifier;
        bool removed;
        address steward;
    }

    uint32 public count;
    mapping(uint32 id => Entry) private _entries;

    /// @inheritdoc IProofVerifiers
    function add(IProofVerifier verifier) external returns (uint32 id) {
        if (address(verifier).code.length == 0) revert ProofVerifiers_NoCode(address(verifier));
        id = ++count;
        _entries[id] = Entry(verifier, false, msg.sender);
        emit VerifierAdded(id, verifier, msg.sender);
    }

    /// @inheritdoc IProofVerifiers
    function remove(uint32 id) external {
        Entry storage entry = _known(id);
        if (entry.steward != msg.sender) revert ProofVerifiers_NotSteward(msg.sender, entry.steward);
        if (entry.removed) revert ProofVerifiers_Removed(id);
        entry.removed = true;
        emit VerifierRemoved(id);
    }

    /// @inheritdoc IProofVerifiers
    function verifierOf(uint32 id) external view returns (IProofVerifier) {
        Entry storage entry = _known(id);
        if (entry.removed) revert ProofVerifiers_Removed(id);
        return entry.verifier;
    }

    /// @inheritdoc IProofVerifiers
    function isRemoved(uint32 id) external view returns (bool) {
        return _known(id).removed;
    }

    /// @inheritdoc IProofVerifiers
    function stewardOf(uint32 id) external view returns (address) {
        return _known(id).steward;
    }

    function _known(uint32 id) private view returns (Entry storage entry) {
        entry = _entries[id];
        if (entry.steward == address(0)) revert ProofVerifiers_Unknown(id);
    }
}
