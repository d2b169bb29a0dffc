"""A simulated worker among others, in jobs that are played to their end."""

import functools

from support.jobs import BOB, CAROL, digest
from support.simulation import World

from cloister.domain.job import State

SILENT = 0
COMMITS_ONLY = 1
HONEST = 2


class Others:
    """BOB and CAROL, who do their part as soon as they can, as far as they do it."""

    def __init__(self, world, bob=HONEST, carol=HONEST):
        self.world = world
        self.diligence = {BOB: bob, CAROL: carol}

    def calls(self, job_id):
        job = self.world.market.jobs[job_id]
        for worker, diligence in self.diligence.items():
            if job.state is State.READY and worker not in job.committed and diligence >= COMMITS_ONLY:
                yield functools.partial(self.world.market.commit, job_id, worker, digest("commitment of " + worker))
            revealable = job.state is State.COMMITTED and worker in job.committed and worker not in job.revealed
            if revealable and diligence == HONEST:
                yield functools.partial(self.world.market.reveal, job_id, worker, digest("right"))


def play(world, job_id, others=None, blocks=120, each=lambda number: None):
    """Lets blocks pass until the job is over and the worker has nothing left to do."""
    others = others or Others(world)
    for number in range(blocks):
        world.step()
        each(number)
        world.mine(*others.calls(job_id))
        if world.market.jobs[job_id].over:
            world.step()
            break
    return world.market.jobs[job_id]


def started(crash_at=None, **options):
    world = World(crash_at)
    world.step()
    ids = []
    world.mine(lambda: ids.append(world.market.request("job", **options)))
    world.mine(lambda: world.market.deliver(ids[0]))
    return world, ids[0]


def sent(world):
    return [intent.partition(":")[0] for intent in world.disk.sent]
