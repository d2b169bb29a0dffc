// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TcbStatus} from "../types/Evidence.sol";
import {Validity} from "./Validity.sol";

/// @notice Intel's TCB info for one kind of machine, transcribed.
/// @param modules of the TDX module identities, in order, 3 bytes for each of their levels: the number in the identity's name,
///        least ISVSVN, status
/// @param levels of the platform, in order, 35 bytes for each: 16 SGX components, 16 TDX components, PCESVN (2), status
struct TcbInfo {
    bytes6 fmspc;
    uint40 issued;
    uint40 until;
    uint32 evaluation;
    bytes modules;
    bytes levels;
}

/// @title TCB info as it is stored (ATT-7)
/// @notice Code: validity (32), the document's hash, modules, levels. `Validity.extra` is the size of the modules.
library TcbTable {
    uint256 private constant HEADER = 64;
    uint256 private constant MODULE = 3;
    uint256 private constant LEVEL = 35;

    /// @dev One bit above each byte, if the bytes stand 16 bits apart.
    uint256 private constant ABOVE = 0x0100010001000100010001000100010001000100010001000100010001000100;
    uint256 private constant EVERY_SECOND = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    /// @dev All components but the first two of TDX, which are the module's version.
    uint256 private constant WITHOUT_MODULE = ~(uint256(0xffff) << 112);

    error TcbTable_WrongSize(uint256 modules, uint256 levels);
    error TcbTable_NoLevel(bytes16 cpuSvn, uint16 pceSvn, bytes16 teeTcbSvn);
    error TcbTable_NoModule(uint8 version, uint8 isvSvn);

    /// @notice What to store; the signer's certificate may end before the document does.
    function encode(TcbInfo calldata info, bytes32 documentHash, uint40 until, uint16 generation)
        internal
        pure
        returns (bytes memory)
    {
        uint256 size = info.modules.length;
        if (size % MODULE != 0 || size > 255 * MODULE || info.levels.length % LEVEL != 0 || info.levels.length == 0) {
            revert TcbTable_WrongSize(size, info.levels.length);
        }
        uint256 validity = Validity.pack(info.issued, until, info.evaluation, generation, uint16(size));
        return abi.encodePacked(validity, documentHash, info.modules, info.levels);
    }

    /// @notice The platform's status, merged with the TDX module's.
    function status(bytes memory table, bytes16 cpuSvn, uint16 pceSvn, bytes16 teeTcbSvn)
        internal
        pure
        returns (TcbStatus worst)
    {
        uint256 components = (uint256(uint128(cpuSvn)) << 128) | uint128(teeTcbSvn);
        uint8 version = uint8(teeTcbSvn[1]);
        uint256 modulesEnd = HEADER + Validity.extra(Validity.read(table));
        worst = _level(table, modulesEnd, components, pceSvn, version != 0);
        if (version != 0) {
            TcbStatus module = _module(table, modulesEnd, version, uint8(teeTcbSvn[0]));
            worst = merge(worst, module);
        }
    }

    /// @notice The status of a platform with that of its TDX module or quoting enclave: the worse one, but what is out of date
    ///         and needs a configuration, too, is so called.
    function merge(TcbStatus platform, TcbStatus other) internal pure returns (TcbStatus) {
        bool configuration =
            platform == TcbStatus.ConfigurationNeeded || platform == TcbStatus.ConfigurationAndSWHardeningNeeded;
        if (configuration && other == TcbStatus.OutOfDate) return TcbStatus.OutOfDateConfigurationNeeded;
        return other > platform ? other : platform;
    }

    function _level(bytes memory table, uint256 cursor, uint256 components, uint256 pceSvn, bool skipModule)
        private
        pure
        returns (TcbStatus)
    {
        unchecked {
            uint256 compared = skipModule ? WITHOUT_MODULE : type(uint256).max;
            uint256 low = (components & EVERY_SECOND) | ABOVE;
            uint256 high = ((components >> 8) & EVERY_SECOND) | ABOVE;
            for (; cursor < table.length; cursor += LEVEL) {
                uint256 least = _word(table, cursor) & compared;
                // No byte borrows from the bit above it: each is at least what the level asks for.
                if ((low - (least & EVERY_SECOND)) & (high - ((least >> 8) & EVERY_SECOND)) & ABOVE != ABOVE) continue;
                uint256 tail = _word(table, cursor + 32);
                if (pceSvn < tail >> 240) continue;
                return TcbStatus((tail >> 232) & 0xff);
            }
        }
        revert TcbTable_NoLevel(bytes16(uint128(components >> 128)), uint16(pceSvn), bytes16(uint128(components)));
    }

    function _module(bytes memory table, uint256 end, uint8 version, uint8 isvSvn) private pure returns (TcbStatus) {
        unchecked {
            for (uint256 cursor = HEADER; cursor < end; cursor += MODULE) {
                uint256 entry = _word(table, cursor) >> 232;
                if (entry >> 16 == version && isvSvn >= (entry >> 8) & 0xff) return TcbStatus(entry & 0xff);
            }
        }
        revert TcbTable_NoModule(version, isvSvn);
    }

    /// @dev 32 bytes from `cursor` on; those behind the end of the table mean nothing.
    function _word(bytes memory table, uint256 cursor) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(table, 0x20), cursor))
        }
    }
}
