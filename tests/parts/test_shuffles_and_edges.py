"""Blocks and pixels in another order, and edges: against the definitions, on tensors alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import sobel
from torch.nn.functional import fold, unfold

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts.transforms.block_shuffle import BlockShuffle
from bench.parts.transforms.edges import Edges
from bench.parts.transforms.pixel_permutation import PixelPermutation
from bench.parts.transforms.pixel_shuffle import PixelShuffle

SIDE = 224
IMAGES = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
SMALL = IMAGES[..., :28, :28]
SIZES = (1, 2, 4, 7, 8, 14, 16, 28, 32, 56, 112)


@pytest.mark.parametrize("block", [2, 16, 112])
def test_blocks_are_cut_permuted_and_laid_down_as_in_the_papers_code(block):
    # RandomBlockShuffle of libdata/utils.py: Unfold, an order of the blocks, Fold.
    columns = unfold(IMAGES, kernel_size=block, stride=block)
    order = torch.from_numpy(Stream(5).permutation(columns.shape[-1]))
    expected = fold(columns[..., order], SIDE, kernel_size=block, stride=block)
    assert torch.equal(BlockShuffle(block=block)(IMAGES, Stream(5)), expected)


@pytest.mark.parametrize("block", SIZES)
def test_the_inverse_order_puts_every_block_back(block):
    images = IMAGES[:1]
    shuffled = BlockShuffle(block=block)(images, Stream(5))
    assert not torch.equal(shuffled, images)

    class Inverse(Stream):
        def permutation(self, count):
            return np.argsort(super().permutation(count))

    assert torch.equal(BlockShuffle(block=block)(shuffled, Inverse(5)), images)


def test_one_block_of_the_whole_image_changes_nothing():
    assert torch.equal(BlockShuffle(block=SIDE)(IMAGES, Stream(5)), IMAGES)


def test_every_image_has_one_order_and_every_run_its_own():
    for transform in (BlockShuffle(block=4), PixelShuffle()):
        both = transform(SMALL, Stream(5))
        for row in range(2):
            assert torch.equal(transform(SMALL[row : row + 1], Stream(5))[0], both[row])
        assert not torch.equal(transform(SMALL, Stream(6)), both)
        crops = torch.stack([SMALL, SMALL.flip(-1)], dim=1)
        assert torch.equal(transform(crops, Stream(5))[:, 0], both)


def colours(images):
    """Return the colours of an image's pixels, sorted."""
    return np.array(sorted(map(tuple, images[0].flatten(1).T.tolist())))


def test_blocks_of_one_pixel_keep_its_channels_together_and_pixels_do_not():
    pixels = BlockShuffle(block=1)(SMALL, Stream(5))
    assert np.array_equal(colours(pixels), colours(SMALL))
    mixed = PixelShuffle()(SMALL, Stream(5))
    assert not np.array_equal(colours(mixed), colours(SMALL))
    assert torch.equal(mixed[0].flatten().sort().values, SMALL[0].flatten().sort().values)


def test_pixels_are_permuted_as_in_the_papers_code_and_can_be_put_back():
    # RandomPixelShuffle: flatten(image)[order], reshaped.
    order = torch.from_numpy(Stream(5).permutation(SMALL[0].numel()))
    shuffled = PixelShuffle()(SMALL, Stream(5))
    for before, after in zip(SMALL, shuffled, strict=True):
        assert torch.equal(after, before.flatten()[order].reshape(before.shape))
        assert torch.equal(after.flatten()[order.argsort()].reshape(before.shape), before)


def test_edges_are_the_lengths_of_sobels_gradients():
    found = Edges()(SMALL, Stream(5))
    for image, edges in zip(SMALL.double().numpy(), found, strict=True):
        grey = image.mean(axis=0)
        lengths = np.hypot(sobel(grey, 0, mode="nearest"), sobel(grey, 1, mode="nearest")) / 4
        for channel in edges:
            assert np.allclose(channel, lengths, atol=1e-5)
    crops = SMALL[:, None].expand(-1, 10, -1, -1, -1)
    assert torch.equal(Edges()(crops, Stream(1))[:, 3], found)


def test_an_edge_is_as_high_as_the_plains_differ():
    step = torch.full((1, 3, 6, 8), -0.5)
    step[..., 4:] = 1.5
    found = Edges()(step, Stream(0))[0, 0]
    assert found[:, [3, 4]].numpy() == pytest.approx(2.0)
    assert not found[:, [0, 1, 2, 5, 6, 7]].any()


@pytest.mark.parametrize("transform", [PixelShuffle(), PixelPermutation(), Edges()])
def test_what_is_no_image_is_refused(transform):
    with pytest.raises(UserError, match="of images"):
        transform(torch.zeros(4, 8), Stream(0))


def test_a_pixel_permutation_is_its_number_and_no_seed():
    first, second = PixelPermutation(permutation=1), PixelPermutation(permutation=2)
    assert torch.equal(first(SMALL, Stream(5)), first(SMALL, Stream(6)))
    assert not torch.equal(first(SMALL, Stream(5)), second(SMALL, Stream(5)))
    crops = torch.stack([SMALL, SMALL.flip(-1)], dim=1)
    assert torch.equal(first(crops, Stream(0))[:, 0], first(SMALL, Stream(0)))


def test_a_pixel_permutation_moves_every_pixel_with_its_channels_and_can_be_put_back():
    places = torch.arange(28.0 * 28).reshape(1, 1, 28, 28)
    moved = PixelPermutation(permutation=1)(torch.cat([places, -places, SMALL[:1]], 1), Stream(0))
    order = moved[0, 0].flatten().long()
    assert order.sort().values.equal(torch.arange(28 * 28))
    assert torch.equal(moved[0, 1], -moved[0, 0])
    assert torch.equal(moved[0, 2:].flatten(1), SMALL[0].flatten(1)[:, order])
    # As good as none stays in its place.
    assert (order == torch.arange(28 * 28)).sum() < 8
