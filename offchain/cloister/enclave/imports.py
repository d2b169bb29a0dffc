"""Where an enclave's modules come from: sources that were measured, and no compiled file that stands for one.

The launcher points Python's cache of compiled files elsewhere, which keeps the ones beside the sources from being read.
Python would still import a compiled file whose source is not there, and from archives.
"""

from __future__ import annotations

import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)


def from_sources_only() -> None:
    """Let no module come from a compiled file without a source, or from an archive, from now on."""
    loaders = (ExtensionFileLoader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES)
    sys.path_hooks[:] = [FileFinder.path_hook(*loaders)]
    sys.path_importer_cache.clear()
