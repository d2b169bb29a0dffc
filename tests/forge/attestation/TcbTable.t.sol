// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TcbInfo, TcbTable} from "../../../contracts/attestation/TcbTable.sol";
import {TcbStatus} from "../../../contracts/types/Evidence.sol";
import {vm} from "../utils/Vm.sol";

contract TcbTableReader {
    function encode(TcbInfo calldata info) external pure returns (bytes memory) {
        return TcbTable.encode(info, keccak256("document"), 7, 3);
    }

    function status(bytes memory table, bytes16 cpuSvn, uint16 pceSvn, bytes16 teeTcbSvn)
        external
        pure
        returns (TcbStatus)
    {
        return TcbTable.status(table, cpuSvn, pceSvn, teeTcbSvn);
    }

    function merge(TcbStatus platform, TcbStatus other) external pure returns (TcbStatus) {
        return TcbTable.merge(platform, other);
    }
}

/// @notice ATT-7
contract TcbTableTest {
    TcbTableReader private _reader = new TcbTableReader();

    function _table(bytes memory modules, bytes memory levels) private view returns (bytes memory) {
        return _reader.encode(TcbInfo(bytes6(0), 1, 7, 5, modules, levels));
    }

    function _reaches(bytes16 have, bytes16 least, uint256 from) private pure returns (bool) {
        for (uint256 i = from; i < 16; ++i) {
            if (uint8(have[i]) < uint8(least[i])) return false;
        }
        return true;
    }

    /// All components in one word are compared as they would be one by one.
    function testFuzz_status__one_level__is_reached_by_every_component(
        bytes16 cpu,
        bytes16 leastCpu,
        bytes16 tee,
        bytes16 leastTee,
        uint16 pce,
        uint16 leastPce,
        uint256 near
    ) external view {
        // At random hardly any level is reached: bring some components within 1 of each other.
        if (near & 1 != 0) {
            (leastCpu, leastTee) = (cpu & bytes16(uint128(near >> 8)), tee & bytes16(uint128(near >> 3)));
        }
        if (near & 2 != 0) leastPce = pce;
        if (near & 4 != 0) tee &= 0xff00ffffffffffffffffffffffffffff;
        bytes memory modules = abi.encodePacked(uint8(tee[1]), uint8(0), uint8(0));
        bytes memory table = _table(modules, abi.encodePacked(leastCpu, leastTee, leastPce, uint8(4)));
        bool reached = _reaches(cpu, leastCpu, 0) && _reaches(tee, leastTee, tee[1] == 0 ? 0 : 2) && pce >= leastPce;
        try _reader.status(table, cpu, pce, tee) returns (TcbStatus found) {
            vm.assertTrue(reached);
            vm.assertEq(uint256(found), 4);
        } catch {
            vm.assertFalse(reached);
        }
    }

    function test_status__each_component_one_less__is_not_reached() external view {
        bytes16 all = bytes16(uint128(0x05050505050505050505050505050505));
        bytes16 tee = bytes16(uint128(0x05000505050505050505050505050505));
        bytes memory table = _table("", abi.encodePacked(all, tee, uint16(9), uint8(1)));
        vm.assertEq(uint256(_reader.status(table, all, 9, tee)), 1);
        for (uint256 i = 0; i < 16; ++i) {
            bytes16 less = bytes16(bytes1(0x01)) >> (8 * i);
            bytes16 low = bytes16(uint128(all) - uint128(less));
            (bool ok,) = address(_reader).staticcall(abi.encodeCall(_reader.status, (table, low, 9, tee)));
            vm.assertFalse(ok);
            if (i == 1) continue;
            low = bytes16(uint128(tee) - uint128(less));
            (ok,) = address(_reader).staticcall(abi.encodeCall(_reader.status, (table, all, 9, low)));
            vm.assertFalse(ok);
        }
        (bool enough,) = address(_reader).staticcall(abi.encodeCall(_reader.status, (table, all, 8, tee)));
        vm.assertFalse(enough);
    }

    function test_status__several_levels__the_first_that_is_reached_counts() external view {
        bytes memory levels = abi.encodePacked(
            bytes16(uint128(9)), bytes16(0), uint16(5), uint8(0), bytes16(uint128(5)), bytes16(0), uint16(5), uint8(4)
        );
        levels = abi.encodePacked(levels, bytes16(uint128(1)), bytes16(0), uint16(1), uint8(6));
        bytes memory table = _table("", levels);
        vm.assertEq(uint256(_reader.status(table, bytes16(uint128(9)), 5, 0)), 0);
        vm.assertEq(uint256(_reader.status(table, bytes16(uint128(8)), 5, 0)), 4);
        vm.assertEq(uint256(_reader.status(table, bytes16(uint128(9)), 4, 0)), 6);
    }

    function test_status__modules__the_first_level_of_the_version_counts() external view {
        bytes memory modules = hex"030300010400010204";
        bytes memory table = _table(modules, abi.encodePacked(new bytes(34), uint8(0)));
        vm.assertEq(uint256(_reader.status(table, 0, 0, bytes16(hex"0401"))), 0);
        vm.assertEq(uint256(_reader.status(table, 0, 0, bytes16(hex"0301"))), 4);
        vm.assertEq(uint256(_reader.status(table, 0, 0, bytes16(hex"0303"))), 0);
        bytes16[3] memory none = [bytes16(hex"0101"), bytes16(hex"0203"), bytes16(hex"ff02")];
        for (uint256 i = 0; i < none.length; ++i) {
            (bool ok,) = address(_reader).staticcall(abi.encodeCall(_reader.status, (table, 0, 0, none[i])));
            vm.assertFalse(ok);
        }
    }

    function test_status__unknown_number__is_refused() external view {
        bytes memory table = _table("", abi.encodePacked(new bytes(34), uint8(7)));
        (bool ok,) = address(_reader).staticcall(abi.encodeCall(_reader.status, (table, 0, 0, 0)));
        vm.assertFalse(ok);
    }

    function test_merge__out_of_date_and_configuration__are_both_said() external view {
        for (uint8 platform = 0; platform < 7; ++platform) {
            for (uint8 other = 0; other < 7; ++other) {
                uint256 expected = platform > other ? platform : other;
                if ((platform == 2 || platform == 3) && other == 4) expected = 5;
                vm.assertEq(uint256(_reader.merge(TcbStatus(platform), TcbStatus(other))), expected);
            }
        }
    }
}
