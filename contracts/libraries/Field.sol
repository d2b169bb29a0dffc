// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev r, the order of the groups of BLS12-381. Every mention costs 36 gas, for the optimizer copies it from code to keep the
///      code small: hence the local variables in assembly.
uint256 constant R = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

/// @title The scalar field of BLS12-381 and the sums over it that a proof needs
/// @notice Section 2 of docs/spec/proofs.md. A **point** of F^b and a table are memory addresses of consecutive words, each
///         below r. A point's slice from coordinate i on is its address + 32·i.
library Field {
    error Field_NotCanonical();

    /// @notice Fresh memory for `words` words, not zeroed.
    function allocate(uint256 words) internal pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            ptr := mload(0x40)
            mstore(0x40, add(ptr, shl(5, words)))
        }
    }

    function load(uint256 ptr, uint256 index) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(ptr, shl(5, index)))
        }
    }

    /// @dev `ptr` comes from `allocate`, with `index` below what was asked for.
    function store(uint256 ptr, uint256 index, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(ptr, shl(5, index)), value)
        }
    }

    /// @notice Copies `count` words.
    function copy(uint256 to, uint256 from, uint256 count) internal pure {
        assembly ("memory-safe") {
            mcopy(to, from, shl(5, count))
        }
    }

    function sub(uint256 a, uint256 b) internal pure returns (uint256 c) {
        assembly ("memory-safe") {
            let r := R
            c := addmod(a, sub(r, b), r) // b is below r
        }
    }

    /// @notice The element at a calldata address (PROOF-5).
    function fromCalldata(uint256 ptr) internal pure returns (uint256 element) {
        assembly ("memory-safe") {
            element := calldataload(ptr)
        }
        if (element >= R) revert Field_NotCanonical();
    }

    /// @notice first·base^j for j < count.
    function powersOf(uint256 first, uint256 base, uint256 count) internal pure returns (uint256 table) {
        table = allocate(count);
        assembly ("memory-safe") {
            let r := R
            let value := first
            let end := add(table, shl(5, count))
            for { let ptr := table } lt(ptr, end) { ptr := add(ptr, 32) } {
                mstore(ptr, value)
                value := mulmod(value, base, r)
            }
        }
    }

    /// @notice base^exponent.
    function power(uint256 base, uint256 exponent) internal pure returns (uint256 product) {
        assembly ("memory-safe") {
            let r := R
            product := 1
            for {} exponent { exponent := shr(1, exponent) } {
                if and(exponent, 1) { product := mulmod(product, base, r) }
                base := mulmod(base, base, r)
            }
        }
    }

    /// @notice eq(point, index) over the point's first `bits` coordinates.
    function eq(uint256 point, uint256 bits, uint256 index) internal pure returns (uint256 product) {
        assembly ("memory-safe") {
            let r := R
            product := 1
            for { let end := add(point, shl(5, bits)) } lt(point, end) { point := add(point, 32) } {
                let c := mload(point)
                if iszero(and(index, 1)) { c := sub(add(r, 1), c) }
                product := mulmod(product, c, r)
                index := shr(1, index)
            }
        }
    }

    /// @notice eq(a, b) of two points: Σ_i eq(a, i) eq(b, i) over all i < 2^bits.
    function eqPoints(uint256 a, uint256 b, uint256 bits) internal pure returns (uint256 product) {
        assembly ("memory-safe") {
            let r := R
            product := 1
            for { let end := add(a, shl(5, bits)) } lt(a, end) { a := add(a, 32) } {
                // xy + (1 - x)(1 - y) = 1 + 2xy - (x + y)
                let x := mload(a)
                let y := mload(b)
                let factor := addmod(1, shl(1, mulmod(x, y, r)), r)
                product := mulmod(product, addmod(factor, sub(r, addmod(x, y, r)), r), r)
                b := add(b, 32)
            }
        }
    }

    /// @notice eq(point, i) for i < 2^bits.
    function eqTable(uint256 point, uint256 bits) internal pure returns (uint256 table) {
        table = allocate(uint256(1) << bits);
        assembly ("memory-safe") {
            mstore(table, 1)
            if bits {
                let r := R
                let size := 32 // of the part that is done
                for { let end := add(point, shl(5, bits)) } lt(point, end) { point := add(point, 32) } {
                    let c := mload(point)
                    for { let ptr := table } lt(ptr, add(table, size)) { ptr := add(ptr, 32) } {
                        let whole := mload(ptr)
                        let one := mulmod(whole, c, r)
                        mstore(add(ptr, size), one)
                        mstore(ptr, addmod(whole, sub(r, one), r))
                    }
                    size := shl(1, size)
                }
            }
        }
    }

    /// @notice Σ_{i < length} eq(a, i) eq(b, i), for length <= 2^bits, by the recursion of section 2.
    function prefixEq(uint256 a, uint256 b, uint256 bits, uint256 length) internal pure returns (uint256 sum) {
        assembly ("memory-safe") {
            let r := R
            let whole := 1
            for { let k := 0 } lt(k, bits) { k := add(k, 1) } {
                let x := mload(add(a, shl(5, k)))
                let y := mload(add(b, shl(5, k)))
                let one := mulmod(x, y, r)
                let zero := mulmod(sub(add(r, 1), x), sub(add(r, 1), y), r)
                switch and(shr(k, length), 1)
                case 0 { sum := mulmod(zero, sum, r) }
                default { sum := addmod(mulmod(zero, whole, r), mulmod(one, sum, r), r) }
                whole := mulmod(whole, addmod(zero, one, r), r)
            }
            if shr(bits, length) { sum := whole }
        }
    }

    /// @notice Σ_{i < length} eq(point, i), for length <= 2^bits.
    function mass(uint256 point, uint256 bits, uint256 length) internal pure returns (uint256 sum) {
        if (length == uint256(1) << bits) return 1;
        assembly ("memory-safe") {
            let r := R
            for { let k := 0 } lt(k, bits) { k := add(k, 1) } {
                let one := mload(add(point, shl(5, k)))
                let zero := sub(add(r, 1), one)
                switch and(shr(k, length), 1)
                case 0 { sum := mulmod(zero, sum, r) }
                default { sum := addmod(zero, mulmod(one, sum, r), r) }
            }
        }
    }

    /// @notice ceil(log2 x), for 1 <= x < 2^32.
    function log2(uint256 x) internal pure returns (uint256 bits) {
        assembly ("memory-safe") {
            if gt(x, 1) {
                // The position of the highest bit of x - 1, plus one.
                x := sub(x, 1)
                bits := shl(4, gt(x, 0xffff))
                bits := or(bits, shl(3, gt(shr(bits, x), 0xff)))
                bits := or(bits, shl(2, gt(shr(bits, x), 0xf)))
                bits := or(bits, shl(1, gt(shr(bits, x), 3)))
                bits := add(or(bits, gt(shr(bits, x), 1)), 1)
            }
        }
    }
}
