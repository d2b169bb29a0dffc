// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";

/// @notice Where the functionals' generating functions U_t are evaluated. A commitment C_t enters the opening with scalar
///         scale·U_t(z) + inverseScale·U_t(1/z), so both **sides** are computed together.
/// @param scale γ(ω - z)
/// @param inverseScale ω - 1/z
/// @param chunkBits d
/// @param powers table of z^(2^k) - 1 for k <= d
/// @param inversePowers table of z^-(2^k) - 1 for k <= d
struct Opening {
    uint256 scale;
    uint256 inverseScale;
    uint256 chunkBits;
    uint256 powers;
    uint256 inversePowers;
}

/// @notice A functional whose coefficients are a product over ranges of index bits. The lowest ranges are explicit; the others
///         are **axes**: eq(point, i) for i < length, and 0 beyond.
/// @param atZ the product of the sums Σ coefficient·z^index over the ranges so far, times scale and weight
/// @param atInverse the same for 1/z
/// @param explicitBits index bits of the explicit ranges
/// @param bits index bits of all ranges
/// @param axes address of the words (point, bits, length) of each axis, from the lowest bits up
/// @param end address behind the last axis
struct Functional {
    uint256 atZ;
    uint256 atInverse;
    uint256 explicitBits;
    uint256 bits;
    uint256 axes;
    uint256 end;
}

