"""From stored pixels to images on the device: augmented for training, cropped for evaluation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bench.data.augment import centre, draw_boxes, mirrored, normalised, resized_boxes
from bench.data.prepared import Split
from bench.data.streams import Stream
from bench.spec.recipe import Augmentation, Image

Rows = NDArray[np.int64]


def on_device(device: torch.device, array: NDArray[np.generic]) -> Tensor:
    """Return an array as a tensor on the device."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        # From pinned memory the copy runs beside the previous step.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


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
    if augmentation.crop == "random-resized":
        images = resized_boxes(on_device(device, split.inputs[rows]), boxes, image.size)
    else:
        cut = _cut(split, rows, boxes.top, boxes.left, image.size)
        images = on_device(device, cut).permute(0, 3, 1, 2).float()
        images = mirrored(images, boxes.flip)
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
        return normalised(_ten(on_device(device, split.inputs[rows]), image), image.normalise)
    middle = centre(image.resize, image.size)
    pixels = on_device(device, _cut(split, rows, middle, middle, image.size))
    return normalised(pixels.permute(0, 3, 1, 2).float(), image.normalise)


def _cut(split: Split, rows: Rows, top: ArrayLike, left: ArrayLike, size: int) -> NDArray[np.uint8]:
    """Copy a window of each row's image, ``(b, size, size, 3)``, without the rest of it."""
    out = np.empty((len(rows), size, size, 3), dtype=np.uint8)
    tops = np.broadcast_to(top, rows.shape).tolist()
    lefts = np.broadcast_to(left, rows.shape).tolist()
    for place, (row, y, x) in enumerate(zip(rows.tolist(), tops, lefts, strict=True)):
        out[place] = split.inputs[row, y : y + size, x : x + size]
    return out


def _ten(pixels: Tensor, image: Image) -> Tensor:
    """Return the ten crops of ``(b, h, w, 3)`` images, ``(b, 10, 3, size, size)`` in 0…255."""
    size, far = image.size, image.resize - image.size
    middle = int(centre(image.resize, size))
    corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    upright = pixels.permute(0, 3, 1, 2)
    windows = [
        whole[..., y : y + size, x : x + size]
        for whole in (upright, upright.flip(-1))
        for y, x in corners
    ]
    return torch.stack(windows, dim=1).float()
