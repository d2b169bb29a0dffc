"""A client and workers on a real chain in one process: every block is mined by the test, nothing runs by itself."""

from dataclasses import replace

import numpy as np
import pytest
from support.town import (
    AGREED,
    FIRST_WORKER,
    OWNER,
    PACKAGE,
    PARAMETERS,
    PRICE,
    REQUESTER,
    ROWS,
    STAKE,
    WORKERS,
    Crash,
)

from cloister.chain.connection import Connection
from cloister.chain.errors import ContractError, InsufficientFunds, RpcUnavailable, WrongChain
from cloister.chain.market import Market
from cloister.chain.models import Models
from cloister.chain.nodes import Nodes
from cloister.chain.sender import Sender
from cloister.chain.verifiers import Verifiers
from cloister.client import Client, NotYourJob, OutputWithheld, StillRunning, UnknownJob
from cloister.committees import NotEnoughWorkers
from cloister.devnet.accounts import key
from cloister.devnet.anvil import start_anvil
from cloister.domain.errors import InvalidInput
from cloister.domain.events import RefundReason
from cloister.domain.ids import Address, JobId, VersionId
from cloister.domain.job import State
from cloister.domain.pins import Pins
from cloister.domain.request import Assurance
from cloister.inference import PackageCache, PlainInference
from cloister.recipients import Recipients
from cloister.sealing.vault import Vault
from cloister.storage.blobs import BlobStore, BlobStores
from cloister.storage.journal import Journal


class Liar(PlainInference):
    """Answers with the right output, turned round."""

    def run(self, package, plaintext):
        output = super().run(package, plaintext)
        return output[4:] + output[:4]


class Hider(PlainInference):
    """Commits to the right output and seals another."""

    def _seal(self, output, job, info):
        return super()._seal(output[4:] + output[:4], job, info)


class Blind(PlainInference):
    """Sees no blob store for inputs."""

    def ciphertext(self, job):
        if job.ciphertext is None:
            self._blobs = BlobStores([BlobStore("memory://nothing", max_size=1)])
            try:
                return super().ciphertext(job)
            finally:
                self._blobs = None
        return job.ciphertext


# ------------------------------------------------------------------ whole jobs


def test_job__honest_committee__gives_what_the_package_runs_and_everybody_is_paid(town):
    town.work()
    with town.client() as client:
        before = town.balances()
        job_id = client.request(town.version, ROWS, AGREED)
        states = []
        result = client.wait(job_id, timeout=60, progress=lambda job: states.append(job.state))
        assert result.job.state is State.SETTLED
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        expected = [PACKAGE.manifest.labels[i] for i in PACKAGE.run(ROWS).argmax(axis=1)]
        assert list(result.predictions) == expected
        assert states[0] is State.OPEN
        assert states[-1] is State.SETTLED
        assert len(result.job.agreeing) == 3
        after = town.balances()
        assert after[town.market.address] - before[town.market.address] == 3 * PRICE
        for index in range(FIRST_WORKER, FIRST_WORKER + WORKERS):
            assert town.credit(index) == PRICE
            # It comes free by itself, when nobody can dispute the result any more.
            assert town.nodes.node(town.address(index)).locked == PRICE * PARAMETERS.market.stake_ratio
        assert client.withdraw() is None
    with town.client() as again:
        assert (again.result(job_id).outputs == result.outputs).all()


def test_job__one_liar__is_outvoted_and_slashed(town):
    town.work(PlainInference, Liar, PlainInference)
    with town.client() as client:
        result = client.wait(client.request(town.version, ROWS, AGREED), timeout=60)
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        liar = town.address(FIRST_WORKER + 1)
        assert result.job.agreeing == {town.address(FIRST_WORKER), town.address(FIRST_WORKER + 2)}
        assert town.nodes.node(liar).stake == STAKE  # somebody could still prove that it was right
        town.node.skip(PARAMETERS.market.challenge_window + 20)  # each agreeing seat leaves it to the one before
        for _ in range(6):
            town.tick()
        lock = PRICE * PARAMETERS.market.stake_ratio
        assert town.nodes.node(liar).stake == STAKE - lock * PARAMETERS.market.wrong_bps // 10_000
        assert town.credit(FIRST_WORKER + 1) == 0
        assert town.credit(REQUESTER) == PRICE  # the liar's price comes back
        receipt = client.withdraw()
        assert receipt.succeeded
        assert town.credit(REQUESTER) == 0


