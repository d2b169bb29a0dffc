"""Who may have a model's key, how often and until when: tiers in a JSON file per version.

    [{"name": "trial", "workers": "any", "releases": 3, "from": 0, "until": 1800000000},
     {"name": "paid", "workers": ["0x…"], "releases": null, "from": 0, "until": null}]

The first tier that names the worker and allows another release now is the one that counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eth_utils.address import is_checksum_address, to_checksum_address

from cloister.broker.errors import BadLicence, Reason, Refused
from cloister.domain.ids import Address

ANY = "any"
MAX_FILE_BYTES = 1 << 20
MOST_TIERS = 64
_MEMBERS = {"name", "workers", "releases", "from", "until"}
_LAST_SECOND = 2**53


@dataclass(frozen=True, slots=True)
class Tier:
    """One line of a licence. `workers` None means any, `releases` None any number, `until` None for ever (seconds)."""

    name: str
    workers: frozenset[Address] | None
    releases: int | None
    start: int
    until: int | None

    def names(self, worker: Address) -> bool:
        """Whether it is about this worker at all."""
        return self.workers is None or worker in self.workers

    def objection(self, used: int, now: int) -> str:
        """Why it allows no release now, after `used` of them; empty if it does."""
        if self.releases is not None and used >= self.releases:
            return f"tier {self.name!r} is used up: all {self.releases} releases were made"
        if now < self.start:
            return f"tier {self.name!r} begins at second {self.start}"
        if self.until is not None and now >= self.until:
            return f"tier {self.name!r} ended at second {self.until}"
        return ""

    def to_content(self) -> dict[str, Any]:
        """As JSON."""
        workers = ANY if self.workers is None else sorted(self.workers)
        return {
            "name": self.name,
            "workers": workers,
            "releases": self.releases,
            "from": self.start,
            "until": self.until,
        }


@dataclass(frozen=True, slots=True)
class Licence:
    """The tiers of one model version, in their order."""

    tiers: tuple[Tier, ...]

    def choose(self, worker: Address, used: Callable[[str], int], now: int) -> Tier:
        """The tier that the next release to a worker counts against; `used` counts those of a tier so far.

        Raises Refused with what stands against every tier that names the worker.
        """
        objections = []
        for tier in self.tiers:
            if tier.names(worker):
                problem = tier.objection(used(tier.name), now)
                if not problem:
                    return tier
                objections.append(problem)
        if not objections:
            raise Refused(Reason.LICENCE, f"No tier of the licence names worker {worker}.", "Ask the model's owner.")
        raise Refused(
            Reason.LICENCE, f"The licence allows no release: {'; '.join(objections)}.", "Ask the model's owner."
        )

    def to_json(self) -> str:
        """The text of a licence file."""
        return json.dumps([tier.to_content() for tier in self.tiers], indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Licence:
        """Reads a licence file. Raises BadLicence, naming the tier."""
        if len(text) > MAX_FILE_BYTES:
            raise BadLicence("The licence is longer than 1 MiB.")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadLicence(f"The licence is not JSON: {error}.") from None
        if not isinstance(content, list) or not 1 <= len(content) <= MOST_TIERS:
            raise BadLicence(f"A licence is a list of 1 to {MOST_TIERS} tiers.", "See docs/spec/enclaves.md.")
        tiers = tuple(_tier(number, one) for number, one in enumerate(content, start=1))
        if len({tier.name for tier in tiers}) != len(tiers):
            raise BadLicence("Two tiers have the same name.", "Releases are counted by name: give each its own.")
        return cls(tiers)


def _tier(number: int, content: Any) -> Tier:
    if not isinstance(content, dict) or content.keys() != _MEMBERS:
        raise BadLicence(f"Tier {number} must have exactly the members {', '.join(sorted(_MEMBERS))}.")
    name, workers, releases = content["name"], content["workers"], content["releases"]
    start, until = content["from"], content["until"]
    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name) <= 64:
        raise BadLicence(f"Tier {number} needs a name of up to 64 printable characters.")
    if workers != ANY and not (isinstance(workers, list) and workers):
        raise BadLicence(f'Tier {name!r}: workers must be addresses, or "any".')
    if releases is not None and not _whole(releases):
        raise BadLicence(f"Tier {name!r}: releases must be a number, or null for any number.")
    if not _whole(start) or not (until is None or (_whole(until) and until > max(start, 0))):
        raise BadLicence(f"Tier {name!r}: from and until must be Unix seconds, until the later one, or null for ever.")
    named = None if workers == ANY else frozenset(_address(name, one) for one in workers)
    return Tier(name, named, releases, start, until)


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LAST_SECOND


def _address(tier: str, text: Any) -> Address:
    # Written by hand: capitals that do not fit the checksum are a typing error, and the key would go to a stranger.
    mixed = isinstance(text, str) and text.removeprefix("0x") not in (text[2:].lower(), text[2:].upper())
    try:
        address = to_checksum_address(text)
    except (ValueError, TypeError):
        address = None
    if address is None or not text.startswith("0x") or (mixed and not is_checksum_address(text)):
        raise BadLicence(f"Tier {tier!r}: {text!r} is no address.", "Compare it with the original.")
    return Address(address)
