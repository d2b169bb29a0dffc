"""Random damage to accepted proofs: none may be accepted, and nothing may go wrong but the proof.

python tests/unit/proving/mutations.py --count 100000 --seed 1
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from reference.matrix_claims import BITS, MASKED, PUBLIC, W, X, Y
from scenes import IMAGE, KINDS, MLP, RANGE, R, fast_proof, repaired, tiny, tiny_range
from support.plain_prover import Prover, Scene, encoded

from cloister.proving import InvalidProof, ceremony, verify
from cloister.proving.curve import INFINITY, decode_point

POINT, SCALAR, INTEGER, BYTES = "point", "scalar", "integer", "bytes"


@dataclass(frozen=True)
class Piece:
    """One number or point of a proof file."""

    kind: str
    start: int
    end: int
    step: int
    """Of section 8's table; 0 for the statement."""


@dataclass(frozen=True)
class Base:
    """A statement, and two proofs of it."""

    name: str
    scene: Scene
    proof: bytes
    other: bytes
    pieces: tuple[Piece, ...]

    def of(self, kind: str) -> list[Piece]:
        return [piece for piece in self.pieces if piece.kind == kind]


def layout(scene: Scene) -> Iterator[tuple[str, int, int]]:
    """(kind, bytes, step) of everything in a proof file, in order."""
    shape, circuit = scene.shape, scene.circuit
    yield from ((BYTES, 1, 0) for _ in range(6 + len(scene.descriptor)))
    yield from ((POINT, 128, 0) for _ in range(shape.chunks(W) + shape.chunks(X)))
    if shape.input_kind == PUBLIC:
        yield from ((INTEGER, 4, 0) for _ in shape.real(0))
    if circuit.stages:
        yield from ((POINT, 128, 0) for _ in range(shape.chunks(Y)))
        if shape.output_kind == PUBLIC:
            yield from ((INTEGER, 4, 0) for _ in shape.real(-1))
        if shape.output_kind == MASKED:
            yield from ((SCALAR, 32, 0) for _ in shape.real(-1))
    yield from ((POINT, 128, 1) for _ in range(shape.chunks(BITS) + 1))
    for i, degree in enumerate(shape.degrees):
        yield from ((SCALAR, 32, 2 + i) for _ in range(degree))
    values = circuit.B + 3 * bool(circuit.stages) + (shape.input_kind != PUBLIC) + (shape.output_kind != PUBLIC)
    n = shape.n
    yield from ((SCALAR, 32, n + 2) for _ in range(values))
    yield POINT, 128, n + 3
    yield from ((SCALAR, 32, n + 4), (SCALAR, 32, n + 4))
    yield from ((POINT, 128, n + 5), (POINT, 128, n + 6))


def base(name: str, scene: Scene) -> Base:
    pieces, at = [], 0
    for kind, size, step in layout(scene):
        pieces.append(Piece(kind, at, at + size, step))
        at += size
    proofs = [fast_proof(Prover(scene, seed=0)) for _ in range(2)]
    assert {len(proof) for proof in proofs} == {at}
    return Base(name, scene, *proofs, tuple(pieces))


SCENES = {
    **{f"mlp {i} {o}": MLP.given(input_kind=i, output_kind=o) for i, o in KINDS},
    "another mlp": MLP.given(inputs=((0, 1, 2), (3, 4, 5))),
    "two instances": tiny(1, 1, 1, 2),
    "one variable": tiny(1),
    "range of two": tiny_range(),
    "image": IMAGE,
    "range": RANGE,
}
WEIGHTS = [2, 2, 2, 2, 2, 2, 2, 12, 12, 12, 1, 1]  # the small ones are fast


@cache
def bases() -> tuple[Base, ...]:
    return tuple(base(name, scene) for name, scene in SCENES.items())


