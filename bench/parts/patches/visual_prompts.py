"""Tokens that are learnt, beside those of an image."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveInt
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Patch, patch
from bench.parts.adapter import Adapter, draw_all, fill_uniform


class Prompts(Adapter):
    """Tokens ``(p, d)`` after the class token, before a block.

    ``replaced`` is how many tokens of an earlier block are there, whose place these take.
    """

    def __init__(self, like: Tensor, tokens: int, bound: float, replaced: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(like.new_zeros(tokens, like.shape[-1]))
        self.bound = bound
        self.replaced = replaced

    def draw(self, stream: Stream) -> None:
        """Draw the tokens."""
        fill_uniform(self.tokens, self.bound, stream)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sequence ``(b, n, d)`` with these tokens in it."""
        prompts = self.tokens.expand(len(inputs), -1, -1)
        return torch.cat([inputs[:, :1], prompts, inputs[:, 1 + self.replaced :]], dim=1)


class Prompted(nn.Module):
    """A transformer block of a sequence with prompts."""

    def __init__(self, block: nn.Module, prompts: Prompts) -> None:
        super().__init__()
        self.prompts = prompts
        self.block = block

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the block's output, prompts included."""
        output: Tensor = self.block(self.prompts(inputs))
        return output


@patch("visual-prompts")
class VisualPrompts(Patch):
    """Visual prompt tuning (Jia et al. 2022, section 3.2), of timm's vision transformers.

    ``tokens`` prompts come after the class token, once positions were added: ``deep`` ones are new
    before every block (eq. 6), others go in before the first and on from there (eq. 4 and 5). They
    are drawn uniformly within ±√(6 / (3 s² + d)), for patches of s × s pixels and width d.
    """

    tokens: PositiveInt = 10
    deep: bool = True

    def __call__(self, network: Network) -> None:
        """Put prompts before the blocks; UserError where features are not the class token's."""
        backbone = network.backbone
        if not isinstance(backbone, VisionTransformer) or backbone.cls_token is None:
            raise self._refusal(network, "is no vision transformer of timm's with a class token")
        if backbone.global_pool != "token" or backbone.attn_pool is not None:
            raise self._refusal(network, "averages over tokens, of which prompts would be some")
        width, *_, height, side = backbone.patch_embed.proj.weight.shape
        bound = math.sqrt(6 / (3 * height * side + width))
        for place, block in enumerate(backbone.blocks):
            if place == 0 or self.deep:
                replaced = self.tokens if place else 0
                prompts = Prompts(backbone.cls_token, self.tokens, bound, replaced)
                backbone.blocks[place] = Prompted(block, prompts)

    def _refusal(self, network: Network, why: str) -> UserError:
        return UserError(
            f"{network.name} {why}",
            field="patches.visual-prompts",
            remedy="use a vision transformer, such as vit_tiny_patch16_224",
        )

    def draw(self, network: Network, stream: Stream) -> None:
        """Draw every prompt."""
        draw_all(network, Prompts, stream)
