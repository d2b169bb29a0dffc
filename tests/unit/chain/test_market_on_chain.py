"""The market's calls on a chain: what the package sends the contracts take; what they emit folds to what they store."""

from __future__ import annotations

import random

import pytest
from eth_hash.auto import keccak
from support.market_site import OWNER_PERCENT, PAD, PARAMETERS, PRICE, Site

from cloister.chain.errors import ContractError
from cloister.devnet.accounts import account
from cloister.devnet.pyevm.server import running
from cloister.domain.commitments import committee_tag, masked_output
from cloister.domain.events import RefundReason
from cloister.domain.ids import NOBODY
from cloister.domain.job import State
from cloister.domain.request import Assurance, Level
from cloister.domain.typed import membership_digest
from cloister.sealing.signatures import sign

RIGHT, WRONG, ODD = (masked_output(PAD, words) for words in (b"right", b"wrong", b"odd"))
MARKET = PARAMETERS.market
PAY = PRICE * (100 - OWNER_PERCENT) // 100


@pytest.fixture(scope="module")
def site():
    with running() as server:
        yield Site(server.url)


def refused(name):
    return pytest.raises(ContractError, match=name)


def test_agreed__unanimous__pays_at_once_and_is_final_after_the_window(site):  # JOB-20, CHAL-1, REP-3
    posted, job = site.delivered()
    assert site.market._view("jobId", posted.request.as_tuple()) == posted.job_id
    tag = site.market._view("job", posted.job_id)[-1]
    assert committee_tag(posted.job_id, job.sealed_keys, job.committee) == tag
    before = {worker: site.market.credit(worker) for worker in job.committee}
    job = site.vote(posted, [RIGHT] * 3)
    assert (job.state, job.over, job.agreeing) == (State.SETTLED, False, set(job.committee))
    for worker in job.committee:
        assert site.market.credit(worker) - before[worker] == PAY
        assert site.market.reputation(worker) > 5_000
        assert site.nodes.node(worker).locked >= posted.request.lock_each
        assert site.nodes.node(worker).free == site.nodes.node(worker).stake - site.nodes.node(worker).locked
    assert not site.market.is_final(posted.job_id)
    site.skip(MARKET.challenge_window + 1)
    assert site.job(posted).final(site.now)
    owed = site.market.fees(site.version)
    assert owed >= 3 * (PRICE - PAY)
    site.send(site.requester, site.market.collect(site.version))
    assert (site.market.fees(site.version), site.market.credit(site.owner.address)) == (0, owed)
    balance = site.connection.balance(site.owner.address)
    site.send(site.requester, site.market.withdraw(site.owner.address))
    assert site.connection.balance(site.owner.address) - balance == owed
    with refused("JobMarket_NoCredit"):
        site.send(site.requester, site.market.withdraw(site.owner.address))
    assert set(site.market.gas(posted.job_id, posted.block)) == {"request", "deliver", "commit", "reveal"}
    assert [one.job_id for one in site.market.jobs(posted.block)] == [posted.job_id]


def test_outvoted__after_the_window__loses_and_the_job_is_over(site):  # CHAL-9
    posted, _ = site.delivered(verifier=1)
    job = site.vote(posted, [RIGHT, RIGHT, ODD])
    assert job.dissenting == {job.committee[2]}
    with refused("JobMarket_TooEarly"):
        site.send(site.requester, site.market.resolve(job.ticket()))
    site.skip(MARKET.challenge_window + 1)
    site.send(site.requester, site.market.resolve(job.ticket()))
    job = site.job(posted)
    assert (job.over, job.decided, job.dissenting) == (True, True, frozenset())
    assert site.nodes.slashes(posted.block)[-1].worker == job.committee[2]


def test_outvoted__with_a_proof__overturns_the_majority(site):  # CHAL-3
    posted, job = site.delivered(verifier=1)
    job = site.vote(posted, [WRONG, WRONG, RIGHT])
    lone = site.workers[job.committee[2]]
    proof = site.proof(posted, lone.address, b"right")
    with refused("JobMarket_InvalidProof"):  # another's proof
        site.send(site.requester, site.market.judge(job.ticket(), posted.request, proof))
    confirming = site.proof(posted, lone.address, b"wrong")
    with refused("JobMarket_NothingToDecide"):
        site.send(lone, site.market.judge(job.ticket(), posted.request, confirming))
    site.send(lone, site.market.judge(job.ticket(), posted.request, proof))
    job = site.job(posted)
    assert (job.result, job.agreeing, job.over) == (RIGHT, {lone.address}, True)
    assert site.market.proved_answer(posted.job_id, posted.block) == proof
    assert job.proved.masked == b"right"
    assert site.market.gas(posted.job_id, posted.block)["judge"]


