"""Evidence in the form that the registry takes, and where it comes from."""

import pytest
from support.jobs import ALICE, BOB

from cloister.attestation.collateral import transcribe
from cloister.attestation.development import DevelopmentPki
from cloister.attestation.providers import (
    ConfigfsProvider,
    DevelopmentProvider,
    DstackProvider,
    NoProvider,
)
from cloister.attestation.providers.development import save_device
from cloister.attestation.registers import Registers
from cloister.chain.call import Call
from cloister.config import ConfigError, Settings
from cloister.enclosure import provider_of
from cloister.quoting import MOST_ROUNDS, NoQuote, Quoting, teach

NOW = 1_800_000_000
PKI = DevelopmentPki.create(NOW, seed=bytes(32))
DEVICE = PKI.new_device("alice")
COLLATERAL = PKI.collateral_json(NOW)
REGISTERS = Registers(mrtd=bytes([5] * 48))
REPORT_DATA = bytes(range(64))


class Chain:
    """A verifier of quotes that knows what it was told."""

    address = ALICE

    def __init__(self, steward=BOB, rounds=1):
        self.known, self.sent, self._steward, self.rounds = set(), [], steward, rounds

    def is_platform(self, pck):
        return pck in self.known

    def steward(self):
        return self._steward

    def missing(self, collateral, *, documents=True):
        assert collateral == transcribe(COLLATERAL)
        self.rounds -= 1
        calls = ["list", "authority", *(["documents"] if documents else [])]
        return tuple(Call(ALICE, call.encode()) for call in calls) if self.rounds >= 0 else ()

    def add_platform(self, der, ca):
        assert (der, ca) == (DEVICE.pck_der, transcribe(COLLATERAL).ca)
        return Call(ALICE, b"platform")

    def transact(self, _intent, call):
        self.sent.append(call.data.decode())


def quoting(chain, documents=COLLATERAL):
    provider = DevelopmentProvider(DEVICE, REGISTERS, None if documents is None else lambda: documents)
    return Quoting(provider, chain, chain)


def test_quote__unknown_platform__registers_what_anybody_may_and_then_the_platform():
    chain = Chain()
    quoted = quoting(chain).quote(REPORT_DATA)
    assert chain.sent == ["list", "authority", "platform"]
    assert len(quoted.quote) == 1252
    assert quoted.quote[568:632] == REPORT_DATA
    chain.known.add(quoted.pck)
    assert quoting(chain).quote(REPORT_DATA) == quoted
    assert len(chain.sent) == 3


def test_quote__by_the_steward__posts_the_documents_too():
    chain = Chain(steward=ALICE)
    quoting(chain).quote(REPORT_DATA)
    assert chain.sent == ["list", "authority", "documents", "platform"]


def test_quote__unknown_platform_without_collateral__says_what_to_set():
    chain = Chain()
    with pytest.raises(NoQuote) as caught:
        quoting(chain, None).quote(REPORT_DATA)
    assert "collateral_url" in caught.value.hint
    assert chain.sent == []


def test_teach__collateral_that_is_never_taken__ends():
    chain = Chain(rounds=100)
    with pytest.raises(NoQuote, match="does not take"):
        teach(chain, chain, transcribe(COLLATERAL))
    assert len(chain.sent) == 3 * MOST_ROUNDS


def test_teach__several_rounds__tells_how_many_transactions():
    chain = Chain(rounds=2)
    assert teach(chain, chain, transcribe(COLLATERAL)) == 6
    assert teach(Chain(rounds=0), chain, transcribe(COLLATERAL)) == 0


# ------------------------------------------------------------------ where evidence comes from


def settings(folder, **given):
    return Settings(data_dir=folder, blob_stores=("memory://x",), keystores=(folder,), **given)


@pytest.mark.parametrize(("name", "kind"), [("tdx", ConfigfsProvider), ("dstack", DstackProvider)])
def test_provider__named__is_that_one(tmp_path, monkeypatch, name, kind):
    monkeypatch.setattr(ConfigfsProvider, "kind", "tdx-v4")
    assert isinstance(provider_of(settings(tmp_path, evidence_from=name)), kind)


@pytest.mark.parametrize("kind", ["sev-snp", "nitro"])
def test_provider__evidence_that_no_contract_judges__is_refused_by_name_and_else_passed_over(
    tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(ConfigfsProvider, "kind", kind)
    with pytest.raises(NoQuote, match=f"{kind} is not judged on chain"):
        provider_of(settings(tmp_path, evidence_from="tdx"))
    monkeypatch.setattr("cloister.enclosure.detect", lambda source: ConfigfsProvider(source=source))
    assert provider_of(settings(tmp_path)) is None


def test_provider__none_or_none_found__is_none(tmp_path):
    assert provider_of(settings(tmp_path, evidence_from="none")) is None
    assert provider_of(settings(tmp_path)) is None  # no machine that runs these tests is a TEE


def test_provider__development__is_taken_only_by_name_and_from_its_folder(tmp_path):
    with pytest.raises(ConfigError, match="development_device is missing"):
        provider_of(settings(tmp_path, evidence_from="development"))
    device = tmp_path / "device"
    with pytest.raises(NoProvider, match="no development device"):
        provider_of(settings(tmp_path, evidence_from="development", development_device=device))
    save_device(device, DEVICE, COLLATERAL)
    assert {path.stat().st_mode & 0o777 for path in device.iterdir()} == {0o600}
    found = provider_of(settings(tmp_path, evidence_from="development", development_device=device))
    assert found.name == "DEVELOPMENT device alice, NOT A TEE"
    assert found.collateral() == COLLATERAL.encode()
    assert found.evidence(REPORT_DATA)[:568] != DEVICE.quote(REGISTERS, REPORT_DATA)[:568]  # it measured this code
    assert provider_of(settings(tmp_path, development_device=device)) is None
