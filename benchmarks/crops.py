"""Random-resized crops: whole levels of uint8 against float32 weights, on one thread of a CPU."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from bench.data.pixels import augmented
from bench.data.prepared import Split
from bench.data.streams import Stream
from bench.spec.recipe import Augmentation, Image

REPEATS, BATCH, IMAGES = 5, 24, 96


def seconds(split: Split, image: Image, augmentation: Augmentation, repeat: int) -> float:
    """Return seconds an image."""
    rows = np.arange(BATCH) + BATCH * (repeat % (IMAGES // BATCH))
    start = time.thread_time()
    augmented(split, rows, image, augmentation, Stream(repeat), torch.device("cpu"))
    return (time.thread_time() - start) / BATCH


def main() -> None:
    """Print both times and their ratio, by size."""
    torch.set_num_threads(1)
    for resize, size in ((256, 224), (64, 48)):
        pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, resize, resize, 3))
        split = Split(pixels.astype(np.uint8), np.zeros(IMAGES, dtype=np.int64))
        image = Image(resize=resize, size=size)
        taken: dict[str, list[float]] = {"float32": [], "uint8": []}
        for repeat in range(REPEATS + 1):
            for how, times in taken.items():
                found = seconds(split, image, Augmentation(resampling=how), repeat)
                times += [found] if repeat else []
        slow, fast = (statistics.median(times) * 1e3 for times in taken.values())
        print(
            f"{resize} to {size}: float32 {slow:.2f} ms an image, uint8 {fast:.2f} ms, "
            f"ratio {slow / fast:.1f}"
        )


if __name__ == "__main__":
    main()
