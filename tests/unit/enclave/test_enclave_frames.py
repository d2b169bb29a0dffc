"""Frames and messages: whatever comes in, the answer is a FrameError and bounded memory."""

import random
import resource
import socket
import threading
import time
from dataclasses import fields

import cbor2
import pytest
from support.enclaves import MARKET, OWNER, a_job, open_model

from cloister.domain.ids import JobId, VersionId
from cloister.enclave import messages as m
from cloister.enclave.cbor import MAX_VALUES, decoded, encoded
from cloister.enclave.errors import ChannelClosed, FrameError
from cloister.enclave.frames import MAX_FRAME, Channel
from cloister.fixedpoint import load_heldout

HASH, SIGNATURE, VERSION = b"\x07" * 32, b"\x08" * 65, VersionId(b"\x09" * 32)


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    with one, other:
        yield Channel(one), other


@pytest.fixture(scope="module")
def request_of_a_job():
    model = open_model()
    from support.enclaves import MODELS

    job, _ = a_job(model, load_heldout(MODELS / "breast-cancer").rows[:1], b"\x09" + bytes(31))
    return job.request


@pytest.fixture(scope="module")
def every_message(request_of_a_job):
    job = (request_of_a_job, b"sealed", True, (3, 2))
    protections = (("seccomp", True, "held"),)
    return [
        m.Start(31337, MARKET, MARKET, MARKET, OWNER, ("namespaces",)),
        m.NewPromptKey(1, 2000, 1000),
        m.Tick(1000),
        m.Expect(VERSION, OWNER, b"manifest", True),
        m.BeginRelease(VERSION, HASH),
        m.AddShare(VERSION, b"evidence", 3, 1, b"sealed"),
        m.Weights(VERSION, b"weights", False),
        m.Enrol(VERSION, 3),
        m.Ciphertext(b"piece", True),
        m.Work(*job, b"ciphertext"),
        m.Prove(*job, HASH, HASH, True, b"ciphertext"),
        m.Forget(VERSION),
        m.Loaded(),
        m.Started(protections, HASH, OWNER),
        m.NotProtected(protections),
        m.PromptKeyMade(HASH, SIGNATURE),
        m.Forgotten((1, 2), (VERSION,)),
        m.ReleaseKey(bytes(1216), bytes(64)),
        m.SharesNeeded(2),
        m.Done(),
        m.Signed(SIGNATURE),
        m.Answered(HASH, HASH, HASH, b"sealed", SIGNATURE),
        m.Proved(HASH, HASH, HASH, b"masked", b"proof", SIGNATURE),
        m.Proved(HASH, HASH, HASH, b"masked", b"proof", b""),
        m.Proving(JobId(HASH)),
        m.InputWanted(),
        m.Declined(4, "no", SIGNATURE),
        m.Versions((VERSION,)),
        m.Rejected("model", "no", "try again"),
        m.Failed(),
    ]


# ------------------------------------------------------------------ frames


def test_channel__frame__arrives_as_it_was_sent(ends):
    channel, other = ends
    for payload in (b"x", b"y" * 70_000):
        threading.Thread(target=Channel(other).send, args=(payload,)).start()
        assert channel.receive(5) == payload


def test_receive__long_and_short_frames_in_turn__are_each_whole(ends):
    channel, other = ends
    payloads = [bytes([number]) * length for number, length in enumerate((3, 70_000, 5, 1 << 21, 7))]
    thread = threading.Thread(target=lambda: [Channel(other).send(payload) for payload in payloads])
    thread.start()
    assert [bytes(channel.receive(5)) for _ in payloads] == payloads
    thread.join()


@pytest.mark.parametrize("payload", [b"", bytes(MAX_FRAME + 1)])
def test_send__length_that_no_frame_has__is_refused_before_anything_is_sent(ends, payload):
    channel, other = ends
    with pytest.raises(FrameError):
        channel.send(payload)
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 2**31, 2**32 - 1])
def test_receive__announced_length_out_of_range__is_refused_without_taking_memory(ends, length):
    channel, other = ends
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    other.sendall(length.to_bytes(4))
    with pytest.raises(FrameError, match="announces"):
        channel.receive(5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 << 10  # KiB


@pytest.mark.parametrize("sent", [b"\x00", b"\x00\x00\x00", b"\x00\x00\x00\x05abcd"])
def test_receive__frame_cut_by_the_end__is_an_error(ends, sent):
    channel, other = ends
    other.sendall(sent)
    other.close()
    with pytest.raises(FrameError, match="ends after"):
        channel.receive(5)


def test_receive__end_between_frames__says_that_the_other_is_gone(ends):
    channel, other = ends
    other.close()
    with pytest.raises(ChannelClosed):
        channel.receive(5)


def test_receive__other_side_that_drips__is_given_up_after_the_time_for_the_whole_frame(ends):
    channel, other = ends
    other.sendall((1000).to_bytes(4))
    stop = threading.Event()

    def drip():
        while not stop.wait(0.02):
            other.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    with pytest.raises(FrameError, match="in time"):
        channel.receive(0.2)
    assert time.monotonic() - began < 1
    stop.set()
    thread.join()


def test_send__nobody_reads__is_given_up(ends):
    channel, _ = ends
    with pytest.raises(FrameError, match="takes no frame"):
        channel.send(bytes(MAX_FRAME), timeout=0.1)


# ------------------------------------------------------------------ CBOR


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x18\x05",  # 5 in two bytes
        b"\x19\x00\xff",
        b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x20",  # -1
        b"\xa0",  # a map
        b"\xc2\x41\x01",  # a tag
        b"\xd8\x1c\x80",  # a shared value
        b"\xf6",  # null
        b"\xfb" + bytes(8),  # a float
        b"\x9f\xff",  # a list without a length
        b"\x5f\xff",
        b"\x1c",
        b"\x00\x00",  # two values
        b"\x61\xff",  # no UTF-8
        b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 100_000,
        b"\x9a\x00\x40\x00\x00" + bytes(1 << 22),  # four million numbers
    ],
    ids=lambda data: data[:6].hex(),
)
def test_decoded__what_no_message_has__is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        decoded(data)


