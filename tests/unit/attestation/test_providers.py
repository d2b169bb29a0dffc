"""Providers without their hardware: a folder that behaves like configfs, an agent on a socket, a recorded device."""

import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import cbor2
import pytest
from support.evidence import VECTORS
from support.hostile_evidence import COLLATERAL, DEVICE, NOW, OURS, REGISTERS, SOUND_DATA, quote

from cloister.attestation.providers import (
    ConfigfsProvider,
    DevelopmentProvider,
    DstackProvider,
    NitroProvider,
    NoProvider,
    ProviderFailed,
    detect,
)
from cloister.attestation.providers.configfs import ReportFolders, certificate_table
from cloister.attestation.verification import EvidencePolicy, Roots, judge
from cloister.domain.errors import InvalidInput

REPORT = (VECTORS / "snp_milan_report.bin").read_bytes()
VCEK = (VECTORS / "snp_milan_vcek.der").read_bytes()
DOCUMENT = (VECTORS / "nitro_document.cose").read_bytes()


class Kernel(ReportFolders):
    """Folders as Linux makes them: attributes appear, a write counts, what is read answers what was written."""

    def __init__(self, provider="tdx_guest", answer=None, table=b""):
        self.provider, self.table = provider, table
        self.answer = answer or (lambda data: quote(data=data))
        self.disturbed = False

    def make(self, folder):
        super().make(folder)
        (folder / "provider").write_text(f"{self.provider}\n")
        (folder / "generation").write_text("0\n")

    def write(self, file, data):
        assert file.name == "inblob"
        (file.parent / "data").write_bytes(data)
        count = int((file.parent / "generation").read_text()) + 1 + self.disturbed
        (file.parent / "generation").write_text(f"{count}\n")

    def read(self, file):
        if file.name == "outblob":
            return self.answer((file.parent / "data").read_bytes())
        if file.name == "auxblob":
            if not self.table:
                raise OSError(6, "No such device or address")
            return self.table
        return super().read(file)

    def remove(self, folder):
        for file in folder.iterdir():
            file.unlink()
        super().remove(folder)


def test_configfs__tdx_guest__gives_a_quote_of_our_report_data(tmp_path):
    asked = []
    provider = ConfigfsProvider(tmp_path, folders=Kernel(), source=lambda data: asked.append(data) or b"{}")
    assert provider.collateral() is None
    assert provider.kind == "tdx-v4"
    evidence = provider.evidence(SOUND_DATA)
    assert evidence == quote()
    assert provider.collateral() == b"{}"
    assert asked == [evidence]
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) in provider.name


def test_configfs__sev_guest__brings_its_certificates_along(tmp_path):
    entry = bytes(range(16)) + (48).to_bytes(4, "little") + len(VCEK).to_bytes(4, "little")
    kernel = Kernel("sev_guest", lambda _: REPORT, entry + bytes(24) + VCEK)
    provider = ConfigfsProvider(tmp_path, folders=kernel)
    evidence = provider.evidence(SOUND_DATA)
    assert provider.kind == "sev-snp"
    verdict = judge(evidence, collateral=[provider.collateral()], now=1708930921)
    assert verdict.accepted


def test_configfs__somebody_else_writes__is_an_error(tmp_path):
    kernel = Kernel()
    kernel.disturbed = True
    with pytest.raises(ProviderFailed, match="Somebody else"):
        ConfigfsProvider(tmp_path, folders=kernel).evidence(SOUND_DATA)
    assert list(tmp_path.iterdir()) == []


def failing(_):
    raise OSError(16, "Device or resource busy")


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [
        (Kernel("arm_cca_guest"), "arm_cca_guest"),
        (Kernel(answer=failing), "busy"),
        (ReportFolders(), "cannot be read"),
    ],
)
def test_configfs__kernel_that_does_not_help__is_told(tmp_path, kernel, reason):
    with pytest.raises(ProviderFailed, match=reason):
        ConfigfsProvider(tmp_path, folders=kernel).evidence(SOUND_DATA)


def test_configfs__not_mounted__says_what_is_needed(tmp_path):
    with pytest.raises(ProviderFailed, match="makes no report folder") as failure:
        ConfigfsProvider(tmp_path / "nowhere").evidence(SOUND_DATA)
    assert "6.7" in failure.value.hint


@pytest.mark.parametrize("table", [b"", bytes(24), bytes(16) + b"\xff\xff\0\0\x01\0\0\0" + bytes(24), bytes(23)])
def test_certificate_table__empty_or_wrong__is_nothing(table):
    assert certificate_table(table) == b""


