"""The images of a cell: its subset, what is held out of it, and the batches made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batches import TrainingBatches, evaluation_batches
from bench.data.prepare import Prepared, prepare
from bench.data.subset import holdout, per_class_subset, subset_digest
from bench.scheduling.job import Job
from bench.spec.recipe import Evaluation, Image, Recipe

Indices = NDArray[np.int64]
HeldOut = Literal["test", "validation"]


@dataclass(frozen=True)
class CellData:
    """A prepared dataset with the rows of its training split that a cell uses.

    Attributes
    ----------
    train, validation
        Rows of the training split: trained on, and held out (empty without validation).
    """

    prepared: Prepared
    image: Image
    train: Indices
    validation: Indices
    seed: int

    def training_batches(self, recipe: Recipe, device: torch.device) -> TrainingBatches:
        """Return the augmented batches of a recipe, the same for every method."""
        return TrainingBatches(
            self.prepared.train,
            self.train,
            batch_size=recipe.batch_size,
            balanced=recipe.batches == "balanced",
            image=self.image,
            augmentation=recipe.augmentation,
            seed=self.seed,
            dataset=self.prepared.name,
            device=device,
            channels_last=recipe.channels_last,
        )

    def evaluation_batches(
        self,
        split: HeldOut,
        evaluation: Evaluation,
        device: torch.device,
        *,
        channels_last: bool,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Return the unaugmented batches of a split, in its own order."""
        held_out = split == "validation"
        return evaluation_batches(
            self.prepared.train if held_out else self.prepared.test,
            indices=self.validation if held_out else None,
            image=self.image,
            crops=evaluation.crops,
            batch_size=evaluation.batch_size,
            device=device,
            channels_last=channels_last,
        )

    def provenance(self) -> dict[str, Any]:
        """Return digests and plain facts for the record."""
        tested = len(self.prepared.test.labels)
        return {
            **self.prepared.facts,
            "dataset": self.prepared.digest,
            "subset": subset_digest(self.prepared.digest, self.train),
            "test": subset_digest(f"{self.prepared.digest}/test", np.arange(tested)),
            "train_images": len(self.train),
            "validation_images": len(self.validation),
            "test_images": tested,
            "classes": self.prepared.classes,
        }


def load_data(
    job: Job, image: Image, validation: float = 0.0, validation_seed: int | None = None
) -> CellData:
    """Prepare a cell's dataset and draw its subset; ``validation`` is what is held out of it.

    Which images these are follows from ``validation_seed``, or else from the cell's seed.

    Raises
    ------
    DataError
        If the dataset cannot be had.
    """
    cell = job.cell
    prepared = prepare(cell.dataset, image, job.resources)
    labels = np.asarray(prepared.train.labels)
    rows = per_class_subset(labels, cell.sampling_rate, cell.seed, cell.dataset)
    held_out = rows[:0]
    if validation > 0:
        seed = cell.seed if validation_seed is None else validation_seed
        rows, held_out = holdout(labels, rows, validation, seed, cell.dataset)
    return CellData(prepared, image, rows, held_out, cell.seed)
