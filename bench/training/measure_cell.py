"""A cell that measures: from a job to an outcome."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.checkpoint import read_tensors, write_tensors
from bench.models.network import Network
from bench.models.weights import LoadedBackbone
from bench.parts.compose import load_part
from bench.parts.kinds import Measured, Measurement
from bench.records.artifacts import place
from bench.records.record import Curve, Outcome
from bench.scheduling.job import Job
from bench.spec.cell import FILE, START
from bench.spec.recipe import Evaluation, Image, Recipe
from bench.spec.roles import described, roles_in
from bench.spec.seeds import stream_seed
from bench.spec.work import Measure, network_name
from bench.training.evaluate import evaluate
from bench.training.finite import NotANumber
from bench.training.parents import load_start, parent_tensors
from bench.training.provenance import provenance
from bench.training.statistics import average_anew
from bench.training.task_data import Split, TaskData, input_shape, load_task

ARRAYS = "arrays"
# A network that is neither trained nor measured on data is built for images of this shape.
_PLAIN_INPUT = (3, 224, 224)
_BATCH = 200


def measure_cell(job: Job) -> Outcome:
    """Run the cell's measurement and return what it found.

    Its arrays are always kept: figures draw them, and other cells start from them.

    Raises
    ------
    UserError
        If data, weights or the part cannot be had, or it gives something else than it declares.
    NotANumber
        If a metric is not finite.
    """
    cell, work = job.cell, job.cell.work
    assert isinstance(work, Measure)
    device = torch.device(job.device)
    clock = [time.perf_counter()]
    part = load_part("measurement", work.measurement, job.resources.plugins)
    data = None
    if work.task is not None:
        # What the start was trained on is drawn by the start's own seed and recipe.
        source = job.parents[START].cell if part.data == "source" and job.parents else cell
        data = load_task(
            work.task,
            source.seed,
            job.resources,
            recipe=source.recipe,
            held_out=work.held_out,
        )
    clock.append(time.perf_counter())
    subject = Subject(job, work, part.roles, data, device)
    found = part(subject)
    _check(work, part, found)
    clock.append(time.perf_counter())
    metrics = {name: _finite(name, value) for name, value in found.metrics.items()}
    axes = part.curve_names()
    curves = {
        name: Curve(
            tuple(map(float, line.at)),
            tuple(_finite(name, value) for value in line.value),
            axes[name],
        )
        for name, line in found.curves.items()
    }
    artifacts = {}
    if found.arrays:
        tensors = {n: t.detach().cpu().contiguous() for n, t in found.arrays.items()}
        artifacts[ARRAYS] = place(
            job.folder,
            job.attempt,
            ARRAYS,
            ".safetensors",
            lambda path: write_tensors(path, tensors),
        )
    facts = data.provenance() if data is not None else {}
    return Outcome(
        status="done",
        metrics=metrics,
        curves=curves,
        timings={
            "data_s": clock[1] - clock[0],
            "measure_s": clock[2] - clock[1],
            "total_s": time.perf_counter() - clock[0],
        },
        provenance=provenance(job, facts, device, subject.loaded),
        artifacts=artifacts,
    )


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise NotANumber(name, 0, value)
    return float(value)


def _check(work: Measure, part: Measurement, found: Measured) -> None:
    declared = {"metrics": set(part.metric_names()), "curves": set(part.curve_names())}
    given = {"metrics": set(found.metrics), "curves": set(found.curves)}
    for what, names in declared.items():
        if names != given[what]:
            raise UserError(
                f"{work.kind} declares the {what} {sorted(names)} and gives {sorted(given[what])}",
                remedy=f"let the {what} that it declares and those that it gives be the same",
            )


class Subject:
    """What a measurement works on: networks by role, and data.

    Attributes
    ----------
    roles
        Of the cell's networks, in the order in which the measurement declares them; those that
        are numbered by their number.
    loaded
        The networks asked for so far, with where their weights came from.
    """

    def __init__(
        self,
        job: Job,
        work: Measure,
        declared: Sequence[str],
        data: TaskData | None,
        device: torch.device,
    ) -> None:
        roles = roles_in(declared, work.starts)
        if roles is None:
            raise UserError(f"{work.kind} measures {described(declared)}, not {[*work.starts]}")
        self.roles = roles
        self.seed = job.cell.seed
        self.device = device
        self.loaded: dict[str, LoadedBackbone] = {}
        self._headless: dict[str, None] = {}
        self._job = job
        self._work = work
        self._data = data

    @property
    def data(self) -> TaskData:
        """The data; ValueError of a measurement that declares none."""
        if self._data is None:
            raise ValueError(f"{self._work.kind} declares data: none, and asks for data")
        return self._data

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.data.prepared.name

    @property
    def classes(self) -> int | None:
        """Number of classes; None of other targets."""
        return self.data.prepared.classes

    @property
    def image(self) -> Image | None:
        """How files became images; None of other inputs."""
        return self.data.image

    def network(self, role: str) -> Network:
        """Return a role's network in evaluation mode on the device; its heads as it was left.

        One that came without a head has one of zeros for the data's objective. Each call gives
        a new copy.
        """
        start = self._work.starts[role]
        loaded = load_start(
            self._job, role, start, seed=self.seed, input_shape=self._input_shape(role)
        )
        self.loaded[role] = loaded
        width = self._data.width if self._data is not None else 1
        network = Network(loaded.module, {"": width}, name=network_name(start.network))
        if loaded.heads:
            network.load_heads(loaded.heads)
        else:
            self._headless[role] = None
        return network.to(self.device).eval()

    def _input_shape(self, role: str) -> tuple[int, ...]:
        if self._data is not None:
            return input_shape([self._data])
        parent = self._job.parents.get(role)
        if parent is None or parent.cell.recipe is None:
            return _PLAIN_INPUT
        recipe, resources = parent.cell.recipe, self._job.resources
        return input_shape(
            [
                load_task(task, parent.cell.seed, resources, recipe=recipe)
                for task in parent.cell.tasks.values()
            ]
        )

    def new_head(self, network: Network) -> nn.Linear:
        """Give a network a head of zeros for the data's objective, and return it."""
        network.replace_heads({"": self.data.width})
        return network.heads[""]

    def parent(self, role: str) -> dict[str, Tensor]:
        """Return the tensors that a role's cell has kept, or its file holds: predictions, say."""
        weights = self._work.starts[role].weights
        if weights.startswith(FILE):
            return read_tensors(Path(self._job.resources.files[weights.removeprefix(FILE)][0]))[0]
        return parent_tensors(self._job, role)

    def batches(
        self,
        split: Split,
        batch_size: int,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs without augmentation, and targets, of ``train`` or ``test``."""
        data = self.data
        rows = data.train if split == "train" else np.arange(len(data.prepared.test))
        if shuffle is not None:
            rows = rows[shuffle.permutation(len(rows))]
        evaluation = Evaluation(batch_size=batch_size)
        return data.evaluation_batches(split, evaluation, self.device, rows=rows[:limit])

    def average_anew(self, network: Network, batch_size: int) -> None:
        """Average running statistics over all training rows anew, in place.

        Rows come shuffled, in one order for all networks, in batches of nearly one size.
        """
        average_anew(network, {"": self.data}, Recipe(batch_size=batch_size, channels_last=False))

    def settings(self, role: str) -> Mapping[str, Any]:
        """Return all settings of the training that left a role's network, as records keep them.

        Empty of a network that no cell has trained.
        """
        parent = self._job.parents.get(role)
        return {} if parent is None else parent.cell.work.settings

    def scores(
        self,
        network: Network,
        split: Split,
        *,
        shuffle: Stream | None = None,
        limit: int | None = None,
    ) -> dict[str, float]:
        """Return the objective's metrics of a network on a split; parameters as of `batches`.

        Raises
        ------
        UserError
            If the network has no head of the width that the data ask for, or one of zeros that
            stands where a role came without any.
        """
        if network.widths != {"": self.data.width}:
            # The head of other classes would give a score too, and a wrong one.
            heads = ", ".join(f"{task} {width}".strip() for task, width in network.widths.items())
            raise UserError(
                f"{self._work.kind} scores a network on {self.dataset}, which needs "
                f"{self.data.width} outputs, and the network's heads have: {heads}",
                remedy="measure it on the task that it was trained on, or give it a new head",
            )
        self._check_trained(network.heads[""].weight)
        batches = self.batches(split, _BATCH, shuffle=shuffle, limit=limit)
        return evaluate(network, batches, self.data.objective)

    def scores_of(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the objective's metrics of outputs ``(n, width)``; raises as `scores` does."""
        if outputs.shape[-1] != self.data.width:
            raise UserError(
                f"{self._work.kind} scores {outputs.shape[-1]} outputs on {self.dataset}, which "
                f"needs {self.data.width}",
                remedy="measure networks on the task that they were trained on",
            )
        self._check_trained(outputs)
        objective = self.data.objective
        return objective.scores(outputs.cpu().numpy(), targets.cpu().numpy())

    def _check_trained(self, values: Tensor) -> None:
        # A head of zeros gives every input one class: its score would be a number, and say nothing.
        if self._headless and not values.any():
            raise UserError(
                f"{self._work.kind} scores a network, and {' and '.join(self._headless)} came "
                "without a head",
                remedy="measure networks with a head for the data; weights in a file have one "
                "under the name that the backbone's classifier has in timm",
            )

    def stream(self, *name: object) -> Stream:
        """Return a random stream of the cell's own, by name."""
        return Stream(stream_seed(self.seed, "measurement", self._work.kind, *name))
