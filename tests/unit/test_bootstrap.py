"""Putting the parts together: what is measured and what is refused on the way."""

from types import SimpleNamespace

import pytest
from support.jobs import ALICE, MARKET

from cloister.bootstrap.workers import JournalMemory, _timing
from cloister.chain.deployment import DeployParameters
from cloister.config import ConfigError, load_settings
from cloister.domain.answer import ProvedAnswer
from cloister.domain.decisions import Timing
from cloister.domain.ids import JobId
from cloister.network import _deployment
from cloister.storage.journal import Journal

PUBLIC = DeployParameters().market


def chain(block_seconds, number=100):
    """A chain of `number` blocks with a steady rhythm."""
    block = lambda at: SimpleNamespace(number=at, timestamp=1_000 + int(at * block_seconds))  # noqa: E731
    return SimpleNamespace(head=lambda: block(number), block=block)


@pytest.mark.parametrize(
    ("block_seconds", "number", "margin", "patience"),
    [
        (12, 100, 24, 24),  # Ethereum: two blocks
        (2, 100, 4, 4),
        (1, 100, 2, 3),  # never less than the least
        (0, 100, 2, 3),  # blocks mined in a rush share a second
        (5_000, 100, 150, 150),  # mined on demand: a quarter of the shortest window
        (12, 3, 24, 24),  # younger than what is measured
        (12, 0, 2, 3),  # one block only
    ],
)
def test_timing__block_time__sets_the_margin(block_seconds, number, margin, patience):
    windows = PUBLIC.reveal_window, PUBLIC.challenge_window, PUBLIC.dispute_window
    proving = min(Timing().proving, PUBLIC.challenge_window // 4)
    assert _timing(chain(block_seconds, number), PUBLIC) == Timing(margin, patience, proving, *windows)


def settings(tmp_path, **flags):
    return load_settings(flags, env={"HOME": str(tmp_path)}, cwd=tmp_path).settings


def test_deployment__none_configured__says_what_to_set(tmp_path):
    with pytest.raises(ConfigError, match="No deployment is configured"):
        _deployment(settings(tmp_path))


def test_deployment__three_addresses_without_a_chain__says_what_to_set(tmp_path):
    names = ("node_registry", "model_registry", "job_market")
    addresses = {name: f"0x{digit * 40}" for name, digit in zip(names, "123", strict=True)}
    with pytest.raises(ConfigError, match="No deployment is configured"):
        _deployment(settings(tmp_path, **addresses))
    found = _deployment(settings(tmp_path, **addresses, chain_id=5))
    assert (found.chain_id, found.block, found.job_market) == (5, 0, "0x" + "3" * 40)


def test_memory__proof_for_a_dispute__is_kept_until_it_is_dropped(tmp_path):
    job_id, proof = JobId(b"\x11" * 32), ProvedAnswer(b"b" * 32, b"i" * 32, b"p" * 32, b"masked", b"proof")
    path = tmp_path / "journal.sqlite"
    with Journal(path, "chain", MARKET, ALICE) as journal:
        memory = JournalMemory(journal)
        assert (memory.proof(job_id), memory.proofs()) == (None, [])
        memory.keep_proof(job_id, proof)
    with Journal(path, "chain", MARKET, ALICE) as journal:
        memory = JournalMemory(journal)
        assert (memory.proof(job_id), memory.proofs()) == (proof, [job_id])
        memory.drop_proof(job_id)
        assert memory.proofs() == []