def test_split__with_a_verifier__is_settled_by_a_proof_of_anybody(site):  # CHAL-2, CHAL-3
    posted, job = site.delivered(verifier=1)
    job = site.vote(posted, [WRONG, RIGHT, ODD])
    assert job.state is State.DISPUTED
    proof = site.proof(posted, site.requester.address, b"right")
    site.send(site.requester, site.market.judge(job.ticket(), posted.request, proof))
    job = site.job(posted)
    assert (job.state, job.result, job.agreeing, job.over) == (State.SETTLED, RIGHT, {job.committee[1]}, True)


def test_split__proof_of_what_nobody_revealed__is_the_result_of_nobody(site):  # CHAL-3
    posted, job = site.delivered(verifier=1)
    job = site.vote(posted, [WRONG, masked_output(PAD, b"other"), ODD])
    proof = site.proof(posted, site.requester.address, b"right")
    site.send(site.requester, site.market.judge(job.ticket(), posted.request, proof))
    job = site.job(posted)
    assert (job.state, job.result, job.agreeing, job.over) == (State.SETTLED, RIGHT, frozenset(), True)


@pytest.mark.parametrize("verifier", [0, 1])
def test_split__that_nobody_decides__is_refunded(site, verifier):  # CHAL-7
    posted, job = site.delivered(verifier=verifier)
    job = site.vote(posted, [WRONG, RIGHT, ODD])
    if verifier:
        with refused("JobMarket_TooEarly"):
            site.send(site.requester, site.market.resolve(job.ticket()))
        site.skip(MARKET.dispute_window + 1)
    site.send(site.requester, site.market.resolve(job.ticket()))
    assert site.job(posted).refund_reason is RefundReason.NO_QUORUM


def test_challenge__that_nobody_answers__voids_the_result(site):  # CHAL-4, CHAL-7
    posted, job = site.delivered(verifier=1)
    job = site.vote(posted, [WRONG, WRONG, RIGHT])
    challenger = site.workers[job.committee[2]]
    bond = site.market.bond()
    site.send(challenger, site.market.challenge(job.ticket(), bond))
    job = site.job(posted)
    assert (job.state, job.challenger) == (State.CHALLENGED, challenger.address)
    site.skip(MARKET.dispute_window + 1)
    site.send(challenger, site.market.resolve(job.ticket()))
    job = site.job(posted)
    assert (job.state, job.refund_reason) == (State.REFUNDED, RefundReason.NOT_PROVED)
    assert site.market.credit(challenger.address) >= bond
    assert {"challenge", "close"} <= set(site.market.gas(posted.job_id, posted.block))


def test_challenge__answered_by_a_proof__upholds_the_result(site):  # CHAL-6
    posted, job = site.delivered(verifier=1)
    job = site.vote(posted, [RIGHT, RIGHT, ODD])
    site.send(site.requester, site.market.challenge(job.ticket(), site.market.bond()))
    prover = site.workers[job.committee[0]]
    proof = site.proof(posted, prover.address, b"right")
    site.send(prover, site.market.judge(job.ticket(), posted.request, proof))
    job = site.job(posted)
    assert (job.state, job.result, job.agreeing, job.over) == (State.SETTLED, RIGHT, set(job.committee[:2]), True)
    with refused("JobMarket_ResultFinal|JobMarket_TooLate"):
        site.send(site.requester, site.market.challenge(job.ticket(), site.market.bond()))


