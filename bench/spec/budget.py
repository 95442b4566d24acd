"""What trainings are planned to cost: their steps, and the gradients that these take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.spec.cell import Cell, Train
from bench.spec.counts import count
from bench.spec.metrics import FindPart
from bench.spec.parts import Part


def gradients_per_step(update: Part, settings: Mapping[str, Any]) -> int | None:
    """Return how many gradients an update takes a step; None where it does not say."""
    expression = update.gradients_per_step
    return count(expression, settings) if expression else None


def planned_gradients(cells: Iterable[Cell], find: FindPart) -> dict[str, int]:
    """Return cell id to the gradients of its whole training, each of one batch of every task.

    A measurement is left out, and so is a training whose update does not say how many it takes.
    """
    found, known = {}, dict[str, int | None]()
    for cell in cells:
        work = cell.work
        if not isinstance(work, Train):
            continue
        if work.canonical not in known:
            update = work.update
            known[work.canonical] = gradients_per_step(find("update", update.name), update.settings)
        each = known[work.canonical]
        if each is not None:
            found[cell.id] = work.recipe.steps * each
    return found
