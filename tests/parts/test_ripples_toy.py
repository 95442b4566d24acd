"""The toy of PROFIT's Table 1: its network, its errors, its surfaces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm, mse_loss, smooth_l1_loss

from bench.errors import DataError, UserError
from bench.models.network import Network
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import NETWORKS, Facts
from bench.parts.checks.trial import Trial
from bench.parts.measurements.surface import Surface
from bench.parts.networks.mlp import MultilayerPerceptron
from bench.parts.objectives.noisy_regression import NoisyRegression

SCALED, MLP = NETWORKS[-2:]


# -- network -------------------------------------------------------------------------------------


def test_hidden_layers_are_normalised_before_their_activation():
    module = MultilayerPerceptron(widths=(5, 4), layer_norm=True).build((2,)).double()
    x = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = (layer for layer in module if isinstance(layer, nn.Linear))
    hidden = layer_norm(x @ first.weight.T + first.bias, (5,)).relu()
    expected = layer_norm(hidden @ second.weight.T + second.bias, (4,)).relu()
    torch.testing.assert_close(module(x), expected)


def test_without_a_normalisation_it_is_the_network_that_it_was():
    torch.manual_seed(0)
    module = MultilayerPerceptron(widths=(5, 4)).build((2,))
    assert [type(layer).__name__ for layer in module] == [
        "Flatten", "Linear", "ReLU", "Linear", "ReLU",
    ]  # fmt: skip


# -- errors --------------------------------------------------------------------------------------


def test_errors_are_torchs_of_the_number_without_noise_and_of_the_one_observed():
    generator = torch.Generator().manual_seed(1)
    outputs = 3 * torch.randn(40, 1, generator=generator, dtype=torch.float64)
    targets = torch.randn(40, 2, generator=generator, dtype=torch.float64)
    exact, noisy = targets[:, :1], targets[:, 1:]
    found = NoisyRegression().scores(outputs.numpy(), targets.numpy())
    assert found == pytest.approx(
        {
            "mse": mse_loss(outputs, exact).item(),
            "half_mse": mse_loss(outputs, exact).item() / 2,
            "smooth_l1": smooth_l1_loss(outputs, exact).item(),
            "noisy_half_mse": mse_loss(outputs, noisy).item() / 2,
            "loss": mse_loss(outputs, noisy).item(),
        },
        rel=1e-12,
    )
    loss = NoisyRegression().loss(outputs, targets)
    assert loss.item() == pytest.approx(found["loss"], rel=1e-12)


@pytest.mark.parametrize("facts", [Facts(7, ()), Facts(None, (3,)), Facts(None, ())])
def test_targets_that_are_no_pairs_are_refused(facts):
    with pytest.raises(DataError, match="two numbers a row"):
        NoisyRegression().width(facts)


# -- surfaces ------------------------------------------------------------------------------------


class Plane(RandomMeasuring):
    """Four points of the plane with pairs as targets."""

    def batches(self, split, batch_size, **_):
        points = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        targets = torch.tensor([[0.0, 9.0], [1.0, 9.0], [2.0, 9.0], [3.0, 9.0]])
        yield points[:3], targets[:3]
        yield points[3:], targets[3:]


def slope() -> Network:
    """A network whose output is the first coordinate and ten times the second."""
    backbone = nn.Flatten()
    backbone.num_features = 2
    network = Network(backbone, {"": 1}, name="plain")
    network.load_heads({"": {"weight": torch.tensor([[1.0, 10.0]]), "bias": torch.zeros(1)}})
    return network.eval()


def test_a_surface_is_seen_as_a_picture_is():
    found = Surface(side=2, lowest=-2.0, highest=2.0)(
        Plane({"trained": slope()}, SCALED, data=True)
    )
    # First row: second coordinate 1; columns: first coordinates -1 and 1.
    assert found.arrays["output"].tolist() == [[9.0, 11.0], [-11.0, -9.0]]
    assert found.arrays["target"].tolist() == [[1.0, 3.0], [0.0, 2.0]]
    errors = np.array([-11.0, 9.0, -9.0, 11.0]) - [0.0, 1.0, 2.0, 3.0]
    assert math.isclose(found.metrics["mse"], np.square(errors).mean())


def test_what_has_no_surface_is_an_error():
    with pytest.raises(
        DataError, match=r"over the plane, and a row of random has the shape \(8,\)"
    ):
        Surface()(RandomMeasuring({"trained": Trial(MLP).build()}, MLP, data=True))
    with pytest.raises(UserError, match=r"from 1\.0 to 1\.0"):
        Surface(lowest=1.0)(RandomMeasuring({"trained": slope()}, SCALED, data=True))
