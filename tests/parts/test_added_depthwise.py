"""Added depthwise filters are the identity before the first step, and train on their own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.checks.random_data import NETWORKS, RESNET
from bench.parts.checks.trial import Trial
from bench.parts.patches.added_depthwise import AddedDepthwise
from bench.parts.trainables.depthwise import Depthwise
from bench.training.norms import counts

VIT, EFFICIENTNET, _, MLP = NETWORKS[1:]


def outputs(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(inputs).logits


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("training", [True, False])
def test_the_function_is_the_same_to_the_bit_before_the_first_step(dtype, training):
    network = Trial(RESNET).build().to(dtype).train(training)
    inputs = RESNET.draw(0).to(dtype)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    before = outputs(network, inputs)
    network.load_state_dict(state)
    AddedDepthwise()(network)
    assert torch.equal(outputs(network.train(training), inputs), before)


def test_the_filters_stand_before_every_convolution_but_the_first():
    plain, network = Trial(RESNET).build(), Trial(RESNET, patches=(AddedDepthwise(),)).build()
    convs = {n: m for n, m in plain.backbone.named_modules() if isinstance(m, nn.Conv2d)}
    first, *others = convs
    added = {n: p for n, p in network.backbone.named_parameters() if ".depthwise." in n}
    assert set(added) == {f"{name}.depthwise.weight" for name in others}
    assert f"{first}.weight" in dict(network.backbone.named_parameters())
    extra = sum(9 * convs[name].in_channels for name in others)
    assert counts(network)["parameters/total"] == counts(plain)["parameters/total"] + extra
    Depthwise(last_layer=False)(network)
    assert counts(network)["parameters/trained"] == extra


def test_a_trained_filter_acts_on_each_channel_alone():
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 2, 1, stride=2, bias=False), nn.Flatten()
    )
    backbone.num_features = 2
    network = Network(backbone.double(), {"": 2}, name="plain")
    first, second = backbone[0].weight.detach(), backbone[1].weight.detach()
    AddedDepthwise()(network)
    filters = torch.arange(36.0, dtype=torch.float64).reshape(4, 1, 3, 3)
    network.load_state_dict({"backbone.1.depthwise.weight": filters}, strict=False)
    inputs = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    # The only position of the maps is its own neighbourhood's middle: 4, 13, 22 and 31.
    middle = torch.tensor([4.0, 13.0, 22.0, 31.0], dtype=torch.float64)
    expected = (conv2d(inputs, first)[:, :, 0, 0] * middle) @ second[:, :, 0, 0].T
    torch.testing.assert_close(backbone(inputs), expected)


def test_only_the_added_filters_train():
    trial = Trial(
        RESNET, patches=(AddedDepthwise(),), trainable=Depthwise(last_layer=False), lr=0.1
    )
    trained = trial.run()
    after = trained.network.state_dict()
    moved = {name for name, value in trained.before.items() if not value.equal(after[name])}
    assert all(name.endswith(".depthwise.weight") for name in moved)
    # Not all do in two steps: residual branches begin with a scale of zero.
    assert "backbone.layer2.0.downsample.1.depthwise.weight" in moved


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        (EFFICIENTNET, "test_efficientnet has depthwise filters of its own"),
        (MLP, "mlp has no two convolutions"),
        (VIT, "test_vit has no two convolutions"),
    ],
)
def test_where_nothing_can_be_added_is_an_error(inputs, problem):
    with pytest.raises(UserError, match=problem):
        AddedDepthwise()(Trial(inputs).build())
