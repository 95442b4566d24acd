"""FAST's equations (Varno et al. 2020), in float64, through the one loss and loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench.models.network import Network
from bench.spec.recipe import SGD, Optimizer, Recipe
from tests.training.conftest import ToyBackbone, fit, loss_of

CLASSES, IMAGES = 4, 10


class Fixed:
    """One batch of float64 images, unequally many of each class."""

    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2, 0, 1, 0])

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(3)
        return torch.randn(IMAGES, 3, 8, 8, generator=generator).double(), self.labels


class LinearBackbone(nn.Module):
    """Features x θᵀ of the mean colours x, so that all gradients are known in closed form."""

    num_features = 5

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Linear(3, 5, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.theta(images.mean((2, 3)))
        return features


def _network(backbone: type[nn.Module] = ToyBackbone) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Network(backbone(), {"": CLASSES}, name="toy", bias=False).double()


def _trained(steps: int, alpha: float, beta: float, **sgd: object) -> Network:
    network = _network(LinearBackbone)
    recipe = Recipe(
        steps=steps,
        head_bias=False,
        optimizer=Optimizer(sgd=SGD(lr=alpha, backbone_lr=beta, **sgd)),
    )
    fit(network, recipe, batches=Fixed())
    return network


def test_a_zero_head_predicts_every_class_alike_and_moves_no_feature() -> None:
    # Sections 4.1.2 to 4.1.4.
    network = _network().train()
    images, labels = Fixed().batch(0)
    loss = loss_of(network).terms({"": (images, labels)}).sum()
    loss.backward()
    assert loss.item() == pytest.approx(math.log(CLASSES), abs=1e-15)
    prediction = network(images).logits.softmax(1)
    assert torch.equal(prediction, torch.full_like(prediction, 1 / CLASSES))
    delta = nn.functional.one_hot(labels, CLASSES) - prediction
    assert delta.square().sum(1).mean().item() == pytest.approx(1 - 1 / CLASSES, abs=1e-15)
    assert all(not p.grad.any() for p in network.backbone.parameters())


def test_the_first_step_is_equation_20() -> None:
    # W_n = α/M (sum of the features of class n − 1/N sum of all features); θ stands still.
    alpha = 0.3
    start, after = _network(LinearBackbone), _trained(1, alpha, 0.7)
    images, labels = Fixed().batch(0)
    features = start(images).features.detach().numpy()
    for n in range(CLASSES):
        own = features[labels.numpy() == n].sum(0)
        expected = alpha / IMAGES * (own - features.sum(0) / CLASSES)
        np.testing.assert_allclose(after.head.weight[n].detach().numpy(), expected, rtol=1e-13)
    assert torch.equal(start.backbone.theta.weight, after.backbone.theta.weight)


def test_the_first_velocity_of_the_features_is_proportional_to_both_rates() -> None:
    # Equation 22, in the limit of small rates.
    def moved(alpha: float, beta: float) -> Tensor:
        theta = _trained(2, alpha, beta).backbone.theta.weight
        return (theta - _network(LinearBackbone).backbone.theta.weight).detach()

    once = moved(1e-5, 1e-3)
    assert once.abs().max() > 0
    torch.testing.assert_close(moved(2e-5, 1e-3), 2 * once, rtol=1e-4, atol=0)
    torch.testing.assert_close(moved(1e-5, 3e-3), 3 * once, rtol=1e-4, atol=0)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=12))
def test_a_softmax_has_the_least_norm_where_it_is_uniform(logits: list[float]) -> None:
    # Appendix A: the proof gives a lower bound, which the lemma calls a supremum.
    prediction = torch.tensor(logits, dtype=torch.float64).softmax(0)
    least = 1 / len(logits)
    assert prediction.square().sum().item() >= least - 1e-15
    uniform = torch.zeros(len(logits), dtype=torch.float64).softmax(0)
    assert uniform.square().sum().item() == pytest.approx(least, abs=1e-15)


def _algorithm_1(steps: int, alpha: float, beta: float, momentum: float) -> list[np.ndarray]:
    """Algorithm 1 as printed, with equations 8 and 12 for the gradients: V ← mV + (1 − m)v."""
    images, labels = Fixed().batch(0)
    x = images.mean((2, 3)).numpy()
    y = np.eye(CLASSES)[labels.numpy()]
    theta = _network(LinearBackbone).backbone.theta.weight.detach().numpy().copy()
    w = np.zeros((CLASSES, 5))
    speed_w, speed_theta = np.zeros_like(w), np.zeros_like(theta)
    for _ in range(steps):
        features = x @ theta.T
        scores = np.exp(features @ w.T)
        delta = y - scores / scores.sum(1, keepdims=True)
        velocity_w = alpha / IMAGES * delta.T @ features
        velocity_theta = beta / IMAGES * (delta @ w).T @ x
        speed_w = momentum * speed_w + (1 - momentum) * velocity_w
        speed_theta = momentum * speed_theta + (1 - momentum) * velocity_theta
        w, theta = w + speed_w, theta + speed_theta
    return [w, theta]


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_averaged_velocities_are_algorithm_1(momentum: float) -> None:
    after = _trained(6, 0.4, 0.2, momentum=momentum, velocity="average")
    w, theta = _algorithm_1(6, 0.4, 0.2, momentum)
    np.testing.assert_allclose(after.head.weight.detach().numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(after.backbone.theta.weight.detach().numpy(), theta, rtol=1e-12)


def test_summed_velocities_are_ten_times_averaged_ones_at_a_momentum_of_nine_tenths() -> None:
    summed = _trained(1, 0.4, 0.2, momentum=0.9).head.weight
    averaged = _trained(1, 0.4, 0.2, momentum=0.9, velocity="average").head.weight
    torch.testing.assert_close(summed, 10 * averaged)


def test_a_head_rate_of_zero_keeps_the_head() -> None:
    network = _network(LinearBackbone)
    with torch.no_grad():
        network.head.weight.normal_(generator=torch.Generator().manual_seed(0))
    before = network.head.weight.detach().clone()
    theta = network.backbone.theta.weight.detach().clone()
    recipe = Recipe(steps=3, optimizer=Optimizer(sgd=SGD(lr=0.0, backbone_lr=0.1, momentum=0.9)))
    fit(network, recipe, batches=Fixed())
    assert torch.equal(network.head.weight, before)
    assert not torch.equal(network.backbone.theta.weight, theta)
