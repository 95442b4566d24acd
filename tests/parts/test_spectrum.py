"""Singular values of features, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.kinds import Measured
from bench.parts.measurements.spectrum import Spectrum
from bench.parts.measurements.spectrum_ratio import SpectrumRatio
from tests.parts.pairs import Pair

NAMED = {"first": 1, "second-last": -2}


class Scaling(nn.Module):
    """Features that are the inputs, each column by a factor."""

    def __init__(self, scales: Tensor) -> None:
        super().__init__()
        self.num_features = len(scales)
        self.scales = nn.Parameter(scales)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.scales


class Given(Pair):
    """A measuring of one network, or of two."""

    def __init__(self, inputs: Tensor, *scales: Tensor) -> None:
        networks = [Network(Scaling(s), {"": 2}, name="net").eval() for s in scales]
        super().__init__(networks[0], networks[-1], inputs)
        self.networks = dict(zip(("network", "reference"), networks, strict=False))


def rows(count: int, width: int = 5) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0)) + 1


def spectrum(given: Given, **settings: Any) -> Measured:
    return Spectrum(**{"values": NAMED} | settings)(given)  # type: ignore[arg-type]


def batches_of(given: Given, size: int, count: int) -> list[np.ndarray]:
    drawn = given.batches("test", size, shuffle=given.stream("batches"), limit=size * count)
    return [inputs.double().numpy() for inputs, _ in drawn if len(inputs) == size]


@pytest.mark.parametrize("size", [3, 4, 8])
def test_values_are_numpys_means_over_batches(size):
    scales = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.1])
    given = Given(rows(30), scales)
    found = spectrum(given, batch_size=size, batches=3)
    values = np.array(
        [np.linalg.svd(b * scales.numpy(), compute_uv=False) for b in batches_of(given, size, 3)]
    )
    count = min(size, 5)
    assert values.shape == (3, count)
    assert found.curves["spectrum/all"].at == range(1, count + 1)
    half = slice(count // 2, None)
    for ending, of in (("", values), ("/relative", values / values[:, :1])):
        mean = of.mean(axis=0)
        assert found.curves[f"spectrum/all{ending}"].value == pytest.approx(mean.tolist(), rel=1e-5)
        line = found.curves[f"spectrum/smaller-half{ending}"]
        assert line.at == range(count // 2 + 1, count + 1)
        assert line.value == pytest.approx(mean[half].tolist(), rel=1e-5)
        assert found.metrics[f"spectrum/smaller-half{ending}"] == pytest.approx(
            mean[half].mean(), rel=1e-5
        )
        assert found.metrics[f"spectrum/first{ending}"] == pytest.approx(mean[0], rel=1e-5)
        assert found.metrics[f"spectrum/second-last{ending}"] == pytest.approx(mean[-2], rel=1e-5)
    np.testing.assert_allclose(found.arrays["singular-values"].numpy(), values, rtol=1e-5)


def test_only_whole_batches_count_and_one_of_all_rows_where_there_are_fewer():
    one = torch.ones(5)
    assert spectrum(Given(rows(11), one), batch_size=4).arrays["singular-values"].shape == (2, 4)
    few = spectrum(Given(rows(3), one), batch_size=4).arrays["singular-values"]
    np.testing.assert_allclose(
        few.numpy()[0], np.linalg.svd(rows(3).double(), compute_uv=False), rtol=1e-5
    )


def test_features_are_not_centred():
    found = spectrum(
        Given(torch.full((4, 5), 2.0), torch.ones(5)), values={"first": 1}, batch_size=4
    )
    assert found.metrics["spectrum/first"] == pytest.approx(2 * np.sqrt(20))


@pytest.mark.parametrize("number", [0, 5, -5])
def test_a_value_that_there_is_not_is_an_error(number):
    with pytest.raises(
        UserError, match=rf"values.far: there is no singular value {number}: batches have 4"
    ):
        spectrum(Given(rows(8), torch.ones(5)), values={"far": number}, batch_size=4)


@pytest.mark.parametrize(
    ("scale", "problem"), [(0.0, "all features of network are zero"), (np.nan, "not finite")]
)
def test_features_of_zeros_or_of_no_numbers_are_refused(scale, problem):
    with pytest.raises(UserError, match=problem):
        spectrum(Given(rows(8), torch.full((5,), scale)), batch_size=4)


# -- of one network over those of another --------------------------------------------------------


def ratio(given: Given, **settings: Any) -> Measured:
    return SpectrumRatio(**{"values": NAMED, "batch_size": 4} | settings)(given)  # type: ignore[arg-type]


def test_a_network_at_half_the_size_has_ratios_of_a_half_and_relative_ones_of_one():
    found = ratio(Given(rows(20), torch.full((5,), 0.5), torch.ones(5)))
    assert found.curves["ratio/all"].value == pytest.approx([0.5] * 4)
    assert found.curves["ratio/all/relative"].value == pytest.approx([1] * 4)
    assert found.metrics == pytest.approx(
        {
            "ratio/smaller-half": 0.5,
            "ratio/smaller-half/relative": 1,
            "ratio/suppressed": 1,
            "ratio/first": 0.5,
            "ratio/first/relative": 1,
            "ratio/second-last": 0.5,
            "ratio/second-last/relative": 1,
        }
    )


def test_ratios_are_those_of_the_means_on_the_same_batches():
    scales = torch.tensor([1.0, 1.0, 1.0, 0.2, 0.2]), torch.ones(5)
    given = Given(rows(30), *scales)
    found = ratio(given, batches=4)
    ours, theirs = (
        np.array([np.linalg.svd(b * s.numpy(), compute_uv=False) for b in batches_of(given, 4, 4)])
        for s in scales
    )
    for ending, (one, other) in {
        "": (ours, theirs),
        "/relative": (ours / ours[:, :1], theirs / theirs[:, :1]),
    }.items():
        expected = one.mean(axis=0) / other.mean(axis=0)
        assert found.curves[f"ratio/all{ending}"].value == pytest.approx(
            expected.tolist(), rel=1e-5
        )
        halves = one[:, 2:].mean() / other[:, 2:].mean()
        assert found.metrics[f"ratio/smaller-half{ending}"] == pytest.approx(halves, rel=1e-5)
    below = np.mean(ours.mean(axis=0) < theirs.mean(axis=0))
    assert found.metrics["ratio/suppressed"] == pytest.approx(below)


def test_values_that_are_zero_have_no_ratio():
    flat = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    for scales, role in (((flat, torch.ones(5)), "network"), ((torch.ones(5), flat), "reference")):
        with pytest.raises(UserError, match=f"smallest singular value of {role} is zero, within"):
            ratio(Given(rows(20), *scales))
