"""A vision transformer for small images."""

from __future__ import annotations

from pydantic import PositiveInt
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from bench.errors import UserError
from bench.parts import Architecture, network


@network("vision-transformer")
class SmallVisionTransformer(Architecture):
    """timm's vision transformer (Dosovitskiy et al. 2021) of any size, for images of any size.

    Positions are learnt, features are the class token's; blocks have ``heads`` heads, layers of
    four times the ``width``, and biases. Parameters begin as timm's do.
    """

    patch: PositiveInt = 8
    width: PositiveInt = 64
    blocks: PositiveInt = 6
    heads: PositiveInt = 2

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the transformer; UserError if patches do not tile the images."""
        channels, height, width = input_shape
        if height % self.patch or width % self.patch:
            raise UserError(
                f"patches of {self.patch} pixels do not tile images of {height} × {width}",
                field="networks.vision-transformer.patch",
                remedy="use a divisor of image.size",
            )
        return VisionTransformer(
            img_size=(height, width),
            patch_size=self.patch,
            in_chans=channels,
            num_classes=0,
            embed_dim=self.width,
            depth=self.blocks,
            num_heads=self.heads,
        )
