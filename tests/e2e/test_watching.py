"""A run, watched: in a terminal of 80 columns, in a pipe, in TensorBoard's files."""

from __future__ import annotations

import os
import sys

import pytest

from tests.terminal import watch

from .conftest import Bench

pytestmark = pytest.mark.e2e


def test_a_terminal_has_a_table_while_it_runs_and_the_tally_in_the_end(bench: Bench) -> None:
    suite = bench.suite()
    command = [sys.executable, "-m", "bench", "run", suite, "--workers", "2"]
    environment = {**os.environ, **bench.environment}
    code, screens, terminal = watch(command, bench.folder, environment, seconds=300)
    assert code == 0, terminal.scrolled
    tables = [screen for screen in screens if "cells ended" in screen]
    assert any("2 of 2" in screen for screen in tables)
    assert any("of 12 cells ended" in screen and "waiting" in screen for screen in tables)
    # Each is drawn over the one before, and the last is taken away.
    assert all(screen.count("cells ended") == 1 for screen in tables)
    assert "cells ended" not in terminal.scrolled
    assert "12/12 done, 0 running" in terminal.scrolled
    assert "cells: 12 done now, 0 before" in terminal.scrolled


def test_a_pipe_has_plain_lines(bench: Bench) -> None:
    suite = bench.suite()
    output = bench.apart("run", suite, "--engine", "inline", "--tensorboard", "events")
    assert "\x1b" not in output
    assert "cells ended" not in output
    assert "12/12 done, 0 running" in output
    written = sorted((bench.folder / "events" / "small" / "table.offline").glob("*/events.*"))
    assert len(written) == 12
    # Done before, they are there already: nothing is written again.
    before = [file.stat().st_mtime_ns for file in written]
    bench("run", suite, "--tensorboard", "events")
    assert [file.stat().st_mtime_ns for file in written] == before
