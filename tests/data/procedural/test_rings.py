"""Rings are the same everywhere, not linear, and learnt by their distance and angle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from bench.data.batches import TrainingBatches
from bench.data.digests import array_digest
from bench.data.prepare import prepare
from bench.data.procedural import rings
from bench.data.sources.procedural import procedural_source
from bench.spec.catalogue import entry


@pytest.fixture(scope="module")
def source():
    return procedural_source("rings")


def test_they_come_out_as_pinned(source):
    assert array_digest(source.modality, source.splits) == entry("rings").digest


def test_classes_are_equally_many_points_of_the_plane(source):
    for split, count in (("train", 100), ("test", 50)):
        rows = source.splits[split]
        assert rows.inputs.shape == (10 * count, 2)
        assert rows.inputs.dtype == np.float32
        assert np.bincount(rows.targets).tolist() == [count] * 10
        assert np.abs(rows.inputs).max() < 1.2


def test_a_point_is_by_its_ring_and_half(source):
    x, y = source.train.inputs.astype(np.float64).T
    ring = np.clip(np.rint(np.hypot(x, y) * 5) - 1, 0, 4)
    half = np.floor(((np.arctan2(y, x) / (2 * np.pi) - 0.15 * ring) % 1) * 2)
    right = (2 * ring + half) == source.train.targets
    assert 0.85 < right.mean() < 0.98


def test_points_do_not_depend_on_how_many_are_drawn():
    assert np.array_equal(rings.points(3, "test", 2), rings.points(3, "test", 9)[:2])
    assert not np.array_equal(rings.points(3, "test", 2), rings.points(3, "train", 2))


def test_they_are_prepared_without_a_size(tmp_path, source):
    ready = prepare("rings", None, cache=tmp_path)
    assert (ready.modality, ready.classes, ready.digest) == ("vectors", 10, entry("rings").digest)
    assert isinstance(ready.train.inputs, np.memmap)
    assert np.array_equal(ready.test.inputs, source.test.inputs)
    assert ready.facts == {"train_rows": 1000, "test_rows": 500}


def test_batches_are_gathered_from_the_memory_map(tmp_path, source):
    ready = prepare("rings", None, cache=tmp_path)
    batches = TrainingBatches(
        ready.train,
        np.arange(1000),
        batch_size=20,
        balanced=True,
        image=None,
        augmentation=None,
        seed=0,
        dataset="rings",
        device=torch.device("cpu"),
    )
    inputs, targets = batches.batch(7)
    assert np.array_equal(inputs.numpy(), source.train.inputs[batches.rows(7)])
    assert np.bincount(targets).tolist() == [2] * 10


def test_a_small_perceptron_learns_them_and_a_linear_model_does_not(source):
    def accuracy(*widths: int) -> float:
        torch.manual_seed(0)
        layers: list[torch.nn.Module] = []
        for before, width in pairwise([2, *widths]):
            layers += [torch.nn.Linear(before, width), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers, torch.nn.Linear([2, *widths][-1], 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        inputs, labels = map(torch.from_numpy, (source.train.inputs, source.train.targets))
        for _ in range(250):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        found = model(torch.from_numpy(source.test.inputs)).argmax(1).numpy()
        return float((found == source.test.targets).mean())

    assert accuracy() < 0.45
    assert accuracy(64, 64) > 0.85
