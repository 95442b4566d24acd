"""A log gets few lines; it and a terminal get each failure at once."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from bench.records.record import Failure
from bench.scheduling.live import progress_for
from bench.scheduling.progress import Lines, Tally, duration, name_of
from bench.scheduling.summary import Share
from bench.spec.cell import PlannedCell
from tests.records.built import cell

TALLY = Tally(total=10, done=3, skipped=2, running=4, elsewhere=1, failed=0, left=65.0)
PLANNED = PlannedCell(cell(), {"dataset": "glyphs", "method": "l2+bss"}, 0)


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=200)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_tally_is_one_line_and_calls_the_time_left_an_estimate() -> None:
    assert TALLY.line == (
        "5/10 done, 2 of them not by this run, 4 running, 1 at another runner, about 1 min 5 s left"
    )
    unknown = Tally(total=2, done=0, skipped=0, running=1, elsewhere=0, failed=1, left=None)
    assert unknown.line == "0/2 done, 1 running, 1 failed, about an unknown time left"
    over = Tally(total=2, done=1, skipped=0, running=0, elsewhere=0, failed=1, left=0.0)
    assert over.line == "1/2 done, 0 running, 1 failed"


def test_of_several_suites_those_that_are_not_at_their_end_are_told_below() -> None:
    shares = [Share("a/x", 4, 4, 0), Share("a/y", 5, 1, 2), Share("b/x", 1, 0, 1)]
    several = replace(TALLY, suites=tuple(shares))
    below = "  2 of 3 suites at their end; a/y 1/5 done, 2 failed"
    assert several.lines == f"{TALLY.line}\n{below}"
    assert replace(several, suites=(shares[0], shares[2])).lines == TALLY.line
    assert TALLY.lines == TALLY.line


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (599, "9 min 59 s"), (1800, "30 min"),
        (3600, "1 h 0 min"), (90_000, "25 h 0 min"), (200_000, "2.3 days"),
    ],
)  # fmt: skip
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_plain_lines_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, now = console(), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Lines(shown, every=30)
    progress.begin()
    for _ in range(100):
        now[0] += 1
        progress.update(lambda: TALLY)
    assert text(shown).count("5/10 done") == 3
    assert "\x1b" not in text(shown)


def test_the_tally_is_not_computed_unless_shown() -> None:
    progress = Lines(console(), every=60)
    progress.begin()
    progress.update(lambda: pytest.fail("it is not time"))


@pytest.mark.parametrize("terminal", [False, True])
def test_a_failure_is_told_at_once_with_its_traceback(terminal: bool) -> None:
    shown = console(terminal)
    progress = progress_for(shown)
    progress.begin()
    failure = Failure("error", "RuntimeError: [bold]no[/bold]", "Traceback\n  line one\n  line two")
    progress.failed(PLANNED, 2, failure, True)
    assert f"glyphs l2+bss 0 [{cell().id[:8]}]: attempt 2 failed (error)" in text(shown)
    assert "RuntimeError: [bold]no[/bold]\n  | Traceback\n  |   line one" in text(shown)
    assert "it will be tried again" in text(shown)
    progress.end(TALLY)
    assert text(shown).rstrip().endswith(TALLY.line)


def test_a_pipe_gets_lines() -> None:
    assert isinstance(progress_for(console()), Lines)


def test_a_cell_behind_the_table_is_named_by_what_it_is() -> None:
    stage = PlannedCell(cell(), {}, name="stage source")
    assert name_of(stage).startswith("stage source resnet18.tv_in1k glyphs [")
