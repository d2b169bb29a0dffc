"""What can go wrong with the configuration."""

from __future__ import annotations

from cloister.domain.errors import CloisterError


class ConfigError(CloisterError):
    """A setting is unknown, malformed or missing. The text names it, its source and what is valid."""
