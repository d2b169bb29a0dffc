// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title A token for tests, of which everybody can make some
contract MockToken is ERC20, ERC20Permit {
    constructor() ERC20("Mock", "MOCK") ERC20Permit("Mock") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}
