"""The settings themselves: names, meanings, defaults and limits."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from eth_utils.address import is_checksum_address, is_checksum_formatted_address, to_checksum_address
from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cloister.domain.attested import TcbStatus
from cloister.domain.ids import NOBODY, Address

COMPUTED_DEFAULTS: Final = {
    "data_dir": "$XDG_DATA_HOME/cloister, or ~/.local/share/cloister",
    "blob_stores": "blobs in data_dir",
    "keystores": "keystore in data_dir, ~/.foundry/keystores",
}
"""The defaults that depend on the user or on other settings, in words."""


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    # asking for the port raises if it is no number
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError
    return url


def _contract(text: str) -> str:
    address = to_checksum_address(text) if re.fullmatch(r"0x[0-9a-fA-F]{40}", text) else NOBODY
    if address == NOBODY or (is_checksum_formatted_address(text) and not is_checksum_address(text)):
        raise ValueError
    return address


def _no_private_key(text: str) -> str:
    if re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        raise ValueError
    return text


def _no_credentials(url: str) -> str:
    if "://" in url and "@" in url:
        raise ValueError
    return url


def _measurement(text: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        raise ValueError
    return text.lower()


def _tcb_status(text: str) -> str:
    if text not in {status.label for status in TcbStatus}:
        raise ValueError
    return text


ContractAddress = Annotated[Address, AfterValidator(_contract)]
_ADDRESS_RULE: Final = "0x and 40 hexadecimal digits, with capitals that fit the checksum if there are any"


def _setting(meaning: str, valid: str, default: Any = ..., *, private: bool = False, **limits: Any) -> Any:
    """A field; `private` keeps its value, in which a secret may have landed, out of texts."""
    extra: dict[str, Any] = {"valid": valid, "private": private}
    return Field(default, description=meaning, json_schema_extra=extra, repr=not private, **limits)


class Settings(BaseSettings):
    """Everything that can be configured. docs/configuration.md shows the same as a table.

    Made by `load_settings`; made directly, it takes keyword arguments and reads neither environment nor files.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    rpc_url: Annotated[str, AfterValidator(_http_url)] = _setting(
        "JSON-RPC endpoint of the chain", "an http:// or https:// URL", "http://127.0.0.1:8545", private=True
    )
    chain_id: int | None = _setting(
        "refuse to act when the endpoint serves another chain", "a positive integer", None, gt=0
    )
    deployment: Path | None = _setting(
        "JSON file with the chain id and the contracts' addresses", "the path of a file", None
    )
    node_registry: ContractAddress | None = _setting("overrides the deployment file", _ADDRESS_RULE, None)
    model_registry: ContractAddress | None = _setting("overrides the deployment file", _ADDRESS_RULE, None)
    job_market: ContractAddress | None = _setting("overrides the deployment file", _ADDRESS_RULE, None)
    data_dir: Path = _setting("keys, journal and blobs of this machine", "the path of a folder")
    blob_stores: tuple[Annotated[str, AfterValidator(_no_credentials)], ...] = _setting(
        "where blobs are read from, in this order; they are written to the first",
        "folders, or URLs without credentials that begin with file, memory, s3, gs, ipfs, http or https",
        private=True,
        min_length=1,
    )
    max_blob_mib: int = _setting("refuse larger blobs (MiB)", "1 to 65536", 512, ge=1, le=65536)
    keystores: tuple[Path, ...] = _setting(
        "folders of key files; new ones are written to the first", "paths of folders", min_length=1
    )
    account: Annotated[str, AfterValidator(_no_private_key)] | None = _setting(
        "the account that signs; not needed if there is only one",
        "an address, or the name or path of a key file; never a private key",
        None,
        private=True,
        min_length=1,
    )
    password_file: Path | None = _setting(
        "first line is the account's password; without it the terminal is asked", "the path of a file", None
    )
    confirmations: Literal["latest", "safe", "finalized"] | Annotated[int, Field(ge=0, le=100_000)] = _setting(
        "how settled a block must be before it counts",
        "latest, safe, finalized, or a number of blocks up to 100000",
        "safe",
    )
    poll_seconds: float = _setting(
        "pause between two looks at the chain (s)",
        "a number above 0, up to 600",
        2.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
    )
    max_fee_gwei: Decimal | None = _setting(
        "never pay more per unit of gas (gwei); without it there is no limit",
        "a number above 0",
        None,
        gt=0,
        allow_inf_nan=False,
    )
    enclave: Literal["on", "off"] = _setting(
        "run models in an enclave process beside the worker", "on or off; off protects nothing", "on"
    )
    enclave_compiled: Path | None = _setting(
        "the enclave's code compiled ahead, which makes it start faster and is measured with it",
        "the path of a folder",
        None,
    )
    unprotected: tuple[str, ...] = _setting(
        "protections of the enclave process that may be missing here",
        "names that `cloister worker` prints when it refuses to start",
        (),
    )
    evidence_from: Literal["auto", "tdx", "dstack", "development", "none"] = _setting(
        "where evidence about the enclave comes from", "auto, tdx, dstack, development or none", "auto"
    )
    development_device: Path | None = _setting(
        "development device that signs evidence, which protects nothing", "the path of a folder", None
    )
    development_authority: Path | None = _setting(
        "root of DEVELOPMENT evidence that a broker takes, which protects nothing", "the path of a file", None
    )
    collateral_url: Annotated[str, AfterValidator(_http_url)] | None = _setting(
        "provisioning certificate caching service that a worker asks about its platform",
        "an http:// or https:// URL",
        None,
        private=True,
    )
    brokers: tuple[Annotated[str, AfterValidator(_http_url)], ...] = _setting(
        "key brokers that a worker asks for keys of sealed models", "http:// or https:// URLs", (), private=True
    )
    trusted_measurements: tuple[Annotated[str, AfterValidator(_measurement)], ...] = _setting(
        "code that a requester trusts with its inputs", "0x and 64 hexadecimal digits each", ()
    )
    accepted_tcb: tuple[Annotated[str, AfterValidator(_tcb_status)], ...] = _setting(
        "states of a platform that a requester accepts", "Intel's names, UpToDate for one", ("UpToDate",)
    )
    trust_development: Literal["yes", "no"] = _setting(
        "whether a requester accepts DEVELOPMENT evidence, which protects nothing", "yes or no", "no"
    )
    log_format: Literal["text", "json"] = _setting("lines for people or for machines", "text or json", "text")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "the least important lines to write", "debug, info, warning or error", "info"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_booleans(cls, value: Any) -> Any:
        """No setting is a yes or no, and TOML's `true` would pass for the number 1."""
        if isinstance(value, bool):
            raise ValueError  # noqa: TRY004 - pydantic collects ValueErrors only
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keep the library from reading the environment by rules of its own."""
        return (init_settings,)
