// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {Report} from "../types/Evidence.sol";

/// @title Judge of quotes that believes everything, for tests
/// @notice A quote is the ABI encoding of the report that it gives, and the id of a certificate that of its platform.
contract MockQuoteVerifier is IQuoteVerifier {
    error MockQuoteVerifier_Refused();
    error MockQuoteVerifier_Full(bytes32 platform);
    error MockQuoteVerifier_Empty(bytes32 platform);

    mapping(bytes32 platform => uint256) public places;
    mapping(bytes32 platform => bool) private _revoked;
    bool private _refuses;

    function setRevoked(bytes32 platform, bool revoked) external {
        _revoked[platform] = revoked;
    }

    /// @notice Makes every quote bad.
    function setRefuses(bool refuses) external {
        _refuses = refuses;
    }

    function enter(bytes32 platform, uint256 cap) external {
        if (places[platform] >= cap) revert MockQuoteVerifier_Full(platform);
        ++places[platform];
    }

    function leave(bytes32 platform) external {
        if (places[platform] == 0) revert MockQuoteVerifier_Empty(platform);
        --places[platform];
    }

    function verify(bytes calldata quote, bytes32) external view returns (Report memory) {
        if (_refuses) revert MockQuoteVerifier_Refused();
        return abi.decode(quote, (Report));
    }

    function revocation(bytes32 pck) external view returns (bool revoked, bytes32 platform) {
        return (_revoked[pck], pck);
    }
}
