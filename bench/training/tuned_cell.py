"""A cell that trains by what a search has chosen: from a job to an outcome."""

from __future__ import annotations

from dataclasses import replace

from bench.records.code import code_digests, units_of
from bench.records.record import Outcome
from bench.scheduling.job import Job
from bench.spec.tuning import CHOICE, Tuned
from bench.training.choosing import read_choice
from bench.training.train_cell import train_cell


def tuned_cell(job: Job) -> Outcome:
    """Train as the chosen candidate's own cell would, bit for bit.

    The outcome says which one it was, and names the code of all candidates: any of them may be
    chosen next.

    Raises
    ------
    StoreError
        If the choice's bytes are not those that were left.
    UserError
        If it is of other candidates, or as `train_cell` does.
    """
    work = job.cell.work
    assert isinstance(work, Tuned)
    number = read_choice(job.parents[CHOICE], [each.values for each in work.candidates])
    # `replace` takes the id anew, by which nothing is drawn.
    cell = replace(job.cell, work=work.candidates[number].work)
    outcome = train_cell(replace(job, cell=cell))
    made = outcome.provenance
    used = {**made.parents, CHOICE: {**made.parents[CHOICE], "candidate": number}}
    code = code_digests(units_of(job.cell, job.resources))
    return replace(outcome, provenance=replace(made, code=code, parents=used))
