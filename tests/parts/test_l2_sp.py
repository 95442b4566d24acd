"""L2-SP is a hand-written sum: the backbone's drift, and the head's size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.parts import Step
from bench.parts.checks.synthetic import SHAPES, synthetic_step
from bench.parts.penalties.l2_sp import L2SP


@pytest.fixture
def step() -> Step:
    return synthetic_step(SHAPES[0], ())


def squares(*tensors: torch.Tensor) -> float:
    return float(sum(np.sum(t.detach().numpy() ** 2) for t in tensors))


def test_l2_sp_weighs_the_drift_of_the_backbone_and_the_size_of_the_head(step):
    b, h, start = step.backbone, step.head, step.start
    drift = [b[n] - start[n] for n in ("conv.weight", "norm.weight", "norm.bias")]
    expected = 0.3 / 2 * squares(*drift) + 0.7 / 2 * squares(h["weight"], h["bias"])
    value = L2SP(shared=0.3, head=0.7, scope="all")(step).item()
    assert value == pytest.approx(expected, rel=1e-12)


def test_l2_sp_by_default_acts_on_weights_as_its_released_code(step):
    drift = step.backbone["conv.weight"] - step.start["conv.weight"]
    expected = 0.1 / 2 * squares(drift) + 0.01 / 2 * squares(step.head["weight"])
    assert L2SP()(step).item() == pytest.approx(expected, rel=1e-12)


def test_l2_sp_at_the_start_pulls_on_the_head_alone(step):
    start = {n: p.detach().clone() for n, p in step.backbone.items()}
    value = L2SP(shared=5.0, head=1.0)(replace(step, start=start))
    value.backward()
    assert value.item() == pytest.approx(squares(step.head["weight"]) / 2, rel=1e-12)
    assert not step.backbone["conv.weight"].grad.any()
    torch.testing.assert_close(step.head["weight"].grad, step.head["weight"].detach())


def test_l2_sp_with_a_frozen_backbone_is_the_heads_part(step):
    frozen = {n: p.detach() for n, p in step.backbone.items()}
    value = L2SP(shared=5.0, head=1.0, scope="all")(replace(step, backbone=frozen))
    expected = squares(step.head["weight"], step.head["bias"]) / 2
    assert value.item() == pytest.approx(expected, rel=1e-12)
