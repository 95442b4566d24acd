"""What of its settings a cell reads: those that differ in others alone have the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from bench.spec.cell import Cell, PlannedCell, id_of
from bench.spec.recipe import Augmentation, Frozen, Optimizer, Recipe
from bench.spec.tuning import Tuned
from bench.spec.work import Choose, Measure, Task, Train, Work

M = TypeVar("M", bound=Frozen)


class Acting:
    """Tells cells apart by what they read, themselves and those that they start from.

    An id has every setting that is not its default. Cells of other ids may do the same: a
    ``validation_seed`` where nothing is held out, an ``image`` where each task has its own.

    Parameters
    ----------
    cells
        With all that they start from.
    """

    def __init__(self, cells: Iterable[PlannedCell]) -> None:
        self._cells = {planned.cell.id: planned.cell for planned in cells}
        self._known: dict[str, str] = {}
        self._texts: dict[int, str] = {}

    def of(self, cell: Cell) -> str:
        """Return an id that cells share where nothing that either reads differs."""
        if cell.id not in self._known:
            parents = {
                role: (self.of(self._cells[parent.id]), parent.artifact)
                for role, parent in cell.parents.items()
            }
            text = self._texts.get(id(cell.work))
            if text is None:
                text = self._texts[id(cell.work)] = read_of(cell.work).canonical
            self._known[cell.id] = id_of(text, cell.seed, parents)
        return self._known[cell.id]


def read_of(work: Work) -> Work:
    """Return work with whatever it does not read at its default."""
    if isinstance(work, Choose):
        return work
    if isinstance(work, Tuned):
        read = tuple(replace(each, work=_trained(each.work)) for each in work.candidates)
        same = all(new.work is each.work for new, each in zip(read, work.candidates, strict=True))
        return work if same else replace(work, candidates=read)
    if isinstance(work, Measure):
        # Inputs are measured as they are, and no loss is taken.
        task = work.task and _with(work.task, {"augmentation": None, "weight": 1.0})
        return work if task is work.task else replace(work, task=task)
    return _trained(work)


def _trained(work: Train) -> Train:
    recipe, tasks = _recipe_of(work), {name: _task_of(work, t) for name, t in work.tasks.items()}
    same = recipe is work.recipe and all(tasks[name] is t for name, t in work.tasks.items())
    return work if same else replace(work, recipe=recipe, tasks=tasks)


def _recipe_of(work: Train) -> Recipe:
    recipe, tasks = work.recipe, work.tasks.values()
    unread = {
        "image": all(task.image is not None for task in tasks),
        "augmentation": all(task.augmentation is not None for task in tasks),
        "validation_seed": recipe.validation == 0,
        "validate_every": recipe.validation == 0
        and recipe.selection != "best-on-test"
        and not recipe.forgetting_curves,
        "head_init": recipe.head == "kept",
        "penalty_gradients": not work.penalties,
    }
    update: dict[str, Any] = {
        name: Recipe.model_fields[name].default for name, holds in unread.items() if holds
    }
    if not unread["augmentation"] and recipe.augmentation is not None:
        update["augmentation"] = _augmentation_of(recipe.augmentation)
    update["optimizer"] = _optimizer_of(recipe.optimizer)
    return _with(recipe, update)


def _task_of(work: Train, task: Task) -> Task:
    update: dict[str, Any] = {}
    if task.augmentation is not None:
        update["augmentation"] = _augmentation_of(task.augmentation)
    if len(work.tasks) == 1:
        update["weight"] = 1.0
    return _with(task, update)


def _augmentation_of(augmentation: Augmentation) -> Augmentation:
    if augmentation.crop == "random-resized":
        return augmentation
    default = Augmentation()
    unread = ("scale", "ratio", "resampling")
    return _with(augmentation, {name: getattr(default, name) for name in unread})


def _optimizer_of(optimizer: Optimizer) -> Optimizer:
    if optimizer.sgd is None or optimizer.sgd.momentum:
        return optimizer
    return _with(optimizer, {"sgd": _with(optimizer.sgd, {"dampening": 0.0})})


def _with(model: M, update: Mapping[str, Any]) -> M:
    """Return a model with other values; itself where they are no others."""
    if all(getattr(model, name) == value for name, value in update.items()):
        return model
    return model.model_copy(update=dict(update))
