"""The whole way of an attestation on chain: a deployment with a development root, and quotes in Intel's form.

Everything is what a worker would use; the device is the only thing that pretends (ATT-10).
"""

from dataclasses import replace

import pytest
from eth_hash.auto import keccak
from support.court import refused
from support.evidence import TDX, recorded

from cloister.attestation.collateral import certificate_id, to_on_chain, transcribe
from cloister.attestation.development import DevelopmentPki
from cloister.attestation.providers.development import DevelopmentProvider
from cloister.attestation.registers import DEBUG, SEPT_VE_DISABLE, Registers
from cloister.chain.artifacts import artifact
from cloister.chain.call import GAS_CAP, Call
from cloister.chain.connection import Connection
from cloister.chain.deploy import deploy
from cloister.chain.deployment import DeployParameters
from cloister.chain.errors import translated
from cloister.chain.models import Models
from cloister.chain.nodes import Nodes
from cloister.chain.quotes import Quotes
from cloister.devnet.accounts import key
from cloister.devnet.anvil import start_anvil
from cloister.domain.attested import Evidence, Policy, TcbStatus, report_binding
from cloister.domain.commitments import version_id
from cloister.domain.ids import Address, BlobId
from cloister.domain.typed import enrolment_digest
from cloister.sealing.signatures import sign

PARAMETERS = DeployParameters.devnet()
SEED = b"\7" * 32
FILLED = dict.fromkeys(("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"), b"\2" * 43 + bytes(5))
REGISTERS = Registers(**FILLED)
ATTEST_GAS = 120_000
PLATFORM_GAS = 300_000
ENCLAVE, OTHER_ENCLAVE = b"\5" * 32, b"\6" * 32
"""Private keys with which enclaves sign; which addresses they have, eth-account says."""


def weight(data):
    """Gas of calldata."""
    return sum(16 if octet else 4 for octet in data)


class Site:
    """A deployment that takes development evidence, two registered workers, and a device that the chain knows."""

    def __init__(self, node):
        self.node = node
        self.connection = Connection(node.url)
        self.w3 = self.connection.w3
        now = self.w3.eth.get_block("latest")["timestamp"]
        self.pki = DevelopmentPki.create(now, seed=SEED)
        node.control("evm_setAutomine", True)
        self.deployment = deploy(self.w3, key(0), PARAMETERS, development_root=self.pki.root_public_key)
        node.control("evm_setAutomine", False)
        self.nodes = Nodes(self.connection, self.deployment.node_registry)
        self.models = Models(self.connection, self.deployment.model_registry, self.deployment.block)
        self.quotes = Quotes(self.connection, self.nodes.quotes())
        self.worker, self.other = (Address(key(index).address) for index in (1, 2))
        self.device = self.pki.new_device("one")
        self.collateral = transcribe(self.pki.collateral_json(now))
        while missing := self.quotes.missing(self.collateral):
            for call in missing:
                self.send(call, Address(key(0).address))
        self.platform_gas = self.admit(self.device)
        for worker, secret in ((self.worker, ENCLAVE), (self.other, OTHER_ENCLAVE)):
            self.send(self.nodes.register("", b"\x11" * 32, self.signer(secret), PARAMETERS.minimum_stake), worker)

    def admit(self, device):
        """Registers a device's certificate; the gas."""
        return self.send(self.quotes.add_platform(device.pck_der, self.collateral.ca), self.worker)

    def signer(self, secret):
        return Address(self.w3.eth.account.from_key(secret).address)

    def send(self, call, sender):
        """Mines it; the gas. Raises ContractError."""
        fields = {"from": sender, "to": call.to, "data": call.data, "value": call.value, "gas": GAS_CAP}
        with translated():
            self.w3.eth.call(fields)
            hash_ = self.w3.eth.send_transaction(fields)
        self.node.mine(1)
        receipt = self.w3.eth.wait_for_transaction_receipt(hash_, timeout=10, poll_latency=0.01)
        assert receipt["status"] == 1
        return receipt["gasUsed"]

    def challenge(self):
        """The newest block that a call at the newest block knows the hash of."""
        block = self.w3.eth.get_block("latest")
        return block["number"] - 1, bytes(block["parentHash"])

    def quote(self, block_hash, **changes):
        """A quote as a worker's enclave makes it; `changes` make it another's."""
        about = {
            "chain_id": self.w3.eth.chain_id,
            "registry": self.nodes.address,
            "worker": self.worker,
            "hpke_key": b"\x11" * 32,
            "signer": self.signer(ENCLAVE),
        }
        rest = {"device": self.device, "registers": REGISTERS} | changes
        device, registers = rest.pop("device"), rest.pop("registers")
        provider = DevelopmentProvider(device, registers)
        return to_on_chain(provider.evidence(report_binding(**(about | rest)) + block_hash))

    def attest(self, quote, number, *, sender=None, hpke_key=b"\x11" * 32, secret=ENCLAVE, device=None, previous=None):
        pck = certificate_id((device or self.device).pck_der)
        call = self.nodes.attest(hpke_key, self.signer(secret), quote, pck, number, previous)
        return self.send(call, sender or self.worker)

    def attest_now(self, **given):
        """An honest attestation with the newest block as challenge; the gas."""
        number, hash_ = self.challenge()
        return self.attest(self.quote(hash_, **given.pop("quote", {})), number, **given)

    def evidence(self):
        return self.nodes.evidence(self.worker, self.deployment.block)


