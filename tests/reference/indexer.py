"""Rebuilds every job from the market's events, its parameters and the names of the versions with a policy."""

from collections.abc import Collection, Iterable

from . import commitments
from .commitments import NOBODY
from .market import ATTESTED, LARGEST_PUBLISHED, PROVED, STATES, Parameters


def rebuild(
    events: Iterable[tuple[str, dict]], parameters: Parameters, closed: Collection[bytes] = ()
) -> dict[bytes, dict]:
    """Job id → what `job(id)` must answer, from (name, arguments) in the order of the chain."""
    jobs: dict[bytes, dict] = {}
    committees: dict[bytes, list[str]] = {}
    for name, args in events:
        if "id" not in args or name in {"Credited", "JobProved"}:  # JobSettled follows the latter
            continue
        job_id = bytes(args["id"])
        if name == "JobRequested":
            request = args["request"]
            jobs[job_id] = {
                "state": STATES.index("Open"),
                "seats": request["seats"],
                "quorum": request["quorum"],
                "flags": 2 * (request["ciphertextSize"] > LARGEST_PUBLISHED)
                + 4 * (request["level"] == PROVED)
                + 8 * (request["level"] == ATTESTED)
                + 16 * (bytes(request["version"]) in closed),
                "committed": 0,
                "revealed": 0,
                "excused": 0,
                "deadline": args["deliverBy"],
                "seedBlock": args["seedBlock"],
                "pricePerSeat": request["pricePerSeat"],
                "requester": args["requester"],
                "lockEach": request["pricePerSeat"] * parameters.stake_ratio,
                "digest": bytes(32),
                "deliveredAt": 0,
                "charged": 0,
            }
            continue
        job = jobs[job_id]
        committee = committees.get(job_id, [])
        bit = 1 << committee.index(args["worker"]) if args.get("worker") in committee else 0
        if name == "KeysDelivered":
            committees[job_id] = committee = list(args["committee"])
            job["digest"] = commitments.committee_hash(committee)
            job["excused"] = sum(1 << seat for seat, who in enumerate(committee) if who == NOBODY)
            job["state"], job["deadline"] = STATES.index("Ready"), args["commitBy"]
            job["deliveredAt"] = args["commitBy"] - parameters.commit_window
        elif name == "RefusalCharged":
            job["charged"] |= bit
        elif name == "OutputCommitted":
            job["committed"] |= bit
        elif name == "OutputRevealed":
            job["revealed"] |= bit & job["committed"]  # the answer of an attested job was never committed to
        elif name == "SeatRefused":
            job["excused"] |= bit
        elif name == "RevealsOpened":
            job["state"], job["deadline"] = STATES.index("Committed"), args["revealBy"]
        elif name == "CiphertextDemanded":
            job["state"], job["deadline"] = STATES.index("Demanded"), args["publishBy"]
        elif name == "CiphertextPublished":
            job["state"], job["deadline"] = STATES.index("Ready"), args["commitBy"]
            job["flags"] |= 1
        elif name == "JobSettled":
            job["state"], job["digest"] = STATES.index("Settled"), bytes(args["outputCommitment"])
        elif name == "JobRefunded":
            job["state"], job["digest"] = STATES.index("Refunded"), bytes(32)
        else:
            raise ValueError(f"an event that no indexer knows: {name}")
    return jobs
