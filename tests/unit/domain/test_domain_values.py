"""Requests, levels and identifiers as text."""

import pytest

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed, unhexed
from cloister.domain.request import Assurance, Level


@pytest.mark.parametrize("text", ["agreed(3,2)", "AGREED(3, 2)", " Agreed ( 3 , 2 ) "])
def test_parse__ways_to_write_it__all_work(text):
    assert Assurance.parse(text) == Assurance(Level.AGREED, 3, 2)


@pytest.mark.parametrize("text", ["proved", "PROVED", " Proved ", "proved(1,1)"])
def test_parse__proved__has_one_seat(text):
    assert Assurance.parse(text) == Assurance(Level.PROVED, 1, 1)
    assert Assurance.parse(text).proved
    assert str(Assurance.parse(text)) == "PROVED"


@pytest.mark.parametrize(("seats", "quorum"), [(2, 1), (2, 2), (3, 2), (1, 0), (0, 0)])
def test_assurance__proved_with_another_committee__raises(seats, quorum):  # JOB-3
    with pytest.raises(InvalidInput, match="one seat"):
        Assurance(Level.PROVED, seats, quorum)


def test_parse__its_own_text__gives_the_same():
    assert Assurance.parse(str(Assurance(Level.AGREED, 15, 8))) == Assurance(Level.AGREED, 15, 8)


@pytest.mark.parametrize(
    "text",
    ["", "agreed", "agreed()", "agreed(3)", "agreed(3,2,1)", "agreed(a,b)", "(3,2)", "better(3,2)", "agreed(3,2", "3,2",
     "agreed(3,2))", "agreed((3,2)", "agreed(3.0,2)", "agreed(3,2)x"],
)  # fmt: skip
def test_parse__nonsense__says_how_to_write_it(text):
    with pytest.raises(InvalidInput, match=r"agreed\(3,2\)|seats"):
        Assurance.parse(text)


@pytest.mark.parametrize("text", ["split(3,2)"])
def test_parse__level_that_has_not_landed__says_so(text):  # JOB-4
    with pytest.raises(InvalidInput, match="not available"):
        Assurance.parse(text)


@pytest.mark.parametrize(("seats", "quorum"), [(1, 1), (16, 9), (3, 1), (4, 2), (3, 4), (0, 0), (-3, -2), (2, 1)])
def test_assurance__committee_that_the_market_refuses__raises(seats, quorum):  # JOB-3
    with pytest.raises(InvalidInput, match="committee"):
        Assurance(Level.AGREED, seats, quorum)


def test_assurance__every_committee_that_the_market_takes__is_taken():  # JOB-3
    for seats in range(2, 16):
        for quorum in range(1, 17):
            legal = quorum <= seats < 2 * quorum
            try:
                Assurance(Level.AGREED, seats, quorum)
                assert legal
            except InvalidInput:
                assert not legal


@pytest.mark.parametrize(
    "text", ["0x", "0x1234", "zz" * 32, "0x" + "00" * 33, "0x" + " " * 64, "0x" + "0 " * 32, "0x" + "00" * 31 + " 0"]
)
def test_unhexed__not_32_bytes__names_what_and_raises(text):
    with pytest.raises(InvalidInput, match="job id"):
        unhexed(text, "job id")


def test_unhexed__hexed__round_trips():
    assert unhexed(hexed(bytes(range(32))), "job id") == bytes(range(32))
    assert unhexed("AB" * 20, "address", 20) == b"\xab" * 20
