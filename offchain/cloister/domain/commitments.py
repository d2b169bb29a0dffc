"""Every hash of docs/spec/commitments.md, in the order of that page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.domain.ids import Address, JobId, VersionId
from cloister.domain.request import Request

NO_PROOF = bytes(32)
"""Stands for the commitment to the input and the pad in jobs that name no verifier."""

MASKED = 2
"""How a provable output is given: in the clear up to a committed pad. The number is docs/spec/proofs.md's."""

FIRST_ROUND = 0


def domain_tag(name: str) -> bytes:
    """D(name)."""
    return keccak(f"cloister/1/{name}".encode())


def version_id(chain_id: int, registry: Address, owner: Address, manifest_hash: bytes) -> VersionId:
    """Id of a model version (MODEL-1)."""
    types = ["uint256", "address", "address", "bytes32"]
    return VersionId(keccak(encode(types, [chain_id, registry, owner, manifest_hash])))


def secret_hash(seed_secret: bytes) -> bytes:
    """What a request commits to and `deliver` opens."""
    return keccak(encode(["bytes32"], [seed_secret]))


def input_binding(job_secret: bytes, response_key: bytes, encoded_input: bytes) -> bytes:
    """Binds a job's input, its secret and the key that outputs are sealed to (JOB-13)."""
    values = [domain_tag("input"), job_secret, response_key, keccak(encoded_input)]
    return keccak(encode(["bytes32"] * 4, values))


def circuit_input(input_digest: bytes, pad_digest: bytes) -> bytes:
    """What proofs are checked against on chain: the digests of the commitments to a job's input and to its pad."""
    return keccak(encode(["bytes32"] * 2, [input_digest, pad_digest]))


def input_commitment(binding: bytes, circuit_input: bytes = NO_PROOF) -> bytes:
    """What a request commits to: the input as workers read it and, if it names a verifier, as proofs do."""
    return keccak(encode(["bytes32"] * 2, [binding, circuit_input]))


def masked_output(pad_digest: bytes, masked: bytes) -> bytes:
    """Output commitment in a job that names a verifier: the output's words, each plus a word of the pad.

    Everybody who runs the model gets the same, so one proof says of every output whether it is right.
    """
    return keccak(encode(["uint256", "bytes32", "bytes32"], [MASKED, pad_digest, keccak(masked)]))


def output_commitment(input_commitment: bytes, output_secret: bytes, encoded_output: bytes) -> bytes:
    """Output commitment in a job that names no verifier; hides the output from who lacks the secret.

    Equal for equal outputs about one input, so that a referee's job gives what can be compared, and for nothing else.
    """
    values = [domain_tag("output"), input_commitment, output_secret, keccak(encoded_output)]
    return keccak(encode(["bytes32"] * 4, values))


def weights_context(chain_id: int, registry: Address, version: VersionId) -> bytes:
    """Binds the proof about a version's weights to its registration."""
    return keccak(encode(["uint256", "address", "bytes32"], [chain_id, registry, version]))


def seed(job_id: JobId, prevrandao: bytes, seed_secret: bytes) -> bytes:
    """Seed of a draw (DRAW-1)."""
    return keccak(encode(["bytes32"] * 3, [job_id, prevrandao, seed_secret]))


def committee_hash(committee: Sequence[Address]) -> bytes:
    """What `deliver` names and every later call repeats; vacant seats are address 0."""
    return keccak(encode(["address[]"], [list(committee)]))


def sealed_keys_hash(sealed_keys: Sequence[bytes]) -> bytes:
    """What a ticket shows of the delivered keys, 80 bytes per seated worker."""
    return keccak(b"".join(sealed_keys))


def committee_tag(job_id: JobId, sealed_keys: Sequence[bytes], committee: Sequence[Address]) -> bytes:
    """The 12 bytes by which the market knows committee and keys of a job again."""
    values = [job_id, sealed_keys_hash(sealed_keys), list(committee)]
    return keccak(encode(["bytes32", "bytes32", "address[]"], values))[:12]


@dataclass(frozen=True, slots=True)
class JobContext:
    """Where a job lives: what every message sealed for it is bound to."""

    chain_id: int
    market: Address
    job_id: JobId

    def sealed_key_info(self, request: Request, worker: Address, key_epoch: int, *, prompt: bool = False) -> bytes:
        """HPKE info of the input key for one worker (market rule 6).

        `prompt` if it is sealed to a prompt key, whose epoch `key_epoch` then is.
        """
        tag = domain_tag("sealed-key/prompt" if prompt else "sealed-key")
        types = ["bytes32", "uint256", "address", "bytes32", "address", "bytes32", "address", "uint256"]
        values: list[object] = [tag, self.chain_id, self.market, self.job_id]
        values += [request.requester, request.version, worker, key_epoch]
        values += [request.response_key, request.input_commitment, request.ciphertext_hash]
        return keccak(encode([*types, "bytes32", "bytes32", "bytes32"], values))

    def commitment(self, worker: Address, output_commitment: bytes, salt: bytes, round_: int = FIRST_ROUND) -> bytes:
        """What a worker commits to before it reveals (JOB-11)."""
        types = ["uint256", "address", "bytes32", "uint256", "address", "bytes32", "bytes32"]
        values = [self.chain_id, self.market, self.job_id, round_, worker, output_commitment, salt]
        return keccak(encode(types, values))

    def proof_context(self, prover: Address) -> bytes:
        """Binds a proof to this job and to the account that is paid for it: a copy is worth nothing."""
        types = ["uint256", "address", "bytes32", "address"]
        return keccak(encode(types, [self.chain_id, self.market, self.job_id, prover]))

    def sealed_output_info(self, worker: Address, output_commitment: bytes) -> bytes:
        """HPKE info of an output sealed to the requester."""
        types = ["bytes32", "uint256", "address", "bytes32", "address", "bytes32"]
        tag = domain_tag("sealed-output")
        values = [tag, self.chain_id, self.market, self.job_id, worker, output_commitment]
        return keccak(encode(types, values))
