"""Settling from records: what is looked at, what is added, and what is said of it."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.claims import section as claim_section
from bench.report.claims import text as verdict_text
from bench.report.claims.additions import additions, schedule, to_run, with_parents
from bench.report.claims.further import Further, further_csv
from bench.report.claims.verdict import Verdict, evaluate
from bench.report.claims.verdict_json import verdict_json
from bench.report.page import build_page
from bench.report.results import Results
from bench.spec.cell import Parent, PlannedCell
from bench.spec.claims import Claim
from bench.stats.sequential.looks import Looks
from bench.stats.sequential.pvalues import level_that_decides
from bench.stats.sequential.settling import settle
from bench.stats.verdict import Question

from ..studies import PAPER, Study, study

OWN = 5
RULE = Looks((5, 8, 11, 15), spending="pocock")
CLAIM = Claim.model_validate(
    {
        "id": "bss-helps", "text": "BSS helps.", "source": "Table 1", "suite": "table1",
        "compare": [{"axis": "method", "pairs": [["l2+bss", "l2"]]}],
        "expect": "greater", "refuted_by": "It does not.",
    }
)  # fmt: skip
# Points in standard deviations of 1 point, so that an effect of 1 is one point.
BASE = np.random.default_rng(0).normal(50, 3, 15)


def longer(rates: list[float]) -> Study:
    return study({"seed": list(range(15)), "sampling_rate": rates})


def give(made: Study, rate: float, gains: np.ndarray) -> None:
    """Record both methods at the first seeds of a rate, the gains in points."""
    for seed, gain in enumerate(gains):
        where = {"sampling_rate": rate, "seed": seed}
        made.record([BASE[seed] / 100], method="l2", **where)
        made.record([(BASE[seed] + gain) / 100], method="l2+bss", **where)


def own_of(made: Study) -> Study:
    """The same with the suite's own seeds alone."""
    cells = tuple(p for p in made.plan.cells if int(p.labels["seed"]) < OWN)
    ids = {p.cell.id for p in cells}
    records = {i: r for i, r in made.records.items() if i in ids}
    return Study(replace(made.plan, cells=cells), records, made.states)


def look(made: Study, *, every: bool = False) -> tuple[Verdict, Further]:
    own = own_of(made)
    further = Further(made.results, RULE, every)
    return evaluate(CLAIM, own.results, further), further


OPEN = np.array([1.2, 0.1, 0.9, 0.2, 1.0, 0.9, 1.1, 0.8])
NONE = np.array([1.0, -1.0, 0.1, -0.1, 0.0])


def test_the_verdict_is_that_of_the_sequential_rule() -> None:
    made = longer([0.15])
    give(made, 0.15, OPEN)
    found, _ = look(made)
    expected = settle([OPEN], Question("greater"), RULE)
    assert found.settled is not None
    assert found.outcome == expected.decision.outcome == "supported"
    assert found.p == pytest.approx(expected.decision.p_support)
    assert (found.settled.look, found.compared[0].n, found.partial) == (8, 8, False)
    assert verdict_text.remark(found) == "at the look at 8 seeds"


def test_the_whole_procedure_on_records_is_that_on_numbers() -> None:
    # What tests/stats/test_settling.py simulates is what is done with records.
    rng = np.random.default_rng(1)
    for effect in (0.0, 0.7, 1.5):
        x = rng.standard_normal((2, 15)) + effect
        made, n, again = longer([0.15, 1.0]), [OWN, OWN], 0
        while True:
            for rate, row, k in zip((0.15, 1.0), x, n, strict=True):
                give(made, rate, row[:k])
            found, further = look(made)
            numbers = settle(
                [row[:k] for row, k in zip(x, n, strict=True)], Question("greater"), RULE
            )
            assert found.settled is not None
            assert found.settled.following == numbers.following
            assert found.outcome == numbers.decision.outcome
            added = additions([found], further)
            assert [a.to for a in added] == [to for to in numbers.following if to]
            assert sum(len(a.cells) for a in added) == 2 * sum(
                to - k for to, k in zip(numbers.following, n, strict=True) if to
            )
            if not added:
                break
            n = [to or k for to, k in zip(numbers.following, n, strict=True)]
            again += 1
        assert again <= 3


