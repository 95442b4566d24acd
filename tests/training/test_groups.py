"""Groups of classes in a cell: counted before held-out rows and other classes are left out."""

from __future__ import annotations

import pytest

from bench.spec.work import LongTail
from bench.training.execute import execute
from bench.training.task_data import load_task
from tests.training.conftest import RECIPE, Build, task, use

GROUPED = use(
    "grouped-classification",
    groups={"first": (0, 1), "rest": (1, 3)},
    by_counts={"many": 4, "few": 1},
)


def test_a_class_is_few_or_many_by_what_the_tail_leaves(resources):
    tail = task(long_tail=LongTail(imbalance=10)).model_copy(update={"objective": GROUPED})
    recipe = RECIPE.model_copy(update={"validation": 0.5})
    # Ten images a class; the tail has 10, 3 and 1 of them.
    found = load_task(tail, 0, resources, recipe=recipe).objective.members(3)
    assert {name: classes.tolist() for name, classes in found.items()} == {
        "first": [True, False, False],
        "rest": [False, True, True],
        "many": [True, False, False],
        "few": [False, True, True],
    }
    last = tail.model_copy(update={"train_classes": (2, 3)})
    same = load_task(last, 0, resources, recipe=RECIPE).objective.members(3)
    assert {name: c.tolist() for name, c in same.items()} == {
        name: c.tolist() for name, c in found.items()
    }


def test_a_cell_has_a_metric_a_group(job: Build):
    given = task(long_tail=LongTail(imbalance=10)).model_copy(update={"objective": GROUPED})
    found = execute(job(tasks={"": given})).metrics
    weights = {"first": 1 / 3, "rest": 2 / 3}
    assert found["test/top1"] == pytest.approx(
        sum(share * found[f"test/top1-{name}"] for name, share in weights.items())
    )
