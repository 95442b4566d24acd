"""A network is a timm backbone with pooled features, a linear head, and taps."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch.nn.functional import linear

from bench.models.network import Network, state_on_cpu

TAPS = ("layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv3", "layer4.0.conv2")


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    network = Network(timm.create_model("test_resnet", num_classes=0), 5, name="test_resnet")
    torch.nn.init.normal_(network.head.weight)
    return network.eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_features_are_timms_and_logits_are_linear_in_them(network, images):
    output = network(images)
    pooled = network.backbone.global_pool(network.backbone.forward_features(images))
    torch.testing.assert_close(output.features, pooled)
    expected = linear(pooled, network.head.weight, network.head.bias)
    torch.testing.assert_close(output.logits, expected)
    assert output.features.shape == (2, 96)
    assert output.maps == {}


def test_a_new_head_is_zero_and_draws_nothing():
    backbone = timm.create_model("test_resnet", num_classes=0)
    state = torch.get_rng_state()
    network = Network(backbone, 5, name="test_resnet")
    assert torch.equal(state, torch.get_rng_state())
    assert not network.head.weight.any()
    assert not network.head.bias.any()


@pytest.mark.parametrize("name", ["vgg11", "mobilenetv3_small_050", "densenet121"])
def test_the_head_fits_backbones_whose_pooled_features_are_not_the_last_maps(name):
    network = Network(timm.create_model(name, num_classes=0), 4, name=name).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 224, 224)).logits.shape == (1, 4)


def test_maps_are_what_the_named_modules_return(network, images):
    seen = {}
    for name in TAPS:
        module = network.backbone.get_submodule(name)
        module.register_forward_hook(lambda _m, _a, out, name=name: seen.update({name: out}))
    maps = network(images, taps=TAPS).maps
    assert list(maps) == list(TAPS)
    assert [m.shape[1] for m in maps.values()] == [32, 48, 192, 96]
    for name in TAPS:
        torch.testing.assert_close(maps[name], seen[name], rtol=0, atol=0)


def test_tapping_changes_no_output_and_leaves_nothing_behind(network, images):
    plain = network(images)
    tapped = network(images, taps=TAPS)
    assert torch.equal(plain.logits, tapped.logits)
    assert network(images).maps == {}
    assert all(tap.value is None for tap in network._taps.values())


def test_gradients_flow_through_maps(network, images):
    network(images, taps=TAPS).maps["layer1.0.conv2"].sum().backward()
    assert network.backbone.layer1[0].conv2.weight.grad is not None
    assert network.backbone.layer2[0].conv1.weight.grad is None


def test_a_copy_has_taps_of_its_own(network, images):
    before = network(images, taps=TAPS).maps
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.backbone.layer1[0].conv2.weight.zero_()
    assert not other(images, taps=TAPS).maps["layer1.0.conv2"].any()
    again = network(images, taps=TAPS).maps
    torch.testing.assert_close(again["layer1.0.conv2"], before["layer1.0.conv2"], rtol=0, atol=0)


def test_a_tap_that_the_rule_does_not_give_is_an_error(network, images):
    with pytest.raises(KeyError, match="layer9"):
        network(images, taps=["layer9"])


def test_a_map_is_kept_as_the_convolution_gave_it_where_the_activation_works_in_place(images):
    torch.manual_seed(0)
    network = Network(timm.create_model("vgg11", num_classes=0), 2, name="vgg11").eval()
    with torch.no_grad():
        plain = network.backbone.forward_features(images)
        maps = network(images, taps=network.tap_names).maps
        assert torch.equal(network.backbone.forward_features(images), plain)
    # After the in-place ReLU none would be negative.
    assert all((m < 0).any() for m in maps.values())


def test_state_on_cpu_is_a_contiguous_copy(network):
    network.to(memory_format=torch.channels_last)
    state = state_on_cpu(network)
    assert all(t.is_contiguous() for t in state.values())
    before = state["head.bias"].clone()
    with torch.no_grad():
        network.head.bias.add_(1)
    assert torch.equal(state["head.bias"], before)
    assert set(state) == set(network.state_dict())
