"""The contracts beside tests/reference, step by step: the same calls, refusals, numbers and events."""

import os
import random
import time
from collections import Counter

import pytest
from players import HABITS, Players
from reference.indexer import rebuild, told

STEPS = int(os.environ.get("CLOISTER_STEPS", "700"))
SEQUENCES = int(os.environ.get("CLOISTER_SEQUENCES", "80"))
SEED = int(os.environ.get("CLOISTER_SEED", "7"))
# How many of them there are of each habit.
CROWDS = [
    [9, 0, 0, 0, 0, 1],
    [5, 3, 1, 1, 1, 0],
    [5, 5, 2, 0, 0, 0],
    [4, 8, 1, 0, 0, 0],
    [3, 4, 4, 0, 0, 0],
    [3, 1, 1, 3, 3, 1],
]
LONGEST = 60  # steps of a sequence
SEEN: Counter = Counter()  # the calls of both tests, which share out what must come up


def step(players: Players) -> None:
    """Something that somebody does in a market with many jobs."""
    rng = players.rng
    chance = rng.random()
    live, touched = players.live(), []
    if chance < 0.10:
        players.stakes()
    elif chance < 0.13:
        players.mine()
    elif chance < 0.17:
        players.pay_out()
    elif chance < 0.18:
        players.collect()
    elif chance < 0.19:
        players.price()
    elif chance < 0.205:
        players.steward()
    elif chance < 0.28:
        players.enclave_step()
    elif (chance < 0.40 and len(live) < 5) or not live:
        players.request()
    else:
        touched.append(rng.choice(live))
        if rng.random() < 0.75:
            players.sensible(touched[0])
        else:
            touched.append(rng.choice(list(players.model.jobs)))
            players.anything(touched[1])
    touched += [players.model.jobs[job].referee for job in touched if players.model.jobs[job].referee]
    players.compare(set(touched))


def sequence(players: Players) -> None:
    """One job from its request to its end, with everybody's habits drawn anew."""
    rng, jobs = players.rng, players.model.jobs
    crowd = rng.choice(CROWDS)
    players.habits = {who: rng.choices(HABITS, crowd)[0] for who in players.workers}
    while not jobs:
        players.request()
    first = next(iter(jobs))
    for _ in range(LONGEST):
        live = players.live()
        if not live:
            break
        chance = rng.random()
        if chance < 0.85:
            players.sensible(first if first in live else live[0])
        elif chance < 0.88:
            players.disturb()
        else:
            players.anything(rng.choice(list(jobs)))
        people = {who for job in jobs.values() for who in [*job.committee, job.terms.requester]}
        players.compare(jobs, sorted(people - {"0x" + "00" * 20}))
    job = jobs[first]
    players.ends[f"{job.terms.level} {job.state}"] += 1
    players.notify(first)
    players.let_locks_end()
    players.compare(jobs)


@pytest.fixture
def players(deployment, accounts):
    players = Players(deployment, accounts, random.Random(SEED))
    players.begin()
    return players


def test_random_history__contracts_and_model__agree_at_every_step(players):
    """All of NODE-*, DRAW-*, JOB-*, CHAL-*, MONEY-*, REP-*, and VERIFIER-1 to VERIFIER-3."""
    print(f"seed {SEED}, {STEPS} steps")
    for number in range(STEPS):
        step(players)
        if number % 32 == 0:
            players.rare_step(number // 32)
        if number == STEPS // 2:
            players.now += 31 * 24 * 3600  # half of what was seen of workers is forgotten, and every lock is over
    players.compare(players.model.jobs)

    # The events alone tell the same story.
    jobs = players.model.jobs
    records = {job: told(it.record(job)) for job, it in jobs.items()}
    logs = players.wire.ask("eth_getLogs", {"address": players.market.address, "fromBlock": "0x0"})
    history = [players.market.event(log) for log in logs]
    closed, inexact = players.closed, [players.inexact]
    results = {job: it.result for job, it in jobs.items() if it.state in {"Settled", "Challenged"}}
    assert rebuild(history, players.model.parameters, closed, inexact) == (records, results)
    players.wind_up()

    ends = sorted({job.state for job in jobs.values()})
    print(dict(sorted(players.seen.items())), ends)
    SEEN.update(players.seen)
    assert ends == ["Refunded", "Settled"]


def test_sequences__contracts_and_model__agree_at_every_step(players):
    """Each from the same beginning, on its own: `CLOISTER_SEQUENCES=10000 CLOISTER_SEED=…` for a night."""
    saved, begin, calls = players.save(), time.monotonic(), 0
    for number in range(SEQUENCES):
        players.rng.seed(f"{SEED} {number}")
        players.trail.clear()
        try:
            sequence(players)
        except AssertionError as different:
            trail = "\n".join(players.trail)
            raise AssertionError(f"sequence {number} of seed {SEED}: {different}\n{trail}") from different
        calls += len(players.trail)
        saved = players.restore(saved)
    spent = time.monotonic() - begin
    print(f"{SEQUENCES} sequences, {calls} calls in {spent:.1f} s: {SEQUENCES / spent:.1f} a second")
    print(dict(sorted(players.seen.items())), dict(sorted(players.ends.items())))
    if not SEEN or STEPS < 700 or SEQUENCES < 80:
        return
    SEEN.update(players.seen)
    calls = [
        "request",
        "hire",
        "deliver",
        "commit",
        "reveal",
        "answer",
        "prove",
        "refuse",
        "demand",
        "publish",
        "close",
    ]
    calls += ["challenge", "judge", "refer", "resolve", "notify", "withdraw"]
    calls += ["attest", "post_prompt_key", "enrol", "remove_verifier"]
    for label in calls:
        assert SEEN[label], label
        assert SEEN[f"{label} refused"], label
    for label in ["replace_keys", "narrow", "revoke", "vacate", "strike", "collect", "join"]:
        assert SEEN[label], label
