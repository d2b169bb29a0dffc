"""Montgomery arithmetic for numba: elements of a prime field as tuples of 64-bit limbs.

`arithmetic(modulus, limbs)` gives (mul, add, sub) as functions that compiled code can call. A value x stands for
x·2^(-64·limbs) mod the modulus. LLVM multiplies 64 by 64 bits into 128 in one instruction; numba alone cannot ask
for that. numba keeps what it compiled by the time stamp of the calling file: run `make clean` after a change here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WORD: Final = 64
_I64 = ir.IntType(WORD)
_I128 = ir.IntType(2 * WORD)

jit = numba.njit(cache=True, nogil=True)


def words(value: int, limbs: int) -> list[int]:
    """Little-endian 64-bit limbs."""
    return [(value >> WORD * i) & (2**WORD - 1) for i in range(limbs)]


def arithmetic(modulus: int, limbs: int) -> tuple[Any, Any, Any]:
    """(mul, add, sub) for a modulus that leaves the top bit of its limbs free."""
    assert modulus.bit_length() < WORD * limbs
    modulus_words = words(modulus, limbs)
    negated_inverse = -pow(modulus, -1, 2**WORD) % 2**WORD
    wide_type = ir.IntType(WORD * limbs)
    element = types.UniTuple(types.uint64, limbs)  # type: ignore[no-untyped-call]

    def unpacked(builder: Any, packed: Any) -> list[Any]:
        return [builder.extract_value(packed, i) for i in range(limbs)]

    def joined(builder: Any, parts: Sequence[Any]) -> Any:
        wide = builder.zext(parts[0], wide_type)
        for i, part in enumerate(parts[1:], start=1):
            wide = builder.or_(wide, builder.shl(builder.zext(part, wide_type), wide_type(WORD * i)))
        return wide

    def reduced(builder: Any, wide: Any) -> Any:
        """A value below twice the modulus, as the limbs of its residue."""
        less = builder.sub(wide, wide_type(modulus))
        residue = builder.select(builder.icmp_unsigned("<", wide, wide_type(modulus)), wide, less)
        parts = [builder.trunc(builder.lshr(residue, wide_type(WORD * i)), _I64) for i in range(limbs)]
        return cgutils.pack_array(builder, parts)  # type: ignore[no-untyped-call]

    @intrinsic
    def mul(_typing: Any, _a: Any, _b: Any) -> Any:
        """Coarsely integrated operand scanning; the free top bit makes a carry word unnecessary."""

        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            a, b = (unpacked(builder, arg) for arg in args)
            zero = _I64(0)
            t = [zero] * limbs
            for i in range(limbs):
                carry = zero
                for j in range(limbs):
                    t[j], carry = _multiply_add(builder, a[j], b[i], t[j], carry)
                top = carry
                m = builder.mul(t[0], _I64(negated_inverse))
                _, carry = _multiply_add(builder, m, _I64(modulus_words[0]), t[0], zero)
                for j in range(1, limbs):
                    t[j - 1], carry = _multiply_add(builder, m, _I64(modulus_words[j]), t[j], carry)
                t[limbs - 1] = builder.add(carry, top)
            return reduced(builder, joined(builder, t))

        return element(element, element), codegen

    @intrinsic
    def add(_typing: Any, _a: Any, _b: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            a, b = (joined(builder, unpacked(builder, arg)) for arg in args)
            return reduced(builder, builder.add(a, b))

        return element(element, element), codegen

    @intrinsic
    def sub(_typing: Any, _a: Any, _b: Any) -> Any:
        def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            a, b = (joined(builder, unpacked(builder, arg)) for arg in args)
            return reduced(builder, builder.sub(builder.add(a, wide_type(modulus)), b))

        return element(element, element), codegen

    return mul, add, sub


def _multiply_add(builder: Any, a: Any, b: Any, c: Any, d: Any) -> tuple[Any, Any]:
    """a·b + c + d as (low, high): it cannot overflow 128 bits."""
    total = builder.mul(builder.zext(a, _I128), builder.zext(b, _I128))
    total = builder.add(total, builder.zext(c, _I128))
    total = builder.add(total, builder.zext(d, _I128))
    return builder.trunc(total, _I64), builder.trunc(builder.lshr(total, _I128(WORD)), _I64)
