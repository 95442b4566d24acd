"""Each operation against torchvision, or a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from PIL import Image as Pillow
from scipy import stats

from bench.data.augment import (
    Boxes,
    centre,
    draw_boxes,
    levels_of_boxes,
    mirrored,
    normalised,
    resize_weights,
    resized_boxes,
)
from bench.data.pixels import augmented
from bench.data.prepared import Split
from bench.data.streams import Stream
from bench.spec.recipe import Augmentation, Image


def pictures(count: int, side: int) -> torch.Tensor:
    words = Stream(5).raw(count * side * side * 3) >> np.uint64(56)
    return torch.from_numpy(words.astype(np.uint8).reshape(count, side, side, 3))


def boxes(*rows: tuple[int, int, int, int, bool]) -> Boxes:
    top, left, height, width, flip = (np.array(column) for column in zip(*rows, strict=True))
    return Boxes(top, left, height, width, flip.astype(bool))


def test_the_whole_image_at_its_own_size_is_unchanged():
    images = pictures(2, 16)
    out = resized_boxes(images, boxes((0, 0, 16, 16, False), (0, 0, 16, 16, True)), 16)
    assert torch.equal(out[0], images[0].permute(2, 0, 1).float())
    assert torch.equal(out[1], images[1].permute(2, 0, 1).float().flip(-1))


def test_a_box_of_the_output_size_is_cut_exactly():
    images = pictures(1, 20)
    out = resized_boxes(images, boxes((3, 7, 9, 9, False)), 9)
    assert torch.equal(out[0], images[0, 3:12, 7:16].permute(2, 0, 1).float())


@pytest.mark.parametrize(
    "box",
    [(0, 0, 40, 40), (5, 9, 13, 22), (31, 2, 7, 38), (12, 12, 1, 1), (0, 1, 39, 3)],
    ids=str,
)
@pytest.mark.parametrize("size", [8, 24, 40])
def test_resizing_a_box_is_torchvisions(box, size):
    images = pictures(1, 40)
    expected = tv.resized_crop(
        images.permute(0, 3, 1, 2).double(), *box, [size, size], antialias=True
    )
    out = resized_boxes(images, boxes((*box, False)), size)
    torch.testing.assert_close(out.double(), expected, atol=2e-3, rtol=0)


def test_a_ramp_stays_a_ramp():
    # Values equal to the pixel's centre: bilinear sampling gives the sampled coordinate itself.
    ramp = torch.arange(32, dtype=torch.float32) + 0.5
    start, length, size = 4, 8, 16
    weights = resize_weights(
        torch.tensor([start]), torch.tensor([length]), 32, size, torch.tensor([False])
    )[0]
    expected = start + (torch.arange(size) + 0.5) * length / size
    torch.testing.assert_close((weights @ ramp)[1:-1], expected[1:-1])
    # The half pixel beyond the box's border repeats its outermost pixel.
    assert (weights @ ramp)[[0, -1]].tolist() == [4.5, 11.5]


def test_normalising_is_torchvisions():
    images = pictures(2, 8).permute(0, 3, 1, 2)
    for rule, mean, deviation in (
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("half", [0.5] * 3, [0.5] * 3),
        # (x - 128) / 64 of numbers up to 255.
        ("quarter", [128 / 255] * 3, [64 / 255] * 3),
    ):
        expected = tv.normalize(images.double() / 255, mean, deviation)
        torch.testing.assert_close(
            normalised(images.float(), rule).double(), expected, atol=1e-6, rtol=1e-5
        )


def test_only_the_named_images_are_mirrored():
    images = pictures(3, 4).permute(0, 3, 1, 2)
    out = mirrored(images, np.array([True, False, True]))
    assert torch.equal(out[0], images[0].flip(-1))
    assert torch.equal(out[1], images[1])
    assert torch.equal(out[2], images[2].flip(-1))


@pytest.mark.parametrize("excess", range(6))
def test_the_centre_is_torchvisions(excess):
    ramp = torch.arange(10 + excess).repeat(10 + excess, 1)[None]
    assert int(centre(10 + excess, 10)) == int(tv.center_crop(ramp, [10, 10])[0, 0, 0])


def drawn(count: int, augmentation: Augmentation, image: Image) -> Boxes:
    return draw_boxes(Stream(11), count, image, augmentation)


def test_random_resized_boxes_have_torchvisions_distribution():
    image = Image(resize=256, size=224)
    found = drawn(4000, Augmentation(), image)
    torch.manual_seed(0)
    from torchvision.transforms import RandomResizedCrop

    blank = torch.empty(3, 256, 256)
    other = np.array(
        [RandomResizedCrop.get_params(blank, [0.08, 1.0], [0.75, 4 / 3]) for _ in range(4000)]
    )
    for ours, theirs in zip(found[:4], other.T, strict=True):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
    assert stats.binomtest(int(found.flip.sum()), 4000).pvalue > 1e-3


def test_random_resized_boxes_lie_within_scale_ratio_and_image():
    augmentation = Augmentation(scale=(0.3, 0.6), ratio=(0.8, 1.25))
    b = drawn(2000, augmentation, Image(resize=200, size=100))
    assert min(b.top.min(), b.left.min()) >= 0
    assert max((b.top + b.height).max(), (b.left + b.width).max()) <= 200
    area, ratio = b.height * b.width / 200**2, b.width / b.height
    assert 0.295 < area.min() < 0.31
    assert 0.59 < area.max() < 0.605
    assert 0.79 < ratio.min() < 0.82
    assert 1.22 < ratio.max() < 1.27


@pytest.mark.parametrize(
    ("ratio", "box"),
    [
        ((3.0, 4.0), (33, 0, 33, 100)),
        ((0.25, 0.5), (0, 25, 100, 50)),
        ((0.9, 1.1), (0, 0, 100, 100)),
    ],
)
def test_where_no_try_fits_the_largest_centred_box_is_taken(ratio, box, monkeypatch):
    if ratio == (0.9, 1.1):
        # A whole-area box fits only at aspect 1: let every try miss.
        monkeypatch.setattr("bench.data.augment._box_sizes", lambda *_: (np.zeros(5, int),) * 2)
    b = drawn(5, Augmentation(scale=(1.0, 1.0), ratio=ratio), Image(resize=100, size=50))
    top, left, height, width = box
    assert set(b.height.tolist()) == {height}
    assert set(b.width.tolist()) == {width}
    assert set(b.left.tolist()) == {left}
    # torchvision truncates where the centre falls on a half; 33.5 is rounded to even here.
    assert set(b.top.tolist()) <= {top, top + 1}


def test_random_crops_reach_every_offset_and_centre_crops_only_the_middle():
    image = Image(resize=12, size=8)
    b = drawn(500, Augmentation(crop="random"), image)
    assert set(b.top.tolist()) == set(b.left.tolist()) == {0, 1, 2, 3, 4}
    b = drawn(50, Augmentation(crop="centre", flip=False), image)
    assert set(b.top.tolist()) == set(b.left.tolist()) == {2}
    assert not b.flip.any()


def smooth(count: int, side: int) -> np.ndarray:
    """Return pictures of edges and noise, ``(count, side, side, 3)`` uint8, read-only."""
    images = pictures(count, side).numpy().copy()
    images[:, side // 3 :, side // 2 :] //= 4
    images.flags.writeable = False
    return images


@pytest.mark.parametrize(("side", "size"), [(64, 48), (64, 16), (40, 56)])
def test_boxes_in_whole_levels_are_pillows_and_torchvisions_within_one(side, size):
    inputs, rows = smooth(12, side), np.array([3, 0, 11, 3, 5, 7, 8])
    drawn_boxes = drawn(len(rows), Augmentation(), Image(resize=side, size=1))
    found = levels_of_boxes(inputs, rows, drawn_boxes, size)
    assert found.dtype == np.uint8
    assert found.shape == (len(rows), size, size, 3)
    for place, row in enumerate(rows):
        top, left, height, width = (int(part[place]) for part in drawn_boxes[:4])
        box = inputs[row, top : top + height, left : left + width].copy()
        box = box[:, ::-1].copy() if drawn_boxes.flip[place] else box
        pillow = Pillow.fromarray(box).resize((size, size), Pillow.Resampling.BILINEAR)
        ours = found[place].astype(int)
        assert abs(ours - np.asarray(pillow, dtype=int)).max() <= 1
        theirs = tv.resize(torch.from_numpy(box).permute(2, 0, 1), [size, size], antialias=True)
        assert abs(ours - theirs.permute(1, 2, 0).numpy().astype(int)).max() <= 1


def test_both_ways_of_resampling_are_within_one_level():
    inputs, rows = smooth(6, 64), np.arange(6)
    cut = drawn(6, Augmentation(flip=False), Image(resize=64, size=48))
    exact = resized_boxes(torch.from_numpy(inputs.copy()), cut, 48)
    levels = torch.from_numpy(levels_of_boxes(inputs, rows, cut, 48)).permute(0, 3, 1, 2)
    # Rows and columns are each rounded, by half a level at most.
    assert (exact - levels).abs().max() < 1.05


def test_batches_in_whole_levels_are_mirrored_and_normalised_as_any_other():
    inputs = smooth(8, 32)
    split, rows = Split(inputs, np.arange(8)), np.arange(8)
    image, device = Image(resize=32, size=24), torch.device("cpu")
    one, other = (
        augmented(split, rows, image, Augmentation(resampling=how), Stream(3), device)
        for how in ("float32", "uint8")
    )
    assert other.dtype == torch.float32
    assert not torch.equal(one, other)
    # One level of 255, and the smallest of the deviations.
    assert (one - other).abs().max() <= 1.05 / 255 / 0.224
    levels = other * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1) * 255
    levels += torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1) * 255
    assert (levels - levels.round()).abs().max() < 1e-3
