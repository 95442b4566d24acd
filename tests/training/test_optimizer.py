from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from timm.optim import Adan as TimmAdan
from torch.nn.functional import cross_entropy

from bench.spec.recipe import SGD, Adam, AdamW, Adan, Optimizer, RAdam, Recipe, RMSprop
from bench.training.optimizer import build_optimizer, scale_rates
from tests.training.conftest import ToyBatches, fit, toy_network

CASES: list[tuple[Optimizer, Any]] = [
    (
        Optimizer(sgd=SGD(lr=0.1, momentum=0.9, nesterov=True)),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    ),
    (
        Optimizer(sgd=SGD(lr=0.1, momentum=0.5, dampening=0.3)),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.5, dampening=0.3),
    ),
    (
        Optimizer(adam=Adam(lr=0.01, betas=(0.8, 0.95), eps=1e-6)),
        lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=1e-6),
    ),
    (
        Optimizer(adamw=AdamW(lr=0.01, weight_decay=0.1)),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    ),
    (Optimizer(radam=RAdam(lr=0.01)), lambda p: torch.optim.RAdam(p, lr=0.01)),
    (
        Optimizer(rmsprop=RMSprop(lr=0.01, alpha=0.9, momentum=0.2)),
        lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, momentum=0.2),
    ),
]


@pytest.mark.parametrize(("optimizer", "plain"), CASES, ids=lambda c: getattr(c, "choice", ""))
def test_the_loop_takes_the_steps_of_plain_torch(optimizer: Optimizer, plain: Any) -> None:
    ours, reference = toy_network(), toy_network()
    recipe = Recipe(steps=8, optimizer=optimizer)
    fit(ours, recipe)

    stepper = plain(reference.parameters())
    for step in range(8):
        images, labels = ToyBatches().batch(step)
        stepper.zero_grad()
        cross_entropy(reference(images).logits, labels).backward()
        stepper.step()
    for name, value in reference.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_head_and_backbone_move_by_their_own_rates() -> None:
    network, images, labels = toy_network(), *ToyBatches().batch(0)
    cross_entropy(network(images).logits, labels).backward()
    before = {n: (p.detach().clone(), p.grad.clone()) for n, p in network.named_parameters()}
    recipe = Recipe(steps=1, optimizer=Optimizer(sgd=SGD(lr=0.3, backbone_lr=0.002)))
    network.zero_grad()
    fit(network, recipe)
    for name, value in network.named_parameters():
        rate = 0.3 if name.startswith("head.") else 0.002
        start, gradient = before[name]
        torch.testing.assert_close(value.detach(), start - rate * gradient)


def test_without_a_rate_of_its_own_the_backbone_has_the_heads() -> None:
    network = toy_network()
    optimizer = build_optimizer(Optimizer(adam=Adam(lr=0.25)), network)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_scaling_starts_from_the_first_rates_each_time() -> None:
    network = toy_network()
    spec = Optimizer(sgd=SGD(lr=1.0, backbone_lr=0.1))
    optimizer = build_optimizer(spec, network)
    assert scale_rates(optimizer, 0.5) == 0.5
    assert scale_rates(optimizer, 0.5) == 0.5
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.5]


def test_a_frozen_backbone_is_not_in_the_optimizer() -> None:
    network = toy_network()
    network.backbone.requires_grad_(False)
    optimizer = build_optimizer(Optimizer(sgd=SGD(lr=1.0)), network)
    assert [group["name"] for group in optimizer.param_groups] == ["head"]


Array = NDArray[np.float64]


def adan_by_hand(
    theta: Array, gradients: Sequence[Array], rates: Sequence[float], adan: Adan
) -> Array:
    """Algorithm 1 of Xie et al. 2022, whose β are 1 − ours, with moments corrected for their start.

    The difference of the first gradient to the one before it is zero.
    """
    b1, b2, b3 = (1 - beta for beta in adan.betas)
    m, v, n, before = 0.0 * theta, 0.0 * theta, 0.0 * theta, gradients[0]
    for k, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        m = (1 - b1) * m + b1 * g
        v = (1 - b2) * v + b2 * (g - before)
        n = (1 - b3) * n + b3 * (g + (1 - b2) * (g - before)) ** 2
        mean, change = m / (1 - (1 - b1) ** k), v / (1 - (1 - b2) ** k)
        step = rate / (np.sqrt(n / (1 - (1 - b3) ** k)) + adan.eps)
        theta = (theta - step * (mean + (1 - b2) * change)) / (1 + adan.weight_decay * rate)
        before = g
    return theta


def test_adan_makes_the_steps_of_its_papers_equations_at_two_rates() -> None:
    network = toy_network().double()
    adan = Adan(lr=0.1, backbone_lr=0.02, betas=(0.9, 0.8, 0.7), eps=1e-3, weight_decay=0.3)
    optimizer = build_optimizer(Optimizer(adan=adan), network)
    draw = np.random.default_rng(3)
    start = {n: p.detach().numpy().copy() for n, p in network.named_parameters()}
    gradients = {n: [draw.normal(size=v.shape) for _ in range(7)] for n, v in start.items()}
    factors = [1.0, 0.7, 0.5, 0.5, 0.3, 0.2, 0.1]
    for step, factor in enumerate(factors):
        scale_rates(optimizer, factor)
        for name, parameter in network.named_parameters():
            parameter.grad = torch.from_numpy(gradients[name][step].copy())
        optimizer.step()
    for name, parameter in network.named_parameters():
        rate = 0.1 if name.startswith("head.") else 0.02
        expected = adan_by_hand(start[name], gradients[name], [rate * f for f in factors], adan)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_adan_has_the_defaults_of_timm() -> None:
    optimizer = build_optimizer(Optimizer(adan=Adan(lr=0.1)), toy_network())
    plain = TimmAdan([torch.zeros(1, requires_grad=True)])
    ours, theirs = optimizer.param_groups[0], plain.param_groups[0]
    assert {k: ours[k] for k in theirs if k not in ("params", "lr")} == {
        k: v for k, v in theirs.items() if k not in ("params", "lr")
    }


def test_adan_counts_from_the_first_gradient_and_not_through_a_warmup() -> None:
    network, adan = toy_network().double(), Adan(lr=0.1)
    optimizer = build_optimizer(Optimizer(adan=adan), network)
    body = dict(network.backbone.named_parameters())
    start = {n: p.detach().numpy().copy() for n, p in body.items()}
    gradients = {n: [np.full(v.shape, 2.0), np.full(v.shape, -1.0)] for n, v in start.items()}
    for step in range(-5, 2):
        for parameter in network.head.parameters():
            parameter.grad = torch.ones_like(parameter)
        for name, parameter in body.items() if step >= 0 else ():
            parameter.grad = torch.from_numpy(gradients[name][step].copy())
        optimizer.step()
    for name, parameter in body.items():
        expected = adan_by_hand(start[name], gradients[name], [0.1, 0.1], adan)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12)
