"""scikit-learn's digits: rows, the fixed split, and grey levels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bench.data.prepare import prepare
from bench.data.sources.digits import digits_source
from bench.spec.catalogue import entry
from bench.spec.recipe import Image


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    return prepare("digits", Image(resize=8, size=8), cache=tmp_path_factory.mktemp("cache"))


def test_the_last_three_tenths_of_each_class_are_the_test_split(ready):
    target = load_digits().target
    sizes = np.bincount(target)
    assert sizes.sum() == 1797
    assert np.bincount(ready.test.targets).tolist() == [n * 3 // 10 for n in sizes]
    threes = np.flatnonzero(target == 3)
    assert threes[-1] - threes[0] > 1000
    images = load_digits().images[threes[-1]]
    last = ready.test.inputs[np.flatnonzero(ready.test.targets == 3)[-1], :, :, 0]
    assert np.array_equal(last, np.floor(images * 255 / 16 + 0.5).astype(np.uint8))


def test_no_row_is_lost_or_doubled(ready):
    every = np.concatenate([ready.train.inputs, ready.test.inputs])[..., 0]
    expected = np.floor(load_digits().images * 255 / 16 + 0.5).astype(np.uint8)
    assert sorted(map(bytes, every)) == sorted(map(bytes, expected))


def test_it_is_grey_and_uses_the_whole_range(ready):
    images = ready.train.inputs
    assert (images[..., 0] == images[..., 1]).all()
    assert (images[..., 0] == images[..., 2]).all()
    assert (images.min(), images.max()) == (0, 255)


def test_its_digest_is_pinned(ready):
    assert ready.digest == entry("digits").digest


def test_larger_sizes_are_interpolated(tmp_path):
    large = prepare("digits", Image(resize=32, size=32), cache=tmp_path)
    assert large.train.inputs.shape == (1262, 32, 32, 3)
    # Area and bilinear averages of a picture agree but for its borders.
    small = digits_source().train
    mean = np.mean([np.frombuffer(b.data, np.uint8).mean() for b in small.blobs()]) * 255 / 16
    assert abs(large.train.inputs.mean() - mean) < 3
