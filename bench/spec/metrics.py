"""What a cell records, told before it runs: metrics and curves, with unit and better side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.spec.cell import Cell, source_name
from bench.spec.parts import Kind, Part
from bench.spec.recipe import Recipe
from bench.spec.work import Measure, Task, Train

Best = Literal["highest", "lowest"]
FindPart = Callable[[Kind, str], Part]
PERCENT = "%"
MACHINE = "machine/"
# Stands behind an earlier task's name: scored by statistics re-taken on its own images.
RETAKEN = "retaken"
Earlier = Sequence[Mapping[str, Task]]
"""The tasks of the cells that one's network was trained by before, nearest first."""


@dataclass(frozen=True)
class Metric:
    """A number or curve of a record.

    ``unit`` ``%`` means: recorded as a fraction, shown times a hundred. Everything else is shown
    as it is recorded. ``axis`` is what a curve runs over; empty for a single number.
    """

    name: str
    unit: str = ""
    best: Best = "highest"
    axis: str = ""

    @property
    def scale(self) -> float:
        """What a recorded value is multiplied by to be shown."""
        return 100.0 if self.unit == PERCENT else 1.0


Metrics = dict[str, Metric]


@dataclass(frozen=True)
class Lack:
    """Why a cell never measures something, and what would change that."""

    reason: str
    remedy: str


def complement_of(name: str) -> str | None:
    """Return what a name is one less: ``test/top1`` for ``test/top1_error``, else None.

    >>> complement_of("anytime/test/top5_error"), complement_of("test/top1")
    ('anytime/test/top5', None)
    """
    return name.removesuffix("_error") if name.endswith("_error") else None


def difference_of(name: str) -> tuple[str, str] | None:
    """Return the two metrics of which a name is the first less the second, else None.

    >>> difference_of("near/test/top1 - far/test/top1"), difference_of("test/top1")
    (('near/test/top1', 'far/test/top1'), None)
    """
    first, sign, second = name.partition(" - ")
    return (first, second) if sign else None


def of_machine(name: str) -> bool:
    """Return whether a number tells of the machine that measured it: another run gives another.

    >>> of_machine("machine/seconds"), of_machine("test/top1")
    (True, False)
    """
    return name.startswith(MACHINE)


def with_errors(found: Mapping[str, Metric]) -> Metrics:
    """Return metrics with the derived ones: of each fraction whose high side is better, its error.

    >>> sorted(with_errors({"a": Metric("a", "%"), "b": Metric("b")}))
    ['a', 'a_error', 'b']
    """
    errors = {
        f"{name}_error": Metric(f"{name}_error", metric.unit, "lowest", metric.axis)
        for name, metric in found.items()
        if metric.unit == PERCENT and metric.best == "highest"
    }
    return {**errors, **found}


def prefix_of(task: str) -> str:
    """Return what stands before the names of a task's metrics; nothing for a single task.

    >>> prefix_of("places"), prefix_of("")
    ('places/', '')
    """
    return f"{task}/" if task else ""


def declared_metrics(cell: Cell, find: FindPart, earlier: Earlier) -> Metrics:
    """Return the metrics that a cell's record will have, by name.

    Parameters
    ----------
    earlier
        What it may have forgotten, where that is measured.
    """
    work = cell.work
    if isinstance(work, Measure):
        declared = find("measurement", work.kind).metrics_with(work.measurement.settings)
        return {name: Metric(name, unit, best) for name, (unit, best) in declared.items()}
    assert isinstance(work, Train)
    return {m.name: m for m in _of_training(work, find, earlier)}


def declared_curves(cell: Cell, find: FindPart, earlier: Earlier) -> Metrics:
    """Return the curves that a cell's record will have, by name; parameters as above."""
    work = cell.work
    if isinstance(work, Measure):
        part = find("measurement", work.kind)
        declared = part.metrics_with(work.measurement.settings)
        axes = part.curves_with(work.measurement.settings)
        sides = {name: declared.get(name, ("", "highest")) for name in axes}
        return {
            name: Metric(name, sides[name][0], sides[name][1], axis) for name, axis in axes.items()
        }
    assert isinstance(work, Train)
    return {m.name: m for m in _curves_of_training(work, find, earlier)}


