"""L2 and L2-SP are hand-written sums of squares over the right parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.methods.part import Step
from bench.methods.penalties.l2 import L2
from bench.methods.penalties.l2_sp import L2SP
from bench.methods.squares import half_squared_distance, half_squared_norm
from bench.methods.synthetic import SHAPES, synthetic_step


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
    value = L2(weight=0.3, on="weights")(step).item()
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


def test_l2_sp_weighs_the_drift_of_the_backbone_and_the_size_of_the_head(step):
    b, h, start = step.backbone, step.head, step.start
    drift = [b[n] - start[n] for n in ("conv.weight", "norm.weight", "norm.bias")]
    expected = 0.3 / 2 * squares(*drift) + 0.7 / 2 * squares(h["weight"], h["bias"])
    value = L2SP(shared=0.3, head=0.7, on="all")(step).item()
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
    value = L2SP(shared=5.0, head=1.0, on="all")(replace(step, backbone=frozen))
    expected = squares(step.head["weight"], step.head["bias"]) / 2
    assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_half_the_squares_is_the_tensor(layout):
    tensors = [torch.randn(4, 3, 2, 2).to(memory_format=layout), torch.zeros(3), torch.randn(5)]
    for tensor in tensors:
        tensor.requires_grad_()
    (3 * half_squared_norm(tensors)).backward()
    for tensor in tensors:
        torch.testing.assert_close(tensor.grad, 3 * tensor.detach())


def test_the_gradient_of_half_the_distance_is_the_difference():
    tensor, origin = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    half_squared_distance([tensor], [origin]).backward()
    torch.testing.assert_close(tensor.grad, (tensor - origin).detach())
    assert origin.grad is None


def test_nothing_has_no_squares_and_lists_must_match():
    assert half_squared_norm([]) == 0
    with pytest.raises(ValueError, match="1 tensors, but 2 origins"):
        half_squared_distance([torch.ones(1)], [torch.ones(1), torch.ones(1)])