@pytest.mark.parametrize(("found", "upheld"), [(RIGHT, True), (WRONG, False)], ids=["upheld", "overturned"])
def test_refer__of_a_settled_job__its_referees_decide(site, found, upheld):  # CHAL-8
    posted, job = site.delivered("agreed(2,2)")
    job = site.vote(posted, [RIGHT, RIGHT])
    referee = posted.request.for_referees(Assurance(Level.AGREED, 5, 3), posted.request.nonce + 10**9)
    call = site.market.refer(job.ticket(), posted.request, referee, site.market.bond())
    asked = site.post(referee, call)
    job = site.job(posted)
    assert (job.state, job.referee) == (State.CHALLENGED, asked.job_id)
    assert site.job(asked).refereed == posted.job_id
    assert site.market.referee_of(posted.job_id) == asked.job_id
    site.deliver(asked)
    with refused("JobMarket_RefereeUndecided"):
        site.send(site.requester, site.market.resolve(job.ticket()))
    decided = site.vote(asked, [found, found, found, ODD, found])
    assert (decided.over, decided.state, decided.dissenting) == (True, State.SETTLED, frozenset())
    site.send(site.requester, site.market.resolve(job.ticket()))
    job = site.job(posted)
    assert (job.state, job.result, job.over) == (State.SETTLED, found, True)
    assert job.agreeing == (set(job.committee) if upheld else frozenset())
    assert site.market.gas(posted.job_id, posted.block)["refer"]


def test_refer__of_a_split_vote__needs_no_bond(site):  # CHAL-8
    posted, job = site.delivered("agreed(2,2)")
    job = site.vote(posted, [RIGHT, WRONG])
    referee = posted.request.for_referees(Assurance(Level.AGREED, 5, 3), posted.request.nonce + 10**9)
    asked = site.post(referee, site.market.refer(job.ticket(), posted.request, referee, 0))
    site.deliver(asked)
    site.vote(asked, [RIGHT] * 5)
    site.send(site.requester, site.market.resolve(job.ticket()))
    job = site.job(posted)
    assert (job.state, job.result, job.agreeing, job.over) == (State.SETTLED, RIGHT, {job.committee[0]}, True)


def test_hire__proved__is_ready_at_once_and_settled_for_good(site):  # JOB-37, JOB-30
    worker = next(iter(site.workers.values()))
    request = site.request("proved", worker=worker.address)
    posted = site.post(request, site.market.hire(request, bytes(80)))
    job = site.job(posted)
    assert (job.state, job.committee, job.seed_block) == (State.READY, (worker.address,), 0)
    before, name = site.market.credit(worker.address), site.market.reputation(worker.address)
    proof = site.proof(posted, worker.address, b"right")
    site.send(worker, site.market.prove(job.ticket(), request, proof))
    job = site.job(posted)
    assert (job.state, job.result, job.over) == (State.SETTLED, RIGHT, True)
    assert site.market.credit(worker.address) - before == PAY
    assert site.market.reputation(worker.address) == name  # REP-2
    assert site.market.proved_answer(posted.job_id, posted.block) == proof
    assert set(site.market.gas(posted.job_id, posted.block)) == {"hire", "prove"}


def test_notify__final_result__tells_the_consumer_and_nobody_else(site):  # JOB-38
    consumer = site.owner.address
    posted, job = site.delivered(consumer=consumer, consumer_gas=50_000)
    job = site.vote(posted, [RIGHT] * 3)
    with refused("JobMarket_NotFinal"):
        site.send(site.requester, site.market.notify(job.ticket(), posted.request))
    site.skip(MARKET.challenge_window + 1)
    receipt = site.send(site.requester, site.market.notify(job.ticket(), posted.request))
    assert [log["topics"][2][12:].hex() for log in receipt["logs"]] == [consumer[2:].lower()]


def test_demand__published__restarts_the_clock(site):  # JOB-17
    posted, job = site.delivered()
    first = site.workers[job.committee[0]]
    site.send(first, site.market.demand(job.ticket(), MARKET.demand_deposit))
    job = site.job(posted)
    assert job.state is State.DEMANDED
    site.send(site.requester, site.market.publish(job.ticket(), posted.request, b"ciphertext"))
    assert site.job(posted).ciphertext == b"ciphertext"
    assert site.vote(posted, [RIGHT] * 3).state is State.SETTLED


def test_close__each_deadline_that_passes__refunds(site):  # JOB-18, JOB-22, JOB-24
    late = site.post(site.request())
    site.skip(MARKET.deliver_window + 1)
    site.send(site.requester, site.market.close(site.job(late).ticket()))
    assert site.job(late).refund_reason is RefundReason.NOT_DELIVERED

    silent, job = site.delivered()
    site.skip(MARKET.commit_window + 1)
    site.send(site.requester, site.market.close(job.ticket()))
    assert site.job(silent).refund_reason is RefundReason.TOO_FEW_COMMITS

    unpublished, job = site.delivered()
    site.send(site.workers[job.committee[1]], site.market.demand(job.ticket(), MARKET.demand_deposit))
    site.skip(MARKET.publish_window + 1)
    site.send(site.requester, site.market.close(job.ticket()))
    assert site.job(unpublished).refund_reason is RefundReason.UNPUBLISHED

    hidden, job = site.delivered()
    site.vote(hidden, [None] * 3)
    site.skip(MARKET.reveal_window + 1)
    site.send(site.requester, site.market.close(job.ticket()))
    assert site.job(hidden).refund_reason is RefundReason.NO_QUORUM


