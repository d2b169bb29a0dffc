// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJobMarket} from "../interfaces/IJobMarket.sol";
import {IValidationRegistry} from "../interfaces/IValidationRegistry.sol";
import {JobId} from "../types/Ids.sol";
import {Job, JobLib, State} from "../types/Job.sol";
import {Level, Ticket, TicketLib} from "../types/Request.sol";

/// @title A validator of ERC-8004 whose word is the market's
/// @notice An agent that works here asks its validation registry to have a job validated by this contract, with
///         `requestHash(job, worker)` as the hash. When the job's result is final, anybody has the verdict published: 100 for a
///         worker that revealed the result, 0 for one that did not. Nobody can have anything else published.
contract JobValidator {
    IJobMarket public immutable market;

    error JobValidator_NotFinal(JobId id);
    error JobValidator_WrongCommittee(JobId id);
    error JobValidator_NotSeated(address worker);

    constructor(IJobMarket market_) {
        market = market_;
    }

    /// @notice Publishes the verdict about one worker of a job.
    /// @param ticket the job's, which the market's events tell
    function respond(IValidationRegistry registry, Ticket calldata ticket, address worker) external {
        JobId id = JobId.wrap(keccak256(abi.encode(block.chainid, market, ticket.terms, ticket.brief)));
        if (!market.isFinal(id)) revert JobValidator_NotFinal(id);
        Job memory job = market.job(id);
        if (ticket.tag(id) != job.tag) revert JobValidator_WrongCommittee(id);
        uint8 response = job.agreeing() & _bit(ticket.committee, worker) != 0 ? 100 : 0;
        registry.validationResponse(requestHash(id, worker), response, "", market.result(id), _tag(ticket.terms.level));
    }

    /// @notice The hash under which a validation of a worker's part in a job is to be requested.
    function requestHash(JobId id, address worker) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, market, id, worker));
    }

    function _bit(address[] calldata committee, address worker) private pure returns (uint16) {
        for (uint256 i = 0; i < committee.length; ++i) {
            if (committee[i] == worker && worker != address(0)) return JobLib.bit(i);
        }
        revert JobValidator_NotSeated(worker);
    }

    /// @dev How the result came to be believed.
    function _tag(Level level) private pure returns (string memory) {
        if (level == Level.Proved) return "cloister:proved";
        return level == Level.Attested ? "cloister:attested" : "cloister:agreed";
    }
}
