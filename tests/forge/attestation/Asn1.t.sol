// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Asn1} from "../../../contracts/libraries/Asn1.sol";
import {vm} from "../utils/Vm.sol";

contract Asn1Reader {
    function read(bytes calldata der, uint256 cursor, uint256 end) external pure returns (uint8, uint256, uint256) {
        return Asn1.read(der, cursor, end);
    }

    function unsigned(bytes calldata der, uint256 cursor, uint256 end) external pure returns (uint256, uint256) {
        return Asn1.unsigned(der, cursor, end);
    }

    function number(bytes calldata der, uint256 cursor, uint256 end) external pure returns (uint256) {
        return Asn1.number(der, cursor, end);
    }

    function time(bytes calldata der, uint256 cursor, uint256 end) external pure returns (uint40, uint256) {
        return Asn1.time(der, cursor, end);
    }
}

contract Asn1Test {
    Asn1Reader private _reader = new Asn1Reader();

    function _refuses(bytes memory call) private view {
        (bool ok,) = address(_reader).staticcall(call);
        vm.assertFalse(ok);
    }

    function _length(bytes memory der) private view returns (uint256) {
        (, uint256 content, uint256 next) = _reader.read(der, 0, der.length);
        return next - content;
    }

    function _time(bytes memory der) private view returns (uint256 second) {
        (second,) = _reader.time(der, 0, der.length);
    }

    /// ATT-4: whatever the bytes and positions are, nothing outside of the enclosing element is read.
    function testFuzz_read__anything__stays_within(bytes calldata der, uint256 cursor, uint256 end) external view {
        try _reader.read(der, cursor, end) returns (uint8, uint256 content, uint256 next) {
            vm.assertLe(end, der.length, "bounds");
            vm.assertLe(cursor + 2, content, "bounds");
            vm.assertLe(content, next, "bounds");
            vm.assertLe(next, end, "bounds");
        } catch {}
    }

    /// As above, with positions and lengths that are near each other.
    function testFuzz_read__near_the_end__stays_within(uint8 tag, uint8 length, uint24 more, uint8 cursor, uint8 size)
        external
        view
    {
        bytes memory der = abi.encodePacked(new bytes(cursor), tag, length, more, new bytes(size));
        for (uint256 end = cursor; end <= der.length; ++end) {
            try _reader.read(der, cursor, end) returns (uint8, uint256 content, uint256 next) {
                vm.assertLe(content, next, "bounds");
                vm.assertLe(next, end, "bounds");
            } catch {}
        }
    }

    function testFuzz_number__anything__is_the_bytes(bytes32 word, uint8 cursor, uint8 size) external view {
        uint256 from = cursor % 32;
        uint256 to = from + (uint256(size) % (32 - from)) + 1;
        uint256 found = _reader.number(abi.encodePacked(word), from, to);
        vm.assertEq(found, (uint256(word) << (8 * from)) >> (256 - 8 * (to - from)));
    }

    function test_number__outside__is_refused() external view {
        bytes memory der = new bytes(40);
        _refuses(abi.encodeCall(_reader.number, (der, 0, 33)));
        _refuses(abi.encodeCall(_reader.number, (der, 39, 41)));
        _refuses(abi.encodeCall(_reader.number, (der, 5, 5)));
        _refuses(abi.encodeCall(_reader.number, (der, 6, 5)));
        _refuses(abi.encodeCall(_reader.number, (der, type(uint256).max, 1)));
    }

    function test_read__lengths__each_has_one_form() external view {
        vm.assertEq(_length(abi.encodePacked(hex"047f", new bytes(127))), 127);
        vm.assertEq(_length(abi.encodePacked(hex"048180", new bytes(128))), 128);
        vm.assertEq(_length(abi.encodePacked(hex"04820100", new bytes(256))), 256);
        vm.assertEq(_length(abi.encodePacked(hex"0483010000", new bytes(65536))), 65536);
        _refuses(abi.encodeCall(_reader.read, (abi.encodePacked(hex"04817f", new bytes(127)), 0, 130)));
        _refuses(abi.encodeCall(_reader.read, (abi.encodePacked(hex"048200ff", new bytes(255)), 0, 259)));
        _refuses(abi.encodeCall(_reader.read, (abi.encodePacked(hex"048300ffff", new bytes(65535)), 0, 65540)));
        _refuses(abi.encodeCall(_reader.read, (hex"0480", 0, 2))); // indefinite
        _refuses(abi.encodeCall(_reader.read, (hex"048400000001ff", 0, 7)));
        _refuses(abi.encodeCall(_reader.read, (hex"0482", 0, 2))); // cut
        _refuses(abi.encodeCall(_reader.read, (hex"1f0100", 0, 3))); // a tag of more than one octet
    }

    function testFuzz_unsigned__minimal_encoding__is_read(uint256 value) external view {
        bytes memory digits = abi.encodePacked(value);
        uint256 skip = 0;
        while (skip < 31 && digits[skip] == 0) ++skip;
        bytes memory least = new bytes(32 - skip);
        for (uint256 i = 0; i < least.length; ++i) {
            least[i] = digits[skip + i];
        }
        bytes memory body = uint8(least[0]) < 0x80 ? least : abi.encodePacked(hex"00", least);
        bytes memory der = abi.encodePacked(uint8(0x02), uint8(body.length), body);
        (uint256 found, uint256 next) = _reader.unsigned(der, 0, der.length);
        vm.assertEq(found, value);
        vm.assertEq(next, der.length);
        bytes memory padded = abi.encodePacked(uint8(0x02), uint8(body.length + 1), uint8(0), body);
        _refuses(abi.encodeCall(_reader.unsigned, (padded, 0, padded.length)));
    }

    function test_unsigned__negative_empty_or_too_large__is_refused() external view {
        _refuses(abi.encodeCall(_reader.unsigned, (hex"020180", 0, 3)));
        _refuses(abi.encodeCall(_reader.unsigned, (hex"0200", 0, 2)));
        _refuses(abi.encodeCall(_reader.unsigned, (abi.encodePacked(hex"022101", new bytes(32)), 0, 35)));
        _refuses(abi.encodeCall(_reader.unsigned, (hex"0a0101", 0, 3)));
    }

    function test_time__known_moments__are_their_seconds() external view {
        vm.assertEq(_time(abi.encodePacked(hex"170d", "700101000000Z")), 0);
        vm.assertEq(_time(abi.encodePacked(hex"170d", "691231235959Z")), 0);
        vm.assertEq(_time(abi.encodePacked(hex"170d", "180521104510Z")), 1526899510);
        vm.assertEq(_time(abi.encodePacked(hex"170d", "491231235959Z")), 2524607999);
        vm.assertEq(_time(abi.encodePacked(hex"180f", "20500101000000Z")), 2524608000);
        vm.assertEq(_time(abi.encodePacked(hex"170d", "240229000000Z")), 1709164800);
        vm.assertEq(_time(abi.encodePacked(hex"180f", "20000301000000Z")), 951868800);
        vm.assertEq(_time(abi.encodePacked(hex"180f", "99991231235959Z")), 253402300799);
    }

    function test_time__no_moments__are_refused() external view {
        string[12] memory wrong = [
            "241301000000Z",
            "240001000000Z",
            "240100000000Z",
            "240132000000Z",
            "230229000000Z",
            "240431000000Z",
            "240101240000Z",
            "240101006000Z",
            "240101000060Z",
            "240101000000+",
            "24010100000:Z",
            "2401010000/0Z"
        ];
        for (uint256 i = 0; i < wrong.length; ++i) {
            _refuses(abi.encodeCall(_reader.time, (abi.encodePacked(hex"170d", wrong[i]), 0, 15)));
        }
        _refuses(abi.encodeCall(_reader.time, (abi.encodePacked(hex"180f", "19000229000000Z"), 0, 17)));
        _refuses(abi.encodeCall(_reader.time, (abi.encodePacked(hex"170c", "240101000000"), 0, 14)));
        _refuses(abi.encodeCall(_reader.time, (abi.encodePacked(hex"040d", "240101000000Z"), 0, 15)));
    }
}