def test_job__nobody_works__is_refunded_in_full_and_the_silent_pay(town):
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        for _ in range(4):
            town.tick()
            client.step(job_id)
        assert client.job(job_id).state is State.READY
        town.node.skip(PARAMETERS.market.commit_window + 5)
        result = client.wait(job_id, timeout=60)
        assert result.job.refund_reason is RefundReason.TOO_FEW_COMMITS
        assert result.outputs is None
        assert town.credit(REQUESTER) == 3 * PRICE
        for index in range(FIRST_WORKER, FIRST_WORKER + WORKERS):
            assert town.nodes.node(town.address(index)).stake < STAKE


def test_job__one_worker_away__settles_with_the_others_after_the_window(town):
    town.work(PlainInference, None, PlainInference)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        for _ in range(6):
            client.step(job_id)
            town.tick()
        assert len(client.job(job_id).committed) == 2
        town.node.skip(PARAMETERS.market.commit_window + 1)
        result = client.wait(job_id, timeout=60)
        assert (result.outputs == PACKAGE.run(ROWS)).all()


def test_job__worker_without_the_ciphertext__demands_and_the_client_publishes(town):
    town.work(PlainInference, Blind, PlainInference)
    town.active = [town.active[1], town.active[0], town.active[2]]
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        states = []
        result = client.wait(job_id, timeout=60, progress=lambda job: states.append(job.state))
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        assert town.address(FIRST_WORKER + 1) in result.job.agreeing
        assert result.job.ciphertext is not None


def test_job__requester_silent__anybody_closes_and_the_fee_is_burned(town):
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        town.node.skip(PARAMETERS.market.deliver_window + 5)
        result = client.wait(job_id, timeout=60)
        assert result.job.refund_reason is RefundReason.NOT_DELIVERED
        fee = 3 * PRICE * PARAMETERS.market.fault_bps // 10_000
        assert town.credit(REQUESTER) == 3 * PRICE - fee


def test_job__worker_that_refuses__frees_its_seat(town):
    class Refusing(PlainInference):
        def package(self, version):
            self._packages = PackageCache(
                BlobStores([BlobStore("memory://none", max_size=1)]), lambda v: JobId(bytes(32))
            )
            return super().package(version)

    town.work(PlainInference, PlainInference, Refusing)
    with town.client() as client:
        result = client.wait(client.request(town.version, ROWS, AGREED), timeout=60)
        assert result.job.refused == {town.address(FIRST_WORKER + 2)}
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        assert town.nodes.node(town.address(FIRST_WORKER + 2)).stake == STAKE


def test_result__sealed_output_that_is_not_the_agreed_one__is_passed_over(town):
    town.work(Hider, Hider, PlainInference)
    with town.client() as client:
        result = client.wait(client.request(town.version, ROWS, AGREED), timeout=60)
        assert (result.outputs == PACKAGE.run(ROWS)).all()


def test_result__no_agreeing_worker_sealed_the_agreed_output__is_withheld(town):
    town.work(Hider, Hider, Hider)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        with pytest.raises(OutputWithheld):
            client.wait(job_id, timeout=60)
        assert client.job(job_id).state is State.SETTLED


# ------------------------------------------------------------------ crashes of the requester


@pytest.mark.parametrize("where", ["before the journal", "journalled", "broadcast"])
def test_request__killed__either_never_happened_or_goes_on(town, where):
    town.work()
    with town.client() as client:
        broadcast, record = client.sender._broadcast, client.journal.record

        def die(*args):
            if where == "broadcast":
                broadcast(*args)
            raise Crash

        if where == "before the journal":
            client.journal.record = die
        else:
            client.sender._broadcast = die
        with pytest.raises(Crash):
            client.request(town.version, ROWS, AGREED)
        (stored,) = client.journal.requests()
        client.journal.record = record
    with town.client() as client:
        if where == "before the journal":
            with pytest.raises(UnknownJob):
                client.wait(stored.job_id, timeout=60)
            assert town.market.jobs(town.deployment.block) == []
        else:
            result = client.wait(stored.job_id, timeout=60)
            assert (result.outputs == PACKAGE.run(ROWS)).all()
            assert len(town.market.jobs(town.deployment.block)) == 1


