"""Low-rank updates of attention's projections."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveFloat, PositiveInt
from timm.models.vision_transformer import Attention  # type: ignore[attr-defined]
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Patch, patch
from bench.parts.adapter import Adapter, Beside, draw_all, fill_normal


class LowRank(Adapter):
    """(α/r) B A x for the query and for the value, and nothing for the key."""

    def __init__(self, qkv: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        width, own = qkv.in_features, qkv.out_features // 3
        self.scale = alpha / rank
        self.down = nn.Parameter(qkv.weight.new_zeros(2, rank, width))
        self.up = nn.Parameter(qkv.weight.new_zeros(2, own, rank))

    def draw(self, stream: Stream) -> None:
        """Draw A; B is zero."""
        fill_normal(self.down, 1 / math.sqrt(self.down.shape[-1]), stream)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what is added to query, key and value, side by side as timm has them."""
        query, value = (
            self.scale * (inputs @ down.T @ up.T)
            for down, up in zip(self.down, self.up, strict=True)
        )
        return torch.cat([query, torch.zeros_like(query), value], dim=-1)


@patch("lora")
class LoRA(Patch):
    """W + (α/r) B A in place of W, for each attention's query and value (Hu et al. 2022, 4.1, 5.1).

    Of timm's vision transformers, whose three projections are one layer. B begins at zero, so that
    the network's function is the same before the first step; A is drawn from N(0, 1/d), d being
    the width of the input (the paper says Gaussian, without a variance). ``rank`` is r, ``alpha``
    is α.
    """

    rank: PositiveInt = 8
    alpha: PositiveFloat = 8.0

    def __call__(self, network: Network) -> None:
        """Put an update beside every projection; UserError without an attention of timm's."""
        found = [m for m in network.backbone.modules() if isinstance(m, Attention)]
        if not found:
            raise UserError(
                f"{network.name} has no attention of timm's vision transformers",
                field="patches.lora",
                remedy="use a vision transformer, such as vit_tiny_patch16_224",
            )
        for attention in found:
            qkv = attention.qkv
            attention.qkv = Beside(qkv, LowRank(qkv, self.rank, self.alpha))  # type: ignore[assignment]

    def draw(self, network: Network, stream: Stream) -> None:
        """Draw every A."""
        draw_all(network, LowRank, stream)
