"""What a training leaves for other cells: its states by name, and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.models.checkpoint import save_checkpoint, write_tensors
from bench.models.network import Network
from bench.records.artifacts import place
from bench.records.record import Artifact
from bench.scheduling.job import Job
from bench.spec.cell import CHECKPOINT, PREDICTIONS
from bench.spec.metrics import prefix_of
from bench.spec.recipe import Evaluation
from bench.training.cost import multiply_adds
from bench.training.evaluate import predict
from bench.training.task_data import TaskData

Tasks = Mapping[str, TaskData]
_FIRST = np.zeros(1, dtype=np.int64)


class Keeper:
    """Writes what other cells, or the user, ask this one to keep."""

    def __init__(self, job: Job, network: Network) -> None:
        self.artifacts: dict[str, Artifact] = {}
        self._job = job
        self._network = network

    def after(self, step: int) -> None:
        """Keep the network's state after a step, if it is asked for."""
        for name in (f"{CHECKPOINT}@step {step}", f"{CHECKPOINT}@start" if step == 0 else ""):
            if name in self._job.keep:
                self._save(name, lambda path: save_checkpoint(self._network, path))

    def reported(self, tasks: Tasks) -> None:
        """Keep the reported state, and its outputs on the test splits, if they are asked for."""
        if CHECKPOINT in self._job.keep:
            self._save(CHECKPOINT, lambda path: save_checkpoint(self._network, path))
        if PREDICTIONS in self._job.keep:
            tensors = self._predictions(tasks)
            self._save(PREDICTIONS, lambda path: write_tensors(path, tensors))

    def _predictions(self, tasks: Tasks) -> dict[str, Tensor]:
        recipe = self._job.cell.recipe
        assert recipe is not None
        device = torch.device(self._job.device)
        found: dict[str, Tensor] = {}
        for name, data in tasks.items():
            batches = data.evaluation_batches(
                "test", recipe.evaluation, device, channels_last=recipe.channels_last
            )
            outputs, targets = predict(
                self._network, batches, task=name, precision=recipe.precision
            )
            found |= {
                f"{prefix_of(name)}outputs": outputs.contiguous(),
                f"{prefix_of(name)}targets": targets.contiguous(),
            }
            found |= self._cost(name, data, device)
        return found

    def _cost(self, name: str, data: TaskData, device: torch.device) -> dict[str, Tensor]:
        """Return the multiply-adds of one input, and the size of an image."""
        one = data.evaluation_batches("test", Evaluation(batch_size=1), device, rows=_FIRST)
        inputs, _ = next(one)
        count = multiply_adds(self._network, inputs, task=name)
        sizes = {} if data.image is None else {"image_size": data.image.size}
        numbers = sizes | {"multiply_adds": count}
        return {f"{prefix_of(name)}{key}": torch.tensor(n) for key, n in numbers.items()}

    def _save(self, name: str, write: Callable[[Path], object]) -> None:
        job = self._job
        self.artifacts[name] = place(job.folder, job.attempt, name, ".safetensors", write)
