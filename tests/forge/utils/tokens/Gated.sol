// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Token} from "./Ledger.sol";

/// @notice Can be paused, and keeps a list of accounts that it moves nothing to or from.
contract Gated is Token {
    bool public paused;
    mapping(address account => bool) public blocked;

    error Gated_Closed();

    function pause(bool paused_) external {
        paused = paused_;
    }

    function block_(address account, bool blocked_) external {
        blocked[account] = blocked_;
    }

    function _move(address from, address to, uint256 amount) internal override {
        if (paused || blocked[from] || blocked[to]) revert Gated_Closed();
        super._move(from, to, amount);
    }
}
