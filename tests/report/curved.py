"""Studies whose records have curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.records.record import Curve
from bench.spec.figure import Figure
from bench.spec.recipe import Scalar, Use

from .studies import RECIPE, Study, study

STD = "recipe.head_init.normal.std"
STEPS = (0, 1, 2, 3, 5, 8, 13)
PANELS = ({"curve": "anytime/test/top1", "label": "target"},)


def figure(**changes: Any) -> Figure:
    """Return a figure of the target's anytime performance."""
    return Figure.model_validate({"title": "Curves", "panels": PANELS, **changes})


def curved(axes: Mapping[str, Sequence[Any]], *figures: Figure, **given: Any) -> Study:
    """Return a study at one rate, with figures; a cell for each of its axis values."""
    values = {"sampling_rate": [1.0], **axes}
    made = study(values, recipes=_recipe, **given)
    return made.with_suite(figures=figures)


def follow(
    made: Study,
    value: Callable[[Mapping[str, Scalar], Any], float],
    *,
    curve: str = "anytime/test/top1",
    steps: Callable[[Mapping[str, Scalar]], Sequence[float]] = lambda labels: STEPS,
    axis: str = "step",
    **where: Any,
) -> None:
    """Give cells a curve: its value by labels and step, or by where on another axis it is."""
    for planned in made.cells(**where):
        at = tuple(steps(planned.labels))
        points = Curve(at, tuple(value(planned.labels, step) for step in at), axis)
        known = made.records.get(planned.cell.id)
        curves = {**(known.outcome.curves if known else {}), curve: points}
        made.put(planned.cell, {"test/top1": 0.5}, curves=curves)


def _recipe(labels: Mapping[str, Scalar]) -> Any:
    if STD not in labels:
        return RECIPE
    return RECIPE.model_copy(
        update={
            "head_init": Use(
                name="normal", settings={"std": labels[STD]}, given={"std": labels[STD]}
            )
        }
    )
