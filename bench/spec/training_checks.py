"""What can be known wrong about how cells train, before anything runs."""

from __future__ import annotations

from collections.abc import Iterable

from bench.spec.catalogue import entry
from bench.spec.cell import Cell, PlannedCell
from bench.spec.layers import Layers
from bench.spec.recipe import Recipe


def check_training(layers: Layers, cells: Iterable[PlannedCell]) -> None:
    """Check warm-ups, forgetting and balanced batches, of stages too.

    Raises
    ------
    SpecError
        For the first cell whose method or batches ask for what its recipe does not have.
    """
    _check_axes(layers)
    for cell in {planned.cell.id: planned.cell for planned in cells}.values():
        if isinstance(cell.recipe, Recipe):
            _check_warmup(layers, cell, cell.recipe)
            _check_forgetting(layers, cell, cell.recipe)
            _check_batches(layers, cell, cell.recipe)


def _check_axes(layers: Layers) -> None:
    for axis in layers.axes:
        for name in ("optimizer", "head_init"):
            own = [
                str(method)
                for method in layers.axes["method"]
                if axis.startswith(f"recipe.{name}")
                and (layers.methods[str(method)] or {}).get(name) is not None
            ]
            if own:
                raise layers.source_of("axes", axis).error(
                    f"changes nothing for the method {own[0]!r}, which brings its own {name}",
                    ("axes", axis),
                    f"leave the method's {name} out, or the axis",
                )


def _check_warmup(layers: Layers, cell: Cell, recipe: Recipe) -> None:
    if cell.method is None or cell.method.warmup is None:
        return
    if recipe.validation == 0:
        raise layers.source_of("recipe", "validation").error(
            "a warm-up ends by the validation accuracy, and nothing is held out",
            ("recipe", "validation"),
            "set recipe.validation, such as 0.05",
        )
    if cell.method.trainable == "head":
        raise layers.source_of("methods").error(
            "a warm-up before training the head alone changes nothing",
            ("methods",),
            "leave warmup out, or train all",
        )


def _check_forgetting(layers: Layers, cell: Cell, recipe: Recipe) -> None:
    if recipe.forgetting and cell.weights != "stage":
        raise layers.source_of("recipe", "forgetting").error(
            "forgetting is measured on the task of the stage that a cell starts from, and "
            f"a cell of {cell.dataset} starts from weights {cell.weights!r}",
            ("recipe", "forgetting"),
            "use weights: stage:NAME; in a stage's own recipe, set forgetting: false",
        )


def _check_batches(layers: Layers, cell: Cell, recipe: Recipe) -> None:
    if recipe.batches != "balanced" or cell.dataset in layers.resources.folders:
        # How many classes a folder has is known when it is read.
        return
    classes = entry(cell.dataset).classes
    if classes and recipe.batch_size % classes:
        raise layers.source_of("recipe", "batch_size").error(
            f"balanced batches of {recipe.batch_size} images cannot hold equally many of the "
            f"{classes} classes of {cell.dataset}",
            ("recipe", "batch_size"),
            f"use a multiple of {classes}, or batches: shuffled",
        )
