"""At a terminal of 80 columns the table shows all of a run, and leaves the last line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.records.record import Failure
from bench.scheduling.device import Device
from bench.scheduling.gpus import Gpu, Gpus, gpu_of, parse_readings
from bench.scheduling.live import LiveTable, Rate, progress_for
from bench.scheduling.progress import Tally
from bench.scheduling.summary import Share
from bench.spec.cell import PlannedCell
from tests.records.built import cell
from tests.terminal import Terminal

CPU = Device("cpu", "", 4)
TALLY = Tally(
    total=3000, done=1200, skipped=200, running=4, elsewhere=1, failed=2, left=8700.0,
    devices=((CPU, 4),),
)  # fmt: skip
LISTING = """\
0, GPU-11aa, NVIDIA H200, 18842, 143771, 97
1, GPU-22bb, NVIDIA H200, 0, 143771, 0
2, GPU-33cc, NVIDIA H200, [N/A], [N/A], [Not Supported]
"""
GPUS = parse_readings(LISTING)


class Known(Gpus):
    """GPUs that are always the same."""

    def look(self) -> tuple[Gpu, ...]:
        return GPUS


def planned(name: str) -> PlannedCell:
    return PlannedCell(cell(), {"dataset": "glyphs", "method": name}, 0)


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def table(terminal: Terminal) -> Iterator[LiveTable]:
    made = LiveTable(terminal.console(), every=0.0, gpus=Known())
    made.begin()
    yield made
    made.end(TALLY)


def test_the_table_shows_states_time_left_and_devices(terminal, table) -> None:
    table.update(lambda: TALLY)
    bar, heads, counts, left, devices, cpu = terminal.screen.splitlines()
    assert bar.endswith("1,402 of 3,000 cells ended")
    assert [name.strip() for name in heads.split("  ") if name.strip()] == [
        "done", "not by this run", "running", "at another runner", "failed", "waiting",
    ]  # fmt: skip
    assert counts.split() == ["1,200", "200", "4", "1", "2", "1,593"]
    assert left == "about 2 h 25 min left"
    assert devices.split() == ["device", "running"]
    assert cpu.split() == ["cpu", "4", "of", "4"]


def test_each_gpu_of_this_machine_has_its_memory_and_load(terminal, table) -> None:
    here = [Device(f"cuda:{i}", str(i), 2, here=True) for i in range(3)]
    table.update(lambda: replace(TALLY, devices=tuple((device, 2) for device in here)))
    rows = terminal.screen.splitlines()[-4:]
    assert rows[0].split() == ["device", "running", "memory", "load"]
    # 18,842 and 143,771 MiB are 18.4 and 140.4 GiB.
    assert rows[1].split() == ["cuda:0", "2", "of", "2", "18.4", "of", "140.4", "GiB", "97%"]
    assert rows[2].split() == ["cuda:1", "2", "of", "2", "0.0", "of", "140.4", "GiB", "0%"]
    assert rows[3].split() == ["cuda:2", "2", "of", "2"]


def test_of_gpus_elsewhere_this_machine_says_nothing(terminal, table) -> None:
    table.update(lambda: replace(TALLY, devices=((Device("node7", "0", 2), 1),)))
    assert "GiB" not in terminal.screen
    assert "node7    1 of 2" in terminal.screen


def test_a_divided_gpu_and_models_in_unknown_order_have_no_reading() -> None:
    assert gpu_of(Device("cuda:1", "1", 1), GPUS, {}) == GPUS[1]
    assert gpu_of(Device("cuda:0", "GPU-22", 1), GPUS, {}) == GPUS[1]
    assert gpu_of(Device("cuda:0", "MIG-1-2", 1), GPUS, {}) is None
    assert gpu_of(Device("cuda:0", "GPU-", 1), GPUS, {}) is None
    mixed = [GPUS[0], replace(GPUS[1], name="another")]
    assert gpu_of(Device("cuda:1", "1", 1), mixed, {}) is None
    ordered = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert gpu_of(Device("cuda:1", "1", 1), mixed, ordered) == mixed[1]
    assert gpu_of(Device("cuda:0", "GPU-22bb", 1), mixed, {}) == mixed[1]


def until(gpus: Gpus, wanted: int) -> float:
    """Look until so many GPUs are known; return the longest that a look has taken."""
    longest, end = 0.0, time.monotonic() + 20
    while time.monotonic() < end:
        start = time.monotonic()
        known = gpus.look()
        longest = max(longest, time.monotonic() - start)
        if len(known) == wanted:
            return longest
        time.sleep(0.01)
    raise AssertionError(f"never {wanted}")


def test_a_slow_driver_delays_nothing_and_a_broken_one_is_no_error(tmp_path: Path) -> None:
    script = tmp_path / "smi.py"
    script.write_text(f"import time; time.sleep(0.5); print({LISTING!r})")
    gpus = Gpus(every=60.0, command=[sys.executable, "-S", str(script)])
    assert gpus.look() == ()
    assert until(gpus, 3) < 0.4
    assert gpus.look() == GPUS
    gpus.close()
    broken = Gpus(every=60.0, command=[sys.executable, "-S", "-c", "raise SystemExit(9)"])
    assert broken.look() == ()
    absent = Gpus(command=[str(tmp_path / "nothing")])
    assert absent.look() == absent.look() == ()
    broken.close()


def test_suites_that_have_begun_come_first_and_all_fit_the_screen(terminal, table) -> None:
    shares = [Share(f"paper/suite-{i}", 10, 10 * (i == 0), 0) for i in range(8)]
    shares[6] = Share("paper/begun", 10, 3, 1)
    table.update(lambda: replace(TALLY, suites=tuple(shares)))
    assert terminal.screen.splitlines()[-7:] == [
        "1 of 8 suites at their end",
        "  paper/begun 3/10 done, 1 failed",
        *(f"  paper/suite-{i} 0/10 done" for i in range(1, 5)),
        "  and 2 more",
    ]


def test_the_last_failures_stay_in_the_table_each_in_a_line(terminal, table) -> None:
    for number in range(5):
        message = f"\x1b[31mRuntimeError {number}: " + "long " * 40 + "\nsecond line"
        failure = Failure("error", message, "Traceback\n  line one")
        table.failed(planned(f"method-{number}"), 1, failure, False)
        table.update(lambda: TALLY)
    lines = terminal.screen.splitlines()
    assert lines[-4] == "last failures"
    for number, line in zip((2, 3, 4), lines[-3:], strict=True):
        assert line.startswith(f"  glyphs method-{number} ")
        assert f"error: \\u001b[31mRuntimeError {number}" in line
        assert line.endswith("…")
    # All of it scrolled by above, and the table was never drawn over it.
    assert terminal.scrolled.count("  | Traceback") == 5
    assert terminal.scrolled.count("cells ended") == 1


def test_in_the_end_only_the_tally_is_left(terminal) -> None:
    table = LiveTable(terminal.console(), every=0.0, gpus=Known())
    table.begin()
    table.update(lambda: TALLY)
    table.note("something is said")
    table.end(TALLY)
    said, *tally = terminal.screen.splitlines()
    assert (said, "".join(tally)) == ("something is said", TALLY.line)


@pytest.mark.parametrize(("columns", "lines"), [(20, 24), (80, 5)])
def test_a_small_terminal_is_not_overrun(columns: int, lines: int) -> None:
    small = Terminal(columns, lines)
    table = LiveTable(small.console(), every=0.0, gpus=Known())
    table.begin()
    for _ in range(10):
        table.update(lambda: TALLY)
    assert small.scrolled == small.screen
    table.end(TALLY)
    assert "cells ended" not in small.scrolled


def test_the_rate_is_of_the_last_minutes() -> None:
    rate = Rate(window=300.0)
    rate.add(0.0, 0)
    assert rate.per_minute is None
    rate.add(60.0, 30)
    assert rate.per_minute == pytest.approx(30.0)
    for minute in range(2, 12):
        rate.add(60.0 * minute, 30 + 6 * (minute - 1))
    assert rate.per_minute == pytest.approx(6.0)


def test_a_terminal_gets_a_table() -> None:
    assert isinstance(progress_for(Terminal().console()), LiveTable)
