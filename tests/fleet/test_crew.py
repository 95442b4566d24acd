"""What is told of a pilot: its own report, its leases, and Slurm's word."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.fleet.crew import crew_of
from bench.fleet.duty import Duty
from bench.fleet.fleet import Fleets, Work, new_fleet, with_submission
from bench.fleet.slurm import JobState
from bench.records.lease import Leases
from bench.records.store import Store
from bench.scheduling.progress import Silence, Tally


def tally(done: int) -> Tally:
    return Tally(total=9, done=done, skipped=0, running=1, elsewhere=0, failed=1, left=None)


def test_a_pilot_is_told_by_its_report_and_its_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1", "SLURMD_NODENAME": "n2",
        "SLURM_RESTART_COUNT": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    store = Store(tmp_path)
    fleets = Fleets(store.layout)
    fleet = with_submission(new_fleet(["s"], "p", [], {}, Work("", {}, {})), "17", 2)
    duty = Duty(fleets.reports(fleet.id), Silence(), every=0)
    with Leases(store.layout) as leases:
        duty.begin()
        leases.claim("a" * 20)
        leases.claim("b" * 20)
        duty.update(lambda: tally(3))
        waits, runs = crew_of(fleet, fleets, [JobState("17_1", "RUNNING", "n2", "")], store)
        assert (waits.state, waits.done, waits.holds) == ("ended", 0, 0)
        assert (runs.state, runs.node, runs.done, runs.holds) == ("running", "n2", 3, 2)
        assert runs.line == "pilot 17_1: running on n2, 3 cells done, holds 2, requeued once"
        # Where Slurm cannot be asked, a heartbeat tells as much.
        unknown, runs = crew_of(fleet, fleets, None, store)
        assert (unknown.state, runs.state, runs.holds) == ("unknown", "running", 2)
    # Killed, it holds nothing, whatever its last report was.
    assert [pilot.holds for pilot in crew_of(fleet, fleets, [], store)] == [0, 0]
    duty.end(tally(4))
    assert crew_of(fleet, fleets, None, store)[1].state == "ended"
    assert crew_of(fleet, fleets, None, store)[1].done == 4
    assert os.listdir(fleets.reports(fleet.id)) == ["17_1.1.json"]
