"""Images as a network is shown them: the files' own again, and how smooth they are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from bench.data.augment import normalised
from bench.errors import DataError
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import SMALL, Inputs
from bench.parts.measurements.input_examples import InputExamples
from bench.spec.recipe import Image

DRAW = np.random.default_rng(3)


class Shown(RandomMeasuring):
    """The test split that is given, as batches of two."""

    def __init__(self, inputs, image=None):
        super().__init__({}, Inputs("none", tuple(inputs.shape[1:])), data=True)
        self.inputs, self.image = inputs, image

    def batches(self, split, batch_size, *, shuffle=None, limit=None):
        assert split == "test"
        rows = torch.arange(len(self.inputs))
        if shuffle is not None:
            rows = torch.from_numpy(shuffle.permutation(len(rows)))
        for part in torch.split(rows[:limit], min(batch_size, 2)):
            yield self.inputs[part], part


def measured(images, rule="imagenet", count=3):
    """Return what is measured of images in 0 … 1, normalised as training does."""
    inputs = normalised(255 * torch.as_tensor(images, dtype=torch.float32), rule)
    return InputExamples(count=count)(Shown(inputs, Image(normalise=rule)))


@pytest.mark.parametrize("rule", ["imagenet", "half"])
def test_the_images_are_the_files_own(rule):
    images = DRAW.uniform(size=(5, 3, 4, 6))
    found = measured(images, rule)
    shown = found.arrays["images"].numpy()
    assert shown.shape == (3, 3, 4, 6)
    assert found.arrays["images"].dtype == torch.float32
    rows = [np.abs(images - each).max(axis=(1, 2, 3)).argmin() for each in shown]
    assert len(set(rows)) == 3
    np.testing.assert_allclose(shown, images[rows], atol=1e-6)
    assert found.metrics["inputs/mean"] == pytest.approx(images[rows].mean(), abs=1e-6)
    assert found.metrics["inputs/deviation"] == pytest.approx(images[rows].std(), abs=1e-6)


def test_rows_are_drawn_alike_whatever_is_done_to_the_inputs():
    images = torch.linspace(0, 1, 4)[:, None, None, None] * torch.rand(4, 1, 2, 2)
    first = InputExamples()(Shown(images)).arrays["images"]
    turned = InputExamples()(Shown(images.flip(-1))).arrays["images"]
    assert first.flip(-1).equal(turned)
    assert not first.equal(images)


def test_what_lies_beyond_is_cut_off_in_the_array_alone():
    images = DRAW.normal(size=(2, 3, 4, 4))
    found = measured(images, count=2)
    assert found.metrics["inputs/deviation"] == pytest.approx(images.std(), rel=1e-5)
    assert (found.arrays["images"].min(), found.arrays["images"].max()) == (0.0, 1.0)


def test_neighbours_of_a_board_are_opposite_and_of_stripes_either():
    board = np.indices((6, 6)).sum(axis=0) % 2.0
    stripes = np.indices((6, 6))[1] % 2.0
    for plane, expected in ((board, -1.0), (stripes, 0.0)):
        found = measured(np.stack([plane] * 3)[None], count=1)
        assert found.metrics["inputs/neighbours"] == pytest.approx(expected, abs=1e-6)


def test_neighbours_are_those_of_a_plain_loop_and_their_order_matters():
    image = DRAW.uniform(size=(1, 3, 5, 4)).cumsum(axis=-1) / 4
    found = measured(image, count=1)
    pairs = []
    for plane in image[0]:
        own = plane - plane.mean()
        for lines in (own, own.T):
            pairs += [pair for line in lines for pair in pairwise(line)]
    one, other = np.array(pairs).T
    expected = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
    assert found.metrics["inputs/neighbours"] == pytest.approx(expected, abs=1e-6)
    shuffled = DRAW.permuted(image.reshape(1, 3, -1), axis=-1).reshape(image.shape)
    assert measured(shuffled, count=1).metrics["inputs/neighbours"] < expected


def test_what_is_no_image_is_an_error():
    with pytest.raises(DataError, match=r"of images, and a row of random has the shape \(8,\)"):
        InputExamples()(RandomMeasuring({}, SMALL, data=True))
    with pytest.raises(DataError, match="of one colour each"):
        InputExamples()(Shown(torch.ones(2, 3, 4, 4)))
