"""What can be known wrong about held-out rows and batches, before any data are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.spec.catalogue import DatasetEntry, entry
from bench.spec.cell import START, Cell, PlannedCell
from bench.spec.layers import Layers
from bench.spec.work import Task, Train


def check_held_out(layers: Layers, cells: Iterable[PlannedCell]) -> None:
    """Check sizes against the catalogue, and that no cell is validated on rows its start knows.

    Raises
    ------
    SpecError
        For the first cell that holds out more than there is, whose batch is larger than its
        data, or that would be validated on rows that its stage was trained on.
    """
    by_id = {planned.cell.id: planned.cell for planned in cells}
    for work in {id(cell.work): cell.work for cell in by_id.values()}.values():
        if isinstance(work, Train):
            for task in work.tasks.values():
                if task.dataset not in layers.resources.datasets:
                    _check_sizes(layers, work, task, entry(task.dataset))
    for cell in by_id.values():
        if cell.recipe is not None and cell.recipe.validation and START in cell.parents:
            for stage in _stages_below(cell, by_id):
                _check_unseen(layers, cell, stage)


def _check_sizes(layers: Layers, work: Train, task: Task, known: DatasetEntry) -> None:
    rows, recipe = known.rows.train, work.recipe
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


def _stages_below(cell: Cell, by_id: Mapping[str, Cell]) -> Iterator[Cell]:
    while START in cell.parents:
        cell = by_id[cell.parents[START].id]
        yield cell


def _check_unseen(layers: Layers, cell: Cell, stage: Cell) -> None:
    for mine in cell.tasks.values():
        for theirs in stage.tasks.values():
            if mine.dataset == theirs.dataset:
                remedy = _seen(cell, mine, stage, theirs)
                if remedy is not None:
                    raise layers.source_of("recipe", "validation").error(
                        f"cells of {mine.dataset} may be validated on rows that their stage "
                        "was trained on",
                        ("recipe", "validation"),
                        remedy,
                    )


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
