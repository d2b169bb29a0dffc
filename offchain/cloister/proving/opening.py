"""The prover's side of the inner-product argument: docs/spec/proofs.md, section 7."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cloister.proving import field
from cloister.proving.circuit import Circuit
from cloister.proving.claims import Claims, Committed
from cloister.proving.curve import encode_point
from cloister.proving.field import Vector
from cloister.proving.functionals import Axis, Base, Eq, Part
from cloister.proving.messages import Opening, encode_scalars
from cloister.proving.scalars import R, inverse
from cloister.proving.transcript import Transcript
from cloister.proving.vectors import CommittedVector, commit
from cloister.proving.verifier import Chunk, chunk_evaluations, draw_z

Vectors = Mapping[Committed, CommittedVector]


def open_claims(transcript: Transcript, circuit: Circuit, checked: Claims, vectors: Vectors) -> Opening:
    """Show Σ <vector, functional> = total. Steps 4 to 7."""
    parts = checked.parts(circuit.chunk_bits)
    s = _cross_terms(parts, vectors, circuit.chunk)
    s_point = commit(s)
    z = draw_z(transcript, s_point)
    z_inverse = inverse(z)

    a = _combination(chunk_evaluations(parts, z_inverse), vectors, circuit.chunk)
    a[: len(s)] = field.sub(a[: len(s)], field.scaled(s, z))
    e = _combination(chunk_evaluations(parts, z), vectors, circuit.chunk)
    e[: len(s)] = field.sub(e[: len(s)], field.scaled(s, z_inverse))
    a1 = field.evaluate(a, z)
    transcript.absorb(encode_scalars((z_inverse, a1)))
    gamma = transcript.challenge()

    w = field.add(field.divide(a, z), field.scaled(field.divide(e, z_inverse), gamma))
    w_point = commit(w)
    transcript.absorb(encode_point(w_point))
    omega = transcript.challenge()
    left, right = (omega - z_inverse) % R, gamma * (omega - z) % R
    last = field.add(field.scaled(a, left), field.scaled(e, right))
    last[: len(w)] = field.sub(last[: len(w)], field.scaled(w, (omega - z) * (omega - z_inverse) % R))
    # The constants of (A - a1) and (E - e1) do not matter to a quotient.
    return Opening(s_point, z_inverse, a1, w_point, commit(field.divide(last, omega)))


def dense(base: Base, chunk: int) -> Vector:
    """The weights of a base, written out: D coefficients."""
    weights = field.constant(1)
    for axis in base.axes:
        weights = field.outer(_axis(axis), weights)
    out = field.zeros(chunk)
    out[base.shift : base.shift + len(weights)] = weights
    return out


def _axis(axis: Axis) -> Vector:
    out = field.zeros(1 << axis.bits)
    if isinstance(axis, Eq):
        out[: axis.length] = field.eq_table(axis.point)[: axis.length]
    else:
        values = axis.values()
        out[: len(values)] = field.vector([value % R for value in values])
    return out


def _cross_terms(parts: list[tuple[Committed, Part]], vectors: Vectors, chunk: int) -> Vector:
    """S: coefficient i is that of X^(i+1) in Σ_t P_t(X)·U_t(1/X) + P_t(1/X)·U_t(X)."""
    single: dict[Chunk, Vector] = {}
    products: list[tuple[Vector, Vector]] = []
    for name, part in parts:
        weights = dense(part.base, chunk)
        if len(part.chunks) > 1:
            products.append((vectors[name].folded(part.chunks, part.scalars), weights))
            continue
        key = (name, part.chunks[0])
        weights = field.scaled(weights, part.scalars[0])
        single[key] = field.add(single[key], weights) if key in single else weights
    products += [(vectors[name].folded((index,), (1,)), weights) for (name, index), weights in single.items()]

    # P has D + 1 coefficients and U reversed has D, so 2D transform points hold their product whole. The
    # product's coefficient D - 1 + j is that of X^j in P(X)·U(1/X).
    total = field.zeros(2 * chunk)
    for p, u in products:
        reversed_u = np.ascontiguousarray(u[::-1])
        total = field.add(total, field.mul(field.transform(p, 2 * chunk), field.transform(reversed_u, 2 * chunk)))
    product = field.transform(total, 2 * chunk, inverse=True)
    upper, lower = product[chunk:], np.ascontiguousarray(product[: chunk - 1][::-1])
    out = upper.copy()
    out[: chunk - 1] = field.add(out[: chunk - 1], lower)
    return out


def _combination(factors: Mapping[Chunk, int], vectors: Vectors, chunk: int) -> Vector:
    """Σ factor·P_t: D + 1 coefficients."""
    total = field.zeros(chunk + 1)
    for name, committed in vectors.items():
        chosen = [(index, factor) for (owner, index), factor in factors.items() if owner == name]
        if chosen:
            chunks, scalars = zip(*chosen, strict=True)
            total = field.add(total, committed.folded(chunks, scalars))
    return total
