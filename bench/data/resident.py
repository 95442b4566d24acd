"""Rows of a split on the device: copied there batch by batch, or gathered from a copy of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bench.data.prepared import Split

Rows = NDArray[np.int64]
_KEPT_ON = frozenset({"cuda"})
# How much of the memory that is free a split may take: the rest is the training's.
_SHARE = 0.25
# So many bytes are pinned at a time.
_CHUNK = 2**26
_ALIGNED = 8


def on_device(device: torch.device, array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor on the device."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        # From pinned memory the copy runs beside the previous step.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


def packed(device: torch.device, arrays: Sequence[NDArray[Any]]) -> list[Tensor]:
    """Return small arrays as tensors on the device, which all come there by one copy."""
    plain = [np.ascontiguousarray(array) for array in arrays]
    if device.type not in _KEPT_ON:
        return [torch.from_numpy(array) for array in plain]
    starts = [0]
    for array in plain:
        starts.append(starts[-1] + -(-array.nbytes // _ALIGNED) * _ALIGNED)
    whole = np.zeros(starts[-1], dtype=np.uint8)
    for start, array in zip(starts, plain, strict=False):
        whole[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
    there = on_device(device, whole)
    return [
        there[start : start + array.nbytes].view(_type(array)).view(array.shape)
        for start, array in zip(starts, plain, strict=False)
    ]


def _type(array: NDArray[Any]) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype=array.dtype)).dtype


def gathered(split: Split, rows: Rows, device: torch.device) -> Tensor:
    """Return rows ``(b, …)`` of a split's inputs on the device."""
    pixels = resident(split, device)
    if pixels is None:
        return on_device(device, split.inputs[rows])
    return pixels.index_select(0, on_device(device, rows))


def windows(
    split: Split, rows: Rows, top: ArrayLike, left: ArrayLike, size: int, device: torch.device
) -> Tensor:
    """Return a window of each row's image, ``(b, size, size, 3)``, on the device.

    ``top`` and ``left`` are ``(b,)``, or one for all.
    """
    tops, lefts = (np.array(np.broadcast_to(offset, rows.shape)) for offset in (top, left))
    pixels = resident(split, device)
    if pixels is None:
        return on_device(device, _cut(split, rows, tops, lefts, size))
    row, y, x = packed(device, [rows, tops, lefts])
    along = torch.arange(size, device=device)
    return pixels[
        row[:, None, None], (y[:, None] + along)[:, :, None], (x[:, None] + along)[:, None]
    ]


def _cut(split: Split, rows: Rows, tops: Rows, lefts: Rows, size: int) -> NDArray[np.uint8]:
    """Copy a window of each row's image, ``(b, size, size, 3)``, without the rest of it."""
    out = np.empty((len(rows), size, size, 3), dtype=np.uint8)
    offsets = zip(rows.tolist(), tops.tolist(), lefts.tolist(), strict=True)
    for place, (row, y, x) in enumerate(offsets):
        out[place] = split.inputs[row, y : y + size, x : x + size]
    return out


def resident(split: Split, device: torch.device) -> Tensor | None:
    """Return all images of a split on the device, put there once; None where they are not kept.

    They are the same bytes: only where a batch is gathered changes.
    """
    if device.type not in _KEPT_ON or split.inputs.dtype != np.uint8 or split.inputs.ndim != 4:
        return None
    key = str(device)
    if key not in split.resident:
        fits = split.inputs.nbytes <= _SHARE * _room(device)
        split.resident[key] = _copied(split.inputs, device) if fits else None
    found: Tensor | None = split.resident[key]
    return found


def _room(device: torch.device) -> int:
    """Return how many bytes the process may still take on a GPU."""
    # Torch gives no share of a device without a number.
    index = torch.cuda.current_device() if device.index is None else device.index
    free, total = torch.cuda.mem_get_info(index)
    # Torch can tell the share from 2.8 on; before, what the driver has free is all that is known.
    share_of = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    if share_of is None:
        return int(free)
    return max(0, min(free, int(share_of(index) * total) - torch.cuda.memory_reserved(index)))


def _copied(inputs: NDArray[Any], device: torch.device) -> Tensor:
    # A split may be scored first, and what is made in inference mode stays so.
    with torch.inference_mode(False):
        pixels = torch.empty(inputs.shape, dtype=torch.uint8, device=device)
    step = max(1, _CHUNK // max(1, inputs[:1].nbytes))
    for start in range(0, len(inputs), step):
        # A copy: a memory map cannot be written, and what is pinned is memory.
        part = np.array(inputs[start : start + step])
        pixels[start : start + step] = on_device(device, part)
    return pixels
