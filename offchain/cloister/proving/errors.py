"""Errors of the proof system."""

from __future__ import annotations

from cloister.domain.errors import CloisterError


class NotProvable(CloisterError):
    """A model, or an input to it, that the proof system cannot carry."""


class InvalidProof(CloisterError):
    """A proof, or a part of one, that does not hold or is not in the format."""


class InvalidCircuit(CloisterError):
    """A circuit descriptor that breaks PROOF-1."""