@pytest.fixture(scope="module")
def base():
    with start_anvil(0, 0) as node:
        yield Site(node)


@pytest.fixture
def site(base):
    snapshot = base.node.control("evm_snapshot")
    yield base
    base.node.control("evm_revert", snapshot)


def test_attest__development_quote__is_taken_as_what_it_is(site):
    """ENC-1, ENC-3, ENC-4, ATT-10"""
    number, _ = site.challenge()
    site.attest_now()
    now = site.w3.eth.get_block("latest")["timestamp"]
    assert site.evidence() == Evidence(REGISTERS.measurement(), site.device.platform, TcbStatus.UP_TO_DATE, True, 0)
    attestation = site.nodes.attestation(site.worker)
    assert attestation.until == now + PARAMETERS.limits.attestation_period
    assert attestation.challenge_block == number
    assert site.quotes.identities(site.device.platform) == 1


def test_attest__known_platform__costs_at_most_120_000_gas(site):
    """Whole transactions, judge of quotes included. The quote has no more zeros than the fullest genuine one."""
    heaviest = max(weight(recorded(name).quote[:1252]) for name in TDX)
    assert weight(site.quote(site.challenge()[1])) >= heaviest
    gas = {"first": site.attest_now()}
    before = site.evidence()
    gas["renewal"] = site.attest_now()
    assert site.evidence() == before
    keys = {"hpke_key": b"\x33" * 32, "signer": site.signer(OTHER_ENCLAVE)}
    gas["new keys"] = site.attest_now(quote=keys, hpke_key=keys["hpke_key"], secret=OTHER_ENCLAVE, previous=before)
    assert site.evidence().key_epoch == 1
    gas["new keys again"] = site.attest_now(previous=site.evidence())
    gas["platform"] = site.platform_gas
    print(gas)
    assert gas.pop("platform") <= PLATFORM_GAS
    assert {name: used for name, used in gas.items() if used > ATTEST_GAS} == {}


def test_attest__first_time_and_with_keys_of_its_own__costs_no_more(site):
    """What a worker pays that registered with other keys than those that its enclave made."""
    keys = {"hpke_key": b"\x33" * 32, "signer": site.signer(OTHER_ENCLAVE)}
    gas = site.attest_now(quote=keys, hpke_key=keys["hpke_key"], secret=OTHER_ENCLAVE)
    print(gas)
    assert site.evidence().key_epoch == 1
    assert gas <= ATTEST_GAS


WRONG_BINDINGS = {
    "another worker's": {"worker": Address(key(2).address)},
    "another chain's": {"chain_id": 1},
    "another registry's": {"registry": Address(key(3).address)},
    "another HPKE key's": {"hpke_key": b"\x12" * 32},
    "another signer's": {"signer": Address(key(4).address)},
    "one with a GPU": {"gpu": b"\1" * 32},
}


@pytest.mark.parametrize("whose", WRONG_BINDINGS)
def test_attest__quote_about_something_else__reverts(site, whose):
    """ENC-1"""
    number, hash_ = site.challenge()
    quote = site.quote(hash_, **WRONG_BINDINGS[whose])
    refused(lambda: site.attest(quote, number), "Enclaves_WrongBinding")


def test_attest__copied_from_the_pool__serves_its_worker_only(site):
    """ENC-1: the very call, sent by another worker with the same keys as its own."""
    number, hash_ = site.challenge()
    quote = site.quote(hash_)
    refused(lambda: site.attest(quote, number, sender=site.other), "Enclaves_WrongBinding")
    site.attest(quote, number)


