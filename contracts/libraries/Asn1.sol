// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title DER, the strict form of ASN.1
/// @notice Reads one element at a time. Whatever is not the only encoding of its value is refused, so that two parsers cannot
///         see two things in the same bytes. Positions are offsets into `der`; `end` is where the enclosing element ends.
library Asn1 {
    uint8 internal constant BOOLEAN = 0x01;
    uint8 internal constant INTEGER = 0x02;
    uint8 internal constant BIT_STRING = 0x03;
    uint8 internal constant OCTET_STRING = 0x04;
    uint8 internal constant OBJECT_IDENTIFIER = 0x06;
    uint8 internal constant UTC_TIME = 0x17;
    uint8 internal constant GENERALIZED_TIME = 0x18;
    uint8 internal constant SEQUENCE = 0x30;

    error Asn1_Truncated(uint256 cursor, uint256 end);
    error Asn1_WrongTag(uint256 cursor, uint8 found, uint8 required);
    error Asn1_WrongLength(uint256 cursor);
    error Asn1_WrongValue(uint256 cursor);
    error Asn1_Trailing(uint256 cursor, uint256 end);

    /// @notice The element at `cursor`: its tag, where its content begins, and where the next element begins.
    function read(bytes calldata der, uint256 cursor, uint256 end)
        internal
        pure
        returns (uint8 tag, uint256 content, uint256 next)
    {
        unchecked {
            if (end > der.length || cursor > end || end - cursor < 2) revert Asn1_Truncated(cursor, end);
            uint256 head = _word(der, cursor);
            // forge-lint: disable-next-line(unsafe-typecast)
            tag = uint8(head >> 248);
            if (tag & 0x1f == 0x1f) revert Asn1_WrongTag(cursor, tag, tag & 0xe0);
            uint256 length = (head >> 240) & 0xff;
            content = cursor + 2;
            if (length >= 0x80) {
                uint256 octets = length - 0x80;
                // 3 octets say 16 MiB, more than any transaction carries
                if (octets == 0 || octets > 3) revert Asn1_WrongLength(cursor);
                if (end - content < octets) revert Asn1_Truncated(cursor, end);
                length = (head << 16) >> (256 - 8 * octets);
                if (length < (octets == 1 ? 0x80 : 1 << (8 * (octets - 1)))) revert Asn1_WrongLength(cursor);
                content += octets;
            }
            if (length > end - content) revert Asn1_Truncated(cursor, end);
            next = content + length;
        }
    }

    /// @notice As `read`, for an element that must have this tag.
    function expect(bytes calldata der, uint256 cursor, uint256 end, uint8 required)
        internal
        pure
        returns (uint256 content, uint256 next)
    {
        uint8 tag;
        (tag, content, next) = read(der, cursor, end);
        if (tag != required) revert Asn1_WrongTag(cursor, tag, required);
    }

    /// @notice Where the element behind one begins, which must have this tag.
    function skip(bytes calldata der, uint256 cursor, uint256 end, uint8 required)
        internal
        pure
        returns (uint256 next)
    {
        uint256 content;
        (content, next) = expect(der, cursor, end, required);
    }

    /// @notice The tag of the element at `cursor`.
    function peek(bytes calldata der, uint256 cursor, uint256 end) internal pure returns (uint8 tag) {
        uint256 content;
        uint256 next;
        (tag, content, next) = read(der, cursor, end);
    }

    /// @notice As `expect`, for an element behind which nothing may follow.
    function expectLast(bytes calldata der, uint256 cursor, uint256 end, uint8 required)
        internal
        pure
        returns (uint256 content)
    {
        uint256 next;
        (content, next) = expect(der, cursor, end, required);
        if (next != end) revert Asn1_Trailing(next, end);
    }

    /// @notice Bytes from `cursor` up to `end`, at most 32, as a number.
    function number(bytes calldata der, uint256 cursor, uint256 end) internal pure returns (uint256) {
        if (end > der.length || cursor >= end || end - cursor > 32) revert Asn1_WrongLength(cursor);
        unchecked {
            return _word(der, cursor) >> (256 - 8 * (end - cursor));
        }
    }

    /// @notice An INTEGER that is not negative and has at most 256 bits.
    function unsigned(bytes calldata der, uint256 cursor, uint256 end)
        internal
        pure
        returns (uint256 value, uint256 next)
    {
        uint256 content;
        (content, next) = expect(der, cursor, end, INTEGER);
        if (content == next) revert Asn1_WrongLength(cursor);
        unchecked {
            uint256 lead = _word(der, content) >> 240; // what follows a single octet does not matter
            if (lead >= 0x8000) revert Asn1_WrongValue(cursor);
            if (lead < 0x100 && next - content > 1) {
                if (lead < 0x80) revert Asn1_WrongValue(cursor); // a zero that nothing calls for
                ++content;
            }
        }
        value = number(der, content, next);
    }

    /// @notice A Time of X.509, UTC, as a Unix second. Two-digit years are 1950 to 2049.
    function time(bytes calldata der, uint256 cursor, uint256 end) internal pure returns (uint40 second, uint256 next) {
        unchecked {
            uint8 tag;
            uint256 content;
            (tag, content, next) = read(der, cursor, end);
            uint256 year = 0;
            if (tag == UTC_TIME && next - content == 13) {
                year = _digits(der, content);
                year += year < 50 ? 2000 : 1900;
                content += 2;
            } else if (tag == GENERALIZED_TIME && next - content == 15) {
                year = 100 * _digits(der, content) + _digits(der, content + 2);
                content += 4;
            } else {
                revert Asn1_WrongTag(cursor, tag, UTC_TIME);
            }
            second = _second(der, content, year);
        }
    }

    /// @dev MMDDhhmmssZ. Before 1970 is 0.
    function _second(bytes calldata der, uint256 cursor, uint256 year) private pure returns (uint40) {
        unchecked {
            uint256 month = _digits(der, cursor);
            uint256 day = _digits(der, cursor + 2);
            uint256 hour = _digits(der, cursor + 4);
            uint256 minute = _digits(der, cursor + 6);
            uint256 second = _digits(der, cursor + 8);
            if (uint8(der[cursor + 10]) != 0x5a || month == 0 || month > 12 || day == 0) {
                revert Asn1_WrongValue(cursor);
            }
            if (day > _daysOf(month, year) || hour > 23 || minute > 59 || second > 59) revert Asn1_WrongValue(cursor);
            if (year < 1970) return 0;
            // The year begins in March here, so that the day that not every year has is its last.
            if (month < 3) --year;
            uint256 sinceMarch = (month + 9) % 12;
            uint256 dayOfYear = (153 * sinceMarch + 2) / 5 + day - 1;
            uint256 dayNumber = 365 * year + year / 4 - year / 100 + year / 400 + dayOfYear - 719468;
            // forge-lint: disable-next-line(unsafe-typecast)
            return uint40(((dayNumber * 24 + hour) * 60 + minute) * 60 + second); // the year has four digits
        }
    }

    function _daysOf(uint256 month, uint256 year) private pure returns (uint256) {
        if (month == 2) return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    }

    /// @dev Two decimal digits. The caller has checked the bounds.
    function _digits(bytes calldata der, uint256 cursor) private pure returns (uint256) {
        unchecked {
            uint256 pair = _word(der, cursor) >> 240;
            uint256 tens = (pair >> 8) - 0x30;
            uint256 ones = (pair & 0xff) - 0x30;
            if (tens > 9 || ones > 9) revert Asn1_WrongValue(cursor);
            return 10 * tens + ones;
        }
    }

    /// @dev 32 bytes from `cursor` on; those behind the end of `der` mean nothing.
    function _word(bytes calldata der, uint256 cursor) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(der.offset, cursor))
        }
    }
}
