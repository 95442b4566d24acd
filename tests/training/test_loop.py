from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.models.network import Network
from bench.parts.kinds import Penalty, Step
from bench.parts.objectives.classification import Classification
from bench.parts.trainables.head import Head
from bench.records.record import Curve
from bench.spec.recipe import SGD, Cosine, Optimizer, Recipe, Schedule
from bench.training.curves import CurveBook
from bench.training.finite import NotANumber
from bench.training.monitor import Monitor, Scores
from tests.training.conftest import ToyBatches, fit, toy_network

SLOW = Optimizer(sgd=SGD(lr=0.01))


def train(
    network: Network, recipe: Recipe, *penalties: Any, **settings: Any
) -> Mapping[str, Curve]:
    book = CurveBook()
    fit(network, recipe, *penalties, book=book)
    return book.curves()


class Breaks(Penalty):
    """Infinite at its fourth call."""

    def __call__(self, step: Step) -> Tensor:
        CALLS.append(1)
        return step.features.sum() * (float("inf") if len(CALLS) == 4 else 0.0)


class Constant(Penalty):
    """Two, whatever happens."""

    def __call__(self, step: Step) -> Tensor:
        return torch.tensor(2.0)


CALLS: list[int] = []


def test_the_term_that_breaks_is_named_with_its_step() -> None:
    CALLS.clear()
    penalties = {"constant": Constant(), "breaks": Breaks()}
    with pytest.raises(NotANumber) as caught:
        fit(toy_network(), Recipe(steps=9, optimizer=SLOW), penalties)
    assert (caught.value.term, caught.value.step) == ("breaks", 4)


def test_a_rate_that_explodes_ends_at_the_cross_entropy() -> None:
    recipe = Recipe(steps=60, optimizer=Optimizer(sgd=SGD(lr=1e30)))
    with pytest.raises(NotANumber) as caught:
        fit(toy_network(), recipe)
    assert caught.value.term == "cross-entropy"
    assert caught.value.step > 1


def test_curves_are_means_since_the_point_before_and_end_at_the_last_step() -> None:
    network, still = toy_network(), toy_network()
    recipe = Recipe(steps=125, optimizer=Optimizer(sgd=SGD(lr=0.0)))
    curves = train(network, recipe, {"two": Constant()})
    steps = curves["train/loss"].at
    assert steps == (*range(2, 125, 2), 125)  # 125 / 50 rounds to 2
    losses = [
        cross_entropy(still(images).logits, labels).item()
        for images, labels in map(ToyBatches().batch, range(4))
    ]
    assert curves["train/cross_entropy"].value[:2] == pytest.approx(
        (sum(losses[:2]) / 2, sum(losses[2:]) / 2)
    )
    assert set(curves["penalty/two"].value) == {2.0}
    assert curves["train/loss"].value[1] == pytest.approx(
        curves["train/cross_entropy"].value[1] + 2
    )


def test_the_learning_rate_curve_is_the_heads() -> None:
    network = toy_network()
    recipe = Recipe(
        steps=10,
        optimizer=Optimizer(sgd=SGD(lr=0.1, backbone_lr=0.7)),
        schedule=Schedule(cosine=Cosine(warmup=2)),
    )
    curve = train(network, recipe)["train/learning_rate"]
    assert curve.value[:3] == pytest.approx((0.05, 0.1, 0.1))


def test_batch_normalisation_learns_statistics_when_all_trains() -> None:
    network = toy_network()
    fit(network, Recipe(steps=3, optimizer=SLOW))
    assert network.backbone.norm.num_batches_tracked == 3


def test_training_the_head_alone_leaves_every_bit_of_the_backbone() -> None:
    network, before = toy_network(), toy_network()
    recipe = Recipe(steps=3, optimizer=SLOW)
    fit(network, recipe, trainable=Head())
    for name, value in before.backbone.state_dict().items():
        assert torch.equal(network.backbone.state_dict()[name], value), name
    assert not torch.equal(network.head.weight, before.head.weight)


def _scored(network: Network, recipe: Recipe, scores: list[float]) -> tuple[Monitor, CurveBook]:
    left, book = iter(scores), CurveBook()
    validation = Scores(
        validation=lambda network, step: {"validation/top1": next(left)},
        objectives={"": Classification()},
    )
    return Monitor(network, recipe, book, validation), book


def test_the_best_state_is_kept_and_of_equals_the_earliest() -> None:
    recipe = Recipe(
        steps=7, optimizer=SLOW, validate_every=2, validation=0.5, selection="best-on-validation"
    )
    network, reference = toy_network(), toy_network()
    monitor, book = _scored(network, recipe, [0.1, 0.6, 0.6, 0.2])
    fit(network, recipe, book=book, monitor=monitor)
    assert monitor.report() == 4
    fit(reference, recipe.model_copy(update={"steps": 4}))
    assert book.curves()["validation/top1"].at == (2, 4, 6, 7)
    assert book.curves()["validation/top1"].value == (0.1, 0.6, 0.6, 0.2)
    for name, value in reference.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_watching_alone_reports_the_last_state() -> None:
    recipe = Recipe(steps=4, optimizer=SLOW, validate_every=2)
    network, reference = toy_network(), toy_network()
    monitor, book = _scored(network, recipe, [0.9, 0.1])
    fit(network, recipe, book=book, monitor=monitor)
    assert monitor.report() == 4
    fit(reference, recipe)
    assert torch.equal(network.head.weight, reference.head.weight)
