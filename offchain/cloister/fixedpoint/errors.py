"""Errors of packaging, loading and running fixed-point models."""

from __future__ import annotations

from cloister.domain.errors import CloisterError, InvalidInput


class UnsupportedLayer(CloisterError):
    """A layer, operation or option that has no exact fixed-point form here."""


class RangeExceeded(CloisterError):
    """A stage, weight or bias can leave the integer range that the proof allows."""


class InvalidPackage(CloisterError):
    """A manifest or weights file that is damaged, dishonest or not in this format."""


class PackageNotWritten(CloisterError):
    """The file system refused a write; what was there before is unchanged."""


class InvalidModelInput(InvalidInput):
    """Numbers that the model was not declared for: wrong shape, type, length or range."""
