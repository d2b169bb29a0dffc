// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {MatrixProofVerifier} from "../../contracts/proofs/MatrixProofVerifier.sol";
import {ProofVector, Vectors, vectorFiles} from "./utils/ProofVectors.sol";
import {vm} from "./utils/Vm.sol";

/// @notice The contract gives the verdict of every file of tests/vectors/proofs, which the fast and the reference verifier are
///         held to as well; and no change to an accepted proof or to its statement is accepted.
contract MatrixProofVectorsTest {
    using Vectors for ProofVector;

    event log_named_uint(string name, uint256 value); // forge shows it with -vv

    /// @dev What a transaction may use.
    uint256 private constant GAS_CAP = 1 << 24;
    /// @dev Enough for the small vectors. A point that is none takes all gas that is left.
    uint256 private constant SMALL_CAP = 1_000_000;

    MatrixProofVerifier private _verifier = new MatrixProofVerifier();
    string[] private _small =
        ["breast-cancer", "mlp-1-public-public", "mlp-2-public-masked", "conv-stride-padding-1-committed-masked"];

    function _assertAccepted(ProofVector memory v) private view {
        (bool valid,) = v.verify(_verifier, GAS_CAP);
        vm.assertTrue(valid);
    }

    function _assertRefused(ProofVector memory v) private view {
        (bool valid,) = v.verify(_verifier, SMALL_CAP);
        vm.assertFalse(valid);
    }

    function _flip(bytes32 word, uint256 bit) private pure returns (bytes32) {
        return word ^ bytes32(uint256(1) << (bit % 256));
    }

    /// @dev The proof with another length: cut, or zeros behind it.
    function _resize(bytes memory proof, uint256 length) private pure returns (bytes memory other) {
        other = new bytes(length);
        for (uint256 i = 0; i < length && i < proof.length; ++i) {
            other[i] = proof[i];
        }
    }

    /// PROOF-5
    function test_verify__every_vector__gives_its_verdict() public view {
        string[] memory files = vectorFiles();
        uint256 accepted = 0;
        for (uint256 i = 0; i < files.length; ++i) {
            ProofVector memory v = Vectors.read(files[i]);
            (bool valid,) = v.verify(_verifier, GAS_CAP);
            vm.assertEq(valid ? 1 : 0, v.accepted ? 1 : 0, files[i]);
            if (valid) ++accepted;
        }
        vm.assertGt(accepted, 10, "accepted vectors");
        vm.assertGt(files.length - accepted, 10, "refused vectors");
    }

    /// PROOF-6: the same for range statements, asked as a registry asks.
    function test_verifyWeights__every_vector__gives_its_verdict() public view {
        string[] memory files = vectorFiles();
        uint256 accepted = 0;
        for (uint256 i = 0; i < files.length; ++i) {
            ProofVector memory v = Vectors.read(files[i]);
            if (v.descriptor.length == 0 || v.proof.length < 28) continue;
            (bool valid,) = v.verifyWeights(_verifier, GAS_CAP);
            vm.assertEq(valid ? 1 : 0, v.accepted ? 1 : 0, files[i]);
            if (valid) ++accepted;
        }
        vm.assertGt(accepted, 2, "accepted vectors");
    }

    /// @dev What a transaction costs that asks for nothing else.
    function test_verify__networks__within_their_budgets() public {
        _measure("breast-cancer", 365_000); // 30-32-16-2
        _measure("digits", 500_000); // 64-128-64-10
        _measure("digits-cnn", 660_000); // two convolutions, a pool, ten outputs
        _measureWeights("breast-cancer-weights", 465_000);
        _measureWeights("digits-weights", 2_500_000);
        _measureWeights("digits-cnn-weights", 910_000);
    }

    function _measure(string memory name, uint256 budget) private {
        (bool valid, uint256 cost) = Vectors.named(name).verify(_verifier, GAS_CAP);
        vm.assertTrue(valid);
        emit log_named_uint(name, cost);
        vm.assertLt(cost, budget, name);
    }

    function _measureWeights(string memory name, uint256 budget) private {
        (bool valid, uint256 cost) = Vectors.named(name).verifyWeights(_verifier, GAS_CAP);
        vm.assertTrue(valid);
        emit log_named_uint(name, cost);
        vm.assertLt(cost, budget, name);
    }

    /// PROOF-5
    /// forge-config: default.fuzz.runs = 400
    function testFuzz_verify__proof_with_other_bytes__refused(uint256 which, uint256 place, uint8 change, bool two)
        public
        view
    {
        ProofVector memory v = Vectors.named(_small[which % _small.length]);
        if (change == 0) change = 1;
        v.proof[place % v.proof.length] ^= bytes1(change);
        if (two) v.proof[(place >> 128) % v.proof.length] ^= bytes1(change);
        if (keccak256(v.proof) == keccak256(Vectors.named(_small[which % _small.length]).proof)) return;
        _assertRefused(v);
    }

    /// PROOF-4
    /// forge-config: default.fuzz.runs = 100
    function testFuzz_verify__another_statement__refused(uint256 which, uint256 bit) public view {
        ProofVector memory v = Vectors.named(_small[which % _small.length]);
        which = (which >> 128) % 5;
        if (which == 0) v.circuit = _flip(v.circuit, bit);
        if (which == 1) v.weights = _flip(v.weights, bit);
        if (which == 2) v.input = _flip(v.input, bit);
        if (which == 3) v.output = _flip(v.output, bit);
        if (which == 4) v.context = _flip(v.context, bit);
        _assertRefused(v);
    }

    /// PROOF-5
    /// forge-config: default.fuzz.runs = 200
    function testFuzz_verify__another_length__refused(uint256 which, uint256 length) public view {
        ProofVector memory v = Vectors.named(_small[which % _small.length]);
        length = which >> 255 == 0 ? length % v.proof.length : v.proof.length + 1 + length % 300;
        v.proof = _resize(v.proof, length);
        _assertRefused(v);
    }

    /// @dev Two points change places, wherever they stand in the messages.
    /// forge-config: default.fuzz.runs = 100
    function testFuzz_verify__points_swapped__refused(uint256 which, uint256 first, uint256 second) public view {
        ProofVector memory v = Vectors.named(_small[which % _small.length]);
        bytes memory original = bytes.concat(v.proof);
        // The last three points, a1 among them, and the first ones behind the descriptor
        uint256[3] memory last = [v.proof.length - 416, v.proof.length - 256, v.proof.length - 128];
        uint256 start = 6 + uint256(uint8(v.proof[4])) * 256 + uint8(v.proof[5]);
        uint256 a = last[first % 3];
        uint256 b = second % 4 == 3 ? start : last[second % 3];
        for (uint256 i = 0; i < 128; ++i) {
            (v.proof[a + i], v.proof[b + i]) = (v.proof[b + i], v.proof[a + i]);
        }
        if (keccak256(original) == keccak256(v.proof)) return;
        _assertRefused(v);
    }

    /// @dev Proofs do not fit each other's statements.
    function test_verify__proof_of_another_statement__refused() public view {
        for (uint256 i = 0; i < _small.length; ++i) {
            ProofVector memory v = Vectors.named(_small[i]);
            _assertAccepted(v);
            v.proof = Vectors.named(_small[(i + 1) % _small.length]).proof;
            _assertRefused(v);
        }
    }

    /// PROOF-6
    function test_verifyWeights__another_question__refused() public view {
        ProofVector memory v = Vectors.named("breast-cancer-weights");
        (bytes32 circuit, bytes32 weights) = (keccak256(v.descriptor), v.weightsOf());
        vm.assertTrue(_weights(circuit, weights, v.context, v.descriptor, v.proof));
        vm.assertFalse(_weights(_flip(circuit, 3), weights, v.context, v.descriptor, v.proof));
        vm.assertFalse(_weights(circuit, _flip(weights, 77), v.context, v.descriptor, v.proof));
        vm.assertFalse(_weights(circuit, weights, _flip(v.context, 0), v.descriptor, v.proof));
        // a descriptor that is not well formed, under its own hash
        bytes memory other = bytes.concat(v.descriptor);
        other[7] = 0x01;
        vm.assertFalse(_weights(keccak256(other), weights, v.context, other, v.proof));
        // one chunk more than was proved, and another chunk size
        other = bytes.concat(v.descriptor);
        other[11] = bytes1(uint8(other[11]) + 1);
        vm.assertFalse(_weights(keccak256(other), weights, v.context, other, v.proof));
        other = bytes.concat(v.descriptor);
        other[1] = 0x0a;
        vm.assertFalse(_weights(keccak256(other), weights, v.context, other, v.proof));
        // a proof about an inference instead
        bytes memory proof = Vectors.named("breast-cancer").proof;
        vm.assertFalse(_weights(circuit, weights, v.context, v.descriptor, proof));
        // and the range statement itself has no weights
        bytes memory range = hex"020b10010f0b00000000000000010001080000000000";
        vm.assertFalse(_weights(keccak256(range), weights, v.context, range, v.proof));
    }

    function _weights(bytes32 circuit, bytes32 weights, bytes32 context, bytes memory descriptor, bytes memory proof)
        private
        view
        returns (bool valid)
    {
        (valid,) = Vectors.ask(
            _verifier,
            abi.encodeCall(_verifier.verifyWeights, (circuit, weights, context, descriptor, proof)),
            SMALL_CAP
        );
    }

    /// @dev A range statement holds for as many chunks as the circuit has, three here, and their number is bound by its hash.
    /// forge-config: default.fuzz.runs = 200
    function testFuzz_verifyWeights__proof_with_other_bytes__refused(uint256 place, uint8 change) public view {
        ProofVector memory v = Vectors.named("breast-cancer-weights");
        bytes32 weights = v.weightsOf();
        v.proof[place % v.proof.length] ^= bytes1(change == 0 ? 1 : change);
        vm.assertFalse(_weights(keccak256(v.descriptor), weights, v.context, v.descriptor, v.proof));
    }

    /// @dev No code on the chain is larger (EIP-170).
    function test_code__size__within_the_limit() public view {
        vm.assertLe(address(_verifier).code.length, 24_576, "code size");
    }
}
