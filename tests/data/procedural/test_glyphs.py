"""Glyphs: families, slight variants, nuisances; and bytes that never change."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bench.data.procedural import glyphs
from bench.data.sources.procedural import PLANS, class_images, procedural_source
from bench.data.streams import Stream


def test_variants_differ_slightly_and_families_clearly():
    made = [glyphs.glyph("glyphs-source", label) for label in range(100)]
    for family in range(25):
        group = made[family * 4 : family * 4 + 4]
        amplitudes = np.array([np.hypot(g.cosines, g.sines) for g in group])
        # ±35% about one family amplitude: no two differ by more than 1.35/0.65.
        assert (amplitudes.max(axis=0) / amplitudes.min(axis=0) <= 1.35 / 0.65 + 1e-9).all()
        frequencies = [g.frequency for g in group]
        assert max(frequencies) / min(frequencies) <= 1.3 / 0.7 + 1e-9
        angles = [g.angle for g in group]
        assert (max(angles) - min(angles)) * 2 * np.pi <= 1.0 + 1e-3
        aspects = [g.aspect for g in group]
        assert max(aspects) / min(aspects) <= 1.12 / 0.88 + 1e-9
        assert [len(g.spots) for g in group] == [1, 1, 2, 2]
        assert len({g.duty for g in group}) == 1
    assert len({g.duty for g in made}) == 25


def test_glyphs_and_its_source_share_no_family():
    ours = {glyphs.glyph("glyphs", label).duty for label in range(20)}
    theirs = {glyphs.glyph("glyphs-source", label).duty for label in range(100)}
    assert not ours & theirs


def test_the_outline_is_the_stated_series():
    shape = glyphs.glyph("glyphs", 6)
    x, y = np.meshgrid(np.linspace(-1.3, 1.3, 64), np.linspace(-1.3, 1.3, 64))
    theta, radius = np.arctan2(y, x), np.hypot(x, y)
    amplitude = np.hypot(shape.cosines, shape.sines)
    phase = np.arctan2(shape.sines, shape.cosines)
    series = sum(
        a * np.cos(k * theta + p) for k, a, p in zip(range(2, 7), amplitude, phase, strict=True)
    )
    outline = 0.8 * (1 + series)
    cover = glyphs.body(shape, x[None], y[None])[0]
    np.testing.assert_allclose(cover, np.clip((outline - radius) * 14 + 0.5, 0, 1), atol=1e-9)


def test_without_nuisance_the_body_is_in_the_middle_and_upright():
    x, y = glyphs._placed(np.zeros((1, 5)), 1.21)
    line = ((np.arange(64) + 0.5) / 32 - 1) / 0.78
    np.testing.assert_allclose(x[0, 5], line / 1.1, atol=1e-12)
    np.testing.assert_allclose(y[0, :, 5], line * 1.1, atol=1e-12)


def test_a_quarter_turn_and_a_shift_place_the_body_there():
    p = np.zeros((1, 5))
    p[0, 0] = 0.25 / (0.35 * glyphs.NUISANCE)
    p[0, 2] = 0.2 / (0.45 * glyphs.NUISANCE)
    x, y = glyphs._placed(p, 1.0)
    line = (np.arange(64) + 0.5) / 32 - 1
    # Turned by a quarter, the body's x axis lies along the canvas's y axis.
    np.testing.assert_allclose(x[0, :, 7], line / 0.78, atol=1e-9)
    np.testing.assert_allclose(y[0, 7], -(line - 0.2) / 0.78, atol=1e-9)


def test_stripes_take_their_share_of_a_period():
    shape = glyphs.glyph("glyphs", 0)
    line = np.linspace(-20, 20, 64 * 64 * 16).reshape(16, 64, 64)
    angle = shape.angle * 2 * np.pi
    stripes, _ = glyphs.marks(shape, line * np.cos(angle), line * np.sin(angle))
    assert abs(stripes.mean() - shape.duty) < 0.03


def test_an_image_does_not_depend_on_how_many_are_made():
    few, many = (glyphs.images("glyphs", 4, "train", n) for n in (2, 52))
    assert np.array_equal(few, many[:2])


def test_splits_classes_and_sets_differ():
    one = glyphs.images("glyphs", 4, "train", 2)
    assert not np.array_equal(one, glyphs.images("glyphs", 4, "test", 2))
    assert not np.array_equal(one, glyphs.images("glyphs", 5, "train", 2))
    assert not np.array_equal(one, glyphs.images("glyphs-source", 4, "train", 2))


def test_mean_colour_does_not_tell_the_class():
    means = [class_images("glyphs", label, "train").mean(axis=(1, 2)) for label in range(4)]
    within = np.mean([m.std(axis=0) for m in means])
    between = np.std([m.mean(axis=0) for m in means], axis=0).mean()
    assert between < 0.5 * within


def test_rows_of_a_source_are_its_classes_in_order():
    source = procedural_source("glyphs")
    assert len(source.class_names) == PLANS["glyphs"].classes == 20
    assert source.class_names[7] == "family-1-variant-3"
    blobs = source.test.blobs()
    first = class_images("glyphs", 0, "test")
    assert next(blobs).data == first[0].tobytes()
    assert source.test.targets.tolist() == np.repeat(np.arange(20), 30).tolist()


def test_the_first_classes_of_a_set_have_its_images():
    plan, whole = PLANS["glyphs-source-50"], PLANS["glyphs-source"]
    assert (plan.classes, plan.train, plan.test) == (50, whole.train, whole.test)
    for split in ("train", "test"):
        ours = class_images("glyphs-source-50", 49, split)
        assert np.array_equal(ours, class_images("glyphs-source", 49, split))


@pytest.mark.parametrize(
    ("name", "label", "split", "digest"),
    [
        ("glyphs", 7, "train", "f58ffd0c412f8ae24e446791198c08316ae0017b8bb26a9d3f3e0d6c3973dc54"),
        ("glyphs", 19, "test", "445c09898b57a900ae6aa7e9c2b8bdac6b76b081e8d8300a43d571be1c905499"),
        (
            "glyphs-source", 3, "test",
            "2f261c1da2ec13426202585e6472d00be4f434ff493231e7a9d7d1d8db1f738d",
        ),
        (
            "glyphs-source", 98, "train",
            "574d513c61796cc578b8934a1f8797fa0612fe8ad414343ea8ac55266c6d4f7a",
        ),
    ],
)  # fmt: skip
def test_the_bytes_are_pinned(name, label, split, digest):
    found = class_images(name, label, split)
    assert hashlib.sha256(found.tobytes()).hexdigest() == digest


def test_noise_is_centred():
    grey = np.full((1, 64, 64, 3), 0.5)
    grain = Stream(3).uniform(64 * 64).reshape(1, 64, 64)
    lit = glyphs._lit(grey, np.zeros((1, 3)), grain)
    assert abs(lit.mean() - 0.5) < 0.005
    assert abs(lit.std() - 0.25 * glyphs.NUISANCE / np.sqrt(12)) < 0.002
