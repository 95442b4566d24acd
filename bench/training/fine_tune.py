"""A cell of kind ``train``: from a job to an outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.methods.compose import load_penalties
from bench.models.checkpoint import read_tensors, save_checkpoint
from bench.models.network import Network
from bench.models.weights import LoadedBackbone, load_backbone
from bench.records.layout import PARENT_FILES
from bench.records.record import Artifact, Outcome
from bench.scheduling.job import Job
from bench.spec.cell import Method
from bench.spec.recipe import Recipe
from bench.training.cell_data import CellData, HeldOut, load_data
from bench.training.evaluate import evaluate, named
from bench.training.head import initialise_head
from bench.training.loop import Trained, Watch, train
from bench.training.objective import Objective
from bench.training.provenance import provenance

CHECKPOINT = PARENT_FILES["weights"]


def fine_tune(job: Job) -> Outcome:
    """Train the cell's network and return its metrics, curves and provenance.

    The test split is scored once, by the reported state, unless the recipe leaves it alone;
    while training only under the selection that says so. With ``job.keep_checkpoint`` the
    reported state is written.

    Raises
    ------
    UserError
        If data, weights or a part cannot be had.
    NotANumber
        If the loss, or a metric, is not finite.
    """
    cell, recipe = job.cell, job.cell.recipe
    assert isinstance(recipe, Recipe)
    method = cell.method or Method()
    device = torch.device(job.device)
    clock = [time.perf_counter()]
    data = load_data(job, recipe.image, recipe.validation)
    clock.append(time.perf_counter())
    loaded = load_backbone(
        cell.backbone, cell.weights, seed=cell.seed, resources=job.resources,
        parent=_parent(job, "weights"),
    )  # fmt: skip
    network = build_network(loaded, data, method, recipe, cell.backbone, cell.seed).to(device)
    objective = Objective(
        network, load_penalties(method, job.resources.plugins),
        channel_weights=_channel_weights(job), precision=recipe.precision,
    )  # fmt: skip
    clock.append(time.perf_counter())
    trained = _train(network, objective, recipe, data, method, device)
    clock.append(time.perf_counter())
    metrics = _score(network, recipe, data, trained.step, device)
    clock.append(time.perf_counter())
    artifacts = _keep(network, job.folder) if job.keep_checkpoint else {}
    facts = data.provenance() | {"selection": recipe.selection, "selected_step": trained.step}
    return Outcome(
        status="done",
        metrics=metrics,
        curves=trained.curves,
        timings=phases(clock),
        provenance=provenance(job, loaded, facts, device),
        artifacts=artifacts,
    )


def build_network(
    loaded: LoadedBackbone, data: CellData, method: Method, recipe: Recipe, name: str, seed: int
) -> Network:
    """Return the network before its first step: loaded backbone, new head."""
    network = Network(loaded.module, data.prepared.classes, name=name)
    initialise_head(network.head, method.head_init or recipe.head_init, seed)
    return network.to(memory_format=_memory_format(recipe))


def phases(clock: list[float]) -> dict[str, float]:
    """Return seconds by phase from the times at which data, build, train, evaluate end."""
    names = ("data_s", "build_s", "train_s", "evaluate_s")
    timings = {n: b - a for n, a, b in zip(names, clock, clock[1:], strict=False)}
    return timings | {"total_s": time.perf_counter() - clock[0]}


def _memory_format(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


def _train(
    network: Network, objective: Objective, recipe: Recipe, data: CellData, method: Method,
    device: torch.device,
) -> Trained:  # fmt: skip
    def watch(split: HeldOut) -> Watch:
        return Watch(
            split,
            lambda: _split_metrics(network, split, recipe, data, device),
            select=recipe.selection == f"best-on-{split}",
        )

    watched: list[HeldOut] = ["validation"] if recipe.validation > 0 else []
    if recipe.selection == "best-on-test":
        watched.append("test")
    return train(
        network, objective, recipe, data.training_batches(recipe, device),
        trainable=method.trainable, watches=tuple(map(watch, watched)),
    )  # fmt: skip


def _split_metrics(
    network: Network, split: HeldOut, recipe: Recipe, data: CellData, device: torch.device
) -> dict[str, float]:
    batches = data.evaluation_batches(
        split, recipe.evaluation, device, channels_last=recipe.channels_last
    )
    return evaluate(network, batches, precision=recipe.precision)


def _score(
    network: Network, recipe: Recipe, data: CellData, step: int, device: torch.device
) -> dict[str, float]:
    splits: list[HeldOut] = ["test"] if recipe.evaluation.test else []
    splits += ["validation"] if recipe.validation > 0 else []
    metrics: dict[str, float] = {}
    for split in splits:
        metrics |= named(split, _split_metrics(network, split, recipe, data, device), step)
    return metrics


def _parent(job: Job, role: str) -> Path | None:
    return job.parents[role].path if role in job.parents else None


def _channel_weights(job: Job) -> Mapping[str, Tensor]:
    path = _parent(job, "channel-attention")
    return read_tensors(path)[0] if path else {}


def _keep(network: Network, folder: Path) -> dict[str, Artifact]:
    digest = save_checkpoint(network, folder / CHECKPOINT)
    return {"checkpoint": Artifact(CHECKPOINT, digest)}
