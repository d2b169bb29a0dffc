"""The Fiat-Shamir transcript: docs/spec/proofs.md, section 8."""

import contextlib
import dataclasses

import numpy as np
import pytest
from reference import matrix_points
from reference.matrix_proof import examine
from scenes import IMAGE, MLP, R, fast_statement, tiny_range
from support.plain_prover import Prover

from cloister.proving import InvalidProof, Kind, Statement, Values, verify
from cloister.proving.messages import decode_messages
from cloister.proving.statement import decode_statement, input_digest, output_digest
from cloister.proving.transcript import Transcript
from cloister.proving.verifier import draw_z, verify_messages


@pytest.fixture
def drawn(monkeypatch):
    """(messages absorbed before, number, value) of every challenge that anybody draws."""
    log, absorbed, challenge = [], Transcript.absorb, Transcript.challenge

    def absorb(self, message):
        self.count = getattr(self, "count", 0) + 1
        absorbed(self, message)

    def draw(self, index=0):
        value = challenge(self, index)
        log.append((getattr(self, "count", 0), index, value))
        return value

    monkeypatch.setattr(Transcript, "absorb", absorb)
    monkeypatch.setattr(Transcript, "challenge", draw)
    return log


def challenges_of(drawn, statement, messages):
    """What the verifier draws for these messages, whether it accepts them or not."""
    drawn.clear()
    with contextlib.suppress(InvalidProof):
        verify_messages(statement, messages)
    return list(drawn)


def with_inverse(drawn, statement, messages):
    """The messages with 1/z as the verifier wants it, so that it goes on to the end."""
    *_, (step, _, z) = [
        entry for entry in challenges_of(drawn, statement, messages) if entry[0] <= statement.variables + 3
    ]
    assert step == statement.variables + 3
    return dataclasses.replace(messages, opening=dataclasses.replace(messages.opening, z_inverse=pow(z, -1, R)))


def split(run):
    statement, rest = decode_statement(run.proof, run.context)
    return statement, decode_messages(rest, statement)


# ---------------------------------------------------------------- the schedule


@pytest.mark.parametrize("scene", [MLP, MLP.given(input_kind=0, output_kind=2), IMAGE, tiny_range()])
def test_verify__accepted_proof__draws_what_section_8_says(drawn, scene):
    run = Prover(scene).run()
    found = examine(*run.statement.digests(), run.context, run.proof)
    n = len(found.tau)
    expected = [(1, i, value) for i, value in enumerate([*found.tau, found.lam, found.delta])]
    expected += [(2 + i, 0, value) for i, value in enumerate(found.rho)]
    expected += [(n + 2, 0, found.mu), (n + 3, 0, found.z), (n + 4, 0, found.gamma), (n + 5, 0, found.omega)]
    drawn.clear()
    verify(run.proof, run.context)
    assert drawn == expected


def test_transcript__random_words__state_and_challenges_as_the_page_has_them():
    words = [bytes([i]) * 32 for i in range(1, 6)]
    ours = Transcript(
        context=words[0], circuit=words[1], weights=words[2], inputs=words[3], outputs=words[4], batch_bits=5
    )
    name = matrix_points.keccak(b"cloister/matrix-proof/2")
    theirs = matrix_points.Transcript(name + b"".join(words) + (5).to_bytes(32, "big"))
    for message in (b"", b"one", bytes(200)):
        ours.absorb(message)
        theirs.absorb(message)
        assert ours.challenges(4) == tuple(theirs.challenges(0, 4))
        assert ours.challenge() == ours.challenge(0) == theirs.challenge(0)
    assert all(value < R for value in ours.challenges(50))


# ---------------------------------------------------------------- PROOF-4


def statement(**kinds) -> Statement:
    return fast_statement(Prover(MLP.given(**kinds)))


def changed(values: Values, **what) -> Values:
    return dataclasses.replace(values, **what)


def moved(points: bytes) -> bytes:
    return points[:-1] + bytes([points[-1] ^ 1])


def more(words):
    return (words[0] + 1, *words[1:])


COMMITTED, PUBLIC, MASKED = statement(), statement(input_kind=0, output_kind=0), statement(output_kind=2)
BASES = {"committed": COMMITTED, "public": PUBLIC, "masked": MASKED}
CHANGES = {
    "context": lambda s: {"context": bytes(32)},
    "circuit": lambda s: {"circuit": dataclasses.replace(s.circuit, shift=s.circuit.shift + 1)},
    "weights": lambda s: {"weights": moved(s.weights)},
    "batch size": lambda s: {"batch_bits": s.batch_bits + 1},
    "input points": lambda s: {"inputs": changed(s.inputs, points=moved(s.inputs.points or b"\0"))},
    "input words": lambda s: {"inputs": changed(s.inputs, words=more(s.inputs.words or (0,)))},
    "input kind": lambda s: {"inputs": changed(s.inputs, kind=Kind(1 - s.inputs.kind))},
    "output points": lambda s: {"outputs": changed(s.outputs, points=moved(s.outputs.points or b"\0"))},
    "output words": lambda s: {"outputs": changed(s.outputs, words=more(s.outputs.words or (0,)))},
    "output kind": lambda s: {"outputs": changed(s.outputs, kind=Kind((s.outputs.kind + 1) % 3))},
}


@pytest.mark.parametrize("base", BASES)
def test_transcript__any_public_value_changed__other_challenges(base):
    """PROOF-4."""
    first = BASES[base].transcript()
    states = [first.state]
    for name, change in CHANGES.items():
        if "kind" in name and base != "committed":
            continue  # public integers and masked words differ in size too
        other = dataclasses.replace(BASES[base], **change(BASES[base])).transcript()
        assert not set(other.challenges(8)) & set(first.challenges(8))
        states.append(other.state)
    assert len(states) == len(set(states))


