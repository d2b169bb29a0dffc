"""The host's side of an enclave: which packages, inputs and questions it hands over."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.jobs import BOB, Story, digest

from cloister.chain.models import Offering, RegisteredCircuit, Version
from cloister.domain.answer import CannotServe, CiphertextMissing, RefusalReason
from cloister.domain.ids import BlobId
from cloister.domain.job import fold
from cloister.enclave.errors import ModelRefused
from cloister.fixedpoint import load_package
from cloister.host import CHUNK, EnclaveInference, Packages, chunks
from cloister.sealing.deposits import BrokerKey
from cloister.sealing.package import seal_package
from cloister.storage.blobs import BlobStore, BlobStores

PACKAGE = load_package(Path(__file__).parents[2] / "models" / "breast-cancer")
SEALED = seal_package(PACKAGE, 1, [BrokerKey.from_secret(bytes(32)).public])
STORY = Story()
CIRCUIT = RegisteredCircuit(1, digest("circuit"), digest("weights"))


class Inside:
    """An enclave that says yes, and remembers what it was given."""

    def __init__(self):
        self.versions, self.given, self.refuses = set(), [], False

    def load(self, version, owner, manifest, weights):
        if self.refuses:
            raise ModelRefused("Wrong.")
        self.given.append((owner, manifest, b"".join(weights)))
        self.versions.add(version)

    def loaded(self):
        return frozenset(self.versions)

    def answer(self, job, ciphertext, *, open_version, key_epochs):
        return "answer", job.job_id, ciphertext, open_version, key_epochs

    def prove(self, job, ciphertext, circuit, *, open_version, key_epochs):
        return "proof", job.job_id, ciphertext, circuit, open_version, key_epochs


@pytest.fixture
def world(tmp_path):
    inside, blobs = Inside(), BlobStores([BlobStore(str(tmp_path / "blobs"), max_size=1 << 24)])
    made = SimpleNamespace(inside=inside, blobs=blobs, revision=0, manifest=PACKAGE.digest, circuit=CIRCUIT, removed=())

    def version_of(version):
        return Version(version, BOB, 1, 0, Offering.EXACT, BlobId(made.manifest), "", bytes(32), made.revision)

    made.packages = Packages(inside, version_of, blobs)
    made.inference = EnclaveInference(
        inside, made.packages, blobs, lambda _version: made.circuit, lambda n: n in made.removed, 1, lambda: (3, 2)
    )
    for package in (PACKAGE, SEALED):
        for blob in (*package.blobs(), package.manifest_bytes):
            blobs.put(blob)
    return made


def delivered(ciphertext=b"ciphertext"):
    job = fold([STORY.requested(), STORY.delivered()])
    request = replace(job.request, ciphertext_hash=BlobId(sha256(ciphertext).digest()), ciphertext_size=len(ciphertext))
    return replace(job, request=request)


def test_answer__open_version__is_loaded_once_and_told_the_registered_epochs(world):
    job = delivered()
    world.blobs.put(b"ciphertext")
    assert world.inference.answer(job) == ("answer", job.job_id, b"ciphertext", True, (3, 2))
    world.inference.answer(job)
    assert world.inside.given == [(BOB, PACKAGE.manifest_bytes, PACKAGE.weights_bytes)]


def test_answer__version_with_a_policy__names_no_epoch_of_the_permanent_key(world):  # PROMPT-1
    world.revision = 1
    world.blobs.put(b"ciphertext")
    assert world.inference.answer(delivered())[3:] == (False, ())


def test_answer__published_ciphertext__is_taken_from_the_chain(world):
    job = replace(delivered(), ciphertext=b"published")
    assert world.inference.answer(job)[2] == b"published"


def test_answer__no_store_has_the_ciphertext__says_so(world):
    with pytest.raises(CiphertextMissing):
        world.inference.answer(delivered())


def test_answer__sealed_model_whose_key_is_not_here__is_refused_and_nothing_handed_over(world):
    world.manifest, world.revision = SEALED.digest, 1
    with pytest.raises(CannotServe, match="key of model version") as caught:
        world.inference.answer(delivered())
    assert caught.value.reason is RefusalReason.MODEL_UNAVAILABLE
    assert world.inside.given == []


@pytest.mark.parametrize("problem", ["missing", "refused"])
def test_answer__package_that_cannot_be_used__is_refused_with_the_reason(world, problem):
    world.inside.refuses = problem == "refused"
    if problem == "missing":
        world.manifest = digest("nowhere")
    with pytest.raises(CannotServe) as caught:
        world.inference.answer(delivered())
    assert caught.value.reason is RefusalReason.MODEL_UNAVAILABLE


def test_hand_over__sealed_package__is_its_ciphertext(world):
    world.manifest = SEALED.digest
    world.packages.hand_over(world.packages._version_of(STORY.request.version))
    assert world.inside.given == [(BOB, SEALED.manifest_bytes, SEALED.weights)]


def test_prove__registered_circuit__goes_with_the_question(world):
    job = delivered()
    world.blobs.put(b"ciphertext")
    assert world.inference.prove(job) == ("proof", job.job_id, b"ciphertext", CIRCUIT, True, (3, 2))


@pytest.mark.parametrize(
    ("circuit", "removed", "reason"),
    [
        (None, (), RefusalReason.MODEL_UNAVAILABLE),
        (CIRCUIT, (1,), RefusalReason.MODEL_UNAVAILABLE),
        (replace(CIRCUIT, verifier=2), (), RefusalReason.OTHER),
    ],
)
def test_prove__no_verifier_that_it_trusts__is_refused_before_anything_is_handed_over(world, circuit, removed, reason):
    world.circuit, world.removed = circuit, removed
    with pytest.raises(CannotServe) as caught:
        world.inference.prove(delivered())
    assert caught.value.reason is reason
    assert world.inside.given == []


@pytest.mark.parametrize("length", [0, 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_chunks__any_length__join_to_the_same_and_fit_a_frame(length):
    data = bytes(length)
    pieces = list(chunks(data))
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= CHUNK for piece in pieces)
