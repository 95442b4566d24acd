"""What the person at the terminal sees while cells run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.text import Text

from bench.records.record import Failure
from bench.scheduling.device import Device
from bench.scheduling.summary import Share
from bench.screen import printable
from bench.spec.cell import PlannedCell


@dataclass(frozen=True)
class Tally:
    """Where the run's cells are.

    Attributes
    ----------
    skipped
        Cells that were done before, or by another runner.
    elsewhere
        Cells that another runner has now.
    left
        Estimated seconds left; None where nothing was measured yet.
    suites
        How far each suite is, where several are told apart.
    devices
        Each device with the number of cells on it.
    """

    total: int
    done: int
    skipped: int
    running: int
    elsewhere: int
    failed: int
    left: float | None
    suites: tuple[Share, ...] = ()
    devices: tuple[tuple[Device, int], ...] = ()

    @property
    def ended(self) -> bool:
        """Whether no cell is left."""
        return self.done + self.skipped + self.failed == self.total

    @property
    def waiting(self) -> int:
        """Cells that nobody has begun."""
        begun = self.done + self.skipped + self.running + self.elsewhere + self.failed
        return self.total - begun

    @property
    def line(self) -> str:
        """The tally in one line."""
        parts = [f"{self.done + self.skipped}/{self.total} done"]
        parts += [f"{self.skipped} of them not by this run"] if self.skipped else []
        parts += [f"{self.running} running"]
        parts += [f"{self.elsewhere} at another runner"] if self.elsewhere else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [] if self.ended else [f"about {duration(self.left)} left"]
        return ", ".join(parts)

    @property
    def lines(self) -> str:
        """The tally, and below it the suites that are not at their end, where there are several."""
        if not self.suites:
            return self.line
        open_ones = [share.line for share in self.suites if not share.ended]
        ended = len(self.suites) - len(open_ones)
        told = "; ".join([f"  {ended} of {len(self.suites)} suites at their end", *open_ones])
        return f"{self.line}\n{told}" if open_ones else self.line


class Progress(Protocol):
    """Is told how a run goes."""

    def begin(self) -> None:
        """The run begins."""

    def update(self, tally: Callable[[], Tally]) -> None:
        """Something may have changed; ``tally`` is asked only when it is shown."""

    def failed(self, planned: PlannedCell, attempt: int, failure: Failure, again: bool) -> None:
        """An attempt has failed, and whether it is tried again."""

    def note(self, text: str) -> None:
        """Say something once."""

    def end(self, tally: Tally) -> None:
        """The run has ended."""


class Silence:
    """Shows nothing."""

    def begin(self) -> None:
        """Show nothing."""

    def update(self, tally: Callable[[], Tally]) -> None:
        """Show nothing."""

    def failed(self, planned: PlannedCell, attempt: int, failure: Failure, again: bool) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def end(self, tally: Tally) -> None:
        """Show nothing."""


class Lines:
    """Plain lines for logs: one every so many seconds, and each failure at once."""

    def __init__(self, console: Console, *, every: float = 30.0) -> None:
        self._console = console
        self._every = every
        self._next = 0.0

    def begin(self) -> None:
        """Start counting the seconds."""
        self._next = time.monotonic() + self._every

    def update(self, tally: Callable[[], Tally]) -> None:
        """Print the tally if it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            self.note(tally().lines)

    def failed(self, planned: PlannedCell, attempt: int, failure: Failure, again: bool) -> None:
        """Print the failure."""
        self.note(failure_text(planned, attempt, failure, again))

    def note(self, text: str) -> None:
        """Print a text as it is."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def end(self, tally: Tally) -> None:
        """Print the last tally."""
        self.note(tally.line)


def failure_text(planned: PlannedCell, attempt: int, failure: Failure, again: bool) -> str:
    """Return what is said of a failure: the cell, what happened, and its traceback."""
    head = f"{name_of(planned)}: attempt {attempt} failed ({failure.kind}): {failure.message}"
    tail = "\n  it will be tried again" if again else ""
    # A parent's failure and a user's error have said all; a crash is told by its traceback.
    detail = "".join(f"\n  | {line}" for line in failure.detail.strip().splitlines()[-20:])
    return f"{head}{detail}{tail}"


def name_of(planned: PlannedCell) -> str:
    """Return a cell's labels and the beginning of its id."""
    cell = planned.cell
    shown = (
        planned.labels.values() if planned.shown else (planned.name, cell.backbone, cell.dataset)
    )
    return f"{' '.join(str(value) for value in shown if value != '')} [{cell.id[:8]}]"


def duration(seconds: float | None) -> str:
    """Return seconds as a person would say them."""
    if seconds is None:
        return "an unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole / 86400:.1f} days"
