// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobMarket} from "../../contracts/JobMarket.sol";
import {ModelRegistry} from "../../contracts/ModelRegistry.sol";
import {JobId, VersionId} from "../../contracts/types/Ids.sol";
import {Level, Request} from "../../contracts/types/Request.sol";
import {Base} from "./Base.t.sol";
import {vm} from "./utils/Vm.sol";

/// @notice The contracts give the values of tests/vectors/commitments.json, which an independent implementation made and
///         which the Python package is held to as well.
contract VectorsTest is Base {
    string private json;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("tests/vectors/commitments.json");
        vm.chainId(vm.parseJsonUint(json, ".inputs.chainId"));
    }

    /// JOB-2
    function test_jobId__vector__equals() public {
        address place = vm.parseJsonAddress(json, ".inputs.market");
        vm.etch(place, address(market).code);
        Request memory r = Request({
            nonce: vm.parseJsonUint(json, ".request.nonce"),
            version: VersionId.wrap(_bytes32(".request.version")),
            level: Level(vm.parseJsonUint(json, ".request.level")),
            seats: uint8(vm.parseJsonUint(json, ".request.seats")),
            quorum: uint8(vm.parseJsonUint(json, ".request.quorum")),
            pricePerSeat: uint96(vm.parseJsonUint(json, ".request.pricePerSeat")),
            inputCommitment: _bytes32(".request.inputCommitment"),
            ciphertextHash: _bytes32(".request.ciphertextHash"),
            ciphertextSize: uint32(vm.parseJsonUint(json, ".request.ciphertextSize")),
            responseKey: _bytes32(".request.responseKey"),
            secretHash: _bytes32(".request.secretHash")
        });
        JobId id = JobMarket(payable(place)).jobId(r, vm.parseJsonAddress(json, ".inputs.requester"));
        vm.assertEq(JobId.unwrap(id), _bytes32(".hashes.jobId"));
    }

    /// MODEL-1
    function test_versionId__vector__equals() public {
        address place = vm.parseJsonAddress(json, ".inputs.modelRegistry");
        vm.etch(place, address(models).code);
        VersionId id = ModelRegistry(place)
            .versionId(vm.parseJsonAddress(json, ".inputs.owner"), _bytes32(".hashes.manifestHash"));
        vm.assertEq(VersionId.unwrap(id), _bytes32(".hashes.versionId"));
    }

    function _bytes32(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, key);
    }
}
