"""What trainings are planned to cost: their steps, and the gradients that these take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.spec.cell import CHOICE, Cell, PlannedCell, Train
from bench.spec.counts import count
from bench.spec.metrics import FindPart
from bench.spec.parts import Part
from bench.spec.tuning import Tuned
from bench.spec.work import Work


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


@dataclass(frozen=True)
class Tuning:
    """What it cost to choose a cell's settings.

    Attributes
    ----------
    choice
        Id of the cell that chose.
    trials
        How many trainings it chose by.
    gradients
        How many these take in all; None where an update does not say.
    rows
        Of how many rows these gradients are, those that are seen again counted again.
    followed
        The method whose trials these are, where the cell's own follows it.
    """

    choice: str
    trials: int
    gradients: int | None
    rows: int | None
    followed: str | None = None


def batch_sizes(work: Work) -> tuple[int, ...]:
    """Return the batch sizes that a training may have: one, or those of what a search tries."""
    if isinstance(work, Tuned):
        return tuple(sorted({each.work.recipe.batch_size for each in work.candidates}))
    return (work.recipe.batch_size,) if isinstance(work, Train) else ()


def planned_tunings(
    cells: Iterable[PlannedCell], gradients: Mapping[str, int], follows: Mapping[str, str]
) -> dict[str, Tuning]:
    """Return cell id to what its search costs, of those that are tuned.

    Parameters
    ----------
    gradients
        Cell id to the gradients of a training, those of trials among them.
    follows
        Method to the one by whose choice it trains.
    """
    planned = {each.cell.id: each for each in cells}
    by_id = {cell_id: each.cell for cell_id, each in planned.items()}
    known: dict[str, Tuning] = {}
    found = {}
    for cell in by_id.values():
        choice = cell.parents.get(CHOICE)
        if choice is None:
            continue
        if choice.id not in known:
            trials = [by_id[parent.id] for parent in by_id[choice.id].parents.values()]
            cost = rows = None
            if all(trial.id in gradients for trial in trials):
                cost = sum(gradients[trial.id] for trial in trials)
                rows = sum(gradients[t.id] * size for t in trials for size in batch_sizes(t.work))
            known[choice.id] = Tuning(choice.id, len(trials), cost, rows)
        followed = follows.get(str(planned[cell.id].place.get("method")))
        found[cell.id] = replace(known[choice.id], followed=followed)
    return found
