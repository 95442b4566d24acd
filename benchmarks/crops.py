"""Random-resized crops: whole levels of uint8 against float32 weights, on one thread of a CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from bench.data.augment import draw_boxes, levels_of_boxes, resized_boxes
from bench.data.pixels import Rows, augmented
from bench.data.prepared import Split
from bench.data.streams import Stream
from bench.spec.recipe import Augmentation, Image

ROUNDS, BATCHES, BATCH, IMAGES = 5, 6, 24, 144


def resized(split: Split, rows: Rows, image: Image, how: Augmentation, seed: int) -> None:
    """Cut and resize a batch, and no more."""
    boxes = draw_boxes(Stream(seed), len(rows), image, how)
    if how.resampling == "uint8":
        levels_of_boxes(split.inputs, rows, boxes, image.size)
    else:
        resized_boxes(torch.from_numpy(split.inputs[rows]), boxes, image.size)


def whole(split: Split, rows: Rows, image: Image, how: Augmentation, seed: int) -> None:
    """Make a batch, normalised on the CPU."""
    augmented(split, rows, image, how, Stream(seed), torch.device("cpu"))


def milliseconds(
    make: Callable[[Split, Rows, Image, Augmentation, int], None], split: Split, image: Image
) -> dict[str, float]:
    """Return processor time an image by each way, the median of batches; both take turns."""
    taken: dict[str, list[float]] = {"float32": [], "uint8": []}
    for turn in range(ROUNDS):
        for how, times in taken.items():
            for batch in range(BATCHES):
                rows = np.arange(BATCH) + BATCH * batch
                start = time.thread_time()
                make(split, rows, image, Augmentation(resampling=how), turn * BATCHES + batch)
                times.append(1e3 * (time.thread_time() - start) / BATCH)
    return {how: statistics.median(times) for how, times in taken.items()}


def main() -> None:
    """Print both times and their ratio, by size."""
    torch.set_num_threads(1)
    for resize, size in ((256, 224), (64, 48)):
        pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, resize, resize, 3))
        split = Split(pixels.astype(np.uint8), np.zeros(IMAGES, dtype=np.int64))
        image = Image(resize=resize, size=size)
        for what, make in (("cut and resized", resized), ("with normalising", whole)):
            slow, fast = milliseconds(make, split, image).values()
            print(
                f"{resize} to {size}, {what}: float32 {slow:.2f} ms an image, uint8 {fast:.2f} ms, "
                f"ratio {slow / fast:.1f}"
            )


if __name__ == "__main__":
    main()
