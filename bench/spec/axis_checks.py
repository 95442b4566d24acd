"""Whether every value of an axis makes other cells: rows of one cell would be found equal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from bench.spec.acting import Acting
from bench.spec.cell import SEED, Place, PlannedCell
from bench.spec.layers import Layers
from bench.spec.problems import Source
from bench.spec.recipe import Scalar
from bench.spec.suite import DOTTED

# Of the recipe, what a measurement itself has: its stages have the rest, as it is written.
_OF_MEASUREMENTS = "image"


def check_axes_act(layers: Layers, cells: Iterable[PlannedCell], acting: Acting) -> None:
    """Check that any two values of an axis make different cells somewhere.

    Raises
    ------
    SpecError
        For the first two values that make the same cells wherever both are, at the axis.
    """
    # The cells of one place share it and differ in their seed alone.
    places: dict[int, tuple[Place, list[str]]] = {}
    for planned in cells:
        if planned.shown:
            _, ids = places.setdefault(id(planned.place), (planned.place, []))
            ids.append(acting.of(planned.cell))
    for axis in layers.axes:
        same = _same(axis, places.values()) if axis != SEED else None
        if same is not None:
            one, other = same
            raise layers.source_of("axes", axis).error(
                f"changes nothing between {one} and {other}: cells that differ in it alone are "
                "the same",
                ("axes", axis),
                _who_says_it(layers, axis),
            )


def _same(axis: str, places: Iterable[tuple[Place, Sequence[str]]]) -> tuple[Scalar, Scalar] | None:
    """Return two values of an axis that make the same cells wherever both have some."""
    found: dict[Scalar, dict[tuple[Scalar, ...], Sequence[str]]] = {}
    for place, ids in places:
        rest = tuple(value for other, value in place.items() if other != axis)
        found.setdefault(place[axis], {})[rest] = ids
    for one, other in combinations(found, 2):
        both = found[one].keys() & found[other].keys()
        if both and all(found[one][rest] == found[other][rest] for rest in both):
            return one, other
    return None


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
        return "the methods have the same parts and settings: leave one of them out"
    if axis.startswith(DOTTED):
        return "no cell reads this setting, or in one way alone: leave the axis or a value out"
    return "every `when:` on it says the same for both: leave the axis or a value out"


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
