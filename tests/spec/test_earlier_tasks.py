"""What a cell's network was trained on before, along the chain of stages."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import SpecError
from bench.spec.acting import read_of
from bench.spec.cell import START, Parent
from bench.spec.recipe import Recipe, Use
from bench.spec.work import Task, Train

CHAIN = """
title: Old, older, oldest
stages:
  oldest: {weights: random, dataset: fractals, method: plain, seed: 0}
  older: {weights: "stage:oldest@5", dataset: digits, method: plain, seed: 0}
  old: {weights: stage:older, dataset: glyphs, method: plain, seed: 0}
axes:
  backbone: test_resnet
  weights: stage:old
  dataset: glyphs-source
  sampling_rate: 1.0
  method: [plain]
  seed: 1
recipe:
  steps: 10
  optimizer: {sgd: {lr: 0.1}}
methods:
  plain: {}
table: {rows: [method], columns: dataset, metric: test/top1}
profiles: {offline: {}}
"""


def asking(metric: str, *settings: str) -> str:
    said = "".join(f"  {line}\n" for line in ("steps: 10", *settings))
    return CHAIN.replace("  steps: 10\n", said).replace("test/top1", metric)


def cells(plan: Any) -> dict[str, Any]:
    return {p.name or "cell": p.cell for p in plan.cells}


def test_all_that_the_start_goes_back_to_are_parents(plan: Any) -> None:
    found = cells(plan(asking("source3/top1", "forgetting: true")))
    assert found["cell"].parents == {
        START: Parent(found["stage old"].id),
        "source2": Parent(found["stage older"].id),
        "source3": Parent(found["stage oldest"].id, "checkpoint@step 5"),
    }
    # A stage is not asked what it has forgotten.
    assert set(found["stage old"].parents) == {START}


def test_without_forgetting_and_for_a_single_stage_the_start_is_the_only_parent(plan: Any) -> None:
    assert set(cells(plan(CHAIN))["cell"].parents) == {START}
    text = asking("source/top1", "forgetting: true")
    alone = text.replace("weights: stage:old\n", "weights: stage:oldest\n")
    assert set(cells(plan(alone))["cell"].parents) == {START}


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("source/top1", "highest"),
        ("source3/forgotten", "lowest"),
        ("source2/retaken/top1", "highest"),
        ("source2/retaken/top1_error", "lowest"),
        ("source/retaken/forgotten", "lowest"),
    ],
)
def test_scores_of_each_earlier_task_are_fractions(plan: Any, name: str, best: str) -> None:
    text = asking(name, "forgetting: true", "forgetting_statistics: retaken-too")
    found = plan(text).metrics[name]
    assert (found.name, found.unit, found.best) == (name, "%", best)


CURVES = ("forgetting: true", "forgetting_curves: true", "validate_every: 5", "validation: 0.1")
FIGURE = """figures:
  - {{title: Old, lines: method, columns: dataset, panels: [{{curve: {}, label: Old}}]}}
"""


def test_curves_of_earlier_tasks_are_drawn_where_they_are_taken(plan: Any) -> None:
    text = asking("test/top1", *CURVES) + FIGURE.format("source2/top1")
    assert plan(text).curves["source2/top1"].axis == "step"
    without = text.replace("  forgetting_curves: true\n", "")
    with pytest.raises(SpecError, match=r"scored at the end alone\n.*recipe.forgetting_curves"):
        plan(without)


@pytest.mark.parametrize(
    ("metric", "settings", "message"),
    [
        ("source2/top1", (), r"does not score the source\n.*set recipe.forgetting"),
        ("source4/top1", ("forgetting: true",), r"not trained on so many tasks before\n.*stage"),
        ("source/retaken/top1", ("forgetting: true",), r"no statistics again.*\n.*retaken-too"),
        (
            "test/top1",
            ("forgetting_statistics: retaken-too",),
            r"forgetting_statistics: retaken-too is about .*: it needs forgetting: true",
        ),
        ("test/top1", ("forgetting_curves: true",), r"it needs forgetting: true"),
        (
            "test/top1",
            ("forgetting: true", "forgetting_curves: true"),
            r"a point at every validation: it needs validate_every, or anytime",
        ),
    ],
)
def test_what_is_never_scored_is_an_error(
    plan: Any, metric: str, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        plan(asking(metric, *settings))


def test_stages_inherit_none_of_it(plan: Any) -> None:
    text = asking("source/top1", *CURVES, "forgetting_statistics: retaken-too")
    stage = cells(plan(text))["stage old"].recipe
    default = Recipe()
    for name in ("forgetting", "forgetting_statistics", "forgetting_curves"):
        assert getattr(stage, name) == getattr(default, name)


def test_where_curves_of_earlier_tasks_are_taken_counts_without_a_validation_split() -> None:
    def reads(**given: Any) -> str:
        parts = {"trainable": Use(name="all"), "update": Use(name="gradient")}
        task = Task(dataset="digits", objective=Use(name="classification"))
        recipe = Recipe.model_validate({"forgetting": True, **given})
        return read_of(Train("test_resnet", "stage", {"": task}, recipe, **parts)).canonical

    assert reads(validate_every=5) == reads(validate_every=7)
    curves = {"forgetting_curves": True}
    assert reads(validate_every=5, **curves) != reads(validate_every=7, **curves)
