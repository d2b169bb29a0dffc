// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Token} from "./Ledger.sol";

/// @notice Tells the sender before and the recipient after it moves, as ERC-777 does; and whoever else wants to know.
contract Hooked is Token {
    address private _listener;

    function listen(address listener) external {
        _listener = listener;
    }

    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external {
        _tell(_listener, "permit");
    }

    function _move(address from, address to, uint256 amount) internal override {
        _tell(_listener, "before");
        super._move(from, to, amount);
        _tell(_listener, "after");
    }

    function _tell(address whom, bytes memory what) private {
        if (whom.code.length == 0) return;
        (bool done,) = whom.call(what);
        done;
    }
}
