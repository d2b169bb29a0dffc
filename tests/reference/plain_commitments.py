"""docs/spec/commitments.md from the text alone: no eth_abi, no library of keccak, HKDF or X25519.

    python tests/reference/plain_commitments.py > tests/vectors/commitments.json

Slow and plain on purpose. The package, and Solidity, are held to what this file computes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from typing import Any

# ---------------------------------------------------------------- keccak-256 (FIPS 202's permutation, padding 0x01)

_LANES = 2**64 - 1


def keccak(message: bytes) -> bytes:
    """Keccak-256 with the padding from before SHA-3."""
    rate = 136
    padded = message + b"\x01" + bytes(-(len(message) + 1) % rate)
    padded = padded[:-1] + bytes([padded[-1] | 0x80])
    state = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            state[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        _permute(state)
    return b"".join(state[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def _rotate(lane: int, by: int) -> int:
    by %= 64
    return (lane << by | lane >> (64 - by)) & _LANES if by else lane


def _permute(a: list[list[int]]) -> None:
    lfsr = 1
    for _ in range(24):
        parity = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        for x in range(5):
            mixed = parity[x - 1] ^ _rotate(parity[(x + 1) % 5], 1)
            for y in range(5):
                a[x][y] ^= mixed
        x, y, moving = 1, 0, a[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            moving, a[x][y] = a[x][y], _rotate(moving, (t + 1) * (t + 2) // 2)
        for y in range(5):
            row = [a[x][y] for x in range(5)]
            for x in range(5):
                a[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5] & _LANES)
        for bit in range(7):
            lfsr = (lfsr << 1) ^ ((lfsr >> 7) * 0x171)
            if lfsr & 2:
                a[0][0] ^= 1 << ((1 << bit) - 1)


# ---------------------------------------------------------------- HKDF-SHA-256, X25519


def hkdf(key: bytes, info: str) -> bytes:
    """RFC 5869 with an empty salt and one block of output."""
    pseudorandom = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(pseudorandom, info.encode("ascii") + b"\x01", "sha256")


def scalar(key: bytes, info: str) -> int:
    """RFC 5869 with an empty salt, one block and a half of output, modulo the order of BLS12-381's groups."""
    first = hkdf(key, info)
    second = hmac.digest(hmac.digest(bytes(32), key, "sha256"), first + info.encode("ascii") + b"\x02", "sha256")
    return int.from_bytes(first + second[:16], "big") % GROUP_ORDER


GROUP_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def x25519_public(private: bytes) -> bytes:
    """RFC 7748, section 5: the Montgomery ladder from the base point 9."""
    p = 2**255 - 19
    k = int.from_bytes(private, "little") & ~7 & ~(1 << 255) | 1 << 254
    x1, x2, z2, x3, z3, swap = 9, 1, 0, 9, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        plus, minus = (x2 + z2) ** 2 % p, (x2 - z2) ** 2 % p
        e = plus - minus
        da, cb = (x3 - z3) * (x2 + z2), (x3 + z3) * (x2 - z2)
        x3, z3 = (da + cb) ** 2 % p, x1 * (da - cb) ** 2 % p
        x2, z2 = plus * minus % p, e * (plus + 121665 * e) % p
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


# ---------------------------------------------------------------- ABI, one word at a time


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def address(text: str) -> bytes:
    return bytes(12) + bytes.fromhex(text[2:])


def tag(name: str) -> bytes:
    return keccak(b"cloister/1/" + name.encode("ascii"))


ZERO = bytes(32)

# ---------------------------------------------------------------- the page, from top to bottom


def version_id(chain_id: int, registry: str, owner: str, manifest_hash: bytes) -> bytes:
    return keccak(number(chain_id) + address(registry) + address(owner) + manifest_hash)


def terms_words(r: dict[str, Any]) -> bytes:
    """The fields of Terms in contracts/types/Request.sol in their order, a word each: the tuple is static."""
    return (
        address(r["requester"])
        + r["version"]
        + number(r["level"])
        + number(r["seats"])
        + number(r["quorum"])
        + number(r["verifier"])
        + number(r["ownerPercent"])
        + address(r["token"])
        + number(r["pricePerSeat"])
        + number(r["lockEach"])
    )


def brief_hash(r: dict[str, Any]) -> bytes:
    """Of the fields of Brief in contracts/types/Request.sol."""
    return keccak(
        number(r["nonce"])
        + r["inputCommitment"]
        + r["ciphertextHash"]
        + number(r["ciphertextSize"])
        + r["responseKey"]
        + r["secretHash"]
        + address(r["worker"])
        + number(r["reputation"])
        + address(r["consumer"])
        + number(r["consumerGas"])
    )


def job_id(chain_id: int, market: str, request: dict[str, Any]) -> bytes:
    return keccak(number(chain_id) + address(market) + terms_words(request) + brief_hash(request))


