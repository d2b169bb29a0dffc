// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {VersionId} from "../types/Ids.sol";

/// @title What the market owes, and what it has seen of workers
/// @notice Rules MONEY-* and REP-* of docs/spec/protocol.md. Ending a job only writes down who is owed what; paying out is a call
///         of its own, so a payee that cannot take money, or a token that does not move, holds up nobody else.
interface IAccounts {
    /// @notice Pays `account` all that the market owes it in one currency. Anybody may call it; the money goes nowhere else.
    function withdraw(address account, address token) external;

    /// @notice Credits a version's owner with its share of prices. Anybody may call it.
    function collect(VersionId version, address token) external;

    function credit(address account, address token) external view returns (uint256);
    function fees(VersionId version, address token) external view returns (uint256);

    /// @notice Share of good among all that the market has seen of a worker, in 1/10000: each drawn seat that was paid counts one,
    ///         each silence one against it, each wrong or hidden output four, and half of all is forgotten every thirty
    ///         days. One of each is counted from the start, so a new worker has 5000. Hired jobs, which a worker could
    ///         give itself, count only against it (REP-2).
    function reputation(address worker) external view returns (uint256 bps);
}