def _of_training(work: Train, find: FindPart, earlier: Earlier) -> Iterable[Metric]:
    recipe = work.recipe
    splits = [s for s, scored in _splits(recipe).items() if scored]
    for name, task in work.tasks.items():
        for split in splits:
            yield from _scores(f"{prefix_of(name)}{split}", task, find)
        yield Metric(f"{prefix_of(name)}head/norm", "", "lowest")
    for task, prefix, name in _sources(recipe, earlier):
        yield from _scores(f"{prefix}{name}", task, find)
        yield Metric(f"{prefix}{name}/forgotten", _score(task, find).unit, "lowest")
    yield Metric("features/distance", "", "lowest")
    yield Metric("train/gradients", "", "lowest")
    for scope in ("trained", "private", "total"):
        yield Metric(f"parameters/{scope}", "", "lowest")
    if recipe.penalty_gradients:
        for use in work.penalties:
            yield Metric(gradient_of(use.name), "", "lowest")
    if work.warmup is not None:
        yield Metric("warmup/steps", "", "lowest")
        yield Metric("warmup/ended", "", "highest")
        yield Metric("warmup/drop", _score(next(iter(work.tasks.values())), find).unit, "lowest")


def _curves_of_training(work: Train, find: FindPart, earlier: Earlier) -> Iterable[Metric]:
    recipe = work.recipe
    validates = recipe.validation > 0 and (
        recipe.validate_every is not None or recipe.anytime is not None or work.warmup is not None
    )
    yield from _of_steps(work, find) if recipe.steps else ()
    for name, task in work.tasks.items():
        prefix = prefix_of(name)
        score = _score(task, find)
        if validates:
            yield _curve(f"{prefix}validation/{score.name}", score)
        if recipe.selection == "best-on-test":
            yield _curve(f"{prefix}test/{score.name}", score)
        if recipe.test_curves:
            for metric in _scores(f"{prefix}test", task, find):
                yield _curve(metric.name, metric)
        if recipe.anytime is not None:
            for metric in _scores(f"{prefix}anytime/test", task, find):
                yield _curve(metric.name, metric)
    for task, prefix, name in _sources(recipe, earlier):
        if recipe.anytime is not None:
            for metric in _scores(f"{prefix}anytime/{name}", task, find):
                yield _curve(metric.name, metric)
        if recipe.forgetting_curves and not name.endswith(RETAKEN):
            for metric in _scores(f"{prefix}{name}", task, find):
                yield _curve(metric.name, metric)
    if recipe.anytime is not None:
        yield Metric("anytime/step", "", "highest", "step")
        yield Metric("features/distance", "", "lowest", "step")
        for name in work.tasks:
            yield Metric(f"{prefix_of(name)}head/norm", "", "lowest", "step")


def _of_steps(work: Train, find: FindPart) -> Iterable[Metric]:
    """Yield what every step adds to: a training of none has no such curve."""
    yield Metric("train/loss", "", "lowest", "step")
    yield Metric("train/learning_rate", "", "lowest", "step")
    for name, task in work.tasks.items():
        term = curve_name(find("objective", task.objective.name).term)
        yield Metric(f"{prefix_of(name)}train/{term}", "", "lowest", "step")
    for use in work.penalties:
        yield Metric(f"penalty/{use.name}", "", "lowest", "step")
        if work.recipe.penalty_gradients:
            yield Metric(gradient_of(use.name), "", "lowest", "step")
    for name in find("update", work.update.name).curves:
        yield Metric(name, "", "highest", "step")


def gradient_of(penalty: str) -> str:
    """Return the name of a penalty's gradient beside the loss's."""
    return f"penalty/{penalty}/gradient"


def curve_name(term: str) -> str:
    """Return a loss term's name as it stands in a curve's: ``cross_entropy``."""
    return term.replace("-", "_")


_SCORED_BY = {"test": "evaluation.test", "validation": "validation", "train": "evaluation.train"}


def _splits(recipe: Recipe) -> dict[str, bool]:
    return {
        "test": recipe.evaluation.test,
        "validation": recipe.validation > 0,
        "train": recipe.evaluation.train,
    }


