from __future__ import annotations

import math

import pytest
import torch

from bench.spec.recipe import Constant, Cosine, Linear, Schedule, StepSchedule
from bench.training.schedule import rate_factor


def test_constant_is_one() -> None:
    assert {rate_factor(Schedule(constant=Constant()), t, 50) for t in range(50)} == {1.0}


def test_step_drops_at_multiples_as_in_the_released_code() -> None:
    schedule = Schedule(step=StepSchedule(every=6000))
    factors = [rate_factor(schedule, t, 12001) for t in (0, 5999, 6000, 11999, 12000)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("final", [0.0, 0.2])
def test_cosine_is_that_of_torch(final: float) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=final)
    schedule = Schedule(cosine=Cosine(final=final))
    for step in range(40):
        assert rate_factor(schedule, step, 40) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


def test_warm_up_is_linear_and_the_cosine_follows_it() -> None:
    schedule = Schedule(cosine=Cosine(warmup=4))
    assert [rate_factor(schedule, t, 12) for t in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate_factor(schedule, 8, 12) == pytest.approx(0.5)
    assert rate_factor(schedule, 11, 12) == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)


def test_a_line_falls_from_the_warm_up_to_the_end() -> None:
    schedule = Schedule(linear=Linear(warmup=2, final=0.5))
    factors = [rate_factor(schedule, t, 6) for t in range(6)]
    assert factors == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625])


def test_a_line_is_that_of_torch() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.2, total_iters=16)
    schedule = Schedule(linear=Linear(warmup=4, final=0.2))
    for step in range(4, 20):
        assert rate_factor(schedule, step, 20) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


def test_a_warm_up_longer_than_the_training_never_divides_by_zero() -> None:
    schedule = Schedule(cosine=Cosine(warmup=10))
    assert [rate_factor(schedule, t, 3) for t in range(3)] == pytest.approx([0.1, 0.2, 0.3])
