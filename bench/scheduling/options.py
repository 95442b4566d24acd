"""How to run a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.records.record import Record
from bench.spec.cell import PlannedCell

OnDone = Callable[[PlannedCell, Record], None]


@dataclass(frozen=True)
class RunOptions:
    """How to run.

    Attributes
    ----------
    retries
        Further attempts at a cell in this run; see :func:`bench.scheduling.retries.verdict`.
    keep
        Names of the artifacts to keep of every cell that can leave them, not only of those that
        others start from; a cell done without them is done again.
    look_every
        Seconds between looks at cells that another runner has: of a few, and while they change.
    look_at_most
        Seconds to which that grows while many are elsewhere and nothing changes.
    patience
        Seconds without room for a single process until the run is given up.
    save_every
        Seconds between two saves of a cell's training; 0 saves none.
    like_failures
        The run stops after so many like failures of different cells without a success.
    shuffled
        Among cells of which none should come first, begin with any: of many runners that begin
        together, each elsewhere.
    leave_when_idle
        End when this run can begin nothing more, though others still have cells.
    ttl
        Seconds without a sign of life after which other machines are to take this run for dead;
        theirs to say where it is None.
    """

    retries: int = 1
    keep: frozenset[str] = frozenset()
    look_every: float = 1.0
    look_at_most: float = 30.0
    patience: float = 30.0
    save_every: float = 600.0
    like_failures: int = 10
    shuffled: bool = False
    leave_when_idle: bool = False
    ttl: float | None = None
