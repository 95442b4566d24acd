"""The toy of PROFIT's Table 1: both its suites are of the same trainings."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.spec.plan import load_plan

SUITES = Path(__file__).parents[2] / "suites" / "profit"


@pytest.mark.parametrize("profile", ["offline", "paper"])
def test_what_is_scored_on_both_squares_is_what_the_walk_is_shown_of(profile):
    table, walk = (load_plan(SUITES / f"{name}.yaml", profile) for name in ("toy", "toy-walk"))
    trained = {p.cell.id for p in table.cells if p.cell.recipe is not None}
    walks = {p.cell.id for p in walk.cells}
    # But the network before any step of fine-tuning, at each seed.
    assert walks < trained
    seeds = {p.cell.seed for p in table.cells}
    assert len(trained - walks) == len(seeds)


def test_budgets_are_as_many_steps_and_as_many_gradients():
    walk = load_plan(SUITES / "toy-walk.yaml", "offline")
    steps = {
        (p.labels["budget"], p.labels["method"]): p.cell.recipe.steps
        for p in walk.cells
        if p.labels
    }
    assert {v for (budget, _), v in steps.items() if budget == "steps"} == {1500}
    assert {v for (budget, m), v in steps.items() if (budget, m[:6]) == ("gradients", "profit")} == {750}  # fmt: skip  # noqa: E501
    assert steps["gradients", "full"] == 1500