@pytest.mark.parametrize("kind", ["input", "output"])
def test_transcript__every_single_public_word_changed__other_challenges(kind):
    """PROOF-4."""
    name = f"{kind}s"
    values = getattr(PUBLIC, name)
    states = {PUBLIC.transcript().state}
    for i, word in enumerate(values.words):
        words = (*values.words[:i], word + 1, *values.words[i + 1 :])
        states.add(dataclasses.replace(PUBLIC, **{name: changed(values, words=words)}).transcript().state)
    assert len(states) == len(values.words) + 1


def test_digests__same_numbers_in_another_role__other_digests():
    """A commitment is not taken for public numbers, nor one kind for another, nor two rows for four."""
    points = MASKED.outputs.points
    roles = [
        Values.committed(points),
        Values.masked(points, [0]),
        Values(Kind.MASKED, points),
        Values.public(np.array([[0]])),
        Values(Kind.MASKED, b"", (0,)),
        Values(Kind.PUBLIC),
        Values(Kind.COMMITTED),
    ]
    digests = [output_digest(values) for values in roles]
    digests += [input_digest(values, batch_bits) for values in roles for batch_bits in (0, 1, 2)]
    assert len(set(digests)) == 4 * len(roles)


# ---------------------------------------------------------------- messages


def replaced_messages(run):
    """(step, messages with one of that step changed)."""
    given, messages = split(run)
    commitments, opening = messages.commitments, messages.opening
    other = commitments.mask + commitments.mask
    bits = list(commitments.bits)
    for i in range(len(bits)):
        changed_bits = tuple(point + other if i == j else point for j, point in enumerate(bits))
        yield 1, dataclasses.replace(messages, commitments=dataclasses.replace(commitments, bits=changed_bits))
    yield 1, dataclasses.replace(messages, commitments=dataclasses.replace(commitments, mask=other))
    for i, message in enumerate(messages.rounds):
        for j in range(len(message.coefficients)):
            coefficients = tuple((a + (j == k)) % R for k, a in enumerate(message.coefficients))
            rounds = list(messages.rounds)
            rounds[i] = dataclasses.replace(message, coefficients=coefficients)
            yield 2 + i, dataclasses.replace(messages, rounds=tuple(rounds))
    n, values = given.variables, messages.values
    for name in ("g_input", "g_hidden", "bias", "x", "y"):
        more_of_it = dataclasses.replace(values, **{name: (getattr(values, name) + 1) % R})
        yield n + 2, dataclasses.replace(messages, values=more_of_it)
    for k in range(len(values.bits)):
        new = tuple((value + (j == k)) % R for j, value in enumerate(values.bits))
        yield n + 2, dataclasses.replace(messages, values=dataclasses.replace(values, bits=new))
    yield n + 3, dataclasses.replace(messages, opening=dataclasses.replace(opening, s=other))
    yield n + 4, dataclasses.replace(messages, opening=dataclasses.replace(opening, a1=(opening.a1 + 1) % R))
    yield n + 5, dataclasses.replace(messages, opening=dataclasses.replace(opening, w=other))


def test_verify__any_message_changed__every_later_challenge_is_another(drawn):
    run = Prover(MLP).run()
    given, messages = split(run)
    honest = challenges_of(drawn, given, messages)
    for step, other in replaced_messages(run):
        found = challenges_of(drawn, given, with_inverse(drawn, given, other))
        assert [entry[:2] for entry in found] == [entry[:2] for entry in honest]
        for before, after in zip(honest, found, strict=True):
            assert (before == after) == (before[0] < step)


def test_verify__context_changed__every_challenge_is_another(drawn):
    run = Prover(MLP).run()
    given, messages = split(run)
    honest = challenges_of(drawn, given, messages)
    other = dataclasses.replace(given, context=bytes(32))
    found = challenges_of(drawn, other, with_inverse(drawn, other, messages))
    assert all(a[2] != b[2] for a, b in zip(honest, found, strict=True))


def test_verify__1_over_z_changed__refused_before_another_challenge_is_drawn(drawn):
    run = Prover(MLP).run()
    given, messages = split(run)
    honest = challenges_of(drawn, given, messages)
    for value in (0, 1, messages.opening.z_inverse + 1, R - messages.opening.z_inverse):
        other = dataclasses.replace(messages.opening, z_inverse=value)
        assert challenges_of(drawn, given, dataclasses.replace(messages, opening=other)) == honest[:-2]
        with pytest.raises(InvalidProof, match="1/z"):
            verify_messages(given, dataclasses.replace(messages, opening=other))


# ---------------------------------------------------------------- PROOF-5


@pytest.mark.parametrize("z", [0, 1, R - 1])
def test_draw_z__no_two_points__refused(monkeypatch, z):
    """PROOF-5: z = 0, z² = 1."""
    given, messages = split(Prover(MLP).run())
    monkeypatch.setattr(Transcript, "challenge", lambda self, index=0: z)
    with pytest.raises(InvalidProof, match="challenge z"):
        draw_z(given.transcript(), messages.opening.s)


@pytest.mark.parametrize("z", [2, R - 2])
def test_draw_z__two_points__drawn(monkeypatch, z):
    given, messages = split(Prover(MLP).run())
    monkeypatch.setattr(Transcript, "challenge", lambda self, index=0: z)
    assert draw_z(given.transcript(), messages.opening.s) == z
