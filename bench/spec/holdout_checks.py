"""What can be known wrong about held-out rows and batches, before any data are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations

from bench.spec.catalogue import DatasetEntry, entry
from bench.spec.cell import START, Cell, PlannedCell
from bench.spec.layers import SHIPPED, Layers
from bench.spec.work import Task, Train


def check_held_out(layers: Layers, cells: Iterable[PlannedCell]) -> None:
    """Check sizes against the catalogue, and that no cell is validated on rows that it knows.

    Raises
    ------
    SpecError
        For the first cell that holds out more than there is, or of rows that repeat, whose batch
        is larger than its data, or that would be validated on rows that another of its tasks, its
        stage or the weights that it starts from were trained on.
    """
    by_id = {planned.cell.id: planned.cell for planned in cells}
    for work in {id(cell.work): cell.work for cell in by_id.values()}.values():
        if isinstance(work, Train):
            for task in work.tasks.values():
                if task.dataset not in layers.resources.datasets:
                    _check_sizes(layers, work, task, entry(task.dataset))
            if work.recipe.validation:
                _check_tasks(layers, work)
    for cell in by_id.values():
        if cell.recipe is not None and cell.recipe.validation:
            stages = list(_stages_below(cell, by_id))
            for stage in stages:
                _check_unseen(layers, cell, stage)
            _check_shipped(layers, cell, (stages or [cell])[-1].weights)


def _check_sizes(layers: Layers, work: Train, task: Task, known: DatasetEntry) -> None:
    rows, recipe = known.rows.train, work.recipe
    if known.repeats and recipe.validation:
        raise layers.source_of("recipe", "validation").error(
            f"an image of {task.dataset} may be several of its training rows: one held out could "
            "be one that is trained on",
            ("recipe", "validation"),
            "hold nothing out: validation: 0",
        )
    if rows is None:
        return
    if recipe.batch_size > rows:
        raise layers.source_of("recipe", "batch_size").error(
            f"a batch of {recipe.batch_size:,} is larger than the {rows:,} training images of "
            f"{task.dataset}",
            ("recipe", "batch_size"),
            "use a smaller batch",
        )
    # Classes differ in size: this is their mean, which some class does not exceed.
    each = rows * task.sampling_rate / known.classes if known.classes else rows
    if recipe.validation >= max(each, 1):
        raise layers.source_of("recipe", "validation").error(
            f"{recipe.validation:,.0f} images of each class are to be held out, and a class of "
            f"{task.dataset} has {each:,.0f} at a sampling rate of {task.sampling_rate:g}",
            ("recipe", "validation"),
            "hold out fewer, or a fraction, such as 0.1",
        )


def _check_tasks(layers: Layers, work: Train) -> None:
    """Check that tasks of one dataset hold out the same rows: of others one trains on them."""
    for (one, first), (other, second) in combinations(work.tasks.items(), 2):
        if not first.shares_rows(second):
            continue
        for key in ("sampling_rate", "long_tail"):
            if getattr(first, key) != getattr(second, key):
                raise layers.source_of("recipe", "validation").error(
                    f"the tasks {one} and {other} differ in their {key} of {first.dataset}: each "
                    "may be validated on rows that the other is trained on",
                    ("recipe", "validation"),
                    f"give both the same {key}, or hold nothing out: recipe.validation 0",
                )


def _stages_below(cell: Cell, by_id: Mapping[str, Cell]) -> Iterator[Cell]:
    while START in cell.parents:
        cell = by_id[cell.parents[START].id]
        yield cell


def _check_unseen(layers: Layers, cell: Cell, stage: Cell) -> None:
    for mine in cell.tasks.values():
        for theirs in stage.tasks.values():
            if mine.shares_rows(theirs):
                remedy = _seen(cell, mine, stage, theirs)
                if remedy is not None:
                    raise layers.source_of("recipe", "validation").error(
                        f"cells of {mine.dataset} may be validated on rows that their stage "
                        "was trained on",
                        ("recipe", "validation"),
                        remedy,
                    )


def _check_shipped(layers: Layers, cell: Cell, weights: Iterable[str]) -> None:
    for name in weights:
        seen = sorted(_trained_on().get(name, frozenset()) & set(cell.datasets))
        if seen:
            raise layers.source_of("recipe", "validation").error(
                f"cells of {seen[0]} would be validated on rows that the weights {name} were "
                "trained on",
                ("recipe", "validation"),
                "hold nothing out (recipe.validation 0), or use other weights",
            )


@cache
def _trained_on() -> Mapping[str, frozenset[str]]:
    """Return the datasets that shipped weights were trained on; none of them held out any row."""
    found = {}
    for file in SHIPPED.glob("*.json"):
        settings = json.loads(file.read_text(encoding="utf-8"))["cell"]["settings"]
        found[f"shipped:{file.stem}"] = frozenset(t["dataset"] for t in settings["tasks"].values())
    return found


def _seen(cell: Cell, mine: Task, stage: Cell, theirs: Task) -> str | None:
    """Return what to do where rows held out may be among those a stage was trained on."""
    assert cell.recipe is not None
    assert stage.recipe is not None
    ours, held = cell.recipe.validation, stage.recipe.validation
    if (ours < 1) != (held < 1) or ours > held:
        return f"let the stage hold out as many: recipe.validation {ours:g}, not {held:g}"
    if _held_out_by(cell) != _held_out_by(stage):
        return "give both the same recipe.validation_seed: else each holds out rows by its own seed"
    if _drawn(cell, mine) != _drawn(stage, theirs):
        return "draw both from the same rows: sampling_rate 1.0 for both, or the same seed"
    return None


def _held_out_by(cell: Cell) -> int:
    assert cell.recipe is not None
    given = cell.recipe.validation_seed
    return cell.seed if given is None else given


def _drawn(cell: Cell, task: Task) -> object:
    whole = task.sampling_rate == 1 and task.long_tail is None
    return None if whole else (task.sampling_rate, task.long_tail, cell.seed)
