"""A pilot stops its runner when Slurm warns it, and comes back only if something is left."""

from __future__ import annotations

import pickle
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.fleet import pilot as module
from bench.fleet.pilot import Pilot

submitit = pytest.importorskip("submitit")
# A runner that says it is there, and ends with a code when it is asked to stop.
RUNNER = """#!{python}
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))
deaf = signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
pathlib.Path(r"{here}").write_text(f"{{deaf}} " + " ".join(sys.argv[1:]))
time.sleep({seconds})
"""


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replace the pilot's runner; return the file in which it says that it is there."""

    def replaced(code: int, seconds: float = 60) -> Path:
        script = tmp_path / "python"
        here = tmp_path / "here"
        script.write_text(
            RUNNER.format(python=sys.executable, code=code, here=here, seconds=seconds)
        )
        script.chmod(0o755)
        monkeypatch.setattr(module.sys, "executable", str(script))
        return here

    return replaced


def warned(pilot: Pilot, here: Path) -> object:
    """Run a pilot until its runner is there, then warn it; return what it would requeue."""
    returned: list[object] = []

    def handle(number: int, frame: object) -> None:
        returned.append(pilot.checkpoint())
        raise InterruptedError

    def warn() -> None:
        while not here.exists():
            time.sleep(0.01)
        signal.raise_signal(signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, handle)
    thread = threading.Thread(target=warn)
    thread.start()
    try:
        with pytest.raises(InterruptedError):
            pilot()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR2, before)
    return returned[0]


def test_a_warned_pilot_comes_back_where_cells_are_left(runner, tmp_path: Path) -> None:
    here = runner(code=130)
    again = warned(Pilot(str(tmp_path), "abc", ("bss/table2",)), here)
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    # What Slurm sends to every process of the job does not end the runner.
    assert here.read_text() == "True -m bench run bss/table2 --pilot-of abc"


@pytest.mark.parametrize("code", [0, 1])
def test_it_does_not_where_none_is(runner, tmp_path: Path, code: int) -> None:
    assert warned(Pilot(str(tmp_path), "abc", ()), runner(code)) is None


def test_nor_where_the_fleet_is_cancelled(runner, tmp_path: Path) -> None:
    here = runner(code=130)
    pilot = Pilot(str(tmp_path), "abc", ())
    original = Pilot._wait

    def cancelled_meanwhile(process):
        (tmp_path / "abc.cancelled").touch()
        return original(process)

    pilot._wait = cancelled_meanwhile  # type: ignore[method-assign]
    assert warned(pilot, here) is None


def test_a_pilot_of_a_cancelled_fleet_begins_nothing(runner, tmp_path: Path) -> None:
    here = runner(code=0, seconds=0)
    (tmp_path / "abc.cancelled").touch()
    assert Pilot(str(tmp_path), "abc", ())() == 0
    assert not here.exists()


def test_a_pilot_ends_with_its_runner(runner, tmp_path: Path) -> None:
    here = runner(code=0, seconds=0)
    assert Pilot(str(tmp_path), "abc", ())() == 0
    assert here.exists()


def test_a_pilot_travels(tmp_path: Path) -> None:
    pilot = pickle.loads(pickle.dumps(Pilot("folder", "abc", ("x",))))
    assert (pilot.fleets, pilot.fleet, pilot.command) == ("folder", "abc", ("x",))
