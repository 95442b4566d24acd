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
from bench.records.record import Artifact, Curve, Outcome
from bench.scheduling.job import Job
from bench.spec.cell import Method
from bench.spec.recipe import Recipe
from bench.training.cell_data import CellData, HeldOut, load_data
from bench.training.curves import CurveBook
from bench.training.evaluate import evaluate, named
from bench.training.forgetting import Source
from bench.training.head import initialise_head
from bench.training.loop import train
from bench.training.monitor import Monitor, Score, Scores
from bench.training.objective import Objective
from bench.training.provenance import provenance
from bench.training.warmup import drop_after

CHECKPOINT = PARENT_FILES["weights"]


def fine_tune(job: Job) -> Outcome:
    """Train the cell's network and return its metrics, curves and provenance.

    The test split is scored once, by the reported state, unless the recipe leaves it alone;
    while training only for anytime performance, or under the selection that says so. With
    ``job.keep_checkpoint`` the reported state is written.

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
    data = load_data(job, recipe.image, recipe.validation, recipe.validation_seed)
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
    source = Source(job, device) if recipe.forgetting else None
    before = source.score(network, 0)["source/top1"] if source is not None else 0.0
    scores = _scores(recipe, data, source, device)
    book = CurveBook()
    monitor = Monitor(network, recipe, book, scores)
    switch = train(
        network, objective, recipe, data.training_batches(recipe, device), book,
        method=method, monitor=monitor,
    )  # fmt: skip
    step = monitor.report()
    clock.append(time.perf_counter())
    curves = book.curves()
    metrics = monitor.norms() | _warmup_metrics(method, recipe, switch, curves)
    for score in (scores.test, scores.validation, scores.source):
        metrics |= score(network, step) if score is not None else {}
    if source is not None:
        metrics["source/forgotten"] = before - metrics["source/top1"]
    clock.append(time.perf_counter())
    artifacts = _keep(network, job.folder) if job.keep_checkpoint else {}
    facts = data.provenance() | {"selection": recipe.selection, "selected_step": step}
    facts |= source.provenance() if source is not None else {}
    return Outcome(
        status="done",
        metrics=metrics,
        curves=curves,
        timings=phases(clock),
        provenance=provenance(job, loaded, facts, device),
        artifacts=artifacts,
    )


def build_network(
    loaded: LoadedBackbone, data: CellData, method: Method, recipe: Recipe, name: str, seed: int
) -> Network:
    """Return the network before its first step: loaded backbone, new head."""
    network = Network(loaded.module, data.prepared.classes, name=name, bias=recipe.head_bias)
    initialise_head(network.head, method.head_init or recipe.head_init, seed)
    return network.to(memory_format=_memory_format(recipe))


def phases(clock: list[float]) -> dict[str, float]:
    """Return seconds by phase from the times at which data, build, train, evaluate end."""
    names = ("data_s", "build_s", "train_s", "evaluate_s")
    timings = {n: b - a for n, a, b in zip(names, clock, clock[1:], strict=False)}
    return timings | {"total_s": time.perf_counter() - clock[0]}


def _memory_format(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


def _scores(recipe: Recipe, data: CellData, source: Source | None, device: torch.device) -> Scores:
    def on(split: HeldOut) -> Score:
        def score(network: Network, step: int) -> dict[str, float]:
            batches = data.evaluation_batches(
                split, recipe.evaluation, device, channels_last=recipe.channels_last
            )
            return named(split, evaluate(network, batches, precision=recipe.precision), step)

        return score

    return Scores(
        validation=on("validation") if recipe.validation > 0 else None,
        test=on("test") if recipe.evaluation.test else None,
        source=source.score if source is not None else None,
    )


def _warmup_metrics(
    method: Method, recipe: Recipe, switch: int | None, curves: Mapping[str, Curve]
) -> dict[str, float]:
    if method.warmup is None:
        return {}
    metrics = {
        "warmup/steps": float(recipe.steps if switch is None else switch),
        "warmup/ended": float(switch is not None),
    }
    if switch is not None:
        validation = curves["validation/top1"]
        scores = zip(validation.step, validation.value, strict=True)
        drop = drop_after(scores, switch, method.warmup.patience)
        metrics |= {"warmup/drop": drop} if drop is not None else {}
    return metrics


def _parent(job: Job, role: str) -> Path | None:
    return job.parents[role].path if role in job.parents else None


def _channel_weights(job: Job) -> Mapping[str, Tensor]:
    path = _parent(job, "channel-attention")
    return read_tensors(path)[0] if path else {}


def _keep(network: Network, folder: Path) -> dict[str, Artifact]:
    digest = save_checkpoint(network, folder / CHECKPOINT)
    return {"checkpoint": Artifact(CHECKPOINT, digest)}
