from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.models.network import Network
from bench.parts.objectives.classification import Classification
from bench.records.record import Curve
from bench.spec.recipe import SGD, Anytime, Optimizer, Recipe
from bench.training.curves import CurveBook
from bench.training.deployment import pseudo_fibonacci
from bench.training.evaluate import evaluate
from bench.training.monitor import Monitor, Scores
from bench.training.norms import feature_distance, head_norm, parameters_of
from tests.training.conftest import ToyBatches, fit, toy_network

STEPS = 13
# Validation at 0, 1, 3, 6, 10 and, the last step, 13.
VALIDATION = {0: 0.2, 1: 0.1, 3: 0.6, 6: 0.6, 10: 0.3, 13: 0.7}
DEPLOYED = {0: 0, 1: 0, 2: 0, 3: 3, 5: 3, 8: 3, 13: 13}
RATES = Optimizer(sgd=SGD(lr=0.1, backbone_lr=0.03, momentum=0.9))
RECIPE = Recipe(
    steps=STEPS, optimizer=RATES, validation=0.5, anytime=Anytime(), selection="best-on-validation"
)


TOP1 = {"": Classification()}
STATE = ("head.weight", "backbone.conv.weight", "backbone.norm.running_mean")


def _state_after(steps: int) -> Network:
    network = toy_network()
    if steps:
        recipe = Recipe(steps=steps, optimizer=RATES)
        fit(network, recipe)
    return network


def _mark(network: Network) -> float:
    state = network.state_dict()
    return sum(float(state[name].double().sum()) for name in STATE)


class Watched:
    """A run whose test score is a number that tells states apart."""

    def __init__(self) -> None:
        self.tested: list[int] = []
        self.network, book = toy_network(), CurveBook()
        scores = Scores(
            validation=lambda network, step: {"validation/top1": VALIDATION[step]},
            test=self._test,
            source=lambda network, step: {"source/top1": -_mark(network), "source/loss": 1.0},
            objectives=TOP1,
        )
        self.monitor = Monitor(self.network, RECIPE, book, scores)
        fit(self.network, RECIPE, book=book, monitor=self.monitor)
        self.curves: dict[str, Curve] = book.curves()

    def _test(self, network: Network, step: int) -> dict[str, float]:
        self.tested.append(step)
        # A real look at the network, in evaluation mode.
        evaluate(network, [ToyBatches().batch(99)], Classification())
        return {"test/top1": _mark(network), "test/mean_class_accuracy": 0.0}


def test_each_checkpoint_has_the_test_score_of_the_state_it_deploys() -> None:
    curves = Watched().curves
    expected = tuple(_mark(_state_after(step)) for step in DEPLOYED.values())
    assert curves["anytime/test/top1"] == Curve(tuple(DEPLOYED), expected)
    assert curves["anytime/source/top1"].value == tuple(-value for value in expected)
    assert curves["anytime/step"].value == tuple(map(float, DEPLOYED.values()))
    assert set(curves["anytime/test/mean_class_accuracy"].value) == {0.0}
    assert set(curves["anytime/source/loss"].value) == {1.0}


def _deployed(validation: dict[int, float]) -> dict[int, float]:
    """Let a still network pass with these validation scores; return what was deployed when."""
    recipe = Recipe(steps=max(validation), validation=0.5, anytime=Anytime(gap=1))
    network, book = toy_network(), CurveBook()
    scores = Scores(
        validation=lambda network, step: {"validation/top1": validation[step]},
        test=lambda network, step: {"test/top1": float(step)},
        objectives=TOP1,
    )
    monitor = Monitor(network, recipe, book, scores)
    for step in range(recipe.steps + 1):
        monitor.after(step)
    curves = book.curves()
    if "anytime/step" not in curves:
        return {}
    assert curves["anytime/step"] == curves["anytime/test/top1"]
    return dict(zip(curves["anytime/step"].at, curves["anytime/step"].value, strict=True))


def test_of_equal_scores_the_earliest_is_deployed() -> None:
    assert _deployed(dict(enumerate([0.5, 0.5, 0.6, 0.6]))) == {0: 0, 1: 0, 2: 2, 3: 2}


def test_what_was_not_measured_deploys_nothing() -> None:
    nan = math.nan
    assert _deployed(dict(enumerate([nan, nan, nan, 0.2, 0.1, nan]))) == {3: 3, 5: 3}
    assert _deployed({0: nan, 1: nan}) == {}


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, math.nan]), min_size=2, max_size=25))
@settings(max_examples=50, deadline=None)
def test_what_is_deployed_agrees_with_the_definition(values: list[float]) -> None:
    found = _deployed(dict(enumerate(values)))
    for checkpoint in pseudo_fibonacci(len(values) - 1):
        known = [(v, -i) for i, v in enumerate(values[: checkpoint + 1]) if not math.isnan(v)]
        assert found.get(checkpoint) == (-max(known)[1] if known else None)


def test_the_test_split_is_scored_for_deployed_states_alone_and_once_each() -> None:
    assert Watched().tested == [0, 3, 13]


def test_being_watched_changes_no_bit_of_the_training() -> None:
    watched, reference = Watched().network, _state_after(STEPS)
    for name, value in reference.state_dict().items():
        assert watched.state_dict()[name].equal(value), name


def test_the_reported_state_is_the_last_one_deployed() -> None:
    run = Watched()
    assert run.monitor.report() == 13
    assert _mark(run.network) == run.curves["anytime/test/top1"].value[-1]


def test_norms_are_recorded_at_checkpoints_and_validations() -> None:
    curves = Watched().curves
    assert curves["features/distance"].at == (0, 1, 2, 3, 5, 6, 8, 10, 13)
    assert curves["features/distance"].value[0] == 0
    start, moved = toy_network(), _state_after(5)
    square = sum(
        float((a - b).detach().double().square().sum())
        for a, b in zip(start.backbone.parameters(), moved.backbone.parameters(), strict=True)
    )
    assert abs(curves["features/distance"].value[4] - square**0.5) < 1e-12
    assert curves["head/norm"].value[4] == head_norm(moved.head)


def test_running_statistics_and_the_head_are_no_part_of_the_distance() -> None:
    network = toy_network()
    start = parameters_of(network)
    network.backbone.norm.running_mean += 3
    network.head.weight.data += 1
    assert feature_distance(network, start) == 0
    network.backbone.conv.weight.data[0, 0, 0, :2] += 2
    assert abs(feature_distance(network, start) - 8**0.5) < 1e-6


def test_the_test_split_is_followed_where_that_is_asked_for_and_nothing_is_chosen_by_it():
    recipe = Recipe(steps=5, validate_every=2, test_curves=True)
    book, seen = CurveBook(), []

    def test_scores(network, step):
        seen.append(step)
        return {"test/top1": step / 10, "test/top1-tail": step / 20}

    network = toy_network()
    monitor = Monitor(network, recipe, book, Scores(test=test_scores))
    for step in range(6):
        monitor.after(step)
    assert monitor.report() == 5
    found = {name: (curve.at, curve.value) for name, curve in book.curves().items()}
    assert found == {
        "test/top1": ((2, 4, 5), (0.2, 0.4, 0.5)),
        "test/top1-tail": ((2, 4, 5), (0.1, 0.2, 0.25)),
    }
    assert seen == [2, 4, 5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "it needs validate_every"),
        (
            {"validate_every": 2, "validation": 0.1, "selection": "best-on-test"},
            "leave test_curves",
        ),
    ],
)
def test_curves_of_the_test_split_need_points_and_are_there_once(changes, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(steps=5, test_curves=True, **changes)
