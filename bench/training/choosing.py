"""The rule by which a search chooses, and the two files that it reads and leaves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.records.artifacts import place, read_artifact
from bench.records.record import Artifact
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.recipe import Scalar
from bench.spec.tuning import CHOICE, SCORE
from bench.spec.work import Choose, canonical_json

# Means of as many decimals are the same: sums of scores have last bits of their own.
_SAME = 1e-9
# One JSON value on a line; a store's records alone end in .json.
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Decision:
    """What was chosen, and how near it was.

    Attributes
    ----------
    candidate
        Number of the chosen one, counted from 0.
    means
        Of each candidate's trials that did not diverge; NaN where all did.
    diverged
        Of each candidate, how many of its trials diverged.
    tied
        The candidates that were as good as the best by the rule, the chosen one among them.
    """

    candidate: int
    means: tuple[float, ...]
    diverged: tuple[int, ...]
    tied: tuple[int, ...]


def decide(work: Choose, scores: Mapping[str, float | None]) -> Decision:
    """Choose a candidate by the scores of its trials.

    The best mean over places and seeds; a candidate with fewer diverged trials comes before all
    that have more, since a trial that diverged is worse than any score. Of those whose mean is
    within ``work.within`` of the best, the first.

    Parameters
    ----------
    scores
        Role of a trial to its score in the metric's recorded unit; None where it diverged.

    Raises
    ------
    UserError
        If every trial diverged.
    """
    rows = [[scores[role] for role in work.roles(i)] for i in range(len(work.candidates))]
    known = [[score for score in row if score is not None] for row in rows]
    means = tuple(math.fsum(row) / len(row) if row else math.nan for row in known)
    diverged = tuple(len(row) - len(own) for row, own in zip(rows, known, strict=True))
    fewest = min(diverged)
    first = [i for i, count in enumerate(diverged) if count == fewest and known[i]]
    if not first:
        raise UserError(
            "every trial of every candidate diverged: there is nothing to choose",
            field="search.space",
            remedy="search smaller learning rates, or weights",
        )
    sign = 1.0 if work.best == "highest" else -1.0
    best = max(sign * means[i] for i in first)
    tied = tuple(i for i in first if best - sign * means[i] <= work.within + _SAME)
    return Decision(tied[0], means, diverged, tied)


def write_score(job: Job, metric: str, value: float | None) -> Artifact:
    """Leave a trial's score, or that it diverged (None)."""
    text = canonical_json({"metric": metric, "value": value})
    return place(job.folder, job.attempt, SCORE, _SUFFIX, _writer(text))


def read_score(parent: ParentArtifact, metric: str) -> float | None:
    """Return a trial's score; None where it diverged.

    Raises
    ------
    StoreError
        If the file's bytes are not those that were written.
    UserError
        If it is the score of another metric.
    """
    told = json.loads(read_artifact(parent.path, parent.sha256))
    if told["metric"] != metric:
        raise UserError(f"a trial is scored by {told['metric']}, not by {metric}", file=parent.path)
    return None if told["value"] is None else float(told["value"])


def write_choice(job: Job, decision: Decision, values: Mapping[str, Scalar]) -> Artifact:
    """Leave what was chosen, for the cells that train by it."""
    text = canonical_json({"candidate": decision.candidate, "values": dict(values)})
    return place(job.folder, job.attempt, CHOICE, _SUFFIX, _writer(text))


def read_choice(parent: ParentArtifact, candidates: Sequence[Mapping[str, Scalar]]) -> int:
    """Return the number of the candidate that was chosen; raises as `read_score` does."""
    told = json.loads(read_artifact(parent.path, parent.sha256))
    number = int(told["candidate"])
    if not 0 <= number < len(candidates) or dict(candidates[number]) != told["values"]:
        raise UserError("the choice is of other candidates than the cell's", file=parent.path)
    return number


def _writer(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text + "\n", encoding="utf-8")
