"""docs/spec/sessions.md from the text alone: its bytes, and the money of a session step by step.

    python tests/reference/sessions.py > tests/vectors/sessions.json
    python tests/reference/sessions.py traces > tests/vectors/session-traces.json

No eth_abi and no library of keccak: every word is put down by hand. The package, and Solidity, are held to it.
"""

from __future__ import annotations

import copy
import json
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reference.plain_commitments import keccak


def word(value: int | str | bytes) -> bytes:
    """One ABI word: an unsigned integer, an address in hexadecimal, or 32 bytes."""
    if isinstance(value, bytes):
        assert len(value) == 32
        return value
    return (int(value, 16) if isinstance(value, str) else value).to_bytes(32, "big")


def hashed(*words: int | str | bytes) -> bytes:
    return keccak(b"".join(word(value) for value in words))


def tag(name: str) -> bytes:
    return keccak(b"cloister/1/" + name.encode())


def session_id(chain_id: int, contract: str, requester: str, worker: str, nonce: int) -> bytes:
    return hashed(chain_id, contract, requester, worker, nonce)


def order_hash(session: bytes, sequence: int, total: int, input_commitment: bytes) -> bytes:
    kind = keccak(b"Order(bytes32 session,uint32 sequence,uint128 total,bytes32 inputCommitment)")
    return hashed(kind, session, sequence, total, input_commitment)


def receipt_hash(
    session: bytes, sequence: int, total: int, input_commitment: bytes, output_commitment: bytes, sealed_output: bytes
) -> bytes:
    kind = keccak(
        b"Receipt(bytes32 session,uint32 sequence,uint128 total,bytes32 inputCommitment,bytes32 outputCommitment,"
        b"bytes32 sealedOutputHash)"
    )
    return hashed(kind, session, sequence, total, input_commitment, output_commitment, keccak(sealed_output))


def digest(chain_id: int, contract: str, struct_hash: bytes) -> bytes:
    kind = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    separator = hashed(kind, keccak(b"Cloister"), keccak(b"1"), chain_id, contract)
    return keccak(b"\x19\x01" + separator + struct_hash)


def leaf(order: bytes, receipt: bytes, order_signature: bytes, receipt_signature: bytes) -> bytes:
    return hashed(tag("session-leaf"), order, receipt, keccak(order_signature), keccak(receipt_signature))


def root(leaves: list[bytes], levels: int | None = None) -> bytes:
    """By halves from the top, where the contract and the package go up from the leaves."""
    levels = next(n for n in range(64) if 2**n >= len(leaves)) if levels is None else levels
    if levels == 0:
        return leaves[0] if leaves else bytes(32)
    half = 2 ** (levels - 1)
    return hashed(tag("session-node"), root(leaves[:half], levels - 1), root(leaves[half:], levels - 1))


def proof(leaves: list[bytes], index: int) -> list[bytes]:
    levels = next(n for n in range(64) if 2**n >= len(leaves))
    path = []
    for level in range(levels):
        sibling = (index >> level) ^ 1
        path.append(root(leaves[sibling << level : (sibling + 1) << level], level))
    return path


def job_id(chain_id: int, contract: str, session: bytes, sequence: int) -> bytes:
    return hashed(tag("session-job"), chain_id, contract, session, sequence)


def sealed_key_info(chain_id: int, contract: str, session: bytes, sequence: int, *rest: int | str | bytes) -> bytes:
    """`rest`: version, worker, key epoch, response key, input commitment, SHA-256 of the ciphertext."""
    return hashed(tag("sealed-key/session"), chain_id, contract, session, sequence, *rest)


# ---------------------------------------------------------------- money


@dataclass
class Batch:
    """A settlement that is not paid."""

    sequences: set[int]
    demand_until: int
    payable_at: int
    bonded: bool = True
    refunded: set[int] = field(default_factory=set)


