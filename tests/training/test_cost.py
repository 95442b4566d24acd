"""Multiply-adds, against counts by hand."""

from __future__ import annotations

import torch
from torch import nn

from bench.models.network import Network
from bench.training.cost import multiply_adds


def net(*layers: nn.Module, features: int, width: int = 3) -> Network:
    module = nn.Sequential(*layers)
    module.num_features = features  # type: ignore[assignment]
    return Network(module, {"": width}, name="toy")


def test_a_linear_layer_has_one_for_each_weight() -> None:
    # 7 × 5 in the backbone, 5 × 3 in the head; biases are additions alone.
    assert multiply_adds(net(nn.Linear(7, 5), features=5), torch.zeros(1, 7)) == 35 + 15


def test_convolutions_have_one_for_each_weight_and_output_pixel() -> None:
    layers = [
        nn.Conv2d(3, 8, 3, stride=2, padding=1),  # 16² pixels of 8 × 3 × 9
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),  # depthwise: 16² of 8 × 25
        nn.Conv2d(8, 12, 1, groups=2),  # 16² of 12 × 4
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    expected = 256 * (8 * 27 + 8 * 25 + 12 * 4) + 12 * 3
    found = net(*layers, features=12)
    assert multiply_adds(found, torch.zeros(1, 3, 32, 32)) == expected
    assert multiply_adds(found, torch.zeros(2, 3, 32, 32)) == 2 * expected
    # Four times the pixels, and the head as before.
    assert multiply_adds(found, torch.zeros(1, 3, 64, 64)) == 4 * (expected - 36) + 36


def test_each_module_keeps_its_mode_and_the_network_its_state() -> None:
    found = net(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), features=2)
    found.backbone[1].eval()  # type: ignore[index]
    modes = [module.training for module in found.modules()]
    assert len(set(modes)) == 2
    before = {name: value.clone() for name, value in found.state_dict().items()}
    multiply_adds(found, torch.ones(1, 3, 3, 3))
    assert [module.training for module in found.modules()] == modes
    assert all(value.equal(before[name]) for name, value in found.state_dict().items())
