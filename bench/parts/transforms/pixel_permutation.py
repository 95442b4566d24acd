"""The pixels of an image, in an order that a number stands for."""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts import Transform, transform
from bench.spec.seeds import stream_seed


@transform("pixel-permutation")
class PixelPermutation(Transform):
    """One permutation of an image's pixels, the same for every image and at every seed.

    Kirkpatrick et al. 2017: each task of permuted MNIST has one of its own. ``permutation`` says
    which, so that two tasks of one cell's chain may have two, and all seeds the same two. A pixel
    keeps its channels.
    """

    draws = False
    permutation: NonNegativeInt = 0

    def __call__(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return images ``(b, c, h, w)``, or ``(…, c, h, w)`` of several crops."""
        if inputs.ndim < 4:
            raise UserError(
                f"pixel-permutation is of images, and the inputs are {tuple(inputs.shape[1:])}",
                field="task.transforms",
                remedy="leave it out",
            )
        pixels = inputs.flatten(-2)
        own = Stream(stream_seed(self.permutation, "transform", "pixel-permutation"))
        order = torch.from_numpy(own.permutation(pixels.shape[-1])).to(inputs.device)
        return pixels.index_select(-1, order).reshape(inputs.shape)
