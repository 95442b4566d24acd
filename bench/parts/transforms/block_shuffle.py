"""Blocks of an image, in another order."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts import Transform, transform


@transform("block-shuffle")
class BlockShuffle(Transform):
    """One permutation of the square blocks of ``block`` pixels, the same for every image.

    Neyshabur et al. 2020, section 3.1: images of the target domain are cut into blocks, which are
    put together in a random order; it is drawn once a run. A block keeps its pixels and channels.
    """

    block: PositiveInt = 8

    def __call__(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return images ``(b, c, h, w)``, or ``(…, c, h, w)`` of several crops."""
        height, width = inputs.shape[-2:]
        if height % self.block or width % self.block:
            raise UserError(
                f"images of {height} by {width} pixels are no whole blocks of {self.block}",
                field="block-shuffle.block",
                remedy="choose a block that divides image.size",
            )
        rows, columns = height // self.block, width // self.block
        order = torch.from_numpy(stream.permutation(rows * columns)).to(inputs.device)
        lead = inputs.shape[:-2]
        blocks = inputs.reshape(*lead, rows, self.block, columns, self.block)
        blocks = blocks.transpose(-3, -2).reshape(*lead, rows * columns, self.block, self.block)
        shuffled = blocks.index_select(-3, order)
        shuffled = shuffled.reshape(*lead, rows, columns, self.block, self.block).transpose(-3, -2)
        return shuffled.reshape(inputs.shape)
