// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";
import {Block, BlockLib, Descriptor, DescriptorReader, Stage, Term} from "./Descriptor.sol";
import {Evaluation, Functional} from "./Evaluation.sol";
import {Functionals} from "./Functionals.sol";
import {Query} from "./Query.sol";
import {Windows} from "./Windows.sol";

/// @title The claims about weights
/// @notice Claims B+1, B+2 and B+3 of section 5 of docs/spec/proofs.md: what the network's terms and biases read of C_W.
library Terms {
    using BlockLib for Block;
    using Evaluation for Functional;
    using Functionals for Functional;

    /// @dev A circuit that never passed `verifyWeights`.
    error Terms_Unknown();

    /// @notice Adds the functionals of all stages to the scalars of C_W.
    /// @return known what public terms, which need no proof, contribute to Ĝ_in and to Ĝ_hid
    function add(Query memory q) internal pure returns (uint256[2] memory known) {
        unchecked {
            Descriptor memory c = q.file.circuit;
            (Stage memory stage, Term memory term) = DescriptorReader.scratch();
            uint256 ptr = c.stagesAt;
            for (uint256 i = 1; i <= c.stages; ++i) {
                ptr = DescriptorReader.readStage(ptr, stage);
                _addBias(q, stage, i);
                ptr = _addTerms(q, term, stage.terms, i, ptr, known);
            }
            // Else the descriptor was never found well formed.
            if (ptr != c.end) revert Terms_Unknown();
        }
    }

    /// @dev Reads the terms of stage `i`, each in its turn into `term`, and returns the address behind them.
    function _addTerms(Query memory q, Term memory term, uint256 count, uint256 i, uint256 ptr, uint256[2] memory known)
        private
        pure
        returns (uint256)
    {
        unchecked {
            uint256 weight = mulmod(q.instances, select(q.file.circuit, i, q.tau), R);
            for (; count > 0; --count) {
                ptr = DescriptorReader.readTerm(ptr, term);
                _addTerm(q, term, i, mulmod(weight, q.selected[term.source], R), known);
            }
            return ptr;
        }
    }

    /// @param factor eq(τ[m:n], ρ[m:n])·sel_b(τ)·sel_a(ρ)
    function _addTerm(Query memory q, Term memory term, uint256 i, uint256 factor, uint256[2] memory known)
        private
        pure
    {
        unchecked {
            uint256 part = term.source == 0 ? 0 : 1;
            if (term.kind == DescriptorReader.PUBLIC) {
                known[part] = addmod(known[part], mulmod(factor, _publicTerm(q, term, i), R), R);
            } else {
                _addLearned(q, term, i, mulmod(factor, Field.load(q.mus, 1 + part), R));
            }
        }
    }

    /// @notice sel_b(point) of block `i`: eq of the coordinates above the block's own, at its place.
    function select(Descriptor memory c, uint256 i, uint256 point) internal pure returns (uint256) {
        unchecked {
            Block memory b = c.blocks[i];
            return Field.eq(b.placeOf(point), c.positionBits - b.bits, b.offset >> b.bits);
        }
    }

    /// @dev A bias has two digits next to each other: the lowest index bit. Their sum is part of `biases`.
    function _addBias(Query memory q, Stage memory stage, uint256 i) private pure {
        unchecked {
            Block memory b = q.file.circuit.blocks[i];
            Functional memory f = q.functional;
            uint256 weight = q.selected[i];
            bool perChannel = stage.biasKind == 0;
            if (perChannel && b.bits != b.channelBits) {
                weight = mulmod(weight, Field.mass(q.rho, b.columnBits, b.columns), R);
                weight = mulmod(weight, Field.mass(b.rowsOf(q.rho), b.rowBits, b.rows), R);
            }
            f.begin(q.biases, weight);
            (f.explicitBits, f.bits) = (1, 1);
            if (perChannel) f.axis(b.channelsOf(q.rho), b.channelBits, b.channels);
            else f.positions(b, q.rho);
            f.add(q.biases, q.scalars.weights, q.file.circuit.chunks, stage.biasOffset);
        }
    }

    function _addLearned(Query memory q, Term memory term, uint256 i, uint256 weight) private pure {
        Functional memory f = q.functional;
        f.begin(q.opening, weight);
        Block memory source = q.file.circuit.blocks[term.source];
        Block memory target = q.file.circuit.blocks[i];
        if (term.kind == DescriptorReader.DENSE) {
            _readDense(q, term, source);
            f.positions(target, q.tau);
        } else if (term.kind == DescriptorReader.CONV) {
            _correlate(q, term, i, DescriptorReader.COLUMNS);
            _correlate(q, term, i, DescriptorReader.ROWS);
            f.axis(source.channelsOf(q.rho), source.channelBits, source.channels);
            f.axis(target.channelsOf(q.tau), target.channelBits, target.channels);
        } else {
            revert Terms_Unknown();
        }
        f.add(q.opening, q.scalars.weights, q.file.circuit.chunks, term.operand);
    }

    /// @dev The index bits of a dense map's input: axes, unless pools made the values anything else.
    function _readDense(Query memory q, Term memory term, Block memory source) private pure {
        Functional memory f = q.functional;
        if (term.poolsBefore == 0) {
            f.positions(source, q.rho);
            return;
        }
        uint256[] memory v = Windows.readBy(term, DescriptorReader.COLUMNS, q.rho, source.columnBits, source.columns);
        f.explicit(q.opening, v, Field.log2(v.length));
        v = Windows.readBy(term, DescriptorReader.ROWS, source.rowsOf(q.rho), source.rowBits, source.rows);
        f.explicit(q.opening, v, Field.log2(v.length));
        f.axis(source.channelsOf(q.rho), source.channelBits, source.channels);
    }

    /// @dev A convolution's kernel along one axis.
    function _correlate(Query memory q, Term memory term, uint256 i, uint256 axis) private pure {
        uint256[] memory v = _read(q, term, axis);
        uint256[] memory u = _written(q, term, i, axis, Windows.slide(v.length, term.window, axis));
        uint256[] memory kernel = Windows.correlate(u, v, term.window, axis);
        q.functional.explicit(q.opening, kernel, Field.log2(kernel.length));
    }

    function _publicTerm(Query memory q, Term memory term, uint256 i) private pure returns (uint256 value) {
        unchecked {
            Block memory source = q.file.circuit.blocks[term.source];
            Block memory target = q.file.circuit.blocks[i];
            value =
                Field.prefixEq(target.channelsOf(q.tau), source.channelsOf(q.rho), source.channelBits, source.channels);
            for (uint256 axis = 0; axis < 2; ++axis) {
                uint256[] memory v = _read(q, term, axis);
                value = mulmod(value, Windows.dot(_written(q, term, i, axis, v.length), v), R);
            }
            // A negative coefficient plus r wraps to an element.
            value = mulmod(value, term.operand + R, R);
        }
    }

    /// @dev v of the term along one axis.
    function _read(Query memory q, Term memory term, uint256 axis) private pure returns (uint256[] memory) {
        Block memory b = q.file.circuit.blocks[term.source];
        return axis == DescriptorReader.COLUMNS
            ? Windows.readBy(term, axis, q.rho, b.columnBits, b.columns)
            : Windows.readBy(term, axis, b.rowsOf(q.rho), b.rowBits, b.rows);
    }

    /// @dev u of the term along one axis, where its learned map writes `extent` entries.
    function _written(Query memory q, Term memory term, uint256 i, uint256 axis, uint256 extent)
        private
        pure
        returns (uint256[] memory)
    {
        Block memory b = q.file.circuit.blocks[i];
        return axis == DescriptorReader.COLUMNS
            ? Windows.writtenBy(term, axis, q.tau, b.columnBits, b.columns, extent)
            : Windows.writtenBy(term, axis, b.rowsOf(q.tau), b.rowBits, b.rows, extent);
    }
}
