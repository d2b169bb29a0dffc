"""Evidence, policies and EIP-712 digests beside tests/reference/enclaves.py: random values, the same answers."""

import random

from eth_account import Account
from eth_utils import to_checksum_address
from reference import enclaves as reference

from cloister.domain import typed
from cloister.domain.attested import Evidence, Policy, TcbStatus, report_binding
from cloister.sealing import signatures

MEASUREMENTS = sorted(bytes([i]) * 32 for i in range(1, 5))


def address(rng: random.Random) -> str:
    return to_checksum_address(rng.randbytes(20))


def policy(rng: random.Random) -> Policy:
    chosen = sorted(rng.sample(MEASUREMENTS, rng.randint(1, 4)))
    return Policy(tuple(chosen), frozenset(rng.sample(list(TcbStatus), rng.randint(1, 7))), rng.random() < 0.5)


def test_policies_and_evidence__random__judged_as_by_the_reference():
    """ENC-4, ENC-7, ENC-8."""
    rng, verdicts = random.Random(1), set()
    for _ in range(500):
        one, other = policy(rng), policy(rng)
        evidence = Evidence(
            rng.choice(MEASUREMENTS),
            rng.randbytes(32),
            TcbStatus(rng.randint(0, 6)),
            rng.random() < 0.5,
            rng.getrandbits(32),
        )
        told = [reference.Policy(tuple(p.measurements), p.status_bits, p.development) for p in (one, other)]
        evidence_told = reference.Evidence(*evidence.as_tuple())
        assert evidence.hash() == evidence_told.hash()
        assert (one.hash(), one.admits(evidence)) == (told[0].hash(), told[0].admits(evidence_told))
        assert one.within(other) == told[0].within(told[1])
        verdicts.add((one.admits(evidence), one.within(other)))
    assert {admitted for admitted, _ in verdicts} == {within for _, within in verdicts} == {False, True}
    assert Policy().hash() == reference.Policy().hash() == bytes(32)


def test_digests__random__as_an_independent_encoder_makes_them():
    """The table "What the enclave signs", and report data."""
    rng = random.Random(2)
    for _ in range(50):
        chain_id, contract, worker, signer = rng.getrandbits(40), address(rng), address(rng), address(rng)
        a, b, sealed, number = (
            rng.randbytes(32),
            rng.randbytes(32),
            rng.randbytes(rng.randint(0, 99)),
            rng.getrandbits(32),
        )
        sealed_hash = reference.keccak(sealed)
        pairs = [
            (typed.result_digest(chain_id, contract, a, b, sealed), ("Result", a, 0, b, sealed_hash)),
            (typed.refusal_digest(chain_id, contract, a, worker, sealed, 5), ("Refusal", a, worker, sealed_hash, 5)),
            (
                typed.prompt_key_digest(chain_id, contract, worker, number, a, number + 256),
                ("PromptKey", worker, number, a, number + 256),
            ),
            (typed.enrolment_digest(chain_id, contract, worker, a, number), ("Enrolment", worker, a, number)),
        ]
        for digest, (name, *values) in pairs:
            assert digest == reference.digest(reference.message(chain_id, contract, name, *values)), name
        bound = reference.binding(chain_id, contract, worker, a, signer)
        assert report_binding(chain_id, contract, worker, a, signer) == bound


def test_signatures__client_signs__reference_recovers_and_refuses_the_same():
    rng = random.Random(3)
    account = Account.from_key(rng.randbytes(32))
    message = reference.message(1, address(rng), "Enrolment", address(rng), rng.randbytes(32), 7)
    signature = signatures.sign(bytes(account.key), reference.digest(message))
    assert reference.signed_by(message, signature) == account.address
    high = reference.ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + high.to_bytes(32, "big") + bytes([55 - signature[64]])
    for bad in (twin, signature[:64], signature + b"\0", signature[:64] + b"\0", bytes(64) + b"\x1b"):
        assert reference.signed_by(message, bad) is None
