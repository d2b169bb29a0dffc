"""The tree of commands: flags, help, examples, documentation, and how fast it starts."""

import json
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cloister.cli.flags import SETTINGS
from cloister.cli.program import main
from cloister.cli.reference import BEGIN, commands, reference
from cloister.config import Settings

ROOT = Path(__file__).resolve().parents[3]
TREE = {context.command_path: (context, command) for context, command in commands()}
RUNNABLE = [path for path, (_, command) in TREE.items() if not getattr(command, "commands", None) or "worker" in path]


def flags_of(command):
    return {flag for parameter in command.params for flag in parameter.opts}


@pytest.mark.parametrize("path", TREE)
def test_command__every_one__takes_json_config_and_every_setting(path):
    _, command = TREE[path]
    wanted = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    assert wanted | {"--json", "--config"} <= flags_of(command)


@pytest.mark.parametrize("path", RUNNABLE)
def test_command__every_one__has_a_summary_and_an_example_that_parses(path):
    context, command = TREE[path]
    text = command.get_help(context)
    summary = text.split("\n\n")[1].strip()
    assert summary.endswith(".")
    assert len(summary) < 60
    example = re.search(r"Example:\n\s+(cloister .*)", text)[1]
    assert example.startswith(path)
    arguments = shlex.split(example.removeprefix(path), comments=True)
    assert command.make_context(path, arguments, resilient_parsing=False) is not None


@pytest.mark.parametrize("path", TREE)
def test_command__every_parameter__is_explained(path):
    _, command = TREE[path]
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


def test_flags__table__is_that_of_the_settings():
    assert {name: meaning for name, (_, meaning) in SETTINGS.items()} == {
        name: field.description for name, field in Settings.model_fields.items()
    }


def test_no_flag__takes_a_secret():
    secret = re.compile("password|secret|private|mnemonic|seed")
    found = {flag for _, command in TREE.values() for flag in flags_of(command) if secret.search(flag)}
    assert found == {"--password-file"}


def test_documentation__reference__is_up_to_date():
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    _, _, written = page.partition(BEGIN)
    assert written.strip() == reference().strip(), "run: python scripts/cli_reference.py"


def test_documentation__every_command_named_anywhere__exists():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    groups = {path for path, (_, command) in TREE.items() if getattr(command, "commands", None)}
    unknown = []
    for page in pages:
        # commands in code, with or without flags: `cloister keys new --name alice`
        for line in re.findall(r"`cloister ([a-z][a-z -]*)|^cloister ([a-z][a-z -]*)", page.read_text("utf-8"), re.M):
            words = "".join(line).split()
            path = f"cloister {words[0]}"
            if path in groups and len(words) > 1 and words[1][0] != "-":
                path = f"{path} {words[1]}"
            if path not in TREE:
                unknown.append((page.name, path))
    assert unknown == []


def test_help__start__imports_nothing_heavy():
    code = (
        "import sys; from cloister.cli import main; main(sys.argv[1:]); heavy = "
        "{'torch', 'web3', 'numpy', 'structlog', 'rich', 'cloister.config'}; "
        "print(heavy & sys.modules.keys(), file=sys.stderr)"
    )
    for arguments in (["--help"], ["version"], ["request", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert done.stderr == "set()\n"


def test_help__start__is_quick():
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "cloister", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 0.4  # seconds of the processor: the machine may have other things to do


def test_version__json__names_the_protocol(capsys):
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"cloister", "protocol", "python"}


def test_group__alone__shows_its_help(capsys):
    assert main(["keys"]) == 0
    assert "import" in capsys.readouterr().out


def test_group__alone_with_json__is_a_usage_error(capsys):
    assert main(["keys", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "UsageError"
