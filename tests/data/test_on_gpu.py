"""Batches for a GPU that is not there: torch follows shapes and devices, and computes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.data import resident
from bench.data.augment import _kept
from bench.data.batches import TrainingBatches, evaluation_batches
from bench.data.prepared import Split
from bench.spec.recipe import Augmentation, Image

# As a job says it: without a number.
GPU = torch.device("cuda")
IMAGE = Image(resize=12, size=8)
ROWS = 23


@pytest.fixture
def gpu(monkeypatch):
    """Let tensors be without content; return how to say how much memory is free."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    from_numpy = torch.from_numpy
    monkeypatch.setattr(torch, "from_numpy", lambda a: mode.from_tensor(from_numpy(np.array(a))))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    # Constants without content must not outlive this test.
    _kept.cache_clear()
    with mode:
        yield lambda free: monkeypatch.setattr(resident, "_room", lambda device: free)
    _kept.cache_clear()


def split() -> Split:
    return Split(np.zeros((ROWS, 12, 12, 3), dtype=np.uint8), np.arange(ROWS) % 7)


@pytest.mark.parametrize("free", [0, 2**30], ids=["copied", "resident"])
@pytest.mark.parametrize("crop", ["random-resized", "random", "centre"])
def test_training_batches_are_made_on_the_gpu(crop, free, gpu):
    gpu(free)
    data = split()
    batches = TrainingBatches(
        data, np.arange(ROWS), batch_size=5, image=IMAGE, augmentation=Augmentation(crop=crop),
        seed=4, dataset="toy", device=GPU,
    )  # fmt: skip
    for step in range(3):
        images, labels = batches.batch(step)
        assert (images.device.type, labels.device.type) == ("cuda", "cuda")
        assert (tuple(images.shape), images.dtype) == ((5, 3, 8, 8), torch.float32)
        assert (tuple(labels.shape), labels.dtype) == ((5,), torch.int64)
    assert (data.resident["cuda"] is not None) == bool(free)


@pytest.mark.parametrize("free", [0, 2**30], ids=["copied", "resident"])
@pytest.mark.parametrize(("crops", "shape"), [(1, (3, 8, 8)), (10, (10, 3, 8, 8))])
def test_scored_batches_are_made_on_the_gpu(crops, shape, free, gpu):
    gpu(free)
    with torch.inference_mode():
        found = evaluation_batches(
            split(), image=IMAGE, crops=crops, batch_size=4, device=GPU, indices=np.arange(4)
        )
        ((images, labels),) = found
    assert (images.device.type, labels.device.type) == ("cuda", "cuda")
    assert tuple(images.shape) == (4, *shape)