@dataclass
class Session:
    """One session in coin, and what its contract owes for it. Every step either happens whole or gives False."""

    price: int
    reserved: int
    challenge: int
    answer: int
    delay: int
    bond_jobs: int
    deposit: int
    settled: int = 0
    close_at: int = 0
    closed: bool = False
    batches: dict[int, Batch] = field(default_factory=dict)
    demands: dict[int, int] = field(default_factory=dict)  # sequence → answer until, while open
    taken: set[int] = field(default_factory=set)  # ever demanded or refunded
    refunded: set[int] = field(default_factory=set)
    owed: dict[str, int] = field(default_factory=lambda: {"requester": 0, "worker": 0, "burn": 0})

    @property
    def bond(self) -> int:
        return 2 * self.deposit + self.bond_jobs * self.price

    @property
    def balance(self) -> int:
        pending = sum((len(b.sequences) - len(b.refunded)) * self.price for b in self.batches.values())
        bonds = sum(self.bond for b in self.batches.values() if b.bonded)
        return self.reserved + pending + bonds + len(self.demands) * self.deposit + sum(self.owed.values())

    def settle(self, now: int, last: int) -> bool:
        count = last - self.settled
        if count <= 0 or count * self.price > self.reserved or (self.close_at and now >= self.close_at):
            return False
        end = now + self.challenge
        self.batches[self.settled + 1] = Batch(set(range(self.settled + 1, last + 1)), end, end)
        self.reserved -= count * self.price
        self.settled = last
        return True

    def demand(self, now: int, first: int, sequence: int) -> bool:
        batch = self._batch(first, sequence)
        if batch is None or now > batch.demand_until or sequence in self.taken:
            return False
        self.taken.add(sequence)
        self.demands[sequence] = now + self.answer
        batch.payable_at = max(batch.payable_at, now + 2 * self.answer)
        return True

    def show(self, now: int, first: int, sequence: int) -> bool:
        if self._batch(first, sequence) is None or now > self.demands.get(sequence, -1):
            return False
        del self.demands[sequence]
        self.owed["worker"] += self.deposit
        return True

    def forfeit(self, now: int, first: int, sequence: int) -> bool:
        batch = self._batch(first, sequence)
        if batch is None or sequence not in self.demands or now <= self.demands[sequence]:
            return False
        return self._refund(batch, sequence)

    def equivocate(self, now: int, first: int, sequence: int) -> bool:
        batch = self._batch(first, sequence)
        return batch is not None and sequence not in self.refunded and self._refund(batch, sequence)

    def pay(self, now: int, first: int) -> bool:
        batch = self.batches.get(first)
        if batch is None or now <= batch.payable_at or batch.sequences & self.demands.keys():
            return False
        self.owed["worker"] += len(batch.sequences - batch.refunded) * self.price + self.bond * batch.bonded
        del self.batches[first]
        return True

    def announce(self, now: int) -> bool:
        if self.close_at:
            return False
        self.close_at = now + self.delay
        return True

    def close(self, now: int) -> bool:
        if not self.close_at or self.closed or now < self.close_at:
            return False
        self.owed["requester"] += self.reserved
        self.closed, self.reserved = True, 0
        return True

    def _batch(self, first: int, sequence: int) -> Batch | None:
        batch = self.batches.get(first)
        return batch if batch and sequence in batch.sequences else None

    def _refund(self, batch: Batch, sequence: int) -> bool:
        self.taken.add(sequence)
        self.refunded.add(sequence)
        batch.refunded.add(sequence)
        self.owed["requester"] += self.price
        if self.demands.pop(sequence, None) is not None:
            self.owed["requester"] += self.deposit
        if batch.bonded:
            batch.bonded = False
            self.owed["requester"] += self.deposit
            self.owed["burn"] += self.bond - self.deposit
        return True


# ---------------------------------------------------------------- vectors

TRACES, STEPS = 24, 60
STEP = ("settle", "demand", "show", "forfeit", "equivocate", "pay", "announce", "close")
PARAMETERS = {"price": 1000, "challenge": 100, "answer": 40, "delay": 200, "bond_jobs": 3, "deposit": 30}


