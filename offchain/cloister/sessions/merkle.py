"""The tree whose root settles many receipts (SESS-8): leaf i stands at place i, zeros fill it up to a power of two."""

from __future__ import annotations

from collections.abc import Sequence

from eth_hash.auto import keccak

from cloister.domain.commitments import domain_tag
from cloister.domain.errors import InvalidInput

_NODE = domain_tag("session-node")
_NOTHING = bytes(32)


def depth(count: int) -> int:
    """Levels above `count` leaves, which is the length of every proof."""
    return (count - 1).bit_length()


def root(leaves: Sequence[bytes]) -> bytes:
    """Of a tree of 32-byte leaves. Raises InvalidInput if there are none."""
    return _levels(leaves)[-1][0]


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Siblings of leaf `index` from the leaf up. Raises InvalidInput if there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise InvalidInput(f"A tree of {len(leaves)} leaves has no leaf {index}.")
    return [level[(index >> height) ^ 1] for height, level in enumerate(_levels(leaves)[:-1])]


def includes(root_: bytes, index: int, count: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` shows that a tree of `count` leaves has `leaf` at place `index`."""
    if not 0 <= index < count or len(path) != depth(count):
        return False
    node = leaf
    for height, sibling in enumerate(path):
        node = _join(sibling, node) if index >> height & 1 else _join(node, sibling)
    return node == root_


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    if not leaves:
        raise InvalidInput("A tree has at least one leaf.", "There is nothing to settle yet.")
    levels = [[*leaves, *[_NOTHING] * ((1 << depth(len(leaves))) - len(leaves))]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([_join(below[i], below[i + 1]) for i in range(0, len(below), 2)])
    return levels


def _join(left: bytes, right: bytes) -> bytes:
    return keccak(_NODE + left + right)
