// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Balances and allowances without a face: what a token answers and how it moves is each token's own affair.
abstract contract Ledger {
    mapping(address account => uint256) internal _balances;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    error Ledger_Insufficient();

    function mint(address account, uint256 amount) external {
        _balances[account] += amount;
    }

    function balanceOf(address account) external view virtual returns (uint256) {
        return _balances[account];
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        if (_balances[from] < amount) revert Ledger_Insufficient();
        _balances[from] -= amount;
        _balances[to] += amount;
    }

    function _spend(address from, uint256 amount) internal {
        if (allowance[from][msg.sender] < amount) revert Ledger_Insufficient();
        allowance[from][msg.sender] -= amount;
    }
}

/// @notice As the standard says.
abstract contract Token is Ledger {
    function approve(address spender, uint256 amount) external virtual returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }
}
