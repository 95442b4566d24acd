"""DELTA is a hand-written sum over images, channels and pixels, in either of its two scales."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.parts import Step
from bench.parts.checks.synthetic import SHAPES, in_float64, synthetic_step
from bench.parts.penalties.delta import Delta


@pytest.fixture
def step() -> Step:
    return synthetic_step(SHAPES[0], Delta.needs)


def by_hand(step: Step, *, released: bool) -> float:
    total = 0.0
    for name, now in step.maps.items():
        source, weights = step.source_maps[name], step.measured["channel-attention"][name]
        images, channels, height, width = now.shape
        for i in range(images):
            for c in range(channels):
                distance = 0.0
                for y in range(height):
                    for x in range(width):
                        distance += (now[i, c, y, x] - source[i, c, y, x]).item() ** 2
                scale = channels / (2 * height * width) if released else 1.0
                total += scale * weights[c].item() * distance
    return total


def head_squares(step: Step) -> float:
    return sum(p.detach().square().sum().item() for p in step.head.values())


def test_the_released_scale(step):
    expected = 0.3 * by_hand(step, released=True) + 0.7 / 2 * head_squares(step)
    assert Delta(maps=0.3, head=0.7)(step).item() == pytest.approx(expected, rel=1e-12)


def test_the_equations_scale(step):
    expected = 0.3 * by_hand(step, released=False) + 0.7 * head_squares(step)
    value = Delta(maps=0.3, head=0.7, scale="equation")(step).item()
    assert value == pytest.approx(expected, rel=1e-12)


def test_a_map_of_one_channel_and_pixel():
    one = torch.full((2, 1, 1, 1), 3.0)
    step = Step(
        torch.zeros(2, 1), torch.zeros(2, 2), torch.zeros(2, dtype=torch.long), {}, {}, {},
        maps={"a": one}, source_maps={"a": one - 2},
        measured={"channel-attention": {"a": torch.ones(1)}},
    )  # fmt: skip
    # Two images at a distance of 2: 2 · 2², halved in the released scale.
    assert Delta(maps=1.0, scale="equation")(step) == 8
    assert Delta(maps=1.0)(step) == 4


def test_a_channel_of_weight_zero_may_move(step):
    given = step.measured["channel-attention"]
    none = {"channel-attention": {n: torch.zeros_like(w) for n, w in given.items()}}
    assert Delta(maps=1.0, head=0.0)(replace(step, measured=none)) == 0


def test_no_gradient_reaches_the_source(step):
    sources = {n: m.clone().requires_grad_() for n, m in step.source_maps.items()}
    value = Delta()(replace(step, source_maps={n: m.detach() for n, m in sources.items()}))
    value.backward()
    assert all(m.grad is None for m in sources.values())
    assert all(m.grad is not None for m in step.maps.values())


def test_half_precision_maps_are_compared_in_float32_under_autocast():
    half = synthetic_step(SHAPES[0], Delta.needs, dtype=torch.float32, activations=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = Delta(maps=1.0, head=0.0)(half)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(by_hand(in_float64(half), released=True), rel=1e-5)
