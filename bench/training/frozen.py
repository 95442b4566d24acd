"""Features of a frozen backbone in the place of inputs: computed once for all that share them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batches import Batches, TrainingBatches
from bench.data.features import FeatureTable, feature_table
from bench.data.resident import on_device
from bench.data.subset import subset_digest
from bench.errors import UserError
from bench.models.checkpoint import state_sha256
from bench.models.network import Features, Network
from bench.parts.kinds import Objective, Trainable
from bench.records.code import code_digests, units_of
from bench.scheduling.job import Job
from bench.spec.frozen_features import obstacle
from bench.spec.parts import Kind, Part, find_part
from bench.spec.recipe import Evaluation, Recipe
from bench.spec.work import Train, plain
from bench.training.loop import set_trainable
from bench.training.numerics import autocast
from bench.training.provenance import machine, versions
from bench.training.task_data import Batch, Indices, Split, TaskData

# The code that features depend on; what is trained on them may have other code.
_CODE = ("train", "network:", "patch:", "trainable:", "transform:", "data:")


@dataclass(frozen=True)
class FeatureData(TaskData):
    """A task's data with features for inputs.

    Attributes
    ----------
    table
        Of a split; ``train`` has the rows that are held out too.
    used
        The tables asked for so far.
    """

    table: Callable[[Split], FeatureTable]
    used: Mapping[Split, FeatureTable]

    def training_batches(self, recipe: Recipe, device: torch.device, trainings: int = 0) -> Batches:
        """Return the same rows at the same steps as without a table."""
        batches = super().training_batches(recipe, device, trainings)
        assert isinstance(batches, TrainingBatches)
        return _FeatureBatches(batches, self.table("train"), self.prepared.train.targets, device)

    def evaluation_batches(
        self,
        split: Split,
        evaluation: Evaluation,
        device: torch.device,
        *,
        channels_last: bool = False,
        rows: Indices | None = None,
    ) -> Iterator[Batch]:
        """Return the same rows in the same batches as without a table."""
        targets = (self.prepared.test if split == "test" else self.prepared.train).targets
        wanted = _rows(self, split) if rows is None else rows
        table, size = self.table(split), evaluation.batch_size
        parts = (wanted[start : start + size] for start in range(0, len(wanted), size))
        return (_batch(table, targets, part, device) for part in parts)

    def provenance(self) -> dict[str, Any]:
        """Return what is recorded without a table, and the digests of those that were used."""
        digests = {split: self.used[split].sha256 for split in sorted(self.used)}
        return {**super().provenance(), "features": digests}


class _FeatureBatches:
    """The batches of a training, looked up."""

    def __init__(
        self,
        batches: TrainingBatches,
        table: FeatureTable,
        targets: NDArray[Any],
        device: torch.device,
    ) -> None:
        self._batches = batches
        self._table = table
        self._targets = targets
        self._device = device

    def batch(self, step: int) -> Batch:
        return _batch(self._table, self._targets, self._batches.rows(step), self._device)


def _batch(
    table: FeatureTable, targets: NDArray[Any], rows: Indices, device: torch.device
) -> Batch:
    return table.of(rows, device).as_subclass(Features), on_device(device, targets[rows])


def _rows(data: TaskData, split: Split) -> Indices:
    if split == "test":
        return np.arange(len(data.prepared.test))
    return data.validation if split == "validation" else data.train


class FrozenBackbone:
    """A network's body that no step changes, as it is when this is made.

    Parameters
    ----------
    network
        On its device, patched, as it is before the first step.
    trainable
        What freezes it.

    Raises
    ------
    UserError
        If something of the body trains or is in training mode, or the recipe asks for what
        features computed once do not have.
    """

    def __init__(self, job: Job, network: Network, trainable: Trainable) -> None:
        assert isinstance(job.cell.work, Train)
        self._job = job
        self._work = job.cell.work
        self._network = network
        found = obstacle(self._work, self._part)
        if found is not None:
            raise _error(found.problem, found.remedy)
        set_trainable(network, trainable)
        _check_frozen(network)
        self._states = self._digests()

    def data(self, task: str, data: TaskData) -> FeatureData:
        """Return a task's data with this backbone's features for inputs.

        Raises
        ------
        UserError
            If the objective has a ``learn`` of its own, which may make other inputs of them.
        """
        if type(data.objective).learn is not Objective.learn:
            raise _error(
                f"{data.task.objective.name} makes its own inputs", "use objective: classification"
            )
        used: dict[Split, FeatureTable] = {}

        def table(split: Split) -> FeatureTable:
            if split not in used:
                used[split] = self._table(task, data, split)
            return used[split]

        return FeatureData(**vars(data), table=table, used=used)

    def check_unchanged(self) -> None:
        """Compare the body with what it was: features of another one would be another's.

        Raises
        ------
        UserError
            If it is another.
        """
        if self._digests() != self._states:
            raise _error(
                "the backbone is not what it was before the first step",
                f"use another update than {self._work.update.name}, and a network that does not "
                "change when it is run",
            )

    def _digests(self) -> dict[str, str]:
        found = {}
        for task in self._network.tasks:
            with self._network.as_task(task) as backbone:
                found[task] = state_sha256(backbone.state_dict())
        return found

    def _part(self, kind: Kind, name: str) -> Part:
        part = find_part(kind, name, self._job.resources.plugins)
        assert part is not None
        return part

    def _table(self, task: str, data: TaskData, split: Split) -> FeatureTable:
        # A result may differ in its last bit with the size of the batch that a row comes in, so
        # that rows come in such as they would at every step, and as they are scored.
        recipe = self._work.recipe
        rows, size = _rows(data, split), recipe.evaluation.batch_size
        computed = rows
        if split == "train":
            rows, size = np.union1d(data.train, data.validation), recipe.batch_size
            computed = np.resize(rows, -(-len(rows) // size) * size)
        of = {
            **self._depends_on(task, data),
            "rows": subset_digest(f"{data.prepared.digest}/{split}", rows),
            "batch_size": size,
        }
        return feature_table(of, rows, partial(self._features, task, data, split, computed, size))

    def _depends_on(self, task: str, data: TaskData) -> dict[str, Any]:
        """Return all that a row's features depend on, but for the row and the batch it is in."""
        work, recipe = self._work, self._work.recipe
        units = [
            unit
            for unit in units_of(self._job.cell, self._job.resources)
            if unit.name.startswith(_CODE)
        ]
        return {
            "network": plain(work.network, whole=True),
            "backbone": self._states[task],
            "patches": plain(work.patches, whole=True),
            "trainable": plain(work.trainable, whole=True),
            "dataset": data.prepared.name,
            "image": plain(data.image, whole=True),
            "transforms": plain(data.task.transforms, whole=True),
            "seed": data.seed if data.transforms else None,
            "precision": recipe.precision,
            "channels_last": recipe.channels_last,
            "code": code_digests(units),
            "versions": versions(),
            "machine": machine(self._device, self._job.threads),
        }

    def _features(
        self, task: str, data: TaskData, split: Split, rows: Indices, size: int
    ) -> Iterator[Tensor]:
        """Yield the features of rows, so many at a time, on the CPU."""
        recipe = self._work.recipe
        batches = data.evaluation_batches(
            split,
            Evaluation(batch_size=size),
            self._device,
            channels_last=recipe.channels_last,
            rows=rows,
        )
        for index, (inputs, _) in enumerate(batches):
            with torch.inference_mode():
                if index == 0:
                    _check_rows_alone(self._network, inputs, task)
                with autocast(recipe.precision, self._device):
                    yield self._network(inputs, task=task).features.cpu()

    @property
    def _device(self) -> torch.device:
        return next(self._network.parameters()).device


