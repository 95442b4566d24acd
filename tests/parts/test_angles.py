"""Angles between singular vectors of weights, against SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.kinds import Measured
from bench.parts.measurements.angles import Angles
from tests.parts.pairs import Pair


class Layers(nn.Module):
    """Something of each shape; nothing is ever run."""

    def __init__(self, **weights: Tensor) -> None:
        super().__init__()
        self.num_features = 3
        for name, weight in weights.items():
            layer = nn.Module()
            layer.weight = nn.Parameter(weight.clone())
            setattr(self, name, layer)


def pair(first: Tensor, second: Tensor) -> Pair:
    both = (
        Network(Layers(norm=torch.ones(3), conv=w), {"": 2}, name="net") for w in (first, second)
    )
    return Pair(*both, inputs=1)


def measured(first: Tensor, second: Tensor, **settings: Any) -> Measured:
    return Angles(**settings)(pair(first, second))  # type: ignore[arg-type]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(8, 5, 3, 3), (12, 3), (30, 2, 3, 3), (7, 7)])
def test_cosines_are_scipys(shape):
    first, second = drawn(*shape), drawn(*shape, seed=1)
    found = measured(first, second, layer="conv", bands=3)
    u, w = (
        scipy.linalg.svd(m.numpy().reshape(shape[0], -1), full_matrices=False)[0]
        for m in (first, second)
    )
    count = u.shape[1]
    expected = np.abs(np.sum(u * w, axis=0))
    assert found.curves["angle"].at == range(1, count + 1)
    assert found.curves["angle"].value == pytest.approx(expected.tolist(), abs=1e-10)
    parts = np.array_split(np.arange(count), 3)
    spans = [np.cos(scipy.linalg.subspace_angles(u[:, p], w[:, p])).mean() for p in parts]
    assert found.curves["subspace"].value == pytest.approx(spans, abs=1e-7)
    assert found.curves["subspace"].at == [p.mean() + 1 for p in parts]
    half = -(-count // 2)
    assert found.metrics == pytest.approx(
        {
            "angle": expected.mean(),
            "angle/larger-half": expected[:half].mean(),
            "angle/smaller-half": expected[count - half :].mean(),
            "subspace": np.mean(spans),
            "subspace/larger-half": np.mean(spans[:2]),
            "subspace/smaller-half": np.mean(spans[1:]),
            "angle/chance": found.metrics["angle/chance"],
        },
        abs=1e-7,
    )


def test_a_network_and_itself_have_cosines_of_one():
    weight = drawn(8, 5, 3, 3)
    found = measured(weight, weight)
    assert found.curves["angle"].value == pytest.approx([1] * 8)
    assert found.curves["subspace"].value == pytest.approx([1] * 8)


def test_vectors_of_nearly_equal_values_swap_and_their_span_stays():
    u = scipy.linalg.qr(drawn(6, 6).numpy())[0]
    v = scipy.linalg.qr(drawn(9, 9, seed=1).numpy())[0][:, :6]
    first = u * [9, 8, 5, 4.99, 2, 1] @ v.T
    second = u * [9, 8, 4.99, 5, 2, 1] @ v.T
    found = measured(torch.from_numpy(first), torch.from_numpy(second), bands=3)
    assert found.curves["angle"].value == pytest.approx([1, 1, 0, 0, 1, 1], abs=1e-9)
    assert found.curves["subspace"].value == pytest.approx([1, 1, 1])


def test_a_turn_of_known_angle():
    turn = torch.tensor([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    values = torch.diag(torch.tensor([2.0, 1.0], dtype=torch.float64))
    found = measured(values, turn @ values)
    assert found.curves["angle"].value == pytest.approx([np.cos(0.3)] * 2)


@pytest.mark.parametrize("width", [2, 16, 96])
def test_chance_is_the_mean_cosine_of_random_directions(width):
    weight = drawn(width, 3)
    first, second = drawn(40_000, width, seed=2), drawn(40_000, width, seed=3)
    cosines = torch.cosine_similarity(first, second).abs().mean()
    assert measured(weight, weight).metrics["angle/chance"] == pytest.approx(
        float(cosines), rel=0.02
    )


def test_vectors_beyond_the_rank_are_left_out():
    first, second = drawn(6, 3) @ drawn(3, 8, seed=1), drawn(6, 8, seed=2)
    assert len(measured(first, second).curves["angle"].value) == 3
    with pytest.raises(UserError, match="weights of the layer are zero"):
        measured(first, torch.zeros(6, 8))


def test_a_layer_without_a_matrix_or_of_another_shape_is_refused():
    with pytest.raises(UserError, match=r"norm has no weights that are a matrix(?s:.*)conv"):
        measured(drawn(6, 3), drawn(6, 3), layer="norm")
    with pytest.raises(UserError, match=r"net has no module 'cnv'(?s:.*)did you mean 'conv'"):
        measured(drawn(6, 3), drawn(6, 3), layer="cnv")
    with pytest.raises(UserError, match=r"\(6, 4\) in one network and \(6, 3\) in the other"):
        measured(drawn(6, 4), drawn(6, 3))
