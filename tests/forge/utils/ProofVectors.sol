// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifier} from "../../../contracts/interfaces/IProofVerifier.sol";
import {vm} from "./Vm.sol";

/// @notice More cheat codes of forge.
interface Files {
    struct DirEntry {
        string errorMessage;
        string path;
        uint64 depth;
        bool isDir;
        bool isSymlink;
    }

    function readDir(string calldata path) external view returns (DirEntry[] memory entries);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBool(string calldata json, string calldata key) external pure returns (bool);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
}

/// @notice One file of tests/vectors/proofs.
/// @param descriptor the circuit's, for a range statement; empty otherwise
struct ProofVector {
    bytes32 circuit;
    bytes32 weights;
    bytes32 input;
    bytes32 output;
    bytes32 context;
    bytes proof;
    bool accepted;
    bytes descriptor;
}

/// @notice The names of all vectors.
function vectorFiles() view returns (string[] memory paths) {
    Files.DirEntry[] memory entries = Files(address(vm)).readDir("tests/vectors/proofs");
    require(entries.length != 0, "no vectors");
    paths = new string[](entries.length);
    for (uint256 i = 0; i < entries.length; ++i) {
        paths[i] = entries[i].path;
    }
}

library Vectors {
    Files private constant FILES = Files(address(vm));

    function named(string memory name) internal view returns (ProofVector memory) {
        return read(string.concat("tests/vectors/proofs/", name, ".json"));
    }

    function read(string memory path) internal view returns (ProofVector memory v) {
        string memory json = vm.readFile(path);
        v.circuit = vm.parseJsonBytes32(json, ".statement.circuit");
        v.weights = vm.parseJsonBytes32(json, ".statement.weights");
        v.input = vm.parseJsonBytes32(json, ".statement.input");
        v.output = vm.parseJsonBytes32(json, ".statement.output");
        v.context = vm.parseJsonBytes32(json, ".statement.context");
        v.proof = FILES.parseJsonBytes(json, ".proof");
        v.accepted = FILES.parseJsonBool(json, ".accepted");
        if (FILES.keyExistsJson(json, ".descriptor")) v.descriptor = FILES.parseJsonBytes(json, ".descriptor");
    }

    /// @notice Whether the verifier says yes, and the gas of a transaction that only asks it.
    function verify(ProofVector memory v, IProofVerifier verifier, uint256 limit)
        internal
        view
        returns (bool valid, uint256 cost)
    {
        return ask(
            verifier,
            abi.encodeCall(IProofVerifier.verify, (v.circuit, v.weights, v.input, v.output, v.context, v.proof)),
            limit
        );
    }

    /// @notice The same for a range statement, asked as a registry asks.
    function verifyWeights(ProofVector memory v, IProofVerifier verifier, uint256 limit)
        internal
        view
        returns (bool valid, uint256 cost)
    {
        return ask(
            verifier,
            abi.encodeCall(
                IProofVerifier.verifyWeights, (keccak256(v.descriptor), weightsOf(v), v.context, v.descriptor, v.proof)
            ),
            limit
        );
    }

    /// @notice keccak256 of the points that a range statement is about: behind the header and its descriptor.
    function weightsOf(ProofVector memory v) internal pure returns (bytes32) {
        uint256 chunks = uint256(uint8(v.descriptor[8])) << 24 | uint256(uint8(v.descriptor[9])) << 16
            | uint256(uint8(v.descriptor[10])) << 8 | uint8(v.descriptor[11]);
        bytes memory points = new bytes(128 * chunks);
        for (uint256 i = 0; i < points.length; ++i) {
            points[i] = v.proof[28 + i];
        }
        return keccak256(points);
    }

    function ask(IProofVerifier verifier, bytes memory question, uint256 limit)
        internal
        view
        returns (bool valid, uint256 cost)
    {
        require(address(verifier).code.length != 0, "no verifier"); // and its address is warm, as in a transaction
        uint256 before = gasleft();
        (bool ok, bytes memory answer) = address(verifier).staticcall{gas: limit}(question);
        cost = transactionGas(question, before - gasleft());
        valid = ok && answer.length == 32 && abi.decode(answer, (bool));
    }

    /// @notice Gas of a transaction: 21,000, calldata at 4 and 16 gas per byte and execution; never less than 10 and 40 per
    ///         byte (EIP-7623).
    function transactionGas(bytes memory data, uint256 execution) internal pure returns (uint256) {
        uint256 tokens = 0;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        uint256 floor = 10 * tokens;
        uint256 cost = 4 * tokens + execution;
        return 21_000 + (cost > floor ? cost : floor);
    }
}
