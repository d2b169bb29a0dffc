// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {JobId} from "./types/Ids.sol";

/// @title Money that the market owes
/// @notice Settling a job only writes down who is owed what; paying out is a call of its own. A payee that cannot take
///         money therefore holds up nobody. This contract is the one place that knows the currency: ERC-20 escrow
///         will replace `_pay`, the check of msg.value in `request`, and the key of `_credits`.
abstract contract Credits is IJobMarket {
    /// @notice Slashed and forfeited money is credited here, and anybody can push it there.
    address public constant BURN = 0x000000000000000000000000000000000000dEaD;

    mapping(address account => uint256) private _credits;

    /// @inheritdoc IJobMarket
    function withdraw(address account) external {
        uint256 amount = _credits[account];
        if (amount == 0) revert JobMarket_NoCredit(account);
        _credits[account] = 0;
        emit Withdrawn(account, amount);
        _pay(account, amount);
    }

    /// @inheritdoc IJobMarket
    function credit(address account) external view returns (uint256) {
        return _credits[account];
    }

    function _credit(address account, JobId id, uint256 amount) internal {
        if (amount == 0) return;
        _credits[account] += amount;
        emit Credited(account, id, amount);
    }

    // Whoever is paid has the credit, which `withdraw` has cleared before.
    // slither-disable-next-line arbitrary-send-eth
    function _pay(address to, uint256 amount) private {
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert JobMarket_TransferFailed(to, amount);
    }
}
