// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Asn1} from "./Asn1.sol";

/// @notice What a certificate says, as far as it concerns us.
/// @param digest SHA-256 of what is signed
/// @param r of the issuer's ECDSA signature, and s
/// @param x public key on P-256, and y
/// @param notBefore first and last Unix second of its validity
/// @param usage first octet of the key usage; 0 without one
/// @param ca whether it may issue certificates, by its basic constraints
/// @param platformAt where the value of the SGX extension begins and ends; 0 without one
/// @param seen which of the extensions above have been read
struct Certificate {
    bytes32 digest;
    bytes32 r;
    bytes32 s;
    uint160 serial;
    bytes32 x;
    bytes32 y;
    uint40 notBefore;
    uint40 notAfter;
    uint8 usage;
    bool ca;
    uint256 platformAt;
    uint256 platformEnd;
    uint8 seen;
}

/// @notice What a certificate revocation list says.
/// @param digest SHA-256 of what is signed
/// @param issued Unix second of this update; `until` of the next
/// @param entriesAt where the entries begin and end; equal for a list without
struct RevocationList {
    bytes32 digest;
    bytes32 r;
    bytes32 s;
    uint40 issued;
    uint40 until;
    uint256 entriesAt;
    uint256 entriesEnd;
}

/// @title Certificates (version 3) and revocation lists (version 2) of RFC 5280 with P-256 keys and SHA-256
/// @notice An issuer is its key: names are not compared. A critical extension that is not understood here refuses.
library X509 {
    uint8 internal constant DIGITAL_SIGNATURE = 0x80;
    uint8 internal constant CERTIFICATES_AND_LISTS = 0x06;

    /// @dev SEQUENCE { ecdsa-with-SHA256 }
    bytes12 private constant ALGORITHM = 0x300a06082a8648ce3d040302;
    uint256 private constant ALGORITHM_LENGTH = 12;
    /// @dev SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { uncompressed, …: before x and y
    bytes27 private constant KEY = 0x3059301306072a8648ce3d020106082a8648ce3d03010703420004;
    uint256 private constant KEY_PREFIX_LENGTH = 27;
    uint256 private constant KEY_LENGTH = 91;

    uint256 private constant BASIC_CONSTRAINTS = 0x551d13; // 2.5.29.19
    uint256 private constant KEY_USAGE = 0x551d0f; // 2.5.29.15
    uint256 private constant SGX_EXTENSION = 0x2a864886f84d010d01; // 1.2.840.113741.1.13.1

    error X509_WrongVersion();
    error X509_WrongAlgorithm(uint256 cursor);
    error X509_WrongKey(uint256 cursor);
    error X509_UnknownCriticalExtension(uint256 cursor);
    error X509_RepeatedExtension(uint256 cursor);

    function parse(bytes calldata der) internal pure returns (Certificate memory c) {
        uint256 cursor = Asn1.expectLast(der, 0, der.length, Asn1.SEQUENCE);
        (uint256 body, uint256 end) = Asn1.expect(der, cursor, der.length, Asn1.SEQUENCE);
        c.digest = sha256(der[cursor:end]);
        (c.r, c.s) = _signature(der, end);
        cursor = _identity(der, body, end, c);
        cursor = Asn1.expectLast(der, cursor, end, 0xa3);
        cursor = Asn1.expectLast(der, cursor, end, Asn1.SEQUENCE);
        while (cursor != end) cursor = _extension(der, cursor, end, c);
    }

    function parseList(bytes calldata der) internal pure returns (RevocationList memory list) {
        uint256 cursor = Asn1.expectLast(der, 0, der.length, Asn1.SEQUENCE);
        (uint256 body, uint256 end) = Asn1.expect(der, cursor, der.length, Asn1.SEQUENCE);
        list.digest = sha256(der[cursor:end]);
        (list.r, list.s) = _signature(der, end);
        uint256 version;
        (version, cursor) = Asn1.unsigned(der, body, end);
        if (version != 1) revert X509_WrongVersion(); // 1 means 2
        cursor = _algorithm(der, cursor, end);
        cursor = Asn1.skip(der, cursor, end, Asn1.SEQUENCE); // the issuer's name
        (list.issued, cursor) = Asn1.time(der, cursor, end);
        (list.until, cursor) = Asn1.time(der, cursor, end);
        (uint8 tag, uint256 content, uint256 next) = Asn1.read(der, cursor, end);
        if (tag == Asn1.SEQUENCE) {
            (list.entriesAt, list.entriesEnd) = (content, next);
            cursor = next;
        }
        cursor = Asn1.expectLast(der, cursor, end, 0xa0);
        _noneCritical(der, cursor, end);
    }

    /// @notice The entry of a revocation list at `cursor`: the serial number, and where the next entry begins.
    function entry(bytes calldata der, uint256 cursor, uint256 end)
        internal
        pure
        returns (uint160 serial, uint256 next)
    {
        (cursor, next) = Asn1.expect(der, cursor, end, Asn1.SEQUENCE);
        (serial, cursor) = _serial(der, cursor, next);
        uint40 revokedAt;
        (revokedAt, cursor) = Asn1.time(der, cursor, next);
        if (cursor != next) _noneCritical(der, cursor, next);
    }

    /// @dev From the version up to the key. Returns where the extensions begin.
    function _identity(bytes calldata der, uint256 cursor, uint256 end, Certificate memory c)
        private
        pure
        returns (uint256)
    {
        uint256 next;
        (cursor, next) = Asn1.expect(der, cursor, end, 0xa0);
        if (next - cursor != 3 || Asn1.number(der, cursor, next) != 0x020102) revert X509_WrongVersion(); // 2 means 3
        (c.serial, cursor) = _serial(der, next, end);
        cursor = _algorithm(der, cursor, end);
        cursor = Asn1.skip(der, cursor, end, Asn1.SEQUENCE); // the issuer's name
        (cursor, next) = Asn1.expect(der, cursor, end, Asn1.SEQUENCE);
        (c.notBefore, cursor) = Asn1.time(der, cursor, next);
        (c.notAfter, cursor) = Asn1.time(der, cursor, next);
        if (cursor != next) revert Asn1.Asn1_Trailing(cursor, next);
        cursor = Asn1.skip(der, cursor, end, Asn1.SEQUENCE); // the subject's name
        if (cursor + KEY_LENGTH > end || bytes27(der[cursor:cursor + KEY_PREFIX_LENGTH]) != KEY) {
            revert X509_WrongKey(cursor);
        }
        c.x = bytes32(der[cursor + KEY_PREFIX_LENGTH:]);
        c.y = bytes32(der[cursor + KEY_PREFIX_LENGTH + 32:]);
        return cursor + KEY_LENGTH;
    }

    function _extension(bytes calldata der, uint256 cursor, uint256 end, Certificate memory c)
        private
        pure
        returns (uint256 next)
    {
        uint256 start = cursor;
        uint256 oid;
        bool critical;
        (oid, critical, cursor, next) = _extensionHead(der, cursor, end);
        if (oid == BASIC_CONSTRAINTS) {
            _once(c, 1, start);
            (cursor, end) = Asn1.expect(der, cursor, next, Asn1.SEQUENCE);
            if (end != next) revert Asn1.Asn1_Trailing(end, next);
            if (cursor != end) {
                (c.ca, cursor) = _true(der, cursor, end);
                if (cursor != end) cursor = Asn1.skip(der, cursor, end, Asn1.INTEGER); // certificates below a CA sign no certificates anyway
                if (cursor != end) revert Asn1.Asn1_Trailing(cursor, end);
            }
        } else if (oid == KEY_USAGE) {
            _once(c, 2, start);
            cursor = Asn1.expectLast(der, cursor, next, Asn1.BIT_STRING);
            if (next - cursor < 2) revert Asn1.Asn1_WrongLength(cursor);
            c.usage = uint8(der[cursor + 1]);
        } else if (oid == SGX_EXTENSION) {
            _once(c, 4, start);
            (c.platformAt, c.platformEnd) = (cursor, next);
        } else if (critical) {
            revert X509_UnknownCriticalExtension(start);
        }
    }

    /// @dev OID (0 if it is longer than any of ours), whether it is critical, and where the value lies.
    function _extensionHead(bytes calldata der, uint256 cursor, uint256 end)
        private
        pure
        returns (uint256 oid, bool critical, uint256 content, uint256 next)
    {
        (cursor, next) = Asn1.expect(der, cursor, end, Asn1.SEQUENCE);
        (content, end) = Asn1.expect(der, cursor, next, Asn1.OBJECT_IDENTIFIER);
        oid = end - content > 32 ? 0 : Asn1.number(der, content, end);
        if (Asn1.peek(der, end, next) == Asn1.BOOLEAN) (critical, end) = _true(der, end, next);
        content = Asn1.expectLast(der, end, next, Asn1.OCTET_STRING);
    }

    /// @dev A BOOLEAN whose default is FALSE: DER writes it only if it is TRUE.
    function _true(bytes calldata der, uint256 cursor, uint256 end) private pure returns (bool, uint256 next) {
        uint256 content;
        (content, next) = Asn1.expect(der, cursor, end, Asn1.BOOLEAN);
        if (next - content != 1 || uint8(der[content]) != 0xff) revert Asn1.Asn1_WrongValue(cursor);
        return (true, next);
    }

    function _once(Certificate memory c, uint8 flag, uint256 cursor) private pure {
        if (c.seen & flag != 0) revert X509_RepeatedExtension(cursor);
        c.seen |= flag;
    }

    /// @dev SEQUENCE OF extensions of a list or an entry: none changes what the list says but critical ones.
    function _noneCritical(bytes calldata der, uint256 cursor, uint256 end) private pure {
        cursor = Asn1.expectLast(der, cursor, end, Asn1.SEQUENCE);
        while (cursor != end) {
            (, bool critical,, uint256 next) = _extensionHead(der, cursor, end);
            if (critical) revert X509_UnknownCriticalExtension(cursor);
            cursor = next;
        }
    }

    function _serial(bytes calldata der, uint256 cursor, uint256 end) private pure returns (uint160, uint256 next) {
        uint256 serial;
        (serial, next) = Asn1.unsigned(der, cursor, end);
        if (serial >> 160 != 0) revert Asn1.Asn1_WrongValue(cursor);
        // forge-lint: disable-next-line(unsafe-typecast)
        return (uint160(serial), next);
    }

    function _algorithm(bytes calldata der, uint256 cursor, uint256 end) private pure returns (uint256) {
        if (cursor + ALGORITHM_LENGTH > end || bytes12(der[cursor:cursor + ALGORITHM_LENGTH]) != ALGORITHM) {
            revert X509_WrongAlgorithm(cursor);
        }
        return cursor + ALGORITHM_LENGTH;
    }

    /// @dev What follows the signed part: algorithm and signature, up to the end of `der`.
    function _signature(bytes calldata der, uint256 cursor) private pure returns (bytes32, bytes32) {
        uint256 end = der.length;
        cursor = Asn1.expectLast(der, _algorithm(der, cursor, end), end, Asn1.BIT_STRING);
        if (cursor == end || der[cursor] != 0) revert Asn1.Asn1_WrongValue(cursor);
        cursor = Asn1.expectLast(der, cursor + 1, end, Asn1.SEQUENCE);
        uint256 r;
        uint256 s;
        (r, cursor) = Asn1.unsigned(der, cursor, end);
        (s, cursor) = Asn1.unsigned(der, cursor, end);
        if (cursor != end) revert Asn1.Asn1_Trailing(cursor, end);
        return (bytes32(r), bytes32(s));
    }
}
