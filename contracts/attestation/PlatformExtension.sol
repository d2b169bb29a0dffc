// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Asn1} from "../libraries/Asn1.sol";

/// @notice What a platform certificate says about its platform.
/// @param ppid identifies the machine
/// @param fmspc identifies the kind of machine: which TCB info holds for it
/// @param cpuSvn the versions of its 16 SGX components
/// @param pceSvn the version of its provisioning enclave
/// @param found which of these have been read
struct PlatformFacts {
    bytes16 ppid;
    bytes6 fmspc;
    bytes16 cpuSvn;
    uint16 pceSvn;
    uint8 found;
}

/// @title The extension 1.2.840.113741.1.13.1 of platform certificates
/// @notice A sequence of pairs of OID and value; the OIDs are the extension's own with one octet behind, and those of the
///         TCB have two. Every fact stands there once.
library PlatformExtension {
    uint256 private constant ROOT = 0x2a864886f84d010d01;
    uint256 private constant PPID = (ROOT << 8) | 1;
    uint256 private constant TCB = (ROOT << 8) | 2;
    uint256 private constant FMSPC = (ROOT << 8) | 4;
    uint256 private constant PCE_SVN = (TCB << 8) | 17;
    uint256 private constant CPU_SVN = (TCB << 8) | 18;

    uint8 private constant ALL = 31;

    error PlatformExtension_Repeated(uint256 cursor);
    error PlatformExtension_Missing(uint256 found, uint256 required);

    /// @notice Reads the extension whose value lies between `cursor` and `end`.
    function parse(bytes calldata der, uint256 cursor, uint256 end) internal pure returns (PlatformFacts memory facts) {
        _sequence(der, cursor, end, facts);
        if (facts.found != ALL) revert PlatformExtension_Missing(facts.found, ALL);
    }

    function _sequence(bytes calldata der, uint256 cursor, uint256 end, PlatformFacts memory facts) private pure {
        cursor = Asn1.expectLast(der, cursor, end, Asn1.SEQUENCE);
        while (cursor != end) {
            (uint256 content, uint256 next) = Asn1.expect(der, cursor, end, Asn1.SEQUENCE);
            (uint256 name, uint256 value) = Asn1.expect(der, content, next, Asn1.OBJECT_IDENTIFIER);
            _fact(der, Asn1.number(der, name, value), value, next, facts);
            cursor = next;
        }
    }

    function _fact(bytes calldata der, uint256 oid, uint256 cursor, uint256 end, PlatformFacts memory facts)
        private
        pure
    {
        uint8 flag = 0;
        if (oid == TCB) {
            flag = 1;
            _sequence(der, cursor, end, facts);
        } else if (oid == PPID) {
            flag = 2;
            facts.ppid = bytes16(uint128(_octets(der, cursor, end, 16)));
        } else if (oid == FMSPC) {
            flag = 4;
            facts.fmspc = bytes6(uint48(_octets(der, cursor, end, 6)));
        } else if (oid == CPU_SVN) {
            flag = 8;
            facts.cpuSvn = bytes16(uint128(_octets(der, cursor, end, 16)));
        } else if (oid == PCE_SVN) {
            flag = 16;
            facts.pceSvn = _short(der, cursor, end);
        }
        if (facts.found & flag != 0) revert PlatformExtension_Repeated(cursor);
        facts.found |= flag;
    }

    function _octets(bytes calldata der, uint256 cursor, uint256 end, uint256 size) private pure returns (uint256) {
        uint256 content = Asn1.expectLast(der, cursor, end, Asn1.OCTET_STRING);
        if (end - content != size) revert Asn1.Asn1_WrongLength(cursor);
        return Asn1.number(der, content, end);
    }

    function _short(bytes calldata der, uint256 cursor, uint256 end) private pure returns (uint16) {
        (uint256 value, uint256 next) = Asn1.unsigned(der, cursor, end);
        if (next != end) revert Asn1.Asn1_Trailing(next, end);
        if (value >> 16 != 0) revert Asn1.Asn1_WrongValue(cursor);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16(value);
    }
}
