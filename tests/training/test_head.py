from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import nn

from bench.parts.heads.kaiming import Kaiming
from bench.parts.heads.normal import Normal
from bench.parts.heads.zeros import Zeros
from bench.parts.kinds import Head
from bench.training.head import initialise_head


def _head(init: Head, seed: int = 0) -> nn.Linear:
    head = nn.Linear(200, 50)
    initialise_head(head, init, seed)
    return head


@pytest.mark.parametrize(
    ("init", "std"),
    [
        (Normal(std=0.01), 0.01),
        (Kaiming(mode="fan_in"), math.sqrt(2 / 200)),
        (Kaiming(mode="fan_out"), math.sqrt(2 / 50)),
    ],
)
def test_weights_are_normal_with_the_stated_deviation(init: Head, std: float) -> None:
    head = _head(init)
    sample = head.weight.detach().double().flatten().numpy()
    assert stats.kstest(sample, stats.norm(0, std).cdf).pvalue > 0.01
    assert torch.count_nonzero(head.bias) == 0


def test_zeros_are_zero() -> None:
    head = _head(Zeros())
    assert torch.count_nonzero(head.weight) == 0
    assert torch.count_nonzero(head.bias) == 0


def test_the_seed_decides_and_nothing_else() -> None:
    init = Normal()
    torch.manual_seed(1)
    first = _head(init, seed=3).weight
    torch.manual_seed(2)
    assert torch.equal(first, _head(init, seed=3).weight)
    assert not torch.equal(first, _head(init, seed=4).weight)


def test_the_global_random_state_is_left_alone() -> None:
    head = nn.Linear(4, 2)
    before = torch.get_rng_state()
    initialise_head(head, Kaiming(), 0)
    assert torch.equal(before, torch.get_rng_state())
