"""Penalties' gradients beside the loss's: as autograd has them, beside the training."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from bench.parts.penalties.bss import BSS
from bench.parts.penalties.l2 import L2
from bench.parts.trainables.head import Head
from bench.scheduling.job import ParentArtifact
from bench.spec.cell import START
from bench.spec.recipe import SGD, Optimizer, Recipe
from bench.training.curves import CurveBook
from bench.training.execute import execute
from bench.training.gradients import PenaltyGradients
from bench.training.loss import body_parameters
from tests.training.conftest import RECIPE, Build, ToyBatches, fit, loss_of, toy_network

PENALTIES = {"l2": L2(weight=0.1), "bss": BSS(eta=0.5, k=2)}
SHORT = Recipe(steps=3, optimizer=Optimizer(sgd=SGD(lr=0.1)))


def test_the_ratio_is_that_of_two_separate_backward_passes() -> None:
    network = toy_network().double()
    batch = tuple(t.double() if t.is_floating_point() else t for t in ToyBatches().batch(0))
    loss = loss_of(network, PENALTIES)
    body = body_parameters(network)
    found = PenaltyGradients(body.values(), loss.names, loss.shares)
    book = CurveBook()
    network.train()
    terms = loss.terms({"": batch})
    found.measure(terms, 1, book)

    def norm(value: torch.Tensor) -> float:
        grads = torch.autograd.grad(value, list(body.values()), retain_graph=True)
        return math.sqrt(sum(float((g**2).sum()) for g in grads))

    images, labels = batch
    features = network.backbone(images)
    whole = norm(cross_entropy(network.head(features), labels))
    smallest = torch.linalg.svdvals(features)[-2:]
    expected = norm(0.5 * (smallest**2).sum()) / whole
    assert book.curves()["penalty/bss/gradient"].value == pytest.approx([expected], rel=1e-6)
    decay = norm(0.1 / 2 * sum((p**2).sum() for p in body.values())) / whole  # type: ignore[arg-type]
    assert found.metrics()["penalty/l2/gradient"] == pytest.approx(decay, rel=1e-9)


def test_the_training_is_the_same_with_and_without() -> None:
    plain, watched = toy_network(), toy_network()
    gradients = PenaltyGradients(
        body_parameters(watched).values(), ("cross-entropy", *PENALTIES), ("cross-entropy",)
    )
    fit(plain, SHORT, PENALTIES)
    book = CurveBook()
    fit(watched, SHORT, PENALTIES, book=book, gradients=gradients)
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)
    assert list(book.curves()["penalty/bss/gradient"].at) == [1, 2, 3]


def test_a_frozen_body_has_no_ratio() -> None:
    network = toy_network()
    gradients = PenaltyGradients(
        body_parameters(network).values(), ("cross-entropy", "bss"), ("cross-entropy",)
    )
    fit(network, SHORT, {"bss": BSS()}, gradients=gradients, trainable=Head())
    assert gradients.metrics() == {}


def test_a_cell_records_the_mean_over_its_curve(job: Build, source: ParentArtifact) -> None:
    recipe = RECIPE.model_copy(update={"penalty_gradients": True})
    penalties = {"l2": {}, "bss": {"eta": 0.1}}
    outcome = execute(job(recipe, penalties, weights="stage", parents={START: source}))
    curve = outcome.curves["penalty/bss/gradient"]
    assert outcome.metrics["penalty/bss/gradient"] == pytest.approx(sum(curve.value) / 4)
    larger = {"l2": {}, "bss": {"eta": 0.2}}
    again = execute(job(recipe, larger, weights="stage", parents={START: source}))
    # At the first step the networks are the same, and the penalty is linear in η.
    first = again.curves["penalty/bss/gradient"].value[0]
    assert first == pytest.approx(2 * curve.value[0], rel=1e-5)
    without = execute(job(RECIPE, penalties, weights="stage", parents={START: source}))
    assert without.metrics["test/loss"] == outcome.metrics["test/loss"]
    assert "penalty/bss/gradient" not in without.metrics
