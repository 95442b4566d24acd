from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from bench.spec.recipe import SGD, Adam, AdamW, Optimizer, RAdam, Recipe, RMSprop
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
