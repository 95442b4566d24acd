"""A cell that tries one candidate of a search: its training, and its score, from a job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from bench.errors import UserError
from bench.records.freshness import of_task
from bench.records.record import Outcome, Provenance
from bench.scheduling.job import Job
from bench.spec.cell import START
from bench.spec.tuning import SCORE, Trial
from bench.training.choosing import write_score
from bench.training.finite import NotANumber
from bench.training.numerics import in_its_precision
from bench.training.parents import load_start
from bench.training.provenance import provenance
from bench.training.task_data import input_shape, load_task
from bench.training.train_cell import train_cell

DIVERGED = "trial/diverged"


@in_its_precision
def trial_cell(job: Job) -> Outcome:
    """Train as `train_cell` does, and leave the score; a training that diverges is done too.

    Raises
    ------
    UserError
        If data, weights or a part cannot be had, or the test split was scored.
    """
    work = job.cell.work
    assert isinstance(work, Trial)
    if work.recipe.evaluation.test:
        raise UserError("a trial may not score the test split", field="recipe.evaluation.test")
    try:
        outcome = train_cell(job)
        lost = [name for name, value in outcome.metrics.items() if not math.isfinite(value)]
    except NotANumber as error:
        # What it was made of is said as of any other, so that it goes stale as any other.
        outcome, lost = Outcome("done", provenance=_made_of(job, work)), [str(error)]
    if lost:
        print(f"diverged: {', '.join(lost)}")
        outcome = replace(outcome, metrics={})
    score = None if lost else outcome.metrics[work.score]
    left = write_score(job, work.score, score)
    return replace(
        outcome,
        metrics={**outcome.metrics, DIVERGED: float(score is None)},
        artifacts={**outcome.artifacts, SCORE: left},
    )


def _made_of(job: Job, work: Trial) -> Provenance:
    seed, recipe = job.cell.seed, work.recipe
    tasks = {
        name: load_task(task, seed, job.resources, recipe=recipe)
        for name, task in work.tasks.items()
    }
    shape = input_shape(list(tasks.values()))
    loaded = load_start(job, START, work, seed=seed, input_shape=shape)
    facts: Mapping[str, Any] = {
        of_task(name, fact): value
        for name, data in tasks.items()
        for fact, value in data.provenance().items()
    }
    return provenance(job, facts, torch.device(job.device), {START: loaded})
