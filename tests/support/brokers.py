"""A sealed model, its brokers on loopback ports, and a worker with an enclave in this process and a pretended TEE."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest

from cloister.attestation.development import DevelopmentPki
from cloister.attestation.providers.development import DevelopmentProvider
from cloister.attestation.registers import Registers
from cloister.attestation.verification import Roots
from cloister.broker.documents import DocumentMemory
from cloister.broker.errors import Refused, Unable
from cloister.broker.licences import Licence
from cloister.broker.nonces import Nonces
from cloister.broker.service import Broker, ReleaseRequest
from cloister.broker.store import BrokerStore
from cloister.broker.web import serving
from cloister.chain.models import Offering, Version
from cloister.chain.nodes import Node
from cloister.domain.attested import Policy, TcbStatus
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import BlobId, VersionId
from cloister.fixedpoint import load_package
from cloister.release import fetch_key
from cloister.sealing.deposits import BrokerKey
from cloister.sealing.package import SealedPackage, seal_package
from cloister.storage.keyfile import LIGHT
from cloister.storage.releases import LogOwner, ReleaseLog

from .enclaves import CONTEXT, MODELS, NOW, OWNER, REGISTRY, WORKER, Ticking, local, version_of

PASSWORD = "password"
PKI = DevelopmentPki.create(NOW, seed=bytes(range(32)))
DEVICE = PKI.new_device("alice")
REGISTERS = Registers(mrtd=bytes([5] * 48))
POLICY = Policy((REGISTERS.measurement(),), frozenset({TcbStatus.UP_TO_DATE}), development=True)
ROOTS = Roots.genuine((PKI.root_der,))
KEY_EPOCH = 3
ANYBODY = '[{"name": "all", "workers": "any", "releases": null, "from": 0, "until": null}]'


@cache
def broker_key(number: int) -> BrokerKey:
    return BrokerKey.from_secret(bytes([number]) * 32)


@cache
def sealed_package(threshold: int = 2, count: int = 3) -> SealedPackage:
    keys = [broker_key(number).public for number in range(1, count + 1)]
    return seal_package(load_package(MODELS / "breast-cancer"), threshold, keys, {"training.json": b'{"epochs": 40}'})


@dataclass
class Chain:
    """Both registries as one broker sees them; a test changes what it sees, or takes it away."""

    published: dict[VersionId, tuple[Version, Policy]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    away: CloisterError | None = None
    address = REGISTRY

    def publish(self, manifest_hash: bytes, version: VersionId, policy: Policy = POLICY) -> None:
        self.published[version] = (
            Version(
                version, OWNER, 1, 0, Offering.EXACT, BlobId(manifest_hash), "", policy.hash(), int(not policy.open)
            ),
            policy,
        )

    def version(self, version_id: VersionId) -> Version:
        self._reached()
        if version_id not in self.published:
            raise InvalidInput("No such version.")
        return self.published[version_id][0]

    def policy(self, version: Version) -> Policy:
        self._reached()
        return self.published[version.version_id][1]

    def node(self, worker: str) -> Node:
        self._reached()
        return self.nodes.get(worker) or Node(worker, 0, 0, 0, bytes(32), worker, 0, "", False)

    def _reached(self) -> None:
        if self.away:
            raise self.away


class Town:
    """Three brokers of one model, and worker WORKER with its enclave. `clock` is the brokers' seconds since NOW."""

    def __init__(self, folder: Path, *, threshold: int = 2, count: int = 3) -> None:
        self.folder = folder
        self.sealed = sealed_package(threshold, count)
        self.manifest = self.sealed.manifest_bytes
        self.version = version_of(self.manifest)
        self.clock = Ticking()
        self.enclave, self.inside = local(ticking=self.clock)
        self.chain = Chain()
        self.chain.publish(self.sealed.digest, self.version)
        self.chain.nodes[WORKER] = node_of(self.enclave)
        self.provider = DevelopmentProvider(DEVICE, REGISTERS, lambda: PKI.collateral_json(NOW))
        self.brokers = [self.broker(number) for number in range(1, count + 1)]
        self.urls: list[str] = []
        self._stack = contextlib.ExitStack()

    def store(self, number: int) -> BrokerStore:
        return BrokerStore(self.folder / f"broker-{number}", kdf=LIGHT)

    def broker(self, number: int) -> Broker:
        store, key = self.store(number), broker_key(number)
        store.import_share(key, self.sealed.deposits[number - 1], self.manifest)
        store.put_licence(self.version, Licence.from_json(ANYBODY))
        owner = LogOwner(key.fingerprint, CONTEXT.chain_id, REGISTRY)
        return Broker(
            chain_id=CONTEXT.chain_id,
            models=self.chain,
            workers=self.chain,
            shares=store,
            key=key,
            log=ReleaseLog.open(store.folder / "releases.jsonl", owner),
            documents=DocumentMemory.load(store.folder / "documents.json"),
            roots=ROOTS,
            nonces=Nonces(self.clock),
            now=lambda: NOW + int(self.clock()),
        )

    def license(self, text: str, *numbers: int) -> None:
        for number in numbers or range(1, len(self.brokers) + 1):
            self.store(number).put_licence(self.version, Licence.from_json(text))

    def fetch(self, urls=None, **changes) -> None:
        about = {
            "enclave": self.enclave,
            "provider": self.provider,
            "brokers": self.urls if urls is None else urls,
            "version": self.version,
            "owner": OWNER,
            "manifest": self.manifest,
            "worker": WORKER,
            "key_epoch": KEY_EPOCH,
        }
        fetch_key(**(about | changes))

    def request(self, broker: Broker, *, enclave=None, provider=None, nonce=None, **changes) -> ReleaseRequest:
        """What an honest host would send to a broker; `changes` are fields that it changes afterwards."""
        inside, provider = enclave or self.enclave, provider or self.provider
        nonce = nonce or broker.nonces.new()
        inside.expect(self.version, OWNER, self.manifest)
        release_key, report_data = inside.begin_release(self.version, nonce)
        evidence = provider.evidence(report_data)
        request = ReleaseRequest(nonce, self.version, WORKER, release_key, evidence, provider.collateral())
        return replace(request, **changes)

    def refusal(self, request: ReleaseRequest, number: int = 1) -> Refused | Unable:
        """Why a broker releases nothing; nothing is in its log then."""
        broker = self.brokers[number - 1]
        before = broker.log.count
        with pytest.raises((Refused, Unable)) as refused:
            broker.release(request)
        assert broker.log.count == before
        return refused.value

    def load(self) -> None:
        self.enclave.load(self.version, OWNER, self.manifest, [self.sealed.weights])

    @property
    def released(self) -> list[int]:
        """Entries in each broker's log."""
        return [broker.log.count for broker in self.brokers]

    def __enter__(self) -> Town:
        for broker in self.brokers:
            self.urls.append(self._stack.enter_context(serving(broker, port=0)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        for broker in self.brokers:
            broker.log.close()


def node_of(enclave, **changes) -> Node:
    node = Node(WORKER, 10**18, 0, KEY_EPOCH, enclave.hpke_key, enclave.signer, 0, "", True)
    return replace(node, **changes)
