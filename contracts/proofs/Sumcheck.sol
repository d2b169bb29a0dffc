// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";
import {Transcript} from "../libraries/Transcript.sol";
import {Descriptor} from "./Descriptor.sol";

/// @notice What the prover says F's parts are at ρ, and the sums over b̂_0 .. b̂_{B-1} that the verifier needs. What is absent
///         is 0.
/// @param readsInput Ĝ_in
/// @param readsHidden Ĝ_hid
/// @param bias b̂ias
/// @param input x̂
/// @param output what the output's rows have to hold: ŷ, or the public words at ρ less what is committed of them
/// @param inputs Σ_{k >= σ} 2^(k-σ) b̂_k
/// @param shifted Σ_{k >= s} 2^(k-s) b̂_k
/// @param top b̂_{B-1}
/// @param all Σ 2^k b̂_k
/// @param boolean Σ λ^(2k) (b̂_k² - b̂_k)
/// @param low Σ_{k < σ} λ^(2k) b̂_k
/// @param claimed Σ μ^(k+1) b̂_k
struct Values {
    uint256 readsInput;
    uint256 readsHidden;
    uint256 bias;
    uint256 input;
    uint256 output;
    uint256 inputs;
    uint256 shifted;
    uint256 top;
    uint256 all;
    uint256 boolean;
    uint256 low;
    uint256 claimed;
}