def test_refuse__too_many__refunds(site):  # JOB-16
    posted, job = site.delivered()
    for worker in job.committee[:2]:
        site.send(site.workers[worker], site.market.refuse(job.ticket(), 2, b"", b""))
        job = site.job(posted)
    assert job.refund_reason is RefundReason.REFUSALS


def test_reveal__late_and_incomplete__is_noted_by_the_first(site):  # JOB-14
    posted, job = site.delivered()
    context = site.context(posted)
    for worker in job.committee[:2]:
        commitment = context.commitment(worker, RIGHT, b"\x07" * 32)
        site.send(site.workers[worker], site.market.commit(job.ticket(), commitment))
    site.skip(MARKET.commit_window + 1)
    job = site.vote(posted, [RIGHT, RIGHT, None], commits=0)
    assert (job.state, job.agreeing) == (State.SETTLED, set(job.committee[:2]))


@pytest.mark.parametrize("seed", range(4))
def test_random_votes__with_and_without_a_verifier__fold_to_what_is_stored(site, seed):
    rng = random.Random(seed)
    seats, quorum = rng.choice([(2, 2), (3, 2), (3, 3), (5, 3)])
    posted, job = site.delivered(f"agreed({seats},{quorum})", verifier=rng.randrange(2))
    outputs = [rng.choice([RIGHT, RIGHT, WRONG, ODD, None]) for _ in range(seats)]
    job = site.vote(posted, outputs, watch=True)
    if job.state is State.COMMITTED:
        site.skip(MARKET.reveal_window + 1)
        site.send(site.requester, site.market.close(job.ticket()))
        job = site.job(posted)
    assert job.state in (State.SETTLED, State.DISPUTED, State.REFUNDED)
    if job.state is not State.REFUNDED:
        site.skip(MARKET.dispute_window + 1)
        if job.state is State.DISPUTED or job.dissenting:
            site.send(site.requester, site.market.resolve(job.ticket()))
    job = site.job(posted)
    assert job.over or job.final(site.now)


def test_calls__in_tokens__carry_no_coins_but_the_bond(site):  # JOB-1
    token = keccak(b"token")[:20].hex()
    from eth_utils.address import to_checksum_address

    request = site.request(token=to_checksum_address(token))
    assert site.market.request(request).value == 0
    assert site.market.request_with_permit(request, 1, 27, bytes(32), bytes(32)).value == 0
    assert site.market.refer(request.ticket(), request, request, 7).value == 7
    with refused("ModelRegistry_NotSoldFor"):
        site.send(site.requester, site.market.request(request))
    with refused("Currencies_NotListed"):
        site.market.lock_for(PRICE, request.token)
    assert site.market.lock_for(PRICE, NOBODY) == MARKET.lock_for(PRICE) == 20 * PRICE


def test_join__with_the_operators_signature__makes_a_worker_one_of_its_own(site):  # NODE-7
    chain_id, registry = site.connection.chain_id, site.nodes.address
    worker, operator = account(site.w3, 17), account(site.w3, 18)
    signature = sign(bytes(operator.key), membership_digest(chain_id, registry, worker.address, operator.address))
    with refused("NodeRegistry_WrongOperatorSignature"):
        site.send(worker, site.nodes.join(site.owner.address, signature))
    with refused("NodeRegistry_WrongOperatorSignature"):
        site.send(site.requester, site.nodes.join(operator.address, signature))
    site.send(worker, site.nodes.join(operator.address, signature))
    site.workers[worker.address] = worker
    site.send(worker, site.nodes.register("http://127.0.0.1:1/", keccak(b"key"), worker.address, 10**19))
    number = site.nodes.operator_number(operator.address)
    assert site.nodes.node(worker.address).operator == number > 0
    assert site.nodes.operator_number(worker.address) == 0
    with refused("NodeRegistry_AlreadyRegistered"):
        site.send(worker, site.nodes.join(operator.address, signature))
