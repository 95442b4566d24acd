"""Whether every axis changes a cell: rows that differ in name alone would be found equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.spec.cell import PlannedCell
from bench.spec.layers import Layers
from bench.spec.problems import Source
from bench.spec.recipe import Scalar

# Of the recipe, what a measurement itself has: its stages have the rest, as it is written.
_OF_MEASUREMENTS = "image"


def check_axes_act(layers: Layers, cells: Iterable[PlannedCell]) -> None:
    """Check that of each axis with several values two make different cells.

    Raises
    ------
    SpecError
        For the first axis that changes nothing, at the axis.
    """
    firsts: dict[int, PlannedCell] = {}
    for planned in cells:
        # One place is one object, whose first seed stands for all.
        if planned.shown:
            firsts.setdefault(id(planned.place), planned)
    for axis, values in layers.axes.items():
        if axis != "seed" and len(values) > 1 and _changes_nothing(axis, firsts.values()):
            raise layers.source_of("axes", axis).error(
                "is an axis that changes nothing: cells that differ in it alone are the same",
                ("axes", axis),
                _who_says_it(layers, axis),
            )


def _changes_nothing(axis: str, cells: Iterable[PlannedCell]) -> bool:
    """Whether cells that differ in an axis alone are there, and all of them are equal."""
    by_rest: dict[tuple[Any, ...], tuple[Scalar, str]] = {}
    compared = False
    for planned in cells:
        rest = (planned.seed, *(v for other, v in planned.place.items() if other != axis))
        value, cell_id = by_rest.setdefault(rest, (planned.place[axis], planned.cell.id))
        if cell_id != planned.cell.id:
            return False
        compared |= value != planned.place[axis]
    return compared


def _who_says_it(layers: Layers, axis: str) -> str:
    data = axis in ("dataset", "sampling_rate")
    if data and axis in layers.task:
        return f"leave {axis} out of task:, or the axis"
    if data and layers.tasks:
        return f"each of tasks: says its own {axis}: leave it out there, or the axis"
    if layers.measure and not axis.startswith("measure."):
        return (
            "what a measured network was trained by is said by its stage and in measure.roles, "
            "and a measurement that looks at no data has no task: leave the axis out"
        )
    if axis == "method":
        return "the methods have the same parts and settings: leave all but one out"
    if axis.startswith("recipe."):
        return "no cell has this setting: leave the axis out"
    return "every `when:` on it says the same for all its values: leave the axis out"


def check_overlays_act(layers: Layers) -> None:
    """Check that a suite of measurements says nothing of trainings where none would hear it.

    Raises
    ------
    SpecError
        For a ``when:`` or a dotted axis that sets what only stages have.
    """
    if not layers.measure:
        return
    for axis in layers.axes:
        kind, _, setting = axis.partition(".")
        unheard = kind == "recipe" and setting.partition(".")[0] != _OF_MEASUREMENTS
        if setting and (unheard or kind == "penalties"):
            raise _unheard(layers.source_of("axes", axis), ("axes", axis))
    for when in layers.whens:
        recipe: Mapping[str, Any] = when.overlays.get("recipe", {})
        for setting in recipe:
            if setting != _OF_MEASUREMENTS:
                raise _unheard(when.source, ("recipe", setting))
        for name in when.methods:
            raise _unheard(when.source, ("methods", name))


def _unheard(source: Source, loc: tuple[str, ...]) -> Exception:
    return source.error(
        "changes nothing: it is said of a measurement, and only the stages that it measures train",
        loc,
        "write one stage for each value, and choose between them by a role's stage in `when:`",
    )
