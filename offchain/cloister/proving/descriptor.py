"""Circuits from bytes: docs/spec/proofs.md, sections 4 and 9."""

from __future__ import annotations

import struct

from cloister.proving.circuit import (
    CONV,
    DENSE,
    MAX_STAGES,
    PUBLIC,
    VERSION,
    Block,
    Circuit,
    Stage,
    Term,
    Window,
    bits_for,
)
from cloister.proving.errors import InvalidCircuit
from cloister.proving.wellformed import checked


def range_circuit(chunk_bits: int, chunks: int) -> Circuit:
    """The range statement of section 9 for a W of this many chunks. Raises InvalidCircuit."""
    block = Block((chunks, 1, 1 << chunk_bits), 0)
    return checked(Circuit(chunk_bits, 16, 1, 15, bits_for(chunks) + chunk_bits, 0, (block,), ()))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        if self._at + size > len(self._data):
            raise InvalidCircuit("The circuit descriptor is cut short.", "Fetch it again.")
        values = struct.unpack_from(form, self._data, self._at)
        self._at += size
        return values

    def window(self) -> Window:
        a, b, c, d, e, f = self.take(">6B")
        return Window((a, b), (c, d), (e, f))

    def term(self) -> Term:
        source, kind, before, after = self.take(">4B")
        coefficient, offset, window = 1, 0, None
        if kind == PUBLIC:
            (coefficient,) = self.take(">i")
        elif kind in (DENSE, CONV):
            (offset,) = self.take(">I")
            window = self.window() if kind == CONV else None
        else:
            raise InvalidCircuit(f"The circuit descriptor has a term of kind {kind}.", "Fetch it again.")
        befores = tuple(self.window() for _ in range(before))
        afters = tuple(self.window() for _ in range(after))
        return Term(source, kind, befores, afters, coefficient, offset, window)

    def stage(self) -> Stage:
        bias_offset, bias_kind, count = self.take(">IBB")
        return Stage(bias_offset, bias_kind, tuple(self.term() for _ in range(count)))

    def block(self) -> Block:
        channels, rows, columns, offset = self.take(">HHHI")
        return Block((channels, rows, columns), offset)

    def end(self) -> None:
        if self._at != len(self._data):
            raise InvalidCircuit("The circuit descriptor has bytes behind its end.", "Fetch it again.")


def decode(data: bytes) -> Circuit:
    """The circuit of a descriptor. Raises InvalidCircuit for anything that PROOF-1 does not allow."""
    reader = _Reader(data)
    version, d, bits, s, t, m, stages, zero, chunks = reader.take(">8BI")
    if version != VERSION or zero != 0 or stages > MAX_STAGES:
        raise InvalidCircuit(f"The circuit descriptor has version {version}, not {VERSION}.", "Update Cloister.")
    blocks = tuple(reader.block() for _ in range(stages + 1))
    wiring = tuple(reader.stage() for _ in range(stages))
    reader.end()
    return checked(Circuit(d, bits, s, t, m, chunks, blocks, wiring))