def step(session: Session, choose: random.Random) -> tuple[str, int, int]:
    """A step where something may happen, or is just missed: what, first, sequence."""
    what = choose.choices(STEP, (8, 24, 16, 12, 4, 12, 1, 4))[0]
    first = choose.choice([*session.batches, session.settled + 1, choose.randint(1, 12)])
    known = sorted(session.batches[first].sequences) if first in session.batches else [first]
    if what == "settle":
        return what, first, session.settled + choose.choice((0, 1, 1, 2, 3, 5))
    return what, first, choose.choice([*known, *(session.demands or known), choose.randint(0, session.settled + 2)])


def taken(session: Session, now: int, what: str, first: int, sequence: int) -> bool:
    """Takes a step; whether it happens."""
    given = {"settle": (sequence,), "announce": (), "close": (), "pay": (first,)}.get(what, (first, sequence))
    return bool(getattr(session, what)(now, *given))


def trace(seed: int) -> list[int]:
    """Random steps, ten numbers each: what, second, first, sequence, whether it happens, then reserved, what requester,
    worker and nobody are owed, and the balance. Of several steps one that happens is preferred."""
    choose = random.Random(seed)
    session, now, flat = Session(reserved=choose.choice((5_000, 40_000, 80_000)), **PARAMETERS), 0, []
    for _ in range(STEPS):
        now += choose.choice((0, 0, 0, 0, 0, 1, 5, 20, 39, 41, 100))
        tries = [step(session, choose) for _ in range(choose.choice((1, 8)))]
        chosen = next((it for it in tries if taken(copy.deepcopy(session), now, *it)), tries[0])
        done = taken(session, now, *chosen)
        owed = session.owed
        flat += [STEP.index(chosen[0]), now, *chosen[1:], int(done), session.reserved]
        flat += [owed["requester"], owed["worker"], owed["burn"], session.balance]
    return flat


def vectors() -> dict[str, object]:
    chain_id, contract = 31337, "0x" + "1a" * 20
    requester, worker, nonce, price = "0x" + "3c" * 20, "0x" + "5e" * 20, 7, 1_000_000_000_000_007
    session = session_id(chain_id, contract, requester, worker, nonce)
    leaves, entries = [], []
    for sequence in range(1, 10):
        given, made = keccak(b"input %d" % sequence), keccak(b"output %d" % sequence)
        sealed = b"a sealed output, number %d" % sequence
        signatures = [keccak(b"%s %d" % (who, sequence)) * 2 + b"\x1b" for who in (b"order", b"receipt")]
        order = order_hash(session, sequence, sequence * price, given)
        receipt = receipt_hash(session, sequence, sequence * price, given, made, sealed)
        leaves.append(leaf(order, receipt, *signatures))
        entries.append(
            {
                "total": str(sequence * price),
                "inputCommitment": given,
                "outputCommitment": made,
                "sealedOutput": sealed,
                "orderSignature": signatures[0],
                "receiptSignature": signatures[1],
                "orderDigest": digest(chain_id, contract, order),
                "receiptDigest": digest(chain_id, contract, receipt),
                "leaf": leaves[-1],
                "jobId": job_id(chain_id, contract, session, sequence),
            }
        )
    rest = (keccak(b"version"), worker, 3, keccak(b"response key"), keccak(b"input 1"), keccak(b"ciphertext"))
    return {
        "chainId": chain_id,
        "contract": contract,
        "requester": requester,
        "worker": worker,
        "nonce": nonce,
        "session": session,
        "entries": entries,
        "roots": [root(leaves[:count]) for count in range(1, 10)],
        "proofs": [proof(leaves, index) for index in range(9)],
        "sealedKeyInfo": sealed_key_info(chain_id, contract, session, 1, *rest),
    }


def shown(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {name: shown(member) for name, member in value.items()}
    return [shown(member) for member in value] if isinstance(value, list) else value


if __name__ == "__main__":
    if sys.argv[1:] == ["traces"]:
        print("[\n" + ",\n".join(f"  {json.dumps(trace(seed))}" for seed in range(TRACES)) + "\n]")
    else:
        print(json.dumps(shown(vectors()), indent=1))
