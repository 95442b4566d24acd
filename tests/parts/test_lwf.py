"""LWF against its equations, a sum over images and source classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from bench.parts import Step
from bench.parts.checks.synthetic import SHAPES, synthetic_step
from bench.parts.penalties.lwf import LearningWithoutForgetting


@pytest.fixture
def step() -> Step:
    return synthetic_step(SHAPES[0], LearningWithoutForgetting.needs)


def softened(outputs: torch.Tensor, temperature: float) -> np.ndarray:
    """Probabilities to the power 1/T, normalised anew: the paper's words, not a softmax of z/T."""
    powers = softmax(outputs.detach().numpy(), axis=1) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def by_hand(step: Step, weight: float, temperature: float, parameters) -> float:
    outputs = step.features @ parameters["source_head.weight"].T + parameters["source_head.bias"]
    before, now = softened(step.source_logits, temperature), softened(outputs, temperature)
    total = 0.0
    for i in range(len(now)):
        for j in range(now.shape[1]):
            total -= before[i, j] * np.log(now[i, j])
    return weight * total / len(now)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 3.0])
def test_it_is_the_papers_cross_entropy_of_softened_probabilities(step, temperature):
    for head, parameters in (("trained", step.backbone), ("frozen", step.start)):
        found = LearningWithoutForgetting(weight=0.7, temperature=temperature, head=head)(step)
        expected = by_hand(step, 0.7, temperature, parameters)
        assert found.item() == pytest.approx(expected, rel=1e-12)


def test_a_frozen_head_gets_no_gradient(step):
    for head, trains in (("trained", True), ("frozen", False)):
        value = LearningWithoutForgetting(head=head)(step)
        (slope,) = torch.autograd.grad(
            value, step.backbone["source_head.weight"], allow_unused=True
        )
        assert (slope is not None and bool(slope.any())) == trains


def test_the_papers_settings_are_the_defaults():
    part = LearningWithoutForgetting()
    assert (part.weight, part.temperature, part.head) == (1.0, 2.0, "trained")