def _sources(recipe: Recipe, earlier: Earlier) -> Iterable[tuple[Task, str, str]]:
    """Yield each earlier task, what stands before its metrics' names, and what they begin with."""
    for place, tasks in enumerate(earlier if recipe.forgetting else ()):
        for name, task in tasks.items():
            yield task, prefix_of(name), source_name(place)
            if recipe.forgetting_statistics == "retaken-too":
                yield task, prefix_of(name), f"{source_name(place)}/{RETAKEN}"


def without_source(name: str) -> str:
    """Return a name of an earlier task's score as that of the nearest, by statistics as they are.

    >>> without_source("anytime/source3/top1"), without_source("source/retaken/top1")
    ('anytime/source/top1', 'source/top1')
    """
    return re.sub(rf"(?<![^/])source\d*(/{RETAKEN})?/", "source/", name)


def _scores(prefix: str, task: Task, find: FindPart) -> Iterable[Metric]:
    objective = find("objective", task.objective.name)
    for name, (unit, best) in objective.metrics_with(task.objective.settings).items():
        yield Metric(f"{prefix}/{name}", unit, best)


def _score(task: Task, find: FindPart) -> Metric:
    objective = find("objective", task.objective.name)
    unit, best = objective.metrics[objective.score]
    return Metric(objective.score, unit, best)


def _curve(name: str, metric: Metric) -> Metric:
    return Metric(name, metric.unit, metric.best, "step")


def why_lacking(name: str, cell: Cell, *, curve: bool) -> Lack:
    """Return why a cell does not record a metric or curve that others do, as far as it shows."""
    work = cell.work
    if isinstance(work, Measure):
        return Lack(f"the measurement {work.kind} gives no such result", "see its file")
    assert isinstance(work, Train)
    recipe, parts = work.recipe, name.split("/")
    splits = _splits(recipe)
    if name.startswith("warmup/"):
        return Lack("the method has no warm-up", "give a method a `warmup:`")
    if name.startswith("penalty/") and name.endswith("/gradient") and not recipe.penalty_gradients:
        return Lack("the recipe does not measure it", "set recipe.penalty_gradients")
    if parts[0] == "penalty":
        return Lack("the method has no such penalty", "choose methods that have it by `where:`")
    if (lack := _why_not_of_source(name, recipe, curve=curve)) is not None:
        return lack
    follows = "anytime" in parts or name.endswith(("features/distance", "head/norm"))
    if curve and follows and recipe.anytime is None:
        return Lack("the recipe follows no curve of it", "set recipe.anytime")
    for split, scored in splits.items():
        if split in parts and not scored:
            return Lack("the recipe does not score that split", f"set recipe.{_SCORED_BY[split]}")
    if curve and "validation" in parts:
        return Lack("the recipe does not validate while it trains", "set recipe.validate_every")
    if curve and "test" in parts:
        remedy = "set recipe.test_curves" if recipe.anytime is None else "show anytime/test/top1"
        return Lack("the test split is scored at the end alone", remedy)
    return Lack("nothing that its cells are made of gives it", "see the parts that they name")


def _why_not_of_source(name: str, recipe: Recipe, *, curve: bool) -> Lack | None:
    parts = name.split("/")
    if "source" not in without_source(name).split("/"):
        return None
    if not recipe.forgetting:
        return Lack("the recipe does not score the source", "set recipe.forgetting")
    if RETAKEN in parts and recipe.forgetting_statistics == "kept":
        return Lack(
            "the recipe takes no statistics again for it",
            "set recipe.forgetting_statistics: retaken-too",
        )
    if curve and "anytime" in parts and recipe.anytime is None:
        return Lack("the recipe follows no curve of it", "set recipe.anytime")
    if curve and "anytime" not in parts and RETAKEN in parts:
        return Lack("statistics are re-taken at the end alone", "show it as a metric")
    if curve and "anytime" not in parts and not recipe.forgetting_curves:
        return Lack("the source is scored at the end alone", "set recipe.forgetting_curves")
    if "source" not in parts:
        return Lack(
            "what its cells start from was not trained on so many tasks before",
            "let the stage start from another stage",
        )
    return None
