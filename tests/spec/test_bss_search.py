"""BSS: whose rates are searched for, by which trials, and what is tuned alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from bench.spec.cell import CHOICE, Cell
from bench.spec.plan import Plan, load_plan
from bench.spec.tuning import Trial, Tuned
from bench.spec.work import Choose

FOLDER = Path(__file__).parents[2] / "suites" / "bss"
LR, SLOW = "recipe.optimizer.sgd.lr", "recipe.optimizer.sgd.backbone_lr"


@cache
def planned(suite: str, profile: str = "offline") -> Plan:
    return load_plan(FOLDER / f"{suite}.yaml", profile)


def choices(suite: str, profile: str = "offline") -> dict[str, Cell]:
    plan = planned(suite, profile)
    return {p.cell.id: p.cell for p in plan.cells if isinstance(p.cell.work, Choose)}


def choice_of(suite: str, **where: object) -> set[str]:
    return {
        p.cell.parents[CHOICE].id
        for p in planned(suite).shown
        if all(p.place[axis] == value for axis, value in where.items())
    }


def test_table_2s_rates_are_l2s_for_each_source_and_data_set() -> None:
    cells = planned("table2").unique()
    assert len(choices("table2")) == 3
    for choice in choices("table2").values():
        trials = [cells[parent.id].work for parent in choice.parents.values()]
        assert {tuple(u.name for u in w.penalties) for w in trials} == {("l2",)}
        assert {w.recipe.optimizer.sgd.lr for w in trials} == {0.03, 0.1, 0.3, 1.0}
        for work in trials:
            assert work.recipe.optimizer.sgd.backbone_lr == work.recipe.optimizer.sgd.lr / 10
            assert not work.recipe.evaluation.test
    for planned_cell in planned("table2").shown:
        place, work = planned_cell.place, planned_cell.cell.work
        same = choice_of("table2", weights=place["weights"], dataset=place["dataset"])
        assert same == {planned_cell.cell.parents[CHOICE].id}
        assert isinstance(work, Tuned)
        # Candidates are all of the place's own training, but for its rates.
        assert {frozenset(c.values) for c in work.candidates} == {frozenset((LR, SLOW))}


@pytest.mark.parametrize("profile", ["offline", "smoke"])
def test_strength_has_the_choices_of_table_2(profile: str) -> None:
    ours, table = choices("strength", profile), choices("table2", profile)
    assert ours
    assert ours.keys() <= table.keys()


def test_without_a_search_table_2_has_the_paper_profiles_cells() -> None:
    assert not choices("table2", "paper")
    assert not choices("table2", "tllib")


def test_the_six_methods_are_tuned_by_as_many_trials_with_and_without_bss() -> None:
    plan = planned("tuned")
    tunings = {plan.tunings[p.cell.id] for p in plan.shown}
    assert len(tunings) == 6
    assert {(t.trials, t.gradients) for t in tunings} == {(12, 12 * 200)}
    values = {
        str(p.place["method"]): [c.values for c in p.cell.work.candidates]
        for p in plan.shown
    }  # fmt: skip
    for base in ("l2", "l2-sp", "delta"):
        # What both have is the same, candidate by candidate.
        for alone, with_bss in zip(values[base], values[f"{base}+bss"], strict=True):
            assert alone.items() <= with_bss.items()
            assert set(with_bss) - set(alone) == {"penalties.bss.eta"}


def test_no_seed_of_the_tables_is_one_of_a_search() -> None:
    for suite in ("table2", "strength", "tuned"):
        plan = planned(suite)
        trials = {p.cell.seed for p in plan.cells if isinstance(p.cell.work, Trial)}
        assert trials
        assert not trials & {p.cell.seed for p in plan.shown}


def test_claims_at_equal_tuning_are_of_the_tuned_suite_and_are_said_to_be_ours() -> None:
    claims = [c for c in planned("tuned").paper.claims if c.suite == "tuned"]
    assert len(claims) == 3
    assert {c.budget for c in claims} == {"search"}
    assert all(c.source.startswith("our question") for c in claims)
