"""Text for people: nothing cut, nothing that steers the terminal; log lines of one line each."""

import io
import json
import sys

import pytest
import structlog

from cloister.cli.logs import configure_logs
from cloister.cli.screen import Output, Screen, Table, facts, printable


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_printable__control_and_direction_characters__are_replaced():
    assert printable("a\x1b[31mb\x07\u202ec\x9bd\te\nf é 漢") == "a\ufffd[31mb\ufffd\ufffdc\ufffdd\ufffde\nf é 漢"


def test_show__narrow_terminal__keeps_ids_in_one_piece(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    long = "0x" + "ab" * 32
    Screen(json=False).show(
        Output({}, [Table(("id", "state"), [(long, "open")]), facts({"job": long, "none": None}), long])
    )
    shown = capsys.readouterr().out
    assert shown.count(long) == 3
    assert "none" not in shown


def test_show__markup_in_a_name__is_text(capsys):
    Screen(json=False).show(Output({}, [Table(("n",), [("[bold]x[/bold] :smile:",)])]))
    assert "[bold]x[/bold] :smile:" in capsys.readouterr().out


def test_waiting__terminal__shows_what_for_and_lines_above_it(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen(json=False)
    with screen.waiting("Looking") as change:
        screen.tell("drawn: \x1b[2J somebody")
        change("Waiting for the reveal")
    screen.tell("done")
    shown = terminal.getvalue()
    assert "drawn: \ufffd[2J somebody" in shown
    assert "Waiting for the reveal" in shown
    assert shown.endswith("done\n")


def test_waiting__pipe__says_nothing(capsys):
    with Screen(json=False).waiting("Looking") as change:
        change("Still looking")
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""


@pytest.fixture
def _logs():
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logs")
def test_logs__text__is_one_printable_line_each(capsys):
    configure_logs("text", "info")
    structlog.get_logger().debug("hidden")
    structlog.get_logger().info("said", text="two\nlines\x1b[2J")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "two lines\ufffd[2J" in shown.err


@pytest.mark.usefixtures("_logs")
def test_logs__json__is_one_object_per_line(capsys):
    configure_logs("json", "warning")
    structlog.get_logger().info("hidden")
    structlog.get_logger().warning("said", amount=1, path=object)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["amount"]) == ("said", "warning", 1)