def sealed_keys_hash(keys: list[bytes]) -> bytes:
    return keccak(b"".join(keys))


def committee_tag(job: bytes, keys: list[bytes], committee: list[str]) -> bytes:
    """A dynamic array behind two words: its offset after them, then its length and its items."""
    head = job + sealed_keys_hash(keys) + number(96)
    return keccak(head + number(len(committee)) + b"".join(address(worker) for worker in committee))[:12]


def membership(chain_id: int, registry: str, worker: str, operator: str) -> bytes:
    """EIP-712: the domain Cloister/1 of the node registry."""
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    domain = keccak(keccak(kind) + keccak(b"Cloister") + keccak(b"1") + number(chain_id) + address(registry))
    said = keccak(keccak(b"Membership(address worker,address operator)") + address(worker) + address(operator))
    return keccak(b"\x19\x01" + domain + said)


def secret_hash(seed_secret: bytes) -> bytes:
    return keccak(seed_secret)


def input_binding(job_secret: bytes, response_key: bytes, plaintext: bytes) -> bytes:
    return keccak(tag("input") + job_secret + response_key + keccak(plaintext))


def circuit_input(input_digest: bytes, pad_digest: bytes) -> bytes:
    return keccak(input_digest + pad_digest)


def input_commitment(binding: bytes, on_chain: bytes = ZERO) -> bytes:
    return keccak(binding + on_chain)


def sealed_key_info(
    chain_id: int, market: str, job: bytes, request: dict[str, Any], worker: str, key_epoch: int
) -> bytes:
    return keccak(
        tag("sealed-key")
        + number(chain_id)
        + address(market)
        + job
        + address(request["requester"])
        + request["version"]
        + address(worker)
        + number(key_epoch)
        + request["responseKey"]
        + request["inputCommitment"]
        + request["ciphertextHash"]
    )


def seed(job: bytes, prevrandao: bytes, seed_secret: bytes) -> bytes:
    return keccak(job + prevrandao + seed_secret)


def committee_hash(committee: list[str]) -> bytes:
    """A dynamic array alone: its offset, its length, its items."""
    return keccak(number(32) + number(len(committee)) + b"".join(address(worker) for worker in committee))


def output_commitment(committed_input: bytes, output_secret: bytes, output: bytes) -> bytes:
    return keccak(tag("output") + committed_input + output_secret + keccak(output))


def commitment(
    chain_id: int, market: str, job: bytes, round_: int, worker: str, committed: bytes, salt: bytes
) -> bytes:
    return keccak(number(chain_id) + address(market) + job + number(round_) + address(worker) + committed + salt)


def masked_output(pad_digest: bytes, masked: bytes) -> bytes:
    return keccak(number(2) + pad_digest + keccak(masked))


def proof_context(chain_id: int, market: str, job: bytes, worker: str) -> bytes:
    return keccak(number(chain_id) + address(market) + job + address(worker))


def weights_context(chain_id: int, registry: str, version: bytes) -> bytes:
    return keccak(number(chain_id) + address(registry) + version)


def sealed_output_info(chain_id: int, market: str, job: bytes, worker: str, committed: bytes) -> bytes:
    return keccak(tag("sealed-output") + number(chain_id) + address(market) + job + address(worker) + committed)


def salt(worker_secret: bytes, job: bytes, round_: int) -> bytes:
    return hkdf(worker_secret, f"cloister/1/salt/{job.hex()}/{round_}")


# ---------------------------------------------------------------- one value of each