def _check_frozen(network: Network) -> None:
    for name, parameter in network.body().named_parameters():
        if parameter.requires_grad:
            raise _error(f"{name.partition('.')[2]} trains", "freeze all but the head")
    for part in network.body():
        for name, module in part.named_modules():
            if module.training:
                raise _error(
                    f"{name or 'the backbone'} ({type(module).__name__}) is in training mode",
                    "put all but the head into evaluation mode",
                )


def _check_rows_alone(network: Network, inputs: Tensor, task: str) -> None:
    """See that a row's features neither depend on those beside it nor are drawn.

    A module may do so in evaluation mode too: a normalisation without running statistics, or a
    dropout that is always active.

    Raises
    ------
    UserError
        If they do.
    """
    half = -(-len(inputs) // 2)
    other = torch.cat([inputs[:half], inputs[:half]])[: len(inputs)]
    features, again = (network(x, task=task).features[:half].double() for x in (inputs, other))
    # A thousandth is far above rounding, and far below what a dropout or another batch does.
    if not torch.allclose(features, again, rtol=0, atol=1e-3 * float(features.abs().max())):
        raise _error(
            "the network gives the same row other features in another batch",
            "its normalisations need running statistics, and its dropouts evaluation mode",
        )


def _error(problem: str, remedy: str) -> UserError:
    return UserError(
        f"features cannot be computed once: {problem}",
        field="recipe.frozen_features",
        remedy=f"{remedy}, or use frozen_features: every-step",
    )
