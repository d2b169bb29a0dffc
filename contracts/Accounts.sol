// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {IJobs} from "./interfaces/IJobs.sol";
import {JobId, VersionId} from "./types/Ids.sol";
import {Standing} from "./types/Standing.sol";

/// @title Money that the market owes, and the standing of workers; see IAccounts
abstract contract Accounts is IJobs, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice Slashed and forfeited money is credited here, and anybody can push it there.
    address public constant BURN = 0x000000000000000000000000000000000000dEaD;
    address internal constant COIN = address(0);

    /// @dev Coin and standing of an account share a slot: what a seat earns and how it did are written together.
    struct Account {
        uint96 coins;
        Standing standing;
    }

    mapping(address account => Account) internal _accounts;
    mapping(address account => mapping(address token => uint256)) internal _tokens;
    mapping(VersionId => mapping(address token => uint256)) internal _fees;

    function _credit(address account, JobId id, address token, uint256 amount) internal {
        if (amount == 0) return;
        if (token == COIN) _accounts[account].coins += uint96(amount);
        else _tokens[account][token] += amount;
        emit Credited(account, id, token, amount);
    }

    /// @dev Coins of a slash, of bonds, or of deposits.
    function _credit(address account, JobId id, uint256 amount) internal {
        _credit(account, id, COIN, amount);
    }

    /// @dev A drawn seat that was paid.
    function _praise(address worker) internal {
        _accounts[worker].standing = _accounts[worker].standing.praised();
    }

    function _blame(address worker, uint256 weight) internal {
        _accounts[worker].standing = _accounts[worker].standing.blamed(weight);
    }

    /// @dev Takes `amount` from the caller: the attached coins, or tokens that it has allowed.
    /// @param coins what must be attached besides
    // All that gets here with coins is payable; what has a permit has none.
    // slither-disable-next-line msg-value-in-nonpayable
    function _take(address token, uint256 amount, uint256 coins) internal {
        uint256 required = token == COIN ? amount + coins : coins;
        if (msg.value != required) revert JobMarket_WrongPayment(msg.value, required);
        if (token != COIN) _pull(token, amount);
    }

    /// @dev The caller is guarded and has cleared the credit.
    function _send(address to, address token, uint256 amount) internal {
        if (token != COIN) {
            IERC20(token).safeTransfer(to, amount);
            return;
        }
        // It is the account whose credit this is.
        // slither-disable-next-line arbitrary-send-eth
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert JobMarket_TransferFailed(to, amount);
    }

    /// @dev Everything is written down before; the guard keeps two measurements of a balance from mixing.
    function _pull(address token, uint256 amount) private nonReentrant {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 moved = IERC20(token).balanceOf(address(this)) - before;
        if (moved != amount) revert JobMarket_WrongAmount(token, moved, amount);
    }
}
