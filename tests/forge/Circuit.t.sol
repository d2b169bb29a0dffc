// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifiers} from "../../contracts/interfaces/IProofVerifiers.sol";
import {Base, IModelRegistry, ModelRegistry, ProofVerifiers, VersionId, vm} from "./Base.t.sol";
import {Hex} from "./utils/Hex.sol";
import {Rogue} from "./utils/Rogue.sol";

/// @notice `registerCircuit`, for a second version whose parts each test may change.
contract CircuitTest is Base {
    bytes32 private constant FAKE = keccak256("another circuit");

    bytes private _text;
    uint256 private _offset;
    VersionId private _version;
    bytes private _weightsProof_;

    function setUp() public override {
        super.setUp();
        (bytes memory manifest, uint256 offset) = _manifest(CIRCUIT, WEIGHTS);
        _use(bytes.concat(manifest, " "), offset); // another manifest, so another version
    }

    /// @dev Publishes a version with this manifest, of which `_register` is going to name the member at `offset`.
    function _use(bytes memory manifest, uint256 offset) private {
        (_text, _offset) = (manifest, offset);
        bytes32 hash = sha256(manifest);
        vm.prank(owner);
        _version = models.publish(hash, _open(), _offer(), "");
        _weightsProof_ = _weightsProof(_version, CIRCUIT, WEIGHTS);
    }

    /// @dev The call alone, so that a test can expect what it does.
    function _register() private {
        vm.prank(owner);
        models.registerCircuit(_version, verifierId, _text, _offset, CIRCUIT, WEIGHTS, DESCRIPTOR, _weightsProof_);
    }

    function _assertNotProvable() private {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotProvable.selector, _version));
        models.circuitOf(_version);
    }

    function _expectNotNamed(uint256 offset) private {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_CircuitNotNamed.selector, offset));
    }

    function _expectInvalid(bytes memory answer) private {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_InvalidWeights.selector, _version, answer));
    }

    /// MODEL-4, MODEL-5, MODEL-6
    function test_registerCircuit__owner__stores_it() public {
        _assertNotProvable();
        vm.expectEmit(address(models));
        emit IModelRegistry.CircuitRegistered(_version, verifierId, CIRCUIT, WEIGHTS);
        _register();
        (uint32 number, bytes32 circuit, bytes32 weights) = models.circuitOf(_version);
        vm.assertEq(number, verifierId);
        vm.assertEq(circuit, CIRCUIT);
        vm.assertEq(weights, WEIGHTS);
        vm.assertEq(address(models.verifiers()), address(verifiers));
        vm.assertEq(models.verifierOf(_version), verifierId);
    }

    /// MODEL-4
    function test_registerCircuit__again__reverts() public {
        _register();
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_AlreadyProvable.selector, _version));
        _register();
        // Not even when its verifier is gone.
        vm.prank(steward);
        verifiers.remove(verifierId);
        vm.prank(steward);
        verifierId = verifiers.add(verifier);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_AlreadyProvable.selector, _version));
        _register();
    }

    /// MODEL-4
    function test_registerCircuit__stranger_unknown_or_deprecated__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotOwner.selector, stranger, owner));
        vm.prank(stranger);
        models.registerCircuit(_version, verifierId, _text, _offset, CIRCUIT, WEIGHTS, DESCRIPTOR, _weightsProof_);
        vm.prank(owner);
        models.deprecate(_version);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, _version));
        _register();
        _version = VersionId.wrap(keccak256("none"));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, _version));
        _register();
        _assertNotProvable();
    }

    /// MODEL-5
    function test_registerCircuit__another_manifest__reverts() public {
        bytes32 published = sha256(_text);
        (_text, _offset) = _manifest(CIRCUIT, WEIGHTS);
        bytes32 given = sha256(_text);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_WrongManifest.selector, given, published));
        _register();
    }

    /// MODEL-5: the member is at one offset and at no other, however large.
    function test_registerCircuit__other_offsets__revert() public {
        uint256 right = _offset;
        uint256 most = _text.length + 2;
        for (uint256 i = 0; i < most; ++i) {
            if (i == right) continue;
            _offset = i;
            _expectNotNamed(i);
            _register();
        }
        uint256[4] memory far = [
            type(uint256).max,
            type(uint256).max - _member(CIRCUIT, WEIGHTS).length + 1, // the end would wrap to 0
            uint256(1) << 255,
            (uint256(1) << 32) + right
        ];
        for (uint256 i = 0; i < far.length; ++i) {
            _offset = far[i];
            _expectNotNamed(far[i]);
            _register();
        }
        _offset = right;
        _register();
    }

    /// MODEL-5: it may be the last thing in the text, which then is no JSON; but not cut off.
    function test_registerCircuit__truncated_member__reverts() public {
        bytes memory member = _member(CIRCUIT, WEIGHTS);
        for (uint256 length = 0; length < member.length; length += 7) {
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                cut[i] = member[i];
            }
            _use(cut, 0);
            _expectNotNamed(0);
            _register();
            _use(bytes.concat("{", cut), 1);
            _expectNotNamed(1);
            _register();
        }
        _use(bytes.concat("{", member), 1);
        _register();
    }

    /// MODEL-5: a description that spells the member needs a backslash before each quote, and so spells another text.
    function test_registerCircuit__member_inside_a_string__reverts() public {
        bytes memory fake = bytes.concat(
            ',\\"circuit\\":{\\"descriptor\\":\\"',
            Hex.digits(CIRCUIT),
            '\\",\\"weights\\":\\"',
            Hex.digits(WEIGHTS),
            '\\"}'
        );
        bytes memory head = bytes.concat('{"arithmetic":{}', _member(FAKE, FAKE), ',"description":"');
        bytes memory manifest = bytes.concat(head, fake, '"}');
        _use(manifest, head.length);
        for (uint256 i = 0; i < manifest.length; ++i) {
            _offset = i;
            _expectNotNamed(i);
            _register();
        }
    }

    /// MODEL-5: every character counts.
    function test_registerCircuit__member_spelled_otherwise__reverts() public {
        string[7] memory spelled = [
            ',"circuit": {"descriptor":"#","weights":"#"}',
            ',"circuit":{"descriptor":"0x#","weights":"#"}',
            ',"circuit":{"weights":"#","descriptor":"#"}',
            ',"Circuit":{"descriptor":"#","weights":"#"}',
            ',"circuit":{"descriptor":"#","weights":"#","more":1}',
            '{"circuit":{"descriptor":"#","weights":"#"}',
            ',"circuit":{"descriptor":"#","weights":"#"]'
        ];
        for (uint256 i = 0; i < spelled.length; ++i) {
            _use(bytes.concat('{"a":1', _fill(spelled[i]), ',"z":2}'), 6);
            _expectNotNamed(6);
            _register();
        }
        _use(bytes.concat('{"a":1', _fill(',"circuit":{"descriptor":"#","weights":"#"}'), ',"z":2}'), 6);
        _register();
    }

    /// @dev The circuit's digits for the first mark, the weights' for the second.
    function _fill(string memory pattern) private pure returns (bytes memory filled) {
        bytes memory p = bytes(pattern);
        bytes32 next = CIRCUIT;
        for (uint256 i = 0; i < p.length; ++i) {
            if (p[i] != "#") {
                filled = bytes.concat(filled, p[i]);
                continue;
            }
            filled = bytes.concat(filled, Hex.digits(next));
            next = WEIGHTS;
        }
    }

    /// MODEL-5: upper-case digits are another text.
    function test_registerCircuit__upper_case_digits__reverts() public {
        bytes memory manifest = _text;
        for (uint256 i = _offset + 26; i < _offset + 90; ++i) {
            if (manifest[i] >= "a") manifest[i] = bytes1(uint8(manifest[i]) - 32);
        }
        _use(manifest, _offset);
        _expectNotNamed(_offset);
        _register();
    }

    /// MODEL-5: what the manifest does not name cannot be registered.
    function test_registerCircuit__other_circuit_or_weights__reverts() public {
        bytes memory proof = _weightsProof(_version, FAKE, WEIGHTS);
        _expectNotNamed(_offset);
        vm.prank(owner);
        models.registerCircuit(_version, verifierId, _text, _offset, FAKE, WEIGHTS, DESCRIPTOR, proof);
        proof = _weightsProof(_version, CIRCUIT, FAKE);
        _expectNotNamed(_offset);
        vm.prank(owner);
        models.registerCircuit(_version, verifierId, _text, _offset, CIRCUIT, FAKE, DESCRIPTOR, proof);
    }

    /// MODEL-5: digits of every value are written and read alike.
    function testFuzz_registerCircuit__any_weights__are_found(bytes32 weights) public {
        (bytes memory manifest, uint256 offset) = _manifest(CIRCUIT, weights);
        vm.assume(weights != WEIGHTS);
        _use(manifest, offset);
        bytes memory proof = _weightsProof(_version, CIRCUIT, weights);
        vm.prank(owner);
        models.registerCircuit(_version, verifierId, manifest, offset, CIRCUIT, weights, DESCRIPTOR, proof);
        (,, bytes32 stored) = models.circuitOf(_version);
        vm.assertEq(stored, weights);
    }

    /// MODEL-6
    function test_registerCircuit__wrong_proof_or_descriptor__reverts() public {
        bytes memory right = _weightsProof_;
        _weightsProof_ = "";
        _expectInvalid(abi.encode(false));
        _register();
        _weightsProof_ = right;
        _expectInvalid(abi.encode(false));
        vm.prank(owner);
        models.registerCircuit(_version, verifierId, _text, _offset, CIRCUIT, WEIGHTS, "other", right);
        _register();
    }

    /// MODEL-6: a proof for another version, registry or chain is worth nothing.
    function test_registerCircuit__replayed_proof__reverts() public {
        bytes memory right = _weightsProof_;
        bytes32[4] memory contexts = [
            keccak256(abi.encode(block.chainid, address(models), provable)),
            keccak256(abi.encode(block.chainid, address(market), _version)),
            keccak256(abi.encode(block.chainid + 1, address(models), _version)),
            keccak256(abi.encode(block.chainid, address(models), _version))
        ];
        for (uint256 i = 0; i < 4; ++i) {
            _weightsProof_ = verifier.weightsProofOf(CIRCUIT, WEIGHTS, contexts[i]);
            if (i < 3) _expectInvalid(abi.encode(false));
            _register();
        }
        vm.assertEq(_weightsProof_, right);
    }

    /// MODEL-6
    function test_registerCircuit__unknown_or_removed_verifier__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Unknown.selector, verifierId + 1));
        vm.prank(owner);
        models.registerCircuit(_version, verifierId + 1, _text, _offset, CIRCUIT, WEIGHTS, DESCRIPTOR, _weightsProof_);
        vm.prank(steward);
        verifiers.remove(verifierId);
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Removed.selector, verifierId));
        _register();
        _assertNotProvable();
    }

    /// MODEL-6, VERIFIER-4
    function test_registerCircuit__verifier_answers_otherwise__reverts() public {
        vm.etch(address(verifier), address(new Rogue()).code);
        Rogue rogue = Rogue(address(verifier));
        rogue.set(Rogue.Mode.Two, address(0), "");
        _expectInvalid(abi.encode(2));
        _register();
        rogue.set(Rogue.Mode.Nothing, address(0), "");
        _expectInvalid("");
        _register();
        rogue.set(Rogue.Mode.Reverts, address(0), "why");
        _expectInvalid("why");
        _register();
        rogue.set(Rogue.Mode.Yes, address(0), "");
        _register();
    }

    /// VERIFIER-4: whatever the verifier calls while it is asked changes nothing.
    function test_registerCircuit__verifier_calls_back__changes_nothing() public {
        vm.etch(address(verifier), address(new Rogue()).code);
        bytes memory add = abi.encodeCall(verifiers.add, (verifier));
        Rogue(address(verifier)).set(Rogue.Mode.CallsBack, address(verifiers), add);
        _register();
        vm.assertEq(verifiers.count(), 1);
    }

    function test_deploy__no_verifiers__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NoVerifiers.selector, stranger));
        new ModelRegistry(ProofVerifiers(stranger));
    }
}
