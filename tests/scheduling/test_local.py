"""One process a cell: what it sees, how it ends, and that it hurts nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.import_path import import_path
from bench.records.record import Failure, Record
from bench.records.store import Store
from bench.scheduling.device import Device
from bench.scheduling.engines.log import CappedLog
from bench.spec.cell import PlannedCell
from tests.records.built import cell, planned
from tests.scheduling.conftest import Execute, alive

ROOT = Path(__file__).parents[2]


def act(name: str, seed: int = 0, **arguments: Any) -> PlannedCell:
    """Return a cell that does what is named."""
    return planned(cell(seed, {name: arguments}))


def attempts(store: Store, planned: PlannedCell) -> list[Record]:
    return store.attempts(planned.cell.id)


def failure(store: Store, planned: PlannedCell) -> Failure:
    told = attempts(store, planned)[-1].outcome.failure
    assert told is not None
    return told


def test_a_worker_has_its_own_process_one_thread_and_everything_imported(
    store: Store, execute: Execute
) -> None:
    look = act("look")
    assert execute([look]).exit_code == 0
    seen = attempts(store, look)[0].outcome.metrics
    assert seen["pid"] != os.getpid()
    assert seen["threads"] == seen["job_threads"] == 1
    assert seen["gpu"] == -1
    assert seen["preloaded"] == 1
    # Of trainings, trials, choices, tuned cells and measurements: what no worker reads again.
    assert seen["digested"] == 5
    # The runner's main module, here pytest, is not imported again in each worker.
    assert seen["main_is_bare"] == 1


def test_its_output_is_in_its_log(store: Store, execute: Execute) -> None:
    look = act("look")
    execute([look])
    log = store.log(look.cell.id, 1).read_text()
    assert sorted(log.splitlines()) == ["to descriptor one", "to stderr", "to stdout"]


def test_each_gpu_slot_shows_one_gpu(store: Store, execute: Execute) -> None:
    plan = [act("look", seed) for seed in range(6)]
    execute(plan, devices=[Device("cuda:0", "3", 1), Device("cuda:1", "5", 1)])
    seen = [attempts(store, one)[0].outcome.metrics["gpu"] for one in plan]
    assert set(seen) == {3, 5}


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("raise", {}, "error", "RuntimeError: the third layer went wrong"),
        ("crash", {}, "signal", "killed by SIGSEGV"),
        ("die", {}, "signal", "killed by SIGKILL (by the system, if it ran out of memory)"),
        ("exit", {"code": 7}, "exit", "exited with code 7 and no outcome"),
        ("oom", {}, "out-of-memory", "OutOfMemoryError: CUDA out of memory"),
        ("nan", {}, "not-a-number", "Diverged: the loss is NaN at step 3"),
        ("user", {}, "user-error", "photos: the folder is empty"),
    ],
)
def test_a_bad_end_is_its_own_and_the_others_go_on(
    store: Store, execute: Execute, name: str, arguments: dict[str, Any], kind: str, message: str
) -> None:
    bad, good = act(name, **arguments), [act("sleep", seed, seconds=0.0) for seed in range(4)]
    summary = execute([bad, *good])
    assert summary.exit_code == 1
    assert summary.done == 4
    assert [failed.planned for failed in summary.failures] == [bad]
    assert failure(store, bad).kind == kind
    assert failure(store, bad).message.startswith(message)


def test_a_crash_leaves_its_output_and_traceback_in_the_record(
    store: Store, execute: Execute
) -> None:
    bad = act("crash")
    execute([bad])
    detail = failure(store, bad).detail
    assert "about to touch address zero" in detail
    assert "Segmentation fault" in detail
    assert "in _crash" in detail


@pytest.mark.parametrize("name", ["hang", "hold-gil"])
def test_a_cell_over_its_time_is_ended_even_if_it_resists(
    store: Store, execute: Execute, name: str
) -> None:
    bad, good = act(name), act("sleep", seconds=0.1)
    start = time.monotonic()
    summary = execute([bad, good], time_limit=1.0)
    assert time.monotonic() - start < 60
    assert summary.done == 1
    (record,) = attempts(store, bad)
    assert record.outcome.status == "timed-out"
    assert failure(store, bad).message == "stopped after 1 seconds, its time limit"


def test_a_cell_over_its_time_says_where_it_was(store: Store, execute: Execute) -> None:
    bad = act("sleep", seconds=60)
    execute([bad], time_limit=0.3)
    assert "in _sleep" in failure(store, bad).detail


def test_an_outcome_counts_although_its_process_does_not_end(
    store: Store, execute: Execute
) -> None:
    start = time.monotonic()
    assert execute([act("linger")]).exit_code == 0
    assert time.monotonic() - start < 60


def test_what_a_cell_started_ends_with_it(store: Store, execute: Execute) -> None:
    litter = act("litter")
    execute([litter])
    pid = int(attempts(store, litter)[0].outcome.metrics["grandchild"])
    deadline = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_that_stalls_within_its_report_holds_nobody_up(
    store: Store, execute: Execute
) -> None:
    bad, good = act("stall"), [act("sleep", seed, seconds=0.0) for seed in range(3)]
    summary = execute([bad, *good], retries=0)
    assert summary.done == 3
    assert failure(store, bad).kind == "signal"
    assert failure(store, bad).message.startswith("killed by SIGKILL within its report")


def test_a_log_keeps_its_first_and_its_last_part(
    store: Store, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = partial(CappedLog, head=1300, tail=650)
    monkeypatch.setattr("bench.scheduling.engines.worker.CappedLog", small)
    chatter = act("chatter", lines=20000)
    assert execute([chatter]).exit_code == 0
    lines = store.log(chatter.cell.id, 1).read_text().splitlines()
    # 13 bytes a line, of which 100 and 50 are kept.
    assert [line for line in lines if line.startswith("line")] == [
        f"line {number:07d}" for number in [*range(100), *range(19950, 20000)]
    ]
    assert f"[{13 * 19850} bytes are left out]" in lines
    assert any("the log is full" in line for line in lines)


@pytest.mark.parametrize("name", ["look", "die"])
def test_a_full_disk_under_the_log_costs_neither_cell_nor_record(
    store: Store, execute: Execute, name: str
) -> None:
    one = act(name)
    log = Path(store.log(one.cell.id, 1))
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    execute([one], retries=0)
    (record,) = attempts(store, one)
    assert record.outcome.status == ("done" if name == "look" else "failed")


def test_what_a_crash_printed_is_in_the_record_though_the_disk_was_full(
    store: Store, execute: Execute
) -> None:
    bad = act("crash")
    log = Path(store.log(bad.cell.id, 1))
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    execute([bad], retries=0)
    assert "about to touch address zero" in failure(store, bad).detail


def test_a_log_that_cannot_be_written_is_said_and_costs_no_cell(
    store: Store, execute: Execute, caplog: pytest.LogCaptureFixture
) -> None:
    look = act("look")
    Path(store.log(look.cell.id, 1)).mkdir(parents=True)
    assert execute([look], retries=0).exit_code == 0
    assert [r.message for r in caplog.records] == [
        f"the log {store.log(look.cell.id, 1)} is not written: Is a directory"
    ]


SHADOWING = """
    import sys
    sys.path[:] = {path}
    from pathlib import Path
    from bench.records.store import Store
    from bench.scheduling.device import Device
    from bench.scheduling.engines.local import LocalEngine
    from bench.scheduling.run import run
    from tests.scheduling import fake_cells
    from tests.scheduling.test_local import act

    # As `python -m` does.
    sys.path.insert(0, str(Path.cwd()))
    engine = LocalEngine([Device("cpu", "", 1)], target=fake_cells.TARGET)
    print(run([act("sleep", seconds=0)], Store(Path("store")), engine).done)
