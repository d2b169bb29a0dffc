"""`cloister keys`: the accounts of this machine, each in an encrypted file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloister.cli.command import command, group
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table, facts

if TYPE_CHECKING:
    from cloister.storage.keystore import StoredAccount

keys = group("keys", summary="Make, import and list accounts.")

Name = Annotated[str | None, typer.Option("--name", help="Name of the key file; without it, the address.")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="File that holds the private key; without it, the terminal asks."),
]
MAX_KEY_FILE = 4 << 10
"""Bytes."""


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.add_typer(keys)


@command(keys, "new", example="cloister keys new --name alice")
def new(run: Run, name: Name = None) -> Output:
    """Make a new account under a password.

    The password is asked for twice, or read from --password-file. Whoever loses file or password loses the account.
    """
    from cloister.bootstrap import keystore

    return _stored(keystore(run.settings).create(_new_password(run), name))


@command(keys, "import", example="cloister keys import --key-file key.txt --name alice")
def import_key(run: Run, key_file: KeyFile = None, name: Name = None) -> Output:
    """Store an existing private key under a password.

    The key is asked for on the terminal, or read from a file of 64 hexadecimal digits; it is never an argument, because
    arguments are seen by every process of the machine. The file is left as it is: delete it yourself.
    """
    from cloister.bootstrap import keystore
    from cloister.storage.passwords import password_from

    store = keystore(run.settings)
    text = password_from(label="Private key: ") if key_file is None else _read_key(key_file)
    return _stored(store.import_key(_key_bytes(text), _new_password(run), name))


@command(keys, "list", example="cloister keys list")
def list_keys(run: Run) -> Output:
    """List the accounts of this machine."""
    from cloister.bootstrap import keystore

    found = keystore(run.settings).list()
    rows = [(one.address or "(not said by the file)", one.name, one.path) for one in found]
    if not rows:
        return Output({"accounts": []}, ["There are no accounts. Make one with: cloister keys new"])
    return Output({"accounts": [_document(one) for one in found]}, [Table(("address", "name", "file"), rows)])


def _new_password(run: Run) -> str:
    from cloister.storage.passwords import password_from

    return password_from(run.settings.password_file, label="Password for the new account: ", confirm=True)


def _read_key(path: Path) -> str:
    from cloister.domain.errors import InvalidInput

    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE).decode()
    except OSError as error:
        raise InvalidInput(f"The key file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"The key file {path} is not text.") from None


def _key_bytes(text: str) -> bytes:
    from cloister.domain.errors import InvalidInput

    try:
        return bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:  # not passed on: it may quote the key
        raise InvalidInput("This is no private key.", "It has 64 hexadecimal digits.") from None


def _stored(account: StoredAccount) -> Output:
    parts: list[str | Table] = [
        facts({"address": account.address, "file": account.path}),
        "Keep a copy of the file and of its password.",
    ]
    return Output(_document(account), parts)


def _document(account: StoredAccount) -> dict[str, str | None]:
    return {"address": account.address, "name": account.name, "file": str(account.path)}
