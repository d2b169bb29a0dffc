"""Frames over a stream socket: a 4-byte length, then so many bytes, at most 4 MiB (docs/spec/enclaves.md)."""

from __future__ import annotations

import socket
import time
from typing import Final

from cloister.enclave.errors import ChannelClosed, FrameError

MAX_FRAME: Final = 4 << 20
_HEADER: Final = 4
_FIRST_FRAME: Final = 1 << 16


class Channel:
    """One end of the socket. Not for several threads at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._frame = bytearray(_FIRST_FRAME)

    def send(self, payload: bytes, timeout: float | None = None) -> None:
        """Send one frame; `timeout` in seconds.

        Raises FrameError for a payload that is empty or longer than a frame, or that nobody takes in time, and
        ChannelClosed when the other side is gone.
        """
        if not 0 < len(payload) <= MAX_FRAME:
            raise FrameError(f"A frame of {len(payload):,} bytes; 1 to {MAX_FRAME:,} are possible.")
        try:
            self._limit(timeout)
            header = len(payload).to_bytes(_HEADER)
            if len(payload) < _FIRST_FRAME:
                self._socket.sendall(header + payload)  # at once, so that the other side is woken once
            else:
                self._socket.sendall(header)
                self._socket.sendall(payload)
        except TimeoutError:
            raise FrameError("The other side takes no frame.", "It hangs or is overloaded.") from None
        except OSError as error:
            raise _closed() from error

    def receive(self, timeout: float | None = None) -> memoryview:
        """The payload of the next frame, in memory that the one after it is written to; `timeout` in seconds for all.

        Raises FrameError for a frame that is empty, too long, cut or late, and ChannelClosed at the end of the stream.
        No more memory is taken than the longest frame needs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        length = int.from_bytes(self._exactly(_HEADER, deadline, between_frames=True))
        if not 0 < length <= MAX_FRAME:
            raise FrameError(f"A frame announces {length:,} bytes; 1 to {MAX_FRAME:,} are possible.")
        return self._exactly(length, deadline, between_frames=False)

    def close(self) -> None:
        """Close this end; the other side notices."""
        self._socket.close()

    def _limit(self, seconds: float | None) -> None:
        # The enclave, which never sets a limit, may not do the system call behind it.
        if seconds != self._socket.gettimeout():
            self._socket.settimeout(seconds)

    def _exactly(self, length: int, deadline: float | None, *, between_frames: bool) -> memoryview:
        if length > len(self._frame):
            self._frame = bytearray(length)
        view, got = memoryview(self._frame)[:length], 0
        while got < length:
            try:
                self._limit(None if deadline is None else max(deadline - time.monotonic(), 1e-6))
                count = self._socket.recv_into(view[got:])
            except TimeoutError:
                raise FrameError("The other side does not answer in time.", "It hangs or is overloaded.") from None
            except OSError as error:
                raise _closed() from error
            if count == 0:
                if between_frames and got == 0:
                    raise _closed()
                raise FrameError(f"A frame ends after {got:,} of {length:,} bytes.")
            got += count
        return view


def _closed() -> ChannelClosed:
    return ChannelClosed("The other side of the enclave's socket is closed.", "Its process has ended: see its log.")
