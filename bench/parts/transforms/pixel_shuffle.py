"""The numbers of an image, in another order."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts import Transform, transform


@transform("pixel-shuffle")
class PixelShuffle(Transform):
    """One permutation of all numbers of an image, the same for every image.

    Neyshabur et al. 2020: drawn once a run. Channels are mixed too, as in the authors' code; of
    ``block-shuffle`` with blocks of one pixel they stay together.
    """

    def __call__(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return images ``(b, c, h, w)``, or ``(…, c, h, w)`` of several crops."""
        if inputs.ndim < 4:
            raise UserError(
                f"pixel-shuffle is of images, and the inputs are {tuple(inputs.shape[1:])}",
                field="task.transforms",
                remedy="leave it out",
            )
        flat = inputs.flatten(-3)
        order = torch.from_numpy(stream.permutation(flat.shape[-1])).to(inputs.device)
        return flat.index_select(-1, order).reshape(inputs.shape)
