// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Token} from "./Ledger.sol";

/// @notice Says no where others revert.
contract SaysNo is Token {
    function transfer(address to, uint256 amount) external override returns (bool) {
        if (_balances[msg.sender] < amount) return false;
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        if (_balances[from] < amount || allowance[from][msg.sender] < amount) return false;
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }
}

/// @notice Moves and says that it did not.
contract Denies is Token {
    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return false;
    }
}

/// @notice Says that it moved and did not.
contract Pretends is Token {
    function transferFrom(address, address, uint256) external pure override returns (bool) {
        return true;
    }
}

/// @notice Answers with a word that is neither true nor false.
contract Mumbles is Token {
    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        assembly ("memory-safe") {
            mstore(0, 2)
            return(0, 32)
        }
    }
}
