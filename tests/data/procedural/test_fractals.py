"""Function systems as Anderson and Farrell 2022 sample them, and images that vary."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from bench.data.procedural import fractals
from bench.data.streams import Stream


@pytest.mark.parametrize("count", [2, 3, 4])
def test_singular_values_are_ordered_and_have_the_papers_sum(count):
    sums = []
    for seed in range(300):
        s = fractals._singular_values(Stream(seed), count)
        assert (s[:, 0] <= 1).all()
        assert (s[:, 1] <= s[:, 0]).all()
        assert (s[:, 1] >= 0).all()
        sums.append((s[:, 0] + 2 * s[:, 1]).sum())
    assert (5 + count) / 2 <= min(sums)
    assert max(sums) <= (6 + count) / 2
    assert abs(np.mean(sums) - (5.5 + count) / 2) < 0.05


def test_maps_have_the_singular_values_they_were_made_of(monkeypatch):
    wanted = np.array([[0.9, 0.3], [0.7, 0.6]])
    monkeypatch.setattr(fractals, "_singular_values", lambda stream, count: wanted[:count])
    # The first number of a stream says how many maps there are: below a third, two.
    two_maps = next(seed for seed in range(50) if Stream(seed).uniform(1) < 1 / 3)
    made = fractals._candidate(Stream(two_maps))
    found = np.linalg.svd(made.maps[:, :, :2], compute_uv=False)
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_allclose(made.cumulative, [0.27 / 0.69, 1.0], atol=1e-9)


def test_every_class_fills_an_eighth_of_the_canvas():
    for label in range(0, fractals.CLASSES, 9):
        made = fractals.system(label)
        draws = Stream(99).uniform(200 * 84).reshape(1, 84, 200)
        x, y = fractals._walk(made.maps[None], fractals._choose(draws, made.cumulative), 14)
        counts = fractals._counts(x, y, np.ones(1), np.full((1, 2), 0.5))
        # Another walk fills about what the walk that chose the class did.
        assert np.count_nonzero(counts) > 0.9 * fractals.LEAST_FILL * 64 * 64


def test_walkers_follow_the_maps():
    maps = Stream(4).uniform(2 * 3 * 6, -0.5, 0.5).reshape(2, 3, 2, 3)
    choices = (Stream(5).uniform(2 * 7 * 2) * 3).astype(np.int64).reshape(2, 7, 2)
    x, y = fractals._walk(maps, choices, 3)
    for image in range(2):
        expected = []
        places = [np.zeros(2), np.zeros(2)]
        for step in range(7):
            for walker in range(2):
                m = maps[image, choices[image, step, walker]]
                places[walker] = m[:, :2] @ places[walker] + m[:, 2]
            if step >= 3:
                expected += [p.copy() for p in places]
        np.testing.assert_allclose(np.stack([x[image], y[image]], 1), expected, atol=1e-12)


def test_all_points_are_counted_within_the_zoomed_box():
    x, y = Stream(6).uniform(2000).reshape(2, 2, 500)
    counts = fractals._counts(x, 0.5 * y, np.array([1.0, 0.5]), np.zeros((2, 2)))
    assert counts.sum(axis=(1, 2)).tolist() == [500, 500]
    assert not counts[1, 32:].any()
    assert not counts[1, :, 32:].any()
    assert counts[0, :, 63].any()


def test_a_varied_map_never_expands():
    maps = fractals.system(3).maps
    which, factor = Stream(8).uniform(500), Stream(9).uniform(500, 0.6, 1.4)
    varied = fractals._varied(maps, which, factor)
    largest = np.linalg.svd(varied[..., :2], compute_uv=False)[..., 0]
    assert largest.max() <= 0.99 + 1e-9


def test_dilation_is_scipys():
    density = Stream(10).uniform(2 * 64 * 64).reshape(2, 64, 64)
    patch = Stream(11).uniform(18).reshape(2, 9)
    for k in range(2):
        footprint = (patch[k] < 0.4).reshape(3, 3)
        footprint[1, 1] = True
        # SciPy's grey dilation mirrors its footprint.
        expected = ndimage.grey_dilation(
            density[k], footprint=footprint[::-1, ::-1], mode="constant", cval=0
        )
        assert np.array_equal(fractals._dilated(density, patch)[k], expected)


def test_an_image_does_not_depend_on_how_many_are_made():
    assert np.array_equal(fractals.images(2, "train", 3), fractals.images(2, "train", 53)[:3])


def test_splits_and_classes_differ():
    one = fractals.images(2, "train", 2)
    assert not np.array_equal(one, fractals.images(2, "test", 2))
    assert not np.array_equal(one, fractals.images(3, "train", 2))
    assert not np.array_equal(one[0], one[1])


@pytest.mark.parametrize(
    ("label", "split", "count", "digest"),
    [
        (0, "train", 200, "875a02e98bc8983d5df1695766d0b99e343762db503375160924e87f495873e6"),
        (57, "test", 20, "beb5094e4f6661204be06d58e992b09af260e6a7c52eda898af93e64220b9d32"),
    ],
)
def test_the_bytes_are_pinned(label, split, count, digest):
    found = fractals.images(label, split, count)
    assert hashlib.sha256(found.tobytes()).hexdigest() == digest