def test_client__killed_after_the_request__a_new_one_delivers_and_reads(town):
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
    town.work()
    with town.client() as client:
        assert (client.wait(job_id, timeout=60).outputs == PACKAGE.run(ROWS)).all()


def test_client__killed_while_delivering__a_new_one_goes_on(town):
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        town.node.mine(3)
        client.sender._broadcast = lambda raw: (_ for _ in ()).throw(Crash)
        with pytest.raises(Crash):
            client.step(job_id)
    with town.client() as client:
        assert (client.wait(job_id, timeout=60).outputs == PACKAGE.run(ROWS)).all()


def test_wait__timeout__says_how_to_go_on_and_goes_on(town):
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        with pytest.raises(StillRunning, match="cloister result"):
            client.wait(job_id, timeout=0)
        town.work()
        assert client.wait(job_id, timeout=60).job.state is State.SETTLED


def test_deliver__committee_changed_under_the_client__draws_again(town):
    """Between the client's draw and the market's, another job may lock stake."""
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        draw, wrong = client.nodes.draw, []

        def stale(*args):
            committee = draw(*args)
            if not wrong:
                wrong.append(True)
                return committee[::-1]
            return committee

        client.nodes.draw = stale
        try:
            assert client.wait(job_id, timeout=60).job.state is State.SETTLED
        finally:
            del client.nodes.draw


# ------------------------------------------------------------------ what cannot work moves no money


def nothing_moved(town, client, act, error, **match):
    before = town.balances()
    blobs = {path for path in (town.folder / "blobs").rglob("*") if path.is_file()}
    nonce = town.connection.w3.eth.get_transaction_count(client.account, "pending")
    with pytest.raises(error, **match) as raised:
        act()
    assert str(raised.value)
    town.node.mine(2)
    assert town.balances() == before
    assert client.journal.requests() == []
    assert client.journal.pending() == []
    assert town.connection.w3.eth.get_transaction_count(client.account, "pending") == nonce
    return {path for path in (town.folder / "blobs").rglob("*") if path.is_file()} - blobs


LOW, HIGH = PACKAGE.manifest.input.bounds()


@pytest.mark.parametrize(
    "rows",
    [
        (HIGH + 1)[None],
        (LOW - 1)[None],
        ROWS[:, :29],
        ROWS[0],
        ROWS[:0],
        ROWS.astype(float),
        [["a"] * 30],
        [[1, 2], [3]],
        np.repeat(ROWS, 65, axis=0),
    ],
    ids=["above", "below", "too narrow", "no batch", "empty", "floats", "text", "ragged", "130 rows"],
)
def test_request__rows_that_the_model_does_not_take__says_so(town, rows):
    with town.client() as client:
        left = nothing_moved(town, client, lambda: client.request(town.version, rows, AGREED), InvalidInput)
        assert left == set()


def test_request__unknown_or_retired_model__says_so(town):
    with town.client() as client:
        unknown = VersionId(bytes(32))
        nothing_moved(town, client, lambda: client.request(unknown, ROWS, AGREED), InvalidInput, match="published")
    with town.client(OWNER) as owner:
        owner.sender.transact("deprecate", town.models.deprecate(town.version))
    with town.client() as client:
        nothing_moved(
            town, client, lambda: client.request(town.version, ROWS, AGREED), InvalidInput, match="no more jobs"
        )


def test_request__no_funds__says_so(town):
    town.node.control("anvil_setBalance", town.address(REQUESTER), hex(PRICE))
    with town.client() as client:
        nothing_moved(town, client, lambda: client.request(town.version, ROWS, AGREED), InsufficientFunds)


def test_request__committee_that_cannot_be_drawn__says_so(town):
    with town.client() as client:
        seven = Assurance.parse("agreed(7,4)")
        nothing_moved(
            town, client, lambda: client.request(town.version, ROWS, seven), NotEnoughWorkers, match="4 workers"
        )


def test_request__price_changed_under_the_client__pays_nothing(town):
    with town.client() as client:
        version = client.models.version
        cheap = lambda version_id: replace(version(version_id), price=PRICE - 1)  # noqa: E731
        client.models.version = cheap
        try:
            nothing_moved(
                town, client, lambda: client.request(town.version, ROWS, AGREED), ContractError, match="Price"
            )
        finally:
            del client.models.version


