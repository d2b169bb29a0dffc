// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobValidator} from "../../contracts/adapters/JobValidator.sol";
import {IValidationRegistry} from "../../contracts/interfaces/IValidationRegistry.sol";
import {Ticket} from "../../contracts/types/Request.sol";
import {Base} from "./Base.t.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Keeps the last response, as ERC-8004's registry does for each request.
contract ValidationRegistry is IValidationRegistry {
    address public validator;
    bytes32 public requestHash;
    uint8 public response;
    bytes32 public responseHash;
    string public tag;

    function validationResponse(bytes32 hash, uint8 said, string calldata, bytes32 about, string calldata label)
        external
    {
        (validator, requestHash, response, responseHash, tag) = (msg.sender, hash, said, about, label);
    }
}

/// @notice Verdicts in the shape of ERC-8004: what the market says and nothing else, when it says it for good.
contract JobValidatorTest is Base {
    JobValidator private _validator;
    ValidationRegistry private _registry;

    function setUp() public override {
        super.setUp();
        _validator = new JobValidator(market);
        _registry = new ValidationRegistry();
        _ready();
        _commit(0, RIGHT);
        _commit(1, WRONG);
        _commit(2, RIGHT);
        _reveal(0, RIGHT);
        _reveal(1, WRONG);
        _reveal(2, RIGHT);
    }

    function test_respond__before_the_result_is_final__reverts() public {
        Ticket memory ticket = _ticket();
        vm.expectRevert(abi.encodeWithSelector(JobValidator.JobValidator_NotFinal.selector, id));
        _validator.respond(_registry, ticket, committee[0]);
    }

    function test_respond__final_result__says_who_revealed_it() public {
        vm.warp(uint256(market.job(id).deadline) + 1);
        Ticket memory ticket = _ticket();
        address[3] memory workers_ = [committee[0], committee[1], committee[2]];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(stranger);
            _validator.respond(_registry, ticket, workers_[i]);
            vm.assertEq(_registry.validator(), address(_validator));
            vm.assertEq(_registry.requestHash(), _validator.requestHash(id, workers_[i]));
            vm.assertEq(uint256(_registry.response()), i == 1 ? 0 : 100);
            vm.assertEq(_registry.responseHash(), RIGHT);
            vm.assertEq(keccak256(bytes(_registry.tag())), keccak256("cloister:agreed"));
        }
    }

    function test_respond__somebody_without_a_seat__reverts() public {
        vm.warp(uint256(market.job(id).deadline) + 1);
        Ticket memory ticket = _ticket();
        vm.expectRevert(abi.encodeWithSelector(JobValidator.JobValidator_NotSeated.selector, stranger));
        _validator.respond(_registry, ticket, stranger);
        vm.expectRevert(abi.encodeWithSelector(JobValidator.JobValidator_NotSeated.selector, address(0)));
        _validator.respond(_registry, ticket, address(0));
    }

    function test_respond__another_committee__reverts() public {
        vm.warp(uint256(market.job(id).deadline) + 1);
        Ticket memory ticket = _ticket();
        ticket.committee[1] = stranger;
        vm.expectRevert(abi.encodeWithSelector(JobValidator.JobValidator_WrongCommittee.selector, id));
        _validator.respond(_registry, ticket, stranger);
    }
}
