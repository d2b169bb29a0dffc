// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ModelRegistry} from "../../contracts/ModelRegistry.sol";
import {NodeRegistry} from "../../contracts/NodeRegistry.sol";
import {Digest} from "../../contracts/types/Digest.sol";
import {TicketLib} from "../../contracts/types/Request.sol";
import {Base, Brief, IJobMarket, JobId, Level, Request, Terms, VersionId} from "./Base.t.sol";
import {vm} from "./utils/Vm.sol";

interface Reading {
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
}

Reading constant reading = Reading(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

/// @notice An operator that agrees to one digest (ERC-1271); all that it knows is in its code.
contract Agrees {
    bytes32 private immutable _agreed;

    constructor(bytes32 agreed) {
        _agreed = agreed;
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        return hash == _agreed ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @notice The contracts give the values of tests/vectors/commitments.json, which an independent implementation made and
///         which the Python package is held to as well.
contract VectorsTest is Base {
    string private json;

    function setUp() public override {
        super.setUp();
        json = vm.readFile("tests/vectors/commitments.json");
        vm.chainId(vm.parseJsonUint(json, ".inputs.chainId"));
    }

    function _vector() private view returns (Request memory r) {
        r.terms = Terms({
            requester: _address(".request.requester"),
            version: VersionId.wrap(_bytes32(".request.version")),
            level: Level(_uint(".request.level")),
            seats: uint8(_uint(".request.seats")),
            quorum: uint8(_uint(".request.quorum")),
            verifier: uint32(_uint(".request.verifier")),
            ownerPercent: uint8(_uint(".request.ownerPercent")),
            token: _address(".request.token"),
            pricePerSeat: uint96(_uint(".request.pricePerSeat")),
            lockEach: uint96(_uint(".request.lockEach"))
        });
        r.brief = Brief({
            nonce: _uint(".request.nonce"),
            inputCommitment: _bytes32(".request.inputCommitment"),
            ciphertextHash: _bytes32(".request.ciphertextHash"),
            ciphertextSize: uint32(_uint(".request.ciphertextSize")),
            responseKey: _bytes32(".request.responseKey"),
            secretHash: _bytes32(".request.secretHash"),
            worker: _address(".request.worker"),
            reputation: uint16(_uint(".request.reputation")),
            consumer: _address(".request.consumer"),
            consumerGas: uint32(_uint(".request.consumerGas"))
        });
    }

    /// JOB-2
    function test_jobId__vector__equals() public {
        address place = _address(".inputs.market");
        vm.etch(place, address(market).code);
        Request memory r = _vector();
        vm.assertEq(keccak256(abi.encode(r.brief)), _bytes32(".hashes.briefHash"));
        vm.assertEq(JobId.unwrap(IJobMarket(place).jobId(r)), _bytes32(".hashes.jobId"));
    }

    /// MODEL-1
    function test_versionId__vector__equals() public {
        address place = _address(".inputs.modelRegistry");
        vm.etch(place, address(models).code);
        VersionId made = ModelRegistry(place).versionId(_address(".inputs.owner"), _bytes32(".hashes.manifestHash"));
        vm.assertEq(VersionId.unwrap(made), _bytes32(".hashes.versionId"));
    }

    /// JOB-9: what fixes committee and keys, with a vacant seat.
    function test_committeeTag__vector__equals() public view {
        address[] memory three = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            three[i] = _address(string.concat(".inputs.committee[", vm.toString(i), "]"));
        }
        vm.assertEq(keccak256(abi.encode(three)), _bytes32(".hashes.committeeHash"));
        JobId of_ = JobId.wrap(_bytes32(".hashes.jobId"));
        bytes12 tag = TicketLib.committeeTag(of_, three, _bytes32(".hashes.sealedKeysHash"));
        vm.assertEq(bytes32(tag), bytes32(bytes12(uint96(_uint(".hashes.committeeTag")))));
    }

    /// JOB-28: what a proof is about.
    function test_proved__vector__equals() public view {
        bytes32 input = Digest.circuitInput(_bytes32(".inputs.inputDigest"), _bytes32(".inputs.padDigest"));
        vm.assertEq(input, _bytes32(".proved.circuitInput"));
        vm.assertEq(this.masked(reading.parseJsonBytes(json, ".inputs.masked")), _bytes32(".proved.maskedOutput"));
    }

    function masked(bytes calldata words) external view returns (bytes32) {
        return Digest.masked(_bytes32(".inputs.padDigest"), words);
    }

    /// DRAW-8: the digest that an operator signs.
    function test_membership__vector__is_what_the_registry_asks_about() public {
        (address place, address operator) = (_address(".inputs.nodeRegistry"), _address(".inputs.operator"));
        vm.etch(place, address(nodes).code);
        vm.etch(operator, address(new Agrees(_bytes32(".hashes.membership"))).code);
        address worker = _address(".inputs.worker");
        vm.prank(worker);
        NodeRegistry(place).join(operator, "");
        vm.assertEq(NodeRegistry(place).node(worker).operator, 1);
    }

    function _bytes32(string memory key) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, key);
    }

    function _uint(string memory key) private view returns (uint256) {
        return vm.parseJsonUint(json, key);
    }

    function _address(string memory key) private view returns (address) {
        return vm.parseJsonAddress(json, key);
    }
}