@pytest.fixture
def agent(tmp_path):
    """A dstack agent on a socket; `answers` holds status and body of the next one, `questions` what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.questions.append((self.path, json.loads(body)))
            status, answer = server.answers
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def address_string(self):
            return "socket"

        def log_message(self, *_):
            pass

    path = tmp_path / "dstack.sock"
    server = UnixStreamServer(str(path), Handler)
    server.questions, server.answers = [], (200, json.dumps({"quote": quote().hex(), "event_log": "[]"}).encode())
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield path, server
    server.shutdown()
    server.server_close()


def test_dstack__agent__gives_a_quote(agent):
    path, server = agent
    provider = DstackProvider(path, source=lambda _: COLLATERAL.encode())
    assert provider.collateral() is None
    assert provider.evidence(SOUND_DATA) == quote()
    assert server.questions == [("/GetQuote", {"report_data": SOUND_DATA.hex()})]
    assert provider.collateral() == COLLATERAL.encode()
    assert DstackProvider(path).collateral() is None


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"{}", "answers 500"),
        (200, b"no json", "gives no answer"),
        (200, b"[]", "no JSON object"),
        (200, b"{}", "no quote"),
        (200, b'{"quote": "zz"}', "no quote"),
    ],
)
def test_dstack__answer_that_is_none__is_told(agent, status, body, reason):
    path, server = agent
    server.answers = status, body
    with pytest.raises(ProviderFailed, match=reason):
        DstackProvider(path).evidence(SOUND_DATA)


def test_dstack__no_socket__is_told(tmp_path):
    with pytest.raises(ProviderFailed, match="gives no answer"):
        DstackProvider(tmp_path / "nowhere.sock").evidence(SOUND_DATA)


def test_nitro__recorded_device__gives_its_document():
    asked = []

    def device(question):
        asked.append(cbor2.loads(question))
        return cbor2.dumps({"Attestation": {"document": DOCUMENT}})

    provider = NitroProvider(device)
    assert provider.evidence(SOUND_DATA) == DOCUMENT
    assert asked == [{"Attestation": {"user_data": SOUND_DATA, "nonce": None, "public_key": None}}]
    assert provider.collateral() is None
    assert judge(DOCUMENT, now=1708930921).accepted


@pytest.mark.parametrize(
    "answer", [{"Error": "InvalidArgument"}, {"Attestation": {}}, {"Attestation": {"document": 1}}, 7]
)
def test_nitro__answer_without_a_document__is_told(answer):
    with pytest.raises(ProviderFailed, match="document"):
        NitroProvider(lambda _: cbor2.dumps(answer)).evidence(SOUND_DATA)
    with pytest.raises(ProviderFailed, match="document"):
        NitroProvider(lambda _: b"\xff").evidence(SOUND_DATA)


def test_nitro__no_device__is_told():
    with pytest.raises(ProviderFailed, match="gives no answer"):
        NitroProvider(failing).evidence(SOUND_DATA)


def test_nitro__request_number__is_that_of_the_driver():
    from cloister.attestation.providers.nitro import _REQUEST

    assert _REQUEST == 0xC0200A00


def test_development__provider__gives_evidence_that_says_what_it_is():
    provider = DevelopmentProvider(DEVICE, REGISTERS, lambda: OURS.collateral_json(NOW))
    evidence = provider.evidence(SOUND_DATA)
    policy = EvidencePolicy(allow_development=True, report_data=SOUND_DATA)
    roots = Roots.genuine((OURS.root_der,))
    verdict = judge(evidence, collateral=[provider.collateral()], now=NOW, policy=policy, roots=roots)
    assert verdict.accepted
    assert verdict.development
    assert "NOT A TEE" in provider.name
    assert provider.platform_certificate == DEVICE.pck_der
    assert DevelopmentProvider(DEVICE, REGISTERS).collateral() is None


@pytest.mark.parametrize(
    "provider",
    [
        ConfigfsProvider(Path("nowhere")),
        DstackProvider(Path("nowhere")),
        NitroProvider(failing),
        DevelopmentProvider(DEVICE, REGISTERS),
    ],
    ids=["configfs", "dstack", "nitro", "development"],
)
@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_provider__any__takes_64_bytes_alone(provider, size):
    with pytest.raises(InvalidInput, match="64 bytes"):
        provider.evidence(bytes(size))


def test_detect__what_is_there__in_order_and_never_a_development_device(tmp_path, agent):
    path, _ = agent
    nowhere, configfs, device = tmp_path / "nowhere", tmp_path / "report", tmp_path / "nsm"
    with pytest.raises(NoProvider):
        detect(configfs=nowhere, dstack=nowhere, nitro=nowhere)
    device.touch()
    assert isinstance(detect(configfs=nowhere, dstack=nowhere, nitro=device), NitroProvider)
    configfs.mkdir()
    assert isinstance(detect(configfs=configfs, dstack=nowhere, nitro=device), ConfigfsProvider)
    assert isinstance(detect(configfs=configfs, dstack=path, nitro=device), DstackProvider)
