"""A cell that trains: from a job to an outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from bench.errors import WeightsError
from bench.models.checkpoint import save_checkpoint, write_tensors
from bench.models.network import Network
from bench.models.weights import LoadedBackbone, load_backbone
from bench.parts.compose import Composition, compose, load_network
from bench.records.artifacts import place
from bench.records.freshness import of_task
from bench.records.record import Artifact, Curve, Outcome
from bench.scheduling.job import Job
from bench.spec.cell import CHECKPOINT, PREDICTIONS, START
from bench.spec.metrics import prefix_of
from bench.spec.recipe import Recipe, Warmup
from bench.spec.work import Train, network_name
from bench.training.curves import CurveBook
from bench.training.evaluate import evaluate, named, predict
from bench.training.forgetting import Source
from bench.training.head import initialise_head
from bench.training.loop import set_trainable, train
from bench.training.loss import Asked, Loss
from bench.training.monitor import Monitor, Score, Scores
from bench.training.norms import counts
from bench.training.parents import measured_arrays, parent_file
from bench.training.provenance import provenance
from bench.training.task_data import Split, TaskData, input_shape, load_task
from bench.training.warmup import drop_after

Tasks = Mapping[str, TaskData]


def train_cell(job: Job) -> Outcome:
    """Train the cell's network and return its metrics, curves and provenance.

    The test split is scored once, by the reported state, unless the recipe leaves it alone;
    while training only for anytime performance, or under the selection that says so. What
    ``job.keep`` names is written: ``checkpoint`` is the reported state.

    Raises
    ------
    UserError
        If data, weights or a part cannot be had.
    NotANumber
        If the loss, or a metric, is not finite.
    """
    cell, work = job.cell, job.cell.work
    assert isinstance(work, Train)
    recipe = work.recipe
    device = torch.device(job.device)
    clock = [time.perf_counter()]
    tasks = {
        name: load_task(task, cell.seed, job.resources, recipe=recipe)
        for name, task in work.tasks.items()
    }
    clock.append(time.perf_counter())
    parts = compose(work, job.resources.plugins)
    loaded = load_backbone(
        load_network(work.network, job.resources.plugins),
        work.weights,
        seed=cell.seed,
        resources=job.resources,
        parent=parent_file(job, START),
        input_shape=input_shape(list(tasks.values())),
    )
    network = build_network(loaded, tasks, parts, work, cell.seed).to(device)
    loss = Loss(
        network,
        {name: Asked(data.objective, data.task.weight) for name, data in tasks.items()},
        parts.penalties,
        measured=measured_arrays(job),
        precision=recipe.precision,
    )
    clock.append(time.perf_counter())
    source = Source(job, loaded.heads, device) if recipe.forgetting else None
    before = source.score(network, 0) if source is not None else {}
    scores = _scores(recipe, tasks, source, device)
    book = CurveBook()
    monitor = Monitor(network, recipe, book, scores)
    keeper = _Keeper(job, network)
    set_trainable(network, parts.trainable)
    sizes = counts(network)
    switch, gradients = train(
        network,
        loss,
        recipe,
        {name: data.training_batches(recipe, device) for name, data in tasks.items()},
        book,
        trainable=parts.trainable,
        update=parts.update,
        warmup=parts.warmup,
        monitor=monitor,
        after=keeper.after,
    )
    step = monitor.report()
    clock.append(time.perf_counter())
    curves = book.curves()
    metrics = monitor.norms() | sizes | {"train/gradients": float(gradients)}
    metrics |= _warmup_metrics(parts.warmup, recipe, switch, curves, scores)
    for score in (scores.test, scores.validation, scores.source):
        metrics |= score(network, step) if score is not None else {}
    if source is not None:
        metrics |= source.forgotten(before, metrics)
    clock.append(time.perf_counter())
    keeper.reported(tasks)
    facts = _facts(tasks) | {"selection": recipe.selection, "selected_step": step}
    if source is not None:
        facts["sources"] = source.datasets()
    return Outcome(
        status="done",
        metrics=metrics,
        curves=curves,
        timings=phases(clock),
        provenance=provenance(job, facts, device, {START: loaded}),
        artifacts=keeper.artifacts,
    )


def build_network(
    loaded: LoadedBackbone, tasks: Tasks, parts: Composition, work: Train, seed: int
) -> Network:
    """Return the network before its first step: loaded backbone, heads, patches.

    Raises
    ------
    WeightsError
        If the start's head is to be kept and there is none, or it is not of the task's width.
    """
    recipe = work.recipe
    network = Network(
        loaded.module,
        {name: data.width for name, data in tasks.items()},
        name=network_name(work.network),
        bias=recipe.head_bias,
    )
    for name, head in network.heads.items():
        if recipe.head == "new":
            initialise_head(head, parts.head, seed, name)
            continue
        kept = loaded.heads.get(name)
        if kept is None or {k: v.shape for k, v in kept.items()} != {
            k: v.shape for k, v in head.state_dict().items()
        }:
            found = "has none" if kept is None else f"has {len(kept['weight'])} outputs"
            raise WeightsError(
                f"the head of {loaded.source} cannot be kept: it {found}, and "
                f"{tasks[name].prepared.name} needs {tasks[name].width}"
                + ("" if recipe.head_bias else " without a bias"),
                field="recipe.head",
                remedy="use head: new",
            )
        head.load_state_dict(kept)
    for patch in parts.patches.values():
        patch(network)
    return network.to(
        memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format
    )


def phases(clock: list[float]) -> dict[str, float]:
    """Return seconds by phase from the times at which data, build, train, evaluate end."""
    names = ("data_s", "build_s", "train_s", "evaluate_s")
    timings = {n: b - a for n, a, b in zip(names, clock, clock[1:], strict=False)}
    return timings | {"total_s": time.perf_counter() - clock[0]}


def _scores(recipe: Recipe, tasks: Tasks, source: Source | None, device: torch.device) -> Scores:
    def on(split: Split) -> Score:
        def score(network: Network, step: int) -> dict[str, float]:
            found: dict[str, float] = {}
            for name, data in tasks.items():
                batches = data.evaluation_batches(
                    split, recipe.evaluation, device, channels_last=recipe.channels_last
                )
                metrics = evaluate(
                    network, batches, data.objective, task=name, precision=recipe.precision
                )
                found |= named(f"{prefix_of(name)}{split}", metrics, step)
            return found

        return score

    return Scores(
        validation=on("validation") if recipe.validation > 0 else None,
        test=on("test") if recipe.evaluation.test else None,
        source=source.score if source is not None else None,
        objectives={name: data.objective for name, data in tasks.items()},
    )


def _warmup_metrics(
    warmup: Warmup | None,
    recipe: Recipe,
    switch: int | None,
    curves: Mapping[str, Curve],
    scores: Scores,
) -> dict[str, float]:
    if warmup is None:
        return {}
    metrics = {
        "warmup/steps": float(recipe.steps if switch is None else switch),
        "warmup/ended": float(switch is not None),
    }
    if switch is not None:
        # What the warm-up's rule saw: of several tasks their mean, and higher is better.
        names = scores.names("validation")
        rows = zip(*(curves[name].value for name in names), strict=True)
        seen = [
            (int(step), scores.chosen_by("validation", dict(zip(names, row, strict=True))))
            for step, row in zip(curves[names[0]].at, rows, strict=True)
        ]
        drop = drop_after(seen, switch, warmup.patience)
        metrics |= {"warmup/drop": drop} if drop is not None else {}
    return metrics


def _facts(tasks: Tasks) -> dict[str, object]:
    """Return what is recorded of the data: digests and facts, by task where there are several."""
    return {
        of_task(name, fact): value
        for name, data in tasks.items()
        for fact, value in data.provenance().items()
    }


class _Keeper:
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
        return found

    def _save(self, name: str, write: object) -> None:
        job = self._job
        self.artifacts[name] = place(job.folder, job.attempt, name, ".safetensors", write)  # type: ignore[arg-type]
