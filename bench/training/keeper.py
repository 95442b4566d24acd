"""What a training leaves for other cells: its states by name, and its predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.models.checkpoint import save_checkpoint, write_tensors
from bench.models.network import Network, state_on_cpu
from bench.models.patch_file import Body, may_change, save_patch
from bench.models.weights import LoadedBackbone
from bench.records.artifacts import place, read_artifact
from bench.records.record import Artifact
from bench.scheduling.job import Job
from bench.spec.cell import CHECKPOINT, PATCH, PREDICTIONS
from bench.spec.metrics import prefix_of
from bench.spec.recipe import Evaluation
from bench.training.cost import multiply_adds
from bench.training.evaluate import predict
from bench.training.task_data import Split, TaskData

Tasks = Mapping[str, TaskData]
_FIRST = np.zeros(1, dtype=np.int64)


class Keeper:
    """Writes what other cells, or the user, ask this one to keep.

    Made of the start as it was loaded, before heads and patches change it.
    """

    def __init__(self, job: Job, start: LoadedBackbone) -> None:
        self.artifacts: dict[str, Artifact] = {}
        self._job = job
        self._body: Body | None = None
        self._changing: frozenset[str] = frozenset()
        if PATCH in job.keep:
            self._body = Body(state_on_cpu(start.module), start.sha256)

    def begins(self, network: Network) -> None:
        """Note what training may change of a network whose trainable set is chosen.

        Raises
        ------
        UserError
            If a patch is asked for and everything trains.
        """
        if self._body is not None:
            self._changing = may_change(network)

    def after(self, network: Network, step: int) -> None:
        """Keep the network's state after a step, if it is asked for."""
        for name in (f"{CHECKPOINT}@step {step}", f"{CHECKPOINT}@start" if step == 0 else ""):
            if name in self._job.keep:
                self._save(name, lambda path: save_checkpoint(network, path))

    def reported(self, network: Network, tasks: Tasks) -> None:
        """Keep what is asked for of the reported state, its outputs on held-out splits too."""
        if CHECKPOINT in self._job.keep:
            self._save(CHECKPOINT, lambda path: save_checkpoint(network, path))
        body = self._body
        if body is not None:
            self._save(PATCH, lambda path: save_patch(network, path, body, self._changing))
        if PREDICTIONS in self._job.keep:
            tensors = self._predictions(network, tasks)
            self._save(PREDICTIONS, lambda path: write_tensors(path, tensors))

    def state(self) -> dict[str, tuple[str, str]]:
        """Return name, file and digest of what is kept so far."""
        return {name: (each.file, each.sha256) for name, each in self.artifacts.items()}

    def restore(self, state: Mapping[str, tuple[str, str]]) -> None:
        """Keep what an attempt before has kept, under this attempt's names.

        Raises
        ------
        StoreError
            If a file is gone, or has other bytes.
        """
        for name, (file, sha256) in state.items():
            content = read_artifact(self._job.folder / Path(file).name, sha256)
            self._save(name, partial(_write, content))

    def _predictions(self, network: Network, tasks: Tasks) -> dict[str, Tensor]:
        recipe = self._job.cell.recipe
        assert recipe is not None
        device = torch.device(self._job.device)
        splits: dict[Split, str] = {"test": ""}
        if recipe.validation > 0:
            splits["validation"] = "validation/"
        found: dict[str, Tensor] = {}
        for name, data in tasks.items():
            for split, prefix in splits.items():
                batches = data.evaluation_batches(
                    split, recipe.evaluation, device, channels_last=recipe.channels_last
                )
                outputs, targets = predict(network, batches, task=name, precision=recipe.precision)
                found |= {
                    f"{prefix_of(name)}{prefix}outputs": outputs.contiguous(),
                    f"{prefix_of(name)}{prefix}targets": targets.contiguous(),
                }
            # Predictions are compared row by row: this says which rows they are of.
            test = bytes.fromhex(data.provenance()["test"])
            found[f"{prefix_of(name)}test_rows"] = torch.tensor([*test], dtype=torch.uint8)
            found |= _cost(network, name, data, device)
        return found

    def _save(self, name: str, write: Callable[[Path], object]) -> None:
        job = self._job
        self.artifacts[name] = place(job.folder, job.attempt, name, ".safetensors", write)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _cost(network: Network, name: str, data: TaskData, device: torch.device) -> dict[str, Tensor]:
    """Return the multiply-adds of one input, and an image's size, as predictions have them."""
    # Of an input as it is, where features stand in its place too.
    one = TaskData.evaluation_batches(data, "test", Evaluation(batch_size=1), device, rows=_FIRST)
    inputs, _ = next(one)
    numbers = {"multiply_adds": multiply_adds(network, inputs, task=name)}
    if data.image is not None:
        numbers["image_size"] = data.image.size
    return {f"{prefix_of(name)}{key}": torch.tensor(number) for key, number in numbers.items()}
