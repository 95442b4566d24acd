"""A cell that trains: from a job to an outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import nn

from bench.data.ahead import ahead
from bench.data.streams import Stream
from bench.errors import WeightsError
from bench.models.checkpoint import State
from bench.models.network import Network
from bench.models.weights import LoadedBackbone
from bench.parts.compose import Composition, compose
from bench.records.freshness import of_task
from bench.records.layout import CellFolder
from bench.records.record import Curve, Outcome, Provenance
from bench.scheduling.job import Job
from bench.spec.cell import START
from bench.spec.metrics import prefix_of
from bench.spec.parts import SOURCE_HEAD
from bench.spec.recipe import Recipe, Warmup
from bench.spec.seeds import origin, stream_seed
from bench.spec.work import Train, network_name
from bench.training.curves import CurveBook
from bench.training.evaluate import evaluate, named
from bench.training.forgetting import Sources
from bench.training.frozen import FrozenBackbone
from bench.training.gradients import PenaltyGradients
from bench.training.head import initialise_head, modules_beside
from bench.training.keeper import Keeper, Tasks
from bench.training.loop import set_trainable, train
from bench.training.loss import Asked, Loss, feature_parameters
from bench.training.module_state import PartsState
from bench.training.monitor import Monitor, Score, Scores
from bench.training.norms import counts
from bench.training.numerics import in_its_precision, seed_dropout
from bench.training.parents import load_start, measured_arrays
from bench.training.progress import CannotResumeError, Elapsed, Progress
from bench.training.provenance import provenance
from bench.training.statistics import average_anew
from bench.training.task_data import Split, input_shape, load_task
from bench.training.warmup import drop_after


@in_its_precision
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
    try:
        return _train_cell(job)
    except CannotResumeError as error:
        print(f"the saved state cannot be gone on from, and the cell starts over: {error}")
    CellFolder(str(job.folder)).progress.unlink(missing_ok=True)
    # As before the attempt's first draw.
    seed_dropout(job.cell.seed)
    return _train_cell(job)


def _train_cell(job: Job) -> Outcome:
    cell, work = job.cell, job.cell.work
    assert isinstance(work, Train)
    device = torch.device(job.device)
    clock = [time.perf_counter()]
    tasks = {
        name: load_task(task, cell.seed, job.resources, recipe=work.recipe)
        for name, task in work.tasks.items()
    }
    clock.append(time.perf_counter())
    parts = compose(work, job.resources.plugins)
    shape = input_shape(list(tasks.values()))
    loaded = load_start(job, START, work, seed=cell.seed, input_shape=shape)
    keeper = Keeper(job, loaded)
    network = build_network(loaded, tasks, parts, work, cell.seed).to(device)
    if work.recipe.statistics == "averaged-anew":
        average_anew(network, tasks, work.recipe)
    frozen = None
    if work.recipe.frozen_features == "computed-once":
        frozen = FrozenBackbone(job, network, parts.trainable)
        tasks = {name: frozen.data(name, data) for name, data in tasks.items()}
    made_of = provenance(job, _facts(tasks), device, {START: loaded})
    trained = _Training(job, work, tasks, parts, loaded, network, keeper, device, clock, frozen)
    metrics = trained.run(made_of)
    facts = _facts(tasks) | trained.facts
    return Outcome(
        status="done",
        metrics=metrics,
        curves=trained.book.curves(),
        timings=trained.timings(),
        provenance=provenance(job, facts, device, {START: loaded}),
        artifacts=keeper.artifacts,
    )


class _Training:
    """The network's training, and everything that is measured on the way and at its end."""

    def __init__(
        self,
        job: Job,
        work: Train,
        tasks: Tasks,
        parts: Composition,
        loaded: LoadedBackbone,
        network: Network,
        keeper: Keeper,
        device: torch.device,
        clock: list[float],
        frozen: FrozenBackbone | None,
    ) -> None:
        self.book = CurveBook()
        self._job = job
        self._keeper = keeper
        self.facts: dict[str, object] = {"selection": work.recipe.selection}
        self._seed = job.cell.seed
        self._recipe = work.recipe
        self._tasks = tasks
        self._parts = parts
        self._network = network
        self._device = device
        self._clock = clock
        self._frozen = frozen
        self._loss = Loss(
            network,
            {
                name: Asked(
                    data.objective,
                    data.task.weight,
                    stream_seed(
                        job.cell.seed, "objective", data.task.dataset, *origin(network.trainings)
                    ),
                )
                for name, data in tasks.items()
            },
            parts.penalties,
            measured=measured_arrays(job),
            precision=work.recipe.precision,
        )
        clock.append(time.perf_counter())
        self._elapsed = Elapsed(clock)
        self._sources = Sources(job, loaded.heads, device) if work.recipe.forgetting else None
        if self._sources is not None:
            self.facts["sources"] = self._sources.datasets()
        self._scores = _scores(work.recipe, tasks, self._sources, device)
        self._gradients = (
            PenaltyGradients(
                feature_parameters(network).values(), self._loss.names, self._loss.shares
            )
            if work.recipe.penalty_gradients
            else None
        )

    def timings(self) -> dict[str, float]:
        """Return seconds by phase, those of attempts that it went on from too."""
        return self._elapsed.timings(phases(self._clock))

    def run(self, made_of: Provenance) -> dict[str, float]:
        """Train, put the reported state into the network, and return its metrics."""
        network = self._network
        before = self._sources.score(network, 0) if self._sources is not None else {}
        monitor = Monitor(network, self._recipe, self.book, self._scores)
        set_trainable(network, self._parts.trainable)
        self._keeper.begins(network)
        metrics: dict[str, float] = dict(counts(network))
        progress = self._progress(made_of)
        try:
            switch, gradients = self._train(monitor, progress)
        except Exception as error:
            progress.failed(error)
            raise
        if self._frozen is not None:
            self._frozen.check_unchanged()
        step = monitor.report()
        self.facts["selected_step"] = step
        self._clock.append(time.perf_counter())
        metrics |= monitor.norms() | {"train/gradients": float(gradients)}
        metrics |= self._gradients.metrics() if self._gradients is not None else {}
        metrics |= _warmup_metrics(
            self._parts.warmup, self._recipe, switch, self.book.curves(), self._scores
        )
        scores = self._scores
        for score in (scores.test, scores.validation, scores.train, scores.source):
            metrics |= score(network, step) if score is not None else {}
        if self._sources is not None:
            metrics |= self._sources.forgotten(before, metrics)
        self._clock.append(time.perf_counter())
        self._keeper.reported(network, self._tasks)
        return metrics

    def _progress(self, made_of: Provenance) -> Progress:
        job = self._job
        bound = {
            **vars(made_of),
            "cell": job.cell.id,
            "code": {**job.code, **made_of.code},
            "data": [made_of.data, self.facts],
            # A parent that was run again may have left the same bytes.
            "parents": [(role, p.id, p.name, p.sha256) for role, p in sorted(job.parents.items())],
            "states to keep": sorted(name for name in job.keep if "@" in name),
        }
        path = CellFolder(str(job.folder)).progress
        progress = Progress(path, job.save_every, bound, self._device, self._elapsed)
        progress.keep("keeper", self._keeper)
        transforms = (t for data in self._tasks.values() for t in data.transforms.values())
        progress.keep("transforms", PartsState(transforms))
        return progress

    def _train(self, monitor: Monitor, progress: Progress) -> tuple[int | None, int]:
        trainings = self._network.trainings
        seed_dropout(self._seed, trainings)
        return train(
            self._network,
            self._loss,
            self._recipe,
            {
                name: ahead(
                    data.training_batches(self._recipe, self._device, trainings), self._device
                )
                for name, data in self._tasks.items()
            },
            self.book,
            trainable=self._parts.trainable,
            update=self._parts.update,
            warmup=self._parts.warmup,
            monitor=monitor,
            gradients=self._gradients,
            after=partial(self._keeper.after, self._network),
            progress=progress,
        )


