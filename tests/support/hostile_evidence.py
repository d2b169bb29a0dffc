"""Evidence that is wrong in one thing, and as right as can be in all others. Writes tests/vectors/attestation/hostile.

python tests/support/hostile_evidence.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from cloister.attestation.development import DevelopmentDevice, DevelopmentPki, DocumentShape, QuoteShape
from cloister.attestation.device import P256_ORDER, raw_signature
from cloister.attestation.registers import DEBUG, SEPT_VE_DISABLE, Registers
from cloister.domain.attested import Policy, TcbStatus, report_binding
from cloister.domain.ids import Address

FOLDER = Path(__file__).parents[1] / "vectors" / "attestation" / "hostile"
NOW = 1_800_000_000
DAY = 86_400
SEED = sha256(b"hostile evidence").digest()
OURS = DevelopmentPki.create(NOW - DAY, seed=SEED)
THEIRS = DevelopmentPki.create(NOW - DAY, seed=sha256(b"somebody else's authority").digest())
CHAIN_ID = 31337
REGISTRY = Address("0x1111111111111111111111111111111111111111")
WORKER = Address("0x2222222222222222222222222222222222222222")
SIGNER = Address("0x3333333333333333333333333333333333333333")
OTHER = Address("0x4444444444444444444444444444444444444444")
HPKE_KEY = sha256(b"an X25519 key").digest()
CHALLENGE = sha256(b"this block").digest()
REGISTERS = Registers(mrtd=sha256(b"code").digest() + bytes(16))
UP_TO_DATE = frozenset({TcbStatus.UP_TO_DATE})
POLICY = Policy((REGISTERS.measurement(),), UP_TO_DATE, development=True)
ACCEPTED = "accepted"
MALFORMED = "malformed"
"""The fault lies where the chain does not look, and whoever prepares evidence for it refuses."""
POLICY_REFUSES = "policy"
"""The chain's verifier takes it; the registry or the version's policy does not."""


@dataclass(frozen=True)
class Case:
    """One quote with all that a verifier knows, and why each verifier refuses it.

    `python` is part of the reason; `solidity` the custom error, or "binding", "challenge", "policy", "malformed". Both
    are "accepted" for what is sound.
    """

    name: str
    rule: str
    python: str
    solidity: str
    quote: bytes = b""
    collateral: str = ""
    now: int = NOW
    root: str = "development"
    chain_id: int = CHAIN_ID
    registry: Address = REGISTRY
    worker: Address = WORKER
    hpke_key: bytes = HPKE_KEY
    signer: Address = SIGNER
    challenge: bytes = CHALLENGE
    policy: Policy = POLICY
    least_evaluation: int = 0

    @property
    def report_data(self) -> bytes:
        """What the verifier expects."""
        return report_binding(self.chain_id, self.registry, self.worker, self.hpke_key, self.signer) + self.challenge

    @property
    def is_hostile(self) -> bool:
        return self.python != ACCEPTED

    def to_content(self, collateral: str) -> dict[str, Any]:
        """As JSON holds it; `collateral` names the file of the collateral."""
        return {
            "name": self.name,
            "rule": self.rule,
            "expected": {"python": self.python, "solidity": self.solidity},
            "now": self.now,
            "root": self.root,
            "chain_id": self.chain_id,
            "registry": self.registry,
            "worker": self.worker,
            "hpke_key": self.hpke_key.hex(),
            "signer": self.signer,
            "challenge": self.challenge.hex(),
            "policy": json.loads(self.policy.to_json()),
            "least_evaluation": self.least_evaluation,
            "collateral": collateral,
            "quote": self.quote.hex(),
        }

    @classmethod
    def of_file(cls, path: Path) -> Case:
        """Reads what `write` wrote."""
        content = json.loads(path.read_text())
        expected = content.pop("expected")
        content["collateral"] = (path.parent / "collateral" / content["collateral"]).read_text()
        content["policy"] = Policy.from_json(json.dumps(content["policy"]))
        for name in ("hpke_key", "challenge", "quote"):
            content[name] = bytes.fromhex(content[name])
        return cls(**content, python=expected["python"], solidity=expected["solidity"])


SOUND_DATA = report_binding(CHAIN_ID, REGISTRY, WORKER, HPKE_KEY, SIGNER) + CHALLENGE
DEVICE = OURS.new_device("alice")
OTHER_DEVICE = OURS.new_device("mallory")
COLLATERAL = OURS.collateral_json(NOW)


def quote(
    shape: QuoteShape | None = None,
    *,
    device: DevelopmentDevice = DEVICE,
    registers: Registers = REGISTERS,
    data: bytes = SOUND_DATA,
    **parts: Any,
) -> bytes:
    """A quote with any part of it wrong, signed as it must be."""
    return device.quote(registers, data, shape or QuoteShape(**parts))


def version_5(kind: int = 2, extra: bytes = b"", size: int | None = None) -> bytes:
    """A quote of version 5 around the body of one of version 4, with `extra` behind it."""
    whole = quote()
    body = whole[48:632] + extra
    described = kind.to_bytes(2, "little") + (len(body) if size is None else size).to_bytes(4, "little")
    signed = b"\5" + whole[1:48] + described + body
    return signed + whole[632:636] + raw_signature(DEVICE.attestation_key, signed) + whole[700:]


def attributes(bits: int) -> Registers:
    """Registers that differ in the TD attributes."""
    return replace(REGISTERS, attributes=bits.to_bytes(8, "little"))


def spliced(data: bytes, at: int, part: bytes) -> bytes:
    """Bytes put over what was signed."""
    return data[:at] + part + data[at + len(part) :]


def edited(collateral: str, **fields: str) -> str:
    """Collateral with fields replaced."""
    return json.dumps(json.loads(collateral) | fields)


def without_root(chain: bytes) -> bytes:
    """A PEM chain of three without the last."""
    return chain[: chain.rindex(b"-----BEGIN")]


def cases() -> Iterator[Case]:
    """All of them, sound ones first."""
    for case in (*sound(), *layout(), *signatures(), *chain_of_trust(), *documents(), *code(), *binding()):
        yield replace(case, quote=case.quote or quote(), collateral=case.collateral or COLLATERAL, policy=case.policy)


def sound() -> Iterator[Case]:
    yield Case("sound", "", ACCEPTED, ACCEPTED)
    yield Case("sound_with_zeros_behind", "ATT-1", ACCEPTED, ACCEPTED, quote() + bytes(100))
    yield Case("sound_other_device", "", ACCEPTED, ACCEPTED, quote(device=OTHER_DEVICE))
    newer = OURS.collateral_json(NOW + 20 * DAY)
    yield Case("sound_under_renewed_collateral", "ATT-8", ACCEPTED, ACCEPTED, collateral=newer, now=NOW + 40 * DAY)
    hardening = replace(POLICY, statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED}))
    old = quote(device=OURS.new_device("alice", TcbStatus.SW_HARDENING_NEEDED))
    yield Case("sound_status_in_policy", "ATT-11", ACCEPTED, ACCEPTED, old, policy=hardening)
    more = attributes(SEPT_VE_DISABLE | 1 << 63)
    performance = replace(POLICY, measurements=(more.measurement(),))
    yield Case("sound_performance_counters", "ATT-5", ACCEPTED, ACCEPTED, quote(registers=more), policy=performance)
    high = quote()
    s = int.from_bytes(high[668:700])
    other = spliced(high, 668, (P256_ORDER - s).to_bytes(32))
    yield Case("sound_other_form_of_the_signature", "ATT-2", ACCEPTED, ACCEPTED, other)


def layout() -> Iterator[Case]:
    header, size, short = "TdxQuote_WrongHeader", "TdxQuote_WrongSignatureLength", "TdxQuote_WrongLength"
    whole = quote()
    yield Case("version_5_in_a_version_4_quote", "ATT-1", "body", header, spliced(whole, 0, b"\5"))
    yield Case("version_3", "ATT-1", "no known combination", header, quote(version=3))
    yield Case("sgx_tee_type", "ATT-1", "no known combination", header, quote(tee_type=0))
    yield Case("key_type_p384", "ATT-1", "type 3", header, quote(key_type=3))
    yield Case("another_vendor", "ATT-1", "not Intel", "TdxQuote_WrongVendor", quote(vendor=bytes(16)))
    yield Case("something_behind", "ATT-1", "follows", MALFORMED, whole + b"\1")
    yield Case("something_behind_zeros", "ATT-1", "follows", MALFORMED, whole + bytes(50) + b"\1")
    yield Case("cut_by_a_byte", "ATT-1", "ends in its certificates", MALFORMED, whole[:-1])
    yield Case("cut_to_the_signed_bytes", "ATT-1", "ends in its signature length", short, whole[:632])
    yield Case("empty_header", "ATT-1", "ends in its", short, whole[:10])
    wrong = "TdxQuote_WrongCertification"
    yield Case("certification_type", "ATT-1", "type 6", wrong, quote(certification_type=5))
    yield Case("certificates_type", "ATT-1", "type 4", MALFORMED, quote(inner_certification_type=4))
    authentication = "TdxQuote_WrongAuthenticationLength"
    yield Case("authentication_length", "ATT-1", "authentication", authentication, quote(authentication=bytes(31)))
    longer = spliced(whole, 632, (int.from_bytes(whole[632:636], "little") + 1).to_bytes(4, "little"))
    yield Case("signature_length", "ATT-1", "as long as it says", size, longer)


def signatures() -> Iterator[Case]:
    wrong = "Certificates_WrongSignature"
    mallory = replace(DEVICE, attestation_key=OTHER_DEVICE.attestation_key)
    whole = quote()
    unsigned = spliced(whole, 568, bytes(32))
    yield Case("report_data_changed_after_signing", "ATT-2", "signature is invalid", wrong, unsigned)
    code_changed = spliced(whole, 184, b"\xff")
    yield Case("code_changed_after_signing", "ATT-2", "signature is invalid", wrong, code_changed)
    foreign = spliced(whole, 636, quote(device=mallory)[636:700])
    yield Case("signed_by_another_key", "ATT-2", "signature is invalid", wrong, foreign)
    swapped = spliced(whole, 700, quote(device=mallory)[700:764])
    yield Case("attestation_key_exchanged", "ATT-3", "does not bind", "TdxQuote_WrongAttestationKey", swapped)
    by_other = quote(device=replace(DEVICE, pck_key=OTHER_DEVICE.pck_key))
    yield Case("quoting_enclave_of_another_platform", "ATT-2", "invalid for qe_report", wrong, by_other)
    tail = quote(device=replace(DEVICE, chain_pem=OTHER_DEVICE.chain_pem))
    yield Case("platform_certificate_exchanged", "ATT-2", "invalid for qe_report", wrong, tail)
    for name, at, part in (
        ("r_is_zero", 636, bytes(32)),
        ("s_is_zero", 668, bytes(32)),
        ("r_is_the_order", 636, P256_ORDER.to_bytes(32)),
        ("s_is_the_order", 668, P256_ORDER.to_bytes(32)),
        ("qe_r_is_zero", 1154, bytes(32)),
        ("qe_s_is_zero", 1186, bytes(32)),
    ):
        yield Case(name, "ATT-2", "out of range", wrong, spliced(whole, at, part))
    key = "TdxQuote_WrongAttestationKey"
    yield Case("binding_of_the_key_broken", "ATT-3", "does not bind", key, quote(qe_report_data=bytes(64)))
    bound = whole[1090:1122]
    behind = quote(qe_report_data=bound + bytes(31) + b"\1")
    yield Case("binding_of_the_key_with_something_behind", "ATT-3", "does not bind", key, behind)


def chain_of_trust() -> Iterator[Case]:
    root = "Certificates_UnknownIssuer"
    theirs = THEIRS.new_device("alice")
    yield Case("fake_root", "ATT-4", "not pinned", root, quote(device=theirs), THEIRS.collateral_json(NOW))
    yield Case("development_root_not_pinned", "ATT-10", "not pinned", root, root="intel")
    genuine = replace(POLICY, development=False)
    yield Case("policy_without_development", "ATT-10", "DEVELOPMENT", POLICY_REFUSES, policy=genuine)
    leaf, ours = theirs.chain_pem, DEVICE.chain_pem
    first = leaf[: leaf.index(b"-----END") + 26]
    mixed = replace(theirs, chain_pem=first + ours[ours.index(b"-----END") + 26 :])
    signature = "Certificates_WrongSignature"
    yield Case("platform_of_another_ca", "ATT-4", "not signed", signature, quote(device=mixed))
    revoked = "Certificates_Revoked"
    by_name, ca = OURS.collateral_json(NOW, revoked=["alice"]), OURS.collateral_json(NOW, ca_revoked=True)
    yield Case("platform_revoked", "ATT-4", "revoked", revoked, collateral=by_name)
    yield Case("ca_revoked", "ATT-4", "revoked", revoked, collateral=ca)
    yield Case("lists_expired", "ATT-8", "expired", "Certificates_NotCurrent", now=NOW + 31 * DAY)
    brief = DevelopmentPki.create(NOW - DAY, 2 * DAY, seed=SEED)
    late = NOW + 3 * DAY
    device = brief.new_device("alice")
    yield Case(
        "certificates_expired",
        "ATT-4",
        "expired",
        "Certificates_NotCurrent",
        quote(device=device),
        brief.collateral_json(late),
        late,
    )
    early = DevelopmentPki.create(NOW + DAY, seed=SEED)
    yield Case(
        "certificates_not_valid_yet",
        "ATT-4",
        "not valid yet",
        "Certificates_NotCurrent",
        quote(device=early.new_device("alice")),
        COLLATERAL,
    )
    empty = edited(COLLATERAL, pck_crl="")
    yield Case("no_revocation_list", "ATT-4", "CRL", MALFORMED, collateral=empty)
    only_root = edited(COLLATERAL, pck_crl=json.loads(COLLATERAL)["root_ca_crl"])
    yield Case("revocation_list_of_another_issuer", "ATT-4", "revocation list", signature, collateral=only_root)
    foreign = edited(COLLATERAL, pck_crl=json.loads(THEIRS.collateral_json(NOW))["pck_crl"])
    yield Case("revocation_list_signed_by_another", "ATT-4", "not signed", signature, collateral=foreign)


def documents() -> Iterator[Case]:
    signature = "Certificates_WrongSignature"
    content = json.loads(COLLATERAL)
    level, module = "TcbTable_NoLevel", "TcbTable_NoModule"
    forged = edited(COLLATERAL, tcb_info=content["tcb_info"].replace('"OutOfDate"', '"UpToDate"'))
    yield Case("tcb_info_changed", "ATT-8", "invalid for tcb_info", signature, collateral=forged)
    looser = edited(COLLATERAL, qe_identity=content["qe_identity"].replace('"isvsvn":6', '"isvsvn":1'))
    yield Case("qe_identity_changed", "ATT-8", "invalid for qe_identity", signature, collateral=looser)
    theirs = json.loads(THEIRS.collateral_json(NOW))
    chain = edited(COLLATERAL, **{key: theirs[key] for key in theirs if key.startswith(("tcb_info", "qe_identity"))})
    yield Case("documents_of_another_authority", "ATT-8", "root issued", MALFORMED, collateral=chain)
    for field, text in (("tcb_info", forged), ("qe_identity", looser)):
        document = json.loads(text)[field]
        by_platform = edited(
            COLLATERAL,
            **{
                field: document,
                f"{field}_signature": raw_signature(DEVICE.pck_key, document.encode()).hex(),
                f"{field}_issuer_chain": without_root(DEVICE.chain_pem).decode(),
            },
        )
        yield Case(f"{field}_signed_by_a_platform", "ATT-8", "root issued", MALFORMED, collateral=by_platform)
    other = OURS.collateral_json(NOW, shape=DocumentShape(tcb={"fmspc": "DEDEDEDEDEDF"}))
    yield Case("documents_of_another_machine", "ATT-7", "mspc", "Collateral_NoTcb", collateral=other)
    sgx = OURS.collateral_json(NOW, shape=DocumentShape(tcb={"id": "SGX"}))
    yield Case("documents_of_sgx", "ATT-7", "non-TDX", MALFORMED, collateral=sgx)
    future = OURS.collateral_json(NOW + 2 * DAY)
    yield Case("documents_of_tomorrow", "ATT-8", "in the future", "Certificates_NotCurrent", collateral=future)
    rolled = OURS.collateral_json(NOW, shape=DocumentShape(evaluation=16))
    yield Case("evaluation_rolled_back", "ATT-8", "evaluation", POLICY_REFUSES, collateral=rolled, least_evaluation=17)
    for status in (TcbStatus.SW_HARDENING_NEEDED, TcbStatus.CONFIGURATION_NEEDED, TcbStatus.OUT_OF_DATE):
        device = OURS.new_device("alice", status)
        name = f"status_{status.name.lower()}"
        yield Case(name, "ATT-7", f"status {status.label} is not", POLICY_REFUSES, quote(device=device))
    gone = OURS.new_device("alice", TcbStatus.REVOKED)
    yield Case("tcb_revoked", "ATT-7", "Revoked", "TdxQuoteVerifier_TcbRevoked", quote(device=gone))
    below = quote(tee_tcb_svn=bytes([5, 1, 6]) + bytes(13))
    yield Case("tdx_component_below_all_levels", "ATT-7", "No matching TCB level", level, below)
    without = quote(tee_tcb_svn=bytes([4, 0, 7]) + bytes(13))
    yield Case("first_component_below_all_levels", "ATT-7", "No matching TCB level", level, without)
    unknown = quote(tee_tcb_svn=bytes([5, 2, 7]) + bytes(13))
    yield Case("module_unknown", "ATT-7", "No TDX module", module, unknown)
    old = quote(tee_tcb_svn=bytes([3, 1, 7]) + bytes(13))
    yield Case("module_out_of_date", "ATT-7", "status OutOfDate is not", POLICY_REFUSES, old)
    ancient = quote(tee_tcb_svn=bytes([2, 1, 7]) + bytes(13))
    yield Case("module_below_all_levels", "ATT-7", "below minimum", module, ancient)


def code() -> Iterator[Case]:
    wrong = "TdxQuote_WrongAttributes"
    yield Case("debug", "ATT-5", "debug mode", wrong, quote(registers=attributes(SEPT_VE_DISABLE | DEBUG)))
    yield Case("sept_ve_disable_off", "ATT-5", "SEPT_VE_DISABLE", wrong, quote(registers=attributes(0)))
    for bit in (1, 7, 27, 29, 32, 62):
        held = attributes(SEPT_VE_DISABLE | 1 << bit)
        yield Case(f"reserved_attribute_{bit}", "ATT-5", "Reserved", wrong, quote(registers=held))
    foreign = "TdxQuote_ForeignModule"
    signer = quote(mrsigner_seam=bytes(47) + b"\1")
    yield Case("module_signed_by_another", "ATT-5", "MRSIGNERSEAM", foreign, signer)
    yield Case("seam_attributes", "ATT-5", "SEAM attributes", foreign, quote(seam_attributes=b"\1" + bytes(7)))
    qe = "ATT-6"
    yield Case("qe_of_another_signer", qe, "QE MRSIGNER", "QeTable_WrongSigner", quote(qe_mrsigner=bytes(32)))
    yield Case("qe_of_another_product", qe, "QE ISVPRODID", "QeTable_WrongProduct", quote(qe_isvprodid=1))
    yield Case("qe_out_of_date", qe, "status OutOfDate is not", POLICY_REFUSES, quote(qe_isvsvn=4))
    yield Case("qe_below_all_levels", qe, "QE ISVSVN", "QeTable_NoLevel", quote(qe_isvsvn=3))
    debug = bytes.fromhex("17000000000000000700000000000000")
    yield Case("qe_in_debug_mode", qe, "ebug", "QeTable_WrongAttributes", quote(qe_attributes=debug))
    provision = bytes.fromhex("05000000000000000700000000000000")
    yield Case("qe_without_its_key", qe, "QE ATTRIBUTES", "QeTable_WrongAttributes", quote(qe_attributes=provision))
    misc = quote(qe_miscselect=b"\1\0\0\0")
    yield Case("qe_misc_select", qe, "QE MISCSELECT", "QeTable_WrongMiscselect", misc)
    changed = replace(REGISTERS, mrtd=b"\xff" + REGISTERS.mrtd[1:])
    yield Case("one_byte_of_code_changed", "ATT-11", "measurement", POLICY_REFUSES, quote(registers=changed))
    dependency = replace(REGISTERS, rtmr0=bytes(47) + b"\1")
    yield Case("a_dependency_changed", "ATT-11", "measurement", POLICY_REFUSES, quote(registers=dependency))
    configured = replace(REGISTERS, mr_config_id=b"\1" + bytes(47))
    yield Case("another_configuration", "ATT-11", "measurement", POLICY_REFUSES, quote(registers=configured))


def binding() -> Iterator[Case]:
    def bound(**other: Any) -> bytes:
        return quote(data=replace(Case("", "", "", ""), **other).report_data)

    what, rule = "binds another worker", "ENC-1"
    yield Case("relayed_from_another_worker", rule, what, "binding", bound(worker=OTHER))
    yield Case("another_chain", rule, what, "binding", bound(chain_id=1))
    yield Case("another_registry", rule, what, "binding", bound(registry=OTHER))
    yield Case("another_hpke_key", rule, what, "binding", bound(hpke_key=bytes(31) + b"\1"))
    yield Case("another_signer", rule, what, "binding", bound(signer=OTHER))
    gpu = report_binding(CHAIN_ID, REGISTRY, WORKER, HPKE_KEY, SIGNER, bytes(31) + b"\1") + CHALLENGE
    yield Case("gpu_that_nobody_asked_for", rule, what, "binding", quote(data=gpu))
    yield Case("empty_report_data", rule, what, "binding", quote(data=bytes(64)))
    swapped = SOUND_DATA[32:] + SOUND_DATA[:32]
    yield Case("halves_of_the_report_data_exchanged", rule, what, "binding", quote(data=swapped))
    earlier = bound(challenge=sha256(b"an earlier block").digest())
    yield Case("replayed_from_an_earlier_challenge", rule, "another challenge", "challenge", earlier)
    yield Case("without_a_challenge", rule, "another challenge", "challenge", bound(challenge=bytes(32)))


def write(folder: Path = FOLDER) -> None:
    """Writes one file for each case, and what they share in `collateral`."""
    (folder / "collateral").mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    for case in cases():
        shared = names.setdefault(case.collateral, "sound.json" if not names else f"{case.name}.json")
        (folder / "collateral" / shared).write_text(case.collateral)
        (folder / f"{case.name}.json").write_text(json.dumps(case.to_content(shared), indent=1) + "\n")
    (folder / "roots.json").write_text(json.dumps({"development": OURS.root_der.hex()}, indent=1) + "\n")


def read(folder: Path = FOLDER) -> list[Case]:
    """The cases that were written."""
    return [Case.of_file(path) for path in sorted(folder.glob("*.json")) if path.name != "roots.json"]


if __name__ == "__main__":
    sys.exit(write())
