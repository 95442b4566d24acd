"""The data of a task: its subset, what is held out of it, and the batches made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batches import Batches, TrainingBatches, evaluation_batches
from bench.data.prepare import Prepared, prepare
from bench.data.subset import holdout, long_tail, of_classes, per_class_subset, subset_digest
from bench.errors import UserError
from bench.parts.compose import load_part
from bench.parts.kinds import Drawn, Objective, Transform
from bench.spec.cell import Resources
from bench.spec.recipe import Augmentation, Evaluation, HeldOut, Image, Recipe
from bench.spec.work import Task

Indices = NDArray[np.int64]
Split = Literal["test", "validation", "train"]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TaskData:
    """A prepared dataset with the rows of its training split that a task uses.

    Attributes
    ----------
    train, validation
        Rows of the training split: trained on, and held out (empty without validation).
    """

    task: Task
    prepared: Prepared
    objective: Objective
    transforms: Mapping[str, Transform]
    image: Image | None
    augmentation: Augmentation | None
    train: Indices
    validation: Indices
    seed: int

    @property
    def width(self) -> int:
        """Number of outputs that the objective asks of the head."""
        return self.objective.width(self.prepared)

    def training_batches(self, recipe: Recipe, device: torch.device, trainings: int = 0) -> Batches:
        """Return the augmented batches of a recipe, the same for every method.

        ``trainings`` are behind the network; see `bench.spec.seeds.origin`.
        """
        return TrainingBatches(
            self.prepared.train,
            self.train,
            batch_size=recipe.batch_size,
            balanced=recipe.batches == "balanced",
            image=self.image,
            augmentation=self.augmentation,
            transforms=self.transforms,
            seed=self.seed,
            dataset=self.prepared.name,
            device=device,
            channels_last=recipe.channels_last,
            trainings=trainings,
            views=self.objective.views,
        )

    def evaluation_batches(
        self,
        split: Split,
        evaluation: Evaluation,
        device: torch.device,
        *,
        channels_last: bool = False,
        rows: Indices | None = None,
    ) -> Iterator[Batch]:
        """Return the unaugmented batches of a split, in its own order, or of some rows of it."""
        own = {"test": None, "validation": self.validation, "train": self.train}
        return evaluation_batches(
            self.prepared.test if split == "test" else self.prepared.train,
            indices=own[split] if rows is None else rows,
            image=self.image,
            transforms=self.transforms,
            crops=evaluation.crops,
            batch_size=evaluation.batch_size,
            seed=self.seed,
            device=device,
            channels_last=channels_last,
        )

    def provenance(self) -> dict[str, Any]:
        """Return digests and plain facts for the record."""
        tested = len(self.prepared.test)
        facts = {
            **self.prepared.facts,
            "dataset": self.prepared.digest,
            "subset": subset_digest(self.prepared.digest, self.train),
            "test": subset_digest(f"{self.prepared.digest}/test", np.arange(tested)),
            "train_images": len(self.train),
            "validation_images": len(self.validation),
            "test_images": tested,
        }
        if self.prepared.classes is not None:
            facts["classes"] = self.prepared.classes
        return facts


def load_task(
    task: Task,
    seed: int,
    resources: Resources,
    *,
    recipe: Recipe | None = None,
    held_out: HeldOut | None = None,
) -> TaskData:
    """Prepare a task's data and draw its subset.

    Parameters
    ----------
    recipe
        Says what is held out, and the images where the task does not.
    held_out
        What is held out where there is no recipe; nothing by default.

    Raises
    ------
    DataError
        If the dataset cannot be had, or its targets are not what the objective asks for.
    """
    image = task.image or (recipe.image if recipe is not None else None)
    prepared = prepare(task.dataset, image, resources)
    objective: Objective = load_part("objective", task.objective, resources.plugins)
    objective.width(prepared)
    targets = np.asarray(prepared.train.targets)
    counts = partial(_counts, targets, prepared.classes)
    rows = per_class_subset(targets, task.sampling_rate, seed, task.dataset)
    if task.long_tail is not None:
        rows = long_tail(targets, task.long_tail.imbalance, rows, seed, task.dataset)
    drawn = counts(rows)
    if task.train_classes is not None:
        # After the tail: a class's count is that of the whole set's tail.
        rows = of_classes(targets, task.train_classes, rows, task.dataset)
    validation = rows[:0]
    held_out = recipe.held_out if recipe is not None else held_out
    if held_out is not None:
        by = seed if held_out.seed is None else held_out.seed
        rows, validation = holdout(targets, rows, held_out.share, by, task.dataset)
    return TaskData(
        task=task,
        prepared=prepared,
        objective=objective.drawn(Drawn(drawn, counts(rows))),
        transforms={
            use.name: load_part("transform", use, resources.plugins) for use in task.transforms
        },
        image=image,
        augmentation=task.augmentation or (recipe.augmentation if recipe is not None else None),
        train=rows,
        validation=validation,
        seed=seed,
    )


def _counts(targets: NDArray[Any], classes: int | None, rows: Indices) -> tuple[int, ...]:
    """Return how many of the rows each class has; nothing where targets are numbers."""
    if classes is None:
        return ()
    return tuple(np.bincount(targets[rows], minlength=classes).tolist())


def input_shape(data: Sequence[TaskData]) -> tuple[int, ...]:
    """Return the shape of one row as it goes into the network; tasks must agree on it.

    Images may differ in size: a convolutional network takes any.

    Raises
    ------
    UserError
        If inputs of two tasks have different shapes.
    """
    shapes = {each.prepared.input_shape(each.image or Image()): each for each in data}
    if len(shapes) > 1 and any(each.image is None for each in data):
        said = ", ".join(f"{each.prepared.name}: {shape}" for shape, each in shapes.items())
        raise UserError(f"the tasks' inputs differ in shape: {said}", field="tasks")
    return next(iter(shapes))