/// @title Arithmetic on both sides of a functional
/// @notice Section 2 of docs/spec/proofs.md: sums Σ coefficient·z^index over ranges of index bits that lie in the exponent,
///         at z and at 1/z.
library Evaluation {
    /// @dev An axis takes three words.
    uint256 internal constant AXIS = 96;

    /// @notice Prepares for a point z, neither 0 nor 1. `inverse` is 1/z.
    function open(Opening memory o, uint256 z, uint256 inverse, uint256 chunkBits) internal pure {
        o.chunkBits = chunkBits;
        o.powers = _powers(z, chunkBits + 1);
        o.inversePowers = _powers(inverse, chunkBits + 1);
    }

    /// @dev P is a product of 1 - ρ_k + ρ_k z^(2^k) = 1 + ρ_k (z^(2^k) - 1): hence the ones.
    function _powers(uint256 z, uint256 count) private pure returns (uint256 table) {
        table = Field.allocate(count);
        assembly ("memory-safe") {
            let r := R
            for { let ptr := table } count { count := sub(count, 1) } {
                mstore(ptr, sub(z, 1))
                ptr := add(ptr, 32)
                z := mulmod(z, z, r)
            }
        }
    }

    /// @notice z^(2^bit) and its inverse.
    function powersOf(Opening memory o, uint256 bit) internal pure returns (uint256 z, uint256 inverse) {
        unchecked {
            return (Field.load(o.powers, bit) + 1, Field.load(o.inversePowers, bit) + 1);
        }
    }

    /// @notice The same place, where what is 0 or 1 at index bit 0 is worth 1 or `second`, and everything has weight `weight`.
    function digits(Opening memory o, uint256 second, uint256 weight) internal pure returns (Opening memory scaled) {
        (scaled.chunkBits, scaled.powers, scaled.inversePowers) = (o.chunkBits, o.powers, o.inversePowers);
        (uint256 z, uint256 inverse) = powersOf(o, 0);
        scaled.scale = mulmod(o.scale, mulmod(weight, 1 + mulmod(second, z, R), R), R);
        scaled.inverseScale = mulmod(o.inverseScale, mulmod(weight, 1 + mulmod(second, inverse, R), R), R);
    }

    /// @notice Begins a functional with one constant factor.
    function begin(Functional memory f, Opening memory o, uint256 weight) internal pure {
        assembly ("memory-safe") {
            let r := R
            mstore(f, mulmod(mload(o), weight, r))
            mstore(add(f, 0x20), mulmod(mload(add(o, 0x20)), weight, r))
            mstore(add(f, 0x40), 0) // explicitBits
            mstore(add(f, 0x60), 0) // bits
            mstore(add(f, 0xa0), mload(add(f, 0x80))) // end = axes
        }
    }

    function scale(Functional memory f, uint256 factor) internal pure {
        assembly ("memory-safe") {
            let r := R
            mstore(f, mulmod(mload(f), factor, r))
            mstore(add(f, 32), mulmod(mload(add(f, 32)), factor, r))
        }
    }

    /// @notice Appends explicit coefficients of the next `bits` index bits. Only before the first axis.
    function explicit(Functional memory f, Opening memory o, uint256[] memory coefficients, uint256 bits)
        internal
        pure
    {
        (uint256 z, uint256 inverse) = powersOf(o, f.bits);
        assembly ("memory-safe") {
            let r := R
            let a := 0
            let b := 0
            // Horner's rule, from the last coefficient down
            for { let ptr := add(coefficients, shl(5, mload(coefficients))) } gt(ptr, coefficients) {
                ptr := sub(ptr, 32)
            } {
                let coefficient := mload(ptr)
                a := addmod(mulmod(a, z, r), coefficient, r)
                b := addmod(mulmod(b, inverse, r), coefficient, r)
            }
            mstore(f, mulmod(mload(f), a, r))
            mstore(add(f, 32), mulmod(mload(add(f, 32)), b, r))
        }
        unchecked {
            f.explicitBits += bits;
            f.bits += bits;
        }
    }

    /// @notice Multiplies both sides with Σ_{j < count} (ratio·z^(2^bit))^j, for count > 0.
    function geometric(Functional memory f, Opening memory o, uint256 ratio, uint256 count, uint256 bit) internal pure {
        (uint256 za, uint256 zb) = powersOf(o, bit);
        assembly ("memory-safe") {
            let r := R
            za := mulmod(ratio, za, r)
            zb := mulmod(ratio, zb, r)
            // The sums over the first 2^k powers, times the sides; the lower bits of `count` have given sumA and sumB.
            let a := mload(f)
            let b := mload(add(f, 32))
            let sumA := 0
            let sumB := 0
            for {} 1 {} {
                if and(count, 1) {
                    sumA := addmod(mulmod(sumA, za, r), a, r)
                    sumB := addmod(mulmod(sumB, zb, r), b, r)
                }
                count := shr(1, count)
                if iszero(count) { break }
                a := mulmod(a, add(za, 1), r)
                b := mulmod(b, add(zb, 1), r)
                za := mulmod(za, za, r)
                zb := mulmod(zb, zb, r)
            }
            mstore(f, sumA)
            mstore(add(f, 32), sumB)
        }
    }

    /// @notice Multiplies both sides with P(point, length; z^(2^bit)), the sum over an axis that begins at index bit `bit`, for
    ///         each axis between the addresses `ptr` and `end`.
    function multiply(Functional memory f, Opening memory o, uint256 ptr, uint256 end, uint256 bit) internal pure {
        unchecked {
            while (true) {
                (ptr, bit) = _multiplyWhole(f, o, ptr, end, bit);
                if (ptr == end) return;
                uint256 bits = Field.load(ptr, 1);
                (uint256 powers, uint256 inversePowers) = (o.powers + 32 * bit, o.inversePowers + 32 * bit);
                _multiplyPart(f, Field.load(ptr, 0), bits, Field.load(ptr, 2), powers, inversePowers);
                bit += bits;
                ptr += AXIS;
            }
        }
    }

    /// @dev Up to the first axis that lacks entries. A whole one is the product of 1 + ρ_k (z^(2^k) - 1).
    /// @return that axis, and where its index bits begin
    function _multiplyWhole(Functional memory f, Opening memory o, uint256 ptr, uint256 end, uint256 bit)
        private
        pure
        returns (uint256, uint256)
    {
        assembly ("memory-safe") {
            let r := R
            let a := mload(f)
            let b := mload(add(f, 0x20))
            for {} lt(ptr, end) { ptr := add(ptr, AXIS) } {
                let bits := mload(add(ptr, 0x20))
                if iszero(shr(bits, mload(add(ptr, 0x40)))) { break }
                let point := mload(ptr)
                // Relative to the point, which moves
                let powers := sub(add(mload(add(o, 0x60)), shl(5, bit)), point)
                let inversePowers := sub(add(mload(add(o, 0x80)), shl(5, bit)), point)
                bit := add(bit, bits)
                if and(bits, 1) {
                    let c := mload(point)
                    a := mulmod(a, add(1, mulmod(c, mload(add(point, powers)), r)), r)
                    b := mulmod(b, add(1, mulmod(c, mload(add(point, inversePowers)), r)), r)
                    point := add(point, 32)
                }
                for { bits := shr(1, bits) } bits { bits := sub(bits, 1) } {
                    let c := mload(point)
                    a := mulmod(a, add(1, mulmod(c, mload(add(point, powers)), r)), r)
                    b := mulmod(b, add(1, mulmod(c, mload(add(point, inversePowers)), r)), r)
                    point := add(point, 32)
                    c := mload(point)
                    a := mulmod(a, add(1, mulmod(c, mload(add(point, powers)), r)), r)
                    b := mulmod(b, add(1, mulmod(c, mload(add(point, inversePowers)), r)), r)
                    point := add(point, 32)
                }
            }
            mstore(f, a)
            mstore(add(f, 0x20), b)
        }
        return (ptr, bit);
    }

    /// @dev The recursion of section 2: the sums are `part`, a and b are `full`, all times what the sides were.
    function _multiplyPart(
        Functional memory f,
        uint256 point,
        uint256 bits,
        uint256 length,
        uint256 powers,
        uint256 inversePowers
    ) private pure {
        assembly ("memory-safe") {
            let r := R
            let a := mload(f)
            let b := mload(add(f, 0x20))
            let sumA := 0
            let sumB := 0
            for {} bits { bits := sub(bits, 1) } {
                let one := mload(point)
                let zero := sub(add(r, 1), one)
                let growth := mulmod(one, mload(powers), r)
                let inverseGrowth := mulmod(one, mload(inversePowers), r)
                switch and(length, 1)
                case 0 {
                    sumA := mulmod(sumA, zero, r)
                    sumB := mulmod(sumB, zero, r)
                }
                default {
                    sumA := addmod(mulmod(a, zero, r), mulmod(sumA, add(growth, one), r), r)
                    sumB := addmod(mulmod(b, zero, r), mulmod(sumB, add(inverseGrowth, one), r), r)
                }
                a := mulmod(a, add(growth, 1), r)
                b := mulmod(b, add(inverseGrowth, 1), r)
                length := shr(1, length)
                point := add(point, 32)
                powers := add(powers, 32)
                inversePowers := add(inversePowers, 32)
            }
            mstore(f, sumA)
            mstore(add(f, 0x20), sumB)
        }
    }

    /// @notice Adds both sides, times z^(exponent·2^bit) on theirs, to the scalar at an address. The sides are used up.
    function place(Functional memory f, Opening memory o, uint256 exponent, uint256 bit, uint256 scalar) internal pure {
        assembly ("memory-safe") {
            let r := R
            let a := mload(f)
            let b := mload(add(f, 0x20))
            if exponent {
                let powers := add(mload(add(o, 0x60)), shl(5, bit))
                let inverse := sub(mload(add(o, 0x80)), mload(add(o, 0x60))) // how far the other table is
                for {} exponent { exponent := shr(1, exponent) } {
                    if and(exponent, 1) {
                        a := mulmod(a, add(1, mload(powers)), r)
                        b := mulmod(b, add(1, mload(add(powers, inverse))), r)
                    }
                    powers := add(powers, 32)
                }
            }
            mstore(scalar, addmod(mload(scalar), add(a, b), r))
        }
    }
}
