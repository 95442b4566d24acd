"""Batches: what is in them, in what order, and what that depends on."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from bench.data.augment import draw_boxes, normalised, resized_boxes
from bench.data.batches import TrainingBatches, evaluation_batches
from bench.data.prepared import Split
from bench.data.streams import Stream
from bench.errors import DataError
from bench.spec.recipe import Augmentation, Image
from bench.spec.seeds import stream_seed

CPU = torch.device("cpu")
PLAIN = Augmentation(crop="centre", flip=False)


def split(count: int, side: int = 8) -> Split:
    pixels = (Stream(2).raw(count * side * side * 3) >> np.uint64(56)).astype(np.uint8)
    return Split(pixels.reshape(count, side, side, 3), np.arange(count, dtype=np.int64) % 7)


def batches(data: Split, **changes) -> TrainingBatches:
    settings = {
        "indices": np.arange(len(data)),
        "batch_size": 4,
        "image": Image(resize=8, size=8, normalise="half"),
        "augmentation": PLAIN,
        "seed": 0,
        "dataset": "toy",
        "device": CPU,
        **changes,
    }
    return TrainingBatches(data, settings.pop("indices"), **settings)


def bytes_of(images: torch.Tensor) -> np.ndarray:
    """Undo ``normalise: half``: (b, 3, h, w) to (b, h, w, 3) uint8."""
    pixels = ((images.double() * 0.5 + 0.5) * 255).round()
    return pixels.permute(0, 2, 3, 1).to(torch.uint8).numpy()


def test_images_and_labels_belong_together():
    data = split(9)
    b = batches(data)
    images, labels = b.batch(1)
    assert images.shape == (4, 3, 8, 8)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert np.array_equal(bytes_of(images), data.inputs[b.rows(1)])
    assert labels.tolist() == data.targets[b.rows(1)].tolist()


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 3))
def test_each_epoch_shows_every_row_once(count, batch_size, seed):
    rows = np.arange(count) * 3 + 1
    b = batches(split(1), indices=rows, batch_size=batch_size, seed=seed)
    seen = np.concatenate([b.rows(step) for step in range(3 * count)])
    assert all(len(b.rows(step)) == batch_size for step in range(3))
    for epoch in range(3):
        assert sorted(seen[epoch * count : (epoch + 1) * count].tolist()) == rows.tolist()


def test_epochs_have_other_orders():
    b = batches(split(50), batch_size=50)
    assert b.rows(0).tolist() != b.rows(1).tolist()


def test_any_step_can_be_had_at_any_time():
    data = split(11)
    one, other = (batches(data, augmentation=Augmentation(), seed=3) for _ in range(2))
    forward = [one.batch(step)[0] for step in range(40)]
    for step in (39, 0, 17, 5):
        assert torch.equal(other.batch(step)[0], forward[step])


def test_the_order_depends_on_seed_and_dataset():
    data = split(40)
    base = batches(data).rows(0).tolist()
    assert batches(data).rows(0).tolist() == base
    assert batches(data, seed=1).rows(0).tolist() != base
    assert batches(data, dataset="other").rows(0).tolist() != base


def test_augmentation_does_not_change_the_order():
    data = split(40)
    assert np.array_equal(batches(data, augmentation=Augmentation()).rows(2), batches(data).rows(2))


def test_augmentation_differs_between_steps_and_images():
    data = Split(np.repeat(split(1).inputs, 4, axis=0), np.zeros(4, dtype=np.int64))
    b = batches(data, augmentation=Augmentation())
    first, second = b.batch(0)[0], b.batch(1)[0]
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_random_crops_are_windows_of_the_image_or_its_mirror():
    data = split(6, side=12)
    b = batches(
        data,
        image=Image(resize=12, size=8, normalise="half"),
        augmentation=Augmentation(crop="random"),
    )
    kinds = Counter()
    for step in range(12):
        found = bytes_of(b.batch(step)[0])
        for row, window in zip(b.rows(step), found, strict=True):
            whole = data.inputs[row]
            places = [
                (y, x, flip)
                for y in range(5)
                for x in range(5)
                for flip in (False, True)
                if np.array_equal(window, whole[y : y + 8, x : x + 8][:, :: -1 if flip else 1])
            ]
            assert len(places) == 1
            kinds[places[0]] += 1
    assert {flip for *_, flip in kinds} == {False, True}
    assert len({place[:2] for place in kinds}) > 10


def test_channels_last_is_a_layout_and_no_other_content():
    data = split(6)
    plain = batches(data, augmentation=Augmentation()).batch(0)[0]
    last = batches(data, augmentation=Augmentation(), channels_last=True).batch(0)[0]
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert plain.is_contiguous()
    assert torch.equal(plain, last)


def test_training_on_nothing_is_an_error():
    with pytest.raises(ValueError, match="no row"):
        batches(split(3), indices=[])


def test_evaluation_shows_the_centre_of_all_rows_in_order():
    data = split(7, side=11)
    image = Image(resize=11, size=8, normalise="half")
    found = list(evaluation_batches(data, image=image, batch_size=3, device=CPU))
    assert [len(labels) for _, labels in found] == [3, 3, 1]
    assert torch.cat([labels for _, labels in found]).tolist() == data.targets.tolist()
    expected = tv.center_crop(torch.from_numpy(data.inputs).permute(0, 3, 1, 2), [8, 8])
    images = torch.cat([images for images, _ in found])
    assert np.array_equal(bytes_of(images), expected.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("side", [8, 11, 12])
def test_ten_crops_are_torchvisions(side):
    data = split(3, side=side)
    image = Image(resize=side, size=8, normalise="half")
    ((images, _),) = evaluation_batches(data, image=image, crops=10, batch_size=5, device=CPU)
    assert images.shape == (3, 10, 3, 8, 8)
    expected = tv.ten_crop(torch.from_numpy(data.inputs).permute(0, 3, 1, 2), [8, 8])
    for k, crop in enumerate(expected):
        assert np.array_equal(bytes_of(images[:, k]), crop.permute(0, 2, 3, 1).numpy())


def test_evaluation_can_be_of_some_rows():
    data = split(9)
    image = Image(resize=8, size=8, normalise="half")
    ((images, labels),) = evaluation_batches(
        data, indices=[4, 2], image=image, batch_size=8, device=CPU
    )
    assert labels.tolist() == [4, 2]
    assert np.array_equal(bytes_of(images), data.inputs[[4, 2]])


@given(st.integers(1, 3), st.integers(0, 3), st.integers(7, 40))
def test_balanced_batches_hold_equally_many_of_each_class(share, seed, count):
    data = split(count)
    b = batches(data, batch_size=7 * share, balanced=True, seed=seed)
    for step in range(5):
        assert np.bincount(data.targets[b.rows(step)]).tolist() == [share] * 7


def test_balanced_batches_show_every_row_of_a_class_once_an_epoch_of_its_own():
    data = split(7 * 2 + 3)  # three rows of classes 0 to 2, two of the others
    b = batches(data, batch_size=7, balanced=True)
    seen = np.stack([b.rows(step) for step in range(6)])
    for label, size in enumerate([3, 3, 3, 2, 2, 2, 2]):
        rows = np.flatnonzero(data.targets == label).tolist()
        column = seen[:, label].tolist()
        assert [sorted(column[i : i + size]) for i in range(0, 6, size)] == [rows] * (6 // size)


def test_balanced_batches_depend_on_the_seed_and_on_no_step_before():
    data = split(70)
    one, other = (batches(data, batch_size=14, balanced=True, seed=s) for s in (0, 1))
    again = batches(data, batch_size=14, balanced=True, seed=0)
    assert one.rows(9).tolist() == again.rows(9).tolist()
    assert one.rows(9).tolist() != other.rows(9).tolist()
    assert one.rows(0).tolist() != again.rows(9).tolist()


def test_a_batch_that_cannot_be_balanced_is_refused_with_what_would_do():
    with pytest.raises(DataError, match="multiple of 7"):
        batches(split(20), batch_size=8, balanced=True)


@pytest.mark.parametrize(
    ("crop", "balanced", "recorded"),
    [
        ("random", False, "2e1e8dae2269f079"),
        ("random", True, "0203a19c67786780"),
        ("centre", False, "f0f62ab525f37c25"),
        ("centre", True, "e2801832c9743b21"),
    ],
)
def test_batches_of_images_are_what_they_were_before_other_data(crop, balanced, recorded):
    # Digests of the pixels (whole numbers, the same on every machine) taken at that time.
    data = split(70, side=12)
    b = batches(
        data,
        batch_size=14,
        balanced=balanced,
        seed=5,
        image=Image(resize=12, size=8, normalise="half"),
        augmentation=Augmentation(crop=crop),
    )
    digest = hashlib.sha256()
    for step in (0, 4, 5, 31):
        images, labels = b.batch(step)
        digest.update(bytes_of(images).tobytes() + labels.numpy().astype("<i8").tobytes())
    assert digest.hexdigest().startswith(recorded)


@pytest.mark.parametrize("channels_last", [False, True])
def test_resized_batches_are_the_augmentations_own_of_rows_and_streams(channels_last):
    data, image = split(30, side=12), Image(resize=12, size=8)
    b = batches(data, seed=5, image=image, augmentation=Augmentation(), channels_last=channels_last)
    order = Stream(stream_seed(5, "order", "toy"), jump=0).permutation(30)
    for step in (0, 3):
        rows = order[4 * step : 4 * step + 4]
        stream = Stream(stream_seed(5, "augmentation", "toy"), jump=step)
        boxes = draw_boxes(stream, 4, image, Augmentation())
        pixels = resized_boxes(torch.from_numpy(data.inputs[rows]), boxes, 8)
        memory = torch.channels_last if channels_last else torch.contiguous_format
        expected = normalised(pixels, "imagenet").contiguous(memory_format=memory)
        images, labels = b.batch(step)
        assert torch.equal(images, expected)
        assert images.stride() == expected.stride()
        assert labels.tolist() == data.targets[rows].tolist()


# data that are no images


def rows_of(count: int, numbers: bool = False) -> Split:
    inputs = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    targets = inputs[:, :2] / 2 if numbers else np.arange(count, dtype=np.int64) % 7
    return Split(inputs, targets)


def plain(data: Split, **changes) -> TrainingBatches:
    return batches(data, image=None, augmentation=None, **changes)


def test_other_data_come_as_they_are_in_the_order_of_images():
    data = rows_of(40)
    b = plain(data, seed=2)
    for step in (0, 11):
        inputs, targets = b.batch(step)
        rows = batches(split(40), seed=2).rows(step)
        assert np.array_equal(inputs.numpy(), data.inputs[rows])
        assert inputs.dtype == torch.float32
        assert targets.tolist() == data.targets[rows].tolist()
    inputs, targets = plain(rows_of(40, numbers=True)).batch(0)
    assert torch.equal(targets, inputs[:, :2] / 2)


def test_tokens_stay_whole_numbers():
    data = Split(np.arange(20).reshape(5, 4), np.zeros(5, dtype=np.int64))
    assert plain(data).batch(0)[0].dtype == torch.int64


def test_other_data_are_evaluated_in_order():
    data = rows_of(9)
    found = list(evaluation_batches(data, indices=[4, 2, 8], image=None, batch_size=2, device=CPU))
    assert [len(targets) for _, targets in found] == [2, 1]
    assert np.array_equal(torch.cat([x for x, _ in found]).numpy(), data.inputs[[4, 2, 8]])


def test_what_needs_images_or_classes_says_so():
    with pytest.raises(DataError, match="crops"):
        evaluation_batches(rows_of(4), image=None, crops=10, batch_size=2, device=CPU)
    with pytest.raises(DataError, match="numbers, not classes"):
        plain(rows_of(14, numbers=True), balanced=True, batch_size=7)
    with pytest.raises(ValueError, match="both"):
        batches(rows_of(4), image=None)


# transforms


@dataclass(frozen=True)
class Noise:
    random: bool

    def __call__(self, inputs: torch.Tensor, stream: Stream) -> torch.Tensor:
        return inputs + torch.from_numpy(stream.uniform(inputs[0].numel())).view_as(inputs[0])


@dataclass(frozen=True)
class Doubled:
    random: bool = False

    def __call__(self, inputs: torch.Tensor, stream: Stream) -> torch.Tensor:
        return inputs * 2


def test_a_fixed_transform_is_the_same_in_every_batch_of_training_and_evaluation():
    data, fixed = rows_of(12), {"noise": Noise(random=False)}
    b = plain(data, transforms=fixed, seed=3)
    drawn = Stream(stream_seed(3, "transform", "noise")).uniform(3)
    for step in (0, 5):
        moved = b.batch(step)[0].double().numpy() - data.inputs[b.rows(step)]
        np.testing.assert_allclose(moved, np.tile(drawn, (4, 1)), atol=1e-5)
    ((inputs, _),) = evaluation_batches(
        data, image=None, batch_size=12, device=CPU, transforms=fixed, seed=3
    )
    np.testing.assert_allclose(inputs.numpy() - data.inputs, np.tile(drawn, (12, 1)), atol=1e-5)


def test_a_random_transform_draws_anew_at_every_step_and_not_in_evaluation():
    data, anew = rows_of(12), {"noise": Noise(random=True)}
    b = plain(data, transforms=anew, seed=3)
    for step in (0, 5):
        drawn = Stream(stream_seed(3, "transform", "noise", "toy"), jump=step).uniform(3)
        moved = b.batch(step)[0].double().numpy() - data.inputs[b.rows(step)]
        np.testing.assert_allclose(moved, np.tile(drawn, (4, 1)), atol=1e-5)
    ((inputs, _),) = evaluation_batches(
        data, image=None, batch_size=12, device=CPU, transforms=anew
    )
    assert np.array_equal(inputs.numpy(), data.inputs)


def test_transforms_run_in_order_after_normalisation():
    data = split(6)
    both = {"noise": Noise(random=False), "doubled": Doubled()}
    image, first = batches(data).batch(0)[0], Stream(stream_seed(0, "transform", "noise"))
    drawn = torch.from_numpy(first.uniform(3 * 64)).view(3, 8, 8)
    torch.testing.assert_close(
        batches(data, transforms=both).batch(0)[0], 2 * (image + drawn), check_dtype=False
    )


def test_each_of_ten_crops_is_transformed_as_an_image():
    data, image = split(3, side=12), Image(resize=12, size=8)
    settings = {"image": image, "crops": 10, "batch_size": 3, "device": CPU}
    ((plainly, _),) = evaluation_batches(data, **settings)
    ((doubled, _),) = evaluation_batches(
        data, **settings, transforms={"doubled": Doubled()}, seed=0
    )
    assert torch.equal(doubled, 2 * plainly)


def test_a_fixed_transform_in_evaluation_needs_the_seed():
    with pytest.raises(ValueError, match="seed"):
        evaluation_batches(
            rows_of(3), image=None, batch_size=3, device=CPU, transforms={"doubled": Doubled()}
        )
