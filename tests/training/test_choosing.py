"""The rule of a search against an independent one, and on the cases that it names."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import StoreError, UserError
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import Cell
from bench.spec.work import Choose
from bench.training.choosing import decide, read_choice, read_score, write_choice, write_score


def search(candidates: int, places: int = 1, seeds: int = 1, best="highest", within: float = 0.0):
    return Choose(
        "validation/top1", best, within, tuple({"rate": i} for i in range(candidates)),
        tuple({"place": i} for i in range(places)), tuple(range(100, 100 + seeds)),
    )  # fmt: skip


def scores_of(work: Choose, rows):
    return {
        role: score
        for number, row in enumerate(rows)
        for role, score in zip(work.roles(number), row, strict=True)
    }


ROWS = st.integers(1, 3).flatmap(
    lambda seeds: st.lists(
        st.lists(
            st.one_of(st.none(), st.integers(0, 100).map(lambda n: n / 100)),
            min_size=seeds, max_size=seeds,
        ),
        min_size=1, max_size=5,
    )
)  # fmt: skip


@given(ROWS, st.sampled_from(["highest", "lowest"]), st.sampled_from([0.0, 0.05]))
def test_it_is_the_first_of_the_best_of_those_that_diverged_least(rows, best, within):
    work = search(len(rows), seeds=len(rows[0]), best=best, within=within)
    if all(score is None for row in rows for score in row):
        with pytest.raises(UserError, match="every trial of every candidate diverged"):
            decide(work, scores_of(work, rows))
        return
    found = decide(work, scores_of(work, rows))
    # As sums of whole hundredths, so that ties are exact.
    whole = [[round(100 * s) for s in row if s is not None] for row in rows]
    lost = [len(row) - len(own) for row, own in zip(rows, whole, strict=True)]
    mine = found.candidate
    sign = 1 if best == "highest" else -1
    alike = [i for i in range(len(rows)) if lost[i] == min(lost) and whole[i]]
    assert mine in alike
    n = len(rows[0]) - min(lost)
    top = max(sign * sum(whole[i]) for i in alike)
    near = [i for i in alike if top - sign * sum(whole[i]) <= round(100 * within) * n]
    assert list(found.tied) == near
    assert mine == near[0]
    assert found.diverged == tuple(lost)


def test_a_trial_that_diverged_is_worse_than_any_score():
    work = search(3, seeds=2)
    found = decide(work, scores_of(work, [[None, 0.99], [0.01, 0.02], [None, None]]))
    assert found.candidate == 1
    assert found.means[:2] == (0.99, 0.015)
    assert math.isnan(found.means[2])
    assert found.diverged == (1, 0, 2)


def test_within_a_point_the_first_is_taken_and_ties_are_counted():
    work = search(4, within=0.01)
    found = decide(work, scores_of(work, [[0.83], [0.84], [0.85], [0.845]]))
    assert (found.candidate, found.tied) == (1, (1, 2, 3))
    exact = decide(search(4), scores_of(work, [[0.83], [0.84], [0.85], [0.845]]))
    assert (exact.candidate, exact.tied) == (2, (2,))


def test_the_order_in_which_trials_come_does_not_matter():
    work = search(2, places=2, seeds=2)
    rows = [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]
    found = decide(work, scores_of(work, rows))
    backwards = dict(reversed(scores_of(work, rows).items()))
    assert found == decide(work, backwards)
    assert found.tied == (0, 1)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(cell=Cell(search(2), 0), attempt=1, folder=tmp_path)


def left(job: Job, artifact) -> ParentArtifact:
    return ParentArtifact(job.cell, "", 1, job.folder / artifact.file, artifact.sha256)


def test_files_are_read_as_they_were_written_and_not_otherwise(job: Job):
    for value in (0.1 + 0.2, None):
        parent = left(job, write_score(job, "validation/top1", value))
        assert read_score(parent, "validation/top1") == value
        with pytest.raises(UserError, match="scored by validation/top1, not by test/top1"):
            read_score(parent, "test/top1")
    parent.path.write_text(parent.path.read_text().replace("null", "1.0"))
    with pytest.raises(StoreError, match="not those that were written"):
        read_score(parent, "validation/top1")


def test_a_choice_is_of_the_candidates_that_it_names(job: Job):
    work = job.cell.work
    parent = left(
        job, write_choice(job, decide(work, scores_of(work, [[0.1], [0.2]])), {"rate": 1})
    )
    assert read_choice(parent, work.candidates) == 1
    with pytest.raises(UserError, match="of other candidates"):
        read_choice(parent, ({"rate": 0}, {"rate": 2}))
    with pytest.raises(UserError, match="of other candidates"):
        read_choice(parent, ({"rate": 1},))
