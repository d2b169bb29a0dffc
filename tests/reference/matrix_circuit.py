"""Circuits of docs/spec/proofs.md, section 4: the descriptor, its rules, and the linear map entry by entry."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

from .registry import Refused, require

__all__ = ["Block", "Circuit", "Entry", "Reader", "Refused", "Stage", "Term", "Window", "bits", "parse_descriptor"]

PUBLIC, DENSE, CONV = range(3)  # kinds of terms
PER_CHANNEL, PER_ENTRY = range(2)  # kinds of biases

Place = tuple[int, int]  # row and column, of an entry or of an extent


def bits(count: int) -> int:
    """ceil(log2 count): how many index bits `count` things take."""
    return (count - 1).bit_length()


class Reader:
    """Takes big-endian fields from the front of some bytes, and refuses too few and too many."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data, self.what = data, what

    def take(self, size: int) -> bytes:
        require(len(self.data) >= size, f"{self.what}: too short")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def finish(self) -> None:
        require(not self.data, f"{self.what}: too long")


@dataclass(frozen=True)
class Window:
    """Kernel, stride and padding of a pool or a convolution, each for rows and for columns."""

    kernel: Place
    stride: Place
    padding: Place

    def leaves(self, size: Place) -> Place:
        """The extents behind the window."""
        left = []
        for extent, kernel, stride, padding in zip(size, self.kernel, self.stride, self.padding, strict=True):
            require(kernel >= 1 and stride >= 1, "PROOF-1: kernels and strides")
            require(extent + 2 * padding >= kernel, "PROOF-1: a window that does not fit")
            left.append((extent + 2 * padding - kernel) // stride + 1)
        return left[0], left[1]

    def reads(self, place: Place, size: Place) -> Iterator[tuple[Place, Place]]:
        """Which places of an input of `size` the output at `place` reads, and through which tap of the kernel."""
        for tap in product(range(self.kernel[0]), range(self.kernel[1])):
            row, column = (self.stride[i] * place[i] + tap[i] - self.padding[i] for i in range(2))
            if 0 <= row < size[0] and 0 <= column < size[1]:
                yield (row, column), tap


@dataclass(frozen=True)
class Block:
    channels: int
    rows: int
    columns: int
    offset: int

    @property
    def size(self) -> Place:
        return self.rows, self.columns

    @property
    def bits(self) -> int:
        """e of section 4."""
        return bits(self.channels) + bits(self.rows) + bits(self.columns)

    def inside(self, channel: int, row: int, column: int) -> int:
        """The position of an entry inside the block."""
        return (channel * 2 ** bits(self.rows) + row) * 2 ** bits(self.columns) + column

    def entries(self) -> Iterator[tuple[int, int, int]]:
        """Real entries, row-major."""
        return product(range(self.channels), range(self.rows), range(self.columns))

    @property
    def last(self) -> int:
        """The position of the last real entry inside the block."""
        return self.inside(self.channels - 1, self.rows - 1, self.columns - 1)

    def positions(self) -> list[int]:
        """Positions of real entries inside the block, row-major."""
        return [self.inside(*entry) for entry in self.entries()]


@dataclass(frozen=True)
class Term:
    source: int
    kind: int
    coefficient: int  # of a public term
    weights: int  # offset of a learned term's weights
    window: Window | None  # of a convolution
    before: list[Window]
    after: list[Window]

    def sizes(self, size: Place) -> tuple[list[Place], list[Place]]:
        """Extents before, between and behind the pools-before; likewise from the map on for the pools-after."""
        before = [size]
        for pool in self.before:
            before.append(pool.leaves(before[-1]))
        after = [self.window.leaves(before[-1]) if self.window else before[-1]]
        for pool in self.after:
            after.append(pool.leaves(after[-1]))
        return before, after


@dataclass(frozen=True)
class Stage:
    bias: int
    bias_kind: int
    terms: list[Term]


@dataclass(frozen=True)
class Entry:
    """`coefficient`, times the weight if there is one, at (row, column) of M; positions of the 2^m."""

    row: int
    column: int
    weight: int | None
    coefficient: int


@dataclass(frozen=True)
class Circuit:
    d: int
    B: int
    s: int
    t: int
    m: int
    chunks: int
    blocks: list[Block]
    stages: list[Stage]

    @property
    def D(self) -> int:  # noqa: N802  the page's name
        return 2**self.d

    @property
    def sigma(self) -> int:
        return self.B - 1 - self.t

    def term_entries(self, stage: int, term: Term) -> Iterator[Entry]:
        """What one term of `stage` (from 1) adds to M."""
        source, target = self.blocks[term.source], self.blocks[stage]
        before, after = term.sizes(source.size)
        pulled = {place: pull_back(term.before, before, place) for place in places(before[-1])}
        inner = Block(source.channels, *before[-1], 0)  # what the map reads
        for channel, row, column in target.entries():
            at = target.offset + target.inside(channel, row, column)
            for place, count in pull_back(term.after, after, (row, column)).items():
                for c, read, weight in self._map_reads(term, target, inner, (channel, *place)):
                    for (y, x), times in pulled[read].items():
                        factor = count * times * (term.coefficient if term.kind == PUBLIC else 1)
                        yield Entry(at, source.offset + source.inside(c, y, x), weight, factor)

    @staticmethod
    def _map_reads(
        term: Term, target: Block, inner: Block, out: tuple[int, int, int]
    ) -> Iterator[tuple[int, Place, int | None]]:
        """(channel, place, index of the weight) for everything that entry `out` of the map reads."""
        channel, row, column = out
        if term.kind == PUBLIC:
            yield channel, (row, column), None
        elif term.kind == DENSE:
            for c, y, x in inner.entries():
                index = target.inside(channel, row, column) * 2**inner.bits + inner.inside(c, y, x)
                yield c, (y, x), term.weights + index
        else:
            kernel = term.window.kernel
            for c in range(inner.channels):
                for place, (dy, dx) in term.window.reads((row, column), inner.size):
                    index = channel * 2 ** bits(inner.channels) + c
                    index = (index * 2 ** bits(kernel[0]) + dy) * 2 ** bits(kernel[1]) + dx
                    yield c, place, term.weights + index


def places(size: Place) -> Iterator[Place]:
    return product(range(size[0]), range(size[1]))


def pull_back(pools: list[Window], sizes: list[Place], place: Place) -> Counter[Place]:
    """How often each place before `pools` is summed into `place` behind them; sizes[i] is what pool i reads."""
    count = Counter({place: 1})
    for pool, size in reversed(list(zip(pools, sizes[:-1], strict=True))):
        earlier: Counter[Place] = Counter()
        for at, times in count.items():
            for read, _ in pool.reads(at, size):
                earlier[read] += times
        count = earlier
    return count


# ---------------------------------------------------------------- the descriptor


def parse_descriptor(descriptor: bytes) -> Circuit:
    """PROOF-1: the circuit, if every rule holds."""
    reader = Reader(descriptor, "PROOF-1")
    version, d, b, s, t, m, stage_count, zero = (reader.number(1) for _ in range(8))
    chunks = reader.number(4)
    require(version == 2 and zero == 0, "PROOF-1: version")
    require(stage_count <= 64, "PROOF-1: stages")
    require(chunks <= 2**20, "PROOF-1: chunks")
    blocks = [Block(*(reader.number(size) for size in (2, 2, 2, 4))) for _ in range(stage_count + 1)]
    stages = [_read_stage(reader) for _ in range(stage_count)]
    reader.finish()
    require(7 <= d <= 11, "PROOF-1: d")
    require(2 <= b <= 32, "PROOF-1: B")
    require(1 <= s <= b - 1, "PROOF-1: s")
    require(1 <= t <= b - 1, "PROOF-1: t")
    require(1 <= m <= 20, "PROOF-1: m")
    require((stage_count == 0) == (chunks == 0), "PROOF-1: chunks without stages, or stages without chunks")
    require(stage_count >= 1 or t == b - 1, "PROOF-1: low bits of an input that no claim holds down")
    circuit = Circuit(d, b, s, t, m, chunks, blocks, stages)
    _check_blocks(circuit)
    for index, stage in enumerate(stages, start=1):
        _check_stage(circuit, index, stage)
    return circuit


def _read_stage(reader: Reader) -> Stage:
    bias, bias_kind, count = reader.number(4), reader.number(1), reader.number(1)
    return Stage(bias, bias_kind, [_read_term(reader) for _ in range(count)])


def _read_term(reader: Reader) -> Term:
    source, kind, before, after = (reader.number(1) for _ in range(4))
    require(kind in {PUBLIC, DENSE, CONV}, "PROOF-1: kinds of terms")
    coefficient = reader.number(4, signed=True) if kind == PUBLIC else 0
    weights = 0 if kind == PUBLIC else reader.number(4)
    window = _read_window(reader) if kind == CONV else None
    pools = [_read_window(reader) for _ in range(before + after)]
    return Term(source, kind, coefficient, weights, window, pools[:before], pools[before:])


def _read_window(reader: Reader) -> Window:
    kernel, stride, padding = ((reader.number(1), reader.number(1)) for _ in range(3))
    return Window(kernel, stride, padding)


def _check_blocks(circuit: Circuit) -> None:
    for block in circuit.blocks:
        require(min(block.channels, block.rows, block.columns) >= 1, "PROOF-1: extents")
        require(block.offset % 2**block.bits == 0, "PROOF-1: a block out of line")
        require(block.offset + 2**block.bits <= 2**circuit.m, "PROOF-1: a block outside")
    for one, other in combinations(circuit.blocks, 2):
        apart = one.offset + 2**one.bits <= other.offset or other.offset + 2**other.bits <= one.offset
        require(apart, "PROOF-1: blocks overlap")


def _check_stage(circuit: Circuit, index: int, stage: Stage) -> None:
    target = circuit.blocks[index]
    require(1 <= len(stage.terms) <= 16, "PROOF-1: number of terms")
    require(stage.bias_kind in {PER_CHANNEL, PER_ENTRY}, "PROOF-1: kinds of biases")
    per_channel = stage.bias_kind == PER_CHANNEL
    last = target.channels - 1 if per_channel else target.last
    _check_weights(circuit, stage.bias, 1 + (bits(target.channels) if per_channel else target.bits), 2 * last + 1)
    for term in stage.terms:
        require(term.source < index, "PROOF-1: a source that comes later")
        _check_term(circuit, target, term)


def _check_term(circuit: Circuit, target: Block, term: Term) -> None:
    source = circuit.blocks[term.source]
    for pool in term.before + term.after:
        require(all(2 * pool.padding[i] <= pool.kernel[i] for i in range(2)), "PROOF-1: a pool's padding")
    require(len(term.before) + len(term.after) <= 4, "PROOF-1: number of pools")
    before, after = term.sizes(source.size)
    inner = Block(source.channels, *before[-1], 0)
    if term.kind == DENSE:
        require(not term.after, "PROOF-1: a pool after a dense map")
        require(not term.before or bits(inner.rows) + bits(inner.columns) <= circuit.d, "PROOF-1: dense behind pools")
        last = target.last * 2**inner.bits + inner.last
        _check_weights(circuit, term.weights, target.bits + inner.bits, last)
        return
    require(after[-1] == target.size, "PROOF-1: a chain that ends in another shape")
    if term.kind == PUBLIC:
        require(source.channels == target.channels, "PROOF-1: a chain that ends with other channels")
        return
    rows, columns = term.window.kernel
    require(bits(rows) + bits(columns) <= circuit.d, "PROOF-1: a kernel larger than a chunk")
    one = Block(source.channels, rows, columns, 0)  # the filters of one output channel
    last = (target.channels - 1) * 2**one.bits + one.last
    _check_weights(circuit, term.weights, bits(target.channels) + one.bits, last)


def _check_weights(circuit: Circuit, offset: int, block_bits: int, last: int) -> None:
    require(offset % min(circuit.D, 2**block_bits) == 0, "PROOF-1: weights out of line")
    require(offset + last < circuit.chunks * circuit.D, "PROOF-1: weights outside")
