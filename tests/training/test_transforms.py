"""A task's transforms: the same change of what is trained on and of what is scored."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.errors import UserError
from bench.scheduling.job import ParentArtifact
from bench.spec.cell import START, Resources
from bench.spec.recipe import SGD, Augmentation, Evaluation, Optimizer
from bench.training.execute import execute
from bench.training.task_data import Split, TaskData, load_task
from tests.training.conftest import RECIPE, Build, left, task, use

BLOCK = 8
SIDE = 32 // BLOCK
CPU = torch.device("cpu")
RECIPE = RECIPE.model_copy(
    update={"augmentation": Augmentation(crop="centre", flip=False), "validation": 0.3}
)
SHUFFLED = task(transforms=(use("block-shuffle", block=BLOCK),))


def _data(resources: Resources, shuffled: bool, seed: int = 0) -> TaskData:
    return load_task(SHUFFLED if shuffled else task(), seed, resources, recipe=RECIPE)


def _blocks(images: Tensor) -> np.ndarray:
    """Return images ``(b, 3, 32, 32)`` as ``(b, blocks, values)``, row by row."""
    array = images.contiguous().numpy()
    cut = [
        array[:, :, y * BLOCK : (y + 1) * BLOCK, x * BLOCK : (x + 1) * BLOCK]
        for y, x in itertools.product(range(SIDE), repeat=2)
    ]
    return np.stack([block.reshape(len(array), -1) for block in cut], axis=1)


def _order(before: Tensor, after: Tensor) -> list[int]:
    """Return which of the first image's blocks now stands where, as far as the pixels tell."""
    ours, theirs = _blocks(before)[0], _blocks(after)[0]
    return [int(np.flatnonzero((ours == block).all(1))[0]) for block in theirs]


def _moved(before: Tensor, order: list[int]) -> np.ndarray:
    return _blocks(before)[:, order]


def _scored(data: TaskData, split: Split, crops: int = 1) -> Tensor:
    evaluation = Evaluation(crops=crops, batch_size=5)
    return torch.cat([x for x, _ in data.evaluation_batches(split, evaluation, CPU)])


@pytest.mark.parametrize("seed", [0, 1])
def test_blocks_are_shuffled_alike_in_training_and_in_every_split(
    resources: Resources, seed: int
) -> None:
    plain, shuffled = _data(resources, False, seed), _data(resources, True, seed)
    ours, theirs = (d.training_batches(RECIPE, CPU) for d in (plain, shuffled))
    order = _order(ours.batch(0)[0], theirs.batch(0)[0])
    assert sorted(order) == list(range(SIDE**2))
    assert order != sorted(order)
    for step in (0, 1, 7):
        (before, x), (after, y) = ours.batch(step), theirs.batch(step)
        np.testing.assert_array_equal(_blocks(after), _moved(before, order))
        assert torch.equal(x, y)
    splits: tuple[Split, ...] = ("test", "validation", "train")
    for split in splits:
        np.testing.assert_array_equal(
            _blocks(_scored(shuffled, split)), _moved(_scored(plain, split), order)
        )


def test_every_crop_is_shuffled_alike(resources: Resources) -> None:
    plain, shuffled = (_scored(_data(resources, s), "test", 10) for s in (False, True))
    assert plain.shape == shuffled.shape == (12, 10, 3, 32, 32)
    order = _order(plain[:, 0], shuffled[:, 0])
    for crop in range(10):
        np.testing.assert_array_equal(_blocks(shuffled[:, crop]), _moved(plain[:, crop], order))


def test_a_seed_has_an_order_of_its_own(resources: Resources) -> None:
    orders = [
        _order(_scored(_data(resources, False, seed), "test"),
               _scored(_data(resources, True, seed), "test"))
        for seed in range(3)
    ]  # fmt: skip
    assert len({tuple(order) for order in orders}) == 3


def test_methods_of_one_seed_share_the_order(job: Build) -> None:
    # With a head of zeros and no rate, all that differs is what the network was shown.
    still = RECIPE.model_copy(update={"optimizer": Optimizer(sgd=SGD(lr=0.0))})
    tasks = {"": SHUFFLED}
    first = execute(job(still, tasks=tasks)).curves["train/cross_entropy"]
    assert execute(job(still, {"bss": {}}, tasks=tasks)).curves["train/cross_entropy"] == first
    assert execute(job(still)).curves["train/cross_entropy"] != first


def test_the_source_is_scored_as_it_was_trained_on(job: Build) -> None:
    # The child's own images are not shuffled, and its seed is another.
    first = job(RECIPE.model_copy(update={"steps": 8}), tasks={"": SHUFFLED}, keep={"checkpoint"})
    learnt = execute(first)
    parent: ParentArtifact = left(first, learnt)
    child = job(
        RECIPE.model_copy(update={"forgetting": True}), weights="stage", parents={START: parent},
        trainable="head", seed=1,
    )  # fmt: skip
    outcome = execute(child)
    assert outcome.metrics["source/loss"] == learnt.metrics["test/loss"]
    assert outcome.metrics["source/forgotten"] == 0


def test_blocks_that_do_not_fill_an_image_are_refused(job: Build) -> None:
    with pytest.raises(UserError, match=r"32 by 32 pixels .* whole blocks of 7"):
        execute(job(tasks={"": task(transforms=(use("block-shuffle", block=7),))}))