def vectors() -> dict[str, Any]:
    """Fixed inputs and all that follows from them; bytes as 0x and digits, integers above 2^53 as decimal text."""
    chain_id = 31337
    market, registry, nodes = "0x" + "1a" * 20, "0x" + "2b" * 20, "0x" + "9a" * 20
    requester, owner, worker = "0x" + "3c" * 20, "0x" + "4d" * 20, "0x" + "5e" * 20
    root = hashlib.sha256(b"root of the vectors").digest()
    worker_secret = hashlib.sha256(b"worker secret of the vectors").digest()
    account_key = hashlib.sha256(b"account of the vectors").digest()
    manifest = b'{"format":"cloister-model/1"}'
    plaintext = b"".join(value.to_bytes(4, "big", signed=True) for value in (-910, 0, 1, 2253))
    output = b"".join(value.to_bytes(4, "big", signed=True) for value in (-5, 70_000))
    ciphertext = b"any bytes stand for the ciphertext here"
    prevrandao = hashlib.sha256(b"prevrandao of the vectors").digest()
    key_epoch, round_ = 3, 0
    nobody, second, operator = "0x" + "00" * 20, "0x" + "6f" * 20, "0x" + "7c" * 20
    committee = [worker, nobody, second]
    sealed_keys = [hashlib.sha512(f"sealed key of seat {i}".encode()).digest() + bytes(16) for i in (0, 2)]

    job_secret = hkdf(root, "cloister/1/job-secret")
    seed_secret = hkdf(root, "cloister/1/seed-secret")
    response_private = hkdf(root, "cloister/1/response-key")
    response_key = x25519_public(response_private)
    nonce = int.from_bytes(hkdf(root, "cloister/1/nonce"), "big")
    output_secret = hkdf(job_secret, "cloister/1/output-secret")
    manifest_hash = hashlib.sha256(manifest).digest()
    version = version_id(chain_id, registry, owner, manifest_hash)
    binding = input_binding(job_secret, response_key, plaintext)
    input_digest = hashlib.sha256(b"points of C_X").digest()
    pad_digest = hashlib.sha256(b"points of the pad").digest()
    masked = b"".join(number((word + pad) % GROUP_ORDER) for word, pad in ((-5, 3), (70_000, GROUP_ORDER - 1)))
    request = {
        "requester": requester,
        "version": version,
        "level": 1,
        "seats": 3,
        "quorum": 2,
        "verifier": 0,
        "ownerPercent": 12,
        "token": "0x" + "8d" * 20,
        "pricePerSeat": 10**15 + 7,
        "lockEach": 21 * 10**15 + 10**9,
        "nonce": nonce,
        "inputCommitment": input_commitment(binding),
        "ciphertextHash": hashlib.sha256(ciphertext).digest(),
        "ciphertextSize": len(ciphertext),
        "responseKey": response_key,
        "secretHash": secret_hash(seed_secret),
        "worker": nobody,
        "reputation": 6_000,
        "consumer": "0x" + "ab" * 20,
        "consumerGas": 90_000,
    }
    job = job_id(chain_id, market, request)
    committed = output_commitment(request["inputCommitment"], output_secret, output)
    its_salt = salt(worker_secret, job, round_)
    hpke_key = hkdf(worker_secret, "cloister/1/hpke-key")
    found = {
        "inputs": {
            "chainId": chain_id,
            "market": market,
            "modelRegistry": registry,
            "nodeRegistry": nodes,
            "requester": requester,
            "owner": owner,
            "worker": worker,
            "operator": operator,
            "root": root,
            "workerSecret": worker_secret,
            "accountKey": account_key,
            "manifest": manifest,
            "plaintext": plaintext,
            "output": output,
            "ciphertext": ciphertext,
            "prevrandao": prevrandao,
            "keyEpoch": key_epoch,
            "round": round_,
            "committee": committee,
            "sealedKeys": sealed_keys,
            "inputDigest": input_digest,
            "padDigest": pad_digest,
            "masked": masked,
        },
        "tags": {name: tag(name) for name in ("input", "sealed-key", "output", "sealed-output")},
        "requester": {
            "jobSecret": job_secret,
            "seedSecret": seed_secret,
            "responsePrivateKey": response_private,
            "responseKey": response_key,
            "nonce": nonce,
            "inputCipherKey": hkdf(job_secret, "cloister/1/input-cipher"),
            "outputSecret": output_secret,
            "journalKey": hkdf(account_key, "cloister/1/journal-key"),
        },
        "worker": {
            "hpkePrivateKey": hpke_key,
            "hpkePublicKey": x25519_public(hpke_key),
            "resultKey": hkdf(worker_secret, "cloister/1/result-key"),
            "salt": its_salt,
        },
        "request": request,
        "hashes": {
            "manifestHash": manifest_hash,
            "versionId": version,
            "briefHash": brief_hash(request),
            "jobId": job,
            "secretHash": request["secretHash"],
            "inputBinding": binding,
            "inputCommitment": request["inputCommitment"],
            "sealedKeyInfo": sealed_key_info(chain_id, market, job, request, worker, key_epoch),
            "seed": seed(job, prevrandao, seed_secret),
            "committeeHash": committee_hash(committee),
            "sealedKeysHash": sealed_keys_hash(sealed_keys),
            "committeeTag": committee_tag(job, sealed_keys, committee),
            "membership": membership(chain_id, nodes, worker, operator),
            "outputCommitment": committed,
            "commitment": commitment(chain_id, market, job, round_, worker, committed, its_salt),
            "sealedOutputInfo": sealed_output_info(chain_id, market, job, worker, committed),
        },
        "proved": {
            "circuitInput": circuit_input(input_digest, pad_digest),
            "inputCommitment": input_commitment(binding, circuit_input(input_digest, pad_digest)),
            "maskedOutput": masked_output(pad_digest, masked),
            "proofContext": proof_context(chain_id, market, job, worker),
            "weightsContext": weights_context(chain_id, registry, version),
        },
        "scalars": {
            info: number(scalar(job_secret, f"cloister/1/{info}"))
            for info in ("input-blinding/0", "pad-blinding/1", "output-pad/2")
        },
    }
    shown: dict[str, Any] = _shown(found)
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shown(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and value > 2**53:
        return str(value)
    return value


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=2)
    sys.stdout.write("\n")
