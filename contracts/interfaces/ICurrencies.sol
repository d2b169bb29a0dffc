// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The currencies that jobs can be paid in, and what they weigh against stake
/// @notice Rules CUR-* of docs/spec/protocol.md. Stake is the chain's own coin, so a price in a token needs a rate to say how much
///         stake answers for it. A steward names rates, each of which counts only after a delay; it can lower what a token
///         is taken for, and touch no money: a job keeps the lock of its request, and no payment asks this contract.
interface ICurrencies {
    /// @param rate wei of stake for 10^18 units of the token, haircut included; 0 takes the token off the list
    /// @param from Unix second from which it counts
    event RateAnnounced(address indexed token, uint128 rate, uint40 from);
    event StewardChanged(address indexed steward);

    error Currencies_NotSteward(address caller, address steward);
    error Currencies_NotListed(address token);
    error Currencies_NotAToken(address token);
    error Currencies_BadDelay();

    /// @notice Announces a token's rate. Steward only. It replaces an announced rate that does not count yet.
    function announce(address token, uint128 rate) external;

    /// @notice Hands the office on, or to nobody for good.
    function setSteward(address steward) external;

    /// @notice Wei of stake for 10^18 units of `token`; reverts for a token that is not listed. 10^18 for the chain's own coin.
    function lockRate(address token) external view returns (uint256);

    function steward() external view returns (address);

    /// @notice Seconds between an announcement and its effect.
    function delay() external view returns (uint256);
}
