"""What the person at the terminal sees while cells run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.records.record import Failure
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
    """

    total: int
    done: int
    skipped: int
    running: int
    elsewhere: int
    failed: int
    left: float | None
    suites: tuple[Share, ...] = ()

    @property
    def line(self) -> str:
        """The tally in one line."""
        parts = [f"{self.done + self.skipped}/{self.total} done"]
        parts += [f"{self.skipped} of them not by this run"] if self.skipped else []
        parts += [f"{self.running} running"]
        parts += [f"{self.elsewhere} at another runner"] if self.elsewhere else []
        parts += [f"{self.failed} failed"] if self.failed else []
        ended = self.done + self.skipped + self.failed == self.total
        parts += [] if ended else [f"about {duration(self.left)} left"]
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


class Bar:
    """A live line at the terminal's foot; failures scroll by above it."""

    def __init__(self, console: Console, *, every: float = 0.25) -> None:
        self._console = console
        self._every = every
        self._next = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def begin(self) -> None:
        """Take the terminal's last line."""
        self._live.start()

    def update(self, tally: Callable[[], Tally]) -> None:
        """Draw the line anew if it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            self._live.update(_bar(tally()), refresh=True)

    def failed(self, planned: PlannedCell, attempt: int, failure: Failure, again: bool) -> None:
        """Print the failure above the line."""
        self.note(failure_text(planned, attempt, failure, again))

    def note(self, text: str) -> None:
        """Print a text above the line."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def end(self, tally: Tally) -> None:
        """Give the line back and print the last tally."""
        self._live.stop()
        self.note(tally.line)


def progress_for(console: Console) -> Progress:
    """Return a live bar for a terminal, plain lines for anything else."""
    return Bar(console) if console.is_terminal and not console.is_dumb_terminal else Lines(console)


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


def _bar(tally: Tally) -> Table:
    ended = tally.done + tally.skipped + tally.failed
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=max(tally.total, 1), completed=ended, width=24), tally.lines)
    return grid
