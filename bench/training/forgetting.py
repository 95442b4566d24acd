"""What is left of earlier tasks: their test splits, the adapted features, their own old heads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.errors import WeightsError
from bench.models.checkpoint import load_heads
from bench.models.head import head_of
from bench.models.network import Network
from bench.scheduling.job import Job
from bench.spec.cell import Cell, Resources, sources_in
from bench.spec.metrics import RETAKEN, prefix_of
from bench.spec.recipe import Recipe
from bench.training.evaluate import evaluate, named
from bench.training.statistics import average_anew, put_back, running
from bench.training.task_data import TaskData, load_task

Heads = Mapping[str, Mapping[str, Tensor]]


class Sources:
    """All tasks that a cell's network was trained on before.

    They are those of the cell whose checkpoint it starts from, those of the cell which that one
    started from, and so on.

    Parameters
    ----------
    heads
        By task, those of the checkpoint that the cell starts from, each a linear layer's state.
        Those of earlier ones are read from the checkpoints that are the job's other parents.

    Raises
    ------
    WeightsError
        If the cell starts from no other cell, or a checkpoint cannot be read.
    DataError
        If an earlier dataset cannot be had.
    """

    def __init__(self, job: Job, heads: Heads, device: torch.device) -> None:
        parents = sources_in(job.parents)
        if not parents:
            raise WeightsError(
                "forgetting is measured on the task of the stage that a cell starts from, and "
                "this cell starts from none",
                field="recipe.forgetting",
                remedy="use weights: stage:NAME, or forgetting: false",
            )
        assert job.cell.recipe is not None
        self._all: list[Source] = []
        for name, parent in parents.items():
            own = load_heads(parent.path, parent.sha256) if self._all else heads
            source = Source(name, parent.cell, job.cell.recipe, own, job.resources, device)
            self._all.append(source)

    def score(self, network: Network, step: int) -> dict[str, float]:
        """Return the metrics on each earlier task's test split: ``source/NAME``, ``source2/NAME``.

        Raises
        ------
        NotANumber
            If one is not finite.
        """
        return {name: v for each in self._all for name, v in each.score(network, step).items()}

    def forgotten(
        self, before: Mapping[str, float], after: Mapping[str, float]
    ) -> dict[str, float]:
        """Return how much worse each earlier task's score is than before the first step."""
        return {name: v for s in self._all for name, v in s.forgotten(before, after).items()}

    def datasets(self) -> dict[str, str]:
        """Return the digest of each earlier task's dataset, by its name."""
        return {name: d for each in self._all for name, d in each.datasets().items()}


class Source:
    """The tasks of one cell, in whose checkpoint their heads lie.

    Its datasets and image sizes are used, and the heads it was trained with, which stay as they
    were (Varno et al. 2020, section 6.2.1).

    Parameters
    ----------
    name
        What metrics begin with.
    cell
        The earlier one.
    ours
        The recipe of the cell whose network is scored.
    """

    def __init__(
        self,
        name: str,
        cell: Cell,
        ours: Recipe,
        heads: Heads,
        resources: Resources,
        device: torch.device,
    ) -> None:
        assert cell.recipe is not None
        self._name = name
        self._ours = ours
        self._theirs: Recipe = cell.recipe
        self._device = device
        self._data = {
            task: load_task(said, cell.seed, resources, recipe=self._theirs)
            for task, said in cell.tasks.items()
        }
        self._heads = {
            task: head_of(heads[task]).requires_grad_(False).to(device) for task in self._data
        }

    def score(self, network: Network, step: int) -> dict[str, float]:
        """Return the metrics on the test split of each task, as ``NAME/METRIC``.

        Where the recipe says so, once more with the running statistics of batch normalisations
        re-taken on the task's own training rows: ``NAME/retaken/METRIC``. The network is left as
        it was, its statistics bit for bit.
        """
        found: dict[str, float] = {}
        for task, data in self._data.items():
            prefix = f"{prefix_of(task)}{self._name}"
            metrics = self._metrics(network, task, data)
            found |= named(prefix, metrics, step)
            if self._ours.forgetting_statistics == "retaken-too":
                with put_back(network):
                    if running(network):
                        average_anew(network, {_any_task(network): data}, self._as_theirs())
                        metrics = self._metrics(network, task, data)
                found |= named(f"{prefix}/{RETAKEN}", metrics, step)
        return found

    def _metrics(self, network: Network, task: str, data: TaskData) -> dict[str, float]:
        batches = data.evaluation_batches(
            "test", self._theirs.evaluation, self._device, channels_last=self._ours.channels_last
        )
        return evaluate(
            network,
            batches,
            data.objective,
            task=_any_task(network),
            precision=self._ours.precision,
            head=self._heads[task],
        )

    def _as_theirs(self) -> Recipe:
        """Return how rows come when statistics are re-taken: in batches of the source's size."""
        ours = self._ours
        return ours.model_copy(update={"batch_size": self._theirs.batch_size})

    def forgotten(
        self, before: Mapping[str, float], after: Mapping[str, float]
    ) -> dict[str, float]:
        """Return how much worse each task's score is than before the first step.

        With re-taken statistics both are by those.
        """
        found = {}
        for task, data in self._data.items():
            sign = 1.0 if data.objective.higher_is_better() else -1.0
            name = f"{prefix_of(task)}{self._name}"
            for prefix in (name, f"{name}/{RETAKEN}"):
                score = f"{prefix}/{data.objective.score}"
                if score in before:
                    found[f"{prefix}/forgotten"] = sign * (before[score] - after[score])
        return found

    def datasets(self) -> dict[str, str]:
        """Return the digest of each task's dataset, by its name."""
        return {data.prepared.name: data.prepared.digest for data in self._data.values()}


def _any_task(network: Network) -> str:
    # What is private to a task of the source was not made for ours.
    return next(iter(network.heads))
