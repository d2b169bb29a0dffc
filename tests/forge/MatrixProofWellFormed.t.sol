// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Descriptor, DescriptorReader} from "../../contracts/proofs/Descriptor.sol";
import {WellFormed} from "../../contracts/proofs/WellFormed.sol";
import {vm} from "./utils/Vm.sol";

contract WellFormedHarness {
    function check(bytes calldata data) external pure returns (Descriptor memory) {
        return WellFormed.check(data);
    }
}

/// @notice PROOF-1: one circuit that has everything, and what happens when one thing about it changes.
contract MatrixProofWellFormedTest {
    // Where things stand in `_circuit`
    uint256 private constant D = 1;
    uint256 private constant B = 2;
    uint256 private constant S = 3;
    uint256 private constant T = 4;
    uint256 private constant M = 5;
    uint256 private constant RESERVED = 7;
    uint256 private constant CHUNKS = 8;
    uint256 private constant BLOCKS = 12;
    uint256 private constant CONV = 52; // stage 1
    uint256 private constant RESIDUAL = 72; // stage 2
    uint256 private constant DENSE = 106; // stage 3
    uint256 private constant POOLED = 120; // its second term
    uint256 private constant END = 134;
    // Parts of a stage and of a term
    uint256 private constant BIAS_KIND = 4;
    uint256 private constant TERMS = 5;
    uint256 private constant FIRST_TERM = 6;
    uint256 private constant KIND = 1;
    uint256 private constant BEFORE = 2;
    uint256 private constant AFTER = 3;
    uint256 private constant OFFSET = 4;
    uint256 private constant WINDOW = 8;

    WellFormedHarness private _harness = new WellFormedHarness();

    /// @dev An 8 x 8 image; a 3 x 3 convolution to four channels; a convolution of stride 2 plus a pooled shortcut to
    ///      (4, 4, 4); three outputs, dense in that and in the pooled first layer.
    function _circuit() private pure returns (bytes memory) {
        return bytes.concat(
            hex"02071004080a030000000008", // d = 7, B = 16, s = 4, t = 8, m = 10, eight chunks of 128
            hex"00010008000800000000000400080008000001000004000400040000024000030001000100000200",
            hex"0000004000010002000000000000030301010101",
            hex"000001800102010200000000020003030202010101000100fffffffd020202020000",
            hex"00000048000202010000000000800101010000000300020202020000"
        );
    }

    function _set(bytes memory data, uint256 place, uint256 size, uint256 value) private pure returns (bytes memory) {
        for (uint256 i = 0; i < size; ++i) {
            data[place + size - 1 - i] = bytes1(uint8(value >> (8 * i)));
        }
        return data;
    }

    function _with(uint256 place, uint256 size, uint256 value) private pure returns (bytes memory) {
        return _set(_circuit(), place, size, value);
    }

    function _cut(bytes memory data, uint256 length) private pure returns (bytes memory cut) {
        cut = new bytes(length);
        for (uint256 i = 0; i < length && i < data.length; ++i) {
            cut[i] = data[i];
        }
    }

    /// @dev Puts bytes in before `place`.
    function _insert(bytes memory data, uint256 place, bytes memory more) private pure returns (bytes memory) {
        bytes memory tail = new bytes(data.length - place);
        for (uint256 i = 0; i < tail.length; ++i) {
            tail[i] = data[place + i];
        }
        return bytes.concat(_cut(data, place), more, tail);
    }

    function _accept(bytes memory data) private view {
        _harness.check(data);
    }

    function _refuse(bytes memory data, bytes memory reason) private view {
        (bool ok, bytes memory answer) = address(_harness).staticcall(abi.encodeCall(_harness.check, (data)));
        vm.assertFalse(ok);
        vm.assertEq(answer, reason);
    }

    function _refuseHeader(uint256 place, uint256 value) private view {
        _refuse(_with(place, 1, value), abi.encodeWithSelector(WellFormed.Descriptor_Header.selector));
    }

    function _reason(bytes4 selector, uint256 index) private pure returns (bytes memory) {
        return abi.encodeWithSelector(selector, index);
    }

    function _terms(uint256 stage) private pure returns (bytes memory) {
        return _reason(WellFormed.Descriptor_Terms.selector, stage);
    }

    function _window(uint256 stage) private pure returns (bytes memory) {
        return _reason(WellFormed.Descriptor_Window.selector, stage);
    }

    function _shape(uint256 stage) private pure returns (bytes memory) {
        return _reason(WellFormed.Descriptor_Shape.selector, stage);
    }

    function _weights(uint256 stage) private pure returns (bytes memory) {
        return _reason(WellFormed.Descriptor_Weights.selector, stage);
    }

    function test_check__circuit_with_everything__read_as_meant() public view {
        vm.assertEq(_circuit().length, END);
        Descriptor memory c = _harness.check(_circuit());
        vm.assertEq(c.chunkBits, 7);
        vm.assertEq(c.rangeBits, 16);
        vm.assertEq(c.shift, 4);
        vm.assertEq(c.inputBits, 8);
        vm.assertEq(c.positionBits, 10);
        vm.assertEq(c.stages, 3);
        vm.assertEq(c.chunks, 8);
        vm.assertEq(c.blocks.length, 4);
        vm.assertEq(c.blocks[1].channels, 4);
        vm.assertEq(c.blocks[1].rows, 8);
        vm.assertEq(c.blocks[1].columns, 8);
        vm.assertEq(c.blocks[1].offset, 256);
        vm.assertEq(c.blocks[1].bits, 8);
        vm.assertEq(c.blocks[3].channelBits, 2);
    }

    function test_check__header__bounds() public view {
        _refuseHeader(0, 1);
        _refuseHeader(0, 3);
        _refuseHeader(D, 6);
        _refuseHeader(D, 12);
        _refuseHeader(B, 33);
        _accept(_with(B, 1, 32));
        _refuseHeader(B, 1);
        _accept(_set(_set(_with(B, 1, 2), S, 1, 1), T, 1, 1));
        _refuseHeader(S, 0);
        _refuseHeader(S, 16);
        _accept(_with(S, 1, 15));
        _refuseHeader(T, 0);
        _refuseHeader(T, 16);
        _accept(_with(T, 1, 15));
        _refuseHeader(M, 0);
        _refuseHeader(M, 21);
        _accept(_with(M, 1, 20));
        _refuseHeader(RESERVED, 1);
        _refuseHeader(CHUNKS + 3, 0);
        _accept(_with(CHUNKS, 4, 1 << 20));
        _refuse(_with(CHUNKS, 4, (1 << 20) + 1), abi.encodeWithSelector(WellFormed.Descriptor_Header.selector));
    }

    function test_check__no_stages__no_weights_and_all_input_bits() public view {
        bytes memory range = hex"020710010f0800000000000000020001008000000000";
        _accept(range);
        _refuse(_set(range, T, 1, 14), abi.encodeWithSelector(WellFormed.Descriptor_Header.selector));
        range = _set(range, T, 1, 15);
        _refuse(_set(range, CHUNKS, 4, 1), abi.encodeWithSelector(WellFormed.Descriptor_Header.selector));
    }

    /// @dev A chain of single values, each passed on by a public term.
    function _chain(uint256 stages) private pure returns (bytes memory data) {
        data = abi.encodePacked(hex"020710010807", uint8(stages), hex"0000000001");
        for (uint256 i = 0; i <= stages; ++i) {
            data = abi.encodePacked(data, hex"000100010001", uint32(i));
        }
        for (uint256 i = 0; i < stages; ++i) {
            data = abi.encodePacked(data, uint32(2 * i % 128), hex"0001", uint8(i), hex"00000000000001");
        }
    }

    function test_check__many_stages__64_at_most() public view {
        _accept(_chain(1));
        _accept(_chain(64));
        _refuse(_chain(65), abi.encodeWithSelector(WellFormed.Descriptor_Header.selector));
    }

    function test_check__blocks__inside_aligned_and_apart() public view {
        for (uint256 i = 0; i < 4; ++i) {
            bytes memory reason = _reason(WellFormed.Descriptor_Block.selector, i);
            for (uint256 extent = 0; extent < 6; extent += 2) {
                _refuse(_with(BLOCKS + 10 * i + extent, 2, 0), reason);
            }
            _refuse(_with(BLOCKS + 10 * i + 6, 4, 1024), reason); // behind the last position
            _refuse(_with(BLOCKS + 10 * i + 6, 4, type(uint32).max << 8), reason);
        }
        _refuse(_with(BLOCKS + 16, 4, 384), _reason(WellFormed.Descriptor_Block.selector, 1)); // of size 256
        _refuse(_with(BLOCKS + 36, 4, 514), _reason(WellFormed.Descriptor_Block.selector, 3)); // of size 4
        _refuse(_with(BLOCKS, 2, 17), _reason(WellFormed.Descriptor_Block.selector, 0)); // 2^11 positions
        _accept(_with(BLOCKS + 36, 4, 516));
        _accept(_with(BLOCKS + 36, 4, 1020));

        _refuse(_with(BLOCKS + 36, 4, 256), abi.encodeWithSelector(WellFormed.Descriptor_Overlap.selector, 1, 3));
        _refuse(_with(BLOCKS + 36, 4, 636), abi.encodeWithSelector(WellFormed.Descriptor_Overlap.selector, 2, 3));
        _refuse(_with(BLOCKS + 26, 4, 0), abi.encodeWithSelector(WellFormed.Descriptor_Overlap.selector, 0, 2));
        _refuse(_with(BLOCKS + 16, 4, 0), abi.encodeWithSelector(WellFormed.Descriptor_Overlap.selector, 0, 1));
        // The padding of a block of three channels is its own, too.
        bytes memory data = _set(_with(BLOCKS + 10, 2, 3), BLOCKS + 36, 4, 448);
        _refuse(data, abi.encodeWithSelector(WellFormed.Descriptor_Overlap.selector, 1, 3));
    }

    function test_check__terms__sources_kinds_and_numbers() public view {
        _refuse(_with(CONV + TERMS, 1, 0), _terms(1));
        _refuse(_with(CONV + TERMS, 1, 17), _terms(1));
        _refuse(_with(CONV + FIRST_TERM, 1, 1), _terms(1)); // itself
        _refuse(_with(CONV + FIRST_TERM, 1, 3), _terms(1)); // a later one
        _refuse(_with(RESIDUAL + FIRST_TERM, 1, 2), _terms(2));
        _refuse(_with(DENSE + FIRST_TERM, 1, 3), _terms(3));
        _refuse(_with(DENSE + FIRST_TERM, 1, 255), _terms(3));
        _refuse(_with(CONV + FIRST_TERM + KIND, 1, 3), _terms(1));
        _refuse(_with(CONV + BIAS_KIND, 1, 2), _reason(WellFormed.Descriptor_Bias.selector, 1));
        // Sixteen terms: the shortcut, again and again
        bytes memory shortcut = hex"0100010000000001020202020000";
        bytes memory data = _circuit();
        for (uint256 terms = 3; terms <= 17; ++terms) {
            data = _set(_insert(data, DENSE, shortcut), RESIDUAL + TERMS, 1, terms);
            if (terms <= 16) _accept(data);
            else _refuse(data, _terms(2));
        }
    }

    function test_check__pools__four_per_term() public view {
        bytes memory data = _circuit();
        for (uint256 pools = 2; pools <= 5; ++pools) {
            data = _set(_insert(data, POOLED + WINDOW, hex"010101010000"), POOLED + BEFORE, 1, pools);
            if (pools <= 4) _accept(data);
            else _refuse(data, _terms(3));
        }
        // before and after together
        data = _set(_circuit(), RESIDUAL + FIRST_TERM + AFTER, 1, 3);
        data = _insert(data, RESIDUAL + FIRST_TERM + 14, hex"010101010000010101010000010101010000");
        _accept(data);
        data = _set(data, RESIDUAL + FIRST_TERM + BEFORE, 1, 2);
        _refuse(_insert(data, RESIDUAL + FIRST_TERM + 14, hex"010101010000010101010000"), _terms(2));
    }

    function test_check__windows__fit_and_move() public view {
        for (uint256 axis = 0; axis < 2; ++axis) {
            uint256 conv = CONV + FIRST_TERM + WINDOW + axis;
            uint256 pool = POOLED + WINDOW + axis;
            _refuse(_with(conv, 1, 0), _window(1));
            _refuse(_with(conv + 2, 1, 0), _window(1));
            _refuse(_with(conv, 1, 11), _window(1)); // eight and two of padding
            _refuse(_with(pool, 1, 0), _window(3));
            _refuse(_with(pool + 2, 1, 0), _window(3));
            _refuse(_with(pool, 1, 9), _window(3));
            _refuse(_with(pool + 4, 1, 2), _window(3)); // padding of two around a kernel of two
            // A padding of one is allowed, and makes five of four, which a dense map takes as they are
            _accept(_set(_with(pool + 4, 1, 1), POOLED + OFFSET, 4, 128));
        }
        // A convolution may have more padding: (8 + 4 - 1) / 3 + 1 = 4
        _accept(_with(RESIDUAL + FIRST_TERM + WINDOW, 6, 0x010103030202));
        // Windows need not reach the end: (8 - 2) / 2 + 1 = (8 - 1) / 2 + 1 = 4
        _accept(_with(RESIDUAL + 20 + WINDOW, 6, 0x010102020000));
    }

    function test_check__shapes__end_where_they_should() public view {
        _refuse(_with(CONV + FIRST_TERM + WINDOW + 4, 1, 0), _shape(1)); // six rows
        _refuse(_with(CONV + FIRST_TERM + WINDOW + 3, 1, 2), _shape(1)); // four columns
        _refuse(_with(RESIDUAL + 20, 1, 0), _shape(2)); // a shortcut from one channel to four
        _refuse(_with(RESIDUAL + 20 + WINDOW, 6, 0x010101010000), _shape(2)); // eight by eight
        _refuse(_with(BLOCKS + 20, 2, 3), _shape(2)); // into three channels
        bytes memory data = _set(_with(POOLED + BEFORE, 1, 0), POOLED + AFTER, 1, 1);
        _refuse(data, _shape(3)); // a pool after a dense map
        // A pool after a convolution: eight by eight to four by four
        data = _set(_with(RESIDUAL + FIRST_TERM + WINDOW + 2, 2, 0x0101), RESIDUAL + FIRST_TERM + AFTER, 1, 1);
        _accept(_insert(data, RESIDUAL + FIRST_TERM + 14, hex"020202020000"));
        _refuse(_insert(data, RESIDUAL + FIRST_TERM + 14, hex"020201020000"), _shape(2));
    }

    function test_check__weights__aligned_and_committed() public view {
        bytes memory bias = _reason(WellFormed.Descriptor_Bias.selector, 1);
        _refuse(_with(CONV, 4, 68), bias); // eight coefficients
        _refuse(_with(CONV, 4, 1024), bias);
        _refuse(_with(CONV, 4, type(uint32).max - 7), bias);
        _accept(_with(CONV, 4, 1016));
        bias = _reason(WellFormed.Descriptor_Bias.selector, 2);
        _refuse(_with(RESIDUAL, 4, 448), bias); // a whole chunk
        _refuse(_with(RESIDUAL, 4, 1024), bias);
        _accept(_with(RESIDUAL, 4, 896));

        _refuse(_with(CONV + FIRST_TERM + OFFSET, 4, 32), _weights(1));
        _refuse(_with(CONV + FIRST_TERM + OFFSET, 4, 1024), _weights(1));
        _accept(_with(CONV + FIRST_TERM + OFFSET, 4, 960));
        _refuse(_with(DENSE + FIRST_TERM + OFFSET, 4, 64), _weights(3));
        _refuse(_with(POOLED + OFFSET, 4, 832), _weights(3));
        _refuse(_with(POOLED + OFFSET, 4, 896), _weights(3)); // 192 real coefficients of 256
        _refuse(_with(CHUNKS, 4, 7), _weights(3));
        // Real coefficients count, their padding does not: rows end at 896 + 191 = 1087 < 9·128
        _accept(_set(_with(CHUNKS, 4, 9), POOLED + OFFSET, 4, 896));
    }

    function test_check__kernels_and_pooled_inputs__within_a_chunk() public view {
        // 9 x 9 takes 4 + 4 index bits, more than d = 7; in chunks of 2^8 the offsets below are multiples of 2^8
        bytes memory data = _with(CONV + FIRST_TERM + WINDOW, 6, 0x090901010404);
        data = _set(_set(data, DENSE + FIRST_TERM + OFFSET, 4, 256), CHUNKS, 4, 20);
        _refuse(data, _weights(1));
        _accept(_set(_set(data, D, 1, 8), CONV + FIRST_TERM + OFFSET, 4, 1024));
        // a dense map of 16 x 16, behind a pool that changes nothing
        data = hex"0207100408090100000000030001001000100000000000010001000100000100000000000001";
        _accept(bytes.concat(data, hex"0001000000000080"));
        bytes memory pooled = bytes.concat(data, hex"0001010000000080010101010000");
        _refuse(pooled, _weights(1));
        _accept(_set(_set(pooled, D, 1, 8), 42, 4, 256));
    }

    function test_check__another_length__refused() public view {
        for (uint256 length = 0; length < END; ++length) {
            (bool ok,) = address(_harness).staticcall(abi.encodeCall(_harness.check, (_cut(_circuit(), length))));
            vm.assertFalse(ok);
        }
        for (uint256 more = 1; more < 40; ++more) {
            bytes memory longer = _cut(_circuit(), END + more);
            _refuse(longer, abi.encodeWithSelector(WellFormed.Descriptor_End.selector));
        }
        // cut in the fixed part
        _refuse(_cut(_circuit(), 11), _reason(DescriptorReader.Descriptor_Length.selector, 11));
        _refuse(_cut(_circuit(), CONV - 1), _reason(DescriptorReader.Descriptor_Length.selector, CONV - 1));
    }

    /// @dev Whatever the bytes are: an answer or a reason, never a panic.
    function testFuzz_check__mutated__never_panics(uint256 seed) public view {
        bytes memory data = _circuit();
        for (uint256 i = 0; i <= seed % 3; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            data[(seed >> 8) % END] = bytes1(uint8(seed));
        }
        (bool ok, bytes memory answer) = address(_harness).staticcall(abi.encodeCall(_harness.check, (data)));
        bytes4 selector = bytes4(answer);
        if (!ok) vm.assertTrue(selector != bytes4(0x4e487b71) && selector != 0);
    }
}
