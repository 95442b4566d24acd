"""The suite on CIFAR-100-LT is set as the supplement of GOODFIT says (sections 3.2 and 4)."""

from __future__ import annotations

import pytest

from bench.spec.find import find_suite
from bench.spec.plan import load_plan

# Images of classes 0 to 89 and 90 to 99, and the second stage's rate, by imbalance.
SET = {10: (19021, 552, 1e-4), 5: (23784, 1072, 5e-4), 2: (33453, 2576, 1e-3)}


@pytest.fixture(scope="module")
def cells():
    plan = load_plan(find_suite("profit/long-tail"), "paper")
    return plan, {planned.cell.id: planned.cell for planned in plan.cells}


def epochs(cell, images: int) -> float:
    return cell.recipe.steps * cell.recipe.batch_size / images


def test_both_stages_are_those_of_the_supplement(cells):
    plan, by_id = cells
    seen = set()
    for planned in plan.shown:
        cell, place = planned.cell, planned.place
        base, tail, rate = SET[place["imbalance"]]
        (task,), stage = cell.tasks.values(), by_id[cell.parents["start"].id]
        (before,) = stage.tasks.values()
        assert (before.train_classes, task.train_classes) == ((0, 90), (90, 100))
        assert before.long_tail == task.long_tail
        assert task.long_tail.imbalance == place["imbalance"]
        assert epochs(stage, base) == pytest.approx(200, rel=1e-3)
        for trained in (cell, stage):
            assert trained.work.penalties[0].settings["weight"] == 5e-3
            assert trained.recipe.optimizer.sgd.momentum == 0.9
            mixed = next(iter(trained.tasks.values())).objective
            assert (mixed.settings["consistency"], mixed.settings["rebalancing"]) == (10, 1.2)
        assert (stage.recipe.optimizer.sgd.lr, cell.recipe.optimizer.sgd.lr) == (0.01, rate)
        expected = {"sgd": 40.0, "profit": 60.0 if place["budget"] == "printed" else 20.0}
        assert epochs(cell, tail) == pytest.approx(expected[place["method"]], rel=6e-3)
        if place["method"] == "profit":
            assert (cell.work.update.settings["n_ref"], cell.work.update.settings["ratio"]) == (
                1,
                1000,
            )
        seen.add((place["imbalance"], place["budget"], place["method"]))
    assert len(seen) == 3 * 2 * 2


@pytest.mark.parametrize("profile", ["offline", "smoke"])
def test_a_method_is_looked_at_as_often_a_gradient_as_the_other(profile):
    plan = load_plan(find_suite("profit/long-tail"), profile)
    gradients = {"sgd": 1, "profit": 2}
    for planned in plan.shown:
        if planned.place["budget"] == "gradients":
            each, recipe = gradients[planned.place["method"]], planned.cell.recipe
            sgd = next(
                p.cell.recipe for p in plan.shown
                if p.place["method"] == "sgd" and p.place["imbalance"] == planned.place["imbalance"]
            )  # fmt: skip
            assert (recipe.steps * each, recipe.validate_every * each) == (
                sgd.steps, sgd.validate_every,
            )  # fmt: skip
