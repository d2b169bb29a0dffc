// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../../contracts/libraries/Field.sol";
import {Claims} from "../../contracts/proofs/Claims.sol";
import {Block} from "../../contracts/proofs/Descriptor.sol";
import {Evaluation, Opening} from "../../contracts/proofs/Evaluation.sol";
import {Functionals} from "../../contracts/proofs/Functionals.sol";
import {Planes} from "../../contracts/proofs/Planes.sol";
import {Query} from "../../contracts/proofs/Query.sol";
import {vm} from "./utils/Vm.sol";

/// @notice The claims about bits, values and masks, coefficient by coefficient, as the table of section 5 has them.
contract MatrixProofClaimsTest {
    using Evaluation for Opening;

    uint256 private constant CHUNKS = 40;
    uint256 private _seed;

    function _draw() private returns (uint256) {
        return _seed = uint256(keccak256(abi.encode(_seed)));
    }

    function _point(uint256 bits) private returns (uint256 ptr) {
        ptr = Field.allocate(bits);
        for (uint256 k = 0; k < bits; ++k) {
            Field.store(ptr, k, _draw() % R);
        }
    }

    /// @dev Two instances or one of up to 2^4 positions, a block of C x H x W at offset 0, chunks of 2^d coefficients.
    function _query(uint256 chunkBits) private returns (Query memory q) {
        q.file.circuit.chunkBits = chunkBits;
        q.file.circuit.rangeBits = _draw() % 7 + 2;
        q.file.circuit.positionBits = _draw() % 4 + 1;
        q.file.instanceBits = _draw() % 2;
        q.file.indexBits = q.file.circuit.positionBits + q.file.instanceBits;
        q.rho = _point(q.file.indexBits);
        q.mu = _draw() % R;
        q.mus = Field.powersOf(Field.power(q.mu, q.file.circuit.rangeBits), q.mu, 7);
        uint256 z = _draw() % R;
        q.opening.open(z, Field.power(z, R - 2), chunkBits);
        (q.opening.scale, q.opening.inverseScale) = (_draw() % R, _draw() % R);
        Functionals.prepare(q.functional);
        q.scalars.bits = _scalars();
        q.scalars.mask = _scalars();
        q.scalars.input = _scalars();
        q.scalars.output = _scalars();
    }

    function _scalars() private pure returns (uint256 scalars) {
        scalars = Field.allocate(5 * CHUNKS);
        for (uint256 i = 0; i < 5 * CHUNKS; ++i) {
            Field.store(scalars, i, 0);
        }
    }

    /// @dev Adds what a coefficient of a functional is worth to its chunk's sum.
    function _add(uint256[] memory sums, Query memory q, uint256 index, uint256 coefficient) private pure {
        (uint256 z, uint256 inverse) = q.opening.powersOf(0);
        uint256 exponent = index % (1 << q.opening.chunkBits);
        uint256 sum = mulmod(q.opening.scale, Field.power(z, exponent), R);
        sum += mulmod(q.opening.inverseScale, Field.power(inverse, exponent), R);
        index >>= q.opening.chunkBits;
        sums[index] = addmod(sums[index], mulmod(coefficient, sum, R), R);
    }

    function _expect(uint256 scalars, uint256[] memory sums) private pure {
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk) {
            vm.assertEq(Field.load(Functionals.scalarOf(scalars, chunk), 0), sums[chunk], vm.toString(chunk));
        }
    }

    /// Claims 1..B; chunks smaller and larger than a plane, and as large
    /// forge-config: default.fuzz.runs = 200
    function testFuzz_planes__any_sizes__read_every_bit(uint256 seed) public {
        _seed = seed;
        Query memory q = _query(_draw() % 5 + 3);
        Planes.add(q);
        uint256[] memory sums = new uint256[](CHUNKS);
        for (uint256 k = 0; k < q.file.circuit.rangeBits; ++k) {
            for (uint256 i = 0; i < 1 << q.file.indexBits; ++i) {
                uint256 weight = mulmod(Field.power(q.mu, k + 1), Field.eq(q.rho, q.file.indexBits, i), R);
                _add(sums, q, (k << q.file.indexBits) + i, weight);
            }
        }
        _expect(q.scalars.bits, sums);
    }

    /// Claims 1..B+5, as far as they read masks, and B+6
    /// forge-config: default.fuzz.runs = 200
    function testFuzz_masks__any_statement__read_what_the_table_says(uint256 seed) public {
        _seed = seed;
        Query memory q = _query(7);
        bool stages = _draw() % 4 != 0;
        q.file.circuit.stages = stages ? 1 : 0;
        q.file.inputChunks = _draw() % 2;
        q.file.outputChunks = stages ? _draw() % 2 : 0;
        Claims.addMask(q);

        uint256[] memory sums = new uint256[](CHUNKS);
        uint256 b = q.file.circuit.rangeBits;
        uint256 first = Field.load(q.rho, 0);
        uint256 bump = mulmod(first, addmod(1, R - first, R), R);
        for (uint256 j = 1; j <= 5; ++j) {
            bool there = j <= 3 ? stages : j == 4 ? q.file.inputChunks != 0 : q.file.outputChunks != 0;
            if (there) _add(sums, q, 3 + j, mulmod(bump, Field.power(q.mu, b + j), R));
        }
        for (uint256 k = 0; k < b; ++k) {
            _add(sums, q, 9 + k, mulmod(bump, Field.power(q.mu, k + 1), R));
        }
        _addRounds(sums, q, 9 + b, Field.power(q.mu, b + 6));
        _expect(q.scalars.mask, sums);
    }

    /// @dev ρ_i^e - 1/2 for each coefficient of g.
    function _addRounds(uint256[] memory sums, Query memory q, uint256 index, uint256 weight) private pure {
        for (uint256 i = 0; i < q.file.indexBits; ++i) {
            for (uint256 e = 1; e <= (i == 0 ? 6 : 3); ++e) {
                uint256 value = addmod(Field.power(Field.load(q.rho, i), e), R - (R + 1) / 2, R);
                _add(sums, q, index++, mulmod(weight, value, R));
            }
        }
    }

    /// Claims B+4 and B+5: real entries of every instance, and no padding (PROOF-2)
    /// forge-config: default.fuzz.runs = 200
    function testFuzz_values__any_block__read_real_entries(uint256 seed) public {
        _seed = seed;
        Query memory q = _query(3);
        Block memory input = _block(q.file.circuit.positionBits);
        Block memory output = _block(q.file.circuit.positionBits);
        q.file.circuit.stages = 1;
        q.file.circuit.blocks = new Block[](2);
        (q.file.circuit.blocks[0], q.file.circuit.blocks[1]) = (input, output);
        q.selected = new uint256[](2);
        (q.selected[0], q.selected[1]) = (_draw() % R, _draw() % R);
        (q.file.inputChunks, q.file.outputChunks) = (CHUNKS, CHUNKS);
        Claims.addValues(q);
        uint256 b = q.file.circuit.rangeBits;
        _expect(q.scalars.input, _values(q, input, mulmod(q.selected[0], Field.power(q.mu, b + 4), R)));
        _expect(q.scalars.output, _values(q, output, mulmod(q.selected[1], Field.power(q.mu, b + 5), R)));
    }

    /// @dev A block of at most 2^bits positions.
    function _block(uint256 bits) private returns (Block memory b) {
        b.columnBits = _draw() % (bits + 1);
        b.rowBits = _draw() % (bits - b.columnBits + 1);
        b.channelBits = _draw() % (bits - b.columnBits - b.rowBits + 1);
        b.bits = b.columnBits + b.rowBits + b.channelBits;
        (b.channels, b.rows, b.columns) = (_extent(b.channelBits), _extent(b.rowBits), _extent(b.columnBits));
    }

    /// @dev Some extent that takes so many bits.
    function _extent(uint256 bits) private returns (uint256) {
        return bits == 0 ? 1 : (1 << (bits - 1)) + _draw() % (1 << (bits - 1)) + 1;
    }

    function _values(Query memory q, Block memory b, uint256 weight) private pure returns (uint256[] memory sums) {
        sums = new uint256[](CHUNKS);
        uint256 instances = q.rho + 32 * q.file.circuit.positionBits;
        for (uint256 i = 0; i < 1 << q.file.instanceBits; ++i) {
            for (uint256 entry = 0; entry < b.channels * b.rows * b.columns; ++entry) {
                uint256 y = entry / b.columns % b.rows;
                uint256 c = entry / b.columns / b.rows;
                uint256 position = (((c << b.rowBits) + y) << b.columnBits) + entry % b.columns;
                uint256 value = mulmod(Field.eq(q.rho, b.bits, position), weight, R);
                value = mulmod(value, Field.eq(instances, q.file.instanceBits, i), R);
                _add(sums, q, (i << b.bits) + position, value);
            }
        }
    }
}
