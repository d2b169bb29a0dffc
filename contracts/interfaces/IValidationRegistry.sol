// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The part of ERC-8004's validation registry that a validator calls
/// @notice ERC-8004 "Trustless Agents" is a draft. This is its form of January 2026, where tags are strings.
interface IValidationRegistry {
    /// @param requestHash names the request, which was made to the caller
    /// @param response 0 for failed to 100 for passed
    /// @param responseURI where more about it stands, if anywhere
    /// @param responseHash hash of what stands there, or any 32 bytes that say what was validated
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external;
}
