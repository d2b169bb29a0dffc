"""Log lines: to standard error, for people or for machines."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from cloister.cli.screen import printable

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(log_format: str, level: str) -> None:
    """Sends what is at least as important as `level` to standard error."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    else:
        processors += [_one_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # the next call of the program in the same process, as in a test, has another standard error
        cache_logger_on_first_use=False,
    )


def _one_line(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keeps texts from a chain from breaking lines or steering the terminal."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = printable(value).replace("\n", " ")
    return event
