"""Boxes: the target is the extent of what is drawn, to the pixel; and bytes never change."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from bench.data.procedural import boxes, glyphs
from bench.data.sources.procedural import PLANS, Plan, procedural_source


def extents(drawn: np.ndarray) -> np.ndarray:
    """Return left, top, right and bottom of what is True in each image, in pixels, by SciPy."""
    found = []
    for each in drawn:
        (rows, columns), = ndimage.find_objects(each.astype(int))  # fmt: skip
        found.append((columns.start, rows.start, columns.stop, rows.stop))
    return np.array(found)


def edges(targets: np.ndarray) -> np.ndarray:
    """Return the same of targets."""
    centre, size = 64 * targets[:, :2].astype(float), 64 * targets[:, 2:].astype(float)
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


@pytest.mark.parametrize("label", [0, 7, 42, 99])
def test_the_target_is_the_extent_of_the_pixels_that_the_glyph_is_drawn_on(label):
    p = boxes._draws(label, "train", range(40), boxes._GLYPH)
    x, y = boxes._placed(p)
    black = np.zeros((40, 64, 64, 3))
    alone = boxes._drawn(black, glyphs.glyph("boxes", label), x, y, p[:, boxes._PLACE :])
    expected = extents(alone.any(axis=3))
    assert edges(boxes.targets(label, "train", 40)).tolist() == expected.tolist()
    assert (expected[:, :2] >= 0).all()
    assert (expected[:, 2:] <= 64).all()


def test_nothing_but_what_is_in_the_box_changes_with_the_glyph(monkeypatch):
    images, targets = boxes.images(3, "test", 30), boxes.targets(3, "test", 30)
    monkeypatch.setattr(boxes, "_drawn", lambda canvas, *rest: canvas)
    changed = extents((images != boxes.images(3, "test", 30)).any(axis=3))
    inner = np.abs(changed - edges(targets))
    # A pixel that is hardly covered may keep its byte.
    assert (changed[:, :2] >= edges(targets)[:, :2]).all()
    assert (changed[:, 2:] <= edges(targets)[:, 2:]).all()
    assert inner.max() <= 2
    assert inner.mean() < 0.1


def test_a_box_is_its_centre_and_size_as_fractions():
    cover = np.zeros((2, 8, 8))
    cover[0, 2:4, 1:8] = 0.001
    cover[1, 7, 0], cover[1, 5, 3] = 1.0, 0.5
    assert boxes.boxes(cover).tolist() == [
        [4.5 / 8, 3 / 8, 7 / 8, 2 / 8],
        [2 / 8, 6.5 / 8, 4 / 8, 3 / 8],
    ]
    assert boxes.boxes(cover).dtype == np.float32


def test_boxes_are_anywhere_and_of_any_size():
    found = np.concatenate([boxes.targets(label, "train", 60) for label in range(0, 100, 5)])
    x, y, width, height = found.T
    for at in (x, y):
        assert at.min() < 0.2
        assert at.max() > 0.8
        assert abs(at.mean() - 0.5) < 0.02
    for size in (width, height):
        assert size.min() < 0.3
        assert size.max() > 0.75
    assert (np.log(width / height).min(), np.log(width / height).max()) == pytest.approx(
        (-0.9, 0.9), abs=0.3
    )


def test_no_glyph_is_one_of_another_set():
    ours = {glyphs.glyph("boxes", label).duty for label in range(PLANS["boxes"].classes)}
    for name in ("glyphs", "glyphs-source"):
        assert not ours & {glyphs.glyph(name, k).duty for k in range(PLANS[name].classes)}


def test_an_image_does_not_depend_on_how_many_are_made():
    assert np.array_equal(boxes.images(4, "train", 2), boxes.images(4, "train", 52)[:2])
    assert np.array_equal(boxes.targets(4, "train", 2), boxes.targets(4, "train", 52)[:2])


def test_the_source_pairs_images_with_their_boxes_and_has_no_classes(monkeypatch):
    plan = Plan(classes=3, train=8, test=10)
    monkeypatch.setitem(PLANS, "boxes", plan)
    source = procedural_source("boxes")
    assert source.classes is None
    assert source.train.targets.shape == (plan.classes * plan.train, 4)
    assert np.array_equal(source.test.targets[10:20], boxes.targets(1, "test", 10))
    blobs = source.test.blobs()
    eleventh = [next(blobs) for _ in range(11)][-1]
    assert eleventh.data == boxes.images(1, "test", 1)[0].tobytes()


@pytest.mark.parametrize(
    ("label", "split", "digest"),
    [
        (0, "train", "59d58fa920906cf68efa5a2eb96bb9258512c3ae4681d04a085c0aa1a2787d7b"),
        (57, "test", "dc3e7e82b0d0e95ff4f50a3e77750b8976b8cc2fe9f6e4ef8f7f9bdbc37fdeb6"),
    ],
)
def test_the_bytes_are_pinned(label, split, digest):
    found = hashlib.sha256(boxes.images(label, split, 60).tobytes())
    found.update(boxes.targets(label, split, 60).tobytes())
    assert found.hexdigest() == digest
