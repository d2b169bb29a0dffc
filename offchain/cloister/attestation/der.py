"""The few elements of DER of which the extension of platform certificates is made."""

from __future__ import annotations

BOOLEAN, INTEGER, OCTETS, OBJECT_IDENTIFIER, ENUMERATED, SEQUENCE = 0x01, 0x02, 0x04, 0x06, 0x0A, 0x30


def element(tag: int, *content: bytes) -> bytes:
    """Tag, length and content of at most 65,535 bytes."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = 1 if len(body) < 0x100 else 2
    return bytes([tag, 0x80 + size]) + len(body).to_bytes(size) + body


def integer(value: int) -> bytes:
    """An INTEGER that is not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER such as 1.2.840.113741."""
    first, second, *others = (int(part) for part in dotted.split("."))
    content = bytearray([40 * first + second])
    for part in others:
        digits = [part & 0x7F]
        while part := part >> 7:
            digits.append(part & 0x7F | 0x80)
        content += bytes(reversed(digits))
    return element(OBJECT_IDENTIFIER, bytes(content))
