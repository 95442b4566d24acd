"""Rows gathered from a copy of all: the same bits as those copied batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.cuda._utils import _get_device_index

from bench.data import resident
from bench.data.batches import TrainingBatches, evaluation_batches
from bench.data.prepared import Split
from bench.data.streams import Stream
from bench.spec.recipe import Augmentation, Image

CPU = torch.device("cpu")
IMAGE = Image(resize=12, size=8)
ROWS = 23


def split() -> Split:
    pixels = (Stream(2).raw(ROWS * 12 * 12 * 3) >> np.uint64(56)).astype(np.uint8)
    pixels = pixels.reshape(ROWS, 12, 12, 3)
    pixels.flags.writeable = False
    return Split(pixels, np.arange(ROWS, dtype=np.int64) % 7)


def drawn(data: Split, augmentation: Augmentation) -> list[torch.Tensor]:
    batches = TrainingBatches(
        data, np.arange(ROWS), batch_size=5, image=IMAGE, augmentation=augmentation, seed=4,
        dataset="toy", device=CPU,
    )  # fmt: skip
    return [tensor for step in range(6) for tensor in batches.batch(step)]


def scored(data: Split, crops: int) -> list[torch.Tensor]:
    rows = np.array([3, 1, 22, 7, 7, 0])
    found = evaluation_batches(
        data, indices=rows, image=IMAGE, crops=crops, batch_size=4, device=CPU
    )
    return [tensor for batch in found for tensor in batch]


@pytest.fixture
def kept(monkeypatch):
    """Treat the CPU as a device with memory of its own, of which so many bytes are free."""

    def put(room: int) -> None:
        monkeypatch.setattr(resident, "_KEPT_ON", frozenset({"cpu"}))
        monkeypatch.setattr(resident, "_room", lambda device: room)

    return put


AUGMENTATIONS = [
    Augmentation(),
    Augmentation(crop="random"),
    Augmentation(crop="centre", flip=False),
    Augmentation(resampling="uint8"),
]


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda a: f"{a.crop}-{a.resampling}")
def test_batches_have_the_same_bits(augmentation, kept):
    expected = drawn(split(), augmentation)
    kept(2**30)
    data = split()
    found = drawn(data, augmentation)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    if augmentation.resampling == "float32":
        assert torch.equal(data.resident["cpu"], torch.from_numpy(np.array(data.inputs)))


@pytest.mark.parametrize("crops", [1, 10])
def test_scored_rows_have_the_same_bits(crops, kept):
    expected = scored(split(), crops)
    kept(2**30)
    with torch.inference_mode():
        data = split()
        found = scored(data, crops)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert not data.resident["cpu"].is_inference()


def test_nothing_is_read_of_the_split_once_it_is_there(kept):
    kept(2**30)
    data = split()
    expected = drawn(data, Augmentation())
    blind = Split(np.zeros_like(data.inputs), data.targets)
    blind.resident.update(data.resident)
    assert all(
        torch.equal(a, b) for a, b in zip(drawn(blind, Augmentation()), expected, strict=True)
    )


def test_a_split_of_more_than_a_quarter_of_what_is_free_is_not_kept(kept):
    data = split()
    kept(4 * data.inputs.nbytes - 1)
    assert resident.resident(data, CPU) is None
    expected = drawn(data, Augmentation())
    other = split()
    kept(4 * data.inputs.nbytes)
    assert resident.resident(other, CPU) is not None
    assert all(
        torch.equal(a, b) for a, b in zip(drawn(other, Augmentation()), expected, strict=True)
    )


def test_only_images_are_kept_and_nothing_on_a_cpu(kept):
    assert resident.resident(split(), CPU) is None
    kept(2**30)
    vectors = Split(np.ones((4, 3), dtype=np.float32), np.arange(4))
    assert resident.resident(vectors, CPU) is None


def test_a_split_larger_than_what_is_pinned_at_a_time_comes_whole(kept, monkeypatch):
    kept(2**30)
    monkeypatch.setattr(resident, "_CHUNK", 12 * 12 * 3 * 4 + 1)
    data = split()
    assert np.array_equal(resident.resident(data, CPU).numpy(), data.inputs)


def test_packed_arrays_are_those_that_were_packed(kept):
    arrays = [
        np.arange(5, dtype=np.int64), np.array([True, False, True]), np.arange(6.0).reshape(2, 3),
        np.arange(3, dtype=np.float32)[::-1], np.zeros(0, dtype=np.int64), np.int64(7).reshape(1),
    ]  # fmt: skip
    expected = resident.packed(CPU, arrays)
    kept(2**30)
    for one, other, array in zip(resident.packed(CPU, arrays), expected, arrays, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
        assert np.array_equal(one.numpy(), array)


def told_by_torch(monkeypatch, *, free: int, share: float | None) -> list[object]:
    """Let torch tell of a GPU of 1000 bytes, 100 of them reserved; return whom it was asked of."""
    asked: list[object] = []

    def of(index: object, answer: object) -> object:
        # As torch has it: some of its functions take no device without a number.
        asked.append(_get_device_index(index))
        return answer

    cuda = torch.cuda
    monkeypatch.setattr(cuda, "current_device", lambda: 0)
    monkeypatch.setattr(cuda, "mem_get_info", lambda device: of(device, (free, 1000)))
    monkeypatch.setattr(cuda, "memory_reserved", lambda device: of(device, 100))
    name = "get_per_process_memory_fraction"
    if share is None:
        monkeypatch.delattr(cuda, name, raising=False)
    else:
        monkeypatch.setattr(cuda, name, lambda device: of(device, share), raising=False)
    return asked


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
@pytest.mark.parametrize(
    ("free", "share", "room"),
    [(800, 1.0, 800), (800, 0.5, 400), (300, 0.5, 300), (800, 0.05, 0), (800, None, 800)],
)
def test_room_is_what_is_free_of_the_share(name, free, share, room, monkeypatch):
    asked = told_by_torch(monkeypatch, free=free, share=share)
    assert resident._room(torch.device(name)) == room
    assert asked
    assert set(asked) == {0}
