"""One layer a resolution stage, by rule; in ResNets those of DELTA's released code."""

from __future__ import annotations

import pytest
import timm
import torch

from bench.errors import UserError
from bench.models.taps import find_taps


def taps(name: str) -> list[str]:
    return [p.name for p in find_taps(timm.create_model(name, num_classes=0), name)]


# Written from timm's module trees by hand; the first two lists are in DELTA's released code.
EXPECTED = {
    "resnet50": ["layer1.2.conv3", "layer2.3.conv3", "layer3.5.conv3", "layer4.2.conv3"],
    "resnet101": ["layer1.2.conv3", "layer2.3.conv3", "layer3.22.conv3", "layer4.2.conv3"],
    "resnet18": ["layer1.1.conv2", "layer2.1.conv2", "layer3.1.conv2", "layer4.1.conv2"],
    # One block a stage: the shortcut's convolution runs last but is not meant.
    "test_resnet": ["layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv3", "layer4.0.conv2"],
    "resnext50_32x4d": ["layer1.2.conv3", "layer2.3.conv3", "layer3.5.conv3", "layer4.2.conv3"],
    # Squeeze-and-excitation runs after conv3.
    "seresnet50": ["layer1.2.conv3", "layer2.3.conv3", "layer3.5.conv3", "layer4.2.conv3"],
    "mobilenetv2_035": [
        "blocks.1.1.conv_pwl", "blocks.2.2.conv_pwl", "blocks.4.2.conv_pwl", "blocks.6.0.conv_pwl",
    ],
    "efficientnet_b0": [
        "blocks.1.1.conv_pwl", "blocks.2.1.conv_pwl", "blocks.4.2.conv_pwl", "blocks.6.0.conv_pwl",
    ],
    "vgg16_bn": ["features.10", "features.20", "features.30", "features.40"],
    # Stages that join branches: the stage itself.
    "densenet121": [
        "features.denseblock1", "features.denseblock2", "features.denseblock3", "features.norm5",
    ],
    "inception_v3": ["Conv2d_4a_3x3.conv", "Mixed_5d", "Mixed_6e", "Mixed_7c"],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_the_layers_follow_the_rule(name):
    assert taps(name) == EXPECTED[name]


@pytest.mark.parametrize("name", ["test_vit", "mixer_s32_224"])
def test_a_backbone_without_feature_maps_is_an_error_that_names_it(name):
    with pytest.raises(UserError, match=f"{name}.*feature maps"):
        taps(name)


def test_a_module_without_stages_is_an_error():
    with pytest.raises(UserError, match="stages"):
        find_taps(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), "plain")


def test_only_outputs_that_are_changed_in_place_are_marked():
    plain = timm.create_model("vgg11", num_classes=0)
    normalised = timm.create_model("test_resnet", num_classes=0)
    assert all(p.overwritten for p in find_taps(plain, "vgg11"))
    assert not any(p.overwritten for p in find_taps(normalised, "test_resnet"))


def test_looking_changes_neither_state_nor_mode_and_works_in_inference_mode():
    backbone = timm.create_model("test_resnet", num_classes=0)
    backbone.layer2.eval()
    modes = [m.training for m in backbone.modules()]
    before = {n: t.clone() for n, t in backbone.state_dict().items()}
    with torch.inference_mode():
        find_taps(backbone, "test_resnet")
    assert [m.training for m in backbone.modules()] == modes
    assert all(torch.equal(t, before[n]) for n, t in backbone.state_dict().items())
    assert not any(m._forward_hooks for m in backbone.modules())
