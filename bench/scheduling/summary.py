"""What a run has done, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.records.record import Failure
from bench.spec.cell import PlannedCell


@dataclass(frozen=True)
class FailedCell:
    """A cell that has failed for good in this run, with its last attempt's failure."""

    planned: PlannedCell
    attempt: int
    failure: Failure


@dataclass(frozen=True)
class Share:
    """How far one of several suites is: ``done`` and ``failed`` of its ``total`` cells."""

    suite: str
    total: int
    done: int
    failed: int

    @property
    def ended(self) -> bool:
        """Whether none of its cells is left."""
        return self.done + self.failed == self.total

    @property
    def line(self) -> str:
        """The share in a few words."""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.suite} {self.done:,}/{self.total:,} done{failed}"


@dataclass(frozen=True)
class RunSummary:
    """What a run has done.

    Attributes
    ----------
    done
        Cells done by this run.
    before
        Cells that were done when it began.
    elsewhere
        Cells that another runner did meanwhile.
    unfinished
        Cells that were not begun, or were stopped, because the run was interrupted.
    attempts
        Attempts this run has made, however they ended.
    cell_seconds
        Sum of the seconds of this run's done attempts.
    wall_seconds
        Seconds the run took.
    suites
        How far each suite is, where several are told apart.
    benched
        What is to be said of each device that got no more cells after a while.
    stopped
        Why the run stopped by itself before all was tried; empty where it did not.
    broken
        Files in the store that could not be read.
    """

    done: int
    before: int
    elsewhere: int
    failures: tuple[FailedCell, ...]
    unfinished: int
    attempts: int
    cell_seconds: float
    wall_seconds: float
    slots: int
    interrupted: bool = False
    suites: tuple[Share, ...] = ()
    benched: tuple[str, ...] = ()
    stopped: str = ""
    broken: tuple[str, ...] = field(default=())

    @property
    def overhead(self) -> float | None:
        """Wall time over what perfect packing would take; None if this run has done nothing."""
        if not self.cell_seconds:
            return None
        return self.wall_seconds / (self.cell_seconds / self.slots)

    @property
    def exit_code(self) -> int:
        """0 if all is done, 1 if a cell has failed, 130 if the run was interrupted."""
        if self.interrupted:
            return 130
        return 1 if self.failures or self.unfinished else 0
