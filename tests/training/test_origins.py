"""What a training draws is not what its ancestors drew, whatever the seed; methods stay paired."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.data.batches import TrainingBatches
from bench.models.checkpoint import load_checkpoint
from bench.models.weights import load_backbone
from bench.scheduling.job import Job, ParentArtifact
from bench.spec.cell import START, Resources
from bench.spec.seeds import origin, stream_seed
from bench.spec.work import Measure, Start
from bench.training.execute import execute
from bench.training.task_data import load_task
from tests.training.conftest import METHODS, RECIPE, Build, job_of, left, task, use

WIDE = RECIPE.model_copy(update={"steps": 1})


def _head(job: Job) -> tuple[torch.Tensor, ParentArtifact]:
    """Return the head before the first step, and the checkpoint of the training."""
    outcome = execute(job)
    start = load_checkpoint(left(job, outcome, "checkpoint@start").path)
    return start.heads[""]["weight"], left(job, outcome)


def _cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))


@pytest.mark.parametrize("seed", [0, 3])
def test_a_new_head_is_neither_the_sources_first_head_nor_that_of_its_source(
    job: Build, seed: int
) -> None:
    keep = {"checkpoint@start", "checkpoint"}
    heads = []
    parents: dict[str, ParentArtifact] = {}
    for _ in range(3):
        weights = "stage" if parents else "random"
        made = job(WIDE, seed=seed, weights=weights, parents=parents, keep=keep)
        head, checkpoint = _head(made)
        heads.append(head)
        parents = {START: checkpoint}
    # Of 288 independent numbers a cosine has a standard deviation of 0.06.
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert abs(_cosine(heads[first], heads[second])) < 0.3


def test_a_network_trained_from_scratch_does_not_begin_as_a_source_of_its_seed(job: Build) -> None:
    starts = []
    for dataset in ("noise", "stripes", "noise"):
        made = job(WIDE, tasks={"": task(dataset)}, keep={"checkpoint@start"}, threads=1)
        outcome = execute(made)
        starts.append(load_checkpoint(left(made, outcome, "checkpoint@start").path))
    first, second, again = starts
    name = "layer1.0.conv1.weight"
    assert torch.equal(first.backbone[name], again.backbone[name])
    assert abs(_cosine(first.backbone[name], second.backbone[name])) < 0.1
    shared = first.heads[""]["weight"][:2], second.heads[""]["weight"][:2]
    assert abs(_cosine(*shared)) < 0.3


def test_a_penaltys_measurement_looks_at_the_random_start_of_its_training(
    job: Build, resources: Resources, tmp_path: Path
) -> None:
    training = job(WIDE, seed=2, keep={"checkpoint@start"})
    start = left(training, execute(training), "checkpoint@start")
    both = {
        "first": Start("test_resnet", "random", training.cell.work.datasets),
        "second": Start("test_resnet", "stage"),
    }
    measured = execute(
        job_of(
            Measure(use("distance"), both), tmp_path, resources, seed=2, parents={"second": start}
        )
    )
    assert measured.metrics["distance"] == 0


def test_all_methods_begin_with_one_head(job: Build, source: ParentArtifact) -> None:
    heads = [
        _head(
            job(
                WIDE, METHODS[method], weights="stage", parents={START: source},
                keep={"checkpoint@start", "checkpoint"},
            )
        )[0]
        for method in ("l2", "l2-sp+bss")
    ]  # fmt: skip
    assert torch.equal(*heads)


def test_a_checkpoint_counts_the_trainings_behind_it(job: Build, resources: Resources) -> None:
    parents: dict[str, ParentArtifact] = {}
    for count in (1, 2, 3):
        weights = "stage" if parents else "random"
        made = job(WIDE, weights=weights, parents=parents, keep={"checkpoint"})
        parents = {START: left(made, execute(made))}
        path, sha256 = parents[START].path, parents[START].sha256
        assert load_checkpoint(path).trainings == count
        loaded = load_backbone(
            "test_resnet", "stage", seed=0, resources=resources, parent=(path, sha256)
        )
        assert loaded.trainings == count
    assert load_backbone("test_resnet", "random", seed=0, resources=resources).trainings == 0
    shipped = load_backbone("test_resnet", "shipped:fractals", seed=0, resources=resources)
    assert shipped.trainings == 1


def _rows(batches: TrainingBatches, steps: int = 4) -> NDArray[np.int64]:
    return np.stack([batches.rows(step) for step in range(steps)])


def test_order_and_augmentation_are_not_the_sources(resources: Resources) -> None:
    data = load_task(task(), 0, resources, recipe=RECIPE)
    cpu = torch.device("cpu")
    first, second, again = (data.training_batches(RECIPE, cpu, n) for n in (0, 1, 1))
    assert not np.array_equal(_rows(first), _rows(second))
    assert torch.equal(second.batch(2)[0], again.batch(2)[0])
    # One row in a set of one: what differs is the augmentation alone.
    lone = {"batch_size": 1}
    alone = [
        load_task(task(), 0, resources, recipe=RECIPE).training_batches(
            RECIPE.model_copy(update=lone), cpu, n
        )
        for n in (0, 1)
    ]
    for batches in alone:
        batches._order = type(batches._order)(np.array([5]), 1, 0)  # type: ignore[call-arg]
    assert not torch.equal(alone[0].batch(0)[0], alone[1].batch(0)[0])


def test_which_images_there_are_is_the_same_for_a_stage_and_its_children(
    job: Build, resources: Resources, source: ParentArtifact
) -> None:
    # Else what a stage held out would be trained on by its children, and the other way round.
    recipe = WIDE.model_copy(update={"validation": 0.3})
    child = execute(job(recipe, weights="stage", parents={START: source}))
    fresh = execute(job(recipe))
    for fact in ("subset", "validation_images"):
        assert child.provenance.data[fact] == fresh.provenance.data[fact]


def test_dropout_is_not_the_sources(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    states = []

    def spy(*args: object, **kwargs: object) -> tuple[None, int]:
        states.append(torch.get_rng_state())
        return None, 1

    first = job(WIDE, keep={"checkpoint"})
    parent = left(first, execute(first))
    monkeypatch.setattr("bench.training.train_cell.train", spy)
    for again in (
        job(WIDE),
        job(WIDE, weights="stage", parents={START: parent}),
        job(WIDE, METHODS["l2"], weights="stage", parents={START: parent}),
    ):
        execute(again)
    assert not torch.equal(states[0], states[1])
    assert torch.equal(states[1], states[2])


def test_no_two_of_seed_stream_and_origin_have_one_key() -> None:
    streams = ("head", "order", "augmentation", "dropout", "transform")
    keys = {
        stream_seed(seed, stream, *origin(trainings))
        for seed, stream, trainings in product(range(20), streams, range(4))
    }
    assert len(keys) == 20 * len(streams) * 4
