"""Which of a record's numbers are fractions, told by the parts that it names: without its suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.errors import UserError
from bench.once import once
from bench.records.record import Record
from bench.spec.metrics import PERCENT
from bench.spec.parts import Kind, find_part, named_metrics


def fractions_of(record: Record) -> frozenset[str]:
    """Return the names of a record's metrics and curves that lie between 0 and 1.

    A part that is not Retable's own, or not installed, tells nothing here: the suite that names
    its file does.
    """
    settings = record.cell["settings"]
    measured = frozenset[str]().union(*_declared("measurement", settings.get("measurement")))
    scores = frozenset[str]().union(
        *(s for t in _tasks(settings) for s in _declared("objective", t))
    )
    names = (*record.outcome.metrics, *record.outcome.curves)
    return frozenset(n for n in names if n in measured or n.rpartition("/")[2] in scores)


def _tasks(settings: Mapping[str, Any]) -> Iterator[Any]:
    # A measurement's numbers are its own, whatever its task's objective calls its.
    tasks = settings.get("tasks")
    for task in tasks.values() if isinstance(tasks, Mapping) else ():
        yield task.get("objective") if isinstance(task, Mapping) else None


def _declared(kind: Kind, use: Any) -> Iterator[frozenset[str]]:
    """Yield the fractions that a part in use, a name with its settings, declares."""
    for name, settings in use.items() if isinstance(use, Mapping) else ():
        declared = named_metrics(_metrics(kind, str(name)), settings)
        # A difference of two fractions is declared as better when lower, and may be below 0.
        yield frozenset(n for n, side in declared.items() if side == (PERCENT, "highest"))


@once(256)
def _metrics(kind: Kind, name: str) -> Mapping[str, tuple[str, str]]:
    try:
        part = find_part(kind, name, ())
    except UserError:
        part = None
    return part.metrics if part is not None else {}
