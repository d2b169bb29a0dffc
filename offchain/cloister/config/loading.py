"""Where settings come from: flags, environment, files and defaults, and which of them wins."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from cloister.config.errors import ConfigError
from cloister.config.settings import Settings

ENV_PREFIX: Final = "CLOISTER_"
LOCAL_FILE: Final = "cloister.toml"
MAX_FILE_BYTES: Final = 1 << 20

_PATHS: Final = frozenset(
    {
        "deployment",
        "data_dir",
        "blob_stores",
        "keystores",
        "password_file",
        "development_device",
        "development_authority",
    }
)
_LISTS: Final = frozenset(
    {"blob_stores", "keystores", "unprotected", "brokers", "trusted_measurements", "accepted_tcb"}
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and for each of them where its value came from: "flag --rpc-url", "default", …"""

    settings: Settings
    sources: Mapping[str, str]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (name, value, source) of every setting, as `cloister config show` prints them.

        Of an endpoint only scheme, host and port are shown: its path or query is often an access key.
        """
        return [(name, _shown(name, getattr(self.settings, name)), self.sources[name]) for name in _fields()]


def load_settings(
    flags: Mapping[str, Any], *, env: Mapping[str, str], cwd: Path, config_file: Path | None = None
) -> Loaded:
    """Collect the settings of one command.

    `flags` maps names of settings to values; None means not given. With `config_file` only this file is
    read, and it must exist. Empty variables count as not set. Lists may be lists, or text with commas.
    Relative paths start at `cwd`, those in a file at the file's folder; a leading ~ is the home folder.
    Raises ConfigError.
    """
    home = Path(env["HOME"]) if env.get("HOME") else None
    layers = [
        _Layer(
            {name: value for name, value in flags.items() if value is not None},
            lambda name: f"flag --{name.replace('_', '-')}",
            base=cwd,
            home=home,
        ),
        _Layer(
            {key: value for key, value in env.items() if key.startswith(ENV_PREFIX) and value},
            lambda key: f"environment {key}",
            base=cwd,
            home=home,
            prefix=ENV_PREFIX,
        ),
    ]
    if config_file is not None:
        layers += _file(cwd / config_file, str(config_file), home, required=True)
    else:
        layers += _file(cwd / LOCAL_FILE, f"./{LOCAL_FILE}", home)
        folder = _xdg(env, "XDG_CONFIG_HOME", home, ".config")
        if folder is not None:
            layers += _file(folder / "cloister/config.toml", str(folder / "cloister/config.toml"), home)
    layers.append(_defaults(layers, env, cwd, home))
    sources = {name: _origin(layers, name) for name in _fields()}
    try:
        settings = Settings(_build_sources=(tuple(layers), {}))  # type: ignore[call-arg]  # mypy misses it
    except ValidationError as error:
        raise _explained(error, layers) from None
    return Loaded(settings, sources)


class _Layer(PydanticBaseSettingsSource):
    """What one source gives, and under which names. pydantic-settings lays the layers over each other."""

    def __init__(
        self,
        given: Mapping[str, Any],
        origin: Callable[[str], str],
        *,
        base: Path,
        home: Path | None,
        prefix: str = "",
    ) -> None:
        super().__init__(Settings)
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        for key, value in given.items():
            name = key.removeprefix(prefix).lower() if prefix else key
            if name not in _fields() or (prefix and key != key.upper()):
                raise _unknown(key, origin(key), prefix)
            self.values[name] = _normal(name, value, base, home)
            self.origins[name] = origin(key)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self.values


def _fields() -> dict[str, FieldInfo]:
    return Settings.model_fields


def _origin(layers: Sequence[_Layer], name: str) -> str:
    return next((layer.origins[name] for layer in layers if name in layer.origins), "default")


def _normal(name: str, value: Any, base: Path, home: Path | None) -> Any:
    """Split lists and make paths absolute. What is no text stays as it is, for the model to judge."""
    if name in _LISTS:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, list | tuple):
            return tuple(_absolute(part, base, home) if name in _PATHS else part for part in value)
    return _absolute(value, base, home) if name in _PATHS else value


def _absolute(value: Any, base: Path, home: Path | None) -> Any:
    if not isinstance(value, str | Path) or not str(value) or "://" in str(value):
        return value
    path = Path(value)
    if home is not None and path.parts[0] == "~":
        path = home.joinpath(*path.parts[1:])
    return str(base / path)


def _file(path: Path, shown: str, home: Path | None, *, required: bool = False) -> list[_Layer]:
    """Read one TOML file: a flat table of settings. Without `required` it may be missing."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if required:
            raise ConfigError(f"There is no configuration file {shown}.") from None
        return []
    except OSError as error:
        raise ConfigError(f"The configuration file {shown} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"The configuration file {shown} is longer than {MAX_FILE_BYTES} bytes.")
    try:
        given = tomllib.loads(data.decode())
    except ValueError as error:  # TOML or UTF-8
        raise ConfigError(f"The configuration file {shown} is not TOML: {error}.") from None
    return [_Layer(given, lambda _: f"file {shown}", base=path.parent, home=home)]


def _defaults(layers: Sequence[_Layer], env: Mapping[str, str], cwd: Path, home: Path | None) -> _Layer:
    """The defaults that depend on the user or on `data_dir`; the model knows the others."""
    folder = _xdg(env, "XDG_DATA_HOME", home, ".local/share")
    own = folder / "cloister" if folder is not None else None
    data_dir = next((layer.values["data_dir"] for layer in layers if "data_dir" in layer.values), own)
    if data_dir is None:
        raise ConfigError("There is no home folder to keep data in.", "Set data_dir.")
    below = Path(str(data_dir))
    keystores = [below / "keystore"] + ([home / ".foundry/keystores"] if home is not None else [])
    values = {"data_dir": data_dir, "blob_stores": (str(below / "blobs"),), "keystores": tuple(keystores)}
    return _Layer(values, lambda _: "default", base=cwd, home=home)


def _xdg(env: Mapping[str, str], variable: str, home: Path | None, fallback: str) -> Path | None:
    """Return a folder of the XDG base directory specification, which says to ignore relative paths."""
    if env.get(variable) and Path(env[variable]).is_absolute():
        return Path(env[variable])
    return home / fallback if home is not None else None


def _unknown(key: str, origin: str, prefix: str) -> ConfigError:
    """The value stays out of the text: whoever tries to configure a password should not find it in a log."""
    names = {name: f"{prefix}{name.upper()}" if prefix else name for name in _fields()}
    plain = key.removeprefix(prefix).lower().replace("-", "_")
    closest = difflib.get_close_matches(plain, names, n=1, cutoff=0.0)[0]
    hint = f"The closest is {names[closest]}."
    if any(word in plain for word in ("password", "secret", "private", "mnemonic")):
        hint += " Secrets are never settings."
    return ConfigError(f"There is no setting {key} ({origin}).", hint)


def _explained(error: ValidationError, layers: Sequence[_Layer]) -> ConfigError:
    """One line for each bad setting: its name, its source, its value and what is valid."""
    lines = {}
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0])
        value = next((layer.values[name] for layer in layers if name in layer.values), None)
        valid, private = _rules(name)
        shown = "the value (not shown)" if private else repr(value)
        lines[name] = f"{name} from {_origin(layers, name)}: {shown} is not valid. Valid is: {valid}."
    return ConfigError("\n".join(lines.values()))


def _rules(name: str) -> tuple[str, bool]:
    extra = _fields()[name].json_schema_extra
    rules: Mapping[str, Any] = extra if isinstance(extra, dict) else {}
    return str(rules["valid"]), bool(rules["private"])


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "rpc_url":
        parts = urlsplit(value)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = f":{parts.port}" if parts.port else ""
        hidden = "/…" if parts.path.strip("/") or parts.query or parts.username else ""
        return f"{parts.scheme}://{host}{port}{hidden}"
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
