// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Token} from "./Ledger.sol";

/// @notice Knows no permit, and takes any call that it does not know for a deposit of nothing, as the wrapped coin does.
contract Wrapped is Token {
    fallback() external payable {}
}
