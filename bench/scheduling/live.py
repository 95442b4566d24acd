"""The table that lives at the terminal's foot while cells run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.records.record import Failure
from bench.scheduling.gpus import Gpu, Gpus, gpu_of
from bench.scheduling.progress import (
    Lines,
    Progress,
    Tally,
    duration,
    failure_text,
    name_of,
)
from bench.screen import printable
from bench.spec.cell import PlannedCell

_GIB = 1024**3
# Of open suites and of failures no more are shown: the table must fit a terminal of 24 lines.
_SUITES = 5
_FAILURES = 3


class LiveTable:
    """Cells by state, rate and time left, devices, open suites and the last failures.

    A failure scrolls by above it too, with its traceback.

    Parameters
    ----------
    every
        Seconds between drawings.
    window
        Seconds that the rate is taken over.
    """

    def __init__(
        self,
        console: Console,
        *,
        every: float = 0.5,
        window: float = 300.0,
        gpus: Gpus | None = None,
    ) -> None:
        self._console = console
        self._every = every
        self._next = 0.0
        self._rate = Rate(window)
        self._gpus = gpus or Gpus()
        self._failures: deque[tuple[str, str]] = deque(maxlen=_FAILURES)
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def begin(self) -> None:
        """Take the terminal's last lines."""
        self._live.start()

    def update(self, tally: Callable[[], Tally]) -> None:
        """Draw the table anew if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._every
        current = tally()
        self._rate.add(now, current.done)
        here = any(device.here for device, _ in current.devices)
        gpus = self._gpus.look() if here else ()
        self._live.update(self._drawn(current, gpus), refresh=True)

    def failed(self, planned: PlannedCell, attempt: int, failure: Failure, again: bool) -> None:
        """Print the failure above the table, and keep its first line in it."""
        message = printable(failure.message.partition("\n")[0])
        self._failures.append((name_of(planned), f"{failure.kind}: {message}"))
        self.note(failure_text(planned, attempt, failure, again))

    def note(self, text: str) -> None:
        """Print a text above the table."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def end(self, tally: Tally) -> None:
        """Give the lines back and print the last tally."""
        self._gpus.close()
        # The last drawing is of full height, which a low terminal would keep a part of.
        self._live.update(Text())
        self._live.stop()
        self.note(tally.line)

    def _drawn(self, tally: Tally, gpus: tuple[Gpu, ...]) -> RenderableType:
        rate = self._rate.per_minute
        speed = f"{rate:.3g} cells a minute, " if rate is not None else ""
        left = f"{speed}about {duration(tally.left)} left"
        return Group(
            _bar(tally),
            _states(tally),
            *([] if tally.ended else [_line(left)]),
            _devices(tally, gpus),
            *_suites(tally),
            *self._last_failures(),
        )

    def _last_failures(self) -> Iterator[RenderableType]:
        if self._failures:
            yield _line("last failures", "red")
        for name, message in self._failures:
            grid = Table.grid(padding=(0, 2), expand=True)
            grid.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
            grid.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
            grid.add_row(Text(f"  {printable(name)}"), Text(message))
            yield grid


class Rate:
    """How many cells end in a minute, over the last ``window`` seconds."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> None:
        """Take in how many cells are done at a moment, in seconds."""
        self._counts.append((now, done))
        while len(self._counts) > 2 and self._counts[1][0] <= now - self._window:
            self._counts.popleft()

    @property
    def per_minute(self) -> float | None:
        """Cells a minute; None before the first has ended."""
        if not self._counts or not self._counts[-1][1]:
            return None
        (first, before), (last, after) = self._counts[0], self._counts[-1]
        return 60 * (after - before) / (last - first) if last > first else None


def progress_for(console: Console) -> Progress:
    """Return a live table for a terminal, plain lines for anything else."""
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console)
    return Lines(console)


def _bar(tally: Tally) -> RenderableType:
    ended = tally.done + tally.skipped + tally.failed
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_row(
        ProgressBar(total=max(tally.total, 1), completed=ended),
        f"{ended:,} of {tally.total:,} cells ended",
    )
    return grid


def _states(tally: Tally) -> RenderableType:
    columns = {
        "done": tally.done,
        "not by this run": tally.skipped,
        "running": tally.running,
        "at another runner": tally.elsewhere,
        "failed": tally.failed,
        "waiting": tally.waiting,
    }
    table = _table()
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row(*(f"{n:,}" for n in columns.values()))
    return table


def _devices(tally: Tally, gpus: tuple[Gpu, ...]) -> RenderableType:
    found = {device: gpu_of(device, gpus) for device, _ in tally.devices}
    told = any(found.values())
    table = _table()
    table.add_column("device")
    table.add_column("running", justify="right")
    if told:
        table.add_column("memory", justify="right")
        table.add_column("load", justify="right")
    for device, used in tally.devices:
        row = [device.name, f"{used:,}" if device.packed else f"{used:,} of {device.slots:,}"]
        table.add_row(*row, *(_reading(found[device]) if told else []))
    return table


def _reading(gpu: Gpu | None) -> list[str]:
    if gpu is None:
        return ["", ""]
    known = gpu.used is not None and gpu.total is not None
    memory = f"{(gpu.used or 0) / _GIB:.1f} of {(gpu.total or 0) / _GIB:.1f} GiB" if known else ""
    return [memory, f"{gpu.load:.0%}" if gpu.load is not None else ""]


def _suites(tally: Tally) -> Iterator[RenderableType]:
    open_ones = [share for share in tally.suites if not share.ended]
    if not open_ones:
        return
    yield _line(f"{len(tally.suites) - len(open_ones)} of {len(tally.suites)} suites at their end")
    # What has begun is what is watched.
    open_ones.sort(key=lambda share: not (share.done or share.failed))
    for share in open_ones[:_SUITES]:
        yield _line(f"  {share.line}")
    if open_ones[_SUITES:]:
        yield _line(f"  and {len(open_ones) - _SUITES} more")


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
