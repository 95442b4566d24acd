"""Stochastic normalisation against its equation, and what it leaves as it was."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts.patches.stochastic_normalisation import StochasticNormalisation

CHANNELS = 6
KEY = 3


class Layer(nn.Module):
    """One normalisation, its channels as features."""

    num_features = CHANNELS

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, inputs: Tensor) -> Tensor:
        return self.norm(inputs).flatten(2).sum(dim=2)


def network(norm: nn.Module | None = None, share: float = 0.5) -> Network:
    """A layer in float64 whose statistics, scale and bias are not those that it begins with."""
    norm = norm or nn.BatchNorm2d(CHANNELS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in (norm.running_mean, norm.weight, norm.bias):
            value.copy_(torch.randn(CHANNELS, generator=generator))
        norm.running_var.copy_(torch.rand(CHANNELS, generator=generator) + 0.5)
    found = Network(Layer(norm), {"": 2}, name="layer").double().train()
    if share >= 0:
        part = StochasticNormalisation(batch=share)
        part(found)
        part.draw(found, Stream(KEY))
    return found


def images(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(4, CHANNELS, 3, 2, generator=generator, dtype=torch.float64) + 1


def chosen(batch: int, share: float = 0.5) -> Tensor:
    """Which channels of the one layer are normalised by the batch, of so many a batch."""
    key = int(Stream(KEY).raw(1)[0])
    return torch.from_numpy(Stream(key, jump=batch).uniform(CHANNELS) < share)


def by_equation(inputs: Tensor, norm: nn.Module, moving: tuple[Tensor, Tensor], s: Tensor):
    """y = γ (s x̂₁ + (1 − s) x̂₀) + β, of the moving averages before the batch."""
    places = (0, 2, 3)
    mean, variance = inputs.mean(places), inputs.var(places, correction=0)
    shape = (1, -1, 1, 1)
    by_batch = (inputs - mean.reshape(shape)) / (variance.reshape(shape) + norm.eps).sqrt()
    before = (inputs - moving[0].reshape(shape)) / (moving[1].reshape(shape) + norm.eps).sqrt()
    s = s.double().reshape(shape)
    mixed = s * by_batch + (1 - s) * before
    return norm.weight.reshape(shape) * mixed + norm.bias.reshape(shape)


def test_two_batches_are_the_equation_value_and_gradient():
    found = network()
    norm = found.backbone.norm
    moving = norm.running_mean.clone(), norm.running_var.clone()
    for batch in range(2):
        inputs = images(batch).requires_grad_()
        expected = by_equation(inputs, norm, moving, chosen(batch))
        output = norm(inputs)
        torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
        pull = images(7)
        slopes = [
            torch.autograd.grad((pull * value).sum(), [inputs, norm.weight, norm.bias])
            for value in (output, expected)
        ]
        for ours, true in zip(*slopes, strict=True):
            torch.testing.assert_close(ours, true, rtol=1e-10, atol=1e-12)
        # The averages move as batch normalisation's do, whatever was drawn.
        rows = inputs.detach()
        count = rows.numel() // CHANNELS
        moving = (
            0.9 * moving[0] + 0.1 * rows.mean((0, 2, 3)),
            0.9 * moving[1] + 0.1 * rows.var((0, 2, 3), correction=0) * count / (count - 1),
        )
        torch.testing.assert_close(norm.running_mean, moving[0])
        torch.testing.assert_close(norm.running_var, moving[1])
    assert norm.num_batches_tracked == 2


def test_at_the_ends_it_is_batch_normalisation_or_a_fixed_map():
    inputs = images()
    plain = network(share=-1).backbone.norm
    assert network(share=1.0).backbone.norm(inputs).equal(plain(inputs))
    still = network(share=-1).eval().backbone.norm
    assert network(share=0.0).backbone.norm(inputs).equal(still(inputs))


def test_evaluation_and_names_are_those_of_the_layer_without_it():
    patched, plain = network(), network(share=-1)
    assert patched.eval()(images()).features.equal(plain.eval()(images()).features)
    assert {n: v.shape for n, v in patched.state_dict().items()} == {
        n: v.shape for n, v in plain.state_dict().items()
    }
    plain.load_state_dict(patched.state_dict())


def test_an_activation_within_the_layer_stays():
    found = network(BatchNormAct2d(CHANNELS, act_layer=nn.ReLU)).backbone.norm
    moving = found.running_mean.clone(), found.running_var.clone()
    inputs = images()
    expected = torch.relu(by_equation(inputs, found, moving, chosen(0)))
    torch.testing.assert_close(found(inputs), expected, rtol=1e-12, atol=1e-12)


def test_layers_batches_and_seeds_draw_their_own_and_no_global_number():
    def masks(seed: int) -> np.ndarray:
        layers = nn.Sequential(*(nn.BatchNorm2d(40) for _ in range(2)), nn.Flatten())
        layers.num_features = 40
        found = Network(layers, {"": 2}, name="layers").train()
        part = StochasticNormalisation()
        part(found)
        part.draw(found, Stream(seed))
        norms = [layers[0], layers[1]]
        return np.array([[norm._draw(40) for _ in range(200)] for norm in norms])

    state = torch.random.get_rng_state()
    one, again, other = masks(0), masks(0), masks(1)
    assert np.array_equal(one, again)
    assert torch.random.get_rng_state().equal(state)
    assert one.mean() == pytest.approx(0.5, abs=0.02)
    for first, second in ((one[0], one[1]), (one[0, 0], one[0, 1]), (one, other)):
        assert 0.3 < (first != second).mean() < 0.7


def test_a_copy_goes_on_by_itself():
    found = network()
    copied = copy.deepcopy(found)
    assert copied.backbone.norm(images()).equal(found.backbone.norm(images()))
    copied.backbone.norm(images())
    assert found.backbone.norm.drawn == 1
    assert not copied.backbone.norm.running_mean.equal(found.backbone.norm.running_mean)


def test_what_has_nothing_to_change_is_an_error():
    plain = Network(Layer(nn.GroupNorm(2, CHANNELS)), {"": 2}, name="grouped")
    with pytest.raises(UserError, match="grouped has no batch normalisation with moving averages"):
        StochasticNormalisation()(plain)
    with pytest.raises(UserError, match=r"a probability is at most one, and batch is 1\.5"):
        StochasticNormalisation(batch=1.5)(network(share=-1))
