"""A simulated worker among others, in jobs that are played to their end."""

import functools

from support.jobs import BOB, CAROL, digest
from support.simulated_market import right_output
from support.simulation import World

from cloister.domain.job import State

SILENT = 0
COMMITS_ONLY = 1
HONEST = 2


class Others:
    """BOB and CAROL, who do their part as soon as they can, as far as they do it."""

    def __init__(self, world, bob=HONEST, carol=HONEST, outputs=None):
        """`outputs` are names of other outputs than the model's, by worker."""
        self.world = world
        self.outputs = outputs or {}
        self.diligence = {BOB: bob, CAROL: carol}

    def output(self, job, worker):
        return digest(self.outputs[worker]) if worker in self.outputs else right_output(job)

    def calls(self, job_id):
        job = self.world.market.jobs[job_id]
        for worker, diligence in self.diligence.items():
            if job.state is State.READY and worker not in job.committed and diligence >= COMMITS_ONLY:
                yield functools.partial(self.world.market.commit, job_id, worker, digest("commitment of " + worker))
            revealable = job.state is State.COMMITTED and worker in job.committed and worker not in job.revealed
            if revealable and diligence == HONEST:
                yield functools.partial(self.world.market.reveal, job_id, worker, self.output(job, worker))


def play(world, job_id, others=None, blocks=120, each=lambda number: None, disputed=False):
    """Lets blocks pass until the job is answered, or `disputed`, and the worker has had a look at that."""
    others = others or Others(world)
    for number in range(blocks):
        world.step()
        each(number)
        world.mine(*others.calls(job_id))
        job = world.market.jobs[job_id]
        if job.answered or (disputed and job.state is State.DISPUTED):
            world.step()
            break
    return world.market.jobs[job_id]


def started(crash_at=None, **options):
    world = World(crash_at)
    world.step()
    ids = []
    world.mine(lambda: ids.append(world.market.request("job", **options)))
    if world.market.jobs[ids[0]].state is State.OPEN:
        world.mine(lambda: world.market.deliver(ids[0]))
    return world, ids[0]


def sent(world):
    return [intent.partition(":")[0] for intent in world.disk.sent]
