"""What a network is shown: some test images after every transform."""

from __future__ import annotations

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench.data.augment import DEVIATIONS, MEANS
from bench.errors import DataError
from bench.parts import Measured, Measurement, Measuring, measurement


@measurement("input-examples")
class InputExamples(Measurement):
    """Test images as they come to a network, in [0, 1], and how smooth they are.

    The array ``images`` is ``(count, c, h, w)`` float32: rows of the test split in a random order
    of the cell's own, the same whatever is done to the inputs, after the task's transforms. The
    normalisation is undone channel by channel; what lies beyond [0, 1] then, as it may where a
    transform mixes channels, is cut off in the array alone.

    Of these images, ``inputs/mean`` and ``inputs/deviation`` are those of all numbers, which no
    permutation of pixels changes. ``inputs/neighbours`` is the correlation of each pixel with the
    next one at its right and with that below it, about the mean of its image and channel: 1 where
    an image hardly changes from pixel to pixel, about 0 where its pixels stand in a random order.
    """

    roles = ()
    data = "task"
    metrics = {
        "inputs/mean": ("", "highest"),
        "inputs/deviation": ("", "highest"),
        "inputs/neighbours": ("", "highest"),
    }
    count: PositiveInt = 4

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the images; DataError if the inputs are none, or all of one colour."""
        order = measuring.stream("examples")
        rows = measuring.batches("test", self.count, shuffle=order, limit=self.count)
        inputs = torch.cat([batch for batch, _ in rows]).cpu()
        if inputs.ndim != 4 or inputs.shape[1] not in (1, 3):
            raise DataError(
                f"input-examples is of images, and a row of {measuring.dataset} has the shape "
                f"{tuple(inputs.shape[1:])}",
                remedy="use a dataset of images",
            )
        images = inputs.double()
        if measuring.image is not None:
            rule = measuring.image.normalise
            mean, deviation = (
                torch.tensor(table[rule], dtype=torch.float64).view(-1, 1, 1)
                for table in (MEANS, DEVIATIONS)
            )
            images = images * deviation + mean
        return Measured(
            {
                "inputs/mean": float(images.mean()),
                "inputs/deviation": float(images.std(correction=0)),
                "inputs/neighbours": self._neighbours(images, measuring.dataset),
            },
            arrays={"images": images.clamp(0.0, 1.0).float()},
        )

    def _neighbours(self, images: Tensor, dataset: str) -> float:
        centred = images - images.mean(dim=(2, 3), keepdim=True)
        pairs = (
            (centred[..., :, :-1], centred[..., :, 1:]),
            (centred[..., :-1, :], centred[..., 1:, :]),
        )
        one, other = (torch.cat([pair[i].flatten() for pair in pairs]) for i in range(2))
        norms = one.norm() * other.norm()
        if not norms > 0:
            raise DataError(
                f"these images of {dataset} are of one colour each: their pixels correlate with "
                "nothing",
                field="measure.part.input-examples.count",
                remedy="look at more images",
            )
        return float(one @ other / norms)
