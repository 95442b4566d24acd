"""Augmentation: parameters drawn on the CPU, applied to whole batches on the device."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from bench.data.resident import on_device, packed
from bench.data.streams import Stream
from bench.spec.recipe import Augmentation, Image

TRIES = 10
MEANS = {
    "imagenet": (0.485, 0.456, 0.406),
    "half": (0.5, 0.5, 0.5),
    "quarter": (128 / 255, 128 / 255, 128 / 255),
}
DEVIATIONS = {
    "imagenet": (0.229, 0.224, 0.225),
    "half": (0.5, 0.5, 0.5),
    "quarter": (64 / 255, 64 / 255, 64 / 255),
}
Ints = NDArray[np.int64]


class Boxes(NamedTuple):
    """What is cut of each image, ``(b,)`` each, in pixels, and whether it is mirrored."""

    top: Ints
    left: Ints
    height: Ints
    width: Ints
    flip: NDArray[np.bool_]


def draw_boxes(stream: Stream, count: int, image: Image, augmentation: Augmentation) -> Boxes:
    """Draw the parameters of one batch.

    ``random-resized`` is torchvision's rule: up to ten tries of an area uniform in ``scale`` and
    an aspect log-uniform in ``ratio``; where none fits, the largest centred box of an allowed
    aspect. All tries are drawn at once, so the numbers drawn do not depend on their outcome.
    """
    u = stream.uniform(count * (2 * TRIES + 3)).reshape(count, -1)
    side = image.resize
    flip = (u[:, 2] < 0.5) if augmentation.flip else np.zeros(count, dtype=bool)
    if augmentation.crop == "random-resized":
        height, width = _box_sizes(u[:, 3 : 3 + TRIES], u[:, 3 + TRIES :], side, augmentation)
        # A fallback box lies in the middle; a try is anywhere.
        found = height > 0
        fallback_h, fallback_w = _fallback(side, augmentation)
        height, width = np.where(found, height, fallback_h), np.where(found, width, fallback_w)
    else:
        found = np.full(count, augmentation.crop == "random")
        height = width = np.full(count, image.size, dtype=np.int64)
    top = np.where(found, np.floor(u[:, 0] * (side - height + 1)), centre(side, height))
    left = np.where(found, np.floor(u[:, 1] * (side - width + 1)), centre(side, width))
    return Boxes(top.astype(np.int64), left.astype(np.int64), height, width, flip)


def centre(side: int, size: Ints | int) -> Ints:
    """Return the offset of a centred box: half the excess, halves rounded to even."""
    return np.rint((side - np.asarray(size)) / 2).astype(np.int64)


def _box_sizes(
    area: NDArray[np.float64], aspect: NDArray[np.float64], side: int, augmentation: Augmentation
) -> tuple[Ints, Ints]:
    """Return height and width of the first of the tries (b, TRIES) that fits; 0 where none does."""
    low, high = augmentation.scale
    areas = side * side * (low + (high - low) * area)
    low, high = np.log(augmentation.ratio)
    ratio = np.exp(low + (high - low) * aspect)
    width = np.rint(np.sqrt(areas * ratio)).astype(np.int64)
    height = np.rint(np.sqrt(areas / ratio)).astype(np.int64)
    fits = (width > 0) & (width <= side) & (height > 0) & (height <= side)
    first = np.argmax(fits, axis=1)[:, None]
    any_fits = fits.any(axis=1)
    return (
        np.where(any_fits, np.take_along_axis(height, first, 1)[:, 0], 0),
        np.where(any_fits, np.take_along_axis(width, first, 1)[:, 0], 0),
    )


def _fallback(side: int, augmentation: Augmentation) -> tuple[int, int]:
    low, high = augmentation.ratio
    if low > 1:
        return round(side / low), side
    if high < 1:
        return side, round(side * high)
    return side, side


def resize_weights(start: Tensor, length: Tensor, side: int, size: int, flip: Tensor) -> Tensor:
    """Return ``(b, size, side)`` weights that cut and resize one axis, and mirror where asked.

    Output pixel i is Σ_j w[i, j] x[j]: bilinear and antialiased as Pillow and torchvision do,
    that is a triangle as wide as a pixel of the coarser grid; pixels outside the box do not
    enter. ``start``, ``length`` and ``flip`` are ``(b,)``.
    """
    start, length = start.float()[:, None, None], length.float()[:, None, None]
    out = torch.arange(size, device=start.device, dtype=torch.float32)[None, :, None]
    out = torch.where(flip[:, None, None], size - 1 - out, out)
    source = torch.arange(side, device=start.device, dtype=torch.float32)[None, None, :]
    scale = length / size
    middle = start + (out + 0.5) * scale
    weights = (source + 0.5 - middle).abs_().div_(scale.clamp(min=1)).neg_().add_(1).clamp_(min=0)
    weights *= (source >= start) & (source < start + length)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def resized_boxes(images: Tensor, boxes: Boxes, size: int) -> Tensor:
    """Cut boxes out of ``(b, h, w, 3)`` uint8 images, resize to ``(b, 3, size, size)`` in 0…255."""
    top, left, height, width, flip = packed(images.device, boxes)
    count, high, wide, _ = images.shape
    rows = resize_weights(top, height, high, size, torch.zeros_like(flip))
    columns = resize_weights(left, width, wide, size, flip)
    # Resizing is separable: two batched products, each with one matrix an image.
    tall = torch.bmm(rows, images.float().view(count, high, wide * 3))
    planes = tall.view(count, size, wide, 3).permute(0, 3, 1, 2).reshape(count, 3 * size, wide)
    return torch.bmm(planes, columns.transpose(1, 2)).view(count, 3, size, size)


def levels_of_boxes(
    inputs: NDArray[np.uint8], rows: Ints, boxes: Boxes, size: int
) -> NDArray[np.uint8]:
    """Cut a box out of each row's image and resize it to ``(b, size, size, 3)`` in whole levels.

    Bilinear and antialiased as Pillow's, by torch's kernel for bytes on the CPU, so that the
    levels are the same whatever the device. A box is mirrored before it is resized.
    """
    out = torch.empty((len(rows), size, size, 3), dtype=torch.uint8)
    cuts = zip(rows.tolist(), *(part.tolist() for part in boxes), strict=True)
    for place, (row, top, left, height, width, flip) in enumerate(cuts):
        box = inputs[row, top : top + height, left : left + width]
        # A copy: a memory map cannot be written, which torch warns of.
        pixels = torch.from_numpy(np.array(box, order="C"))
        pixels = pixels.flip(1) if flip else pixels
        # In this order of strides torch's kernel is twice as fast as in any other.
        image = pixels[None].permute(0, 3, 1, 2)
        levels = interpolate(image, (size, size), mode="bilinear", antialias=True)
        out[place] = levels[0].permute(1, 2, 0)
    return out.numpy()


def mirrored(images: Tensor, flip: NDArray[np.bool_]) -> Tensor:
    """Mirror those of ``(b, 3, h, w)`` images that ``flip`` (b,) names."""
    if not flip.any():
        return images
    which = on_device(images.device, flip)[:, None, None, None]
    return torch.where(which, images.flip(-1), images)


def normalised(images: Tensor, rule: str) -> Tensor:
    """Return ``(x / 255 - mean) / deviation`` of float images ``(…, 3, h, w)`` in 0…255."""
    mean, deviation = _of(rule, images.device)
    return torch.addcmul(-mean / deviation, images, 1.0 / (255.0 * deviation))


def normalised_levels(levels: Tensor, rule: str) -> Tensor:
    """Return `normalised` of uint8 images ``(b, h, w, 3)``, as ``(b, 3, h, w)`` float32.

    Row by row and in place, which is several times faster where channels come last.
    """
    count, high, wide, _ = levels.shape
    mean, deviation = (each.view(3).repeat(wide) for each in _of(rule, levels.device))
    images = levels.float().view(-1, 3 * wide)
    images.mul_(1.0 / (255.0 * deviation)).sub_(mean / deviation)
    return images.view(count, high, wide, 3).permute(0, 3, 1, 2)


def _of(rule: str, device: torch.device) -> tuple[Tensor, Tensor]:
    return (_kept if device.type == "cuda" else _constants)(rule, device)


def _constants(rule: str, device: torch.device) -> tuple[Tensor, Tensor]:
    mean = torch.tensor(MEANS[rule], device=device).view(3, 1, 1)
    deviation = torch.tensor(DEVIATIONS[rule], device=device).view(3, 1, 1)
    return mean, deviation


@cache
def _kept(rule: str, device: torch.device) -> tuple[Tensor, Tensor]:
    # To copy them for each batch makes a GPU wait.
    with torch.inference_mode(False):
        return _constants(rule, device)