def build_network(
    loaded: LoadedBackbone, tasks: Tasks, parts: Composition, work: Train, seed: int
) -> Network:
    """Return the network before its first step: loaded backbone, heads, patches.

    Raises
    ------
    WeightsError
        If the start's head is to be kept and there is none, or it is not of the task's width; if
        a penalty needs the start's own head, and there is not just one.
    """
    recipe = work.recipe
    network = Network(
        loaded.module,
        {name: data.width for name, data in tasks.items()},
        name=network_name(work.network),
        shared=work.shared_heads,
        bias=recipe.head_bias,
        trainings=loaded.trainings,
    )
    for name, head in network.heads.items():
        if name in work.shared_heads:
            continue
        if recipe.head == "new":
            dataset = tasks[name].task.dataset
            initialise_head(head, parts.head, seed, name, dataset, loaded.trainings)
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
    network.put_beside(dict(_beside(loaded, tasks, network, recipe.head == "kept", seed)))
    for name, penalty in parts.penalties.items():
        if SOURCE_HEAD in penalty.needs:
            network.keep_source_head(_source_head(loaded, name))
    for name, patch in parts.patches.items():
        patch(network)
        key = stream_seed(seed, "patch", name, *origin(loaded.trainings))
        patch.draw(network, Stream(key))
    return network.to(
        memory_format=torch.channels_last if recipe.channels_last else torch.contiguous_format
    )


def _source_head(loaded: LoadedBackbone, penalty: str) -> State:
    """Return the one head that the weights came with."""
    if len(loaded.heads) != 1:
        raise WeightsError(
            f"the penalty {penalty} needs the head of the start, and {loaded.source} has "
            f"{len(loaded.heads) or 'none'}",
            field=f"penalties.{penalty}",
            remedy="start from weights with one linear head",
        )
    (head,) = loaded.heads.values()
    return head


def _beside(
    loaded: LoadedBackbone, tasks: Tasks, network: Network, kept: bool, seed: int
) -> Iterator[tuple[str, nn.Module]]:
    """Yield what objectives train beside the heads: new, or the stage's where it left its own."""
    for name, data in tasks.items():
        dataset = data.task.dataset
        module = modules_beside(network, data.objective, seed, name, dataset, loaded.trainings)
        if module is None:
            continue
        left = loaded.beside.get(name)
        if kept and left:
            module.load_state_dict(left)
        yield name, module


def phases(clock: list[float]) -> dict[str, float]:
    """Return seconds by phase from the times at which data, build, train, evaluate end."""
    names = ("data_s", "build_s", "train_s", "evaluate_s")
    timings = {n: b - a for n, a, b in zip(names, clock, clock[1:], strict=False)}
    return timings | {"total_s": time.perf_counter() - clock[0]}


def _scores(recipe: Recipe, tasks: Tasks, sources: Sources | None, device: torch.device) -> Scores:
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
        train=on("train") if recipe.evaluation.train else None,
        source=sources.score if sources is not None else None,
        source_as_it_is=sources.score_as_it_is if sources is not None else None,
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
