"""Edges in the place of an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts import Transform, transform


@transform("edges")
class Edges(Transform):
    """How much an image changes at each pixel: a second domain of the same classes, like sketches.

    The mean of the channels is taken, and of it the length of the gradient by Sobel's filters,
    √(gx² + gy²), in every channel. It is scaled so that a straight edge is as high, in the pixels
    on both of its sides, as the plains beside it differ. Beyond the border the image goes on as it
    ends. Nothing is drawn.
    """

    draws = False

    def __call__(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return images ``(b, c, h, w)``, or ``(…, c, h, w)`` of several crops."""
        if inputs.ndim < 4:
            raise UserError(
                f"edges are of images, and the inputs are {tuple(inputs.shape[1:])}",
                field="task.transforms",
                remedy="leave it out",
            )
        height, width = inputs.shape[-2:]
        grey = inputs.mean(dim=-3).reshape(-1, 1, height, width)
        around = pad(grey, (1, 1, 1, 1), mode="replicate")
        across = around[..., 2:] - around[..., :-2]
        down = around[..., 2:, :] - around[..., :-2, :]
        length = torch.hypot(_smoothed(across, -2), _smoothed(down, -1))
        return length.reshape(*inputs.shape[:-3], 1, height, width).expand(inputs.shape).clone()


def _smoothed(values: Tensor, dim: int) -> Tensor:
    """Return a quarter, a half and a quarter of neighbours along a dimension, two shorter."""
    inner = values.shape[dim] - 2
    before, here, after = (values.narrow(dim, start, inner) for start in range(3))
    return (before + 2 * here + after) / 4
