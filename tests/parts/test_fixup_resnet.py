"""Fixup's rules (Zhang et al. 2019, section 3) and the authors' blocks, restated by themselves."""

from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import Tensor
from torch.nn.functional import conv2d, relu

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.networks.fixup_resnet import FixupResNet

SMALL = FixupResNet(blocks=(2, 2, 1), width=8, bottleneck=False, stem="small")
BOTTLENECKS = FixupResNet(blocks=(2, 1), width=8, bottleneck=True, stem="imagenet")
SHAPE = (3, 32, 32)


def built(part: FixupResNet, shape=SHAPE) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return part.build(shape)


def blocks(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    return {name: each for name, each in module.named_modules() if hasattr(each, "scale")}


@pytest.mark.parametrize(("part", "identities"), [(SMALL, 3), (BOTTLENECKS, 1)])
def test_blocks_begin_as_their_shortcuts(part, identities):
    found = 0
    for block in blocks(built(part)).values():
        # What comes out of a block is not negative.
        maps = torch.rand(2, block.conv1.in_channels, 8, 8)
        down = block.downsample
        found += down is None
        same = maps if down is None else relu(conv2d(maps, down.weight, stride=down.stride))
        assert torch.equal(block(maps), same)
    assert found == identities


def deviation(weight: Tensor) -> float:
    """Return what He et al. 2015 draw by, from the outputs' side."""
    return math.sqrt(2 / (weight.shape[0] * weight[0, 0].numel()))


def test_inner_layers_are_scaled_by_the_number_of_branches():
    # Wide enough that deviations are known to two in a hundred.
    for bottleneck, power in ((False, -1 / 2), (True, -1 / 4)):
        part = FixupResNet(blocks=(3, 2), width=48, bottleneck=bottleneck, stem="small")
        module = built(part)
        inner = ("conv1", "conv2") if bottleneck else ("conv1",)
        for block in blocks(module).values():
            for name in inner:
                weight = getattr(block, name).weight
                assert weight.std().item() == pytest.approx(5**power * deviation(weight), rel=0.05)
                assert abs(weight.mean().item()) < 0.1 * deviation(weight)
            last = block.conv3 if bottleneck else block.conv2
            assert not last.weight.any()
            if block.downsample is not None:
                weight = block.downsample.weight
                assert weight.std().item() == pytest.approx(deviation(weight), rel=0.05)
        stem = module.conv1.weight
        assert stem.std().item() == pytest.approx(deviation(stem), rel=0.05)


def test_scalars_are_one_multiplier_and_a_bias_before_every_layer():
    for part, biases in ((SMALL, 4), (BOTTLENECKS, 6)):
        module = built(part)
        scalars = {n: p.item() for n, p in module.named_parameters() if p.shape == (1,)}
        assert {n for n, value in scalars.items() if value == 1} == {
            f"{name}.scale" for name in blocks(module)
        }
        # And one behind the stem, one before the head.
        assert len(scalars) == (biases + 1) * len(blocks(module)) + 2
        assert {"bias1", "bias2"} < set(scalars)
        assert {value for n, value in scalars.items() if "bias" in n} == {0.0}


def by_hand(module: torch.nn.Module, images: Tensor, bottleneck: bool) -> Tensor:
    """The authors' forward pass, from the state by its names alone."""
    state = dict(module.named_parameters())
    small = state["conv1.weight"].shape[-1] == 3
    stride, padding = (1, 1) if small else (2, 3)
    maps = conv2d(images, state["conv1.weight"], stride=stride, padding=padding)
    maps = relu(maps + state["bias1"])
    if not small:
        maps = torch.nn.functional.max_pool2d(maps, 3, 2, 1)
    for name in blocks(module):
        w = {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        stage, number = name.removeprefix("layer").split(".")
        stride = 2 if stage != "1" and number == "0" else 1
        x = maps + w["bias1a"]
        if bottleneck:
            out = relu(conv2d(x, w["conv1.weight"]) + w["bias1b"]) + w["bias2a"]
            out = relu(conv2d(out, w["conv2.weight"], stride=stride, padding=1) + w["bias2b"])
            out = conv2d(out + w["bias3a"], w["conv3.weight"]) * w["scale"] + w["bias3b"]
        else:
            out = relu(conv2d(x, w["conv1.weight"], stride=stride, padding=1) + w["bias1b"])
            out = conv2d(out + w["bias2a"], w["conv2.weight"], padding=1) * w["scale"] + w["bias2b"]
        down = w.get("downsample.weight")
        maps = relu(out + (maps if down is None else conv2d(x, down, stride=stride)))
    return maps.mean((2, 3)) + state["bias2"]


@pytest.mark.parametrize("part", [SMALL, BOTTLENECKS])
def test_a_pass_is_the_authors(part):
    module = built(part).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator).double()
        images = torch.randn(2, *SHAPE, generator=generator).double()
        found = module(images)
        expected = by_hand(module, images, part.bottleneck)
    assert found.shape == (2, module.num_features)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert found.std() > 0.1


def test_with_the_papers_settings_it_is_resnet_50_without_its_normalisations():
    part = FixupResNet(blocks=(3, 4, 6, 3), width=64, bottleneck=True, stem="imagenet")
    with torch.device("meta"):
        ours = part.build((3, 224, 224))
        theirs = timm.create_model("resnet50", num_classes=0)
    convolutions = {
        name.replace(".downsample.0.", ".downsample."): parameter.shape
        for name, parameter in theirs.named_parameters()
        if parameter.ndim == 4
    }
    mine = {n: p.shape for n, p in ours.named_parameters() if p.ndim == 4}
    assert mine == convolutions
    assert ours.num_features == theirs.num_features == 2048
    strides = [(n, m.stride) for n, m in ours.named_modules() if getattr(m, "stride", 1) == (2, 2)]
    assert [n for n, _ in strides] == ["conv1"] + [
        f"layer{stage}.0.{conv}" for stage in (2, 3, 4) for conv in ("conv2", "downsample")
    ]
    assert len(list(ours.parameters())) - len(mine) == 16 * 7 + 2


def test_its_stages_are_tapped_like_a_resnets():
    network = Network(built(BOTTLENECKS), {"": 5}, name="fixup-resnet")
    assert network.tap_names == ("layer1.1.conv3", "layer2.0.conv3")
    output = network(torch.zeros(2, *SHAPE), taps=network.tap_names)
    assert [maps.shape for maps in output.maps.values()] == [(2, 32, 8, 8), (2, 64, 4, 4)]
    assert output.features.shape == (2, 64)
    assert Network(built(SMALL), {"": 5}, name="x").tap_names == (
        "layer1.1.conv2", "layer2.1.conv2", "layer3.0.conv2"
    )  # fmt: skip


@pytest.mark.parametrize(("part", "shape"), [(SMALL, (8,)), (FixupResNet(blocks=()), SHAPE)])
def test_what_is_no_image_or_has_no_blocks_is_refused(part, shape):
    with pytest.raises(UserError, match="fixup-resnet needs"):
        part.build(shape)
