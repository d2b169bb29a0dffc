"""Evidence by the security module of an AWS Nitro enclave."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2

from cloister.attestation.providers.provider import ProviderFailed, require_report_data

DEVICE = Path("/dev/nsm")
_MAX_ANSWER = 0x3000


class _Buffer(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):
    _fields_ = (("question", _Buffer), ("answer", _Buffer))


_REQUEST = 3 << 30 | ctypes.sizeof(_Message) << 16 | 0x0A << 8
"""Reads and writes one message; 0x0A is the driver's letter."""


def ask_device(question: bytes, device: Path = DEVICE) -> bytes:
    """One exchange with the driver. Raises OSError."""
    asked = ctypes.create_string_buffer(question, len(question))
    answered = ctypes.create_string_buffer(_MAX_ANSWER)
    message = _Message(
        _Buffer(ctypes.addressof(asked), len(question)), _Buffer(ctypes.addressof(answered), _MAX_ANSWER)
    )
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _REQUEST, message)
    finally:
        os.close(descriptor)
    return answered.raw[: message.answer.size]


class NitroProvider:
    """Asks the security module by `ask`: a CBOR question gives a CBOR answer."""

    kind = "nitro"
    name = "Nitro security module"

    def __init__(self, ask: Callable[[bytes], bytes] = ask_device) -> None:
        self._ask = ask

    def evidence(self, report_data: bytes) -> bytes:
        """A document with the report data as user data. Raises InvalidInput and ProviderFailed."""
        require_report_data(report_data)
        question = {"Attestation": {"user_data": report_data, "nonce": None, "public_key": None}}
        try:
            answer: Any = cbor2.loads(self._ask(cbor2.dumps(question)))
            document = answer["Attestation"]["document"]
        except OSError as error:
            raise ProviderFailed(
                f"The security module gives no answer: {error.strerror}.", "Only a Nitro enclave has one."
            ) from error
        except (cbor2.CBORDecodeError, ValueError, TypeError, KeyError) as error:
            raise ProviderFailed("The security module's answer has no document.") from error
        if not isinstance(document, bytes):
            raise ProviderFailed("The security module's document is no byte string.")
        return document

    def collateral(self) -> bytes | None:
        """None: a document has its certificates with it."""
        return None
