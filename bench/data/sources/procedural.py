"""Procedural sets as a source of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.decode import decode_pixels
from bench.data.prepared import SPLITS, Split
from bench.data.sources.source import ArraySource, Blob, Source, SourceSplit
from bench.spec.recipe import Image


class Plan(NamedTuple):
    """Numbers of classes (of ``boxes``: glyphs; of ``motion``: 1) and of rows of each.

    ``of`` names the set whose first classes these are.
    """

    classes: int
    train: int
    test: int
    of: str | None = None


PLANS = {
    "boxes": Plan(100, 80, 10),
    "fractals": Plan(100, 200, 20),
    "glyphs": Plan(20, 60, 30),
    "glyphs-source": Plan(100, 200, 20),
    "glyphs-source-50": Plan(50, 200, 20, of="glyphs-source"),
    "rings": Plan(10, 100, 50),
    "discs-together": Plan(2, 400, 300),
    "discs-apart": Plan(2, 400, 300),
    "discs-askew": Plan(2, 400, 300),
    "motion-cars": Plan(1, 4000, 1000),
    "motion-pedestrians": Plan(1, 2000, 1000),
}
_VECTORS = ("rings", "discs")
_TOKENS = "grammar"
# Generators are imported where they are used: editing one concerns the cells of its sets alone.


def class_images(name: str, label: int, split: str) -> NDArray[np.uint8]:
    """Return all images of a class in a split, ``(n, 64, 64, 3)`` uint8."""
    count: int = getattr(PLANS[name], split)
    if name == "fractals":
        from bench.data.procedural import fractals

        return fractals.images(label, split, count)
    if name == "boxes":
        from bench.data.procedural import boxes

        return boxes.images(label, split, count)
    from bench.data.procedural import glyphs

    return glyphs.images(PLANS[name].of or name, label, split, count)


def _split(name: str, split: str) -> SourceSplit:
    plan = PLANS[name]

    def blobs() -> Iterator[Blob]:
        for label in range(plan.classes):
            for row, pixels in enumerate(class_images(name, label, split)):
                yield Blob(pixels.tobytes(), f"{name}, {split} image {row} of class {label}")

    return SourceSplit(_targets(name, split), blobs)


def _targets(name: str, split: str) -> NDArray[np.int64] | NDArray[np.float32]:
    labels = range(PLANS[name].classes)
    count: int = getattr(PLANS[name], split)
    if name == "boxes":
        from bench.data.procedural import boxes

        return np.concatenate([boxes.targets(label, split, count) for label in labels])
    return np.repeat(np.array(labels, dtype=np.int64), count)


def class_points(name: str, label: int, split: str) -> NDArray[np.float32]:
    """Return all points of a class in a split, ``(n, 2)``."""
    count: int = getattr(PLANS[name], split)
    if name == "rings":
        from bench.data.procedural import rings

        return rings.points(label, split, count)
    from bench.data.procedural import discs

    return discs.points(name, label, split, count)


def _points(name: str, split: str) -> Split:
    plan = PLANS[name]
    count: int = getattr(plan, split)
    inputs = [class_points(name, label, split) for label in range(plan.classes)]
    labels = np.repeat(np.arange(plan.classes, dtype=np.int64), count)
    return Split(np.concatenate(inputs), labels)


def _decode(data: bytes, image: Image) -> NDArray[np.uint8]:
    from bench.data.procedural.canvas import SIDE

    return decode_pixels(np.frombuffer(data, dtype=np.uint8).reshape(SIDE, SIDE, 3), image)


def procedural_source(name: str) -> Source | ArraySource:
    """Return the rows of a procedural set, sorted by class where there are any."""
    if name.startswith("ripples"):
        from bench.data.procedural import ripples

        train, test = (ripples.rows(name, split) for split in ("train", "test"))
        return ArraySource("vectors", None, train, test)
    if name.startswith("motion"):
        from bench.data.procedural import motion

        plan = PLANS[name]
        train, test = (motion.split_of(name, split, getattr(plan, split)) for split in SPLITS)
        return ArraySource("trajectories", None, train, test)
    if name.startswith(_TOKENS):
        from bench.data.procedural import grammar

        train, test = (grammar.split_of(name, split) for split in SPLITS)
        return ArraySource("tokens", grammar.PLANS[name].classes, train, test)
    if name.startswith(_VECTORS):
        train, test = (_points(name, split) for split in ("train", "test"))
        return ArraySource("vectors", PLANS[name].classes, train, test)
    labels = range(PLANS[name].classes) if name != "boxes" else ()
    return Source(
        tuple(_class_name(name, label) for label in labels),
        _split(name, "train"),
        _split(name, "test"),
        _decode,
    )


def _class_name(name: str, label: int) -> str:
    if name == "fractals":
        return f"system-{label}"
    from bench.data.procedural.glyphs import VARIANTS

    return "family-{}-variant-{}".format(*divmod(label, VARIANTS))
