"""L2 is half the squares of the right parameters, and acts as weight decay does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench.parts import Step
from bench.parts.checks.synthetic import SHAPES, synthetic_step
from bench.parts.penalties.l2 import L2


@pytest.fixture
def step() -> Step:
    return synthetic_step(SHAPES[0], ())


def squares(*tensors: torch.Tensor) -> float:
    return float(sum(np.sum(t.detach().numpy() ** 2) for t in tensors))


def test_l2_is_half_the_squares_of_all_that_trains(step):
    b, h = step.backbone, step.head
    everything = (b["conv.weight"], b["norm.weight"], b["norm.bias"], h["weight"], h["bias"])
    assert not b["stem.weight"].requires_grad
    assert L2(weight=0.3)(step).item() == pytest.approx(0.3 / 2 * squares(*everything), rel=1e-12)


def test_l2_on_weights_leaves_biases_and_normalisations_out(step):
    kept = (step.backbone["conv.weight"], step.head["weight"])
    value = L2(weight=0.3, scope="weights")(step).item()
    assert value == pytest.approx(0.3 / 2 * squares(*kept), rel=1e-12)


def test_a_step_with_l2_is_a_step_with_the_optimizers_weight_decay():
    torch.manual_seed(0)
    images, labels = torch.randn(8, 5), torch.arange(8) % 3
    states = []
    for decay, penalise in ((0.1, False), (0.0, True)):
        torch.manual_seed(1)
        body, head = nn.Linear(5, 4), nn.Linear(4, 3)
        parameters = [*body.parameters(), *head.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=decay)
        for _ in range(5):
            features = body(images).relu()
            loss = nn.functional.cross_entropy(head(features), labels)
            if penalise:
                loss = loss + L2(weight=0.1)(
                    Step(
                        features,
                        head(features),
                        labels,
                        dict(body.named_parameters()),
                        dict(head.named_parameters()),
                        {},
                    )
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        states.append([p.detach().clone() for p in parameters])
    for decayed, penalised in zip(*states, strict=True):
        torch.testing.assert_close(decayed, penalised, rtol=1e-6, atol=1e-7)
