"""A residual network without normalisation."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from bench.errors import UserError
from bench.parts import Architecture, network


@network("fixup-resnet")
class FixupResNet(Architecture):
    """A ResNet that trains without normalisation by how it begins (Zhang, Dauphin, Ma 2019).

    Of L residual branches with m layers each, a branch's last layer begins at zero, the others
    from N(0, 2 / (k² outputs)) (He et al. 2015) times L^(-1 / (2m - 2)). A scalar bias, zero,
    stands before every convolution, activation and linear layer, and one multiplier, one, behind
    the branch. So a block begins as its shortcut, which is the identity but where the size changes.

    ``blocks`` are those of each stage, ``width`` the channels of the first, which double from stage
    to stage (a ``bottleneck``'s outputs have four times as many). ``stem: small`` is a 3×3
    convolution of stride 1, for images of about 32 pixels.

    With ``{blocks: [3, 4, 6, 3], width: 64, bottleneck: true, stem: imagenet}`` it is the authors'
    ResNet-50 for ImageNet by the names, the order and the layers of their code: 1×1 convolutions
    as the shortcuts that change the size, strides on the 3×3 convolution, a first layer as PyTorch
    draws it. Their code begins the head at zero; here the recipe's ``head_init`` says how it does.
    """

    blocks: tuple[PositiveInt, ...] = (2, 2, 2)
    width: PositiveInt = 16
    bottleneck: bool = False
    stem: Literal["imagenet", "small"] = "small"

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the network up to its features; UserError if inputs are no images."""
        if len(input_shape) != 3 or not self.blocks:
            what = "images (c, h, w)" if self.blocks else "blocks in at least one stage"
            raise UserError(
                f"fixup-resnet needs {what}, and is built for inputs of shape {input_shape}",
                field="networks.fixup-resnet",
                remedy="give it images and blocks such as [2, 2, 2], or use mlp",
            )
        return _FixupResNet(self, input_shape)


class _FixupResNet(nn.Module):
    """The authors' modules, and what timm's networks say of themselves beside them."""

    def __init__(self, part: FixupResNet, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        large = part.stem == "imagenet"
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv1 = nn.Conv2d(
            input_shape[0], part.width, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        if not large:
            _he(self.conv1)
        self.bias1 = _scalar(0)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()
        block = _Bottleneck if part.bottleneck else _Basic
        channels, reduction, branches = part.width, stride * (2 if large else 1), sum(part.blocks)
        self.feature_info = []
        for place, count in enumerate(part.blocks):
            inner, stride = part.width * 2**place, 1 if place == 0 else 2
            stage = nn.Sequential()
            for number in range(count):
                stage.append(block(channels, inner, stride if number == 0 else 1, branches))
                channels = inner * block.expansion
            reduction *= stride
            self.add_module(f"layer{place + 1}", stage)
            self.feature_info.append(
                {"num_chs": channels, "reduction": reduction, "module": f"layer{place + 1}"}
            )
        self.bias2 = _scalar(0)
        self.num_features = channels
        self.pretrained_cfg = {"input_size": input_shape}

    def forward(self, images: Tensor) -> Tensor:
        """Return features ``(b, d)``."""
        maps = self.maxpool(self.relu(self.conv1(images) + self.bias1))
        for info in self.feature_info:
            maps = self.get_submodule(str(info["module"]))(maps)
        return cast(Tensor, maps.mean(dim=(2, 3)) + self.bias2)


class _Block(nn.Module):
    """A shortcut and a branch: relu(shortcut(x + b) + scale · branch(x + b) + b′)."""

    expansion = 1
    bias1a: nn.Parameter
    relu: nn.ReLU
    downsample: nn.Conv2d | None

    def branch(self, inputs: Tensor) -> Tensor:
        """Return scale · branch(x + b) + b′."""
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        """Return maps of the block's outputs."""
        shifted = inputs + self.bias1a
        # The identity takes no bias, as in the authors' code.
        shortcut = inputs if self.downsample is None else self.downsample(shifted)
        return cast(Tensor, self.relu(self.branch(shifted) + shortcut))


class _Basic(_Block):
    """Two 3×3 convolutions."""

    def __init__(self, inputs: int, inner: int, stride: int, branches: int) -> None:
        super().__init__()
        smaller = branches**-0.5
        self.bias1a = _scalar(0)
        self.conv1 = _he(_convolution(inputs, inner, 3, stride), smaller)
        self.bias1b = _scalar(0)
        self.bias2a = _scalar(0)
        self.conv2 = _zero(_convolution(inner, inner, 3))
        self.scale = _scalar(1)
        self.bias2b = _scalar(0)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, inner, stride)

    def branch(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.conv1(inputs) + self.bias1b)
        return cast(Tensor, self.conv2(hidden + self.bias2a) * self.scale + self.bias2b)


class _Bottleneck(_Block):
    """A 1×1, a 3×3 and a 1×1 convolution to four times as many channels."""

    expansion = 4

    def __init__(self, inputs: int, inner: int, stride: int, branches: int) -> None:
        super().__init__()
        smaller = branches**-0.25
        self.bias1a = _scalar(0)
        self.conv1 = _he(_convolution(inputs, inner, 1), smaller)
        self.bias1b = _scalar(0)
        self.bias2a = _scalar(0)
        self.conv2 = _he(_convolution(inner, inner, 3, stride), smaller)
        self.bias2b = _scalar(0)
        self.bias3a = _scalar(0)
        self.conv3 = _zero(_convolution(inner, inner * self.expansion, 1))
        self.scale = _scalar(1)
        self.bias3b = _scalar(0)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, inner * self.expansion, stride)

    def branch(self, inputs: Tensor) -> Tensor:
        hidden = self.relu(self.conv1(inputs) + self.bias1b)
        hidden = self.relu(self.conv2(hidden + self.bias2a) + self.bias2b)
        return cast(Tensor, self.conv3(hidden + self.bias3a) * self.scale + self.bias3b)


def _scalar(value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((1,), float(value)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Conv2d | None:
    if stride == 1 and inputs == outputs:
        return None
    return _he(_convolution(inputs, outputs, 1, stride))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


def _he(conv: nn.Conv2d, factor: float = 1.0) -> nn.Conv2d:
    """Draw weights from N(0, 2 / (k² outputs)), times a factor."""
    nn.init.normal_(
        conv.weight, std=factor * math.sqrt(2 / (conv.out_channels * math.prod(conv.kernel_size)))
    )
    return conv


def _zero(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    return conv
