"""Depthwise filters where a network has none."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from bench.errors import UserError
from bench.models.network import Network
from bench.models.parameter_sets import is_depthwise
from bench.parts import Patch, patch


class Filtered(nn.Module):
    """A convolution of what a depthwise one gives, which begins as the identity."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        channels = conv.in_channels
        # Not initialised at random, which would draw from the global stream.
        self.depthwise = skip_init(  # type: ignore[no-untyped-call]
            nn.Conv2d, channels, channels, 3, padding=1, groups=channels, bias=False,
            device=conv.weight.device, dtype=conv.weight.dtype,
        )  # fmt: skip
        nn.init.dirac_(self.depthwise.weight, groups=channels)
        self.conv = conv

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the convolution of the filtered maps."""
        filtered: Tensor = self.conv(self.depthwise(inputs))
        return filtered


@patch("added-depthwise")
class AddedDepthwise(Patch):
    """A 3×3 depthwise convolution between each two convolutions (Mudrakarta et al. 2019, 3.1).

    Every convolution but the network's first has one before it, of stride 1 and without a bias,
    whose filters are 1 in the middle and 0 elsewhere: before the first step the network's
    function is the same. ``trainable: depthwise`` trains them.
    """

    def __call__(self, network: Network) -> None:
        """Add the filters; UserError where there are some, or nothing to put them between."""
        backbone = network.backbone
        convolutions = [n for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d)]
        if any(is_depthwise(backbone.get_submodule(name)) for name in convolutions):
            raise UserError(
                f"{network.name} has depthwise filters of its own",
                field="patches.added-depthwise",
                remedy="train them with trainable: depthwise, without the patch",
            )
        if len(convolutions) < 2:
            raise UserError(
                f"{network.name} has no two convolutions to put depthwise filters between",
                field="patches.added-depthwise",
                remedy="use a convolutional backbone",
            )
        with torch.no_grad():
            for name in convolutions[1:]:
                parent, _, leaf = name.rpartition(".")
                holder = backbone.get_submodule(parent)
                conv = holder.get_submodule(leaf)
                assert isinstance(conv, nn.Conv2d)
                setattr(holder, leaf, Filtered(conv))
