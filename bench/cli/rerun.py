"""Cells executed again in a store of their own, and compared with their records."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report.verified import Again, Difference, Rerun
from bench.spec.metrics import of_machine

if TYPE_CHECKING:
    from bench.cli.session import Session
    from bench.records.carried import Attestation
    from bench.records.record import Outcome, Record
    from bench.records.store import Store
    from bench.scheduling.engines.engine import Engine
    from bench.spec.cell import PlannedCell

_SHOWN = 3


def rerun(
    session: Session, scratch: Path, engine: Engine, *, asked: int, seed: int, tolerance: float
) -> Rerun:
    """Execute done cells of a session again, drawn at random, and compare.

    A cell's parents are not executed again where their artifact is here and whole: both attempts
    then begin with the same bytes.

    Parameters
    ----------
    scratch
        Empty folder for records and artifacts.
    tolerance
        For numbers of another kind of machine or other library versions: how far two may be
        apart, as a part of the larger of 1 and the record's.
    """
    done = session.done()
    chosen = random.Random(seed).sample(sorted(done), min(asked, len(done)))
    store = execute_again(session, scratch, engine, chosen)
    compared = []
    for cell_id in chosen:
        made = store.attempts(cell_id)
        compared.append(compare(done[cell_id], made[-1] if made else None, tolerance))
    return Rerun(asked=asked, seed=seed, tolerance=tolerance, cells=tuple(compared))


def execute_again(
    session: Session,
    scratch: Path,
    engine: Engine,
    chosen: Sequence[str],
    *,
    assumed: Sequence[Attestation] = (),
    keep: frozenset[str] = frozenset(),
) -> Store:
    """Execute cells by today's code in a store of their own; return it.

    What they start from is copied where it is here and whole, and executed too where it is not.

    Parameters
    ----------
    assumed, keep
        As :class:`~bench.records.store.Store` and
        :class:`~bench.scheduling.options.RunOptions` have them.
    """
    from bench.records.store import Store
    from bench.scheduling.options import RunOptions
    from bench.scheduling.run import run

    store = Store(scratch, assumed=(*session.store.attestations.holding, *assumed))
    cells = list(_with_parents(session, chosen))
    for planned in cells:
        if planned.cell.id not in chosen:
            _copy(session, planned.cell.id, store)
    resources = {planned.cell.id: session.plan.resources for planned in cells}
    run(
        cells, store, engine, resources=resources, expectations=session.expected,
        options=RunOptions(keep=keep),
    )  # fmt: skip
    return store


def compare(then: Record, now: Record | None, tolerance: float) -> Again:
    """Compare a record with what executing its cell again gave.

    Numbers are equal if all their bits are; on a machine of another kind, or by other versions of
    libraries, those within the tolerance are close.
    """
    from bench.records.carried import made_on

    if now is None or not now.done:
        failure = now.outcome.failure if now is not None else None
        problem = failure.message if failure is not None else "it was not executed"
        return Again(cell=then.id, result="failed", same_machine=True, problem=problem)
    same = made_on(then) == made_on(now)
    ours, theirs = _numbers(then.outcome), _numbers(now.outcome)
    names = sorted(ours.keys() | theirs.keys())
    differing = [n for n in names if repr(ours.get(n)) != repr(theirs.get(n))]
    close = not same and all(_close(ours.get(n), theirs.get(n), tolerance) for n in differing)
    return Again(
        cell=then.id,
        result="equal" if not differing else "close" if close else "other",
        same_machine=same,
        differences=tuple(
            Difference(name=name, then=_told(ours.get(name)), now=_told(theirs.get(name)))
            for name in differing[:_SHOWN]
        ),
    )


def _numbers(outcome: Outcome) -> dict[str, tuple[float, ...]]:
    """Return everything that a record measured: each metric, each curve with its places.

    What tells of the machine, such as seconds, is left out.
    """
    found: dict[str, tuple[float, ...]] = {
        name: (float(value),) for name, value in outcome.metrics.items() if not of_machine(name)
    }
    for name, curve in outcome.curves.items():
        if not of_machine(name):
            found[f"curve {name}"] = (*map(float, curve.at), *map(float, curve.value))
    return found


def _close(then: tuple[float, ...] | None, now: tuple[float, ...] | None, tolerance: float) -> bool:
    if then is None or now is None or len(then) != len(now):
        return False
    return all(
        abs(a - b) <= tolerance * max(1.0, abs(a)) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(then, now, strict=True)
    )


def _told(values: tuple[float, ...] | None) -> str:
    if values is None:
        return "none"
    return repr(values[0]) if len(values) == 1 else f"{len(values) // 2} points"


def _with_parents(session: Session, chosen: Iterable[str]) -> Iterator[PlannedCell]:
    """Yield the chosen cells and all that they start from, parents first, each once."""
    planned = {p.cell.id: p for p in session.plan.cells}
    wanted: set[str] = set()
    todo = list(chosen)
    while todo:
        cell_id = todo.pop()
        if cell_id not in wanted:
            wanted.add(cell_id)
            todo += [parent.id for parent in planned[cell_id].cell.parents.values()]
    return (p for cell_id, p in planned.items() if cell_id in wanted)


def _copy(session: Session, cell_id: str, store: Store) -> None:
    """Copy a cell's fresh records, and the artifacts that are here and whole, to another store."""
    for record in session.states[cell_id].fresh:
        here, there = session.store.layout.cell(cell_id), store.layout.cell(cell_id)
        there.path.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here.record(record.attempt), there.record(record.attempt))
        for name in record.outcome.artifacts:
            found = session.store.artifact([record], name)
            if found is not None:
                shutil.copyfile(found[1], there.path / found[1].name)
