"""Small convolutions beside those of residual blocks."""

from __future__ import annotations

import math

from pydantic import PositiveInt
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Patch, patch
from bench.parts.adapter import Adapter, Beside, draw_all, fill_uniform


class Bypass(Adapter):
    """α ∘ (W_up relu(W_down x)): depthwise-separable, of a convolution's own geometry."""

    def __init__(self, conv: nn.Conv2d, compression: int) -> None:
        super().__init__()
        self._geometry = {
            "stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation
        }  # fmt: skip
        hidden, new = conv.in_channels // compression, conv.weight.new_zeros
        self.down = nn.Parameter(new(hidden, compression, *conv.kernel_size))
        self.down_bias = nn.Parameter(new(hidden))
        self.up = nn.Parameter(new(conv.out_channels, hidden, 1, 1))
        self.up_bias = nn.Parameter(new(conv.out_channels))
        self.scale = nn.Parameter(new(conv.out_channels, 1, 1) + 1)

    def draw(self, stream: Stream) -> None:
        """Draw W_down as PyTorch does a convolution's weights; W_up is zero, α one."""
        fill_uniform(self.down, 1 / math.sqrt(self.down[0].numel()), stream)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what is added to the convolution's output."""
        groups = len(self.down)
        hidden = relu(conv2d(inputs, self.down, self.down_bias, groups=groups, **self._geometry))  # type: ignore[arg-type]
        return self.scale * conv2d(hidden, self.up, self.up_bias)


@patch("conv-adapter")
class ConvAdapter(Patch):
    """A Conv-Adapter in each residual block, "convolution parallel" (Chen et al. 2022, 3.2).

    Of timm's ResNets. Beside a block's first spatial convolution stand another of its kernel size,
    from each ``compression`` channels to one, a rectifier, a pointwise convolution and a scale for
    each channel. The pointwise one begins at zero, which is our choice (the authors' release draws
    it too): the network's function is the same before the first step.
    """

    compression: PositiveInt = 4

    def __call__(self, network: Network) -> None:
        """Put adapters into the blocks; UserError without such, or of too few channels."""
        blocks = [m for m in network.backbone.modules() if isinstance(m, BasicBlock | Bottleneck)]
        if not blocks:
            raise UserError(
                f"{network.name} has no residual blocks of timm's ResNets",
                field="patches.conv-adapter",
                remedy="use a ResNet, such as resnet18",
            )
        for block in blocks:
            place = "conv1" if isinstance(block, BasicBlock) else "conv2"
            conv = block.get_submodule(place)
            assert isinstance(conv, nn.Conv2d)
            if conv.in_channels % self.compression:
                raise UserError(
                    f"{conv.in_channels} channels of {network.name} are no multiple of "
                    f"{self.compression}",
                    field="patches.conv-adapter.compression",
                    remedy="use a divisor of every block's number of channels",
                )
            setattr(block, place, Beside(conv, Bypass(conv, self.compression)))

    def draw(self, network: Network, stream: Stream) -> None:
        """Draw every W_down."""
        draw_all(network, Bypass, stream)