def test_decoded__what_cbor2_writes__is_read_alike():
    rng = random.Random(1)

    def value(depth):
        kind = rng.randrange(5 if depth else 4)
        return (
            rng.getrandbits(rng.choice((4, 8, 16, 32, 64)))
            if kind == 0
            else rng.randbytes(rng.randrange(300))
            if kind == 1
            else "ä" * rng.randrange(30)
            if kind == 2
            else rng.random() < 0.5
            if kind == 3
            else [value(depth - 1) for _ in range(rng.randrange(4))]
        )

    for _ in range(2_000):
        given = value(3)
        assert decoded(cbor2.dumps(given)) == given


def test_encoded__what_messages_have__is_what_cbor2_writes():
    numbers = [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**64 - 1]
    texts = [length * "x" for length in (0, 23, 24, 255, 256, 70_000)]
    octets = [text.encode() for text in texts]
    given = [numbers, texts, octets, [True, False], [[], [[]]]]
    assert encoded(given) == cbor2.dumps(given)
    assert encoded([memoryview(octets[3]), bytearray(octets[4])]) == cbor2.dumps(octets[3:5])


@pytest.mark.parametrize("value", [-1, 2**64, 1.5, None, {}, (1,), [None]])
def test_encoded__what_no_message_has__is_refused(value):
    with pytest.raises(ValueError, match="no message has"):
        encoded(value)


def test_decoded__more_values_than_any_message_has__are_refused():
    assert len(decoded(cbor2.dumps([0] * (MAX_VALUES - 1)))) == MAX_VALUES - 1
    with pytest.raises(ValueError, match="too many"):
        decoded(cbor2.dumps([[0] * (MAX_VALUES // 2), [0] * (MAX_VALUES // 2)]))


# ------------------------------------------------------------------ messages


def test_messages__all_kinds__come_back_as_they_were_sent(every_message):
    assert {type(message) for message in every_message} == set(m.QUESTIONS.values()) | set(m.ANSWERS.values())
    for message in every_message:
        read = m.question_of if type(message).__name__ in m.QUESTIONS else m.answer_of
        assert read(m.encoded(message)) == message


def test_messages__question_for_an_answer__is_refused_both_ways(every_message):
    for message in every_message:
        wrong = m.answer_of if type(message).__name__ in m.QUESTIONS else m.question_of
        with pytest.raises(FrameError, match="no kind that is expected"):
            wrong(m.encoded(message))


def test_messages__each_field_of_another_type_or_length__is_refused(every_message):
    tried = 0
    for message in every_message:
        read = m.question_of if type(message).__name__ in m.QUESTIONS else m.answer_of
        parts = cbor2.loads(m.encoded(message))
        for index in range(1, len(parts)):
            for strange in (None, -1, 2**64 - 1, 1.5, b"", b"z" * (3 << 20), "z" * 4000, True, [[]], {}, [0] * 5000):
                if _fits(parts[index], strange, fields(message)[index - 1].name):
                    continue
                changed = cbor2.dumps([*parts[:index], strange, *parts[index + 1 :]])
                with pytest.raises(FrameError) as refused:
                    read(changed)
                assert "zzzz" not in str(refused.value)
                tried += 1
        for count in ([*parts, 0], parts[:-1] if len(parts) > 1 else [*parts, parts]):
            with pytest.raises(FrameError):
                read(cbor2.dumps(count))
    assert tried > 500


def _fits(sound, strange, name):
    """Whether the strange value is a right one: empty bytes where there may be none, true for a flag."""
    may_be_empty = name in (
        "chunk",
        "ciphertext",
        "evidence",
        "sealed_key",
        "sealed_output",
        "masked",
        "proof",
        "signature",
    )
    return (isinstance(sound, bool) and isinstance(strange, bool)) or (strange == b"" and may_be_empty)


def test_messages__address_without_a_checksum__comes_back_with_it():
    lower = m.Forget(VERSION), m.Enrol(VERSION, 1)
    assert m.question_of(m.encoded(lower[0])) == lower[0]
    expect = m.Expect(VERSION, OWNER.lower(), b"", True)
    assert m.question_of(m.encoded(expect)).owner == OWNER


@pytest.mark.parametrize("message", [m.Tick(-1), m.Tick(2**40), m.Forget(VersionId(b"short")), m.Tick("now")])
def test_encoded__malformed_field__is_refused_before_it_is_sent(message):
    with pytest.raises(FrameError):
        m.encoded(message)


def test_messages__ten_thousand_malformed_frames__give_clear_errors_in_bounded_memory(every_message):
    rng, sound = random.Random(7), [m.encoded(message) for message in every_message]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = []
    for _ in range(10_000):
        data = bytearray(rng.choice(sound))
        kind = rng.randrange(5)
        if kind == 0:
            data = data[: rng.randrange(len(data))]
        elif kind == 1:
            data += rng.randbytes(rng.randrange(1, 9))
        elif kind == 2:
            data = bytearray(rng.randbytes(rng.randrange(1, 200)))
        else:
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        for read in (m.question_of, m.answer_of):
            try:
                read(bytes(data))
            except FrameError as error:
                refused.append(error.message)
    assert len(refused) > 14_000
    assert all(message.startswith("A message between host and enclave is refused") for message in refused)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
