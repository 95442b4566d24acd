"""Which names records have, which cells measure them, and in which unit: told from the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.spec.cell import Cell
from bench.spec.metrics import (
    Metric,
    Metrics,
    complement_of,
    declared_curves,
    declared_metrics,
    why_lacking,
    with_errors,
)
from bench.spec.parts import built_in_parts
from bench.spec.plan import load_plan
from bench.spec.recipe import Recipe, Use, Warmup
from bench.spec.work import Measure, Task, Train

ANYTIME: dict[str, Any] = {"anytime": {}, "validation": 0.1}
EVERYTHING: dict[str, Any] = {**ANYTIME, "forgetting": True}
CLASSES = Use(name="classification")
TASK = Task(dataset="digits", objective=CLASSES)
PARTS = built_in_parts()


def find(kind: Any, name: str) -> Any:
    return PARTS[kind, name]


def trained(tasks: dict[str, Task] | None = None, /, *, work: Any = None, **given: Any) -> Cell:
    parts = {"trainable": Use(name="all"), "update": Use(name="gradient"), **(work or {})}
    recipe = Recipe.model_validate(given)
    return Cell(Train("test_resnet", "stage", tasks or {"": TASK}, recipe, **parts), 0)


def metrics(cell: Cell) -> Metrics:
    return with_errors(declared_metrics(cell, find, [{"": TASK}]))


def curves(cell: Cell) -> Metrics:
    return with_errors(declared_curves(cell, find, [{"": TASK}]))


WARM = {"warmup": Warmup()}


@pytest.mark.parametrize(
    ("name", "unit", "best"),
    [
        ("test/top1", "%", "highest"),
        ("validation/loss", "", "lowest"),
        ("source/mean_class_accuracy", "%", "highest"),
        ("test/top5_error", "%", "lowest"),
        ("source/forgotten", "%", "lowest"),
        ("features/distance", "", "lowest"),
        ("head/norm", "", "lowest"),
        ("warmup/steps", "", "lowest"),
        ("warmup/ended", "", "highest"),
        ("warmup/drop", "%", "lowest"),
        ("parameters/trained", "", "lowest"),
    ],
)
def test_metrics(name: str, unit: str, best: str) -> None:
    found = metrics(trained(work=WARM, **EVERYTHING))[name]
    assert (found.name, found.unit, found.best, found.axis) == (name, unit, best, "")


@pytest.mark.parametrize("name", ["train/top1", "test/top2", "anytime/test/top1", "loss", ""])
def test_what_is_no_metric(name: str) -> None:
    assert name not in metrics(trained(work=WARM, **EVERYTHING))


@pytest.mark.parametrize(
    ("name", "unit", "best"),
    [
        ("validation/top1", "%", "highest"),
        ("anytime/test/top5_error", "%", "lowest"),
        ("anytime/source/top1", "%", "highest"),
        ("anytime/step", "", "highest"),
        ("features/distance", "", "lowest"),
        ("head/norm", "", "lowest"),
        ("train/cross_entropy", "", "lowest"),
        ("penalty/l2-sp", "", "lowest"),
    ],
)
def test_curves(name: str, unit: str, best: str) -> None:
    penalised = trained(work={"penalties": (Use(name="l2-sp"),)}, **EVERYTHING)
    found = curves(penalised)[name]
    assert (found.name, found.unit, found.best, found.axis) == (name, unit, best, "step")


@pytest.mark.parametrize("name", ["source/top1", "anytime/validation/top1", "penalty/", "head"])
def test_what_is_no_curve(name: str) -> None:
    assert name not in curves(trained(work=WARM, **EVERYTHING))


def test_only_errors_of_fractions_whose_high_side_is_better_are_derived() -> None:
    cell = trained(work=WARM, **EVERYTHING)
    for found, recorded in (
        (metrics(cell), declared_metrics(cell, find, [{"": TASK}])),
        (curves(cell), declared_curves(cell, find, [{"": TASK}])),
    ):
        derived = set(found) - set(recorded)
        assert derived == {name for name in found if name.endswith("_error")}
        assert all(complement_of(name) in recorded for name in derived)
        assert all((found[name].unit, found[name].best) == ("%", "lowest") for name in derived)
        assert {str(complement_of(name)) for name in derived} == {
            name for name, m in recorded.items() if (m.unit, m.best) == ("%", "highest")
        }
    assert complement_of("anytime/source/top1_error") == "anytime/source/top1"
    assert "test/loss_error" not in metrics(cell)


def test_an_error_that_is_recorded_is_not_derived() -> None:
    own = {"a": Metric("a", "%"), "a_error": Metric("a_error", "px", "lowest")}
    assert with_errors(own)["a_error"] == own["a_error"]


def test_percent_alone_is_shown_times_a_hundred() -> None:
    assert [Metric("a", unit).scale for unit in ("%", "", "px", "percent")] == [100, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "given", "measured"),
    [
        ("test/top1", {}, True),
        ("test/top1_error", {"evaluation": {"test": False}, "validation": 0.1}, False),
        ("validation/top1", {}, False),
        ("validation/top1", {"validation": 0.1}, True),
        ("source/top1", {}, False),
        ("source/top1", {"forgetting": True}, True),
        ("features/distance", {}, True),
        ("head/norm", {}, True),
        ("warmup/steps", {}, False),
    ],
)
def test_a_metric_is_measured_where_the_recipe_says_so(
    name: str, given: dict[str, Any], measured: bool
) -> None:
    assert (name in metrics(trained(**given))) == measured


@pytest.mark.parametrize(
    ("name", "given", "followed"),
    [
        ("anytime/test/top1", {}, False),
        ("anytime/test/top1", ANYTIME, True),
        ("anytime/source/top1", ANYTIME, False),
        ("anytime/source/top1", EVERYTHING, True),
        ("anytime/step", ANYTIME, True),
        ("features/distance", {}, False),
        ("head/norm", ANYTIME, True),
        ("validation/top1", {"validation": 0.1}, False),
        ("validation/top1", {"validation": 0.1, "validate_every": 5}, True),
        ("validation/top1", ANYTIME, True),
        ("validation/top1", {"validate_every": 5}, False),
        ("test/top1", {"validation": 0.1, "validate_every": 5}, False),
        ("test/top1", {"selection": "best-on-test", "validate_every": 5}, True),
        ("train/loss", {}, True),
        ("penalty/l2", {}, False),
    ],
)
def test_a_curve_is_followed_where_the_recipe_says_so(
    name: str, given: dict[str, Any], followed: bool
) -> None:
    assert (name in curves(trained(**given))) == followed


@pytest.mark.parametrize(
    ("name", "curve", "given", "remedy"),
    [
        ("warmup/drop", False, {}, "give a method a `warmup:`"),
        ("penalty/l2", True, {}, "choose methods that have it by `where:`"),
        ("source/top1", False, {}, "set recipe.forgetting"),
        ("anytime/source/top1", True, ANYTIME, "set recipe.forgetting"),
        ("anytime/test/top1", True, {}, "set recipe.anytime"),
        ("head/norm", True, {}, "set recipe.anytime"),
        ("penalty/l2/gradient", True, {}, "set recipe.penalty_gradients"),
        ("validation/top1", False, {}, "set recipe.validation"),
        ("train/top1", False, {}, "set recipe.evaluation.train"),
        ("validation/top1", True, {"validation": 0.1}, "set recipe.validate_every"),
        ("test/top1", True, {}, "set recipe.test_curves"),
        ("test/top1", True, ANYTIME, "show anytime/test/top1"),
        ("a/validation/top1", False, {}, "set recipe.validation"),
    ],
)
def test_what_is_lacking_is_said_with_what_would_change_it(
    name: str, curve: bool, given: dict[str, Any], remedy: str
) -> None:
    assert why_lacking(name, trained(**given), curve=curve).remedy == remedy


def test_methods_bring_warm_ups_and_penalties() -> None:
    assert "warmup/drop" in metrics(trained(work=WARM))
    assert "validation/top1" in curves(trained(work=WARM, validation=0.1))
    l2 = {"penalties": (Use(name="l2"),)}
    assert "penalty/l2" in curves(trained(work=l2))
    assert "penalty/l2/gradient" not in metrics(trained(work=l2)) | curves(trained(work=l2))
    measured = trained(work=l2, penalty_gradients=True)
    assert "penalty/l2/gradient" in metrics(measured)
    assert "penalty/l2/gradient" in curves(measured)


def test_an_objective_declares_the_scores_of_every_split() -> None:
    numbers = Task(dataset="digits", objective=Use(name="regression"))
    cell = trained({"": numbers}, validation=0.1, validate_every=5)
    found = metrics(cell)
    assert {n for n in found if n.startswith(("test/", "validation/"))} == {
        f"{split}/{score}"
        for split in ("test", "validation")
        for score in ("mse", "rmse", "r2", "loss")
    }
    assert (found["test/r2"].best, found["test/mse"].best) == ("highest", "lowest")
    # The curve followed is the score that states are chosen by, and the loss has its own name.
    assert {"validation/mse", "train/squared_error"} <= set(curves(cell))
    assert not [
        name for name in {*found, *curves(cell)} if name.endswith("_error") and "/r2" in name
    ]


def test_several_tasks_have_metrics_and_curves_of_their_own() -> None:
    numbers = Task(dataset="digits", objective=Use(name="regression"))
    cell = trained({"a": TASK, "b": numbers}, **ANYTIME)
    found, followed = metrics(cell), curves(cell)
    assert {"a/test/top1", "a/test/top1_error", "b/test/mse", "a/head/norm", "b/head/norm"} <= set(
        found
    )
    assert {"a/train/cross_entropy", "b/train/squared_error", "a/anytime/test/top1"} <= set(
        followed
    )
    # What is the network's own, or the whole loss's, is no task's.
    assert {"features/distance", "train/gradients", "parameters/total"} <= set(found)
    assert {"train/loss", "train/learning_rate"} <= set(followed)
    assert not {"test/top1", "b/test/top1", "a/test/mse"} & set(found)


def test_a_measurement_has_the_metrics_and_curves_that_it_declares() -> None:
    cell = Cell(Measure(Use(name="distance")), 0)
    assert metrics(cell) == {
        "distance": Metric("distance", "", "lowest"),
        "distance/relative": Metric("distance/relative", "", "lowest"),
    }
    assert {n: m.axis for n, m in curves(cell).items()} == {"distance/module": "module"}
    assert "distance gives no such result" in why_lacking("test/top1", cell, curve=False).reason


def test_a_plan_knows_which_of_its_numbers_are_fractions() -> None:
    suites = Path(__file__).parents[2] / "suites"
    fractions = load_plan(suites / "fast" / "convergence.yaml", "offline").fractions
    assert {"test/top1", "test/mean_class_accuracy", "anytime/test/top1"} <= fractions
    # A difference of fractions may be negative; an error is derived and in no record.
    assert not fractions & {"source/forgotten", "warmup/drop", "test/top1_error", "test/loss"}
