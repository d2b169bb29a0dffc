// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Bls12381} from "../libraries/Bls12381.sol";
import {Digest, Kind} from "../types/Digest.sol";
import {Block, BlockLib, Descriptor, DescriptorReader} from "./Descriptor.sol";

/// @notice Where everything in a proof file lies; names that end in `At` are calldata addresses.
/// @param circuit the descriptor
/// @param instanceBits β
/// @param indexBits n = m + β
/// @param weightsAt points of C_W
/// @param inputChunks points of C_X; 0 for a public input
/// @param inputAt points of C_X, or the public integers
/// @param outputChunks points of C_Y or of the pad; 0 for a public output
/// @param outputAt those points
/// @param wordsAt the public part of the output
/// @param bitsChunks points that commit to the bits
/// @param messagesAt the prover's messages, which begin with those points
struct ProofFile {
    Descriptor circuit;
    uint256 instanceBits;
    uint256 indexBits;
    Kind inputKind;
    Kind outputKind;
    uint256 weightsAt;
    uint256 inputChunks;
    uint256 inputAt;
    uint256 outputChunks;
    uint256 outputAt;
    uint256 wordsAt;
    uint256 bitsChunks;
    uint256 messagesAt;
}

/// @title The layout of a proof file
/// @notice Section 8 of docs/spec/proofs.md. After `open` every address in the file is known to lie inside of it.
library ProofFileReader {
    using BlockLib for Block;

    uint256 private constant HEADER_BYTES = 6;
    uint256 private constant MAX_INSTANCE_BITS = 12;
    uint256 private constant MAX_INDEX_BITS = 20;
    uint256 private constant ELEMENT = 32;
    uint256 private constant INTEGER = 4;
    /// @dev C_S, 1/z, a1, C_w, C_w'.
    uint256 private constant OPENING_BYTES = 3 * Bls12381.POINT + 2 * ELEMENT;

    error ProofFile_Header();
    error ProofFile_Length(uint256 length, uint256 expected);
    error ProofFile_OtherStatement();

    /// @notice Reads the header and the descriptor and lays out the rest. Every length follows from them (PROOF-5).
    function open(ProofFile memory p, bytes calldata data) internal pure returns (bytes calldata descriptor) {
        unchecked {
            if (data.length < HEADER_BYTES) revert ProofFile_Length(data.length, HEADER_BYTES);
            uint256 start = HEADER_BYTES + uint256(uint16(bytes2(data[4:6])));
            if (data.length < start) revert ProofFile_Length(data.length, start);
            descriptor = data[HEADER_BYTES:start];
            Descriptor memory c = p.circuit;
            DescriptorReader.read(c, descriptor);
            _readHeader(p, data);

            uint256 ptr = c.end;
            p.weightsAt = ptr;
            ptr += Bls12381.POINT * c.chunks;
            (p.inputAt, p.inputChunks) = (ptr, inputChunks(p));
            ptr += p.inputKind == Kind.Public ? INTEGER * entries(p, 0) : Bls12381.POINT * p.inputChunks;
            p.outputAt = ptr;
            if (c.stages != 0) ptr = _layOutput(p, ptr);
            p.messagesAt = ptr;
            p.bitsChunks = _chunks(c, c.rangeBits << p.indexBits);
            ptr += _messageBytes(p);

            uint256 expected = ptr - c.end + start;
            if (data.length != expected) revert ProofFile_Length(data.length, expected);
        }
    }

    function _readHeader(ProofFile memory p, bytes calldata data) private pure {
        unchecked {
            uint256 inputKind = uint8(data[1]);
            uint256 outputKind = uint8(data[2]);
            p.instanceBits = uint8(data[0]);
            p.indexBits = p.circuit.positionBits + p.instanceBits;
            bool valid = inputKind <= uint256(Kind.Committed) && outputKind <= uint256(Kind.Masked) && data[3] == 0;
            // Without stages there is no output, and its kind would be bound by nothing; nor is there a batch.
            valid = valid && (p.circuit.stages != 0 || (outputKind == 0 && p.instanceBits == 0));
            valid = valid && p.instanceBits <= MAX_INSTANCE_BITS;
            valid = valid && p.indexBits != 0 && p.indexBits <= MAX_INDEX_BITS;
            if (!valid) revert ProofFile_Header();
            p.inputKind = Kind(inputKind);
            p.outputKind = Kind(outputKind);
        }
    }

    function _layOutput(ProofFile memory p, uint256 ptr) private pure returns (uint256) {
        unchecked {
            uint256 last = p.circuit.stages;
            if (p.outputKind != Kind.Public) {
                p.outputChunks = _valueChunks(p, last);
            }
            p.wordsAt = ptr + Bls12381.POINT * p.outputChunks;
            if (p.outputKind == Kind.Committed) return p.wordsAt;
            return p.wordsAt + (p.outputKind == Kind.Public ? INTEGER : ELEMENT) * entries(p, last);
        }
    }

    /// @notice Chunks of C_X; 0 for a public input.
    function inputChunks(ProofFile memory p) internal pure returns (uint256) {
        return p.inputKind == Kind.Public ? 0 : _valueChunks(p, 0);
    }

    /// @dev Chunks of X, Y or a pad: up to the last real entry of the last instance.
    function _valueChunks(ProofFile memory p, uint256 index) private pure returns (uint256) {
        unchecked {
            Block memory b = p.circuit.blocks[index];
            uint256 last = (((uint256(1) << p.instanceBits) - 1) << b.bits) + b.last();
            return (last >> p.circuit.chunkBits) + 1;
        }
    }

    /// @notice How many values the real entries of all instances of a block have.
    function entries(ProofFile memory p, uint256 index) internal pure returns (uint256) {
        unchecked {
            Block memory b = p.circuit.blocks[index];
            return (b.channels * b.rows * b.columns) << p.instanceBits;
        }
    }

    /// @notice How many values the prover sends after the sumcheck.
    function values(ProofFile memory p) internal pure returns (uint256) {
        unchecked {
            uint256 committed = (p.inputChunks == 0 ? 0 : 1) + (p.outputChunks == 0 ? 0 : 1);
            return (p.circuit.stages == 0 ? 0 : 3) + committed + p.circuit.rangeBits;
        }
    }

    function _chunks(Descriptor memory c, uint256 coefficients) private pure returns (uint256) {
        unchecked {
            return (coefficients + (uint256(1) << c.chunkBits) - 1) >> c.chunkBits;
        }
    }

    /// @dev The rounds have six coefficients, then three each.
    function _messageBytes(ProofFile memory p) private pure returns (uint256) {
        unchecked {
            uint256 elements = 6 + 3 * (p.indexBits - 1) + values(p);
            return Bls12381.POINT * (p.bitsChunks + 1) + ELEMENT * elements + OPENING_BYTES;
        }
    }

    /// @notice PROOF-4: what the file holds is what the statement's digests stand for.
    function checkDigests(
        ProofFile memory p,
        bytes calldata descriptor,
        bytes32 circuit,
        bytes32 weights,
        bytes32 input,
        bytes32 output
    ) internal pure {
        bool same = keccak256(descriptor) == circuit;
        same = same && _hash(p.weightsAt, p.inputAt) == weights;
        same = same && _inputDigest(p) == input && _outputDigest(p) == output;
        if (!same) revert ProofFile_OtherStatement();
    }

    function _inputDigest(ProofFile memory p) private pure returns (bytes32) {
        bytes32 hash = _hash(p.inputAt, p.outputAt);
        bool shown = p.inputKind == Kind.Public;
        return Digest.input(p.inputKind, p.instanceBits, shown ? bytes32(0) : hash, shown ? hash : bytes32(0));
    }

    function _outputDigest(ProofFile memory p) private pure returns (bytes32) {
        if (p.circuit.stages == 0) return 0;
        bytes32 points = p.outputChunks == 0 ? bytes32(0) : _hash(p.outputAt, p.wordsAt);
        bytes32 words = p.outputKind == Kind.Committed ? bytes32(0) : _hash(p.wordsAt, p.messagesAt);
        return Digest.output(p.outputKind, points, words);
    }

    /// @dev keccak256 of calldata from `ptr` up to `end`.
    function _hash(uint256 ptr, uint256 end) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            calldatacopy(buffer, ptr, sub(end, ptr))
            hash := keccak256(buffer, sub(end, ptr))
        }
    }
}
