"""Which names records may have, and which cells measure them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.spec.cell import Method
from bench.spec.metrics import (
    CURVES,
    METRICS,
    complement_of,
    curve_lack,
    is_curve,
    is_metric,
    metric_lack,
)
from bench.spec.recipe import Recipe, Warmup

ANYTIME: dict[str, Any] = {"anytime": {}, "validation": 0.1}
WARM = Method(warmup=Warmup())


def recipe(**given: Any) -> Recipe:
    return Recipe.model_validate(given)


@pytest.mark.parametrize(
    "name",
    [
        "test/top1", "validation/loss", "source/mean_class_accuracy", "test/top5_error",
        "features/distance", "head/norm", "warmup/steps", "warmup/drop",
    ],
)  # fmt: skip
def test_metrics(name: str) -> None:
    assert is_metric(name)


@pytest.mark.parametrize("name", ["train/top1", "test/top2", "anytime/test/top1", "loss", ""])
def test_what_is_no_metric(name: str) -> None:
    assert not is_metric(name)


@pytest.mark.parametrize(
    "name",
    [
        "validation/top1", "anytime/test/top5_error", "anytime/source/top1", "anytime/step",
        "features/distance", "head/norm", "train/cross_entropy", "penalty/l2-sp",
    ],
)  # fmt: skip
def test_curves(name: str) -> None:
    assert is_curve(name)


@pytest.mark.parametrize("name", ["source/top1", "anytime/validation/top1", "penalty/", "head"])
def test_what_is_no_curve(name: str) -> None:
    assert not is_curve(name)


def test_only_errors_are_derived() -> None:
    derived = {name: complement_of(name) for name in {*METRICS, *CURVES}}
    assert {name for name, base in derived.items() if base} == {
        name for name in derived if name.endswith("_error")
    }
    assert derived["anytime/source/top1_error"] == "anytime/source/top1"
    assert complement_of("test/loss_error") is None


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
    assert (metric_lack(name, recipe(**given), Method()) is None) == measured


@pytest.mark.parametrize(
    ("name", "given", "followed"),
    [
        ("anytime/test/top1", {}, False),
        ("anytime/test/top1", ANYTIME, True),
        ("anytime/source/top1", ANYTIME, False),
        ("anytime/source/top1", {**ANYTIME, "forgetting": True}, True),
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
    assert (curve_lack(name, recipe(**given), Method()) is None) == followed


def test_methods_bring_warm_ups_and_penalties() -> None:
    assert metric_lack("warmup/drop", recipe(), WARM) is None
    assert curve_lack("validation/top1", recipe(validation=0.1), WARM) is None
    assert curve_lack("penalty/l2", recipe(), Method(penalties={"l2": {}})) is None
