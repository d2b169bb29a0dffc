"""Weights, inputs, outputs and the keys to them, sought wherever a host could have them: none is there (HOST-1).

The same search in the same run finds those of an open model that a worker without an enclave runs: without this, a
search that finds nothing would prove nothing. Left out are the enclaves themselves and the requester, this very
process. What crosses a host's socket to its enclave is written down by the host (support/teeing_worker.py), since
nothing outside sees it.
"""

import os
import sys
import threading
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from support.canaries import Search, forms_of_bytes, forms_of_integers
from support.captures import (
    Wire,
    chain_data,
    enclave_of,
    family,
    files_below,
    may_read_memory,
    may_see_packets,
    memory_of,
    outside_enclave,
)
from torch import nn

import cloister
from cloister.broker.licences import Licence
from cloister.devnet.testnet import Testnet
from cloister.domain.attested import Policy, TcbStatus
from cloister.domain.request import Assurance
from cloister.fixedpoint import Arithmetic, InputSpec, package_model
from cloister.proving import with_circuit
from cloister.sealing.keys import JobSecrets, WorkerKeys
from cloister.storage.keyfile import LIGHT
from cloister.storage.keystore import Secrets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into processes through /proc")
Testnet.__test__ = False  # pytest would take the name for a collection of tests
CODE = Path(f"{Path(__file__).resolve().parents[1]}{os.pathsep}{Path(cloister.__file__).parents[1]}")
"""Where the teeing worker is, and the code that is tested."""
SECONDS = 240.0
"""Longest wait for anything, on a busy machine."""
PRICE = 10**15
INPUTS, HIDDEN, OUTPUTS = 48, 32, 16
ARITHMETIC = Arithmetic(t=12, f=8, s=8)
LEVELS = ("attested", "agreed(2,2)", "proved")
ROWS = 4
OPEN = "open"
"""In the names of what everybody may see."""
PLACES = ("memory", "files", "chain", "wire", "frames")
ANYBODY = Licence.from_json('[{"name": "all", "workers": "any", "releases": null, "from": 0, "until": null}]')


def random_model(seed):
    """A network whose weights are random integers, so that each window of them is found nowhere else."""
    generator = np.random.default_rng(seed)
    network = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, OUTPUTS))
    layers = {"first": (network[0], 1 << 11), "second": (network[2], 1 << 5)}
    weights = {}
    for name, (layer, limit) in layers.items():
        drawn = generator.integers(-limit, limit, tuple(layer.weight.shape))
        layer.weight.data = torch.from_numpy(drawn / 2**ARITHMETIC.s).to(torch.float32)
        weights[name] = drawn
    bound = 2**ARITHMETIC.t
    spec = InputSpec(shape=(INPUTS,), mean=("0",), scale=("1",), low=(-bound,), high=(bound - 1,))
    labels = [f"label-{number}" for number in range(OUTPUTS)]
    package = with_circuit(
        package_model(network, name=f"random-{seed}", labels=labels, input_spec=spec, arithmetic=ARITHMETIC)
    )
    assert (package.tensor("stage1.term0.weight") == weights["first"]).all()
    return package


def random_rows(seed):
    bound = 2**ARITHMETIC.t
    return np.random.default_rng(seed).integers(-bound, bound, (ROWS, INPUTS))


class Seen:
    """What was found in each kind of place, and where."""

    def __init__(self, search):
        self.search = search
        self.where = {place: defaultdict(set) for place in PLACES}
        self.bytes = dict.fromkeys(PLACES, 0)

    def look(self, place, where, data):
        self.bytes[place] += len(data)
        for name in self.search.names_in(data):
            self.where[place][name].add(where)

    def look_into(self, name, pid):
        for part in memory_of(pid):
            self.look("memory", name, part)

    def names(self, place, about):
        return sorted(name for name in self.where[place] if name.startswith(about))


@contextmanager
def watched(seen, processes):
    """Looks into the memory of processes over and over, while something goes on."""
    stop, failed, rounds = threading.Event(), [], []

    def watch():
        try:
            while not stop.is_set():
                for name, pid in processes():
                    seen.look_into(name, pid)
                rounds.append(1)
        except Exception as error:  # noqa: BLE001  told below
            failed.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join()
    assert failed == []


