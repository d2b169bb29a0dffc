"""Sums are exact in both directions."""

import pytest
import typer

from cloister.cli.amounts import ether, parse_amount

ETHER, GWEI = 10**18, 10**9


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("0.01", ETHER // 100),
        ("1", ETHER),
        ("0.01ether", ETHER // 100),
        ("0.01 ETH", ETHER // 100),
        ("5gwei", 5 * GWEI),
        ("1.5gwei", 1_500_000_000),
        ("10wei", 10),
        ("0", 0),
        ("0.000000000000000001", 1),
        ("123456789.123456789123456789", 123456789123456789123456789),
        ("79228162514264337593543950335wei", 2**96 - 1),
    ],
)
def test_parse_amount__valid__is_exact(text, wei):
    assert parse_amount(text) == wei


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e18",
        "one",
        "1 euro",
        "0x10",
        "1,5",
        "1_000",
        ".5",
        "5.",
        "nan",
        "inf",
        "٣",
        "1" * 60,
        "1 gwei wei",
    ],
)
def test_parse_amount__no_amount__is_refused(text):
    with pytest.raises(typer.BadParameter, match="is no amount"):
        parse_amount(text)


@pytest.mark.parametrize("text", ["0.5wei", "0.0000000001gwei", "0.0000000000000000001"])
def test_parse_amount__part_of_a_wei__is_refused(text):
    with pytest.raises(typer.BadParameter, match="whole number of wei"):
        parse_amount(text)


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0 ETH"),
        (1, "1 wei"),
        (GWEI - 1, "999999999 wei"),
        (GWEI, "0.000000001 ETH"),
        (ETHER // 100, "0.01 ETH"),
        (12_345 * ETHER + 1, "12,345.000000000000000001 ETH"),
    ],
)
def test_ether__any_sum__loses_nothing(wei, text):
    assert ether(wei) == text
    assert parse_amount(text.replace(",", "")) == wei
