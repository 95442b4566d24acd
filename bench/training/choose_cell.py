"""A cell that chooses a candidate of a search by the scores of its trials: from a job."""

from __future__ import annotations

import time

import torch

from bench.records.record import CHOSEN, Curve, Outcome
from bench.scheduling.job import Job
from bench.spec.tuning import CHOICE
from bench.spec.work import Choose
from bench.training.choosing import decide, read_score, write_choice
from bench.training.provenance import provenance

AXIS = "candidate"


def choose_cell(job: Job) -> Outcome:
    """Choose, and leave what was chosen for the cells that train by it.

    Its curves run over the candidates: the mean score of each (NaN where all its trials diverged),
    and how many diverged.

    Raises
    ------
    StoreError
        If a score's bytes are not those that its trial left.
    UserError
        If every trial diverged.
    """
    work = job.cell.work
    assert isinstance(work, Choose)
    began = time.perf_counter()
    scores = {role: read_score(parent, work.metric) for role, parent in job.parents.items()}
    decision = decide(work, scores)
    chosen = decision.candidate
    at = tuple(float(number) for number in range(len(work.candidates)))
    return Outcome(
        status="done",
        metrics={
            CHOSEN: float(chosen),
            "choice/score": decision.means[chosen],
            "choice/tied": float(len(decision.tied)),
        },
        curves={
            "choice/score": Curve(at, decision.means, AXIS),
            "choice/diverged": Curve(at, tuple(map(float, decision.diverged)), AXIS),
        },
        timings={"total_s": time.perf_counter() - began},
        provenance=provenance(job, {}, torch.device(job.device), {}),
        artifacts={CHOICE: write_choice(job, decision, work.candidates[chosen])},
    )
