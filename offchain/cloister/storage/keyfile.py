"""One keystore file of version 3 (Web3 Secret Storage): 32 secret bytes under a password.

geth, Foundry and eth-account write and read the same format, so keys can move in and out.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from eth_account import Account
from eth_utils.address import to_checksum_address

from cloister.domain.ids import Address
from cloister.storage.atomic import write_atomically
from cloister.storage.errors import (
    KeyfileCorrupt,
    KeyfileExists,
    KeyfileMissing,
    StoreUnavailable,
    WrongPassword,
)

MAX_FILE_BYTES: Final = 64 << 10
SECRET_BYTES: Final = 32

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kdf:
    """How much work turns a password into a key: `work` is N of scrypt or the rounds of PBKDF2."""

    name: Literal["scrypt", "pbkdf2"] = "scrypt"
    work: int = 1 << 18


STANDARD: Final = Kdf()
"""scrypt, N = 2^18: about a second and 256 MiB for each guess, as geth does it."""

LIGHT: Final = Kdf(work=1 << 12)
"""A hundredth of that. For development networks and tests, whose keys guard nothing."""


@dataclass(frozen=True, slots=True)
class Keyfile:
    """A file that looks like a keystore.

    `address` is what the file says, or None if it says nothing; `exposed` tells whether others may read it.
    """

    path: Path
    address: Address | None
    exposed: bool
    content: Mapping[str, Any]

    def decrypt(self, password: str) -> bytes:
        """Return the 32 bytes inside. Logs a warning if the file is exposed. Raises WrongPassword."""
        if self.exposed:
            _log.warning("key file open to other users", file=str(self.path), fix=f"chmod 600 {self.path}")
        try:
            return bytes(Account.decrypt(dict(self.content), password))
        except ValueError:
            # everything else was checked by `read_keyfile`, so it is the checksum that does not match
            raise WrongPassword(
                f"The key file {self.path} does not open with this password.",
                "Try again; if the password is surely right, the file was altered: restore it from a copy.",
            ) from None


def read_keyfile(path: Path) -> Keyfile:
    """Read a key file and check its form, so that opening it can fail only for the password.

    Raises KeyfileMissing, KeyfileCorrupt, or StoreUnavailable if reading is refused.
    """
    try:
        with path.open("rb") as file:
            exposed = bool(stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077)
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise KeyfileMissing(f"There is no key file {path}.") from None
    except OSError as error:
        raise StoreUnavailable(f"The key file {path} cannot be read: {error.strerror}.") from error
    try:
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"it is longer than {MAX_FILE_BYTES} bytes")
        content = _checked(json.loads(data))
        address = content.get("address", "")
        known = None if address == "" else Address(to_checksum_address(address))
        return Keyfile(path, known, exposed, content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise KeyfileCorrupt(
            f"{path} is not a keystore of version 3: {reason}.", "Restore it from a copy, or remove it."
        ) from None


def write_keyfile(
    path: Path,
    secret: bytes,
    password: str,
    kdf: Kdf = STANDARD,
    *,
    note: Mapping[str, Any] | None = None,
) -> None:
    """Write `secret` (32 bytes) to a new file with mode 0600, in a folder that is made with 0700 if missing.

    The file says the account's address. If the secret is no account, and must not be taken for one, `note`
    stands in the address's place, under `cloister`.
    Raises KeyfileExists, StoreFull or StoreUnavailable.
    """
    content = Account.encrypt(secret, password, kdf=kdf.name, iterations=kdf.work)
    if note is not None:
        del content["address"]
        content["cloister"] = dict(note)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content).encode(), mode=0o600, overwrite=False)
    except FileExistsError:
        raise KeyfileExists(
            f"{path} exists already.",
            "Key files are never overwritten: choose another name, or move it away.",
        ) from None
    except OSError as error:
        raise StoreUnavailable(f"The folder {path.parent} cannot be made: {error.strerror}.") from error


def _checked(raw: Any) -> dict[str, Any]:
    """Return `raw` with lower-case keys. Raises ValueError, TypeError, KeyError or AttributeError."""
    content: dict[str, Any] = {key.lower(): value for key, value in raw.items()}
    if content["version"] != 3:
        raise ValueError(f"its version is {content['version']!r}")
    crypto = content["crypto"]
    if crypto["cipher"] != "aes-128-ctr":
        raise ValueError(f"the cipher {crypto['cipher']!r} is not supported")
    parameters = crypto["kdfparams"]
    # eth-account drops the leading zero bytes of an initial value
    _require_hex("iv", crypto["cipherparams"]["iv"], 1, 16)
    _require_hex("ciphertext", crypto["ciphertext"], SECRET_BYTES, SECRET_BYTES)
    _require_hex("mac", crypto["mac"], 32, 32)
    _require_hex("salt", parameters["salt"], 1, 1024)
    if parameters["dklen"] != 32:
        raise ValueError("its derived key has not 32 bytes")
    # bounds on the work, so that a damaged number cannot ask for all of the memory
    if crypto["kdf"] == "scrypt":
        n, r, p = (_integer(parameters[name]) for name in ("n", "r", "p"))
        if not (2 <= n and n.bit_count() == 1 and 1 <= r and n * r <= 1 << 23 and 1 <= p <= 16):
            raise ValueError(f"its scrypt parameters n={n}, r={r}, p={p} are out of range")
    elif crypto["kdf"] == "pbkdf2":
        if parameters["prf"] != "hmac-sha256" or not 1 <= _integer(parameters["c"]) <= 10_000_000:
            raise ValueError("its PBKDF2 parameters are out of range")
    else:
        raise ValueError(f"the key derivation {crypto['kdf']!r} is not supported")
    return content


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a number of its key derivation is no integer")
    return value


def _require_hex(name: str, text: str, low: int, high: int) -> None:
    """Raise ValueError unless `text` is `low` to `high` bytes in hexadecimal."""
    digits = text.removeprefix("0x")
    if not re.fullmatch(r"([0-9a-fA-F]{2})*", digits) or not low <= len(digits) // 2 <= high:
        raise ValueError(f"its {name} is malformed")