def test_attest__stale_future_or_foreign_challenge__reverts(site):
    """ENC-1"""
    number, hash_ = site.challenge()
    quote = site.quote(hash_)
    zero = site.quote(bytes(32))  # what the chain says of a block that it does not know
    for unknown in (number + 1, number + 2):
        refused(lambda unknown=unknown: site.attest(zero, unknown), "Enclaves_ChallengeTooOld")
    refused(lambda: site.attest(quote, number - 1), "Enclaves_WrongChallenge")
    site.node.mine(256)
    refused(lambda: site.attest(quote, number), "Enclaves_ChallengeTooOld")
    refused(lambda: site.attest(zero, number), "Enclaves_ChallengeTooOld")


def test_attest__replayed__reverts(site):
    """ENC-1: neither the same quote again, nor an older block's."""
    number, hash_ = site.challenge()
    quote = site.quote(hash_)
    site.node.mine(1)
    later, later_hash = site.challenge()
    site.attest(site.quote(later_hash), later)
    refused(lambda: site.attest(quote, number), "Enclaves_ChallengeUsed")
    refused(lambda: site.attest(site.quote(later_hash), later), "Enclaves_ChallengeUsed")


def test_attest__revoked_platform__reverts(site):
    """ATT-4, ENC-5: no attestation any more, and the one that there is can be ended by anybody."""
    site.attest_now()
    evidence, pck = site.evidence(), certificate_id(site.device.pck_der)
    contract = site.w3.eth.contract(site.nodes.address, abi=artifact("NodeRegistry").abi)
    data = contract.encode_abi("revoke", [site.worker, evidence.as_tuple(), pck])
    revoke = Call(site.nodes.address, bytes.fromhex(data[2:]))
    refused(lambda: site.send(revoke, site.other), "Enclaves_NotRevoked")
    now = site.w3.eth.get_block("latest")["timestamp"]
    collateral = transcribe(site.pki.collateral_json(now, revoked=("one",)))
    site.send(site.quotes.add_revocations(collateral.lists[1]), site.other)
    number, hash_ = site.challenge()
    refused(lambda: site.attest(site.quote(hash_), number), "Certificates_Revoked")
    site.send(revoke, site.other)
    assert site.nodes.attestation(site.worker).until == 1
    refused(lambda: site.send(revoke, site.other), "Enclaves_NotRevoked")


def test_attest__debug__reverts(site):
    """ATT-5"""
    number, hash_ = site.challenge()
    debug = replace(REGISTERS, attributes=(SEPT_VE_DISABLE | DEBUG).to_bytes(8, "little"))
    refused(lambda: site.attest(site.quote(hash_, registers=debug), number), "TdxQuote_WrongAttributes")


def test_attest__unknown_platform_or_full_one__reverts(site):
    """ENC-4"""
    number, hash_ = site.challenge()
    stranger = site.pki.new_device("two")
    quote = site.quote(hash_, device=stranger)
    refused(lambda: site.attest(quote, number, device=stranger), "Certificates_UnknownPlatform")
    site.admit(stranger)
    site.attest(quote, number, device=stranger)
    site.attest_now(previous=site.evidence())  # moves to the first machine
    assert (site.quotes.identities(stranger.platform), site.quotes.identities(site.device.platform)) == (0, 1)


def test_attest__deployment_without_a_development_root__knows_no_such_platform(site):
    """ATT-10"""
    site.node.control("evm_setAutomine", True)
    plain = deploy(site.w3, key(5), PARAMETERS)
    site.node.control("evm_setAutomine", False)
    quotes = Quotes(site.connection, Nodes(site.connection, plain.node_registry).quotes())
    for der in site.collateral.authorities:
        call = quotes.add_authority(der, site.collateral.root)
        refused(lambda call=call: site.send(call, site.worker), "Certificates_UnknownIssuer")


def test_enrol__one_byte_of_another_measurement__is_not_admitted(site):
    """ENC-7: the quote is as good as any, its code is another."""
    policy = Policy((REGISTERS.measurement(),), frozenset({TcbStatus.UP_TO_DATE}), development=True)
    manifest = BlobId(keccak(b"manifest"))
    site.send(site.models.publish(manifest, 10**15, "", policy), site.worker)
    version = version_id(site.w3.eth.chain_id, site.models.address, site.worker, manifest)
    changed = replace(REGISTERS, rtmr3=REGISTERS.rtmr3[:-1] + b"\3")
    for registers, admitted in ((changed, False), (REGISTERS, True)):
        site.attest_now(quote={"registers": registers}, previous=site.evidence())
        digest = enrolment_digest(site.w3.eth.chain_id, site.nodes.address, site.worker, version, 0)
        call = site.nodes.enrol(version, policy, site.evidence(), sign(ENCLAVE, digest))
        if admitted:
            site.send(call, site.worker)
        else:
            refused(lambda call=call: site.send(call, site.worker), "Enclaves_NotAdmitted")