/// @title The sumcheck
/// @notice Section 5 of docs/spec/proofs.md: F + g sums to zero over the hypercube.
library Sumcheck {
    uint256 private constant ELEMENT = 32;
    /// @notice Degree of F + g in the first variable, which carries the masks, and in each of the others.
    uint256 internal constant FIRST_DEGREE = 6;
    uint256 internal constant DEGREE = 3;

    /// @notice Follows the claim through all rounds.
    /// @param ptr calldata address of the first round's coefficients
    /// @param rho where to store the point
    /// @return the transcript's state, the address behind the rounds, and the claim that (F + g)(ρ) has to equal
    function run(bytes32 state, uint256 ptr, uint256 rounds, uint256 rho)
        internal
        pure
        returns (bytes32, uint256, uint256)
    {
        unchecked {
            uint256 claim = 0;
            // As many coefficients as the degree: all but a_1
            uint256 size = ELEMENT * FIRST_DEGREE;
            for (uint256 i = 0; i < rounds; ++i) {
                uint256 challenge;
                (state, challenge) = Transcript.exchange(state, ptr, size);
                Field.store(rho, i, challenge);
                claim = _round(ptr, size, claim, challenge);
                ptr += size;
                size = ELEMENT * DEGREE;
            }
            return (state, ptr, claim);
        }
    }

    /// @dev a_1 is what makes the polynomial's values at 0 and 1 add up to the claim. Returns its value at `x`.
    /// @param ptr calldata address of a_0, a_2, a_3, ..
    function _round(uint256 ptr, uint256 size, uint256 claim, uint256 x) private pure returns (uint256 value) {
        bool canonical;
        assembly ("memory-safe") {
            let r := R
            let a := calldataload(ptr)
            canonical := lt(a, r)
            // claim becomes a_1
            claim := addmod(claim, sub(shl(1, r), shl(1, a)), r)
            // Horner's rule, from the highest coefficient down
            for { let e := sub(add(ptr, size), 32) } gt(e, ptr) { e := sub(e, 32) } {
                let coefficient := calldataload(e)
                canonical := and(canonical, lt(coefficient, r))
                claim := addmod(claim, sub(r, coefficient), r)
                value := mulmod(add(value, coefficient), x, r)
            }
            value := addmod(mulmod(add(value, claim), x, r), a, r)
        }
        if (!canonical) revert Field.Field_NotCanonical();
    }

    /// @notice Reads b̂_0 .. b̂_{B-1} from calldata.
    function readBits(Values memory v, Descriptor memory c, uint256 ptr, uint256 lambda, uint256 mu) internal pure {
        // The sums Σ_{j >= k} 2^(j-k) b̂_j
        uint256 shifted = Field.allocate(c.rangeBits);
        bool canonical;
        (v.all, v.boolean, v.claimed, canonical) = _fold(shifted, ptr, c.rangeBits, lambda, mu);
        if (!canonical) revert Field.Field_NotCanonical();
        unchecked {
            uint256 sigma = c.rangeBits - 1 - c.inputBits;
            v.low = _low(ptr, sigma, lambda);
            v.inputs = Field.load(shifted, sigma);
            v.shifted = Field.load(shifted, c.shift);
            v.top = Field.load(shifted, c.rangeBits - 1);
        }
    }

    function _fold(uint256 shifted, uint256 ptr, uint256 count, uint256 lambda, uint256 mu)
        private
        pure
        returns (uint256 all, uint256 boolean, uint256 claimed, bool canonical)
    {
        assembly ("memory-safe") {
            let r := R
            lambda := mulmod(lambda, lambda, r)
            canonical := 1
            // Horner's rule, from the highest bit down
            for { let e := shl(5, count) } e {} {
                e := sub(e, 32)
                let b := calldataload(add(ptr, e))
                canonical := and(canonical, lt(b, r))
                all := addmod(shl(1, all), b, r)
                mstore(add(shifted, e), all)
                boolean := addmod(mulmod(boolean, lambda, r), mulmod(b, add(b, sub(r, 1)), r), r)
                claimed := addmod(mulmod(claimed, mu, r), b, r)
            }
            claimed := mulmod(claimed, mu, r)
        }
    }

    /// @dev Σ_{k < count} λ^(2k) b̂_k.
    function _low(uint256 ptr, uint256 count, uint256 lambda) private pure returns (uint256 sum) {
        assembly ("memory-safe") {
            let r := R
            lambda := mulmod(lambda, lambda, r)
            for { let e := add(ptr, shl(5, count)) } gt(e, ptr) {} {
                e := sub(e, 32)
                sum := addmod(mulmod(sum, lambda, r), calldataload(e), r)
            }
        }
    }

    /// @notice F(ρ) from its parts.
    /// @param equal E = eq(τ, ρ)
    /// @param selected sel_b(ρ) of each block
    function formula(Descriptor memory c, Values memory v, uint256 equal, uint256 delta, uint256[] memory selected)
        internal
        pure
        returns (uint256 sum)
    {
        unchecked {
            // The row: bias + 2^σ X + 2^(B-1) - Σ 2^k b_k + δ Σ λ^(2k) (b_k² - b_k) ..
            sum = mulmod(v.input, uint256(1) << (c.rangeBits - 1 - c.inputBits), R) + (R - v.all);
            sum = addmod(sum, v.bias + (uint256(1) << (c.rangeBits - 1)), R);
            uint256 more = v.boolean;
            if (c.stages != 0) {
                // .. + δ² sel_0 Σ_{k < σ} λ^(2k) b_k + δ³ (sel_L (Σ_{k >= s} 2^(k-s) b_k - 2^(B-1-s)) - Y)
                uint256 answer = Field.sub(v.shifted, uint256(1) << (c.rangeBits - 1 - c.shift));
                answer = Field.sub(mulmod(answer, selected[c.stages], R), v.output);
                more += mulmod(delta, addmod(mulmod(v.low, selected[0], R), mulmod(delta, answer, R), R), R);
            }
            sum = mulmod(equal, addmod(sum, mulmod(delta, more, R), R), R);
            // What block 0 and the hidden blocks hold: Σ_{k >= σ} 2^(k-σ) b_k - 2^t, and b_{B-1}·u
            sum += mulmod(v.readsInput, Field.sub(v.inputs, uint256(1) << c.inputBits), R);
            uint256 u = Field.sub(v.shifted, mulmod(v.top, uint256(1) << (c.rangeBits - 1 - c.shift), R));
            sum = addmod(sum, mulmod(v.readsHidden, mulmod(v.top, u, R), R), R);
        }
    }
}
