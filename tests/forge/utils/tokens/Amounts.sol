// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Token} from "./Ledger.sol";

/// @notice Keeps one part in a hundred of what it moves.
contract Taxed is Token {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        _balances[to] -= amount / 100;
    }
}

/// @notice Taxes only once somebody has thrown a switch, as some tokens can.
contract TaxedLater is Token {
    bool private _taxes;

    function tax() external {
        _taxes = true;
    }

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (_taxes) _balances[to] -= amount / 100;
    }
}

/// @notice Gives one unit more than it was told to.
contract Generous is Token {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        _balances[to] += 1;
    }
}

/// @notice Moves nothing of nothing.
contract NeverZero is Token {
    error NeverZero_Zero();

    function _move(address from, address to, uint256 amount) internal override {
        if (amount == 0) revert NeverZero_Zero();
        super._move(from, to, amount);
    }
}

/// @notice Balances are shares of something that grows and shrinks.
contract Rebasing is Token {
    uint256 private _percent = 100;

    function rebase(uint256 percent) external {
        _percent = percent;
    }

    function balanceOf(address account) external view override returns (uint256) {
        return _balances[account] * _percent / 100;
    }

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount * 100 / _percent);
    }
}
