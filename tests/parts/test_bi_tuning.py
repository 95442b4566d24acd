"""Bi-Tuning's loss against its equations in NumPy, over two steps of its queues."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import NetworkOutput
from bench.parts.kinds import Learning
from bench.parts.objectives.bi_tuning import BiTuning, Queues

ROWS, CLASSES, WIDTH, QUEUE, PROJECTION = 5, 3, 4, 2, 3
TARGETS = torch.tensor([0, 0, 1, 0, 2])
SETTINGS = {"weight": 0.6, "queue": QUEUE, "temperature": 0.3, "projection": PROJECTION}


class Body:
    """A linear network in float64, and its head."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*size: int) -> Tensor:
            return torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()

        self.filters = draw(12, WIDTH)
        self.head = {"weight": draw(CLASSES, WIDTH), "bias": draw(CLASSES)}
        self.followed: list[float] = []
        self.modules: torch.nn.Module | None = None

    def __call__(self, inputs: Tensor) -> NetworkOutput:
        features = inputs.flatten(1) @ self.filters
        return NetworkOutput(features, features @ self.head["weight"].T + self.head["bias"])

    def follow(self, momentum: float) -> None:
        self.followed.append(momentum)


def parts():
    objective = BiTuning(**SETTINGS)
    body, average = Body(0), Body(1)
    modules = objective.modules(WIDTH, CLASSES, Stream(2)).double()
    average.modules = copy.deepcopy(modules)
    with torch.no_grad():
        average.modules["projector"].weight.mul_(0.5).add_(0.1)
    return objective, body, average, modules


def step_of(body, average, modules, seed: int, targets: Tensor = TARGETS) -> Learning:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(2, len(targets), 3, 2, 2, generator=generator, dtype=torch.float64)
    return Learning(inputs, targets, body, modules, Stream(7), 0.0, head=body.head, average=average)


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.sqrt((values**2).sum(axis=-1, keepdims=True))


def contrast(own: float, label: int, products: np.ndarray, temperature: float) -> float:
    """−1/|K₊| Σ log(exp(·/τ) / Σ exp(·/τ)), a key at a time; ``products`` ``(classes, queue)``."""
    below = np.exp(own / temperature) + np.exp(products / temperature).sum()
    positives = [own, *products[label]]
    return -sum(np.log(np.exp(p / temperature) / below) for p in positives) / len(positives)


def by_hand(step: Learning, body: Body, average: Body, h: np.ndarray, z: np.ndarray) -> float:
    """Return the loss, and let the keys into the queues ``h`` and ``z``."""
    weight, bias = (body.head[n].detach().numpy() for n in ("weight", "bias"))
    classes = unit(np.concatenate([weight, bias[:, None]], axis=1))

    def projected(features: np.ndarray, modules) -> np.ndarray:
        projector = modules["projector"]
        own, constant = projector.weight.detach().numpy(), projector.bias.detach().numpy()
        return unit(features @ own.T + constant)

    first, second = (step.inputs[view].flatten(1).numpy() for view in range(2))
    features = first @ body.filters.detach().numpy()
    keys = second @ average.filters.detach().numpy()
    ones = np.ones((len(features), 1))
    rows, key_rows = (unit(np.concatenate([f, ones], axis=1)) for f in (features, keys))
    projections = projected(features, step.modules)
    key_projections = projected(keys, average.modules)
    logits = features @ weight.T + bias
    total = 0.0
    for i, label in enumerate(step.targets.tolist()):
        total += np.log(np.exp(logits[i]).sum()) - logits[i, label]
        cce = contrast(classes[label] @ rows[i], label, h @ classes[label], 0.3)
        ccl = contrast(projections[i] @ key_projections[i], label, z @ projections[i], 0.3)
        total += 0.6 * (cce + ccl)
    for i, label in enumerate(step.targets.tolist()):
        h[label] = np.concatenate([h[label][1:], key_rows[i : i + 1]])
        z[label] = np.concatenate([z[label][1:], key_projections[i : i + 1]])
    return total / len(features)


def test_three_steps_are_the_equations():
    objective, body, average, modules = parts()
    queues = modules["queues"]
    h, z = (queue.numpy().copy() for queue in (queues.features, queues.projections))
    assert np.allclose((h**2).sum(axis=2), 1)
    for seed in range(3):
        step = step_of(body, average, modules, seed)
        expected = by_hand(step, body, average, h, z)
        assert objective.learn(step).item() == pytest.approx(expected, rel=1e-12)
    assert average.followed == [0.999] * 3


def test_the_gradient_goes_through_the_rows_alone():
    objective, body, average, modules = parts()
    value = objective.learn(step_of(body, average, modules, 0))
    keys = [average.filters, *average.modules.parameters()]
    assert torch.autograd.grad(value, keys, allow_unused=True, retain_graph=True) == (None,) * 3
    slopes = torch.autograd.grad(value, [body.filters, *modules.parameters(), *body.head.values()])
    assert all(slope.any() for slope in slopes)
    # The head learns by the cross-entropy alone.
    step = step_of(body, average, modules, 0)
    plain = torch.nn.functional.cross_entropy(body(step.inputs[0]).logits, TARGETS)
    (alone,) = torch.autograd.grad(plain, body.head["weight"])
    torch.testing.assert_close(slopes[-2], alone)


def test_more_rows_of_a_class_than_places_leave_the_last():
    queues = Queues(2, 2, (3, 1), Stream(0))
    rows = torch.arange(5.0).unsqueeze(1)
    queues.put(rows.expand(5, 3), rows, [0, 0, 0, 1, 0])
    assert queues.projections[0].flatten().tolist() == [2, 4]
    assert queues.projections[1, 0].item() == 3
    queues.put(torch.full((1, 3), 9.0), torch.full((1, 1), 9.0), [0])
    assert queues.projections[0].flatten().tolist() == [9, 4]


def test_queues_are_in_no_checkpoint():
    *_, modules = parts()
    assert set(modules.state_dict()) == {"projector.weight", "projector.bias"}


def test_a_momentum_of_one_is_an_error():
    with pytest.raises(UserError, match="a momentum is below one, and it is 1"):
        BiTuning(momentum=1.0).modules(WIDTH, CLASSES, Stream(0))
