"""From a job to an outcome: what a worker calls.

Importing this module imports all that a cell needs, so that a server which forks workers can
load it once. It does not touch CUDA.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.records.record import Outcome
from bench.scheduling.job import Job
from bench.training.choose_cell import choose_cell
from bench.training.measure_cell import measure_cell
from bench.training.numerics import deterministic, limit_memory, own_randomness
from bench.training.train_cell import train_cell
from bench.training.trial_cell import trial_cell
from bench.training.tuned_cell import tuned_cell

_DOES: dict[str, Callable[[Job], Outcome]] = {
    "train": train_cell,
    "measure": measure_cell,
    "trial": trial_cell,
    "choose": choose_cell,
    "tuned": tuned_cell,
}


def execute(job: Job) -> Outcome:
    """Do one attempt at a cell.

    On one machine the same cell gives the same bits: algorithms are deterministic, threads
    are those of the job, and torch's global random state, which no part of Retable draws from
    but a backbone's dropout may, is seeded from the cell and put back afterwards.

    Raises
    ------
    UserError
        If data, weights or a part cannot be had, or numeric settings were changed meanwhile.
    NotANumber
        If a loss or metric is not finite.
    """
    with deterministic(job.threads), own_randomness(job.cell.seed, job.device):
        limit_memory(job.device, job.memory_share)
        return _DOES[job.cell.work.key](job)
