"""Trainable sets train what they name, and nothing else moves but what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.checks.random_data import NETWORKS, RESNET
from bench.parts.checks.trial import Trial
from bench.parts.kinds import Trainable
from bench.parts.patches.private_normalisation import PrivateNormalisation
from bench.parts.trainables.all import All
from bench.parts.trainables.depthwise import Depthwise
from bench.parts.trainables.head import Head
from bench.parts.trainables.scale_and_bias import ScaleAndBias
from bench.parts.trainables.scale_and_bias_and_depthwise import ScaleAndBiasAndDepthwise

VIT, EFFICIENTNET, SCALED, MLP = NETWORKS[1:]
SETS = (Head, ScaleAndBias, Depthwise, ScaleAndBiasAndDepthwise)


def moved(trial: Trial) -> set[str]:
    """Return the names of all parameters and buffers that two steps change."""
    trained = trial.run()
    after = trained.network.state_dict()
    return {name for name, value in trained.before.items() if not value.equal(after[name])}


def normalisation_names(network: Network) -> set[str]:
    """Every affine normalisation's own parameters; timm's blocks call them bn or norm."""
    kinds = ("BatchNorm", "GroupNorm", "LayerNorm")
    return {
        f"{name}.{own}"
        for name, module in network.named_modules()
        if any(kind in type(module).__name__ for kind in kinds)
        for own, _ in module.named_parameters(recurse=False)
    }


def depthwise_names(network: Network) -> set[str]:
    """Filters that see one channel each, of layers of several."""
    return {
        name
        for name, p in network.named_parameters()
        if p.ndim == 4 and p.shape[1] == 1 and p.shape[0] > 1 and name.startswith("backbone.")
    }


def statistics_names(network: Network) -> set[str]:
    ends = ("running_mean", "running_var", "num_batches_tracked")
    return {name for name, _ in network.named_buffers() if name.endswith(ends)}


HEAD = {"head.weight", "head.bias"}
NAMED = {
    Head: lambda network: set(),
    ScaleAndBias: normalisation_names,
    Depthwise: depthwise_names,
    ScaleAndBiasAndDepthwise: lambda n: normalisation_names(n) | depthwise_names(n),
}


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("statistics", ["frozen", "moving"])
def test_exactly_what_a_set_names_moves_on_a_network_with_all_of_it(kind, statistics):
    trial = Trial(EFFICIENTNET, trainable=kind(statistics=statistics), lr=0.1)
    network = trial.build()
    expected = NAMED[kind](network) | HEAD
    assert depthwise_names(network)
    assert normalisation_names(network)
    expected |= statistics_names(network) if statistics == "moving" else set()
    assert moved(trial) == expected


@pytest.mark.parametrize("statistics", ["frozen", "moving"])
def test_everything_trains_and_statistics_move_where_they_are_to(statistics):
    trial = Trial(EFFICIENTNET, trainable=All(statistics=statistics), lr=0.1)
    network = trial.build()
    expected = {name for name, _ in network.named_parameters()}
    expected |= statistics_names(network) if statistics == "moving" else set()
    assert moved(trial) == expected


def test_what_drops_out_does_so_with_frozen_statistics_too():
    network = with_dropouts(Trial(EFFICIENTNET).build()).train()
    All(statistics="frozen")(network)
    modes = {(isinstance(m, _BatchNorm), m.training) for m in network.backbone.modules()}
    assert modes == {(True, False), (False, True)}


@pytest.mark.parametrize("kind", SETS[1:])
def test_without_the_last_layer_the_head_stays_at_its_random_initial_value(kind):
    trial = Trial(EFFICIENTNET, trainable=kind(last_layer=False), lr=0.1)
    network = trial.build()
    assert moved(trial) == NAMED[kind](network)
    assert network.heads[""].weight.abs().min() > 0


def test_layer_normalisations_count():
    trial = Trial(VIT, trainable=ScaleAndBias(last_layer=False))
    names = normalisation_names(trial.build())
    assert names
    assert moved(trial) == names


def test_each_tasks_own_normalisations_train():
    trial = Trial(RESNET, tasks=("one", "two"), patches=(PrivateNormalisation(),))
    network = replace(trial, trainable=ScaleAndBias(last_layer=False)).run().network
    trains = {name for name, p in network.named_parameters() if p.requires_grad}
    shared = normalisation_names(Trial(RESNET).build())
    assert {name.split(".")[1] for name in trains} == {"one", "two"}
    assert len(trains) == 2 * len(shared) > 0


def with_dropouts(network: Network) -> Network:
    """A dropout beside the batch normalisations, and one within one, as timm's may have."""
    network.backbone.extra = nn.Dropout(0.5)
    first = next(m for m in network.backbone.modules() if isinstance(m, _BatchNorm))
    first.extra = nn.Dropout(0.5)
    return network


@pytest.mark.parametrize("kind", SETS)
def test_nothing_is_dropped_out_in_a_body_whose_statistics_move(kind):
    network = with_dropouts(Trial(EFFICIENTNET).build()).train()
    part: Trainable = kind(statistics="moving")
    part(network)
    modes = {isinstance(m, _BatchNorm): m.training for m in network.backbone.modules()}
    assert modes == {True: True, False: False}
    part = kind(statistics="frozen")
    part(network.train())
    assert not any(m.training for m in network.backbone.modules())


@pytest.mark.parametrize(
    ("kind", "inputs", "lack"),
    [
        (ScaleAndBias, MLP, "no batch, group or layer normalisation"),
        (Depthwise, RESNET, "no depthwise convolution"),
        (ScaleAndBiasAndDepthwise, RESNET, "no depthwise convolution"),
        (ScaleAndBiasAndDepthwise, MLP, "no batch, group or layer normalisation"),
    ],
)
def test_a_network_without_such_parameters_is_an_error(kind, inputs, lack):
    with pytest.raises(UserError, match=f"{inputs.name} has {lack}(?s:.*)use another backbone"):
        kind()(Trial(inputs).build())


def test_normalisations_without_scales_are_none():
    backbone = nn.Sequential(nn.LayerNorm(3, elementwise_affine=False))
    backbone.num_features = 3
    network = Network(backbone, {"": 2}, name="plain")
    with pytest.raises(UserError, match="plain has no batch"):
        ScaleAndBias()(network)


def test_a_convolution_of_one_channel_is_not_depthwise():
    backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())
    backbone.num_features = 4
    with pytest.raises(UserError, match="no depthwise"):
        Depthwise()(Network(backbone, {"": 2}, name="plain"))
    wide = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten())
    wide.num_features = 4
    network = Network(wide, {"": 2}, name="wide")
    Depthwise()(network)
    trains = {name for name, p in network.named_parameters() if p.requires_grad}
    # A multiplier of channels is depthwise too; its bias is no filter.
    assert trains == {"backbone.0.weight"} | HEAD


def test_moving_statistics_normalise_by_the_batch():
    network = Trial(RESNET).build()
    inputs = RESNET.draw(0)
    Head(statistics="moving")(network.train())
    with torch.no_grad():
        features = network(inputs).features
        shifted = network(inputs * 3).features
    # What the stem scales, its normalisation takes back.
    torch.testing.assert_close(features, shifted, rtol=1e-2, atol=1e-3)
