// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICurrencies} from "./interfaces/ICurrencies.sol";

/// @title The currencies that jobs can be paid in; see ICurrencies
contract Currencies is ICurrencies {
    uint256 private constant COIN = 1e18;
    /// @dev So that a time of effect fits its 40 bits: one that wrapped would be in the past.
    uint256 private constant MOST = 3650 days;

    struct Listing {
        uint128 announced;
        uint128 before;
        uint40 from;
    }

    uint256 public immutable delay;
    address public steward;
    mapping(address token => Listing) private _listings;

    /// @param steward_ who names rates; zero for a list that stays empty
    /// @param delay_ seconds between an announcement and its effect, a day to ten years
    constructor(address steward_, uint256 delay_) {
        if (delay_ < 1 days || delay_ > MOST) revert Currencies_BadDelay();
        steward = steward_;
        delay = delay_;
        emit StewardChanged(steward_);
    }

    modifier onlySteward() {
        if (msg.sender != steward) revert Currencies_NotSteward(msg.sender, steward);
        _;
    }

    /// @inheritdoc ICurrencies
    function announce(address token, uint128 rate) external onlySteward {
        if (token.code.length == 0) revert Currencies_NotAToken(token);
        Listing storage l = _listings[token];
        if (l.from <= block.timestamp) l.before = l.announced;
        l.announced = rate;
        l.from = uint40(block.timestamp + delay);
        emit RateAnnounced(token, rate, l.from);
    }

    /// @inheritdoc ICurrencies
    function setSteward(address next) external onlySteward {
        steward = next;
        emit StewardChanged(next);
    }

    /// @inheritdoc ICurrencies
    function lockRate(address token) external view returns (uint256 rate) {
        if (token == address(0)) return COIN;
        Listing storage l = _listings[token];
        rate = l.from <= block.timestamp ? l.announced : l.before;
        if (rate == 0) revert Currencies_NotListed(token);
    }
}
