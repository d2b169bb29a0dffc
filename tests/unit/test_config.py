"""Settings: which source wins, what is refused and in which words, and that the documentation tells the truth."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from pydantic import ValidationError

from cloister.config import ConfigError, Loaded, Settings, load_settings
from cloister.config.settings import COMPUTED_DEFAULTS
from cloister.domain.errors import CloisterError

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
PRIVATE_KEY = "0x" + "5d" * 32
DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def cwd(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def load(home, cwd):
    """Load with the given flags, variables and files; HOME and the current folder are empty ones."""

    def loader(flags=None, env=None, *, local=None, user=None, config_file=None) -> Loaded:
        for path, text in ((cwd / "cloister.toml", local), (home / ".config/cloister/config.toml", user)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
        environment = {"HOME": str(home), **(env or {})}
        return load_settings(flags or {}, env=environment, cwd=cwd, config_file=config_file)

    return loader


# ------------------------------------------------------------------ precedence


def test_load_settings__nothing_given__is_all_defaults(load, home):
    loaded = load()
    settings = loaded.settings
    assert settings.rpc_url == "http://127.0.0.1:8545"
    assert settings.chain_id is None
    assert settings.data_dir == home / ".local/share/cloister"
    assert settings.blob_stores == (str(home / ".local/share/cloister/blobs"),)
    assert settings.keystores == (home / ".local/share/cloister/keystore", home / ".foundry/keystores")
    assert settings.confirmations == "safe"
    assert set(loaded.sources.values()) == {"default"}
    assert set(loaded.sources) == set(Settings.model_fields)


@pytest.mark.parametrize("present", list(product([False, True], repeat=4)))
def test_load_settings__every_mix_of_sources__highest_wins(load, home, present):
    flag, variable, local, user = present
    loaded = load(
        {"chain_id": 1} if flag else {"chain_id": None},
        {"CLOISTER_CHAIN_ID": "2"} if variable else {},
        local="chain_id = 3" if local else None,
        user="chain_id = 4" if user else None,
    )
    sources = [
        (1, "flag --chain-id"),
        (2, "environment CLOISTER_CHAIN_ID"),
        (3, "file ./cloister.toml"),
        (4, f"file {home}/.config/cloister/config.toml"),
    ]
    given = [source for source, there in zip(sources, present, strict=True) if there]
    assert (loaded.settings.chain_id, loaded.sources["chain_id"]) == (given or [(None, "default")])[0]


def test_load_settings__different_settings__come_from_different_sources(load):
    loaded = load({"chain_id": 1}, {"CLOISTER_LOG_LEVEL": "debug"}, local="poll_seconds = 5", user="account='a'")
    settings = loaded.settings
    assert (settings.chain_id, settings.log_level, settings.poll_seconds) == (1, "debug", 5.0)
    assert settings.account == "a"
    assert loaded.sources["log_format"] == "default"


def test_load_settings__config_file__is_the_only_file(load, cwd):
    (cwd / "other.toml").write_text("chain_id = 5")
    loaded = load(local="log_level = 'debug'", user="log_format = 'json'", config_file=Path("other.toml"))
    assert (loaded.settings.chain_id, loaded.sources["chain_id"]) == (5, "file other.toml")
    assert (loaded.settings.log_level, loaded.settings.log_format) == ("info", "text")


def test_load_settings__empty_variable__counts_as_not_set(load):
    assert load(env={"CLOISTER_CHAIN_ID": "", "CLOISTER_UNKNOWN": ""}).sources["chain_id"] == "default"


def test_load_settings__other_variables__ignored(load):
    assert load(env={"ACCOUNT": "x", "RPC_URL": "x", "chain_id": "7"}).settings.account is None


def test_load_settings__process_environment__not_looked_at(load, monkeypatch):
    monkeypatch.setenv("CLOISTER_CHAIN_ID", "9")
    monkeypatch.setenv("CHAIN_ID", "9")
    assert load().settings.chain_id is None
    paths = {"data_dir": "/d", "blob_stores": ["/b"], "keystores": ["/k"]}
    assert Settings(**paths).chain_id is None


def test_load_settings__xdg_folders__are_used_if_absolute(load, home, tmp_path):
    (tmp_path / "xdg/cloister").mkdir(parents=True)
    (tmp_path / "xdg/cloister/config.toml").write_text("chain_id = 8")
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "XDG_DATA_HOME": str(tmp_path / "share")}
    loaded = load(env=env)
    assert loaded.settings.chain_id == 8
    assert loaded.settings.data_dir == tmp_path / "share/cloister"
    assert load(env={"XDG_DATA_HOME": "relative"}).settings.data_dir == home / ".local/share/cloister"


def test_load_settings__no_home__asks_for_data_dir(cwd):
    with pytest.raises(ConfigError, match="data_dir"):
        load_settings({}, env={}, cwd=cwd)
    loaded = load_settings({"data_dir": "data"}, env={}, cwd=cwd)
    assert loaded.settings.keystores == (cwd / "data/keystore",)


# ------------------------------------------------------------------ values


def test_load_settings__data_dir__moves_what_lies_in_it(load, cwd):
    loaded = load({"data_dir": "data"})
    assert loaded.settings.blob_stores == (str(cwd / "data/blobs"),)
    assert loaded.settings.keystores[0] == cwd / "data/keystore"
    assert loaded.sources["blob_stores"] == "default"


def test_load_settings__relative_paths__start_where_they_are_written(load, home, cwd):
    assert load(user="deployment = 'd.json'").settings.deployment == home / ".config/cloister/d.json"
    assert load(local="deployment = 'd.json'").settings.deployment == cwd / "d.json"
    assert load(env={"CLOISTER_DEPLOYMENT": "x/d.json"}).settings.deployment == cwd / "x/d.json"
    assert load({"deployment": Path("/d.json")}).settings.deployment == Path("/d.json")
    assert load(local="password_file = '~/p'").settings.password_file == home / "p"


@pytest.mark.parametrize(
    ("flags", "env", "local"),
    [
        ({"blob_stores": ["a", "s3://b/c"]}, {}, None),
        ({"blob_stores": ("a", "s3://b/c")}, {}, None),
        ({"blob_stores": "a,s3://b/c"}, {}, None),
        ({}, {"CLOISTER_BLOB_STORES": "a, s3://b/c,"}, None),
        ({}, {}, "blob_stores = ['a', 's3://b/c']"),
    ],
)
def test_load_settings__lists__from_every_source(load, cwd, flags, env, local):
    assert load(flags, env, local=local).settings.blob_stores == (str(cwd / "a"), "s3://b/c")


@pytest.mark.parametrize(
    ("given", "value"),
    [("latest", "latest"), ("safe", "safe"), ("finalized", "finalized"), ("0", 0), ("12", 12)],
)
def test_load_settings__confirmations__tag_or_number(load, given, value):
    assert load(env={"CLOISTER_CONFIRMATIONS": given}).settings.confirmations == value


def test_load_settings__confirmations_in_a_file__may_be_a_number(load):
    assert load(local="confirmations = 12").settings.confirmations == 12


def test_load_settings__addresses__become_checksummed(load):
    settings = load({"job_market": ADDRESS.lower()}, {"CLOISTER_NODE_REGISTRY": ADDRESS}).settings
    assert (settings.job_market, settings.node_registry, settings.model_registry) == (ADDRESS, ADDRESS, None)


def test_load_settings__fee__keeps_its_decimals(load):
    assert load(env={"CLOISTER_MAX_FEE_GWEI": "0.000000001"}).settings.max_fee_gwei == Decimal("0.000000001")
    assert load(local="max_fee_gwei = 1.1").settings.max_fee_gwei == Decimal("1.1")


BAD = [
    ("rpc_url", "127.0.0.1:8545"),
    ("rpc_url", "ftp://example.org"),
    ("rpc_url", "http://:8545"),
    ("rpc_url", "http://[::1"),
    ("rpc_url", "http://host:port"),
    ("chain_id", "0"),
    ("chain_id", "-1"),
    ("chain_id", "1.5"),
    ("chain_id", "mainnet"),
    ("job_market", "0x00"),
    ("job_market", "0x" + "00" * 20),
    ("job_market", ADDRESS[:-1] + "9"),
    ("job_market", ADDRESS.swapcase()),
    ("node_registry", "vitalik.eth"),
    ("model_registry", ADDRESS[2:]),
    ("blob_stores", ","),
    ("blob_stores", "s3://key:secret@bucket"),
    ("keystores", ","),
    ("max_blob_mib", "0"),
    ("max_blob_mib", "65537"),
    ("account", PRIVATE_KEY),
    ("account", PRIVATE_KEY[2:]),
    ("confirmations", "final"),
    ("confirmations", "-1"),
    ("confirmations", "100001"),
    ("confirmations", "1.5"),
    ("poll_seconds", "0"),
    ("poll_seconds", "601"),
    ("poll_seconds", "nan"),
    ("poll_seconds", "inf"),
    ("poll_seconds", "soon"),
    ("max_fee_gwei", "0"),
    ("max_fee_gwei", "-1"),
    ("max_fee_gwei", "nan"),
    ("max_fee_gwei", "Infinity"),
    ("log_format", "xml"),
    ("log_level", "INFO"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_load_settings__bad_value__names_setting_source_and_what_is_valid(load, name, value):
    field = Settings.model_fields[name]
    for flags, env, source in (
        ({name: value}, {}, f"flag --{name.replace('_', '-')}"),
        ({}, {f"CLOISTER_{name.upper()}": value}, f"environment CLOISTER_{name.upper()}"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(flags, env)
        text = caught.value.message
        assert text.startswith(f"{name} from {source}: ")
        assert field.json_schema_extra["valid"] in text
        assert "\n" not in text
        if value != ",":
            assert (value in text) == (not field.json_schema_extra["private"])


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
@pytest.mark.parametrize("value", ["true", "{}", "[1]", "1979-05-27"])
def test_load_settings__value_of_another_type__refused(load, name, value):
    with pytest.raises(ConfigError, match=f"^{name} from file "):
        load(local=f"{name} = {value}")


def test_load_settings__several_bad_values__one_line_each(load):
    with pytest.raises(ConfigError) as caught:
        load({"chain_id": 0}, local="log_level = 'loud'\nconfirmations = 'never'")
    lines = caught.value.message.splitlines()
    assert [line.split()[0] for line in lines] == ["chain_id", "confirmations", "log_level"]


# ------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("account", PRIVATE_KEY, PRIVATE_KEY[2:]),
        ("rpc_url", "wss://user:hunter2@example.org", "hunter2"),
        ("blob_stores", "s3://key:hunter2@bucket", "hunter2"),
        ("password", "hunter2", "hunter2"),
        ("private_key", PRIVATE_KEY, PRIVATE_KEY[2:]),
    ],
)
def test_load_settings__secret_in_a_setting__refused_and_not_shown(load, name, value, secret):
    for arguments in ({"flags": {name: value}}, {"env": {f"CLOISTER_{name.upper()}": value}}):
        with pytest.raises(ConfigError) as caught:
            load(**arguments)
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_settings__names__hold_no_secret():
    for name in Settings.model_fields:
        assert not any(word in name for word in ("private", "secret", "mnemonic", "seed"))
        assert "password" not in name or name == "password_file"


def test_rows__endpoint__is_shown_without_its_key(load):
    for url, shown in (
        ("https://eth.example.org/v2/KEY", "https://eth.example.org/…"),
        ("https://user:KEY@example.org:8545", "https://example.org:8545/…"),
        ("https://example.org/?apikey=KEY", "https://example.org/…"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1]:8545/", "http://[::1]:8545"),
    ):
        loaded = load({"rpc_url": url})
        assert ("rpc_url", shown, "flag --rpc-url") in loaded.rows()
        assert "KEY" not in repr(loaded) + str(loaded.settings)


def test_rows__all_settings__as_text(load, home):
    rows = {name: (value, source) for name, value, source in load({"chain_id": 5}).rows()}
    assert list(rows) == list(Settings.model_fields)
    assert rows["chain_id"] == ("5", "flag --chain-id")
    assert rows["deployment"] == ("-", "default")
    assert rows["keystores"][0] == f"{home}/.local/share/cloister/keystore, {home}/.foundry/keystores"


# ------------------------------------------------------------------ unknown and unreadable


@pytest.mark.parametrize(
    ("arguments", "key", "source", "closest"),
    [
        ({"local": "rpc-url = 'x'"}, "rpc-url", "file ./cloister.toml", "rpc_url"),
        ({"local": "chainid = 1"}, "chainid", "file ./cloister.toml", "chain_id"),
        ({"local": "[worker]\npoll = 1"}, "worker", "file ./cloister.toml", ""),
        ({"env": {"CLOISTER_RPC": "x"}}, "CLOISTER_RPC", "environment CLOISTER_RPC", "CLOISTER_RPC_URL"),
        ({"env": {"CLOISTER_chain_id": "1"}}, "CLOISTER_chain_id", "environment", "CLOISTER_CHAIN_ID"),
        ({"env": {"CLOISTER_PASSWORD": "x"}}, "CLOISTER_PASSWORD", "environment", "CLOISTER_PASSWORD_FILE"),
        ({"flags": {"acount": "x"}}, "acount", "flag --acount", "account"),
    ],
)
def test_load_settings__unknown_name__is_named_with_the_closest(load, arguments, key, source, closest):
    with pytest.raises(ConfigError) as caught:
        load(**arguments)
    assert f"no setting {key} " in caught.value.message
    assert source in caught.value.message
    assert closest in caught.value.hint


def test_load_settings__password_as_a_setting__is_told_why_not(load):
    with pytest.raises(ConfigError, match="Secrets are never settings"):
        load(env={"CLOISTER_PASSWORD": "hunter2"})


def test_load_settings__unknown_name_in_a_lower_file__still_refused(load):
    with pytest.raises(ConfigError, match="typo"):
        load({"chain_id": 1}, local="chain_id = 2", user="typo = 1")


@pytest.mark.parametrize("text", ["chain_id = ", "chain_id = 1\nchain_id = 2", "\x00"])
def test_load_settings__malformed_file__is_named(load, text):
    with pytest.raises(ConfigError, match=r"\./cloister\.toml is not TOML"):
        load(local=text)


def test_load_settings__file_that_is_no_text__is_named(load, cwd):
    (cwd / "bin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bin\.toml is not TOML"):
        load(config_file=Path("bin.toml"))


def test_load_settings__missing_config_file__refused(load):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load(config_file=Path("none.toml"))


def test_load_settings__folder_as_config_file__refused(load, cwd):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(config_file=cwd)


def test_load_settings__huge_file__refused(load):
    with pytest.raises(ConfigError, match="longer"):
        load(local="#" * (1 << 20) + "\n")


def test_settings__assignment__refused(load):
    with pytest.raises(ValidationError):
        load().settings.chain_id = 1


def test_config_error__is_a_cloister_error():
    assert issubclass(ConfigError, CloisterError)


def test_import__reads_nothing(tmp_path):
    """In a process whose environment and current folder would both be refused."""
    (tmp_path / "cloister.toml").write_text("broken = ")
    code = f"import sys; sys.path[:0] = {sys.path!r}; import cloister.config"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={"CLOISTER_X": "1"})


# ------------------------------------------------------------------ documentation


def table() -> str:
    rows = ["| setting | default | meaning | valid values |", "| --- | --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        given = () if field.default is None else field.default
        values = given if isinstance(given, tuple) else (given,)
        default = COMPUTED_DEFAULTS.get(name) or ", ".join(f"`{value}`" for value in values) or "none"
        valid = field.json_schema_extra["valid"]
        rows.append(f"| `{name}` | {default} | {field.description} | {valid} |")
    return "\n".join(rows)


def test_documentation__table__is_that_of_the_model():
    assert table() in DOCUMENT.read_text(), f"docs/configuration.md needs this table:\n\n{table()}"


def test_documentation__computed_defaults__are_the_required_fields():
    assert set(COMPUTED_DEFAULTS) == {n for n, field in Settings.model_fields.items() if field.is_required()}