def test_request__price_raised_since_it_was_shown__pays_nothing(town):
    with town.client(OWNER) as owner:
        owner.sender.transact("raise", town.models.set_price(town.version, 2 * PRICE))
    before = town.connection.balance(town.address(REQUESTER))
    with town.client() as client:
        with pytest.raises(ContractError, match="JobMarket_PriceChanged"):
            client.request(town.version, ROWS, AGREED, PRICE)
        assert client.journal.requests() == []
    assert town.connection.balance(town.address(REQUESTER)) == before


def test_connection__another_chain__is_refused(town):
    with pytest.raises(WrongChain, match="31337"):
        Connection(town.node.url, chain_id=1)


def test_client__dead_endpoint__is_said_and_nothing_is_written(tmp_path):
    with start_anvil(0, 0) as node:
        connection = Connection(node.url)
        journal = Journal(tmp_path / "j.sqlite", "c", Address("0x" + "11" * 20), Address(key(REQUESTER).address))
        market, nodes = (kind(connection, Address("0x" + "11" * 20)) for kind in (Market, Nodes))
        models = Models(connection, Address("0x" + "11" * 20), 0)
        verifiers = Verifiers(connection, Address("0x" + "11" * 20))
        blobs = BlobStores([BlobStore(str(tmp_path / "blobs"), max_size=1 << 20)])
        sender = Sender(connection, key(REQUESTER), journal)
        vault = Vault(bytes(key(REQUESTER).key))
        recipients = Recipients(31337, nodes, models, Pins(), 0)
        client = Client(connection, market, nodes, models, verifiers, recipients, sender, blobs, journal, vault, 0)
    with pytest.raises(RpcUnavailable):
        client.request(VersionId(bytes(32)), ROWS, AGREED)
    with pytest.raises(RpcUnavailable):
        client.wait(JobId(bytes(32)))
    assert journal.requests() == []
    assert not (tmp_path / "blobs").exists()
    journal.close()
    with pytest.raises(RpcUnavailable):
        Connection(node.url)


def test_result__job_of_somebody_else_or_unknown__says_so(town):
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
        with pytest.raises(UnknownJob):
            client.result(JobId(bytes(32)))
    with town.client(OWNER) as other:
        with pytest.raises(NotYourJob):
            other.result(job_id)
        assert other.step(job_id).answered


def test_publish__twice__gives_the_same_version(town):
    with town.client(OWNER) as owner:
        assert owner.publisher.publish(PACKAGE, PRICE) == town.version
    with town.client(OWNER) as owner:
        owner.journal._db.execute("DELETE FROM transactions")  # a lost journal
        assert owner.publisher.publish(PACKAGE, 2 * PRICE) == town.version
        assert owner.models.version(town.version).price == PRICE


def test_gas__largest_committee_with_most_liars__fits_what_calls_are_given(town):
    """The last reveal pays eight and slashes seven: the gas limit that every reveal has must do for it."""
    for index in range(FIRST_WORKER + WORKERS, FIRST_WORKER + 15):
        town.register(index)
    town.next_epoch()
    kinds = [Liar] * 7 + [PlainInference] * 8
    town.active = [town.worker(FIRST_WORKER + i, kind) for i, kind in enumerate(kinds)]
    with town.client() as client:
        job_id = client.request(town.version, ROWS, Assurance.parse("agreed(15,8)"))
        result = client.wait(job_id, timeout=60)
    assert len(result.job.agreeing) == 8
    assert (result.outputs == PACKAGE.run(ROWS)).all()
    used = town.market.gas(job_id, town.deployment.block)
    ticket, bytes_ = result.job.ticket(), b"\xff" * 32
    limits = {
        "commit": town.market.commit(ticket, bytes_).gas,
        "reveal": town.market.reveal(ticket, bytes_, bytes_, b"\xff" * 64, b"\xff" * 65).gas,
    }
    for step, limit in limits.items():
        assert len(used[step]) == 15
        assert max(used[step]) <= 0.8 * limit, (step, used[step], limit)
    for journal in list(town.journals.values())[WORKERS:]:
        journal.close()
    town.journals = dict(list(town.journals.items())[:WORKERS])
