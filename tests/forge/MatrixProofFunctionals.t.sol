// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../../contracts/libraries/Field.sol";
import {Evaluation, Functional, Opening} from "../../contracts/proofs/Evaluation.sol";
import {Functionals} from "../../contracts/proofs/Functionals.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Generating functions against sums over all indices. The chunks here have 2^3 coefficients and the functionals up to
///         2^8, so that axes lie below, above and across the border.
contract MatrixProofFunctionalsTest {
    using Evaluation for Functional;
    using Evaluation for Opening;
    using Functionals for Functional;

    uint256 private constant CHUNK_BITS = 3;
    uint256 private constant CHUNKS = 40;
    uint256 private constant MARK = 0x5afe;

    struct Axis {
        uint256[] point;
        uint256 bits;
        uint256 length;
    }

    uint256 private _seed;

    function _draw() private returns (uint256) {
        return _seed = uint256(keccak256(abi.encode(_seed)));
    }

    function _words(uint256 count) private returns (uint256[] memory words) {
        words = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            words[i] = _draw() % R;
        }
    }

    function _at(uint256[] memory words) private pure returns (uint256 ptr) {
        assembly {
            ptr := add(words, 32)
        }
    }

    function _opening() private returns (Opening memory o) {
        uint256 z = _draw() % R;
        o.open(z, Field.power(z, R - 2), CHUNK_BITS);
        (o.scale, o.inverseScale) = (_draw() % R, _draw() % R);
        (uint256 a, uint256 b) = o.powersOf(2);
        vm.assertEq(a, Field.power(z, 4));
        vm.assertEq(mulmod(a, b, R), 1);
    }

    /// @dev Pairs of a vector: what lies between two scalars must stay as it is.
    function _scalars() private pure returns (uint256 scalars) {
        scalars = Field.allocate(5 * CHUNKS);
        for (uint256 i = 0; i < 5 * CHUNKS; ++i) {
            Field.store(scalars, i, i % 5 == 0 ? 0 : MARK);
        }
    }

    function _expect(uint256 scalars, uint256[] memory expected) private pure {
        for (uint256 chunk = 0; chunk < CHUNKS; ++chunk) {
            vm.assertEq(Field.load(scalars, 5 * chunk), expected[chunk], vm.toString(chunk));
            for (uint256 i = 1; i < 5; ++i) {
                vm.assertEq(Field.load(scalars, 5 * chunk + i), MARK, "outside");
            }
        }
    }

    /// @dev Adds coefficient·(scale·z^i + inverseScale·z^-i) for the index: what a coefficient of a functional is worth.
    function _add(uint256[] memory expected, Opening memory o, uint256 index, uint256 coefficient) private pure {
        (uint256 z, uint256 inverse) = o.powersOf(0);
        uint256 exponent = index % (1 << CHUNK_BITS);
        uint256 sum = mulmod(o.scale, Field.power(z, exponent), R);
        sum += mulmod(o.inverseScale, Field.power(inverse, exponent), R);
        index >>= CHUNK_BITS;
        expected[index] = addmod(expected[index], mulmod(coefficient, sum, R), R);
    }

    /// @dev Some axes of at most 8 bits in all, the lengths often whole.
    function _axes() private returns (Axis[] memory axes, uint256 bits) {
        axes = new Axis[](_draw() % 7);
        for (uint256 i = 0; i < axes.length; ++i) {
            uint256 most = 8 - bits < 4 ? 8 - bits : 4;
            uint256 own = _draw() % (most + 1);
            uint256 length = _draw() % 2 == 0 ? 1 << own : _draw() % (1 << own) + 1;
            axes[i] = Axis(_words(own), own, length);
            bits += own;
        }
    }

    function _coefficient(Axis[] memory axes, uint256 index) private pure returns (uint256 product) {
        product = 1;
        for (uint256 i = 0; i < axes.length; ++i) {
            uint256 entry = index & ((1 << axes[i].bits) - 1);
            index >>= axes[i].bits;
            if (entry >= axes[i].length) return 0;
            product = mulmod(product, Field.eq(_at(axes[i].point), axes[i].bits, entry), R);
        }
    }

    /// PROOF-2
    /// forge-config: default.fuzz.runs = 300
    function testFuzz_add__any_axes__is_the_sum_over_indices(uint256 seed) public {
        _seed = seed;
        Opening memory o = _opening();
        (Axis[] memory axes, uint256 bits) = _axes();
        // explicit coefficients first, as many as there is room for in the exponent
        uint256 low = _draw() % (CHUNK_BITS + 1);
        if (low + bits > 8) low = 0;
        uint256[] memory coefficients = _words(low == 0 ? 0 : _draw() % (1 << low) + 1);
        uint256 weight = _draw() % R;

        uint256 aligned = low + bits < CHUNK_BITS ? low + bits : CHUNK_BITS;
        uint256 offset = (_draw() % (8 << CHUNK_BITS)) >> aligned << aligned;

        Functional memory f;
        f.prepare();
        f.begin(o, weight);
        if (low != 0) f.explicit(o, coefficients, low);
        for (uint256 i = 0; i < axes.length; ++i) {
            f.axis(_at(axes[i].point), axes[i].bits, axes[i].length);
        }
        uint256 scalars = _scalars();
        f.add(o, scalars, CHUNKS, offset);
        _expect(scalars, _sums(o, axes, low + bits, coefficients, low, weight, offset));
    }

    function _sums(
        Opening memory o,
        Axis[] memory axes,
        uint256 bits,
        uint256[] memory coefficients,
        uint256 low,
        uint256 weight,
        uint256 offset
    ) private pure returns (uint256[] memory expected) {
        expected = new uint256[](CHUNKS);
        for (uint256 index = 0; index < 1 << bits; ++index) {
            uint256 place = index & ((1 << low) - 1);
            uint256 coefficient = weight;
            if (low != 0) coefficient = place < coefficients.length ? mulmod(weight, coefficients[place], R) : 0;
            _add(expected, o, offset + index, mulmod(coefficient, _coefficient(axes, index >> low), R));
        }
    }

    /// @dev An axis whose padding reaches beyond the vector: nothing behind the vector is written.
    /// forge-config: default.fuzz.runs = 300
    function testFuzz_add__fewer_chunks_than_indices__stays_inside(uint256 seed, uint256 chunks, uint256 offset)
        public
    {
        _seed = seed;
        Opening memory o = _opening();
        chunks %= 12;
        offset = (offset % 12) << CHUNK_BITS;
        Axis[] memory axes = new Axis[](1);
        axes[0] = Axis(_words(7), 7, 128);
        Functional memory f;
        f.prepare();
        f.begin(o, 1);
        f.axis(_at(axes[0].point), 7, 128);
        uint256 scalars = _scalars();
        f.add(o, scalars, chunks, offset);
        uint256[] memory expected = _sums(o, axes, 7, new uint256[](0), 0, 1, offset);
        for (uint256 chunk = chunks; chunk < CHUNKS; ++chunk) {
            expected[chunk] = 0;
        }
        _expect(scalars, expected);
    }

    /// forge-config: default.fuzz.runs = 300
    function testFuzz_geometric_and_place__any__are_the_sums(uint256 seed, uint256 count, uint256 place) public {
        _seed = seed;
        Opening memory o = _opening();
        count = count % 8 + 1;
        place %= 9 - count;
        uint256 ratio = _draw() % R;
        Functional memory f;
        f.prepare();
        f.begin(o, ratio);
        f.geometric(o, ratio, count, 0);
        f.scale(ratio);
        uint256 scalars = _scalars();
        f.place(o, place, 0, Functionals.scalarOf(scalars, 3));
        uint256[] memory expected = new uint256[](CHUNKS);
        for (uint256 j = 0; j < count; ++j) {
            _add(expected, o, 24 + place + j, Field.power(ratio, j + 2));
        }
        _expect(scalars, expected);
    }

    /// @dev The lowest index bit counts 1 or `second`.
    /// forge-config: default.fuzz.runs = 300
    function testFuzz_digits__any__are_two_coefficients(uint256 seed, uint256 second) public {
        _seed = seed;
        Opening memory o = _opening();
        second %= R;
        uint256 weight = _draw() % R;
        Opening memory d = o.digits(second, weight);
        Functional memory f;
        f.prepare();
        f.begin(d, 1);
        (f.explicitBits, f.bits) = (1, 1);
        uint256 scalars = _scalars();
        f.add(d, scalars, CHUNKS, 6);
        uint256[] memory expected = new uint256[](CHUNKS);
        _add(expected, o, 6, weight);
        _add(expected, o, 7, mulmod(weight, second, R));
        _expect(scalars, expected);
    }
}
