"""Rebuilds every job from the market's events, its parameters and the names of the versions with a policy.

What became of outvoted seats is no event of the market's: their stake's slashes are the registry's."""

from collections.abc import Collection, Iterable

from eth_utils import keccak

from . import commitments
from .commitments import NOBODY
from .market import AGREED, LARGEST_PUBLISHED, STATES, Parameters

SILENT = {"Credited", "JobProved", "ConsumerNotified", "FeesCollected", "Withdrawn"}
# What an event makes of a job's state.
ENDS_IN = {
    "KeysDelivered": "Ready",
    "RevealsOpened": "Committed",
    "CiphertextDemanded": "Demanded",
    "CiphertextPublished": "Ready",
    "JobSettled": "Settled",
    "ResultOverturned": "Settled",
    "ResultUpheld": "Settled",
    "JobDisputed": "Disputed",
    "ResultChallenged": "Challenged",
    "JobRefunded": "Refunded",
    # and these nothing
    "OutputCommitted": None,
    "OutputRevealed": None,
    "SeatRefused": None,
    "RefusalCharged": None,
    "RefereeCalled": None,
}
TOLD = ("state", "flags", "committed", "excused", "charged", "moment", "tag")
FINAL = 16


def told(record: dict) -> dict:
    """What of a job's record the events tell."""
    return {name: record[name] for name in TOLD} | {"flags": record["flags"] & ~FINAL}


def rebuild(
    events: Iterable[tuple[str, dict]],
    parameters: Parameters,
    closed: Collection[bytes] = (),
    inexact: Collection[bytes] = (),
) -> tuple[dict[bytes, dict], dict[bytes, bytes]]:
    """(job id → what `told` makes of its record, job id → result of those that have one).

    `events`: (name, arguments) in the order of the chain. Raises ValueError for an event that is none of the market's.
    """
    jobs: dict[bytes, dict] = {}
    levels: dict[bytes, int] = {}
    committees: dict[bytes, list[str]] = {}
    results: dict[bytes, bytes] = {}
    for name, args in events:
        if name in SILENT:
            continue
        job_id = bytes(args["id"])
        if name == "JobRequested":
            jobs[job_id] = _requested(args, closed, inexact)
            levels[job_id] = args["request"]["terms"]["level"]
            continue
        if name not in ENDS_IN:
            raise ValueError(f"an event that no indexer knows: {name}")
        job = jobs[job_id]
        state = ENDS_IN[name]
        job["state"] = STATES.index(state) if state else job["state"]
        if name == "KeysDelivered":
            committees[job_id] = list(args["committee"])
            job |= _delivered(job_id, args, parameters)
        elif name in {"JobSettled", "ResultOverturned"}:
            results[job_id] = bytes(args["outputCommitment"])
            job["committed"] |= levels[job_id] != AGREED  # nothing was committed to before the answer
        elif name == "JobRefunded":
            results.pop(job_id, None)
        else:
            _seat(job, name, args, committees.get(job_id, []))
    return jobs, results


def _requested(args: dict, closed: Collection[bytes], inexact: Collection[bytes]) -> dict:
    version = bytes(args["version"])
    flags = [False, args["request"]["brief"]["ciphertextSize"] > LARGEST_PUBLISHED, version in closed]
    flags += [args["seedBlock"] == 0, False, version in inexact]
    record = {"state": STATES.index("Open"), "flags": sum(1 << place for place, flag in enumerate(flags) if flag)}
    return record | {"committed": 0, "excused": 0, "charged": 0, "moment": args["seedBlock"], "tag": bytes(12)}


def _delivered(job_id: bytes, args: dict, parameters: Parameters) -> dict:
    committee = list(args["committee"])
    return {
        "tag": commitments.ticket_tag(job_id, committee, keccak(bytes(args["sealedKeys"]))),
        "excused": sum(1 << seat for seat, who in enumerate(committee) if who == NOBODY),
        "moment": args["commitBy"] - parameters.commit_window,
    }


def _seat(job: dict, name: str, args: dict, committee: list[str]) -> None:
    bit = 1 << committee.index(args["worker"]) if args.get("worker") in committee else 0
    if name == "OutputCommitted":
        job["committed"] |= bit
    elif name == "SeatRefused":
        job["excused"] |= bit
    elif name == "RefusalCharged":
        job["charged"] += 1
    elif name == "CiphertextPublished":
        job["flags"] |= 1
