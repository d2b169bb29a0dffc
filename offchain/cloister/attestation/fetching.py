"""Collateral of quotes, from a provisioning certificate caching service."""

from __future__ import annotations

import asyncio
from typing import cast

import dcap_qvl

from cloister.domain.errors import CloisterError


class CollateralUnavailable(CloisterError):
    """A service gives no collateral."""


def fetch_collateral(quote: bytes, url: str) -> bytes:
    """JSON in the form of QuoteCollateralV3. The service is not trusted: everything in it is signed.

    Raises CollateralUnavailable.
    """
    try:
        found = asyncio.run(_fetch(quote, url))
    except (ValueError, RuntimeError, OSError) as error:
        raise CollateralUnavailable(
            f"{url} gives no collateral for this quote: {error}.", "Name another caching service."
        ) from error
    return found.encode()


async def _fetch(quote: bytes, url: str) -> str:
    return cast(str, (await dcap_qvl.get_collateral(url, quote)).to_json())
