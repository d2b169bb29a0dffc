"""The sealing member of a manifest: absent from open manifests, whose bytes stay; contradictions are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.fixedpoint.errors import InvalidPackage
from cloister.fixedpoint.manifest import Attachment, Manifest, SealedFile, Sealing, sealed_length
from cloister.sealing.stream import sealed_bytes

OPEN = (Path(__file__).parents[3] / "models/digits/manifest.json").read_bytes()
D = "ab" * 32


def sealed(**changes: object) -> Manifest:
    manifest = Manifest.from_bytes(OPEN)
    weights = SealedFile(bytes=sealed_bytes(manifest.weights.bytes), sha256=D)
    note = Attachment(name="training.json", bytes=21, sha256=D, plain_bytes=5)
    fields = {"algorithm": "stream-aes-256-gcm", "segment": 1 << 20, "weights": weights, "attachments": (note,)}
    fields |= {"key": D, "threshold": 2, "shares": (D, D, D)}
    return replace(manifest, sealing=Sealing(**(fields | changes)))


def test_open_manifest__read_and_written__keeps_its_bytes() -> None:
    assert Manifest.from_bytes(OPEN).to_bytes() == OPEN
    assert b"sealing" not in OPEN


def test_open_manifest__with_a_null_sealing__is_refused() -> None:
    with pytest.raises(InvalidPackage):
        Manifest.from_bytes(
            json.dumps(
                json.loads(OPEN) | {"sealing": None}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()
        )


def test_sealed_manifest__read_and_written__is_the_same() -> None:
    manifest = sealed()
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_sealed_length__is_what_the_stream_makes() -> None:
    assert all(sealed_length(n, 1 << 20) == sealed_bytes(n) for n in (0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1))


NOTE = Attachment(name="training.json", bytes=21, sha256=D, plain_bytes=5)


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 4},
        {"threshold": 0},
        {"shares": ()},
        {"shares": (D,) * 256},
        {"segment": 1 << 16},
        {"algorithm": "aes"},
        {"weights": SealedFile(bytes=99, sha256=D)},
        {"attachments": (NOTE, NOTE)},
        {"attachments": (NOTE, replace(NOTE, name="a"))},
        {"attachments": (replace(NOTE, name="weights.safetensors"),)},
        {"attachments": (replace(NOTE, bytes=22),)},
        {"attachments": (replace(NOTE, name="../x"),)},
        {"key": "ab"},
        {"attachments": tuple(replace(NOTE, name=f"a{i:02}") for i in range(17))},
    ],
)
def test_sealed_manifest__contradiction__is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidPackage):
        Manifest.from_bytes(sealed(**changes).to_bytes())
