"""Damaged proofs: mutations.py makes them, and runs the full campaign of 100,000 by hand."""

import os

from mutations import bases, campaign

COUNT = int(os.environ.get("MATRIX_MUTATIONS", "2000"))


def test_layout__every_base__ends_where_the_proof_does():
    for of in bases():
        assert of.pieces[-1].end == len(of.proof) == len(of.other)
        assert all(a.end == b.start for a, b in zip(of.pieces, of.pieces[1:], strict=False))
        assert [piece.step for piece in of.pieces] == sorted(piece.step for piece in of.pieces)


def test_verify__mutants__none_accepted_and_no_error_but_InvalidProof():  # noqa: N802
    found = campaign(COUNT, seed=f"unit {COUNT}")
    assert not found.accepted
    assert not found.crashed
    assert found.read > COUNT / 2, "too many die before the last check"
