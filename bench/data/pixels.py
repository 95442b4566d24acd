"""From stored pixels to images on the device: augmented for training, cropped for evaluation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.augment import (
    centre,
    draw_boxes,
    levels_of_boxes,
    mirrored,
    normalised,
    normalised_levels,
    resized_boxes,
)
from bench.data.prepared import Split
from bench.data.resident import gathered, on_device, windows
from bench.data.streams import Stream
from bench.spec.recipe import Augmentation, Image

Rows = NDArray[np.int64]


def augmented(
    split: Split,
    rows: Rows,
    image: Image,
    augmentation: Augmentation,
    stream: Stream,
    device: torch.device,
) -> Tensor:
    """Return ``(b, 3, size, size)`` float32, normalised, its augmentation drawn from ``stream``."""
    boxes = draw_boxes(stream, len(rows), image, augmentation)
    if augmentation.crop != "random-resized":
        cut = windows(split, rows, boxes.top, boxes.left, image.size, device)
        images = mirrored(cut.permute(0, 3, 1, 2).float(), boxes.flip)
    elif augmentation.resampling == "uint8":
        levels = levels_of_boxes(split.inputs, rows, boxes, image.size)
        return normalised_levels(on_device(device, levels), image.normalise)
    else:
        images = resized_boxes(gathered(split, rows, device), boxes, image.size)
    return normalised(images, image.normalise)


def cropped(
    split: Split, rows: Rows, image: Image, crops: Literal[1, 10], device: torch.device
) -> Tensor:
    """Return ``(b, 3, size, size)``, the centres, or ``(b, 10, 3, size, size)``; normalised.

    Ten are the corners (upper left, upper right, lower left, lower right) and the centre, then
    the same of the mirrored image, as torchvision's ``TenCrop``. The released code of Chen et al.
    2019 takes its far crops one pixel before the corner (offsets 0, 15.5 and 31 of 32).
    """
    if crops == 10:
        return normalised(_ten(gathered(split, rows, device), image), image.normalise)
    middle = centre(image.resize, image.size)
    pixels = windows(split, rows, middle, middle, image.size, device)
    return normalised(pixels.permute(0, 3, 1, 2).float(), image.normalise)


def _ten(pixels: Tensor, image: Image) -> Tensor:
    """Return the ten crops of ``(b, h, w, 3)`` images, ``(b, 10, 3, size, size)`` in 0…255."""
    size, far = image.size, image.resize - image.size
    middle = int(centre(image.resize, size))
    corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    upright = pixels.permute(0, 3, 1, 2)
    cuts = [
        whole[..., y : y + size, x : x + size]
        for whole in (upright, upright.flip(-1))
        for y, x in corners
    ]
    return torch.stack(cuts, dim=1).float()