class Mutator:
    """Makes mutants: each method damages the proof of one base."""

    def __init__(self, seed: object) -> None:
        self.rng = random.Random(f"mutations {seed}")
        self.bases = bases()
        self.well_formed = [
            self.replaced_scalar, self.replaced_scalar, self.replaced_point, self.replaced_point, self.swapped,
            self.spliced, self.several, self.replaced_integer,
        ]  # fmt: skip
        self.crude = [self.flipped, self.words_swapped, self.cut, self.overwritten]

    def mutant(self) -> tuple[str, bytes, bytes]:
        """(what was done, the damaged proof, its context)."""
        while True:
            of = self.rng.choices(self.bases, WEIGHTS)[0]
            make = self.rng.choice(self.well_formed if self.rng.random() < 0.7 else self.crude)
            damaged = make(of)
            if damaged is not None and make in self.well_formed and self.rng.random() < 0.9:
                damaged = repaired(damaged, of.scene.context)
            if damaged is not None and damaged not in (of.proof, of.other):
                return f"{of.name}: {make.__name__}", damaged, of.scene.context

    # ------------------------------------------------------------ well formed

    def replaced_scalar(self, of: Base) -> bytes:
        piece = self.rng.choice(of.of(SCALAR))
        return patched(of.proof, piece.start, self.scalar(of, piece))

    def scalar(self, of: Base, piece: Piece) -> bytes:
        value = int.from_bytes(of.proof[piece.start : piece.end], "big")
        another = self.rng.choice(of.of(SCALAR))
        new = self.rng.choice(
            [
                0, 1, R - 1, -value, value + 1, value - 1, 2 * value, pow(value, -1, R) if value else 1,
                value + (1 << self.rng.randrange(255)), self.rng.randrange(R),
                int.from_bytes(of.proof[another.start : another.end], "big"),
            ]
        )  # fmt: skip
        return (new % R).to_bytes(32, "big")

    def replaced_point(self, of: Base) -> bytes:
        piece = self.rng.choice(of.of(POINT))
        return patched(of.proof, piece.start, self.point(of, piece))

    def point(self, of: Base, piece: Piece) -> bytes:
        point = decode_point(of.proof[piece.start : piece.end])
        another = self.rng.choice(of.of(POINT))
        power = ceremony.powers()[self.rng.choice([0, 1, 127, 128, 129, 4095, self.rng.randrange(4096)])]
        new = self.rng.choice(
            [INFINITY, -point, point + point, point + power, point - power, power,
             decode_point(of.proof[another.start : another.end])]
        )  # fmt: skip
        return encoded([new])

    def replaced_integer(self, of: Base) -> bytes | None:
        integers = of.of(INTEGER)
        if not integers:
            return None
        piece = self.rng.choice(integers)
        value = int.from_bytes(of.proof[piece.start : piece.end], "big", signed=True)
        new = self.rng.choice([value + 1, value - 1, -value, 0, self.rng.randint(-40, 40)])
        return patched(of.proof, piece.start, new.to_bytes(4, "big", signed=True))

    def swapped(self, of: Base) -> bytes:
        """Two numbers, or two points."""
        kind = self.rng.choice([SCALAR, POINT, POINT])
        one, two = self.rng.sample(of.of(kind), 2)
        data = patched(of.proof, one.start, of.proof[two.start : two.end])
        return patched(data, two.start, of.proof[one.start : one.end])

    def spliced(self, of: Base) -> bytes:
        """Messages of some steps from another proof, of the same statement or of another one of the same shape."""
        alike = (b for b in self.bases if b is not of and [p.end for p in b.pieces] == [p.end for p in of.pieces])
        donors = [of.other, *(b.proof for b in alike)]
        donor, last = self.rng.choice(donors), of.pieces[-1].step
        first = self.rng.randint(0, last)
        steps = range(first, self.rng.randint(first, last) + 1)
        places = [piece for piece in of.pieces if piece.step in steps and (piece.step or piece.kind != BYTES)]
        if self.rng.random() < 0.3:
            places = [self.rng.choice(places)] if places else places
        data = of.proof
        for piece in places:
            data = patched(data, piece.start, donor[piece.start : piece.end])
        return of.proof if data in [b.proof for b in self.bases] else data

    def several(self, of: Base) -> bytes:
        """Two to four numbers or points at once, sometimes by amounts that add up to nothing."""
        if self.rng.random() < 0.4:
            one, two = self.rng.sample(of.of(SCALAR), 2)
            shift, data = self.rng.choice([1, self.rng.randrange(R)]), of.proof
            for piece, sign in ((one, 1), (two, -1)):
                value = int.from_bytes(of.proof[piece.start : piece.end], "big") + sign * shift
                data = patched(data, piece.start, (value % R).to_bytes(32, "big"))
            return data
        data = of.proof
        for _ in range(self.rng.randint(2, 4)):
            piece = self.rng.choice(of.of(SCALAR) + 3 * of.of(POINT))
            data = patched(data, piece.start, (self.scalar if piece.kind == SCALAR else self.point)(of, piece))
        return data

    # ------------------------------------------------------------ crude

    def flipped(self, of: Base) -> bytes:
        data = bytearray(of.proof)
        for _ in range(self.rng.randint(1, 3)):
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        return bytes(data)

    def words_swapped(self, of: Base) -> bytes:
        one, two = (32 * self.rng.randrange(len(of.proof) // 32) for _ in range(2))
        data = patched(of.proof, one, of.proof[two : two + 32])
        return patched(data, two, of.proof[one : one + 32])

    def cut(self, of: Base) -> bytes:
        if self.rng.random() < 0.3:
            return of.proof + self.rng.choice([b"\0", bytes(32), bytes(128), of.proof[-128:]])
        at, size = self.rng.randrange(len(of.proof)), self.rng.choice([1, 32, 128, len(of.proof)])
        return of.proof[:at] + of.proof[at + size :]

    def overwritten(self, of: Base) -> bytes:
        at, size = self.rng.randrange(len(of.proof)), self.rng.choice([1, 2, 4, 32])
        new = self.rng.choice([bytes(size), b"\xff" * size, self.rng.randbytes(size)])
        return patched(of.proof, at, new)[: len(of.proof)]


def patched(data: bytes, at: int, part: bytes) -> bytes:
    return data[:at] + part + data[at + len(part) :]


@dataclass
class Verdicts:
    """What became of the mutants."""

    total: int
    read: int
    """Mutants that got as far as the last check."""
    accepted: list[tuple[str, bytes]]
    crashed: list[tuple[str, Exception]]
    kinds: Counter[str]


def campaign(count: int, seed: object, report: int = 0) -> Verdicts:
    """So many mutants, judged by the fast verifier."""
    mutator = Mutator(seed)
    found = Verdicts(0, 0, [], [], Counter())
    for of in mutator.bases:
        for proof in (of.proof, of.other):
            verify(proof, of.scene.context)
    while found.total < count:
        what, damaged, context = mutator.mutant()
        found.total += 1
        found.kinds[what.split(": ")[1]] += 1
        try:
            verify(damaged, context)
        except InvalidProof as error:
            found.read += "does not hold" in str(error)
        except Exception as error:  # noqa: BLE001  a crash is what this looks for
            found.crashed.append((what, error))
        else:
            found.accepted.append((what, damaged))
        if report and found.total % report == 0:
            print(f"{found.total} mutants, {len(found.accepted)} accepted, {len(found.crashed)} crashes", flush=True)
    return found


def main() -> int:
    """Returns 1 if any mutant was accepted or crashed the verifier."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    found = campaign(options.count, options.seed, report=10_000)
    print(f"seed {options.seed}: {found.total} mutants, {found.read} of them well formed to the last check")
    print(", ".join(f"{kind} {number}" for kind, number in sorted(found.kinds.items())))
    for what, data in found.accepted:
        print(f"ACCEPTED {what}: {data.hex()}")
    for what, error in found.crashed:
        print(f"CRASHED {what}: {error!r}")
    return 1 if found.accepted or found.crashed else 0


if __name__ == "__main__":
    sys.exit(main())
