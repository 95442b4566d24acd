"""What is left of the source: its test splits, the adapted features, its own detached heads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.errors import WeightsError
from bench.models.head import head_of
from bench.models.network import Network
from bench.scheduling.job import Job
from bench.spec.cell import START
from bench.spec.metrics import prefix_of
from bench.spec.recipe import Recipe
from bench.training.evaluate import evaluate, named
from bench.training.task_data import load_task


class Source:
    """The tasks that a cell was adapted from.

    They are those of the cell whose checkpoint this one starts from: its datasets, its image
    sizes, and the heads it was trained with, which stay as they were (Varno et al. 2020, section
    6.2.1).

    Parameters
    ----------
    heads
        The source's heads by task, each a linear layer's state.

    Raises
    ------
    WeightsError
        If the cell starts from no other cell.
    DataError
        If the source's dataset cannot be had.
    """

    def __init__(
        self, job: Job, heads: Mapping[str, Mapping[str, Tensor]], device: torch.device
    ) -> None:
        parent = job.parents.get(START)
        if parent is None or parent.cell.recipe is None:
            raise WeightsError(
                "forgetting is measured on the task of the stage that a cell starts from, and "
                "this cell starts from none",
                field="recipe.forgetting",
                remedy="use weights: stage:NAME, or forgetting: false",
            )
        assert job.cell.recipe is not None
        self._ours: Recipe = job.cell.recipe
        self._theirs: Recipe = parent.cell.recipe
        self._device = device
        self._data = {
            name: load_task(task, parent.cell.seed, job.resources, recipe=self._theirs)
            for name, task in parent.cell.tasks.items()
        }
        self._heads = {
            name: head_of(heads[name]).requires_grad_(False).to(device) for name in self._data
        }

    def score(self, network: Network, step: int) -> dict[str, float]:
        """Return the metrics on each source's test split, as ``source/NAME``.

        Raises
        ------
        NotANumber
            If one is not finite.
        """
        found: dict[str, float] = {}
        for name, data in self._data.items():
            batches = data.evaluation_batches(
                "test",
                self._theirs.evaluation,
                self._device,
                channels_last=self._ours.channels_last,
            )
            metrics = evaluate(
                network,
                batches,
                data.objective,
                # What is private to a task of the source was not made for ours.
                task=next(iter(network.heads)),
                precision=self._ours.precision,
                head=self._heads[name],
            )
            found |= named(f"{prefix_of(name)}source", metrics, step)
        return found

    def forgotten(
        self, before: Mapping[str, float], after: Mapping[str, float]
    ) -> dict[str, float]:
        """Return how much worse each source's score is than before the first step."""
        found = {}
        for name, data in self._data.items():
            score = f"{prefix_of(name)}source/{data.objective.score}"
            sign = 1.0 if data.objective.higher_is_better() else -1.0
            found[f"{prefix_of(name)}source/forgotten"] = sign * (before[score] - after[score])
        return found

    def datasets(self) -> dict[str, str]:
        """Return the digest of each source's dataset, by its name."""
        return {data.prepared.name: data.prepared.digest for data in self._data.values()}
