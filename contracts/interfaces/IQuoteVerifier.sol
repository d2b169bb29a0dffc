// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Report} from "../types/Evidence.sol";

/// @title Judge of quotes
/// @notice Says what a quote proves about the machine and the code that made it. It cannot vouch for more: whoever has the
///         machine in hand can extract its keys, so a quote alone protects against software, not against the owner.
interface IQuoteVerifier {
    /// @notice What a TDX version 4 quote says. Reverts if anything about it does not hold (ATT-1 to ATT-9 of docs/spec/enclaves.md).
    /// @param quote its first 1,252 bytes exactly: what follows, the certificate chain, is not signed
    /// @param pck id of the platform certificate that signed: keccak256 of its DER, registered before
    function verify(bytes calldata quote, bytes32 pck) external view returns (Report memory);

    /// @notice Counts one more identity on a platform that is registered. Node registry only. Reverts at the cap.
    function enter(bytes32 platform, uint256 cap) external;

    /// @notice Counts one less. Node registry only.
    function leave(bytes32 platform) external;

    /// @notice Whether a revocation list names the certificate, or one above it, and whose platform that is.
    function revocation(bytes32 pck) external view returns (bool revoked, bytes32 platform);
}