class Market:
    """A testnet with two enclaves and one worker without, a client, a sealed model and an open one."""

    def __init__(self, stack, folder, frames):
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("TEED_FRAMES", str(frames))
        self.net = stack.enter_context(Testnet(folder, block_time=0.2))
        self.wire = stack.enter_context(Wire({urlsplit(self.net.node.url).port})) if may_see_packets() else None
        self.net.add_brokers(2)
        if self.wire is not None:
            self.wire.ports |= {urlsplit(broker.url).port for broker in self.net.brokers}
        for _ in range(2):
            self.net.add_worker(module=("support.teeing_worker",), code=CODE)
        self.net.enclaves = False
        stake = 5_000 * 10**18  # so much that it is in every committee
        self.plain = self.net.add_worker("plain", stake=stake, module=("support.teeing_worker",), code=CODE)
        self.net.start()
        self.client = stack.enter_context(self.net.client())
        self.sealed_package, self.open_package = random_model(1), random_model(2)
        self.attachment = np.random.default_rng(3).bytes(64)
        self.sealed = self.net.seal(self.sealed_package, 2, {"training.json": self.attachment})
        self.inputs = {level: random_rows(number) for number, level in enumerate((*LEVELS, OPEN), start=10)}
        self.jobs = {}

    def values(self):
        """What is sought from the first moment on."""
        sought = {
            "secret first weights": forms_of_integers(self.sealed_package.tensor("stage1.term0.weight")),
            "secret second weights": forms_of_integers(self.sealed_package.tensor("stage2.term0.weight")),
            "secret salt of the weights": forms_of_bytes(self.sealed_package.salt),
            "secret attachment": forms_of_bytes(self.attachment),
            "secret data key": forms_of_bytes(self.sealed.data_key),
            "open first weights": forms_of_integers(self.open_package.tensor("stage1.term0.weight")),
            "open salt of the weights": forms_of_bytes(self.open_package.salt),
            "open input": forms_of_integers(self.inputs[OPEN]),
            "open output": forms_of_integers(self.open_package.run(self.inputs[OPEN])),
            "open key of the worker": forms_of_bytes(self.worker_key()),
        }
        for level in LEVELS:
            sought[f"secret input, {level}"] = forms_of_integers(self.inputs[level])
            sought[f"secret output, {level}"] = forms_of_integers(self.sealed_package.run(self.inputs[level]))
        return sought

    def worker_key(self):
        """What inputs for the worker without an enclave are sealed to; it has no prompt keys."""
        password = (self.net.folder / "password").read_text().strip()
        secret = Secrets(self.plain.folder / "worker-keys", kdf=LIGHT).load(self.plain.address, 0, password)
        return WorkerKeys.from_secret(secret).hpke_private_key

    def keys(self):
        """The keys of each job, which are known once it was requested, and what is public of it."""
        sought = {}
        for level, job_id in self.jobs.items():
            stored = self.client.journal.request(job_id)
            derived = JobSecrets.from_root(self.client.vault.open(stored.sealed_root, job_id))
            about = OPEN if level == OPEN else "secret"
            for key in ("job_secret", "response_private_key", "output_secret"):
                sought[f"{about} {key}, {level}"] = forms_of_bytes(getattr(derived, key))
            ciphertext = self.client.job(job_id).request.ciphertext_hash
            sought[f"public ciphertext hash, {level}"] = forms_of_bytes(ciphertext)
        return sought

    def work(self):
        """Publishes both models, has keys released, and runs a job at each level and one for the open model."""
        net, client = self.net, self.client
        policy = Policy((net.measurement,), frozenset({TcbStatus.UP_TO_DATE}), development=True)
        version = client.publisher.publish_provable(self.sealed_package, PRICE, policy=policy, sealed=self.sealed)
        net.license(version, ANYBODY)
        opened = client.publisher.publish(self.open_package, PRICE)
        net.await_enrolled(version, 2)
        net.age_stakes()
        for level in LEVELS:
            self.jobs[level] = client.request(version, self.inputs[level], Assurance.parse(level))
            result = client.wait(self.jobs[level], timeout=SECONDS)
            assert (result.outputs == self.sealed_package.run(self.inputs[level])).all()
        self.jobs[OPEN] = client.request(opened, self.inputs[OPEN], Assurance.parse("agreed(2,2)"))
        assert self.plain.address in client.wait(self.jobs[OPEN], timeout=SECONDS).job.agreeing

    def hosts(self):
        """(name, process id) of workers and of what starts their enclaves, but not of the enclaves."""
        for worker in self.net.workers:
            for process in outside_enclave(worker.process.pid):
                # bubblewrap, which only starts the enclave, belongs to nobody but root where a user runs it.
                if process.pid == worker.process.pid or may_read_memory(process.pid):
                    yield worker.name, process.pid


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What was found while everything went on, and after it."""
    frames, folder = tmp_path_factory.mktemp("frames"), tmp_path_factory.mktemp("net")
    with ExitStack() as stack:
        market = Market(stack, folder, frames)
        seen = Seen(Search(market.values()))
        seen.wire, seen.readable = market.wire, may_read_memory(market.plain.process.pid)
        with watched(seen, lambda: market.hosts() if seen.readable else ()) as rounds:
            market.work()
        seen.rounds = len(rounds)
        seen.search = Search(market.values() | market.keys())
        if seen.readable:
            services = [(broker.name, broker.process.pid) for broker in market.net.brokers]
            services += [("chain", process.pid) for process in family(market.net.node.pid)]
            for name, pid in (*market.hosts(), *services):
                seen.look_into(name, pid)
        for name, data in files_below(folder):
            seen.look("files", name, data)
        for data in chain_data(market.net.w3):
            seen.look("chain", "a transaction or a log", data)
        for name, data in files_below(frames):
            seen.look("frames", name, data)
        seen.enclaves = {enclave_of(worker.process.pid) for worker in market.net.workers[:2]}
        seen.looked_into = {pid for _, pid in market.hosts()}
    for (source, target), stream in () if market.wire is None else market.wire.streams.items():
        seen.look("wire", f"{source} to {target}", stream)
    return seen


def looked(seen, place):
    if place == "memory" and not seen.readable:
        pytest.skip("this machine does not let a process read the memory of those that it started")
    if place == "wire" and seen.wire is None:
        pytest.skip("raw packets can be seen by root only, and on Linux only")
    return seen


@pytest.mark.parametrize("place", PLACES)
def test_search__sealed_model__finds_nothing_of_weights_inputs_outputs_and_keys(place, seen):  # HOST-1
    where = looked(seen, place).where[place]
    assert {name: where[name] for name in seen.names(place, "secret")} == {}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("memory", ["open first weights", "open salt", "open input", "open output", "open key of the worker"]),
        ("files", ["open first weights", "open salt", "public ciphertext hash, attested"]),
        ("chain", [f"public ciphertext hash, {level}" for level in (*LEVELS, OPEN)]),
        ("wire", [f"public ciphertext hash, {level}" for level in (*LEVELS, OPEN)]),
        ("frames", ["open first weights", "open salt", *(f"public ciphertext hash, {level}" for level in LEVELS)]),
    ],
)
def test_search__what_is_open__is_found_in_the_same_places(place, expected, seen):
    found = [name for name in looked(seen, place).where[place] if not name.startswith("secret")]
    missing = [name for name in expected if not any(there.startswith(name) for there in found)]
    assert missing == []


def test_search__memory__was_looked_at_during_jobs_and_only_outside_enclaves(seen):
    looked(seen, "memory")
    assert seen.rounds >= 2
    assert seen.bytes["memory"] > 100 << 20
    assert seen.looked_into.isdisjoint(seen.enclaves)
    for about in ("open input", "open output", "open key"):  # enclosed workers had nothing of these either
        assert all(seen.where["memory"][name] == {"plain"} for name in seen.names("memory", about))


def test_search__wire__nothing_was_lost_and_all_services_were_heard(seen):
    wire = looked(seen, "wire").wire
    assert wire.lost == 0
    heard = {port for stream in wire.streams for port in stream}
    assert wire.ports <= heard


# ------------------------------------------------------------------ the search itself


def test_search__each_form__is_found_wherever_it_begins():
    values = np.random.default_rng(7).integers(-2048, 2048, 24)
    search = Search({"values": forms_of_integers(values), "key": forms_of_bytes(bytes(range(100, 148)))})
    noise = np.random.default_rng(8).bytes(4096)
    texts = [b",", b", ", b" ", b"\n"]
    forms = [values.astype(kind).tobytes() for kind in ("<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "<f4", "<f8")]
    forms += [between.join(b"%d" % value for value in values) for between in texts]
    for number, form in enumerate(forms):
        for data in (form, noise[: 13 + number] + form + noise, noise + form[: len(form) // 2 + 24]):
            assert search.names_in(data), number
    assert search.names_in(noise) == set()
    assert search.names_in(noise + bytes(range(110, 142))) == {"key as bytes"}