def test_only_the_cells_of_the_open_comparison_are_added() -> None:
    made = longer([0.15, 1.0])
    give(made, 0.15, np.array([5.0, 5.1, 4.9, 5.0, 5.2]))
    give(made, 1.0, OPEN[:5])
    found, further = look(made)
    (added,) = additions([found], further)
    assert (added.compared.name, added.compared.n, added.to) == ("100%, l2+bss − l2", 5, 8)
    cells = to_run([added], further)
    assert {(p.labels["method"], p.labels["sampling_rate"], p.labels["seed"]) for p in cells} == {
        (method, 1.0, seed) for method in ("l2", "l2+bss") for seed in (5, 6, 7)
    }
    assert verdict_text.remark(found).endswith("; next look at 8 seeds")


def test_cells_come_with_what_they_start_from() -> None:
    made = longer([0.15])
    parent = made.plan.cells[0]
    child = replace(made.plan.cells[20].cell, parents={"start": Parent(parent.cell.id)})
    cells = tuple(
        PlannedCell(child, p.place, p.seed, 1) if i == 20 else p
        for i, p in enumerate(made.plan.cells)
    )
    further = Further(Results(replace(made.plan, cells=cells), {}, {}), RULE)
    assert with_parents([cells[20]], further) == [parent, cells[20]]


def test_what_has_little_chance_gets_nothing_unless_asked_for() -> None:
    made = longer([0.15])
    give(made, 0.15, NONE)
    found, further = look(made)
    assert additions([found], further) == []
    assert verdict_text.remark(found) == "little chance to be decided by 15 seeds"
    found, further = look(made, every=True)
    assert [a.to for a in additions([found], further)] == [8]


def test_a_seed_behind_a_gap_does_not_count() -> None:
    made = longer([0.15])
    give(made, 0.15, OPEN)
    made.lose("failed", seed=5, method="l2")
    found, further = look(made)
    assert (found.outcome, found.compared[0].n) == ("undecided", 5)
    # Only what failed is run again.
    (added,) = additions([found], further)
    assert [(p.labels["seed"], p.labels["method"]) for p in added.cells] == [(5, "l2")]


def test_a_suite_without_all_its_own_seeds_is_partial() -> None:
    made = longer([0.15])
    give(made, 0.15, OPEN[:4])
    found, _ = look(made)
    assert (found.outcome, found.partial) == ("undecided", True)


def test_the_page_says_that_claims_were_settled_and_keeps_its_tables() -> None:
    made = longer([0.15])
    give(made, 0.15, OPEN)
    own = own_of(made)
    found, further = look(made)
    paper = PAPER.model_copy(update={"claims": (CLAIM,)})
    plan = replace(own.plan, paper=paper)
    page = build_page(Results(plan, own.records, own.states), found=[found])
    _, _, claims = page.markdown.partition("## Claims")
    assert "Settled by a sequential rule" in claims
    assert "looks at 5, 8, 11, 15 seeds that spend 5% a claim" in claims
    assert "| 8/8 |" in claims
    fixed = build_page(Results(replace(plan, paper=PAPER), own.records, own.states))
    assert page.markdown.partition("## Results")[2] == fixed.markdown.partition("## Results")[2]
    rows = list(csv.DictReader(StringIO(further_csv(further, own.plan))))
    assert sorted({row["seed"] for row in rows}) == ["5", "6", "7"]
    assert len(rows) == 6


def test_fixed_and_sequential_numbers_are_not_mixed() -> None:
    made = longer([0.15])
    give(made, 0.15, OPEN)
    found, _ = look(made)
    data = verdict_json(found)
    assert data["sequential"]["looks"] == [5, 8, 11, 15]
    # Two-sided 2/2⁸ at the look at 8 seeds, as a sequential p; half of it is this side's.
    flips = level_that_decides(RULE, 1, 2 / 2**8) / 2
    assert data["comparisons"][0]["sign_flip_p"] == pytest.approx(flips)
    assert data["outlook"] is None
    own = own_of(made)
    fixed = evaluate(CLAIM, own.results)
    assert verdict_json(fixed)["sequential"] is None
    assert claim_section.sequential_note([fixed]) == ""


@given(st.integers(1, 40), st.integers(2, 80))
def test_looks_rise_from_the_suites_own_seeds_to_the_last(own: int, more: int) -> None:
    looks = schedule(own, own + more)
    assert looks[-1] == own + more
    assert looks[0] >= 2
    assert own == 1 or looks[0] == own
    assert Looks(looks).at == looks