"""


@pytest.mark.parametrize("name", ["random", "pydantic", "msvcrt"])
def test_a_users_file_shadows_nothing_in_a_worker(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong one')")
    path = repr([str(ROOT), *(entry for entry in sys.path if entry)])
    ran = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(SHADOWING).format(path=path)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.stdout.strip() == "1", ran.stderr


def test_a_users_file_shadows_nothing_in_the_command(tmp_path: Path) -> None:
    # `subprocess` asks by the last two whether this is Windows.
    for name in ("random", "click", "logging", "yaml", "msvcrt", "_winapi"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong one')")
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "validate", "bss/table2"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_the_current_folder_is_on_the_path_only_if_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "bench").mkdir(parents=True)
    (other / "bench" / "__init__.py").touch()
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "path", ["", "/usr/lib/python", str(other)])
    monkeypatch.chdir(tmp_path)
    assert import_path() == ["/usr/lib/python", str(other)]
    # From its checkout Retable is imported from there, whatever else is installed.
    monkeypatch.chdir(ROOT)
    assert import_path() == ["/usr/lib/python", str(ROOT), str(other)]
    monkeypatch.setattr(sys, "path", ["/usr/lib/python"])
    assert import_path() == ["/usr/lib/python"]
    # Asked for, as by PYTHONPATH or a package that is installed in place, it comes last.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/usr/lib/python"])
    assert import_path() == ["/usr/lib/python", str(tmp_path)]
    monkeypatch.setattr(sys, "path", [str(tmp_path), "/usr/lib/python"])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert import_path() == ["/usr/lib/python", str(tmp_path)]


def test_slots_are_all_used_and_never_more(store: Store, execute: Execute) -> None:
    plan = [act("alone", seed, seconds=0.4) for seed in range(6)]
    execute(plan, slots=3)
    assert max(attempts(store, one)[0].outcome.metrics["most"] for one in plan) == 3
