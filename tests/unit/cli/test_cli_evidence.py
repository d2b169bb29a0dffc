"""`cloister evidence`: verdicts, what lies beside the evidence, policies, and the exit code that scripts rely on."""

import json
import shutil

import pytest
from support.evidence import VECTORS
from support.hostile_evidence import COLLATERAL, NOW, OURS, POLICY, quote

from cloister.cli import evidence as command
from cloister.cli.program import main


def check(capsys, *arguments, code=0):
    assert main(["evidence", "verify", *map(str, arguments), "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def development(tmp_path):
    """A development quote with its collateral beside it, the root's certificate and a policy."""
    (tmp_path / "w.quote.bin").write_bytes(quote())
    (tmp_path / "w.collateral.json").write_text(COLLATERAL)
    (tmp_path / "root.der").write_bytes(OURS.root_der)
    (tmp_path / "policy.json").write_text(POLICY.to_json())
    return tmp_path


TABLE = {
    "intel_tdx_v4_uptodate_dcapqvl": 0,
    "intel_tdx_v4_uptodate_gcp_cos113": 0,
    "intel_tdx_v4_outofdate_automata": 1,
    "intel_sgx_v3_confswhard_dcapqvl": 1,
    "NEG_intel_sgx_v3_debug": 1,
    "NEG_intel_tdx_v5_tcb_below_all": 1,
}


@pytest.mark.parametrize("name", TABLE)
def test_verify__genuine_quote__exits_as_the_table_says(capsys, name):
    now = (VECTORS / f"{name}.now").read_text()
    found = check(capsys, VECTORS / f"{name}.quote.bin", "--now", now, code=TABLE[name])
    assert found["verdict"] == ("refused" if TABLE[name] else "accepted")
    assert found["collateral"] == [str(VECTORS / f"{name}.collateral.json")]
    given = check(
        capsys,
        VECTORS / f"{name}.quote.bin",
        "--now",
        now,
        "--collateral",
        VECTORS / f"{name}.collateral.json",
        code=TABLE[name],
    )
    assert given == found


def test_verify__nitro_and_snp__are_accepted(capsys):
    assert check(capsys, VECTORS / "nitro_document.cose", "--now", 1708930921)["kind"] == "nitro"
    found = check(capsys, VECTORS / "snp_milan_report.bin", "--now", 1708930921)
    assert found["kind"] == "sev-snp"
    assert found["collateral"] == [str(VECTORS / "snp_milan_vcek.der")]
    check(
        capsys,
        VECTORS / "snp_milan_report.bin",
        "--now",
        1708930921,
        "--collateral",
        VECTORS / "snp_milan_vcek.der",
        "--collateral",
        VECTORS / "amd_ask_ark_milan.pem",
    )


def test_verify__without_now__takes_the_present(capsys):
    assert "expired" in check(capsys, VECTORS / "nitro_document.cose", code=1)["reason"]


def test_verify__development__needs_its_root_and_is_in_plain_sight(development, capsys):
    file = development / "w.quote.bin"
    assert "not pinned" in check(capsys, file, "--now", NOW, code=1)["reason"]
    found = check(capsys, file, "--now", NOW, "--development-root", development / "root.der")
    assert found["development"] is True
    root = ("--development-root", str(development / "root.der"))
    assert main(["evidence", "verify", str(file), "--now", str(NOW), *root]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("DEVELOPMENT evidence: NOT A TEE")
    assert "found beside it" in shown
    assert "accepted" in shown


def test_verify__policy__decides(development, capsys):
    file, root = development / "w.quote.bin", ("--development-root", development / "root.der")
    policy = development / "policy.json"
    check(capsys, file, "--now", NOW, *root, "--policy", policy)
    policy.write_text(POLICY.to_json().replace('"development": true', '"development": false'))
    assert "DEVELOPMENT" in check(capsys, file, "--now", NOW, *root, "--policy", policy, code=1)["reason"]


def test_verify__what_cannot_be_judged__exits_with_2(development, capsys):
    file = development / "w.quote.bin"
    broken = development / "broken"
    broken.write_text("{")
    check(capsys, development / "nowhere", code=2)
    check(capsys, development, code=2)
    check(capsys, file, "--policy", broken, code=2)
    check(capsys, file, "--collateral", development / "nowhere", code=2)
    check(capsys, file, "--development-root", broken, code=2)
    check(capsys, file, "--on-chain", "0x12", code=2)
    check(capsys, file, "--now", "-1", code=2)


def test_verify__huge_file__is_not_read(development, capsys, monkeypatch):
    monkeypatch.setattr(command, "MAX_BYTES", 100)
    assert "MiB" in check(capsys, development / "w.quote.bin", code=2)["error"]["message"]


def test_verify__chain_out_of_reach__is_a_refusal(development, capsys):
    """Whoever asks for the chain's word relies on it."""
    arguments = ["--now", NOW, "--development-root", development / "root.der"]
    arguments += ["--on-chain", "0x" + "11" * 20, "--rpc-url", "http://127.0.0.1:1"]
    found = check(capsys, development / "w.quote.bin", *arguments, code=1)
    assert "the chain refuses it" in found["reason"]
    assert found["on_chain"]["accepted"] is False


def test_beside__names__are_those_of_the_evidence(tmp_path):
    for name in ("a.quote.bin", "a.collateral.json", "b_report.bin", "b_vcek.der", "b_ask.pem", "b.txt", "c_vcek.der"):
        (tmp_path / name).touch()
    assert command.beside(tmp_path / "a.quote.bin") == [tmp_path / "a.collateral.json"]
    assert command.beside(tmp_path / "b_report.bin") == [tmp_path / "b_ask.pem", tmp_path / "b_vcek.der"]
    assert command.beside(tmp_path / "z.quote.bin") == command.beside(tmp_path / "b.txt") == []


def test_measure__this_installation__is_what_policies_name(tmp_path, capsys, monkeypatch):
    from cloister.attestation import measurement
    from cloister.attestation.registers import Registers

    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("x = 1")
    real = measurement.measure
    monkeypatch.setattr(measurement, "measure", lambda cache: real(package, [], cache=cache))
    assert main(["evidence", "measure", "--json", "--data-dir", str(tmp_path / "data")]) == 0
    found = json.loads(capsys.readouterr().out)
    parts = {name: bytes.fromhex(found[name][2:]) for name in ("mrtd", "rtmr0", "rtmr1", "attributes", "xfam")}
    assert Registers(**parts).measurement().hex() == found["measurement"][2:]
    assert (tmp_path / "data" / "measurement.json").exists()
    shutil.rmtree(tmp_path / "data")
    assert main(["evidence", "measure", "--data-dir", str(tmp_path / "data")]) == 0
    assert found["measurement"] in capsys.readouterr().out
