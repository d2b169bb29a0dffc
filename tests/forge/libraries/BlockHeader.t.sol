// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BlockHeader} from "../../../contracts/libraries/BlockHeader.sol";
import {Header} from "../utils/Header.sol";
import {vm} from "../utils/Vm.sol";

contract BlockHeaderHarness {
    function prevrandao(bytes calldata header, uint256 number) external view returns (bytes32) {
        return BlockHeader.prevrandao(header, number);
    }

    function hashOf(uint256 number) external view returns (bytes32) {
        return BlockHeader.hashOf(number);
    }
}

contract BlockHeaderTest {
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant NUMBER = 50_000;
    bytes32 private constant MIX = keccak256("mix");
    BlockHeaderHarness private _library;

    function setUp() public {
        _library = new BlockHeaderHarness();
        vm.roll(NUMBER + 1);
    }

    function _accept(bytes memory header) private {
        vm.setBlockhash(NUMBER, keccak256(header));
    }

    /// @dev The header is the chain's; what does the library read?
    function _read(bytes memory header) private returns (bool ok, bytes32 mix, bytes4 selector) {
        _accept(header);
        bytes memory answer;
        (ok, answer) = address(_library).staticcall(abi.encodeCall(_library.prevrandao, (header, NUMBER)));
        if (ok) mix = abi.decode(answer, (bytes32));
        else selector = bytes4(answer);
    }

    function _expectMalformed(bytes memory header) private {
        (bool ok,, bytes4 selector) = _read(header);
        vm.assertFalse(ok);
        vm.assertEq(bytes32(selector), bytes32(BlockHeader.BlockHeader_Malformed.selector));
    }

    // ------------------------------------------------------------------------------------------------ right headers

    /// DRAW-1: fields of every length that RLP writes differently.
    function testFuzz_prevrandao__any_number_and_extra_data__reads_mix_hash(
        uint256 number,
        bytes32 mix,
        bytes calldata extra
    ) public {
        number >>= uint256(mix) % 256;
        (bool ok, bytes32 got,) = _read(Header.encode(number, mix, extra));
        vm.assertTrue(ok);
        vm.assertEq(got, mix);
    }

    /// DRAW-1
    function test_prevrandao__extra_data_at_the_edges_of_rlp__reads_mix_hash() public {
        uint256[9] memory lengths = [uint256(0), 1, 2, 32, 55, 56, 255, 256, 40_000];
        for (uint256 i = 0; i < lengths.length; ++i) {
            bytes memory extra = new bytes(lengths[i]);
            (bool ok, bytes32 got,) = _read(Header.encode(NUMBER, MIX, extra));
            vm.assertTrue(ok);
            vm.assertEq(got, MIX);
        }
        (bool okHigh, bytes32 high,) = _read(Header.encode(NUMBER, MIX, hex"ff")); // one byte, but not itself
        vm.assertTrue(okHigh);
        vm.assertEq(high, MIX);
    }

    /// @dev A header with short fields, below 256 bytes in all: list prefix 0xf8.
    function test_prevrandao__short_header__reads_mix_hash() public {
        (bool ok, bytes32 got,) = _read(_short(13));
        vm.assertTrue(ok);
        vm.assertEq(got, MIX);
    }

    /// @dev `before` small fields, the mix hash, one more field.
    function _short(uint256 before) private pure returns (bytes memory) {
        bytes memory payload = "";
        for (uint256 i = 0; i < before; ++i) {
            payload = abi.encodePacked(payload, i % 2 == 0 ? bytes(hex"80") : bytes(hex"8411223344"));
        }
        return Header.list(abi.encodePacked(payload, hex"a0", MIX, hex"01"));
    }

    // ------------------------------------------------------------------------------------------------ wrong headers

    /// DRAW-1
    function test_prevrandao__another_hash__reverts() public {
        bytes memory header = Header.encode(NUMBER, MIX);
        bytes memory other = Header.encode(NUMBER, keccak256("other"));
        _accept(header);
        vm.expectRevert(
            abi.encodeWithSelector(BlockHeader.BlockHeader_Mismatch.selector, keccak256(header), keccak256(other))
        );
        _library.prevrandao(other, NUMBER);
    }

    /// @dev Every truncation, each with its own right hash.
    function test_prevrandao__truncated__is_malformed_or_complete_up_to_mix_hash() public {
        bytes memory header = Header.encode(NUMBER, MIX);
        uint256 end = _endOfMix(header);
        for (uint256 length = 0; length < header.length; ++length) {
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                cut[i] = header[i];
            }
            if (length < end) {
                _expectMalformed(cut);
            } else {
                (bool ok, bytes32 got,) = _read(cut);
                vm.assertTrue(ok);
                vm.assertEq(got, MIX);
            }
        }
    }

    function _endOfMix(bytes memory header) private pure returns (uint256) {
        for (uint256 end = 32; end <= header.length; ++end) {
            bytes32 word;
            assembly ("memory-safe") {
                word := mload(add(header, end))
            }
            if (word == MIX) return end;
        }
        revert("no mix hash");
    }

    function test_prevrandao__other_shapes__are_malformed() public {
        _expectMalformed("");
        _expectMalformed(hex"f8");
        _expectMalformed(hex"c0");
        _expectMalformed(hex"f800");
        _expectMalformed(hex"f90000");
        _expectMalformed(hex"fa000000");
        _expectMalformed(abi.encodePacked(hex"a0", MIX));
        _expectMalformed(_short(12)); // the thirteenth field is the mix hash, the fourteenth a 1
        _expectMalformed(_short(14));
        _expectMalformed(hex"f803c00102"); // a list among the fields
        // long strings that reach past the end, or whose length has no bytes, or too many
        _expectMalformed(hex"f802b8ff");
        _expectMalformed(hex"f801bb");
        _expectMalformed(hex"f805bbffffffff");
        _expectMalformed(hex"f809bfffffffffffffffff");
        _expectMalformed(abi.encodePacked(hex"f9ffffbc", new bytes(64)));
    }

    /// @dev Any byte of a header changed, with its own right hash: the library reads what a strict reader reads, or
    ///      says that the header is malformed. It never panics.
    function testFuzz_prevrandao__mutated__never_misread(uint256 place, bytes1 value, uint256 place2, bytes1 value2)
        public
    {
        bytes memory header = place % 3 == 0 ? _short(13) : Header.encode(NUMBER, MIX);
        header[place % header.length] = value;
        if (place2 % 2 == 0) header[place2 % header.length] = value2;
        _compare(header);
    }

    function testFuzz_prevrandao__any_bytes__never_misread(bytes memory header) public {
        _compare(header);
        if (header.length < 3) return;
        header[0] = header[0] < 0x80 ? bytes1(0xf8) : bytes1(0xf9);
        _compare(header);
    }

    function _compare(bytes memory header) private {
        (bool ok, bytes32 got, bytes4 selector) = _read(header);
        (bool known, bytes32 expected) = _walk(header);
        vm.assertEq(ok ? 1 : 0, known ? 1 : 0);
        if (ok) vm.assertEq(got, expected);
        else vm.assertEq(bytes32(selector), bytes32(BlockHeader.BlockHeader_Malformed.selector));
    }

    /// @dev Walks the list item by item (Yellow Paper, appendix B) and takes the fourteenth if it is 32 bytes long.
    function _walk(bytes memory data) private pure returns (bool, bytes32 mix) {
        if (data.length < 2) return (false, 0);
        uint256 at;
        if (data[0] == 0xf8) at = 2;
        else if (data[0] == 0xf9) at = 3;
        else return (false, 0);
        for (uint256 field = 0; field < 14; ++field) {
            if (at >= data.length) return (false, 0);
            uint256 first = uint8(data[at]);
            uint256 start = at;
            uint256 size = 1;
            if (first >= 0xc0) return (false, 0);
            if (first >= 0xb8) {
                uint256 bytesOfLength = first - 0xb7;
                size = 0;
                for (uint256 i = 0; i < bytesOfLength; ++i) {
                    if (at + 1 + i >= data.length) return (false, 0);
                    size = size * 256 + uint8(data[at + 1 + i]);
                }
                start = at + 1 + bytesOfLength;
            } else if (first >= 0x80) {
                size = first - 0x80;
                start = at + 1;
            }
            if (field == 13) {
                if (first != 0xa0 || start + 32 > data.length) return (false, 0);
                for (uint256 i = 0; i < 32; ++i) {
                    mix |= bytes32(data[start + i]) >> (8 * i);
                }
            }
            at = start + size;
        }
        return (true, mix);
    }

    // ------------------------------------------------------------------------------------------------ hashes

    /// DRAW-1: the opcode for 256 blocks, the history contract beyond; no hash of the present or of the future.
    function test_hashOf__near_and_far__opcode_then_history() public {
        bytes32 near = keccak256("near");
        bytes32 far = keccak256("far");
        vm.setBlockhash(NUMBER, near);
        vm.mockCall(HISTORY, abi.encode(NUMBER), abi.encode(far));
        vm.roll(NUMBER + 256);
        vm.assertEq(_library.hashOf(NUMBER), near);
        vm.roll(NUMBER + 257);
        vm.assertEq(_library.hashOf(NUMBER), far);
    }

    function test_hashOf__present_and_future__revert_without_asking_the_history() public {
        for (uint256 ahead = 1; ahead < 4; ++ahead) {
            vm.mockCall(HISTORY, abi.encode(NUMBER + ahead), abi.encode(keccak256("invented")));
            _expectUnavailable(NUMBER + ahead);
        }
    }

    function test_hashOf__no_or_odd_history__reverts() public {
        vm.roll(NUMBER + 300);
        _expectUnavailable(NUMBER); // nothing at that address
        vm.mockCallRevert(HISTORY, abi.encode(NUMBER), "");
        _expectUnavailable(NUMBER); // as the contract does beyond 8191 blocks
        vm.mockCall(HISTORY, abi.encode(NUMBER), abi.encode(uint256(0)));
        _expectUnavailable(NUMBER);
        vm.mockCall(HISTORY, abi.encode(NUMBER), abi.encode(keccak256("a"), keccak256("b")));
        _expectUnavailable(NUMBER);
        vm.mockCall(HISTORY, abi.encode(NUMBER), hex"01");
        _expectUnavailable(NUMBER);
    }

    function _expectUnavailable(uint256 number) private {
        vm.expectRevert(abi.encodeWithSelector(BlockHeader.BlockHeader_HashUnavailable.selector, number, block.number));
        _library.hashOf(number);
    }

    /// @dev The code of EIP-2935 itself, at its address, as mainnet has it.
    function test_hashOf__real_history_contract__serves_8191_blocks() public {
        vm.etch(
            HISTORY,
            hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
        );
        bytes32 hash = keccak256("block");
        vm.roll(NUMBER + 1);
        vm.prank(0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE);
        (bool ok,) = HISTORY.call(abi.encode(hash)); // stores the hash of the block before
        vm.assertTrue(ok);
        vm.roll(NUMBER + 8191);
        vm.assertEq(_library.hashOf(NUMBER), hash);
        vm.roll(NUMBER + 8192);
        _expectUnavailable(NUMBER);
    }
}
